"""One transition of a workflow with data, which every task changes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from trio.lowlevel import checkpoint_if_cancelled

from cano_trio import Workflow

from .measure import Case, in_trio

TRANSITIONS = 2_000
COPY = "data: deepcopy in a loop by hand"


class Step(Enum):
    """The states."""

    COUNT = auto()
    DONE = auto()


@dataclass
class Order:
    """Data of a usual size."""

    left: int
    customer: str = "Ada Lovelace"
    total: float = 99.5
    lines: list[str] = field(default_factory=lambda: ["engine", "cards", "oil"])
    notes: dict[str, str] = field(default_factory=lambda: {"gift": "yes", "wrap": "red"})


async def count(order: Order) -> Literal[Step.COUNT, Step.DONE]:
    """Change one field."""
    order.left -= 1
    return Step.COUNT if order.left else Step.DONE


async def by_hand(times: int) -> None:
    """A loop that gives each attempt a deep copy and keeps what came of it."""
    order, state = Order(times), Step.COUNT
    while state is not Step.DONE:
        await checkpoint_if_cancelled()
        draft = copy.deepcopy(order)
        state = await count(draft)
        order = draft


def cases() -> Sequence[Case]:
    """A workflow, which packs its data to JSON and proves that they come back the same, beside deep copies."""
    workflow: Workflow[Step, Order] = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE], data=Order)
    workflow.task(Step.COUNT)(count)

    async def run(times: int) -> None:
        await workflow.run(Order(times))

    return [
        Case(name=COPY, clocked=in_trio(by_hand), times=TRANSITIONS),
        Case(name="data: workflow", clocked=in_trio(run), times=TRANSITIONS, baseline=COPY),
    ]
