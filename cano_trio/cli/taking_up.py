"""Runs that are written down: begun, gone on with, tried again, undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click

from .._errors import JournalError, RunAlreadyEnded, RunFailed, RunNotFound
from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .._observe.observer import Observer
from .._observe.rollback import Rollback
from .._runtime.result import RunResult
from .._runtime.workflow import Workflow
from .answers import say, watched
from .asking import cancel_elsewhere, leave_elsewhere
from .concluding import conclude
from .named import Named
from .options import with_detach, with_journal, with_reason, with_run
from .recourse import Recourse
from .refusal import Refused
from .run_data import read_data
from .running import carried_out
from .store import UNFINISHED, asked, latest, opened, stored_of
from .wording import word

Work: TypeAlias = Callable[[Sequence[Observer]], Awaitable[RunResult[Any, Any] | Rollback]]
"""What carries a run out, or undoes it."""

SHOWN = 5
"""Unfinished runs that are named."""


def run_written_down(
    workflow: Workflow[Any, Any],
    recourse: Recourse,
    *,
    run_id: str | None,
    start: Enum | None,
    data: str | None,
    full: bool,
    as_json: bool,
) -> None:
    """Begin a run, or go on with the one that is there.

    Args:
        workflow: its workflow.
        recourse: where it is written down, and how it was called.
        run_id: its id; if it is not given, the workflow's only unfinished run goes on, or a new one begins.
        start: where a new one begins.
        data: what ``--data`` says.
        full: show the traceback of an error.
        as_json: print the result as one JSON document.
    """
    there = None
    journal = opened(recourse.file, new=True)
    if recourse.file.exists():
        there = asked(journal, lambda journal: _run_there(journal, workflow, run_id), full=full)
    if there is None:
        work = _beginning(workflow, journal, run_id, start, read_data(workflow, data))
    else:
        begins = [name for name, given in (("--data", data), ("--start", start)) if given is not None]
        _say_that_it_goes_on(there, begins, named=run_id is not None)
        work = _taking_up("resume", workflow, there.run_id, journal)
    _carry_out(work, workflow, recourse, (JournalError,), full=full, as_json=as_json)


async def _run_there(journal: Journal, workflow: Workflow[Any, Any], run_id: str | None) -> RunRecord | None:
    """The run of an id, or the only unfinished run of a workflow."""
    if run_id is not None:
        try:
            await journal.load(run_id)
        except RunNotFound:
            return None
        return (await stored_of(journal, run_id, workflow)).record
    unfinished = await latest(journal, workflow.name, UNFINISHED, SHOWN + 1, inner=False)
    if len(unfinished) > 1:
        names = ", ".join(word(record.run_id) for record in unfinished[-SHOWN:])
        more = ", and others" if len(unfinished) > SHOWN else ""
        raise Refused(
            f"several runs of workflow {workflow.name!r} are unfinished: {names}{more}. Go on with one, or begin another: "
            "--run-id ID"
        )
    return unfinished[0] if unfinished else None


def _say_that_it_goes_on(there: RunRecord, begins: Sequence[str], *, named: bool) -> None:
    """Say what becomes of options that only a new run could heed.

    Raises:
        Refused: nobody has said that it is this run that is meant.
    """
    options = " and ".join(begins)
    if begins and not named:
        raise Refused(
            f"run {there.run_id!r} is unfinished, and goes on where and with what it is: leave {options} out, or begin "
            "another: --run-id ID"
        )
    if not named:
        say(f"going on with run {word(there.run_id)}, which is unfinished", err=True)
    elif begins:
        say(f"run {word(there.run_id)} is there already: {options} is not heeded", err=True)


def _beginning(
    workflow: Workflow[Any, Any], journal: Journal, run_id: str | None, start: Enum | None, data: Any
) -> Work:
    return lambda observers: workflow.run(data, start=start, run_id=run_id, journal=journal, observers=observers)


How: TypeAlias = Literal["resume", "retry", "retry_rollback", "cancel"]
"""What a run is taken up for: the method of `Workflow`."""


def _taking_up(how: How, workflow: Workflow[Any, Any], run_id: str, journal: Journal, **more: Any) -> Work:
    method: Callable[..., Awaitable[RunResult[Any, Any] | Rollback]] = getattr(workflow, how)
    return lambda observers: method(run_id, journal=journal, observers=observers, **more)


def _carry_out(
    work: Work,
    workflow: Workflow[Any, Any],
    recourse: Recourse,
    refusals: tuple[type[Exception], ...],
    *,
    full: bool,
    as_json: bool,
) -> None:
    with watched(workflow, as_json=as_json) as progress:
        outcome = carried_out(work, [progress], durable=True)
    conclude(workflow, outcome, full=full, as_json=as_json, recourse=recourse, refusals=refusals)


def _take_up(how: How, named: Named, **more: Any) -> None:
    """Take a run up here."""
    named.check()
    # To resume a run that has failed is to hear that it has; to try again one that can't be is a mistake.
    refusals = (JournalError,) if how == "resume" else (JournalError, RunFailed, RunAlreadyEnded)
    work = _taking_up(how, named.workflow, named.run_id, named.journal, **more)
    _carry_out(work, named.workflow, named.recourse, refusals, full=named.full, as_json=named.as_json)


@click.command()
@click.argument("target")
@with_run
@with_journal
@with_detach
def resume(target: str, run_id: str, file: Path, *, full: bool, as_json: bool, detach: bool) -> None:
    """Go on with a run where it was left.

    Exits as `run` does.
    """
    named = Named.of(target, run_id, file, full=full, as_json=as_json)
    if detach:
        leave_elsewhere("resume", named)
    else:
        _take_up("resume", named)


@click.command()
@click.argument("target")
@with_run
@with_journal
@with_detach
@click.option(
    "--rollback", is_flag=True, help="Undo what is left of a run instead, such as of one that is rollback_failed."
)
def retry(target: str, run_id: str, file: Path, *, full: bool, as_json: bool, detach: bool, rollback: bool) -> None:
    """Try a run again that has failed or is blocked.

    It goes on in the state it failed in. Exits as `run` does; with --rollback, with 0 if all was undone.
    """
    if detach and rollback:
        raise Refused("what --rollback undoes is undone here: leave --detach out")
    named = Named.of(target, run_id, file, full=full, as_json=as_json)
    if detach:
        leave_elsewhere("retry", named)
    else:
        _take_up("retry_rollback" if rollback else "retry", named)


@click.command()
@click.argument("target")
@with_run
@with_journal
@with_detach
@with_reason
def cancel(
    target: str, run_id: str, file: Path, *, full: bool, as_json: bool, detach: bool, reason: str | None
) -> None:
    """Cancel a run, and undo what it has done.

    If a process carries it out, that one does so. Exits with 0 if all was undone, 1 if not or if it came to its end first, 3 if Ctrl-C ends the wait for
    that process: it is asked for, and follows. If Ctrl-C comes before it is asked for, with 1.
    """
    named = Named.of(target, run_id, file, full=full, as_json=as_json)
    if detach:
        leave_elsewhere("cancel", named, reason)
    elif (owner := named.owner()) is None:
        _take_up("cancel", named, reason=reason)
    else:
        cancel_elsewhere(named, owner, reason)
