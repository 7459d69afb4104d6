"""Progress in plain lines, and the notes that the drawing is made from."""

from __future__ import annotations

import io
import sys
import threading
from enum import Enum
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from trio.testing import MockClock

from cano_trio import (
    AttemptStarted,
    CircuitRejected,
    Committed,
    CompensationFinished,
    CompensationSkipped,
    CompensationStarted,
    Event,
    Progress,
    Released,
    RetryScheduled,
    Rollback,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStatus,
    StateEntered,
    StepFinished,
    TaskFailed,
    TaskSucceeded,
    TooManyTransitions,
    Waiting,
    WindowFlushed,
)
from cano_trio.cli import line_writer, progress
from cano_trio.cli.progress_live import LINES_A_FRAME, LiveProgress
from cano_trio.cli.progress_plain import PlainProgress
from cano_trio.cli.target import find_workflow

if TYPE_CHECKING:
    from tests.cli.conftest import Command


class Step(Enum):
    WORK = 1
    DONE = 2


WORK: dict[Enum, str] = {Step.WORK: "batch work"}
BUSY = OSError("busy\n  still")


def entered(time: float, visit: int = 1, state: Enum = Step.WORK) -> Event:
    """A state is entered."""
    return StateEntered("r", "w", state, time, visit)


def progressed(time: float, done: int, total: int | None) -> Event:
    """So much is done."""
    return Progress("r", "w", Step.WORK, time, done, total)


def retried(time: float, task: str = "work") -> Event:
    """A retry follows in 0.05 s."""
    return RetryScheduled("r", "w", Step.WORK, time, task, 1, 0.05, BUSY)


def lines_of(*events: Event) -> list[str]:
    """The plain lines for events, after the start at 100 s."""
    stream = io.StringIO()
    with PlainProgress(stream, WORK) as plain:
        for event in (RunStarted("r", "w", Step.WORK, 100.0), *events):
            plain.on_event(event)
    return [line.strip() for line in stream.getvalue().splitlines()]


def test_a_run_that_is_resumed_and_released_says_so() -> None:
    """In the state it is in; a commit is no line; why it was released is one if it was not asked for."""
    assert lines_of(
        RunEnded("r", "w", Step.WORK, 100.0, RunStatus.COMPLETED, None, 1.0),
        RunResumed("r", "w", Step.WORK, 200.0, 3),
        entered(200.0),
        Committed("r", "w", Step.WORK, 200.5, 4),
        Released("r", "w", Step.WORK, 201.0, None),
        RunResumed("r", "w", Step.WORK, 300.0, 3),
        Released("r", "w", Step.WORK, 302.0, BUSY),
    ) == [
        "0.0 s  WORK: completed after 1.0 s", "0.0 s  WORK: resumed", "0.0 s  WORK: batch work", "1.0 s  WORK: released",
        "0.0 s  WORK: resumed", "2.0 s  WORK: released: OSError: busy still",
    ]  # fmt: skip


def test_what_a_run_waits_for_is_a_line_if_it_waits_long() -> None:
    """A wait without an end, or of a second or more, is told; short ones only now and then."""
    assert lines_of(
        entered(100.0),
        Waiting("r", "w", Step.WORK, 100.0, "the next poll", 0.1),
        Waiting("r", "w", Step.WORK, 100.5, "message Approved", None),
        Waiting("r", "w", Step.WORK, 100.6, "the timer", 90.0),
        Waiting("r", "w", Step.WORK, 101.5, "the next poll", 0.2),
    )[1:] == [
        "0.5 s  WORK: waits for message Approved",
        "0.6 s  WORK: waits for the timer, 1 min 30 s at most",
        "1.5 s  WORK: waits for the next poll, 0.2 s at most",
    ]


