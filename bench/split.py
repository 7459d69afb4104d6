"""A split of 10, 100 and 1,000 trivial branches, beside a task that starts the same function in a nursery."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Split, Workflow

from .measure import Case, Clocked, in_trio

BRANCHES = (10, 100, 1_000)
ALL = 5_000
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


def by_hand(branches: int) -> Workflow[Step]:
    """A task that starts them in a nursery, which tells nothing of their results."""

    async def start() -> Literal[Step.MERGE]:
        async with trio.open_nursery() as nursery:
            for _ in range(branches):
                nursery.start_soon(branch)
        return Step.MERGE

    workflow: Workflow[Step] = Workflow(Step, initial=Step.FAN_OUT, exits=[Step.DONE])
    workflow.register(Step.FAN_OUT, start)
    workflow.register(Step.MERGE, merge)
    return workflow


def by_split(branches: int) -> Workflow[Step]:
    """A split that joins them all."""
    workflow: Workflow[Step] = Workflow(Step, initial=Step.FAN_OUT, exits=[Step.DONE])
    workflow.register_split(Step.FAN_OUT, Split.all([branch] * branches, Step.MERGE))
    workflow.register(Step.MERGE, merge)
    return workflow


def runs(workflow: Workflow[Step], branches: int) -> Clocked:
    """Clocks runs of a workflow, for one branch."""

    async def work(times: int) -> None:
        for _ in range(max(1, times // branches)):
            await workflow.orchestrate()

    return in_trio(work)


def cases() -> Sequence[Case]:
    """Both in a run of two states, of which each branch bears its part."""
    found: list[Case] = []
    for branches in BRANCHES:
        baseline = f"{branches:,} branches: start_soon in a task"
        split = f"{branches:,} branches: split"
        found += [
            Case(name=baseline, clocked=runs(by_hand(branches), branches), times=ALL),
            Case(name=split, clocked=runs(by_split(branches), branches), times=ALL, baseline=baseline, reach_ratio=1.3),
        ]
    return found
