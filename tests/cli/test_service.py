"""What a service does with the runs of a journal, what it tells, and how it stops."""

from __future__ import annotations

import io
import json
import logging
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import Every, Retry, RunStarted, Schedule, Workflow, open_runtime
from cano_trio.cli import line_writer
from cano_trio.cli.service_log import ServiceLog
from cano_trio.cli.serving import Service
from cano_trio.cli.signals import heard
from cano_trio.cli.target import Served
from cano_trio.journals import MemoryJournal

if TYPE_CHECKING:
    from tests.cli.conftest import Command


class Step(Enum):
    PAY = auto()
    SHIP = auto()
    MEND = auto()
    DONE = auto()


@dataclass
class Order:
    seconds: float = 0.0
    breaks: bool = False


order = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="order", data=Order)


@order.compensatable(Step.PAY)
async def pay() -> tuple[Literal[Step.SHIP], int]:
    return Step.SHIP, 3


@pay.compensate
async def refund(receipt: int) -> None:
    pass


@order.task(Step.SHIP, retry=Retry.none())
async def ship(order: Order) -> Literal[Step.DONE]:
    await trio.sleep(order.seconds)
    if order.breaks:
        raise OSError("no\nship")
    return Step.DONE


led_on = Workflow(Step, initial=Step.SHIP, exits=[Step.DONE], name="led on", data=Order)
led_on.register(Step.SHIP, ship, retry=Retry.none(), on_error={OSError: Step.MEND})


@led_on.task(Step.MEND)
async def mend() -> Literal[Step.DONE]:
    return Step.DONE


outer = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="outer", data=Order)
outer.register_child(Step.PAY, order, {Step.DONE: Step.DONE})

ALL: tuple[Workflow[Any, Any], ...] = (order, led_on, outer)


async def served(
    data: Order,
    *,
    by: Workflow[Any, Any] = order,
    act: Callable[[], object] | None = None,
    after: float = 100.0,
    grace: float = 10.0,
    as_json: bool = False,
    full: bool = False,
    stuck_after: float | None = None,
    schedules: tuple[Schedule[Any], ...] = (),
) -> tuple[bool, list[str]]:
    """Serve a run that is in the journal, and be told to stop; gives what `serve` returns, and the lines that were told."""
    journal, stream = MemoryJournal(), io.StringIO()
    async with open_runtime(workflows=ALL, journal=MemoryJournal(beside=journal), claim=False) as client:
        await client.start(by, data, run_id="a")
    enough = None
    with ServiceLog(stream, as_json=as_json, full=full) as log:
        service = Service(
            served=Served(ALL, schedules),
            journal=journal,
            file=Path("runs.db"),
            log=log,
            limit=None,
            grace=grace,
            stuck_after=stuck_after,
        )

        async def stop() -> None:
            await trio.sleep(after)
            signal.raise_signal(signal.SIGTERM)
            if act is not None:
                await trio.sleep(1)
                act()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            enough = await service.serve()
            nursery.cancel_scope.cancel()
    return enough, stream.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _signals() -> Any:
    """Those that a service has heard are handled as before."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


async def test_a_run_that_is_there_is_carried_out_and_told_of(autojump_clock: MockClock) -> None:
    """A line for its start and one for its end, each with the instant; then for the service's own."""
    enough, lines = await served(Order(2.0))
    assert enough
    assert lines[1:] == [
        "2030-01-01T00:00:00.000Z a started in PAY (order)",
        "2030-01-01T00:00:02.000Z a completed in DONE after 2.0 s",
        "2030-01-01T00:01:40.000Z stopping: 0 runs at work, 10.0 s at most; once more stops at once",
        "2030-01-01T00:01:40.000Z stopped: 1 completed, 0 failed, 0 released",
    ]
    assert lines[0].startswith("2030-01-01T00:00:00.000Z serving order, led on, outer from runs.db, as process ")


async def test_schedules_are_fired(autojump_clock: MockClock) -> None:
    """Those of the target, as long as it is served."""
    minutely = Schedule(
        "each minute", order, Every(60, fixed_rate=True), data=lambda instant: Order(instant.minute / 10)
    )
    _, lines = await served(Order(), schedules=(minutely,))
    assert lines[0].endswith(", with 1 schedule: each minute")
    assert [line[25:] for line in lines if " each minute@" in line] == [
        "each minute@2030-01-01T00:01:00Z started in PAY (order)",
        "each minute@2030-01-01T00:01:00Z completed in DONE after 0.1 s",
    ]


async def test_a_failure_is_one_line(autojump_clock: MockClock) -> None:
    """With what it failed with, and what was undone; the library's own complaint does not come on top."""
    _, lines = await served(Order(breaks=True))
    assert lines[2] == "2030-01-01T00:00:00.000Z a rolled_back in SHIP after 0.0 s: OSError: no ship; undone: PAY"
    assert len(lines) == 5