def test_the_drawn_line_tells_the_wait_while_it_lasts(live: LiveProgress) -> None:
    """What a state waits for stands in its line, until something else happens."""
    live.on_event(entered(1.0))
    live.on_event(Waiting("r", "w", Step.WORK, 1.0, "the timer", 3.0))
    assert "waits for the timer, 3.0 s at most" in drawn(live, 80)
    live.on_event(TaskSucceeded("r", "w", Step.WORK, 2.0, "work", Step.DONE))
    assert "waits" not in drawn(live, 80)


def test_each_compensation_has_a_line_of_its_own(live: LiveProgress) -> None:
    """What is undone is drawn under what was done, with its own mark."""
    for event in (
        entered(1.0),
        TaskFailed("r", "w", Step.WORK, 1.0, "work", BUSY, None),
        CompensationStarted("r", "w", Step.WORK, 1.0, "work.compensate", in_doubt=False),
        CompensationFinished("r", "w", Step.WORK, 2.0, "work.compensate", None),
        CompensationStarted("r", "w", Step.DONE, 2.0, "done.compensate_in_doubt", in_doubt=True),
        CompensationFinished("r", "w", Step.DONE, 2.0, "done.compensate_in_doubt", BUSY),
        CompensationSkipped("r", "w", Step.DONE, 3.0, "done", "in doubt"),
        RunEnded("r", "w", Step.WORK, 3.0, RunStatus.ROLLBACK_FAILED, BUSY, 2.0, Rollback()),
    ):
        live.on_event(event)
    lines = [" ".join(line.split()) for line in drawn(live, 80).splitlines() if line.strip()]
    assert lines[1:] == [
        "✓ WORK 1.0 s undo undone",
        "✗ DONE 1.0 s undo not undone: OSError: busy still",
        "✗ DONE 0.0 s undo not undone: in doubt",
    ]


def test_each_compensation_is_a_plain_line() -> None:
    """What is undone, what could not be, and what nobody tried to undo."""
    assert lines_of(
        CompensationStarted("r", "w", Step.WORK, 100.0, "work.compensate", in_doubt=True),
        CompensationFinished("r", "w", Step.WORK, 101.0, "work.compensate", BUSY),
        CompensationSkipped("r", "w", Step.DONE, 101.0, "done", "no time"),
    ) == [
        "0.0 s  WORK: undoing, in doubt whether it was done",
        "1.0 s  WORK: not undone: OSError: busy still",
        "1.0 s  DONE: not undone: no time",
    ]


def test_each_event_worth_telling_is_a_line() -> None:
    """Time since the start, state, and what happened; what says nothing new has no line."""
    assert lines_of(
        entered(100.0),
        retried(100.5),
        AttemptStarted("r", "w", Step.WORK, 100.55, "work", 2),
        CircuitRejected("r", "w", Step.WORK, 101.0, "work", "api", 3.0),
        TaskFailed("r", "w", Step.WORK, 102.0, "work", BUSY, Step.DONE),
        TaskFailed("r", "w", Step.WORK, 103.0, "work", BUSY, None),
        TaskSucceeded("r", "w", Step.WORK, 104.0, "work", Step.DONE),
        entered(104.0, 1234),
        entered(190.0, 1, Step.DONE),
        RunEnded("r", "w", Step.DONE, 190.0, RunStatus.COMPLETED, None, 90.0),
    ) == [
        "0.0 s  WORK: batch work",
        "0.5 s  WORK: retry in 0.05 s because OSError: busy still",
        "1.0 s  WORK: refused by circuit breaker 'api', for another 3.0 s",
        "2.0 s  WORK: failed: OSError: busy still, on to DONE",
        "3.0 s  WORK: failed: OSError: busy still",
        "4.0 s  WORK: batch work (visit 1,234)",
        "1 min 30 s  DONE: exit",
        "1 min 30 s  DONE: completed after 1 min 30 s",
    ]


