"""A run from end to end: resources, the journal, the drive loop, and how it all ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from enum import Enum
from typing import Any

from .._define.data import check_data
from .._define.definition import Definition
from .._define.edges import is_state, written
from .._errors import DefinitionError, DuplicateRun, NotOwner, RunAlreadyEnded, RunCancelled, RunFailed
from .._journal.protocol import Journal
from .._journal.rows import RunRecord, StoredRun
from .._observe.observer import Observer, check_observers
from .._observe.status import RunStatus
from .conduct import conduct
from .hearing import conduct_hearing
from .lifecycle import Resources
from .program import Program
from .resume import How, Revival, revive
from .run import Run
from .run_journal import RunJournal
from .writing import claimed

Begun = Callable[[Run], object]


async def execute(
    workflow: Definition[Any, Any],
    *,
    start: Enum,
    data: Any,
    run_id: str,
    resources: Resources,
    observers: Sequence[Observer],
    begun: Begun | None = None,
    journal: Journal | None = None,
    attach: bool = False,
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
        journal: where it is written down.
        attach: go on with a run of that id, if there is one.

    Raises:
        DefinitionError: the workflow is wrong, does not find its resources, or has no such state to start in.
        DataTypeMismatch: the data are not of the workflow's type, or of a subclass that JSON would not give back.
        TypeError: an observer can't be told of events.
        DuplicateRun: the journal has a run of that id.
        Exception: what a task raised for good, or a resource's set-up.
    """
    program = None
    if resources.lives and resources.undecided:
        workflow.validate()
    else:
        program = Program.of(workflow, resources)
    check_start(workflow, start)
    check_data(workflow.name, workflow.data, data)
    if observers:
        check_observers(observers)
    if program is not None and journal is None and not (resources.lives or resources.per_run):  # nothing to open
        run = program.run(start, program.pack(data), run_id=run_id, observers=observers, resources=resources)
        await conduct(run, workflow, begun)
        return run
    async with _opened(workflow, resources, journal) as (program, own):
        seen = 0 if journal is None else journal.changes
        run = program.run(start, program.pack(data), run_id=run_id, observers=observers, resources=own)
        if journal is not None:
            run.write_down(RunJournal(journal, run, program))
            if not await _begun(run, attach=attach):
                return await _taken_up(program, run_id, journal, own, observers, "resume", None, begun)
            await conduct_hearing(run, program, journal, seen, begun)
        else:
            await conduct(run, workflow, begun)
    return run


async def _begun(run: Run, *, attach: bool) -> bool:
    """Write down that a run begins; tells whether it does, where one of its id may be there already."""
    try:
        await run.journal.begin({})
    except DuplicateRun:
        if not attach:
            raise
        return False
    return True


async def take_up(
    workflow: Definition[Any, Any],
    run_id: str,
    *,
    journal: Journal,
    resources: Resources,
    observers: Sequence[Observer],
    how: How,
    reason: str | None = None,
    begun: Begun | None = None,
) -> Run:
    """Go on with a run that was written down, to its end.

    Args:
        workflow: its workflow.
        run_id: its id.
        journal: where it is written down.
        resources: what its tasks work with.
        observers: who is told of its events.
        how: what it is taken up for.
        reason: why it is cancelled.
        begun: is given the run when all is set up.

    Raises:
        RunNotFound: there is none.
        NotOwner: another process holds it.
        RunBlocked: this code can't go on with it.
        RunFailed: it is over, and can't be resumed; or it has not come to where the rest can be done with it.
        RunAlreadyEnded: it is over, and can't be tried again, cancelled or undone.
        RunCancelled: it was cancelled; or it is now.
        Exception: as in `execute`.
    """
    if observers:
        check_observers(observers)
    async with _opened(workflow, resources, journal) as (program, own):
        return await _taken_up(program, run_id, journal, own, observers, how, reason, begun)


@asynccontextmanager
async def _opened(
    workflow: Definition[Any, Any], resources: Resources, journal: Journal | None
) -> AsyncGenerator[tuple[Program, Resources]]:
    """All that a run needs, set up; what stands in the way of a journal is told before."""
    if journal is not None and not (resources.lives and resources.undecided):
        Program.of(workflow, resources).check_recordable(resources)
    async with (
        nullcontext() if journal is None else journal,
        resources.opened() if resources.lives else nullcontext(),
        resources.for_run() if resources.per_run else nullcontext(resources) as own,
    ):
        program = Program.of(workflow, resources)
        if journal is not None:
            program.check_recordable(resources)
        yield program, own


