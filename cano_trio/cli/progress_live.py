"""Progress drawn on a terminal: a line per state, the present one moving."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from threading import Event as Flag
from threading import Thread
from types import TracebackType
from typing import Self, final

import attrs
import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .._observe.events import (
    AttemptStarted,
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
from .._observe.status import RunStatus
from .wording import count, elapsed, finished, one_line, printable, released, seconds, waiting

FRAME_SECONDS = 0.1
"""Between two drawings."""

LINES_A_FRAME = 20
"""Finished states that are kept for the next drawing; a run may go through thousands meanwhile."""

NARROW = 60
"""Columns under which the task's name is left out."""


@final
@attrs.define
class Line:
    """One visit to a state, as it is drawn.

    Args:
        state: the state's name.
        work: what is done there; empty for an exit.
        entered: when it was entered, on trio's clock.
        left: when it was left; None for the present state.
        visit: how often the run has been here.
        retries: how many were made.
        note: what there is to say of it.
        waits: what it waits for, while it does.
        bad: the note is of a failure.
        done: how much is done, if the task says so.
        total: of how much.
        finished: how many of its steps or windows are.
    """

    state: str
    work: str
    entered: float
    left: float | None = None
    visit: int = 1
    retries: int = 0
    note: str = ""
    waits: str = ""
    bad: bool = False
    done: int | None = None
    total: int | None = None
    finished: str = ""