def test_progress_is_told_once_a_second_and_at_its_end() -> None:
    """Ten events a second are one line a second; the last one is never left out."""
    told = lines_of(entered(100.0), *(progressed(100 + number / 10, number, 2500) for number in range(1, 25)))
    assert told[1:] == ["1.0 s  WORK: 10 of 2,500", "2.0 s  WORK: 20 of 2,500"]
    assert lines_of(entered(100.0), progressed(100.1, 3, 3))[1:] == ["0.1 s  WORK: 3 of 3"]
    assert lines_of(entered(100.0), progressed(101.5, 3000, None))[1:] == ["1.5 s  WORK: 3,000"]


def test_steps_are_told_once_a_second() -> None:
    """Stepped work may make thousands of steps: a line a second says how many."""
    steps = [StepFinished("r", "w", Step.WORK, 100 + number / 10, number) for number in range(1, 25)]
    assert lines_of(entered(100.0), *steps)[1:] == ["1.0 s  WORK: 10 steps", "2.0 s  WORK: 20 steps"]


def test_windows_are_told_once_a_second() -> None:
    """So may a stream flush thousands of windows."""
    windows = [WindowFlushed("r", "w", Step.WORK, 100 + number / 10, number, 3) for number in range(1, 25)]
    assert lines_of(entered(100.0), *windows)[1:] == ["1.0 s  WORK: 10 windows", "2.0 s  WORK: 20 windows"]


def test_retries_of_items_are_told_once_a_second() -> None:
    """A batch may retry thousands of items; the retries of a task itself are all told."""
    items = [retried(100 + number / 10, "work.process_item") for number in range(1, 25)]
    assert [line.split(" because")[0] for line in lines_of(entered(100.0), *items)[1:]] == [
        "1.0 s  WORK: work.process_item: retry in 0.05 s",
        "2.0 s  WORK: work.process_item: retry in 0.05 s",
    ]


def test_a_slow_reader_does_not_hold_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody reads, `on_event` returns at once; what does not fit is counted, and memory stays bounded."""
    monkeypatch.setattr(line_writer, "BACKLOG", 10)
    reading = threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            reading.wait(5)
            return super().write(text)

    stream = Slow()
    with PlainProgress(stream, WORK) as plain:
        for visit in range(1, 1001):
            plain.on_event(entered(0.0, visit))
        plain.on_event(RunEnded("r", "w", Step.DONE, 1.0, RunStatus.COMPLETED, None, 1.0))
        reading.set()
    lines = stream.getvalue().splitlines()
    left_out = sum(int(line.split()[1].replace(",", "")) for line in lines if " left out" in line)
    assert left_out > 900
    assert sum("WORK" in line for line in lines) == 1000 - left_out
    assert lines[-1] == "    1.0 s  DONE: completed after 1.0 s"


def test_left_out_lines_are_told_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is room again, the gap is told where it is."""
    told = io.StringIO()
    plain = PlainProgress(told, WORK)
    monkeypatch.setattr(line_writer, "BACKLOG", 1)
    plain.on_event(entered(0.0, 1))
    plain.on_event(entered(0.0, 2))
    monkeypatch.setattr(line_writer, "BACKLOG", 2)
    plain.on_event(entered(0.0, 3))
    with plain:
        pass
    assert [line.split("  ")[-1] for line in told.getvalue().splitlines()] == [
        "WORK: batch work",
        "1 event left out: the run is faster than they are read",
        "WORK: batch work (visit 3)",
    ]


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed")])
def test_a_reader_that_goes_away_does_not_break_the_run(error: Exception) -> None:
    """A closed pipe is no reason for a run to fail, nor for the observer to be switched off."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    with PlainProgress(Gone(), WORK) as plain:
        plain.on_event(entered(0.0))


def test_it_is_told_on_stderr_with_each_states_work(command: Command) -> None:
    """In a real run the lines tell the tasks by name and kind."""
    stderr = command("run", "ingest.py", "--data", '{"url": "nowhere"}').stderr
    assert [line.split("  ")[-1] for line in stderr.splitlines()] == [
        "FETCH: fetch",
        "FETCH: retry in 0.01 s because LookupError: nowhere",
        "FETCH: retry in 0.01 s because LookupError: nowhere",
        "FETCH: failed: RetryExhausted: fetch failed 3 times, the last time with LookupError: nowhere, on to FAILED",
        "FAILED: exit",
        "FAILED: completed after 0.0 s",
    ]


# -- the drawing


def drawn(live: LiveProgress, width: int, *, unicode: bool = True) -> str:
    """What the drawing looks like now, finished lines first."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8" if unicode else "ascii")
    live._console = Console(file=file, width=width, force_terminal=False)
    for line in live._finished:
        live._console.print(live._drawn(line))
    live._console.print(live)
    file.seek(0)
    return file.read()


