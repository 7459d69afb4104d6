"""A child workflow that goes round in itself comes to an end of its own, and all that it did is undone."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import pytest
import trio

from cano_trio import Workflow, failure_context


class Step(Enum):
    RESERVE = auto()
    AGAIN = auto()
    DONE = auto()


def rounds(most: int, log: list[int]) -> Workflow[Step]:
    """A workflow that is its own child, so many times."""
    workflow = Workflow(Step, initial=Step.RESERVE, exits=[Step.DONE], name="rounds")

    @workflow.compensatable(Step.RESERVE)
    async def reserve() -> tuple[Literal[Step.AGAIN, Step.DONE], int]:
        await trio.lowlevel.checkpoint()
        log.append(len(log))
        return Step.AGAIN if len(log) < most else Step.DONE, log[-1]

    @reserve.compensate
    async def release(place: int) -> None:
        await trio.lowlevel.checkpoint()
        assert log.pop() == place

    workflow.register_child(Step.AGAIN, workflow, {Step.DONE: Step.DONE})
    return workflow


async def test_a_workflow_may_be_its_own_child() -> None:
    """As long as it comes to an end: each time is a run of its own."""
    log: list[int] = []
    await rounds(20, log).run()
    assert log == [*range(20)]


async def test_one_without_an_end_is_undone_in_full() -> None:
    """It fails while there is room on Python's stack to undo what was done so deep, and says what to do."""
    log: list[int] = []
    with pytest.raises(RecursionError, match=r"workflows stand in each other already") as caught:
        await rounds(10**6, log).run()
    assert log == []
    context = failure_context(caught.value)
    assert context is not None
    assert context.rollback is not None
    assert context.rollback.clean
