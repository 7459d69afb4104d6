"""Schedules that fire, in virtual time, with real runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio import (
    Backoff,
    Cron,
    DefinitionError,
    DuplicateSchedule,
    Every,
    Manual,
    Schedule,
    ScheduleBusy,
    ScheduleClosed,
    ScheduleNotFound,
    SchedulePaused,
    ScheduleState,
    ScheduleTripped,
    TaskConfig,
    Workflow,
)
from cano_trio._runtime.scheduler import Scheduler
from tests.runtime.scheduling import Clock, Process, World, open_process, time_of


@dataclass
class Note:
    text: str


def note_of(instant: datetime) -> Note:
    return Note(f"{instant:%F %H:%M %Z}")


EXACT = Backoff(base=10, maximum=100, jitter=0)
MINUTELY = Every(60, fixed_rate=True)


def plain(world: World, trigger: Any = MINUTELY, name: str = "s", **options: Any) -> Schedule[None]:
    return Schedule(name, world.workflow(), trigger, **{"backoff": EXACT, **options})


# -- when it fires


async def test_a_fixed_delay(autojump_clock: MockClock) -> None:
    """SCH-3: at once, and then an interval after the end of each run."""
    world = World(takes=lambda _: 10)
    async with open_process(world, [plain(world, Every(300))]):
        await trio.sleep(900)
    assert world.times == [0, 310, 620]
    assert world.begun[:2] == ["s@2030-01-01T00:00:00Z", "s@2030-01-01T00:05:10Z"]


async def test_a_fixed_rate(autojump_clock: MockClock) -> None:
    """G-SCH-3: on its grid, however long the runs take."""
    world = World(takes=lambda number: 10 * number)
    async with open_process(world, [plain(world)]):
        await trio.sleep(250)
    assert world.times == [60, 120, 180, 240]


async def test_cron_and_its_data(autojump_clock: MockClock) -> None:
    """SCH-4: by the clocks of its place; the data are made of what these show, the id of the instant in UTC."""
    world = World()

    class Day(Enum):
        WRITE = 1
        DONE = 2

    report = Workflow(Day, initial=Day.WRITE, exits=[Day.DONE], data=Note)
    written: list[str] = []

    @report.task(Day.WRITE)
    async def write(note: Note) -> Literal[Day.DONE]:
        written.append(note.text)
        return Day.DONE

    async with open_process(world, [Schedule("nightly", report, Cron("30 0 * * *", "Europe/Berlin"), data=note_of)]):
        await trio.sleep(2 * 86_400)
    assert written == ["2030-01-02 00:30 CET", "2030-01-03 00:30 CET"]
    assert world.begun == ["nightly@2030-01-01T23:30:00Z", "nightly@2030-01-02T23:30:00Z"]


async def test_jitter(autojump_clock: MockClock) -> None:
    """A firing is put off by up to its jitter, and is still for its instant."""
    world = World()
    async with open_process(world, [plain(world, Every(60, fixed_rate=True, jitter=30))]):
        await trio.sleep(59 + 60 * 5)
    assert [time // 60 for time in world.times] == [1, 2, 3, 4, 5]
    assert all(0 < time % 60 < 30 for time in world.times)
    assert world.instants[:2] == ["00:01:00Z", "00:02:00Z"]


async def test_a_manual_one(autojump_clock: MockClock) -> None:
    """SCH-5, G-SCH-9: only when it is triggered; that returns the run as soon as it is accepted, under an id of its own."""
    world = World(takes=lambda _: 10)
    async with open_process(world, [plain(world, Manual(), overlap="allow")]) as process:
        await trio.sleep(1000)
        runs = [await process.scheduler.trigger("s") for _ in range(2)]
        assert trio.current_time() == 1000
        assert [run.id for run in runs] == ["s@2030-01-01T00:16:40Z#1", "s@2030-01-01T00:16:40Z#2"]
        await runs[0].wait()
        assert trio.current_time() == 1010


async def test_a_trigger_may_bring_its_data(autojump_clock: MockClock) -> None:
    """G-SCH-9: data that are given with a trigger take the place of those that the schedule would make."""
    world = World()
    workflow: Workflow[Any, Note] = world.workflow(data=Note)  # type: ignore[assignment]
    async with open_process(world, [Schedule("s", workflow, Manual(), data=note_of, overlap="allow")]) as process:
        await process.scheduler.trigger("s")
        await process.scheduler.trigger("s", Note("given"))
        assert [firing.data for firing in process.firings] == [Note("2030-01-01 00:00 UTC"), Note("given")]


# -- what overlaps


OVERLAPS: dict[str, list[float]] = {
    "skip": [60, 240],
    "queue": [60, 190, 320],
    "cancel_previous": [60, 120, 180, 240, 300, 360],
    "allow": [60, 120, 180, 240, 300, 360],
}


@pytest.mark.parametrize("overlap", OVERLAPS)
async def test_overlaps(overlap: str, autojump_clock: MockClock) -> None:
    """G-SCH-11: runs of 130 s, every minute: what becomes of those that come while one goes on."""
    world = World(takes=lambda _: 130)
    async with open_process(world, [plain(world, overlap=overlap)]) as process:
        await trio.sleep(370)
        assert world.times == OVERLAPS[overlap]
        assert world.most == (3 if overlap == "allow" else 1)
        assert process.scheduler.status("s").run_count == len(OVERLAPS[overlap])


async def test_what_is_cancelled_is_undone_first(autojump_clock: MockClock) -> None:
    """A run starts when the one before it is cancelled and has cleaned up, not when it is asked to."""
    world = World()

    class Step(Enum):
        WORK = 1
        DONE = 2

    slow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @slow.task(Step.WORK)
    async def work() -> Literal[Step.DONE]:
        world.times.append(trio.current_time())
        try:
            await trio.sleep(1000)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
        return Step.DONE

    async with open_process(world, [Schedule("s", slow, MINUTELY, overlap="cancel_previous")]) as process:
        await trio.sleep(200)
        assert world.times == [60, 125, 185]
        assert process.scheduler.status("s").streak == 0
        await process.scheduler.cancel("s")


async def test_a_trigger_and_a_run_that_goes_on(autojump_clock: MockClock) -> None:
    """SCH-6: where overlaps are passed over, a trigger is refused, and says which run goes on."""
    world = World(takes=lambda _: 10)
    async with open_process(world, [plain(world, Manual())]) as process:
        run = await process.scheduler.trigger("s")
        with pytest.raises(ScheduleBusy, match="overlap='queue'") as caught:
            await process.scheduler.trigger("s")
        assert caught.value.runs == (run.id,)
        await trio.sleep(11)
        await process.scheduler.trigger("s")
    assert world.times == [0, 11]


async def test_triggers_at_once(autojump_clock: MockClock) -> None:
    """SCH-6: of two that trigger at the same time one is refused, though the other's run has not begun yet."""
    world = World(takes=lambda _: 10)
    refused: list[str] = []

    async def trigger(process: Process) -> None:
        try:
            await process.scheduler.trigger("s")
        except ScheduleBusy as error:
            refused.append(error.name)

    async with open_process(world, [plain(world, Manual())], limit=1) as process, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trigger, process)
    assert (world.times, refused) == ([0], ["s", "s"])


