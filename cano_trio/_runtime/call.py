"""What every call that carries out a run is given, gathered in one way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import trio

from .._define.definition import check_resources
from .._engine.execute import Begun
from .._engine.lifecycle import Resources
from .._observe.observer import Observer
from .handle import Run


class Call(TypedDict):
    """With what a run is carried out, as `execute` and `take_up` take it."""

    resources: Resources
    observers: Sequence[Observer]
    begun: Begun | None


def call_with(
    own: Resources, given: Resources | None, observers: Sequence[Observer], task_status: trio.TaskStatus[Run[Any, Any]]
) -> Call:
    """The arguments, gathered.

    Args:
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
        begun=None if ignored else lambda run: task_status.started(Run(run)),
    )


def checked_id(run_id: object) -> str:
    """A run's id.

    Raises:
        ValueError: it is no string, or an empty one.
    """
    if not isinstance(run_id, str) or not run_id:
        raise ValueError(f"run_id is {run_id!r}: it takes a string that is not empty")
    return run_id
