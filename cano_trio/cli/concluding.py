"""What the command says when a run is over, or has stopped, and with which code it exits."""

from __future__ import annotations

import sys
from typing import Any

from .._errors import DuplicateRun, JournalError, NotOwner, RunAlreadyEnded, RunBlocked, RunFailed
from .._runtime.workflow import Workflow
from .answers import refuse, say, say_failure, say_traceback
from .recourse import Recourse
from .report import document, result_text, rollback_text
from .running import Course, Outcome
from .wording import flat

RELEASED = 3
"""The exit code of a run that has stopped, and goes on where it is taken up next."""


def conclude(
    workflow: Workflow[Any, Any],
    outcome: Outcome,
    *,
    full: bool,
    as_json: bool,
    recourse: Recourse | None = None,
    refusals: tuple[type[Exception], ...] = (JournalError,),
) -> None:
    """Say how a run ended, and exit with the code for it.

    Args:
        workflow: its workflow.
        outcome: what it came to.
        full: show the traceback of an error.
        as_json: print all as one JSON document.
        recourse: what can be done about it, if it is written down.
        refusals: errors by which nothing has run: the call is wrong.
    """
    error, course = outcome.error, outcome.course
    if recourse is not None and not course.begun and isinstance(error, refusals):
        refuse(error, recourse.beside(told(error), error), full=full)
    if as_json:
        say(document(workflow, outcome))
    if outcome.is_well:
        if not as_json:
            say(_answer(outcome))
        return
    if error is not None:
        _say_error(error, full=full, begun=course.begun)
    elif not outcome.released:
        say(_interrupted(course), err=True)
    if course.rollback is not None:
        say(rollback_text(course.rollback), err=True)
    if recourse is not None and (advice := recourse.about(outcome)):
        say(advice, err=True)
    sys.exit(RELEASED if outcome.released else 1)


def _answer(outcome: Outcome) -> str:
    if outcome.result is not None:
        return result_text(outcome.result.state.name, outcome.result.data)
    rollback = outcome.course.rollback
    return "\n".join(filter(None, [outcome.status.value, rollback and rollback_text(rollback)]))


def _say_error(error: Exception, *, full: bool, begun: bool) -> None:
    if not isinstance(error, RunAlreadyEnded) and (begun or not isinstance(error, RunBlocked | RunFailed)):
        say_failure(error, full=full)
        return
    if full:
        say_traceback(error)
    say(f"Error: {told(error)}", err=True)


def _interrupted(course: Course) -> str:
    return f"interrupted in {course.path[-1].name}" if course.path else "interrupted before the first state"


def told(error: Exception) -> str:
    """What is said of an error that stands in the way of a run, where it would tell of Python."""
    match error:
        case NotOwner():
            return f"run {error.run_id!r} is held by another process, {error.owner}, which is alive: it goes on there"
        case DuplicateRun():
            return f"there was a run {error.run_id!r} already, {error.status}. Give the new one another id"
        case RunAlreadyEnded():
            return f"run {error.run_id!r} {error.what}: it is {error.status}"
        case RunFailed():
            return f"run {error.run_id!r} is {error.status}{f': {flat(error.reason)}' if error.reason else ''}"
        case _:
            return flat(str(error))
