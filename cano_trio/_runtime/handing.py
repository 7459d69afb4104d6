"""The handle of a run in its caller's own task: given out when it begins, and told of its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .._define.definition import Definition
from .._engine.run import Run as EngineRun
from .actor import Actor
from .alone import ALONE
from .handle import Run

Begun = Callable[[EngineRun], object]


async def handed(
    workflow: Definition[Any, Any],
    task_status: trio.TaskStatus[Run[Any, Any]],
    execute: Callable[[Begun | None], Awaitable[EngineRun]],
) -> EngineRun:
    """Carry a run out, and give its handle to whoever waits for that.

    Args:
        workflow: its workflow.
        task_status: who waits, if anybody does.
        execute: carries it out, and calls what it is given when it begins.
    """
    if task_status is trio.TASK_STATUS_IGNORED:
        return await execute(None)
    actors: list[Actor] = []

    def begun(run: EngineRun) -> None:
        actor = Actor(run.run_id, workflow, ALONE)
        actors.append(actor)
        actor.attach(run)
        task_status.started(Run(actor))

    try:
        run = await execute(begun)
    except BaseException as error:
        for actor in actors:
            _end(actor, error)
        raise
    for actor in actors:
        _end(actor, None)
    return run


def _end(actor: Actor, error: BaseException | None) -> None:
    if actor.engine is not None and actor.engine.released:
        actor.let_go(error)
    else:
        actor.end(error)
