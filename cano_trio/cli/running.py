"""One run in its own trio run, that Ctrl-C cancels."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import FrameType
from typing import Any, final

import attrs
import trio

from .._observe.events import Event, RunEnded, RunStarted, StateEntered
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .._runtime.workflow import RunResult, Workflow

KEPT = 1000
"""States of the path that are kept, as in a `RunResult`."""


@final
class Course:
    """An observer that remembers which way a run took: a run that fails has no result to tell it."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.path: deque[Enum] = deque(maxlen=KEPT)
        self.elapsed = 0.0

    def on_event(self, event: Event, /) -> None:
        """Take note of an event."""
        match event:
            case RunStarted():
                self.run_id = event.run_id
            case StateEntered():
                self.path.append(event.state)
            case RunEnded():
                self.elapsed = event.elapsed
            case _:
                pass


@final
@attrs.frozen(kw_only=True)
class Outcome:
    """What a run came to.

    Args:
        course: the way it took.
        result: its result, if it completed.
        error: what it failed with; if there is neither, it was interrupted.
    """

    course: Course
    result: RunResult[Any, Any] | None = None
    error: Exception | None = None

    @property
    def status(self) -> RunStatus:
        """How it ended."""
        if self.result is not None:
            return RunStatus.COMPLETED
        return RunStatus.CANCELLED if self.error is None else RunStatus.FAILED


def run_to_its_end(
    workflow: Workflow[Any, Any], data: Any, start: Enum | None, observers: Sequence[Observer] = ()
) -> Outcome:
    """Run a workflow; Ctrl-C cancels it, and a second one breaks off what does not let itself be cancelled."""
    course = Course()

    async def main() -> RunResult[Any, Any] | None:
        with trio.CancelScope() as scope, _cancelled_by_ctrl_c(scope):
            return await workflow.run(data, start=start, observers=[course, *observers])
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
    """Cancel the scope at the first SIGINT, as any scope is; the second one falls to trio's own handler again."""
    token = trio.lowlevel.current_trio_token()
    trios = signal.getsignal(signal.SIGINT)

    def cancel(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, trios)
        token.run_sync_soon(scope.cancel)

    if trios is signal.SIG_IGN:  # as under nohup: it is not for us to hear it
        yield
        return
    signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, trios)