async def _taken_up(
    program: Program,
    run_id: str,
    journal: Journal,
    resources: Resources,
    observers: Sequence[Observer],
    how: How,
    reason: str | None,
    begun: Begun | None,
) -> Run:
    found = await journal.load(run_id)
    check_workflow(program.workflow, found.record)
    if found.record.position.status is RunStatus.COMPLETED and how == "resume":
        run = await Revival(program, journal, found, how).over(resources)
        if begun is not None:
            begun(run)
        return run
    _check_status(found.record, how)
    seen = journal.changes
    stored = await _claimed(journal, found)
    if stored.record.position.status not in _TAKEN_UP[how]:  # it came to its end before it was claimed
        await Revival(program, journal, stored, how).give_back(stored.record.position)
        return await _taken_up(program, run_id, journal, resources, observers, how, reason, begun)
    run = await revive(program, journal, stored, how=how, resources=resources, observers=observers, reason=reason)
    await conduct_hearing(run, program, journal, seen, begun)
    return run


async def _claimed(journal: Journal, found: StoredRun) -> StoredRun:
    run_id = found.record.run_id
    stored = await claimed(journal, run_id)
    if stored is None:
        raise NotOwner(run_id, found.record.owner)
    return stored


def check_workflow(workflow: Definition[Any, Any], record: RunRecord) -> None:
    """See that a run is one of a workflow, and no child's.

    Raises:
        DefinitionError: it is not.
    """
    if record.workflow != workflow.name:
        raise DefinitionError.one(
            "E29",
            "workflow",
            f"run {record.run_id!r} is one of workflow {record.workflow!r}, and this is {workflow.name!r}",
            hint="Resume it with its own workflow. If that was renamed, keep the old name: Workflow(..., name=...).",
        )
    if record.parent is not None:
        raise DefinitionError.one(
            "E29",
            "workflow",
            f"run {record.run_id!r} does a state's work of run {record.parent!r}",
            hint=f"Resume that one: {record.parent!r}.",
        )


_TAKEN_UP: dict[How, frozenset[RunStatus]] = {
    "resume": frozenset({
        RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED, RunStatus.ROLLING_BACK, RunStatus.BLOCKED,
    }),
    "retry": frozenset({RunStatus.FAILED, RunStatus.BLOCKED}),
    "roll_back": frozenset({RunStatus.ROLLBACK_FAILED, RunStatus.FAILED}),
    "cancel": frozenset({
        RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED, RunStatus.ROLLING_BACK, RunStatus.BLOCKED,
        RunStatus.FAILED,
    }),
}  # fmt: skip
"""Where a run has to stand for each thing that can be done with it."""

_HINTS = {
    RunStatus.FAILED: "It can be tried again from the state it failed in: workflow.retry({!r}, journal=...).",
    RunStatus.ROLLBACK_FAILED: "What is left can be tried again: workflow.retry_rollback({!r}, journal=...).",
    RunStatus.BLOCKED: "workflow.resume({!r}, journal=...) goes on with it when nothing stands in its way any more.",
}


_REFUSED: dict[How, str] = {
    "retry": "can't be tried again",
    "roll_back": "has nothing left to be undone",
    "cancel": "can't be cancelled",
}

_INSTEAD = {
    RunStatus.COMPLETED: "workflow.resume({!r}, journal=...) gives what it came to. To do it once more, start a run of another id.",
    RunStatus.ROLLED_BACK: "All that it did is undone. To do it once more, start a run of another id.",
    RunStatus.CANCELLED: "All that it did is undone. To do it once more, start a run of another id.",
    RunStatus.ROLLBACK_FAILED: _HINTS[RunStatus.ROLLBACK_FAILED],
    RunStatus.ROLLING_BACK: "workflow.resume({!r}, journal=...) goes on with that.",
}


def _check_status(record: RunRecord, how: How) -> None:
    position = record.position
    if position.status in _TAKEN_UP[how]:
        return
    if how != "resume" and (instead := _INSTEAD.get(position.status)):
        raise RunAlreadyEnded(record.run_id, position.status.value, _REFUSED[how], instead.format(record.run_id))
    if position.status is RunStatus.CANCELLED and how == "resume":
        raise RunCancelled(position.reason)
    error = position.error
    why = None if error is None else f"{error.type}: {error.message}"
    hint = _HINTS.get(position.status, "" if position.status.ended else "workflow.resume({!r}, journal=...) goes on.")
    raise RunFailed(record.run_id, position.status.value, why or position.reason, hint.format(record.run_id))


def check_start(workflow: Definition[Any, Any], start: Enum) -> None:
    """See that a run can begin in a state.

    Raises:
        DefinitionError: it is none, or has no task.
    """
    if start is workflow.initial:  # mostly it is, and known to have a task: to look it up runs an Enum's Python code
        return
    known = is_state(start, workflow.states)
    if known and (start in workflow.exits or start in workflow.blueprint()):
        return
    raise DefinitionError.one(
        "E07" if known else "E22",
        start.name if known else "workflow",
        "no handler to start with" if known else f"the start {start!r} is no state of {workflow.states.__name__}",
        hint=f"Start in a state that has a task, such as {written(workflow.initial)}.",
    )
