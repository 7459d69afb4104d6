"""How the command answers: what it writes where, and how it refuses."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any, NoReturn

import click

from .._errors import DefinitionError
from .._observe.observer import Observer
from .._runtime.workflow import Workflow
from .progress import shown_progress
from .refusal import Refused
from .report import failure_text
from .target import BrokenTarget, find_workflow
from .wording import flat, printable


def say(text: str, *, err: bool = False) -> None:
    """Print a text that has the user's own words in it; a terminal must not take these for commands."""
    click.echo(printable(text), err=err)


def say_failure(error: Exception, *, full: bool) -> None:
    """Say what went wrong, with its traceback if that is asked for."""
    if full:
        say_traceback(error)
    say(failure_text(error), err=True)


def say_traceback(error: BaseException) -> None:
    """Print a whole traceback."""
    say("".join(traceback.format_exception(error)).rstrip("\n"), err=True)


def fail(error: Exception, *, full: bool) -> NoReturn:
    """Say what went wrong, and exit with 1."""
    say_failure(error, full=full)
    sys.exit(1)


def refuse(error: Exception, message: str, *, full: bool) -> NoReturn:
    """Say in one line what is wrong with the call, and exit with 2."""
    if full:
        say_traceback(error)
    raise Refused(flat(message)) from error


def find(target: str, *, full: bool) -> Workflow[Any, Any]:
    """The workflow of a target."""
    try:
        return find_workflow(target)
    except BrokenTarget as error:
        refuse_broken(error, full=full)


def find_valid(target: str, *, full: bool) -> Workflow[Any, Any]:
    """The workflow of a target, which can run."""
    workflow = find(target, full=full)
    try:
        workflow.validate()
    except DefinitionError as error:
        fail(error, full=full)
    return workflow


def refuse_broken(error: BrokenTarget, *, full: bool) -> NoReturn:
    """Refuse a target whose own code fails."""
    if full and error.__cause__ is not None:
        say_traceback(error.__cause__)
    raise Refused(str(error))


@contextmanager
def watched(workflow: Workflow[Any, Any], *, as_json: bool) -> Iterator[Observer]:
    """The observer that shows a run's progress; where stdout is for a document, what tasks print goes to stderr."""
    with redirect_stdout(sys.stderr) if as_json else nullcontext(), shown_progress(workflow) as progress:
        yield progress
