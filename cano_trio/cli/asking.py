"""What is asked of runs wherever they are carried out: to take a message, to be held, to go on, to be cancelled."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NoReturn

import click
import trio

from .._errors import RunAlreadyEnded, RunBlocked, RunCancelled, RunFailed
from .._journal.protocol import Journal
from .._journal.requests import CANCEL, PAUSE
from .._observe.rollback import Rollback
from .._observe.status import RunStatus
from .._runtime.handle import Run
from .._runtime.result import RunResult
from .._runtime.workflow import Workflow
from .answers import fail, say
from .concluding import RELEASED, conclude
from .messages import read_message
from .named import Named, answered, client
from .options import with_journal, with_reason, with_run
from .refusal import Refused
from .report import json_text
from .run_data import read_data
from .running import Course, Outcome
from .signals import heard
from .store import asked, opened
from .wording import word


def _checked_key(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given == "":
        raise Refused("a key is not empty")
    return given


@click.command()
@click.argument("target")
@with_run
@click.argument("type_", metavar="TYPE")
@click.argument("json")
@with_journal
@click.option(
    "--key", metavar="TEXT", callback=_checked_key, help="What the message is known by: the run takes one of each key."
)
def send(
    target: str, run_id: str, type_: str, json: str, file: Path, *, full: bool, as_json: bool, key: str | None
) -> None:
    """Send a run a message, wherever it is carried out.

    TYPE is the name of the message's class; @FILE reads the JSON from a file, - from stdin. The run gets it now, or when
    it comes to a state that takes it.
    """
    named = Named.of(target, run_id, file, full=full, as_json=as_json)
    message = read_message(named.workflow, type_, json)

    async def main() -> bool:
        async with named.handle() as run:
            return await run.send(message, key=key)

    is_new = named.answered(main)
    told = f"sent {type_} to {word(run_id)}" if is_new else f"{word(run_id)} has got one with the key {key!r} before"
    say(json_text({"run_id": run_id, "type": type_, "sent": is_new}) if as_json else told)


@click.command()
@click.argument("target")
@with_run
@with_journal
@with_reason
def pause(target: str, run_id: str, file: Path, *, full: bool, as_json: bool, reason: str | None) -> None:
    """Hold a run, until it is resumed.

    It finishes the state it is in first, if a task of it is at work. Exits with 3 if Ctrl-C ends the wait for that: it is
    asked for, and follows; with 1 if Ctrl-C came before it was asked for.
    """
    named = Named.of(target, run_id, file, full=full, as_json=as_json)
    owner = named.owner()

    async def main() -> Enum | None:
        with trio.CancelScope() as scope, heard([signal.SIGINT], scope.cancel):
            async with named.handle() as run:
                if owner is not None:
                    say(f"process {owner} carries it out, and holds it when the state it is in is finished", err=True)
                await run.pause(reason)
                state: Enum = run.state
                return state
        return None

    state = named.answered(main)
    if state is None:
        _say_what_follows(named, PAUSE, "held")
    told = {"run_id": run_id, "status": "paused", "state": state.name}
    say(json_text(told) if as_json else f"{word(run_id)} is paused in {state.name}")


# -- what is left to others


def start_elsewhere(
    workflow: Workflow[Any, Any],
    file: Path,
    *,
    run_id: str | None,
    start: Enum | None,
    data: str | None,
    full: bool,
    as_json: bool,
) -> None:
    """Write a run down for whoever serves its workflow, and print its id. Arguments are `run_written_down`'s."""
    given = read_data(workflow, data)
    journal = opened(file, new=True)

    async def main() -> str:
        async with client(workflow, journal) as runtime:
            return (await runtime.start(workflow, given, run_id=run_id, start=start)).id

    found = answered(main, full=full)
    say(json_text({"run_id": found, "workflow": workflow.name, "status": "queued"}) if as_json else word(found))


CAN_NOT_BE_CANCELLED = "can't be cancelled"

Way = Literal["resume", "retry", "cancel"]
"""What is asked of a run."""


