"""Handles of a runtime's runs: waiting for the end and for states, events, retries, reading, and what becomes of them."""

from __future__ import annotations

import gc
import logging
import weakref
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable
from enum import Enum, auto
from typing import Any, Literal, TypeVar

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    DefinitionError,
    Event,
    EventsLost,
    HealthStatus,
    JournalError,
    JournalUnavailable,
    RecordedFailure,
    Resources,
    Retry,
    Run,
    RunAlreadyEnded,
    RunCancelled,
    RunContext,
    RunEnded,
    RunFailed,
    RunNotFound,
    RunReleased,
    RunStatus,
    RuntimeClosed,
    Stuck,
    Workflow,
    WorkflowNotFound,
    open_runtime,
)
from cano_trio.journals import ForwardingJournal, MemoryJournal
from tests.conftest import Recorder
from tests.runtime.desk import Inner, Job, Note, Step, World, begin, desk, opened, process

T = TypeVar("T")


@pytest.mark.parametrize("written", [False, True])
async def test_each_waiter_gets_an_error_of_its_own(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """Any number may wait for a run that fails: each gets its own error, from the one failure, with the run's context."""
    errors: list[RunFailed] = []

    async def wait(run: Run[Step, Job]) -> None:
        with pytest.raises(RunFailed, match="it can't be done") as caught:
            await run.wait()
        errors.append(caught.value)

    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        run = await begin(runtime, "work 5", "fail", run_id="r")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait, run)
        await wait(run)
    assert len({id(error) for error in errors}) == 4
    assert len({id(error.__cause__) for error in errors}) == 1
    assert isinstance(errors[0].__cause__, OSError)
    assert (errors[0].run_id, errors[0].status) == ("r", "failed")


@pytest.mark.parametrize("plan", ["work 100", "nap 100"])
async def test_a_waiter_that_goes_away_does_not_hurt_the_run(
    plan: str, world: World, autojump_clock: MockClock
) -> None:
    """That a waiter is cancelled is nothing to the run, nor to the others, be it at work here or let go to the journal."""
    async with opened(world, journal=MemoryJournal()) as runtime, trio.open_nursery() as nursery:
        run = await begin(runtime, plan)
        nursery.start_soon(run.wait)
        with trio.move_on_after(80) as scope:
            await run.wait()
        assert scope.cancelled_caught
        assert (await run.wait()).state is Step.DONE
        assert trio.current_time() == 100


async def test_the_result_is_each_ones_own(world: World, autojump_clock: MockClock) -> None:
    """Each waiter gets data of its own: what one does to them the next does not see."""
    async with opened(world) as runtime:
        run = await begin(runtime, "work 1")
        (await run.wait()).data.heard.append("changed")
        assert (await run.wait()).data.heard == run.data.heard == []