async def test_triggers_wait_in_line(autojump_clock: MockClock) -> None:
    """Where overlaps are queued, triggers wait their turn in order; whoever finds the queue full is refused."""
    world = World(takes=lambda _: 10)
    began: list[tuple[int, float]] = []

    async def trigger(process: Process, number: int) -> None:
        await process.scheduler.trigger("s")
        began.append((number, trio.current_time()))

    async with open_process(world, [plain(world, Manual(), overlap="queue", queue_limit=2)]) as process:
        for number in range(3):
            process.nursery.start_soon(trigger, process, number)
            await wait_all_tasks_blocked()
        with pytest.raises(ScheduleBusy, match="2 wait for it already"):
            await process.scheduler.trigger("s")
        await trio.sleep(30)
    assert began == [(0, 0), (1, 10), (2, 20)]


async def test_who_goes_away_leaves_the_line(autojump_clock: MockClock) -> None:
    """A trigger that is cancelled while it waits fires nothing, and leaves its place to another."""
    world = World(takes=lambda _: 10)
    async with open_process(world, [plain(world, Manual(), overlap="queue")]) as process:
        await process.scheduler.trigger("s")
        with trio.move_on_after(3) as scope:
            await process.scheduler.trigger("s")
        assert scope.cancelled_caught
        await process.scheduler.trigger("s")
        assert trio.current_time() == 10
    assert world.times == [0, 10]


