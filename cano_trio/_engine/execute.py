"""A run from end to end: resources, the drive loop, and how it all ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from enum import Enum
from typing import Any

from .._define.definition import Definition
from .._define.edges import is_state, written
from .._errors import DefinitionError
from .._observe.observer import Observer, check_observers
from .conduct import conduct
from .data import check_data
from .lifecycle import Resources
from .program import Program
from .run import Run


async def execute(
    workflow: Definition[Any, Any],
    *,
    start: Enum,
    data: Any,
    run_id: str,
    resources: Resources,
    observers: Sequence[Observer],
    begun: Callable[[Run], object] | None = None,
) -> Run:
    """Run a workflow to one of its exit states; whatever is wrong with the call is raised before anything is set up.

    Args:
        workflow: the workflow.
        start: where it begins.
        data: its data.
        run_id: its id.
        resources: what its tasks work with.
        observers: who is told of its events.
        begun: is given the run when all is set up.

    Raises:
        DefinitionError: the workflow is wrong, does not find its resources, or has no such state to start in.
        DataTypeMismatch: the data are not of the workflow's type, or of a subclass that JSON would not give back.
        TypeError: an observer can't be told of events.
        Exception: what a task raised for good, or a resource's set-up.
    """
    program = None
    if resources.lives and resources.undecided:
        workflow.validate()
    else:
        program = Program.of(workflow, resources)
    _check_start(workflow, start)
    check_data(workflow, data)
    if observers:
        check_observers(observers)
    if program is not None and not (resources.lives or resources.per_run):  # nothing to open
        run = program.run(start, program.pack(data), run_id=run_id, observers=observers, resources=resources)
        await conduct(run, workflow, begun)
        return run
    async with (
        resources.opened() if resources.lives else nullcontext(),
        resources.for_run() if resources.per_run else nullcontext(resources) as own,
    ):
        program = Program.of(workflow, resources)
        run = program.run(start, program.pack(data), run_id=run_id, observers=observers, resources=own)
        await conduct(run, workflow, begun)
    return run


def _check_start(workflow: Definition[Any, Any], start: Enum) -> None:
    known = is_state(start, workflow.states)
    if known and (start in workflow.exits or start in workflow.blueprint()):
        return
    raise DefinitionError.one(
        "E07" if known else "E22",
        start.name if known else "workflow",
        "no handler to start with" if known else f"the start {start!r} is no state of {workflow.states.__name__}",
        hint=f"Start in a state that has a task, such as {written(workflow.initial)}.",
    )
