"""Partial results: a price is made of whatever the sources have said, and what they did not say is not lost.

Three of five sources are enough; all may finish. If too few answer, `on_error` leads to yesterday's price. The seconds are
virtual.

    python examples/partial_results.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from statistics import median
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import BranchResults, BranchTask, Retry, RunContext, Split, SplitFailed, Workflow


class Step(Enum):
    """Ask the sources, settle on a price."""

    ASK = auto()
    SETTLE = auto()
    YESTERDAY = auto()
    PRICED = auto()


@dataclass
class Quote:
    """The price to be found, and a word on how."""

    hour: int
    price: float = 0.0
    remarks: list[str] = field(default_factory=list)


class Source(BranchTask[float]):
    """A source of prices: an object is a branch, too, with options as attributes."""

    attempt_timeout = 3.0

    def __init__(self, price: float, *, seconds: float = 0.5, closes: int = 24) -> None:
        self.price = price
        self.seconds = seconds
        self.closes = closes
        self.retry = Retry.fixed(1, delay=0.2)

    async def run(self, quote: Quote) -> float:
        """Answer, if it is open at that hour; branches may read the run's data."""
        await trio.sleep(self.seconds)
        if quote.hour >= self.closes:
            raise ConnectionError(f"closed since {self.closes}:00")
        return self.price


workflow = Workflow(Step, initial=Step.ASK, exits=[Step.PRICED], name="price", data=Quote)
workflow.register_split(
    Step.ASK,
    Split.quorum(
        {
            "north": Source(41.0),
            "south": Source(43.0, closes=18),
            "east": Source(42.5, seconds=1.0),
            "west": Source(44.0, seconds=9.0),
            "centre": Source(40.0, seconds=0.7, closes=20),
        },
        3,
        Step.SETTLE,
        collect=True,
    ),
    on_error={SplitFailed: Step.YESTERDAY},
)


@workflow.task(Step.SETTLE)
async def settle(quote: Quote, results: BranchResults[float]) -> Literal[Step.PRICED]:
    """Take the middle of what was said, and note who said nothing."""
    quote.price = median(results.successes.values())
    quote.remarks = [f"{name}: {failure}" for name, failure in results.failures.items()]
    return Step.PRICED


@workflow.task(Step.YESTERDAY)
async def yesterday(quote: Quote, ctx: RunContext) -> Literal[Step.PRICED]:
    """Fall back; what led here is in the context."""
    quote.price = 39.0
    quote.remarks = [str(ctx.error)]
    return Step.PRICED


async def price() -> None:
    """Ask at three times of the day."""
    for hour in (12, 19, 21):
        result = await workflow.run(Quote(hour))
        print(f"{hour}:00  {result.data.price:.2f}  by way of {result.path[1].name}")
        for remark in result.data.remarks:
            print(f"       {remark}")


def main() -> None:
    """Ask in virtual time."""
    trio.run(price, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