def leave_elsewhere(way: Way, named: Named, reason: str | None = None) -> None:
    """Have a run go on, or cancelled, by whoever serves its workflow; nobody waits for that."""

    async def main() -> str:
        async with named.handle() as run:
            if way == "cancel":
                _check_unfinished(run)
                run.cancel(reason)
            else:
                await (run.resume() if way == "resume" else run.retry())
            return run.status.value

    try:
        status = named.answered(main)
    except RunBlocked as error:
        fail(error, full=named.full)
    told = {"run_id": named.run_id, "asked": way, "status": status}
    say(json_text(told) if named.as_json else f"{word(named.run_id)} is left to the process that serves its workflow")


def _check_unfinished(run: Run[Any, Any]) -> None:
    """See that there is something to be cancelled by others.

    Raises:
        RunAlreadyEnded: there is not.
    """
    if run.status is RunStatus.FAILED:
        raise Refused(f"run {run.id!r} is failed, and nobody carries it out: it is cancelled here, without --detach")
    if run.status.ended:
        raise RunAlreadyEnded(run.id, run.status.value, CAN_NOT_BE_CANCELLED)


def cancel_elsewhere(named: Named, owner: str, reason: str | None) -> None:
    """Have a run cancelled by the process that carries it out, and wait for its end."""

    async def main() -> Outcome | None:
        with trio.CancelScope() as scope, heard([signal.SIGINT], scope.cancel):
            async with named.handle() as run:
                say(f"process {owner} carries it out, and is to cancel it", err=True)
                run.cancel(reason)
                return await _end_of(run, named)
        return None

    outcome = named.answered(main)
    if outcome is None:
        _say_what_follows(named, CANCEL, "cancelled")
    conclude(named.workflow, outcome, full=named.full, as_json=named.as_json, recourse=named.recourse)


_FOLLOWED: dict[str, Callable[[RunStatus], bool]] = {
    PAUSE: lambda status: status is RunStatus.PAUSED,
    CANCEL: lambda status: status.ended or status is RunStatus.ROLLING_BACK,
}
"""Whether what was asked for has been done, or begun."""


def _say_what_follows(named: Named, kind: str, done: str) -> NoReturn:
    """Say what Ctrl-C has left of what was to be asked for, as the journal tells, and exit with the code for it.

    Args:
        named: the run.
        kind: that of the request.
        done: what it asks for.
    """

    async def is_asked(journal: Journal) -> bool:
        stored = await journal.load(named.run_id)
        waits = any(message.letter.kind == kind for message in stored.messages)
        return waits or _FOLLOWED[kind](stored.record.position.status)

    if asked(named.journal, is_asked, full=named.full):
        say(f"asked for: {word(named.run_id)} is {done} by whoever carries it out", err=True)
        sys.exit(RELEASED)
    say(f"interrupted before it was asked for: {word(named.run_id)} is not {done}", err=True)
    sys.exit(1)


async def _end_of(run: Run[Any, Any], named: Named) -> Outcome:
    """What a run that is cancelled elsewhere comes to."""
    course = Course()
    result: RunResult[Any, Any] | None = None
    error: Exception | None = None
    try:
        result = await run.wait()
        error = RunAlreadyEnded(run.id, run.status.value, CAN_NOT_BE_CANCELLED)
    except RunCancelled:
        pass
    except RunFailed as failure:
        error = failure
    course.run_id, course.status = run.id, run.status
    course.path.append(run.state)
    course.rollback = await _undone(named)
    undone = result is None and error is None
    return Outcome(course=course, result=result, undone=undone, error=error, durable=True)


async def _undone(named: Named) -> Rollback | None:
    """What was undone of a run, as far as that is written down."""
    rows = [row for row in await named.journal.history(named.run_id) if row.kind == "undone"]
    states = [named.workflow.state_named(row.state) for row in rows]
    undone = tuple((state, None) for state in states if state is not None)
    return Rollback(undone=undone) if undone else None
