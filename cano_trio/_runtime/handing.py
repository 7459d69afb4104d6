"""The handle of a run in its caller's own task: given out when it begins, and told of its end."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, final

import trio

from .._define.definition import Definition
from .._engine.run import Run as EngineRun
from .actor import Actor
from .alone import ALONE
from .handle import Run


@final
class Handing:
    """Gives a nursery the handle of a run that it starts.

    Args:
        workflow: the run's workflow.
        task_status: what is given the handle.
    """

    def __init__(self, workflow: Definition[Any, Any], task_status: trio.TaskStatus[Run[Any, Any]]) -> None:
        self._workflow = workflow
        self._task_status = task_status
        self._actor: Actor | None = None

    def __call__(self, run: EngineRun) -> None:
        """The run begins."""
        self._actor = Actor(run.run_id, self._workflow, ALONE)
        self._actor.attach(run)
        self._task_status.started(Run(self._actor))

    async def concluded(self, execution: Awaitable[EngineRun]) -> EngineRun:
        """Carry the run out, and tell its handle of the end."""
        try:
            run = await execution
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return run

    def _end(self, error: BaseException | None) -> None:
        actor = self._actor
        if actor is None:
            return
        if actor.engine is not None and actor.engine.released:
            actor.let_go(error)
        else:
            actor.end(error)