@pytest.mark.parametrize("written", [False, True])
async def test_waiting_for_a_state(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """It is told of states that were entered long ago, of those that come, also while the run is let go, and of the exit."""
    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        run = await begin(runtime, "work 5", "nap 100", "book", "nap 100")
        assert await run.wait_state(Step.WORK) is Step.WORK
        assert trio.current_time() == 0
        assert await run.wait_state(Step.BOOK, Step.FAIL) is Step.BOOK
        assert trio.current_time() == 105
        assert await run.wait_state(Step.BOOK, Step.NAP, Step.DONE) is Step.NAP  # the first that it has entered
        await trio.sleep(80)
        assert await run.wait_state(Step.WORK) is Step.WORK
        assert await run.wait_state(Step.DONE) is Step.DONE
        assert trio.current_time() == 205
        assert await run.wait_state(Step.WORK) is Step.WORK
        with pytest.raises(RunAlreadyEnded, match="enters none of FAIL, LOOK any more: it is completed"):
            await run.wait_state(Step.FAIL, Step.LOOK)
        with pytest.raises(ValueError, match="name the states"):
            await run.wait_state()
        for stranger in ("DONE", Inner.DONE, None):
            with pytest.raises(ValueError, match="is no state of Step"):
                await run.wait_state(stranger)  # type: ignore[arg-type]


class SlowToTell(ForwardingJournal):
    """A journal that once takes its time to tell a run's history."""

    is_slow = True

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        told = await super().forward(method, call)
        if method == "history" and self.is_slow:
            self.is_slow = False
            await trio.sleep(30)
        return told


@pytest.mark.parametrize("plan", [["nap 100", "book"], ["nap 100", "book", "ask"]])
async def test_a_state_that_is_entered_while_one_looks(
    plan: list[str], world: World, autojump_clock: MockClock
) -> None:
    """A state that comes while somebody reads in the journal which ones were entered, is told, even if the run has ended since."""
    async with opened(world, journal=SlowToTell(MemoryJournal()), unload_after=90) as runtime:
        run = await begin(runtime, *plan)
        await trio.sleep(95)
        assert runtime.statistics().at_work == 0
        assert await run.wait_state(Step.BOOK) is Step.BOOK
        assert trio.current_time() == 125
        run.cancel()


@pytest.mark.parametrize("written", [False, True])
async def test_waiting_for_a_state_that_does_not_come(
    world: World, autojump_clock: MockClock, *, written: bool
) -> None:
    """A run that fails, or is let go, before it has entered the state tells so."""
    journal = MemoryJournal() if written else None
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "work 5", "fail", run_id="failing")
        with pytest.raises(RunAlreadyEnded, match="it is failed"):
            await run.wait_state(Step.DONE)
        other = await begin(runtime, "work 50", "book", run_id="other")

        async def wait() -> None:
            with pytest.raises(RunReleased if written else RunAlreadyEnded):
                await other.wait_state(Step.BOOK)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(1)
            await runtime.drain(1)
            if not written:
                assert other.status is RunStatus.CANCELLED


async def test_events_are_read_at_leisure(world: World, autojump_clock: MockClock) -> None:
    """A reader gets what happens from when it listens on, in order, and is done behind the end; the run never waits for it."""
    async with opened(world) as runtime:
        run = await begin(runtime, "work 5", "work 5")
        await trio.sleep(1)
        with run.events() as events:
            await run.wait()
            kinds = [type(event).__name__ async for event in events]
        assert kinds == ["TaskSucceeded", "StateEntered", "TaskSucceeded", "StateEntered", "RunEnded"]
        with run.events() as events:
            assert [event async for event in events] == []
        with pytest.raises(trio.ClosedResourceError):
            await anext(events)


async def test_a_slow_reader_loses_events_and_is_told_how_many(world: World, autojump_clock: MockClock) -> None:
    """Whoever reads too slowly for the buffer gets the latest, and in place of the others how many they were."""
    async with opened(world) as runtime:
        run = await begin(runtime, *["work 1"] * 10, delay=1)
        with run.events(buffer=4) as events:
            await run.wait()
            read = [event async for event in events]
        lost = read[0]
        assert isinstance(lost, EventsLost)
        assert len(read) == 5
        assert isinstance(read[-1], RunEnded)
        assert lost.lost + 4 == 1 + 11 + 10 + 1  # it begins, enters eleven states, finishes ten, and ends
        for buffer in (0, -1, True, 1.5):
            with pytest.raises(ValueError, match="buffer is"):
                run.events(buffer=buffer)  # type: ignore[arg-type]


async def test_two_readers_of_the_same_events(world: World, autojump_clock: MockClock) -> None:
    """Of two who read from one stream each event goes to one, and both are told of the end."""
    ends: list[float] = []
    read: list[str] = []

    async def reader(events: AsyncIterable[Event]) -> None:
        read.extend([type(event).__name__ async for event in events])
        ends.append(trio.current_time())

    async with opened(world) as runtime:
        run = await begin(runtime, "work 5", "work 5", delay=1)
        with run.events() as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader, events)
                nursery.start_soon(reader, events)
    assert ends == [11, 11]
    assert sorted(read) == sorted(["RunStarted", *["StateEntered"] * 3, *["TaskSucceeded"] * 2, "RunEnded"])