async def test_a_trigger_that_cancels(autojump_clock: MockClock) -> None:
    """Where the previous run is cancelled, a trigger does that, too."""
    world = World(takes=lambda _: 100)
    async with open_process(world, [plain(world, Manual(), overlap="cancel_previous")]) as process:
        await process.scheduler.trigger("s")
        await trio.sleep(5)
        await process.scheduler.trigger("s")
        status = process.scheduler.status("s")
        assert (len(status.runs), status.run_count, trio.current_time()) == (1, 2, 5)
        await process.scheduler.cancel("s")


async def test_one_slot_for_all(autojump_clock: MockClock) -> None:
    """G-SCH-11: where the runtime takes one run at a time, each schedule waits for a slot, and starts nothing twice."""
    world = World(takes=lambda _: 50)
    schedules = [plain(world, Every(1000), name) for name in ("a", "b", "c")]
    async with open_process(world, schedules, limit=1) as process:
        await trio.sleep(160)
        assert world.most == 1
        assert sorted(run_id[0] for run_id in world.begun) == ["a", "b", "c"]
        assert world.times == [0, 50, 100]
        assert [status.run_count for status in process.scheduler.list()] == [1, 1, 1]


# -- what fails


async def test_failures_back_off_and_trip(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """SCH-8, SCH-9: after each failure it waits longer; after three it is tripped, and says so; a reset sets it going."""
    world = World(fails=frozenset(range(3)))
    async with open_process(world, [plain(world, Every(1), trip_after=3)]) as process:
        await trio.sleep(0.5)
        status = process.scheduler.status("s")
        assert (status.state, status.streak, status.last_error) == (ScheduleState.BACKING_OFF, 1, "ValueError: no")
        assert status.eligible_at == status.next_firing == time_of(10)
        await trio.sleep(100)
        assert world.times == [0, 10, 30]
        status = process.scheduler.status("s")
        assert (status.state, status.streak, status.next_firing) == (ScheduleState.TRIPPED, 3, None)
        with pytest.raises(ScheduleTripped, match="failed 3 times in a row, the last time with ValueError: no"):
            await process.scheduler.trigger("s")
        assert "it is tripped" in caplog.text
        await process.scheduler.reset("s")
        await trio.sleep(1.5)
        assert world.times == [0, 10, 30, 100.5, 101.5]  # G-SCH-8: at once, not when the loop would have looked
        assert process.scheduler.status("s").state is ScheduleState.IDLE


async def test_a_trigger_ignores_a_backoff(autojump_clock: MockClock) -> None:
    """SCH-7: who triggers fires within a back-off; a success ends it, and the next firing is on time again."""
    world = World(fails=frozenset([0]))
    async with open_process(world, [plain(world, Every(20))]) as process:
        await trio.sleep(3)
        await process.scheduler.trigger("s")
        await wait_all_tasks_blocked()
        status = process.scheduler.status("s")
        assert (status.state, status.streak, status.next_firing) == (ScheduleState.IDLE, 0, time_of(23))


async def test_a_failure_that_was_triggered_counts(autojump_clock: MockClock) -> None:
    """G-SCH-8: while it waits for its next instant, a run that was triggered fails: that instant is put off."""
    world = World(fails=frozenset([1]))
    async with open_process(
        world, [plain(world, Every(20), backoff=Backoff(base=50, maximum=50, jitter=0))]
    ) as process:
        await trio.sleep(15)
        await process.scheduler.trigger("s")
        await trio.sleep(60)
    assert world.times == [0, 15, 65]


async def test_a_cancel(autojump_clock: MockClock) -> None:
    """SCH-11: it cancels the run that goes on, counts as no failure, and later ones come; without one it does nothing."""
    world = World(takes=lambda _: 50)
    async with open_process(world, [plain(world)]) as process:
        await process.scheduler.cancel("s")
        await trio.sleep(70)
        await process.scheduler.cancel("s", "not now")
        await wait_all_tasks_blocked()
        status = process.scheduler.status("s")
        assert (status.state, status.streak, status.runs) == (ScheduleState.IDLE, 0, ())
        await trio.sleep(60)
        await process.scheduler.cancel("s")
        with pytest.raises(ScheduleNotFound):
            await process.scheduler.cancel("t")
    assert world.times == [60, 120]


async def test_a_cancel_that_is_not_clean(autojump_clock: MockClock) -> None:
    """SCH-11: a run that is cancelled and can't be undone has failed."""

    class Step(Enum):
        PAY = 1
        SHIP = 2
        DONE = 3

    saga = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], defaults=TaskConfig.minimal())

    @saga.compensatable(Step.PAY)
    async def pay() -> tuple[Literal[Step.SHIP], str]:
        return Step.SHIP, "receipt"

    @pay.compensate
    async def refund(receipt: str) -> None:
        raise KeyError(receipt)

    @saga.task(Step.SHIP)
    async def ship() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    async with open_process(World(), [Schedule("s", saga, Every(60), backoff=EXACT)]) as process:
        await trio.sleep(5)
        await process.scheduler.cancel("s")
        await trio.sleep(5)  # the compensation is tried again
        status = process.scheduler.status("s")
        assert (status.state, status.streak) == (ScheduleState.BACKING_OFF, 1)
        assert status.last_error is not None
        assert status.last_error.startswith("RollbackFailed")


