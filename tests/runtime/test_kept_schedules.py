"""Schedules in a journal: after a restart, and in several processes at once."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from cano_trio import (
    Backoff,
    Cron,
    Every,
    JournalError,
    JournalUnavailable,
    Manual,
    Schedule,
    ScheduleBusy,
    ScheduleState,
    ScheduleTripped,
)
from cano_trio._journal.forwarding import ForwardingJournal
from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.schedule_record import ScheduleRecord
from tests.journal.conftest import on_hasty_disk
from tests.journal.rows import new
from tests.runtime.quiet import Traffic, WatchedJournal, jump_when_quiet
from tests.runtime.scheduling import Clock, Process, World, die, open_process, time_of

T = TypeVar("T")

EXACT = Backoff(base=10, maximum=100, jitter=0)
MINUTELY = Every(60, fixed_rate=True)


@pytest.fixture(params=["memory", "sqlite"])
def clock(request: pytest.FixtureRequest) -> MockClock:
    """It does not jump by itself where threads write."""
    return MockClock(autojump_threshold=0 if request.param == "memory" else math.inf)


@pytest.fixture
async def journal(
    clock: MockClock, nursery: trio.Nursery, request: pytest.FixtureRequest, tmp_path: Path
) -> MemoryJournal | WatchedJournal:
    """A journal of each kind."""
    if request.node.callspec.params["clock"] == "memory":
        return MemoryJournal()
    traffic = Traffic()
    nursery.start_soon(jump_when_quiet, clock, traffic)
    return WatchedJournal(on_hasty_disk(tmp_path), traffic)


def of_another_process(journal: MemoryJournal | WatchedJournal, folder: Path) -> Journal:
    """Another journal of the same runs."""
    if isinstance(journal, MemoryJournal):
        return MemoryJournal(beside=journal)
    return WatchedJournal(on_hasty_disk(folder), journal.traffic)


def plain(world: World, trigger: Any = MINUTELY, name: str = "s", **options: Any) -> Schedule[None]:
    return Schedule(name, world.workflow(), trigger, **{"backoff": EXACT, **options})


async def record_of(journal: Journal, name: str = "s") -> ScheduleRecord:
    """What is written down of a schedule."""
    async with journal:
        return {record.name: record for record in await journal.schedules()}[name]


# -- one process after another


async def test_a_delay_goes_on_after_a_restart(clock: MockClock, journal: Journal) -> None:
    """G-SCH-5: a process that comes soon after another waits for the rest of the delay; one that comes late fires at once."""
    world = World(takes=lambda _: 10)
    schedule = plain(world, Every(300))
    async with open_process(world, [schedule], journal):
        await trio.sleep(100)
    async with open_process(world, [schedule], journal):
        await trio.sleep(300)
    await trio.sleep(1000)
    async with open_process(world, [schedule], journal):
        await trio.sleep(1)
    assert world.times == [0, 310, 1400]
    record = await record_of(journal)
    assert (record.run_count, record.runs) == (3, ())


@pytest.mark.parametrize("misfire, expected", [("skip", []), ("run_once", [1]), ("run_all", [4, 3, 2, 1])])
async def test_what_was_missed(misfire: str, expected: list[int], clock: MockClock, journal: Journal) -> None:
    """G-SCH-3, G-SCH-5: after days without a process each missed instant is handled by the policy; none fires twice."""
    world = World(takes=lambda _: 10)
    schedule = plain(world, Cron("0 3 * * *"), misfire=misfire)
    async with open_process(world, [schedule], journal):
        await trio.sleep(4 * 3600)
    await trio.sleep(4 * 86_400)
    begun = trio.current_time()
    for _ in range(2):
        async with open_process(world, [schedule], journal):
            await trio.sleep(100)
    days = [f"s@2030-01-0{6 - day}T03:00:00Z" for day in expected]
    assert world.begun == ["s@2030-01-01T03:00:00Z", *days]
    assert world.times == [3 * 3600, *(begun + 10 * number for number in range(len(expected)))]


async def test_a_restart_is_no_misfire(clock: MockClock, journal: Journal) -> None:
    """An instant that comes while one process gives way to the next is fired, a little late."""
    world = World()
    async with open_process(world, [plain(world)], journal):
        await trio.sleep(110)
    await trio.sleep(40)
    async with open_process(world, [plain(world)], journal):
        await trio.sleep(20)
    assert (world.times, world.instants) == ([60, 150], ["00:01:00Z", "00:02:00Z"])


async def test_it_stays_as_it_is_over_restarts(clock: MockClock, journal: Journal) -> None:
    """G-SCH-5: a trip and a pause outlive the process, and so do their ends."""
    world = World(fails=frozenset([0]))
    schedules = [plain(world, Manual(), "a", trip_after=1), plain(world, MINUTELY, "b")]
    async with open_process(world, schedules, journal) as process:
        await process.scheduler.trigger("a")
        await process.scheduler.pause("b")
        await trio.sleep(1)
    async with open_process(world, schedules, journal) as process:
        assert [status.state for status in process.scheduler.list()] == [ScheduleState.TRIPPED, ScheduleState.PAUSED]
        with pytest.raises(ScheduleTripped, match="ValueError: no"):
            await process.scheduler.trigger("a")
        await trio.sleep(100)
        await process.scheduler.reset("a")
        await process.scheduler.resume("b")
    async with open_process(world, schedules, journal) as process:
        assert [status.state for status in process.scheduler.list()] == [ScheduleState.IDLE, ScheduleState.IDLE]
        await process.scheduler.trigger("a")
        await trio.sleep(50)
    assert len(world.times) == 3


async def test_a_run_goes_on_in_the_next_process(clock: MockClock, journal: Journal) -> None:
    """SCH-18, G-SCH-2: a run that a process has left is gone on with, none overlaps it, and what came of it counts."""
    world = World(takes=lambda _: 150, fails=frozenset([1]))
    schedule = plain(world)
    async with open_process(world, [schedule], journal) as process:
        await trio.sleep(70)
        await die(process)
    assert (await record_of(journal)).runs == ("s@2030-01-01T00:01:00Z",)
    async with open_process(world, [schedule], journal) as process:
        assert process.scheduler.status("s").state is ScheduleState.RUNNING
        await trio.sleep(151)  # the run has begun again, at 70
        status = process.scheduler.status("s")
        assert (status.state, status.streak) == (ScheduleState.BACKING_OFF, 1)
        await trio.sleep(30)
        await process.scheduler.cancel("s")
    assert world.begun == ["s@2030-01-01T00:01:00Z", "s@2030-01-01T00:04:00Z"]
    assert world.times == [60, 70, 240]


async def test_what_came_of_a_run_that_nobody_saw(clock: MockClock, journal: Journal) -> None:
    """A run that was over when its process died, and was not counted yet, is counted by the next one."""
    world = World()
    schedule = plain(world, Every(300))
    async with open_process(world, [schedule], journal):
        await trio.sleep(10)
    async with journal:
        (record,) = await journal.schedules()
        await journal.keep_schedule(replace(record, runs=("s@2030-01-01T00:00:00Z", "gone"), ended_at=None))
    async with open_process(world, [schedule], journal) as process:
        await trio.sleep(0.5)
        assert process.scheduler.status("s").runs == ()
        assert process.scheduler.status("s").next_firing == time_of(310)


async def test_another_trigger_begins_anew(clock: MockClock, journal: Journal) -> None:
    """Instants that a changed trigger would have had before are no misfires; the rest of the schedule stays."""
    world = World()
    async with open_process(world, [plain(world, Cron("0 3 * * *"), misfire="run_all")], journal):
        await trio.sleep(1)
    await trio.sleep(600)
    async with open_process(world, [plain(world, MINUTELY, misfire="run_all")], journal):
        await trio.sleep(100)
    assert world.times == [660]


async def test_a_clock_that_was_set_back_in_between(clock: MockClock, journal: Journal) -> None:
    """No instant of the hour that comes twice fires twice, and a delay is no longer than it is."""
    world, wall = World(), Clock()
    schedules = [plain(world, Every(1200, fixed_rate=True), "rate"), plain(world, Every(300), "delay")]
    async with open_process(world, schedules, journal, now=wall):
        await trio.sleep(1250)
    wall.set_by = timedelta(hours=-1)
    async with open_process(world, schedules, journal, now=wall):
        await trio.sleep(4800)
    rates = [run_id.split("T")[1] for run_id in world.begun if run_id.startswith("rate")]
    assert rates == ["00:20:00Z", "00:40:00Z"]
    delays = [at for at, run_id in zip(world.times, world.begun, strict=True) if run_id.startswith("delay")]
    assert delays[:7] == [0, 300, 600, 900, 1200, 1550, 1850]


async def test_an_instant_that_was_fired_in_another_way(
    clock: MockClock, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """P8: where there is a run of its id already, an instant is passed over, and the schedule goes on."""
    world = World()
    async with journal:
        await journal.create(new("s@2030-01-01T00:01:00Z"))
        await journal.create(new("t@2030-01-01T00:00:00Z"))
        async with open_process(world, [plain(world), plain(world, Every(70), "t")], journal):
            await trio.sleep(130)
    assert sorted(world.begun) == ["s@2030-01-01T00:02:00Z", "t@2030-01-01T00:01:10Z"]
    assert "s has fired s@2030-01-01T00:01:00Z before" in caplog.text


# -- several processes at once


class Pair:
    """Two processes on one journal."""

    def __init__(self, journal: MemoryJournal | WatchedJournal, folder: Path, world: World) -> None:
        self.journals = (journal, of_another_process(journal, folder))
        self.world = world

    async def run(self, *schedules: Schedule[Any], during: Callable[[Process, Process], Awaitable[None]]) -> None:
        one, other = self.journals
        async with (
            open_process(self.world, schedules, one) as first,
            open_process(self.world, schedules, other) as second,
        ):
            await during(first, second)


@pytest.fixture
async def pair(journal: MemoryJournal | WatchedJournal, tmp_path: Path) -> AsyncIterator[Callable[[World], Pair]]:
    """Makes two processes on one journal, which is open all the time."""
    async with journal:
        yield lambda world: Pair(journal, tmp_path, world)


@pytest.mark.parametrize("trigger", [MINUTELY, Every(50), Cron("* * * * *")])
async def test_each_instant_is_fired_once(trigger: Any, clock: MockClock, pair: Callable[[World], Pair]) -> None:
    """I8: of two processes with the same schedule one fires each instant, as if there was only one process."""
    world = World(takes=lambda _: 10)

    async def during(first: Process, second: Process) -> None:
        await trio.sleep(605)
        for process in (first, second):
            status = process.scheduler.status("s")
            assert len(status.runs) <= 1
        assert len(first.held) + len(second.held) == len(world.begun)

    await pair(world).run(plain(world, trigger), during=during)
    first = 0 if trigger == Every(50) else 60
    assert world.times == list(range(first, 605, 60))
    assert len(set(world.begun)) == len(world.begun)


@pytest.mark.parametrize("overlap, most", [("skip", 1), ("queue", 1), ("allow", 3)])
async def test_overlaps_among_processes(
    overlap: str, most: int, clock: MockClock, pair: Callable[[World], Pair]
) -> None:
    """A run that goes on in one process is one for all of them."""
    world = World(takes=lambda _: 130)

    async def during(*_: Process) -> None:
        await trio.sleep(400)

    await pair(world).run(plain(world, overlap=overlap), during=during)
    assert world.most == most
    assert len(set(world.begun)) == len(world.begun)


async def test_what_one_does_is_seen_by_the_other(clock: MockClock, pair: Callable[[World], Pair]) -> None:
    """A pause, a resume, a trip and a reset in one process hold in the other, as soon as that looks."""
    world = World(fails=frozenset([0]))

    async def during(first: Process, second: Process) -> None:
        async def seen() -> ScheduleState:
            second.scheduler.notice()
            await trio.sleep(0.5)
            return second.scheduler.status("s").state

        await first.scheduler.pause("s")
        assert await seen() is ScheduleState.PAUSED
        await trio.sleep(100)
        await second.scheduler.resume("s")
        await first.scheduler.trigger("s")
        await trio.sleep(2)
        assert await seen() is ScheduleState.TRIPPED
        await second.scheduler.reset("s")
        await first.scheduler.trigger("s")  # who is asked to fire looks first

    await pair(world).run(plain(world, Manual(), trip_after=1), during=during)
    assert len(world.times) == 2


async def test_two_that_trigger_at_once(clock: MockClock, pair: Callable[[World], Pair]) -> None:
    """SCH-6: of two processes that trigger a schedule at the same time one gets its run; the other is told of that."""
    world = World(takes=lambda _: 50)
    told: list[str] = []

    async def trigger(process: Process) -> None:
        try:
            told.append((await process.scheduler.trigger("s")).id)
        except ScheduleBusy as error:
            told.extend(error.runs)

    async def during(first: Process, second: Process) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trigger, first)
            nursery.start_soon(trigger, second)

    await pair(world).run(plain(world, Manual()), during=during)
    assert told == world.begun * 2
    assert len(world.begun) == 1


async def test_one_that_does_not_know_yet_fires_nothing_wrong(clock: MockClock, pair: Callable[[World], Pair]) -> None:
    """Who has not seen a pause in another process finds it at the moment of firing, and does not fire."""
    world = World()

    async def during(first: Process, second: Process) -> None:
        await first.scheduler.pause("s")
        first.scheduler.remove("s")
        await trio.sleep(100)
        assert second.scheduler.status("s").state is ScheduleState.PAUSED

    await pair(world).run(plain(world), during=during)
    assert world.times == []


async def test_another_process_takes_over(clock: MockClock, pair: Callable[[World], Pair]) -> None:
    """When a process fires a schedule no more, the other ones do."""
    world = World()

    async def during(first: Process, second: Process) -> None:
        await trio.sleep(130)
        first.scheduler.remove("s")
        await trio.sleep(100)
        second.scheduler.stop()
        await trio.sleep(100)

    await pair(world).run(plain(world), during=during)
    assert world.instants == ["00:01:00Z", "00:02:00Z", "00:03:00Z"]


async def test_a_cancel_reaches_the_run_of_another_process(clock: MockClock, pair: Callable[[World], Pair]) -> None:
    """A run that goes on elsewhere is cancelled through the handle that the runtime gives for it."""
    world = World(takes=lambda _: 5)

    async def during(first: Process, second: Process) -> None:
        run = await first.scheduler.trigger("s")
        second.scheduler.notice()
        await trio.sleep(0.5)
        assert second.scheduler.status("s").runs == (run.id,)
        await second.scheduler.cancel("s")
        assert second.asked_elsewhere == [run.id]
        await trio.sleep(20)
        assert second.scheduler.status("s").state is ScheduleState.IDLE

    await pair(world).run(plain(world, Manual()), during=during)


# -- a journal that fails


class Failing(ForwardingJournal):
    """Can't write until a moment; or fails for good from that moment on."""

    def __init__(self, inner: Journal, *, away: tuple[float, float] = (0, 0), broken_at: float = 1e9) -> None:
        super().__init__(inner)
        self.away = away
        self.broken_at = broken_at

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        now = trio.current_time()
        if method in {"fire", "keep_schedule", "schedules"} and self.away[0] <= now < self.away[1]:
            raise JournalUnavailable("here", "the disk is full")
        if method == "keep_schedule" and now >= self.broken_at:
            raise JournalError("the disk is gone")
        return await super().forward(method, call)