async def test_events_go_on_behind_being_let_go(world: World, autojump_clock: MockClock) -> None:
    """A reader hears of the whole life of a run that is let go and comes back, until its end."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "nap 100", "nap 100")
        with run.events() as events:
            kinds = [type(event).__name__ async for event in events]
        assert Counter(kinds)["Released"] == Counter(kinds)["RunResumed"] == 2
        assert kinds[-1] == "RunEnded"
        assert trio.current_time() == 200


async def test_events_end_when_nothing_more_is_heard(world: World, autojump_clock: MockClock) -> None:
    """A reader is done when the runtime lets the run go for good, or when somebody else leaves the block."""
    async with opened(world, journal=MemoryJournal()) as runtime, trio.open_nursery() as nursery:
        run = await begin(runtime, "work 100")
        done: list[str] = []

        async def read() -> None:
            with run.events() as events:
                done.extend([type(event).__name__ async for event in events])

        nursery.start_soon(read)
        await trio.sleep(1)
        await runtime.drain(1)
        await trio.sleep(1)
        assert done[-1] == "Released"


class Level(Enum):
    DOWN = auto()
    DONE = auto()


class Floor(Enum):
    DOWN = auto()
    REST = auto()
    DONE = auto()


async def test_events_of_a_child_of_the_same_name_do_not_end_them(autojump_clock: MockClock) -> None:
    """A workflow that is its own child ends many times over; a reader reads until the run itself is over."""
    flow = Workflow(Floor, initial=Floor.DOWN, exits=[Floor.DONE], name="flow")
    inner = Workflow(Level, initial=Level.DOWN, exits=[Level.DONE], name="flow")

    @inner.task(Level.DOWN)
    async def down() -> Literal[Level.DONE]:
        return Level.DONE

    flow.register_child(Floor.DOWN, inner, {Level.DONE: Floor.REST})

    @flow.task(Floor.REST)
    async def rest() -> Literal[Floor.DONE]:
        await trio.sleep(10)
        return Floor.DONE

    async with open_runtime(workflows=[flow]) as runtime:
        run = await runtime.start(flow)
        with run.events() as events:
            ends = [event.time async for event in events if isinstance(event, RunEnded)]
    assert ends == [0, 10]


async def test_cancelled_before_its_first_step(world: World, autojump_clock: MockClock) -> None:
    """A run that is cancelled before its task has begun does nothing, with a journal and without."""
    for journal in (None, MemoryJournal()):
        async with opened(world, journal=journal) as runtime:
            run = await begin(runtime, "book", run_id="r")
            run.cancel("wrong order")
            run.cancel("too late")
            with pytest.raises(RunCancelled, match="wrong order"):
                await run.wait()
            assert (world.effects, run.status) == ([], RunStatus.CANCELLED)


@pytest.mark.parametrize("plan", ["nap 1000", "ask", "look 10", "call 1000"])
async def test_cancelled_while_it_is_let_go(plan: str, world: World, autojump_clock: MockClock) -> None:
    """A run that waits in the journal is loaded, undone, and over."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "book", plan, run_id="r")
        await trio.sleep(100)
        assert runtime.statistics().at_work == 0
        run.cancel("no need")
        with pytest.raises(RunCancelled, match="no need"):
            await run.wait()
        assert (trio.current_time(), world.effects) == (100, ["r/0", "r/0/undo"])


async def test_cancelling_what_is_over_changes_nothing(world: World, autojump_clock: MockClock) -> None:
    """A run that has ended stays as it is, here and when it is read from the journal."""
    journal = MemoryJournal()
    async with journal:
        async with opened(world, journal=journal) as runtime:
            run = await begin(runtime, "work 1", run_id="done")
            failed = await begin(runtime, "fail", run_id="failed")
            await run.wait()
            await trio.sleep(1)
            run.cancel()
            failed.cancel()
        async with opened(world, journal=journal) as runtime:
            for run_id, status in (("done", RunStatus.COMPLETED), ("failed", RunStatus.FAILED)):
                run = await runtime.get(desk, run_id)
                run.cancel()
                await trio.sleep(1)
                assert (run.status, (await journal.load(run_id)).record.position.status) == (status, status)


