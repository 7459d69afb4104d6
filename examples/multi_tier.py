"""Three budgets at once, all of them or none: tokens a minute, calls a minute, and calls a second.

Each call costs forty tokens of the first, and one of the others. It runs on trio's mock clock, which jumps over
every wait: two minutes pass in no time.

    python examples/multi_tier.py
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Literal

import trio
from trio.testing import MockClock

from cano_trio import MultiRateLimiter, RateLimiter, Resources, Tier, WindowedRateLimiter, Workflow


class Step(Enum):
    """Where a run stands."""

    ASK = auto()
    DONE = auto()


@dataclass
class Questions:
    """How many are left to be asked."""

    left: int


budgets = MultiRateLimiter(
    [  # asked in this order: of those that have no room, the first one is named
        Tier("tokens", WindowedRateLimiter(1_000, 60), cost=40),
        Tier("minute", WindowedRateLimiter(60, 60)),
        Tier("second", RateLimiter(4)),
    ]
)
workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], data=Questions)


@workflow.task(Step.ASK, limiter=budgets)
async def ask(questions: Questions, asked: Counter[int]) -> Annotated[Literal[Step.ASK], "more"] | Literal[Step.DONE]:
    """Ask one question, once all budgets have room for it."""
    asked[int(trio.current_time())] += 1
    questions.left -= 1
    return Step.ASK if questions.left else Step.DONE


def main() -> None:
    """Ask sixty questions; print in which second how many were asked, and which budget it was that made them wait."""
    asked: Counter[int] = Counter()
    resources = Resources(asked=asked)
    trio.run(lambda: workflow.run(Questions(60), resources=resources), clock=MockClock(autojump_threshold=0))
    for second, questions in sorted(asked.items()):
        print(f"second {second:>3}: {'#' * questions}")
    for tier, times in budgets.statistics().throttled.items():
        print(f"{tier:<6} held {times} back")


if __name__ == "__main__":
    main()
