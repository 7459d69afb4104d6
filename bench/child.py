"""A child workflow of one state that does nothing, beside the same state in the parent; without and with data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from cano_trio import Workflow

from .measure import Case, Clocked, in_trio

VISITS = 2_000


class Step(Enum):
    """The states of the parent."""

    WORK = auto()
    AGAIN = auto()
    DONE = auto()


class Inner(Enum):
    """The states of the child."""

    WORK = auto()
    DONE = auto()


@dataclass
class Total:
    """What the states pass on."""

    turns: int = 0


def cases() -> Sequence[Case]:
    """A run that visits the state again and again, of which each visit bears its part."""
    found: list[Case] = []
    for what, data in (("", None), (" with data", Total)):
        baseline = f"child{what}: the state itself"
        found += [
            Case(name=baseline, clocked=_visits(_by_itself, data), times=VISITS),
            Case(
                name=f"child{what}: workflow of one state",
                clocked=_visits(_by_child, data),
                times=VISITS,
                baseline=baseline,
            ),
        ]
    return found


def _visits(register: Any, data: type[Total] | None) -> Clocked:
    """Clocks a run that goes so often through the state that is registered, and through a router that counts."""
    left = 0
    workflow: Workflow[Step, Any] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=data)
    register(workflow, data)

    @workflow.router(Step.AGAIN)
    async def again() -> Literal[Step.WORK, Step.DONE]:
        nonlocal left
        left -= 1
        return Step.WORK if left else Step.DONE

    async def work(times: int) -> None:
        nonlocal left
        left = times
        await workflow.run(None if data is None else data())

    return in_trio(work)


def _by_itself(workflow: Workflow[Step, Any], data: type[Total] | None) -> None:
    workflow.register(Step.WORK, _task(Step.AGAIN, data))


def _by_child(workflow: Workflow[Step, Any], data: type[Total] | None) -> None:
    child: Workflow[Inner, Any] = Workflow(Inner, initial=Inner.WORK, exits=[Inner.DONE], data=data)
    child.register(Inner.WORK, _task(Inner.DONE, data))
    workflow.register_child(Step.WORK, child, {Inner.DONE: Step.AGAIN})


def _task(following: Enum, data: type[Total] | None) -> Any:
    async def work() -> Any:
        return following

    async def count(total: Total) -> Any:
        total.turns += 1
        return following

    task = work if data is None else count
    task.__annotations__["return"] = Literal[following]
    return task