async def test_a_failed_run_is_tried_again(world: World, autojump_clock: MockClock) -> None:
    """`retry` goes on where it failed, by the handle that saw it fail and by one read from the journal; only for such runs."""
    tries = Retry.none()
    flow = Workflow(Level, initial=Level.DOWN, exits=[Level.DONE], name="flow")

    @flow.task(Level.DOWN, retry=tries)
    async def down(world: World, ctx: RunContext) -> Literal[Level.DONE]:
        world.act(ctx)
        if len(world.effects) < 4:
            raise OSError("not yet")
        return Level.DONE

    journal = MemoryJournal()
    async with journal:
        async with open_runtime(workflows=[flow], resources=Resources(world=world), journal=journal) as runtime:
            run = await runtime.start(flow, run_id="r")
            for _ in range(2):
                with pytest.raises(RunFailed, match="not yet"):
                    await run.wait()
                assert repr(run) == "<Run 'r' failed DOWN>"
                with pytest.raises(RunAlreadyEnded, match="can't be resumed: it is failed"):
                    await run.resume()
                await run.retry()
            with pytest.raises(RunFailed):
                await run.wait()
        async with open_runtime(workflows=[flow], resources=Resources(world=world), journal=journal) as runtime:
            again = await runtime.get(flow, "r")
            with pytest.raises(RunFailed, match="not yet") as caught:
                await again.wait()
            assert isinstance(caught.value.__cause__, RecordedFailure)
            await again.retry()
            assert (await again.wait()).state is Level.DONE
            with pytest.raises(RunAlreadyEnded, match="can't be tried again: it is completed"):
                await again.retry()
    assert world.effects == ["r/0"] * 4


async def test_handles_are_got_and_data_are_read(world: World, autojump_clock: MockClock) -> None:
    """`get` gives a run wherever it is: at work, let go, held, queued, over, in another process; `read` its last data."""
    journal = MemoryJournal()
    async with (
        opened(world, journal=journal) as runtime,
        opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
    ):
        await begin(runtime, "work 1", "work 500", run_id="at work")
        await begin(runtime, "work 1", "nap 500", run_id="let go")
        await (await begin(runtime, "work 1", "nap 500", run_id="held")).pause()
        await begin(runtime, "work 1", "ask", run_id="queued", delay=500)
        await begin(runtime, "work 1", run_id="done")
        await begin(runtime, "work 1", "fail", run_id="failed")
        await trio.sleep(100)
        expected = {
            "at work": (RunStatus.RUNNING, Step.WORK, 1),
            "let go": (RunStatus.WAITING, Step.NAP, 1),
            "held": (RunStatus.PAUSED, Step.NAP, 1),
            "queued": (RunStatus.QUEUED, Step.WORK, 0),
            "done": (RunStatus.COMPLETED, Step.DONE, 1),
            "failed": (RunStatus.FAILED, Step.FAIL, 1),
        }
        for who in (runtime, other):
            for run_id, found in expected.items():
                run = await who.get(desk, run_id)
                assert (run.id, run.status, run.state, run.data.at) == (run_id, *found)
                assert (await who.read(run_id)).at == found[2]
            for missing in ("nobody", "\ud800"):
                with pytest.raises((RunNotFound, ValueError)):
                    await who.get(desk, missing)
                with pytest.raises(RunNotFound):
                    await who.read(missing)
        for run_id in expected:
            (await other.get(desk, run_id)).cancel()