@final
class LiveProgress:
    """An observer that draws. It only takes notes; a thread of its own draws from them, ten times a second.

    Args:
        states: all states' names.
        work: what is done in each state.
    """

    def __init__(self, states: Sequence[str], work: Mapping[Enum, str]) -> None:
        self._work = work
        self._widths = (max(map(len, states)), max(map(len, work.values()), default=0))
        self._present: Line | None = None
        self._finished: deque[Line] = deque()
        self._left_out = 0
        self._resumed = False
        """The next state that is entered is the one that an earlier process left."""
        self._now: Callable[[], float] = float
        self._console = Console(stderr=True, highlight=False)
        # Where stdout is no terminal it is for what was asked for, and not to be mixed into the drawing.
        self._live = Live(
            self, console=self._console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty()
        )
        self._spinner = Spinner("line" if self._console.options.ascii_only else "dots", style="cyan")
        self._closing = Flag()
        self._drawer = Thread(target=self._draw_until_closed, name="cano-trio progress", daemon=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        self._drawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw the last, and leave the terminal as it was."""
        self._closing.set()
        self._drawer.join()
        with suppress(OSError):  # the terminal is gone
            self._live.stop()

    # -- in the run's thread

    def on_event(self, event: Event, /) -> None:
        """Take note of an event."""
        match event:
            case RunStarted() | RunResumed():
                self._resumed = isinstance(event, RunResumed)
                self._now = trio.lowlevel.current_clock().current_time
            case StateEntered():
                self._finish(event.time)
                work = self._work.get(event.state, "")
                note = "resumed" if self._resumed else ""
                self._present = Line(event.state.name, work, event.time, visit=event.visit, note=note)
                self._resumed = False
            case CompensationSkipped():
                self._finish(event.time)
                note = f"not undone: {event.reason}"
                self._present = Line(event.state.name, "undo", event.time, note=note, bad=True)
            case CompensationStarted():
                self._finish(event.time)
                self._present = Line(event.state.name, "undo", event.time, note="in doubt" if event.in_doubt else "")
            case _ if self._present is not None:
                _note(self._present, event)
                if isinstance(event, RunEnded | Released):
                    self._finish(event.time)

    def _finish(self, time: float) -> None:
        line = self._present
        if line is None:
            return
        line.left = time
        if len(self._finished) < LINES_A_FRAME:
            self._finished.append(line)
        else:
            self._left_out += 1
        self._present = None

    # -- in the drawing thread

    def _draw_until_closed(self) -> None:
        with suppress(Exception):  # a terminal that fails is no reason for a run to fail
            while not self._closing.wait(FRAME_SECONDS):
                self._draw()
            self._draw()

    def _draw(self) -> None:
        finished = [self._drawn(self._finished.popleft()) for _ in range(len(self._finished))]
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            finished.append(Text(f"  … {count(left_out, 'state')} more", style="dim"))
        if finished:
            self._console.print(*finished, sep="\n")  # above the present line, which it draws anew
        else:
            self._live.refresh()

    def __rich__(self) -> RenderableType:
        """The present line, for `Live`."""
        present = self._present
        return Group() if present is None else self._drawn(present)

    def _drawn(self, line: Line) -> RenderableType:
        width = self._console.width
        state_width, work_width = self._widths
        spent = (self._now() if line.left is None else line.left) - line.entered
        row = Table.grid(padding=(0, 1), expand=True)
        cells: list[RenderableType] = [self._mark(line), Text(printable(line.state), style="bold")]
        row.add_column(width=1)
        row.add_column(width=min(state_width, width // 3), no_wrap=True, overflow="ellipsis")
        row.add_column(width=10 if spent >= 60 else 7, justify="right", no_wrap=True)
        cells.append(Text(elapsed(spent) if line.work else "", style="dim"))
        if width >= NARROW:
            row.add_column(width=min(work_width, width // 4), no_wrap=True, overflow="ellipsis")
            cells.append(Text(printable(line.work), style="cyan"))
        row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        row.add_row(*cells, _remark(line, bar_width=min(40, width // 4)))
        return row

    def _mark(self, line: Line) -> RenderableType:
        if line.left is None and line.work:
            return self._spinner
        plain = self._console.options.ascii_only
        if line.bad:
            return Text("x" if plain else "✗", style="red")
        if not line.work:
            return Text("o" if plain else "●", style="green")
        return Text("+" if plain else "✓", style="green")


def _note(line: Line, event: Event) -> None:
    """Write an event into the line of the state it happened in."""
    match event:
        case RetryScheduled():
            line.retries += 1
            line.note = f"retry in {seconds(event.delay)}: {one_line(event.error)}"
        case AttemptStarted():
            line.note = ""
        case CircuitRejected():
            line.note = f"circuit breaker {event.breaker!r} is open"
        case TaskFailed():
            line.bad = True
            onward = f"on to {event.next_state.name}: " if event.next_state else ""
            line.note = f"{onward}{one_line(event.error)}"
        case Waiting():
            line.waits = waiting(event)
            return
        case CompensationFinished():
            line.bad = event.error is not None
            line.note = "undone" if event.error is None else f"not undone: {one_line(event.error)}"
        case Progress():
            line.done, line.total = event.done, event.total
        case StepFinished() | WindowFlushed():
            line.finished = finished(event)
            line.note = ""
        case Released() | RunEnded():
            _note_end(line, event)
        case _:
            pass
    line.waits = ""


def _note_end(line: Line, event: Released | RunEnded) -> None:
    """Write why the run has stopped into the line of its last state, if that tells no failure yet."""
    if isinstance(event, Released):
        line.bad, line.note = True, released(event)
    elif event.status is not RunStatus.COMPLETED and not line.bad and event.rollback is None:
        line.bad = True
        line.note = "interrupted" if isinstance(event.error, KeyboardInterrupt | None) else one_line(event.error)


def _remark(line: Line, bar_width: int) -> RenderableType:
    """What stands at the end of a line: how far it is, how often it was tried, and its note."""
    told = [f"visit {line.visit:,}"] if line.visit > 1 else []
    if line.done is not None:
        told.append(f"{line.done:,}" if line.total is None else f"{line.done:,}/{line.total:,}")
    if line.finished:
        told.append(line.finished)
    if line.retries:
        told.append(count(line.retries, "retry"))
    text = Text(", ".join(told), style="dim")
    if note := line.waits or line.note:
        text.append(f"{', ' if told else ''}{printable(note)}", style="red" if line.bad else "yellow")
    if line.left is not None or not line.total or line.done is None:
        return text
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=line.total, completed=line.done, width=bar_width), text)
    return bar
