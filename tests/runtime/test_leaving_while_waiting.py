"""A run that is asked to leave while a task of it is at work, and then only waits: it leaves as soon as it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import Pending, Run, RunStatus, Runtime, Workflow, open_runtime
from cano_trio.journals import MemoryJournal

Step = Enum("Step", "WAIT DONE")
Outer = Enum("Outer", "INSIDE DONE")


def receiving() -> Workflow[Any, Any]:
    """Waits for a message as soon as it begins."""
    workflow = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE], name="waiting")

    @workflow.receive(Step.WAIT)
    async def wait(message: str) -> Literal[Step.DONE]:
        return Step.DONE

    return workflow


def polling() -> Workflow[Any, Any]:
    """Looks for two seconds, and then waits for an hour."""
    workflow = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE], name="polling")

    @workflow.poll(Step.WAIT)
    async def look() -> Literal[Step.DONE] | Pending:
        await trio.sleep(2)
        return Pending(delay=3600)

    return workflow


def inside(workflow: Workflow[Any, Any]) -> Workflow[Any, Any]:
    """Has another workflow do that."""
    outer = Workflow(Outer, initial=Outer.INSIDE, exits=[Outer.DONE], name="outer")
    outer.register_child(Outer.INSIDE, workflow, {Step.DONE: Outer.DONE})
    return outer


async def pause(_: Runtime, run: Run[Any, Any]) -> None:
    await run.pause()
    assert run.status is RunStatus.PAUSED


async def drain(runtime: Runtime, run: Run[Any, Any]) -> None:
    assert await runtime.drain(grace=600)
    assert run.status is RunStatus.WAITING


@pytest.mark.parametrize("leave", [pause, drain])
@pytest.mark.parametrize(
    "workflow, seconds",
    [(receiving(), 0.0), (polling(), 2.0), (inside(receiving()), 0.0), (inside(polling()), 2.0)],
    ids=["message", "poll", "message inside", "poll inside"],
)
async def test_a_run_leaves_as_soon_as_it_waits(
    leave: Callable[[Runtime, Run[Any, Any]], Awaitable[None]],
    workflow: Workflow[Any, Any],
    seconds: float,
    autojump_clock: MockClock,
) -> None:
    """Nobody waits for a message that may never come, or for an hour, to hold it or to stop the process."""
    async with open_runtime(workflows=[workflow], journal=MemoryJournal(), on_exit="drain") as runtime:
        run = await runtime.start(workflow, run_id="a")
        await leave(runtime, run)
        assert trio.current_time() == seconds