async def test_a_run_of_another_workflow_is_not_got(world: World, autojump_clock: MockClock) -> None:
    """An id of a run of another workflow, or of none that the runtime knows, is refused."""
    flow = Workflow(Level, initial=Level.DOWN, exits=[Level.DONE], name="flow")

    @flow.timer(Level.DOWN)
    async def down() -> float:
        return 500

    @down.after_wait
    async def go_on() -> Literal[Level.DONE]:
        return Level.DONE

    journal = MemoryJournal()
    resources = Resources(world=world)
    async with open_runtime(workflows=[desk, flow], resources=resources, journal=journal) as runtime:
        await runtime.start(flow, run_id="r")
        for _ in range(2):
            with pytest.raises(DefinitionError, match="E29"):
                await runtime.get(desk, "r")
            await trio.sleep(100)
        assert await runtime.read("r") is None
        async with opened(world, journal=MemoryJournal(beside=journal), claim=False) as other:
            with pytest.raises(WorkflowNotFound):
                await other.get(flow, "r")
            with pytest.raises(WorkflowNotFound):
                await other.read("r")


@pytest.mark.parametrize("plan", ["work 100", "nap 100", "work 1", "fail"])
def test_handles_of_a_runtime_that_is_closed(plan: str) -> None:
    """Behind the block a handle tells where its run stood; what it can't do any more it says at once, and nothing hangs."""

    async def main() -> None:
        world, journal = World(), MemoryJournal()
        async with opened(world, journal=journal) as runtime:
            run = await begin(runtime, plan, run_id="r")
            await trio.sleep(70)
            await runtime.drain(0)
        begun = trio.current_time()
        over = plan in {"work 1", "fail"}
        assert isinstance(repr(run), str)
        assert run.data.plan == [plan]
        if plan == "work 1":
            assert (await run.wait()).state is Step.DONE
            assert await run.wait_state(Step.WORK) is Step.WORK
        else:
            with pytest.raises(RunFailed if over else RunReleased):
                await run.wait()
            with pytest.raises(RunAlreadyEnded if over else RunReleased):
                await run.wait_state(Step.DONE)
        with pytest.raises((RunAlreadyEnded, RuntimeClosed)):
            await run.send(Note())
        for verb in (run.pause, run.resume, run.retry):
            with pytest.raises((RuntimeClosed, RunAlreadyEnded)):
                await verb()
        run.cancel()
        with run.events() as events:
            assert [event async for event in events] == []
        with pytest.raises(RuntimeClosed):
            await runtime.get(desk, "other")
        with pytest.raises(RuntimeClosed):
            await begin(runtime, "work 1")
        looks: list[Callable[[], Awaitable[object]]] = [lambda: runtime.read("r"), runtime.runs, runtime.explain]
        for look in looks:
            with pytest.raises((RuntimeClosed, JournalError)):
                await look()
        assert runtime.statistics().at_work == 0
        assert trio.current_time() == begun

    process(main)


@pytest.mark.parametrize("plan", [["nap 1000"], ["ask"], ["look 20"], ["call 1000"], ["work 1"]])
async def test_nothing_is_kept_of_a_run_that_nobody_holds(
    plan: list[str], world: World, autojump_clock: MockClock
) -> None:
    """Of a run that was let go, or is over, nothing stays in memory when its handle is gone; not even until the next collection."""
    found: list[weakref.ref[Any]] = []
    gc.collect()
    gc.disable()
    try:
        async with opened(world, journal=MemoryJournal(), unload_after=10) as runtime:
            for _ in range(3):
                run = await begin(runtime, *plan)
                found.append(weakref.ref(run._actor))
                del run
            await trio.sleep(50)
            assert runtime.statistics().at_work == 0
            assert [reference() for reference in found] == [None] * 3
            await runtime.drain(0)
    finally:
        gc.enable()