@pytest.fixture
def live() -> LiveProgress:
    return LiveProgress(["WORK", "DONE"], WORK)


async def test_the_present_state_moves(live: LiveProgress, autojump_clock: MockClock) -> None:
    """State, time, task, a bar while it tells its progress, retries, and why it waits."""
    live.on_event(RunStarted("r", "w", Step.WORK, 0.0))
    assert drawn(live, 80).strip() == ""
    live.on_event(entered(0.0))
    autojump_clock.jump(75)
    assert " WORK 1 min 15 s batch work" in drawn(live, 80)
    live.on_event(retried(1.0))
    assert "1 retry, retry in 0.05 s: OSError: busy still" in drawn(live, 80)
    live.on_event(AttemptStarted("r", "w", Step.WORK, 1.1, "work", 2))
    live.on_event(progressed(2.0, 500, None))
    assert drawn(live, 80).rstrip().endswith("batch work 500, 1 retry")
    live.on_event(progressed(2.0, 1500, 3000))
    assert "batch work ━━━━━━━━━━           1,500/3,000, 1 retry" in drawn(live, 80)
    live.on_event(StepFinished("r", "w", Step.WORK, 3.0, 12))
    assert "1,500/3,000, 12 steps, 1 retry" in drawn(live, 90)
    live.on_event(WindowFlushed("r", "w", Step.WORK, 3.0, 1, 5))
    assert "1,500/3,000, 1 window, 1 retry" in drawn(live, 90)
    assert "batch" not in drawn(live, 40)
    assert max(map(len, drawn(live, 40).splitlines())) <= 40


async def test_a_drawn_run_that_is_resumed_and_released_says_so(live: LiveProgress) -> None:
    """The state that it goes on in, and the one that it stops in, have it as their note."""
    for event in (
        RunResumed("r", "w", Step.WORK, 1.0, 3),
        entered(1.0),
        TaskSucceeded("r", "w", Step.WORK, 2.0, "work", Step.WORK),
        entered(2.0, 2),
        Committed("r", "w", Step.WORK, 2.0, 4),
        Released("r", "w", Step.WORK, 3.0, None),
    ):
        live.on_event(event)
    assert [line.rstrip() for line in drawn(live, 80).splitlines() if line.strip()] == [
        "✓ WORK   1.0 s batch work resumed", "✗ WORK   1.0 s batch work visit 2, released",
    ]  # fmt: skip


async def test_finished_states_stay_with_their_outcome(live: LiveProgress) -> None:
    """Done, failed, and the exit have marks of their own, in letters where the terminal knows no others."""
    for event in (
        entered(1.0, 3),
        CircuitRejected("r", "w", Step.WORK, 1.0, "work", "api", 3.0),
        TaskSucceeded("r", "w", Step.WORK, 1.0, "work", Step.WORK),
        entered(2.0),
        TaskFailed("r", "w", Step.WORK, 2.0, "work", BUSY, Step.DONE),
        entered(3.0),
        TaskFailed("r", "w", Step.WORK, 3.0, "work", BUSY, None),
        entered(3.0, state=Step.DONE),
        RunEnded("r", "w", Step.DONE, 4.0, RunStatus.COMPLETED, None, 3.0),
    ):
        live.on_event(event)
    assert [line.rstrip() for line in drawn(live, 80).splitlines() if line.strip()] == [
        "✓ WORK   1.0 s batch work visit 3, circuit breaker 'api' is open",
        "✗ WORK   1.0 s batch work on to DONE: OSError: busy still",
        "✗ WORK   0.0 s batch work OSError: busy still",
        "● DONE",
    ]
    assert [line[:1] for line in drawn(live, 80, unicode=False).splitlines() if line.strip()] == ["+", "x", "x", "o"]


