"""What every call that carries out a run is given, gathered in one way."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypedDict

import trio

from .._define.definition import Definition, check_resources
from .._engine.lifecycle import Resources
from .._engine.run import Run as EngineRun
from .._observe.observer import Observer
from .handing import Handing
from .handle import Run


class Call(TypedDict):
    """With what a run is carried out, as `execute` and `take_up` take it."""

    resources: Resources
    observers: Sequence[Observer]
    begun: Handing | None


def call_with(
    workflow: Definition[Any, Any],
    own: Resources,
    given: Resources | None,
    observers: Sequence[Observer],
    task_status: trio.TaskStatus[Run[Any, Any]],
) -> Call:
    """The arguments, gathered.

    Args:
        workflow: the workflow.
        own: the workflow's own resources.
        given: those to take instead.
        observers: who is told of the run's events.
        task_status: what is given the `Run`, where a nursery starts the call.

    Raises:
        DefinitionError: what is given is no map of resources.
    """
    check_resources(given)
    ignored = task_status is trio.TASK_STATUS_IGNORED
    return Call(
        resources=own if given is None else given,
        observers=observers,
        begun=None if ignored else Handing(workflow, task_status),
    )


async def concluded(execution: Awaitable[EngineRun], call: Call) -> EngineRun:
    """Carry a run out, and tell its handle of the end, if there is one."""
    handing = call["begun"]
    return await (execution if handing is None else handing.concluded(execution))