async def test_a_failed_run_that_nobody_waits_for_is_logged(
    world: World, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of at ERROR, with its traceback; one for which somebody waits, or that was cancelled, is not."""
    async with opened(world) as runtime:
        await begin(runtime, "fail", run_id="alone")
        awaited = await begin(runtime, "work 1", "fail", run_id="awaited")
        with pytest.raises(RunFailed):
            await awaited.wait()
        (await begin(runtime, "work 1", run_id="cancelled")).cancel()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == ["run 'alone' is failed, and nobody waits for it"]
    assert errors[0].exc_info is not None
    assert isinstance(errors[0].exc_info[1], OSError)


async def test_a_failed_run_that_nobody_waits_for_ends_the_runtime(world: World, autojump_clock: MockClock) -> None:
    """With `on_unhandled="raise"` it comes out as an error, and stops the rest: what is written down is released."""
    journal = MemoryJournal()
    with pytest.raises(RunFailed, match="it can't be done") as caught:  # noqa: PT012
        async with opened(world, journal=journal, on_unhandled="raise") as runtime:
            await begin(runtime, "book", "work 100", run_id="r")
            await begin(runtime, "work 5", "fail")
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, OSError)
    assert trio.current_time() == 5
    async with journal:
        record = (await journal.load("r")).record
        assert (record.owner, record.position.status) == (None, RunStatus.RUNNING)


async def test_a_stuck_run_is_reported_with_its_stack(recorder: Recorder, autojump_clock: MockClock) -> None:
    """A run that is at work in one state for too long is told of once, with where its task and those below it are."""
    flow = Workflow(Level, initial=Level.DOWN, exits=[Level.DONE], name="flow")

    async def sleep_deep_down() -> None:
        await trio.sleep(100)

    @flow.task(Level.DOWN, retry=Retry.none())
    async def down() -> Literal[Level.DONE]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_deep_down)
        return Level.DONE

    async with open_runtime(workflows=[flow], observers=[recorder], stuck_after=30) as runtime:
        await runtime.start(flow, run_id="r")
    (stuck,) = recorder.of(Stuck)
    assert (stuck.run_id, stuck.state) == ("r", Level.DOWN)
    assert 30 <= stuck.seconds <= 60
    assert "sleep_deep_down" in stuck.stack
    assert "in down" in stuck.stack


@pytest.mark.parametrize("plan", [["nap 500"], ["ask"], ["look 5"], ["work 20"] * 20, ["call 500"]])
async def test_a_run_that_waits_or_goes_on_is_not_stuck(
    plan: list[str], world: World, recorder: Recorder, autojump_clock: MockClock
) -> None:
    """A wait for a time or a message is no being stuck, nor is going from state to state, be it in a child workflow."""
    async with opened(world, observers=[recorder], stuck_after=30) as runtime:
        run = await begin(runtime, *plan)
        await trio.sleep(600)
        await _send_if_open(run)
    assert recorder.of(Stuck) == []
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="stuck_after"):
            async with opened(world, stuck_after=wrong):
                pass


async def _send_if_open(run: Run[Step, Job]) -> None:
    if not run.status.ended:
        await run.send(Note())


async def test_a_child_that_goes_on_is_not_stuck(recorder: Recorder, autojump_clock: MockClock) -> None:
    """What counts is the innermost state: a child workflow that goes from state to state is at work, and not stuck."""

    class Inner(Enum):
        A = auto()
        B = auto()
        C = auto()
        DONE = auto()

    inner = Workflow(Inner, initial=Inner.A, exits=[Inner.DONE], name="inner")

    @inner.task(Inner.A)
    async def a() -> Literal[Inner.B]:
        await trio.sleep(20)
        return Inner.B

    @inner.task(Inner.B)
    async def b() -> Literal[Inner.C]:
        await trio.sleep(20)
        return Inner.C

    @inner.task(Inner.C)
    async def c() -> Literal[Inner.DONE]:
        await trio.sleep(20)
        return Inner.DONE

    flow = Workflow(Level, initial=Level.DOWN, exits=[Level.DONE], name="flow")
    flow.register_child(Level.DOWN, inner, {Inner.DONE: Level.DONE})
    async with open_runtime(workflows=[flow], observers=[recorder], stuck_after=30) as runtime:
        await runtime.start(flow)
    assert recorder.of(Stuck) == []


async def test_statistics_count(world: World, autojump_clock: MockClock) -> None:
    """The figures are those of what has happened, and of what is held at the moment."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        await begin(runtime, "work 1")
        await begin(runtime, "fail")
        await begin(runtime, "nap 100")
        await begin(runtime, "nap 30")
        await begin(runtime, "work 500")
        await begin(runtime, "work 1", delay=500)
        await trio.sleep(10)
        told = runtime.statistics()
        assert (told.at_work, told.waiting, told.queued) == (3, 2, 0)
        assert (told.started, told.claimed, told.completed, told.failed) == (6, 0, 1, 1)
        await trio.sleep(70)
        told = runtime.statistics()
        assert (told.at_work, told.waiting, told.unloaded, told.completed) == (1, 0, 1, 2)
        await trio.sleep(30)
        told = runtime.statistics()
        assert (told.claimed, told.completed) == (1, 3)
        await runtime.drain(1)
        assert (runtime.statistics().released, runtime.statistics().at_work) == (1, 0)


async def test_explain_says_of_every_run_why_it_waits(world: World, autojump_clock: MockClock) -> None:
    """P9: whatever a run waits for, here or in the journal, it is told in words, since when, and what would end it."""
    async with opened(world, journal=MemoryJournal(), limit=5) as runtime:
        await begin(runtime, "nap 1000", run_id="timer")
        await begin(runtime, "ask", run_id="message")
        await begin(runtime, "look 20", run_id="poll")
        await (await begin(runtime, "nap 100", run_id="held")).pause("tea")
        for number in range(3):
            await begin(runtime, "work 5000", run_id=f"busy{number}")
        await begin(runtime, "work 5000", run_id="slot")
        await begin(runtime, "work 1", run_id="later", delay=5000)
        await begin(runtime, "call 500", run_id="child", priority=1)
        for seconds in (10, 80):
            await trio.sleep(seconds)
            told = {info.run_id: info for info in await runtime.explain()}
            waits = {run_id: info.waits_for for run_id, info in told.items()}
            assert (waits["timer"], waits["message"], waits["poll"]) == ("timer", "message Note", "poll")
            assert (waits["held"], waits["busy0"]) == ("an operator", None)
            assert told["timer"].due_at is not None
            assert all(info.since is not None for info in told.values() if info.waits_for is not None)
            assert waits["later"] == "its time to begin"
            assert len(told) == 10  # a child is no run of its own
            for info in told.values():
                assert info.run_id in str(info)
        await runtime.drain(0)


async def test_health_is_the_worst_of_all(world: World, autojump_clock: MockClock) -> None:
    """The runtime is as well as the sickest of its resources."""

    class Replica:
        async def health(self) -> HealthStatus:
            return HealthStatus.degraded("lags")

    async with opened(world) as runtime:
        assert (await runtime.health()).is_healthy
    resources = Resources(world=world, replica=Replica())
    async with open_runtime(workflows=[desk], resources=resources) as runtime:
        assert (await runtime.health()).reason == "replica: lags"


class Away(ForwardingJournal):
    """A journal that can't be read as long as it has an error."""

    error: JournalError | None = None

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if self.error is not None:
            raise self.error
        return await super().forward(method, call)


async def test_health_tells_of_stuck_runs_and_of_the_journal(world: World, autojump_clock: MockClock) -> None:
    """A runtime is not well while a run is stuck, nor while its journal can't be read; when that is over, it is."""
    journal = Away(MemoryJournal())
    async with opened(world, journal=journal, stuck_after=10) as runtime:
        run = await begin(runtime, "work 30", "work 1", run_id="r")
        assert (await runtime.health()).is_healthy
        await trio.sleep(20)
        assert (await runtime.health()).reason == "run 'r' is stuck in WORK"
        await run.wait()
        assert (await runtime.health()).is_healthy
        journal.error = JournalUnavailable("runs.db", "the disk is full")
        status = await runtime.health()
        journal.error = None
        assert not status.is_healthy
        assert "the disk is full" in (status.reason or "")
        assert (await runtime.health()).is_healthy
