"""The same five branches under every join: when each is met, what it has by then, and whom it cuts off.

The seconds are virtual, so the program takes none of them.

    python examples/join_strategies.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Literal

import trio
from trio.testing import MockClock

from cano_trio import BranchResults, Retry, Split, SplitFailed, TaskConfig, Workflow


class Step(Enum):
    """Ask all mirrors, then take stock."""

    ASK = auto()
    TAKE_STOCK = auto()
    DONE = auto()


Branch = Callable[[], Coroutine[Any, Any, str]]


def mirror(seconds: float, *, down: bool = False) -> Branch:
    """A mirror that answers after a time, or says that it is down."""

    async def answer() -> str:
        await trio.sleep(seconds)
        if down:
            raise ConnectionError("mirror is down")
        return f"{seconds:g} s"

    return answer


MIRRORS: Mapping[str, Branch] = {
    "oslo": mirror(1),
    "lima": mirror(2, down=True),
    "kyiv": mirror(3),
    "pune": mirror(4),
    "nuuk": mirror(60),
}

SPLITS: Mapping[str, Split[Step]] = {
    "all": Split.all(MIRRORS, Step.TAKE_STOCK),
    "all, collected": Split.all(MIRRORS, Step.TAKE_STOCK, collect=True),
    "any": Split.any(MIRRORS, Step.TAKE_STOCK),
    "quorum of 2": Split.quorum(MIRRORS, 2, Step.TAKE_STOCK),
    "quorum of 2, collected": Split.quorum(MIRRORS, 2, Step.TAKE_STOCK, collect=True),
    "quorum of 4 within 10 s": Split.quorum(MIRRORS, 4, Step.TAKE_STOCK, timeout=10),
    "60 %": Split.percentage(MIRRORS, 0.6, Step.TAKE_STOCK),
    "by a deadline of 10 s": Split.by_deadline(MIRRORS, Step.TAKE_STOCK, timeout=10),
}


async def compare() -> None:
    """Run a workflow with each of them."""
    for name, split in SPLITS.items():
        workflow = Workflow(
            Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.none()), name=name
        )
        workflow.register_split(Step.ASK, split)

        @workflow.task(Step.TAKE_STOCK)
        async def take_stock(results: BranchResults[str]) -> Literal[Step.DONE]:
            show("met", results.successes, results.failures, results.missing)
            return Step.DONE

        begun = trio.current_time()
        print(f"{name}:")
        try:
            await workflow.orchestrate()
        except SplitFailed as failure:
            show("failed", failure.successes, failure.failures, failure.missing)
        print(f"    after {trio.current_time() - begun:g} s")


def show(verdict: str, *answered_failed_cut_off: Iterable[str]) -> None:
    """Print who answered, who failed and who was cut off."""
    answered, failed, cut_off = (", ".join(names) or "none" for names in answered_failed_cut_off)
    print(f"    {verdict}: {answered} answered, {failed} failed, {cut_off} cut off")


def main() -> None:
    """Compare them in virtual time."""
    trio.run(compare, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
