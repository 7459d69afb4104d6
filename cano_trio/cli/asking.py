"""What is asked of runs wherever they are carried out: to take a message, to be held, to go on, to be cancelled."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import trio

from .._errors import DuplicateRun, RunAlreadyEnded, RunBlocked, RunCancelled, RunFailed
from .._journal.protocol import Journal
from .._observe.rollback import Rollback
from .._runtime.handle import Run
from .._runtime.runtime import Runtime, open_runtime
from .._runtime.workflow import Workflow
from .answers import fail, find_valid, refuse, say
from .concluding import RELEASED
from .messages import read_message
from .options import with_journal, with_run
from .refusal import Refused
from .report import json_text
from .running import Course, Outcome
from .signals import heard
from .store import answer_of, opened, stored_of
from .wording import word

T = TypeVar("T")


@asynccontextmanager
async def _client(workflow: Workflow[Any, Any], journal: Journal) -> AsyncGenerator[Runtime]:
    """A runtime that carries nothing out."""
    async with open_runtime(workflows=[workflow], journal=journal, claim=False) as runtime:
        yield runtime


@asynccontextmanager
async def _handle(workflow: Workflow[Any, Any], journal: Journal, run_id: str) -> AsyncGenerator[Run[Any, Any]]:
    """The handle of a run, whoever carries it out."""
    async with _client(workflow, journal) as runtime:
        await stored_of(journal, run_id, workflow)
        yield await runtime.get(workflow, run_id)


def _answered(ask: Callable[[], Awaitable[T]], *, full: bool) -> T:
    """What is answered; where the run or the journal refuses, the command does."""
    try:
        return answer_of(ask, full=full)
    except (RunAlreadyEnded, DuplicateRun) as error:
        refuse(error, str(error), full=full)


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
    workflow = find_valid(target, full=full)
    message = read_message(workflow, type_, json)
    journal = opened(file)

    async def main() -> bool:
        async with _handle(workflow, journal, run_id) as run:
            return await run.send(message, key=key)

    is_new = _answered(main, full=full)
    told = f"sent {type_} to {word(run_id)}" if is_new else f"{word(run_id)} has got one with the key {key!r} before"
    say(json_text({"run_id": run_id, "type": type_, "sent": is_new}) if as_json else told)


@click.command()
@click.argument("target")
@with_run
@with_journal
@click.option("--reason", metavar="TEXT", help="Why, for people.")
def pause(target: str, run_id: str, file: Path, *, full: bool, as_json: bool, reason: str | None) -> None:
    """Hold a run, until it is resumed.

    It finishes the state it is in first, if a task of it is at work. Exits with 3 if Ctrl-C ends the wait for that: it is
    asked for, and follows.
    """
    workflow = find_valid(target, full=full)
    journal = opened(file)

    async def main() -> Enum | None:
        with trio.CancelScope() as scope, heard([signal.SIGINT], scope.cancel):
            async with _handle(workflow, journal, run_id) as run:
                await run.pause(reason)
                state: Enum = run.state
                return state
        return None

    state = _answered(main, full=full)
    if state is None:
        say(f"asked for: {word(run_id)} is held when it has finished the state it is in", err=True)
        sys.exit(RELEASED)
    told = {"run_id": run_id, "status": "paused", "state": state.name}
    say(json_text(told) if as_json else f"{word(run_id)} is paused in {state.name}")


# -- what others carry out


def start_elsewhere(
    workflow: Workflow[Any, Any], journal: Journal, run_id: str | None, start: Enum | None, data: Any, *, full: bool
) -> str:
    """Write down a run that whoever serves its workflow begins; gives its id."""

    async def main() -> str:
        async with _client(workflow, journal) as runtime:
            return (await runtime.start(workflow, data, run_id=run_id, start=start)).id

    return _answered(main, full=full)


Way = Literal["resume", "retry", "cancel"]
"""What is asked of a run."""


def ask_elsewhere(
    way: Way, workflow: Workflow[Any, Any], journal: Journal, run_id: str, reason: str | None, *, full: bool
) -> str:
    """Have a run go on, or cancelled, by whoever serves its workflow; gives where it stands then."""

    async def main() -> str:
        async with _handle(workflow, journal, run_id) as run:
            if way == "cancel":
                run.cancel(reason)
            else:
                await (run.resume() if way == "resume" else run.retry())
            return run.status.value

    try:
        return _answered(main, full=full)
    except RunBlocked as error:
        fail(error, full=full)


def cancelled_elsewhere(
    workflow: Workflow[Any, Any], journal: Journal, run_id: str, reason: str | None, *, full: bool
) -> Outcome | None:
    """Have a run cancelled by the process that carries it out, and wait for its end; None if Ctrl-C ends the wait."""
    course = Course()
    course.run_id = run_id

    async def main() -> Outcome | None:
        with trio.CancelScope() as scope, heard([signal.SIGINT], scope.cancel):
            async with _handle(workflow, journal, run_id) as run:
                run.cancel(reason)
                outcome = await _end_of(run, course)
                course.path.append(run.state)
                course.status = run.status
                course.rollback = await _undone(workflow, journal, run_id)
                return outcome
        return None

    return _answered(main, full=full)


async def _end_of(run: Run[Any, Any], course: Course) -> Outcome:
    try:
        return Outcome(course=course, result=await run.wait(), durable=True)
    except RunCancelled:
        return Outcome(course=course, undone=True, durable=True)
    except RunFailed as error:
        return Outcome(course=course, error=error, durable=True)


async def _undone(workflow: Workflow[Any, Any], journal: Journal, run_id: str) -> Rollback | None:
    """What was undone of a run, as far as that is written down."""
    rows = [row for row in await journal.history(run_id) if row.kind == "undone"]
    states = [workflow.state_named(row.state) for row in rows]
    undone = tuple((state, None) for state in states if state is not None)
    return Rollback(undone=undone) if undone else None
