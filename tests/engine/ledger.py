"""A saga over a ledger: each step books something, and takes it back when the run fails."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, final

import pytest

from cano_trio import CompensatableTask, Retry, Rollback, Workflow, failure_context


class Step(Enum):
    A = auto()
    B = auto()
    C = auto()
    D = auto()
    DONE = auto()
    FAILED = auto()


STEPS = (Step.A, Step.B, Step.C, Step.D)


@final
class Ledger:
    """What was done to the world, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __call__(self, entry: str) -> None:
        self.log.append(entry)

    def standing(self) -> list[str]:
        """What was done and not undone, in order."""
        left: list[str] = []
        for entry in self.log:
            if entry.startswith("undo "):
                left.remove(entry.removeprefix("undo "))
            else:
                left.append(entry)
        return left


class Booking(CompensatableTask[Step, str]):
    """Books under its state's name, and gives that as its receipt; other steps override what they do differently."""

    def __init__(self, ledger: Ledger, state: Step, then: Step, **options: Any) -> None:
        self.ledger = ledger
        self.state = state
        self.then = then
        for name, value in options.items():
            setattr(self, name, value)

    async def run(self) -> tuple[Step, str]:
        self.ledger(self.state.name)
        return self.then, self.state.name

    async def compensate(self, receipt: str) -> str:
        self.ledger(f"undo {receipt}")
        return f"{receipt} is undone"


def saga(ledger: Ledger, *tasks: Any, error: BaseException | None = None, **options: Any) -> Workflow[Step]:
    """A workflow of A, B and so on: a booking in each state, unless a task is given for it; the last leads to an exit.

    Args:
        ledger: where the bookings are written.
        tasks: for each state a task, or None for a booking.
        error: what a plain task after them fails with; without one the run ends well.
        options: of the workflow.
    """
    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE, Step.FAILED], name="saga", **options)
    ends = error is None
    states = STEPS[: len(tasks) + (not ends)]
    for task, state, then in zip(tasks, states, [*states[1:], Step.DONE], strict=False):
        workflow.register(state, task or Booking(ledger, state, then))
    if error is not None:

        async def fail() -> Step:
            raise error

        workflow.register(states[-1], fail, retry=Retry.none())
    return workflow


async def failure_of(workflow: Workflow[Step, Any], **options: Any) -> Exception:
    """What a run fails with."""
    with pytest.raises(Exception) as caught:
        await workflow.orchestrate(**options)
    return caught.value


def rollback_of(error: BaseException) -> Rollback:
    """What the rollback of the run came to that failed with it."""
    context = failure_context(error)
    assert context is not None
    assert context.rollback is not None
    return context.rollback
