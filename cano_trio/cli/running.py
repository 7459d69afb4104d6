"""One run in its own trio run, that Ctrl-C cancels."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, TypeVar, final

import attrs
import trio

from .._errors import RunBlocked, RunCancelled, RunFailed
from .._observe.events import Event, Released, RunEnded, RunResumed, RunStarted, StateEntered
from .._observe.observer import Observer
from .._observe.rollback import Rollback
from .._observe.status import RunStatus
from .._runtime.result import RunResult
from .._runtime.workflow import Workflow
from .signals import heard

T = TypeVar("T")

KEPT = 1000
"""States of the path that are kept, as in a `RunResult`."""


@final
class Course:
    """An observer that remembers which way a run took, not those of its child workflows: if it fails it has no result to tell that."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self._inside = 0
        """How many runs are going on: the run itself, and those of its child workflows."""
        self.path: deque[Enum] = deque(maxlen=KEPT)
        self.elapsed: float = 0.0
        self.status: RunStatus = RunStatus.QUEUED
        self.rollback: Rollback | None = None
        self.released: bool = False
        """It stopped, and goes on where it is taken up next."""

    @property
    def begun(self) -> bool:
        """Whether the run has begun, or was resumed."""
        return self.run_id is not None

    def on_event(self, event: Event, /) -> None:
        """Take note of an event."""
        match event:
            case RunStarted() | RunResumed():
                self._inside += 1
                self.run_id = event.run_id
            case StateEntered() if self._inside == 1:
                self.path.append(event.state)
            case RunEnded():
                self._inside -= 1
                self.elapsed = event.elapsed
                self.status = event.status
                if event.rollback is not None:
                    self.rollback = (
                        event.rollback if self.rollback is None else self.rollback.followed_by(event.rollback)
                    )
            case Released():
                self._inside -= 1
                self.released = not self._inside
            case _:
                pass


@final
@attrs.frozen(kw_only=True)
class Outcome:
    """What a run came to.

    Args:
        course: the way it took.
        result: its result, if it completed.
        undone: what it had done was undone, as it was asked to.
        error: what it failed with, or why it did not come to what was asked for; if there is none of the three, it was
            interrupted.
        durable: it is written down: it is not lost by an interrupt.
    """

    course: Course
    result: RunResult[Any, Any] | None = None
    undone: bool = False
    error: Exception | None = None
    durable: bool = False

    @property
    def is_well(self) -> bool:
        """Whether it came to what was asked for."""
        return self.error is None and (self.result is not None or self.undone)

    @property
    def released(self) -> bool:
        """Whether it has stopped, and goes on where it is taken up next."""
        return self.course.released or (self.durable and self.error is None and not self.is_well)

    @property
    def run_id(self) -> str | None:
        """The run; None if it did not even begin."""
        if self.result is not None:
            return self.result.run_id
        return self.error.run_id if isinstance(self.error, RunFailed | RunBlocked) else self.course.run_id

    @property
    def status(self) -> RunStatus:
        """How it ended."""
        told = self.course.status
        if self.result is not None:
            return RunStatus.COMPLETED
        if told.ended and (self.undone or self.error is not None or told is RunStatus.ROLLBACK_FAILED):
            return told
        if isinstance(self.error, RunBlocked):
            return RunStatus.BLOCKED
        if isinstance(self.error, RunFailed) and not self.course.begun:
            return RunStatus(self.error.status)
        return RunStatus.CANCELLED if isinstance(self.error, RunCancelled | None) else RunStatus.FAILED


def run_to_its_end(
    workflow: Workflow[Any, Any], data: Any, start: Enum | None, observers: Sequence[Observer] = ()
) -> Outcome:
    """Run a workflow; Ctrl-C cancels it, and a second one breaks off what does not let itself be cancelled."""
    return carried_out(lambda observers: workflow.run(data, start=start, observers=observers), observers)


def carried_out(
    work: Callable[[Sequence[Observer]], Awaitable[RunResult[Any, Any] | Rollback]],
    observers: Sequence[Observer] = (),
    *,
    durable: bool = False,
) -> Outcome:
    """Do what carries a run out, or undoes it; Ctrl-C cancels that, as in `run_to_its_end`.

    Args:
        work: what does so, telling the observers that it is given.
        observers: who is told of the run's events.
        durable: the run is written down.
    """
    course = Course()

    async def main() -> RunResult[Any, Any] | Rollback | None:
        with trio.CancelScope() as scope, heard([signal.SIGINT], scope.cancel):
            return await work([course, *observers])
        return None

    try:
        came = until_interrupted(main)
    except Exception as error:
        return Outcome(course=course, error=error, durable=durable)
    if isinstance(came, Rollback):
        return Outcome(course=course, undone=True, durable=durable)
    return Outcome(course=course, result=came, durable=durable)


def until_interrupted(main: Callable[[], Awaitable[T]]) -> T | None:
    """What comes of a trio run; None if a KeyboardInterrupt breaks it off."""
    try:
        return trio.run(main)
    except KeyboardInterrupt:
        return None
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return None