async def test_a_cancel_is_told_by_its_reason(autojump_clock: MockClock) -> None:
    """That it was cancelled is said once."""
    stream = io.StringIO()
    with ServiceLog(stream, as_json=False, full=False) as log:
        async with open_runtime(workflows=[order], observers=[log]) as runtime:
            (await runtime.start(order, Order(9.0), run_id="a")).cancel("no\nmore")
    assert stream.getvalue().splitlines()[1][25:] == "a cancelled in PAY after 0.0 s: no more"


async def test_a_traceback_follows_if_it_is_asked_for(autojump_clock: MockClock) -> None:
    """Below the line, and further in."""
    _, lines = await served(Order(breaks=True), full=True)
    assert lines[3] == "    Traceback (most recent call last):"
    assert "    OSError: no" in lines


async def test_a_failure_that_is_led_on_is_told(autojump_clock: MockClock) -> None:
    """It is none of the run's, but somebody may want to know."""
    _, lines = await served(Order(breaks=True), by=led_on)
    assert [line.split("Z ")[1] for line in lines[1:4]] == [
        "a started in SHIP (led on)",
        "a SHIP failed, on to MEND: OSError: no ship",
        "a completed in DONE after 0.0 s",
    ]


async def test_a_child_is_told_of_with_its_parent(autojump_clock: MockClock) -> None:
    """Runs that do a state's work have no lines of their own."""
    _, lines = await served(Order(), by=outer)
    assert [line.split("Z ")[1] for line in lines[1:3]] == [
        "a started in PAY (outer)",
        "a completed in DONE after 0.0 s",
    ]


async def test_json_lines_tell_the_same(autojump_clock: MockClock) -> None:
    """A document a line, with what happened in one word."""
    _, lines = await served(Order(breaks=True), as_json=True)
    told = [json.loads(line) for line in lines]
    assert [one["event"] for one in told] == ["serving", "started", "rolled_back", "stopping", "stopped"]
    assert (told[0]["workflows"], told[0]["journal"]) == (["order", "led on", "outer"], "runs.db")
    assert told[1] == {
        "time": "2030-01-01T00:00:00.000Z", "event": "started", "run_id": "a", "workflow": "order", "state": "PAY",
    }  # fmt: skip
    assert (told[2]["error"]["type"], told[2]["rollback"]["undone"]) == ("OSError", ["PAY"])
    assert (told[4]["completed"], told[4]["failed"], told[4]["released"]) == (0, 1, 0)


async def test_a_stuck_run_is_told_of_with_its_stack(autojump_clock: MockClock) -> None:
    """Where its task is: only this process knows."""
    _, lines = await served(Order(200.0), after=300, stuck_after=60.0)
    at = next(number for number, line in enumerate(lines) if "at work in SHIP for" in line)
    assert any("await trio.sleep(order.seconds)" in line for line in lines[at:])