@pytest.mark.parametrize(
    "status, error, note",
    [
        (RunStatus.CANCELLED, None, "interrupted"),
        (RunStatus.FAILED, KeyboardInterrupt(), "interrupted"),
        (RunStatus.FAILED, SystemExit(7), "SystemExit: 7"),
    ],
)
async def test_an_interrupted_state_says_so(
    live: LiveProgress, status: RunStatus, error: BaseException | None, note: str
) -> None:
    """A run's last line tells that it was interrupted, or left; events before any state are passed over."""
    live.on_event(progressed(0.0, 1, 2))
    live.on_event(entered(1.0))
    live.on_event(RunEnded("r", "w", Step.WORK, 4.0, status, error, 3.0))
    assert drawn(live, 80).rstrip().endswith(f"batch work {note}")


async def test_a_run_that_fails_by_itself_says_why(live: LiveProgress) -> None:
    """A run may fail without a task that failed, as with too many transitions; a task's failure stands as it is."""
    live.on_event(entered(1.0))
    live.on_event(RunEnded("r", "w", Step.WORK, 4.0, RunStatus.FAILED, TooManyTransitions(3), 3.0))
    live.on_event(entered(1.0))
    live.on_event(TaskFailed("r", "w", Step.WORK, 2.0, "work", BUSY, None))
    live.on_event(RunEnded("r", "w", Step.WORK, 4.0, RunStatus.FAILED, BUSY, 3.0))
    first, second = [line for line in drawn(live, 120).splitlines() if line.strip()]
    assert "batch work TooManyTransitions: the run made 3 transitions" in first
    assert second.rstrip().endswith("batch work OSError: busy still")


async def test_a_run_faster_than_the_drawing_is_counted(live: LiveProgress, capsys: pytest.CaptureFixture[str]) -> None:
    """Between two drawings a run may go through thousands of states: the first are drawn, the others counted."""
    with live:
        for visit in range(1, 5002):
            live.on_event(entered(0.0, visit))
        live.on_event(RunEnded("r", "w", Step.WORK, 4.0, RunStatus.COMPLETED, None, 3.0))
    lines = capsys.readouterr().err.splitlines()
    left_out = sum(int(line.split()[1].replace(",", "")) for line in lines if line.endswith(" more"))
    assert left_out > 0
    assert sum("WORK" in line for line in lines) == 5001 - left_out
    assert len(lines) <= 5 * LINES_A_FRAME


async def test_a_terminal_that_fails_does_not_break_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """If drawing raises, it ends; the run goes on, and so does the end of the block."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("gone")

    live = LiveProgress(["WORK"], WORK)
    monkeypatch.setattr(live._live, "stop", lambda: Gone().write(""))
    with live:
        monkeypatch.setattr(live._console, "print", lambda *_, **__: Gone().write(""))
        live.on_event(entered(0.0))
        live.on_event(entered(1.0))


@pytest.mark.usefixtures("folder")
def test_it_is_drawn_on_a_terminal_if_rich_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piped, on a dumb terminal, or without rich there are plain lines."""
    workflow = find_workflow("ingest.py")

    def kind() -> type:
        return type(progress.shown_progress(workflow))

    assert kind() is PlainProgress
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert kind() is PlainProgress
    monkeypatch.delenv("TERM")
    assert kind() is LiveProgress
    monkeypatch.setitem(sys.modules, "cano_trio.cli.progress_live", None)
    assert kind() is PlainProgress
