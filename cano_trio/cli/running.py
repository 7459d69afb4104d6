"""One run in its own trio run, that Ctrl-C cancels."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import FrameType
from typing import Any, final

import attrs
import trio

from .._observe.events import Event, Released, RunEnded, RunResumed, RunStarted, StateEntered
from .._observe.observer import Observer
from .._observe.rollback import Rollback
from .._observe.status import RunStatus
from .._runtime.workflow import RunResult, Workflow

AGAIN_SECONDS = 0.3
"""A second SIGINT this soon is the first one once more: a shell's and a wrapper's both arrive."""

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
        self.released = False
        """It stopped, and goes on where it is taken up next."""

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
        error: what it failed with; if there is neither, it was interrupted, or undone as it was asked to.
    """

    course: Course
    result: RunResult[Any, Any] | None = None
    error: Exception | None = None

    @property
    def status(self) -> RunStatus:
        """How it ended."""
        told = self.course.status
        if self.result is not None:
            return RunStatus.COMPLETED
        if told.ended:
            return told
        return RunStatus.CANCELLED if self.error is None else RunStatus.FAILED  # it did not even begin


def run_to_its_end(
    workflow: Workflow[Any, Any], data: Any, start: Enum | None, observers: Sequence[Observer] = ()
) -> Outcome:
    """Run a workflow; Ctrl-C cancels it, and a second one breaks off what does not let itself be cancelled."""
    return carried_out(lambda observers: workflow.run(data, start=start, observers=observers), observers)


def carried_out(
    work: Callable[[Sequence[Observer]], Awaitable[RunResult[Any, Any] | Rollback]], observers: Sequence[Observer] = ()
) -> Outcome:
    """Do what carries a run out, or undoes it; Ctrl-C cancels it, as in `run_to_its_end`.

    Args:
        work: what does so, telling the observers that it is given.
        observers: who is told of the run's events.
    """
    course = Course()

    async def main() -> RunResult[Any, Any] | None:
        with trio.CancelScope() as scope, _cancelled_by_ctrl_c(scope):
            result = await work([course, *observers])
            return result if isinstance(result, RunResult) else None
        return None

    try:
        return Outcome(course=course, result=trio.run(main))
    except Exception as error:
        return Outcome(course=course, error=error)
    except KeyboardInterrupt:
        return Outcome(course=course)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return Outcome(course=course)


@contextmanager
def _cancelled_by_ctrl_c(scope: trio.CancelScope) -> Iterator[None]:
    """Cancel the scope at the first SIGINT, as any scope is; a later one is trio's again, which raises it in the task.

    Once it has come, the process is on its way out, and deaf to more when the block is left.
    """
    trios = signal.getsignal(signal.SIGINT)
    if not callable(trios):  # it is ignored, as under nohup: not for us to hear it
        yield
        return
    token = trio.lowlevel.current_trio_token()
    now = trio.lowlevel.current_clock().current_time
    first: list[float] = []

    def hear(number: int, frame: FrameType | None) -> None:
        if not first:
            first.append(now())
            token.run_sync_soon(scope.cancel)
        elif now() > first[0] + AGAIN_SECONDS:
            trios(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if first else trios)