async def test_data_that_can_not_be_made(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A failure to make the data is one of the schedule: it backs off, and goes on; who triggers is told."""
    world = World()
    workflow: Workflow[Any, Note] = world.workflow(data=Note)  # type: ignore[assignment]

    def broken(instant: datetime) -> Note:
        if instant < time_of(100):
            raise KeyError("x")
        return Note("")

    schedule = Schedule("s", workflow, MINUTELY, data=broken, backoff=EXACT)
    async with open_process(world, [schedule]) as process:
        with pytest.raises(KeyError):
            await process.scheduler.trigger("s")
        assert process.scheduler.status("s").run_count == 0
        await trio.sleep(61)
        status = process.scheduler.status("s")
        assert (status.state, status.last_error, status.run_count) == (ScheduleState.BACKING_OFF, "KeyError: 'x'", 0)
        await trio.sleep(60)
    assert world.times == [120]
    assert "could not start s@2030-01-01T00:01:00Z" in caplog.text


async def test_a_trigger_that_can_not_start(autojump_clock: MockClock) -> None:
    """What starting a run raises goes to who triggered it, and nothing has happened."""
    world = World()
    workflow: Workflow[Any, Note] = world.workflow(data=Note)  # type: ignore[assignment]
    async with open_process(world, [Schedule("s", workflow, Manual(), data=note_of)]) as process:
        before = process.scheduler.status("s")
        with pytest.raises(TypeError):
            await process.scheduler.trigger("s", 3)
        assert process.scheduler.status("s") == before
        await process.scheduler.trigger("s")
        assert process.scheduler.status("s").run_count == 1


# -- what may be done with it


async def test_pause_and_resume(autojump_clock: MockClock) -> None:
    """G-SCH-4: paused, nothing fires and nothing can be triggered; what was due is passed over at the resume."""
    world = World(takes=lambda _: 10)
    async with open_process(world, [plain(world)]) as process:
        await trio.sleep(65)
        await process.scheduler.pause("s")
        status = process.scheduler.status("s")
        assert (status.state, status.paused, status.next_firing) == (ScheduleState.RUNNING, True, None)
        await trio.sleep(100)
        assert process.scheduler.status("s").state is ScheduleState.PAUSED
        with pytest.raises(SchedulePaused, match="Resume it"):
            await process.scheduler.trigger("s")
        await process.scheduler.resume("s")
        await trio.sleep(20)
    assert world.times == [60, 180]


@pytest.mark.parametrize("order", [("trigger", "pause"), ("pause", "trigger")])
async def test_a_pause_and_a_trigger_at_once(order: tuple[str, str], autojump_clock: MockClock) -> None:
    """Whoever is first: the run has started and goes on, or the trigger is refused and there is none; paused it is."""
    world = World(takes=lambda _: 10)
    refused: list[Exception] = []

    async def ask(process: Process, what: str) -> None:
        try:
            await getattr(process.scheduler, what)("s")
        except SchedulePaused as error:
            refused.append(error)

    async with open_process(world, [plain(world, Manual())]) as process:
        for what in order:
            process.nursery.start_soon(ask, process, what)
        await trio.sleep(5)
        status = process.scheduler.status("s")
        assert status.paused
        assert len(world.begun) == status.run_count == len(status.runs) == 1 - len(refused)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_pause_while_a_run_waits_for_its_slot(fails: bool, autojump_clock: MockClock) -> None:  # noqa: FBT001
    """A run that is accepted goes on, and is not started again; one that then can't be started has never been."""
    world = World(takes=lambda _: 10)
    workflow: Workflow[Any, Note] = world.workflow(data=Note)  # type: ignore[assignment]
    schedules: list[Schedule[Any]] = [
        plain(world, Every(1000), "first"),
        Schedule("s", workflow, Manual(), data=note_of),
    ]
    told: list[str] = []

    async def trigger(process: Process) -> None:
        try:
            told.append((await process.scheduler.trigger("s", 3 if fails else None)).id)
        except TypeError:
            told.append("refused")

    async with open_process(world, schedules, limit=1) as process:
        await trio.sleep(1)
        process.nursery.start_soon(trigger, process)
        await trio.sleep(1)
        await process.scheduler.pause("s")
        await trio.sleep(10)
        status = process.scheduler.status("s")
        assert told == (["refused"] if fails else ["s@2030-01-01T00:00:01Z#1"])
        assert status.paused
        assert (status.run_count, status.runs) == ((0, ()) if fails else (1, (told[0],)))
        await trio.sleep(10)
        assert process.scheduler.status("s").state is ScheduleState.PAUSED
    assert len(world.times) == 2 - fails


async def test_add_and_remove(autojump_clock: MockClock) -> None:
    """G-SCH-4: schedules come and go while others fire; a run that goes on does, and what came of it is noted."""
    world = World(takes=lambda _: 100, fails=frozenset([0]))
    async with open_process(world, [plain(world, Manual(), "a")]) as process:
        await process.scheduler.add(plain(world, Every(1000), "b"))
        assert [status.name for status in process.scheduler.list()] == ["a", "b"]
        await trio.sleep(10)
        process.scheduler.remove("b")
        for ask in (process.scheduler.status, process.scheduler.remove):
            with pytest.raises(ScheduleNotFound, match="There are: 'a'"):
                ask("b")
        assert world.going_on == 1
        await trio.sleep(50)
        await process.scheduler.add(plain(world, Every(1000), "b"))
        assert process.scheduler.status("b").state is ScheduleState.RUNNING
        await trio.sleep(45)
        assert process.scheduler.status("b").streak == 1
        process.scheduler.remove("a")
        await trio.sleep(2000)
    assert world.times == [0, 1100]


async def test_who_waits_for_what_is_removed(autojump_clock: MockClock) -> None:
    """A trigger that waits in line is told when its schedule is removed, and does not wait for ever."""
    world = World(takes=lambda _: 1000)
    async with open_process(world, [plain(world, Manual(), overlap="queue")]) as process:
        await process.scheduler.trigger("s")

        async def remove() -> None:
            await trio.sleep(5)
            process.scheduler.remove("s")

        process.nursery.start_soon(remove)
        with pytest.raises(ScheduleNotFound, match="There are none"):
            await process.scheduler.trigger("s")
        assert trio.current_time() == 5


async def test_what_can_not_be_added(autojump_clock: MockClock) -> None:
    """SCH-1, SCH-2: two of a name, and a workflow that is wrong, are refused before anything fires, and leave nothing."""
    world = World()

    class Broken(Enum):
        WORK = 1
        DONE = 2

    broken = Schedule("broken", Workflow(Broken, initial=Broken.WORK, exits=[Broken.DONE]), MINUTELY)
    nobody: Any = None
    with pytest.raises(DuplicateSchedule, match="Give the second one another name"):
        Scheduler(nobody, None, [plain(world), plain(world)])
    with pytest.raises(DefinitionError, match="E01"):
        Scheduler(nobody, None, [plain(world), broken])
    async with open_process(world, [plain(world)]) as process:
        with pytest.raises(DuplicateSchedule):
            await process.scheduler.add(plain(world))
        with pytest.raises(DefinitionError, match="E01"):
            await process.scheduler.add(broken)
        assert [status.name for status in process.scheduler.list()] == ["s"]
        for ask in (
            process.scheduler.pause,
            process.scheduler.resume,
            process.scheduler.reset,
            process.scheduler.trigger,
        ):
            with pytest.raises(ScheduleNotFound):
                await ask("t")


async def test_it_is_stopped(autojump_clock: MockClock) -> None:
    """SCH-12, G-SCH-6: nothing fires any more, whoever asks or waits is told so, and runs in flight are left to the runtime."""
    world = World(takes=lambda _: 100)
    closed: list[str] = []

    async def wait_in_line(process: Process) -> None:
        with pytest.raises(ScheduleClosed):
            await process.scheduler.trigger("s")
        closed.append("s")

    async with open_process(world, [plain(world, Every(1), overlap="queue"), plain(world, MINUTELY, "t")]) as process:
        await trio.sleep(10)
        process.nursery.start_soon(wait_in_line, process)
        await wait_all_tasks_blocked()
        process.scheduler.stop()
        await wait_all_tasks_blocked()
        assert closed == ["s"]
        for ask in (partial(process.scheduler.trigger, "t"), partial(process.scheduler.add, plain(world, name="u"))):
            with pytest.raises(ScheduleClosed, match="closing or closed"):
                await ask()
        assert process.scheduler.status("s").state is ScheduleState.RUNNING
    assert (world.times, trio.current_time()) == ([0], 100)
    assert process.scheduler.status("s").state is ScheduleState.IDLE  # what came of it is noted


async def test_status(autojump_clock: MockClock) -> None:
    """SCH-17: all schedules in the order in which they came, with what each does and when it fires next."""
    world = World(takes=lambda _: 10)
    schedules = [plain(world, Every(100), "b"), plain(world, Cron("0 3 * * *"), "a"), plain(world, Manual(), "c")]
    async with open_process(world, schedules) as process:
        await trio.sleep(5)
        b, a, c = process.scheduler.list()
        assert [status.name for status in (b, a, c)] == ["b", "a", "c"]
        assert [status.next_firing for status in (b, a, c)] == [None, time_of(3 * 3600), None]
        assert (b.state, b.runs, b.last_firing) == (ScheduleState.RUNNING, ("b@2030-01-01T00:00:00Z",), time_of(0))
        await trio.sleep(10)
        assert process.scheduler.status("b").next_firing == time_of(110)


# -- clocks that are set


@pytest.mark.parametrize("misfire, first", [("skip", 62), ("run_once", 61), ("run_all", 3)])
async def test_a_clock_that_is_set_forward(misfire: str, first: int, autojump_clock: MockClock) -> None:
    """What the clock leaps over is missed, and its policy decides; then all goes on by the new time."""
    world, clock = World(), Clock()
    async with open_process(world, [plain(world, misfire=misfire)], now=clock) as process:
        await trio.sleep(130)
        clock.set_by = timedelta(hours=1)
        process.scheduler.notice()
        await trio.sleep(120)
    minutes = [1, 2, *range(first, 65)]
    assert world.instants == [f"{minute // 60:02}:{minute % 60:02}:00Z" for minute in minutes]
    assert world.times == [60, 120, *[130] * (63 - first), 180, 240]


async def test_a_clock_that_is_set_back(autojump_clock: MockClock) -> None:
    """No instant fires twice: by the clock's second hour nothing fires that has fired in the first."""
    world, clock = World(), Clock()
    async with open_process(world, [plain(world, Every(1200, fixed_rate=True))], now=clock) as process:
        await trio.sleep(3700)
        clock.set_by = timedelta(hours=-1)
        process.scheduler.notice()
        await trio.sleep(7200)
    assert world.instants == ["00:20:00Z", "00:40:00Z", "01:00:00Z", "01:20:00Z", "01:40:00Z", "02:00:00Z"]
    assert world.times == [1200, 2400, 3600, 8400, 9600, 10800]


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_does_not_change_how_long_things_take(hours: int, autojump_clock: MockClock) -> None:
    """A fixed delay and a back-off have as long to go as before, whichever way the clock is set."""
    good, bad, clock = World(), World(fails=frozenset([0])), Clock()
    async with open_process(
        good, [plain(good, Every(300), "delay"), plain(bad, Every(1), "backoff")], now=clock
    ) as process:
        await trio.sleep(5)
        clock.set_by = timedelta(hours=hours)
        process.scheduler.notice()
        await trio.sleep(5.5)
        process.scheduler.remove("backoff")
        await trio.sleep(300)
    assert (good.times, bad.times) == ([0, 300], [0, 10])


async def test_a_clock_is_looked_at_again(autojump_clock: MockClock) -> None:
    """Whoever waits for an instant far away looks at the clock every 30 s, and so notices in time that it was set."""
    world, clock = World(), Clock()
    async with open_process(world, [plain(world, Cron("0 3 * * *"))], now=clock, longest_sleep=lambda: 30.0):
        await trio.sleep(70)
        clock.set_by = timedelta(hours=3, seconds=-95)
        await trio.sleep(30)
    assert world.times == [95]
