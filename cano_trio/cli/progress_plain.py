"""Progress in plain lines, one for each event that is worth telling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from types import TracebackType
from typing import Self, TextIO, final

from .._observe.events import (
    CircuitRejected,
    CompensationFinished,
    CompensationSkipped,
    CompensationStarted,
    Event,
    Progress,
    Released,
    RetryScheduled,
    RunEnded,
    RunResumed,
    RunStarted,
    StateEntered,
    StepFinished,
    TaskFailed,
    Waiting,
    WindowFlushed,
)
from .line_writer import LineWriter
from .wording import count, elapsed, finished, one_line, released, seconds, waiting

PROGRESS_SECONDS = 1.0
"""Between two lines about the progress of one state."""

_TOLD = (
    StateEntered, RetryScheduled, CircuitRejected, TaskFailed, Waiting, Progress, StepFinished, WindowFlushed,
    CompensationStarted, CompensationFinished, CompensationSkipped, RunStarted, RunResumed, RunEnded, Released,
)  # fmt: skip


@final
class PlainProgress:
    """An observer that writes lines. It only hands events on; a thread of its own writes, so nothing holds the run up.

    Args:
        stream: where to.
        work: what is done in each state.
    """

    def __init__(self, stream: TextIO, work: Mapping[Enum, str]) -> None:
        self._work = work
        self._writer = LineWriter(stream, self._lines, _left_out)
        self._started = 0.0
        self._inside = 0
        self._told_at = 0.0

    def __enter__(self) -> Self:
        """Begin to write."""
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is written."""
        self._writer.__exit__(kind, error, trace)

    # -- in the run's thread

    def on_event(self, event: Event, /) -> None:
        """Take note of an event."""
        if isinstance(event, _TOLD) and not self._is_of_a_child(event):
            self._writer.put(event, always=isinstance(event, RunEnded | Released))

    def _is_of_a_child(self, event: Event) -> bool:
        """Whether it begins or ends a child workflow, which the state that it works for has told or will tell."""
        if isinstance(event, RunStarted | RunResumed):
            self._inside += 1
            return self._inside > 1
        if isinstance(event, RunEnded | Released):
            self._inside -= 1
            return self._inside > 0
        return False

    # -- in the writing thread

    def _lines(self, event: Event) -> Iterator[str]:
        if isinstance(event, RunStarted | RunResumed):
            self._started = event.time
        for text in self._texts(event):
            yield f"{elapsed(event.time - self._started):>9}  {event.state.name}: {text}"

    def _texts(self, event: Event) -> Iterator[str]:
        match event:
            case StateEntered():
                self._told_at = event.time
                visit = f" (visit {event.visit:,})" if event.visit > 1 else ""
                yield f"{self._work.get(event.state, 'exit')}{visit}"
            case RetryScheduled() if self._is_own(event) or self._is_due(event):
                what = "retry" if self._is_own(event) else f"{event.task}: retry"
                yield f"{what} in {seconds(event.delay)} because {one_line(event.error)}"
            case CircuitRejected():
                yield f"refused by circuit breaker {event.breaker!r}, for another {seconds(event.retry_after)}"
            case TaskFailed():
                yield f"failed: {one_line(event.error)}{f', on to {event.next_state.name}' if event.next_state else ''}"
            case CompensationStarted():
                yield f"undoing{', in doubt whether it was done' if event.in_doubt else ''}"
            case CompensationFinished():
                yield "undone" if event.error is None else f"not undone: {one_line(event.error)}"
            case CompensationSkipped():
                yield f"not undone: {event.reason}"
            case RunResumed() | Released() | RunEnded():
                yield _course_text(event)
            case _:
                yield from self._texts_on_the_way(event)

    def _texts_on_the_way(self, event: Event) -> Iterator[str]:
        """Of these there may be thousands a second."""
        match event:
            case Progress() if event.done == event.total or self._is_due(event):
                yield f"{event.done:,}" if event.total is None else f"{event.done:,} of {event.total:,}"
            case StepFinished() | WindowFlushed() if self._is_due(event):
                yield finished(event)
            case Waiting() if event.seconds is None or event.seconds >= PROGRESS_SECONDS or self._is_due(event):
                yield waiting(event)
            case _:
                pass

    def _is_own(self, event: RetryScheduled) -> bool:
        """It is the state's task that is tried again, not one of a batch's items: these may come by the thousand."""
        return self._work[event.state].endswith(event.task)

    def _is_due(self, event: Event) -> bool:
        due = event.time - self._told_at >= PROGRESS_SECONDS
        if due:
            self._told_at = event.time
        return due


def _left_out(number: int) -> str:
    return f"{'…':>9}  {count(number, 'event')} left out: the run is faster than they are read"


def _course_text(event: RunResumed | Released | RunEnded) -> str:
    match event:
        case RunResumed():
            return "resumed"
        case Released():
            return released(event)
        case RunEnded():
            return f"{event.status.value} after {elapsed(event.elapsed)}"
