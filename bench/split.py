"""A split of 10, 100 and 1,000 trivial branches, beside a nursery in which the same function is started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Split, Workflow

from .measure import Case, in_trio

BRANCHES = (10, 100, 1_000)
ALL = 2_000
"""Branches of one sample."""


class Step(Enum):
    """The states."""

    FAN_OUT = auto()
    MERGE = auto()
    DONE = auto()


async def branch() -> int:
    """Do next to nothing."""
    return 1


async def merge() -> Literal[Step.DONE]:
    """Go on."""
    return Step.DONE


def by_hand(branches: int) -> Callable[[int], Awaitable[None]]:
    """Start them in a nursery, which tells nothing of their results."""

    async def start(times: int) -> None:
        for _ in range(times // branches):
            async with trio.open_nursery() as nursery:
                for _ in range(branches):
                    nursery.start_soon(branch)

    return start


def by_split(branches: int) -> Callable[[int], Awaitable[None]]:
    """Join them all, in a run of two states."""
    workflow: Workflow[Step] = Workflow(Step, initial=Step.FAN_OUT, exits=[Step.DONE])
    workflow.register_split(Step.FAN_OUT, Split.all([branch] * branches, Step.MERGE))
    workflow.register(Step.MERGE, merge)

    async def run(times: int) -> None:
        for _ in range(times // branches):
            await workflow.orchestrate()

    return run


def cases() -> Sequence[Case]:
    """Time for one branch, the run around it included."""
    found: list[Case] = []
    for branches in BRANCHES:
        baseline = f"split, {branches:,} branches: start_soon"
        found += [
            Case(name=baseline, clocked=in_trio(by_hand(branches)), times=ALL),
            Case(
                name=f"split, {branches:,} branches: workflow",
                clocked=in_trio(by_split(branches)),
                times=ALL,
                baseline=baseline,
                reach_ratio=1.3,
            ),
        ]
    return found