async def test_what_the_library_warns_of_is_told(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a run of another version, which nobody here goes on with; unless logging was set up for that already."""
    monkeypatch.setattr(logging.getLogger("cano_trio"), "propagate", False)
    journal, stream = MemoryJournal(), io.StringIO()
    newer = Workflow(Step, initial=Step.SHIP, exits=[Step.DONE], name="order", data=Order, version=2)
    newer.register(Step.SHIP, ship)
    async with open_runtime(workflows=[newer], journal=MemoryJournal(beside=journal), claim=False) as client:
        await client.start(newer, Order(), run_id="a")
    with ServiceLog(stream, as_json=True, full=False) as log:
        async with open_runtime(workflows=[order], journal=journal, observers=[log]):
            await trio.sleep(1)
    with ServiceLog(stream, as_json=True, full=False):
        await trio.to_thread.run_sync(logging.getLogger("cano_trio").error, "from a\nthread")
    told, from_thread = map(json.loads, stream.getvalue().splitlines())
    assert (from_thread["level"], from_thread["message"]) == ("error", "from a thread")
    assert (told["event"], told["level"]) == ("log", "warning")
    assert told["message"].startswith("run 'a' is left alone: no code here goes on with version 2")


@pytest.mark.parametrize(
    "grace, enough, seconds, end",
    [
        (10.0, True, 105.0, "1 completed, 0 failed, 0 released"),
        (3.0, False, 103.0, "0 completed, 0 failed, 1 released"),
    ],
)
async def test_a_signal_lets_runs_finish_their_state(
    grace: float, enough: object, seconds: float, end: str, autojump_clock: MockClock
) -> None:
    """Within the grace; what takes longer is released where it is, and that is told."""
    told, lines = await served(Order(105.0), grace=grace)
    assert (told, trio.current_time()) == (enough, seconds)
    assert lines[-1].endswith(f"stopped: {end}")


async def test_a_second_signal_stops_at_once(autojump_clock: MockClock) -> None:
    """The run is released where it is."""
    told, lines = await served(Order(200.0), act=lambda: signal.raise_signal(signal.SIGINT))
    assert (told, trio.current_time()) == (False, 101.0)
    assert lines[-1].endswith("stopped: 0 completed, 0 failed, 1 released")


async def test_further_signals_go_where_they_went(autojump_clock: MockClock) -> None:
    """What has no answer any more is handled as before; one that comes right behind another is the same one."""
    answers: list[str] = []
    earlier = signal.signal(signal.SIGUSR1, lambda *_: answers.append("earlier"))
    try:
        with heard([signal.SIGUSR1], lambda: answers.append("first"), lambda: answers.append("second")):
            for seconds in (0.1, 0.1, 1, 1, 1, 1):
                signal.raise_signal(signal.SIGUSR1)
                await trio.sleep(seconds)
        assert answers == ["first", "second", "earlier", "earlier"]
        signal.raise_signal(signal.SIGUSR1)  # on its way out, the process is deaf
    finally:
        signal.signal(signal.SIGUSR1, earlier)
    assert len(answers) == 4


def test_the_exit_code_of_a_service_that_stops_in_peace_is_0(command: Command, desk: Path) -> None:
    """All its runs could finish their states."""
    command("run", "small.py:closing", "--detach", "--run-id", "a")
    result = command("serve", "small.py")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-1].endswith("stopped: 1 completed, 0 failed, 0 released")


def test_the_exit_code_of_a_service_that_cuts_runs_off_is_3(command: Command, desk: Path) -> None:
    """They go on when they are served again; with --json, stdout has nothing but documents."""
    command("run", "small.py:interrupting", "--detach", "--run-id", "a")
    result = command("serve", "small.py", "--grace", "0", "--json")
    assert (result.exit_code, [json.loads(line)["event"] for line in result.stdout.splitlines()]) == (
        3, ["serving", "started", "stopping", "stopped"],
    )  # fmt: skip
    assert json.loads(command("show", "a", "--json").stdout)["status"] == "running"


DOWN = """\
from small import *
from cano_trio import Resources

class Down:
    async def setup(self):
        raise OSError("no network")

down = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="down", resources=Resources(x=Down()))
down.register(Step.WORK, fine)
"""


@pytest.mark.parametrize(
    "source, code, message",
    [
        ("x = 1", 2, "app.py has no Workflow at module level"),
        ("import nothing_like_it", 2, "can't load app.py: ModuleNotFoundError"),
        ("from small import ok\nschedules = [ok]", 2, "app.py: schedules is no list of Schedule, but [<Workflow"),
        ("from small import ok, workflow, fine\nother = workflow('ok', fine)", 1, "the workflow can't run: 1 problem"),
        (DOWN, 1, "OSError: no network"),
    ],
    ids=["none", "broken", "schedules", "one name", "set-up"],
)  # fmt: skip
def test_what_can_not_be_served_is_refused(command: Command, desk: Path, source: str, code: int, message: str) -> None:
    """The call is wrong, or the code is, or what it needs is not there."""
    (desk / "app.py").write_text(source)
    result = command("serve", "app.py")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"Error: {message}")


def test_a_file_that_is_no_journal_is_not_served(command: Command, desk: Path) -> None:
    """Nothing is written to it."""
    result = command("serve", "small.py", "--journal", "small.py")
    assert (result.exit_code, result.stderr) == (2, "Error: small.py is no journal: name another file\n")


def test_a_journal_that_can_not_be_opened_is_not_served(command: Command, desk: Path) -> None:
    """Such as one that a newer library has made."""
    command("run", "small.py:ok", "--detach")
    with closing(sqlite3.connect(desk / "runs.db")) as db, db:
        db.execute("PRAGMA user_version=999")
    result = command("serve", "small.py")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)


async def test_what_there_is_no_room_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs never wait for who reads; where events are missing, a line says how many."""
    monkeypatch.setattr(line_writer, "BACKLOG", 0)
    stream = io.StringIO()
    with ServiceLog(stream, as_json=True, full=False) as log:
        for number in range(3):
            log.on_event(RunStarted(f"r{number}", "order", Step.PAY, 0.0))
        log.say("stopped", "stopped")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["event"], one.get("events")) for one in told] == [("left_out", 3), ("stopped", None)]


async def test_a_run_that_another_process_has_taken_is_told(autojump_clock: MockClock) -> None:
    """It goes on there, and this process stops with it."""
    journal, stream = MemoryJournal(), io.StringIO()
    with ServiceLog(stream, as_json=False, full=False) as log:
        async with open_runtime(workflows=[order], journal=journal, observers=[log]) as runtime:
            await runtime.start(order, Order(5.0), run_id="a")
            await trio.sleep(1)
            await journal.claim("a")  # what holds it here has a stale fence from now on
            await trio.sleep(50)
    assert any(line[25:].startswith("a released in SHIP: LeaseLost: ") for line in stream.getvalue().splitlines())


def test_a_target_may_name_one_of_its_workflows(command: Command, desk: Path) -> None:
    """The runs of others are left alone."""
    for name in ("ok", "closing"):
        command("run", f"small.py:{name}", "--detach", "--run-id", name)
    assert command("serve", "small.py:closing").exit_code == 0
    standing = {run["run_id"]: run["status"] for run in json.loads(command("list", "--json").stdout)}
    assert standing == {"ok": "queued", "closing": "completed"}