async def test_a_journal_that_is_away(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A schedule outlives a journal that can't write for minutes: what was due is late or missed, and then it goes on."""
    world = World(takes=lambda _: 10)
    journal = Failing(MemoryJournal(), away=(65, 290))
    async with open_process(world, [plain(world)], journal):
        await trio.sleep(500)
    assert world.instants[0] == "00:01:00Z"
    assert world.instants[-3:] == ["00:06:00Z", "00:07:00Z", "00:08:00Z"]
    assert len(set(world.begun)) == len(world.begun)
    assert (await record_of(journal)).runs == ()
    assert "a schedule waits: journal here can't be written" in caplog.text


async def test_a_journal_that_is_away_from_the_beginning(autojump_clock: MockClock) -> None:
    """Who opens while the journal can't be read or written waits for it."""
    world = World()
    async with open_process(world, [plain(world, Every(1000))], Failing(MemoryJournal(), away=(0, 40))):
        await trio.sleep(1)
    assert len(world.times) == 1
    assert 40 <= world.times[0] < 80


async def test_what_is_added_while_a_journal_is_away(autojump_clock: MockClock) -> None:
    """Who adds a schedule that can't be written down is told, and it is not there; a look that fails is one too few."""
    world = World()
    async with open_process(world, [plain(world)], Failing(MemoryJournal(), away=(10, 20))) as process:
        await trio.sleep(15)
        process.scheduler.notice()
        with pytest.raises(JournalUnavailable):
            await process.scheduler.add(plain(world, name="t"))
        assert [status.name for status in process.scheduler.list()] == ["s"]
        await trio.sleep(10)
        await process.scheduler.add(plain(world, name="t"))
        await trio.sleep(50)
    assert sorted(world.begun) == ["s@2030-01-01T00:01:00Z", "t@2030-01-01T00:01:00Z"]


async def test_a_record_that_tells_of_the_future(autojump_clock: MockClock) -> None:
    """What another process has written by a clock that was an hour ahead delays nothing for longer than it may."""
    world = World()
    journal = MemoryJournal()
    async with open_process(world, [plain(world, Every(300))], journal) as process:
        await trio.sleep(10)
        (record,) = await journal.schedules()
        await journal.keep_schedule(replace(record, ended_at=time_of(3600).timestamp()))
        process.scheduler.notice()
        await trio.sleep(301)
    assert world.times == [0, 310]


async def test_who_asks_is_told_that_a_journal_is_away(autojump_clock: MockClock) -> None:
    """A pause that could not be written down is none, and whoever asked for it is told."""
    world = World()
    async with open_process(world, [plain(world)], Failing(MemoryJournal(), away=(10, 20))) as process:
        await trio.sleep(15)
        with pytest.raises(JournalUnavailable):
            await process.scheduler.pause("s")
        assert process.scheduler.status("s").state is ScheduleState.IDLE


async def test_a_journal_that_has_failed(autojump_clock: MockClock) -> None:
    """A journal that fails for good ends the scheduler with that very error, in no group."""
    world = World()
    schedules = [plain(world, MINUTELY, name) for name in ("a", "b", "c")]
    with pytest.RaisesGroup(pytest.RaisesExc(JournalError, match="the disk is gone")):  # the group is the test's own
        async with open_process(world, schedules, Failing(MemoryJournal(), broken_at=100)):
            await trio.sleep_forever()
    assert trio.current_time() == 120


async def test_a_journal_that_fails_at_the_beginning(autojump_clock: MockClock) -> None:
    """What the journal fails with while schedules are taken up comes out of `nursery.start`; nothing has fired."""
    world = World()
    with pytest.RaisesGroup(pytest.RaisesExc(JournalError, match="the disk is gone")):  # the group is the test's own
        async with open_process(world, [plain(world, Every(1))], Failing(MemoryJournal(), broken_at=0)):
            raise AssertionError("unreachable: it is not open")
    assert world.times == []


async def test_a_firing_is_told_to_the_runtime(autojump_clock: MockClock) -> None:
    """What the runtime is given says all: the id, the instant as the clocks show it, the data, and the record to be kept."""
    world = World()
    journal = MemoryJournal()
    async with open_process(world, [plain(world, Cron("0 3 * * *", "Europe/Berlin"))], journal) as process:
        await trio.sleep(86_400)
        (firing,) = process.firings
        assert (firing.schedule.name, firing.run_id, firing.data) == ("s", "s@2030-01-01T02:00:00Z", None)
        assert str(firing.instant) == "2030-01-01 03:00:00+01:00"
        assert (firing.record.runs, firing.record.rev) == ((firing.run_id,), 1)
