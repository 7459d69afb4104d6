"""Runs that an operator holds and lets go on."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    Resources,
    Retry,
    RunAlreadyEnded,
    RunCancelled,
    RunContext,
    RunFailed,
    RunStatus,
    RuntimeNeeded,
    RunTimeout,
    Workflow,
    open_runtime,
)
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Note, Step, World, begin, desk, opened


@pytest.mark.parametrize(
    "plan, paused_at, state, end",
    [
        (["work 100", "work 1"], 100, Step.WORK, 1001),  # the state in which a task is at work is finished first
        (["ask"], 5, Step.ASK, 1000),
        (["nap 50"], 5, Step.NAP, 1000),
        (["nap 5000"], 5, Step.NAP, 5000),
        (["look 3"], 5, Step.LOOK, 1100),
        (["call 5000"], 5, Step.CALL, 5000),
    ],
)
async def test_a_run_that_is_held_stays_where_it_is(
    plan: list[str], paused_at: float, state: Step, end: float, world: World, autojump_clock: MockClock
) -> None:
    """`pause` returns when the run is held, after the state in which a task is at work; its due times pass meanwhile."""
    journal = MemoryJournal()
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, *plan, run_id="r")
        await trio.sleep(5)
        await run.pause("wait for Mo")
        assert (trio.current_time(), run.status, run.state) == (paused_at, RunStatus.PAUSED, state)
        position = (await journal.load("r")).record.position
        assert (position.status, position.reason) == (RunStatus.PAUSED, "wait for Mo")
        await run.send(Note())
        effects = [*world.effects]
        await trio.sleep_until(1000)
        assert (world.effects, run.status) == (effects, RunStatus.PAUSED)
        await run.resume()
        assert (await run.wait()).state is Step.DONE
        assert trio.current_time() == end


class Way(Enum):
    TRY = auto()
    OTHERWISE = auto()
    UNDO = auto()
    DONE = auto()


led = Workflow(Way, initial=Way.TRY, exits=[Way.DONE], name="led", timeout=500)


@led.task(Way.TRY, retry=Retry.none(), on_error={OSError: Way.OTHERWISE})
async def attempt(world: World, ctx: RunContext) -> Literal[Way.UNDO]:
    world.act(ctx)
    await trio.sleep(10)
    raise OSError


@led.task(Way.OTHERWISE)
async def go_another_way(world: World, ctx: RunContext) -> Literal[Way.DONE]:
    world.act(ctx)
    await trio.sleep(10)
    return Way.DONE


@led.compensatable(Way.UNDO)
async def do(world: World, ctx: RunContext) -> tuple[Literal[Way.TRY], int]:
    world.act(ctx)
    return Way.TRY, 1


@do.compensate
async def undo(receipt: int, world: World, ctx: RunContext) -> None:
    world.act(ctx)
    await trio.sleep(10)


async def test_a_state_that_fails_is_finished_too(world: World, autojump_clock: MockClock) -> None:
    """A run that is held while a state fails stays in the state to which the failure leads; that does not begin."""
    async with open_runtime(workflows=[led], resources=Resources(world=world), journal=MemoryJournal()) as runtime:
        run = await runtime.start(led, run_id="r")
        await trio.sleep(5)
        await run.pause()
        assert (trio.current_time(), run.state, world.effects) == (10, Way.OTHERWISE, ["r/0"])
        await run.resume()
        await run.wait()
        assert (trio.current_time(), world.effects) == (20, ["r/0", "r/1"])


async def test_a_rollback_can_not_be_held(world: World, autojump_clock: MockClock) -> None:
    """A run that is undone is not held, and does not turn forward again when it is released with a pause on its way."""
    journal = MemoryJournal()
    async with journal:
        async with open_runtime(workflows=[led], resources=Resources(world=world), journal=journal) as runtime:
            run = await runtime.start(led, start=Way.UNDO, run_id="r")
            await trio.sleep(5)
            run.cancel("no need")
            await trio.sleep(1)
            with trio.move_on_after(1):
                await run.pause()
            await runtime.drain(grace=1)
        assert (await journal.load("r")).record.position.status is RunStatus.ROLLING_BACK
        async with open_runtime(workflows=[led], resources=Resources(world=world), journal=journal) as runtime:
            run = await runtime.get(led, "r")
            with pytest.raises(RunAlreadyEnded, match="can't be paused"):
                await run.pause()
            with pytest.raises(RunCancelled, match="no need"):
                await run.wait()
    assert world.effects == ["r/0", "r/1", "r/0/undo", "r/0/undo"]


@pytest.mark.parametrize("delay", [0, 50])
async def test_a_run_that_has_not_begun_is_held(delay: float, world: World, autojump_clock: MockClock) -> None:
    """A run that waits for a slot, or for its time, begins when it is resumed, and not before; its timeout begins then."""
    async with open_runtime(
        workflows=[led], resources=Resources(world=world), journal=MemoryJournal(), limit=1
    ) as runtime:
        first = await runtime.start(led)
        run = await runtime.start(led, run_id="r", delay=delay)
        await trio.sleep(5)
        await run.pause("not yet")
        assert run.status is RunStatus.PAUSED
        await first.wait()
        await trio.sleep_until(1000)
        assert world.began("r/0") == 0
        await run.resume()
        await run.wait()
        assert trio.current_time() == 1020


async def test_a_timeout_passes_while_a_run_is_held(world: World, autojump_clock: MockClock) -> None:
    """A run that is held past its timeout has none left when it goes on."""
    async with open_runtime(workflows=[led], resources=Resources(world=world), journal=MemoryJournal()) as runtime:
        run = await runtime.start(led, run_id="r")
        await run.pause()
        await trio.sleep(600)
        assert run.status is RunStatus.PAUSED
        await run.resume()
        with pytest.raises(RunFailed) as caught:
            await run.wait()
        assert isinstance(caught.value.__cause__, RunTimeout)
    assert world.effects == ["r/0"]


async def test_a_run_that_was_held_before_it_began_has_a_timeout(world: World, autojump_clock: MockClock) -> None:
    """The timeout of a run that was held before it began is written down when it begins: it counts on in the next process."""
    journal = MemoryJournal()
    async with journal:
        async with open_runtime(workflows=[led], resources=Resources(world=world), journal=journal) as runtime:
            run = await runtime.start(led, run_id="r", delay=5)
            await run.pause()
            await run.resume()
            await runtime.drain(0)
        await trio.sleep(600)
        async with open_runtime(workflows=[led], resources=Resources(world=world), journal=journal) as runtime:
            run = await runtime.get(led, "r")
            with pytest.raises(RunFailed, match="RunTimeout"):
                await run.wait()


async def test_what_can_not_be_held(world: World, autojump_clock: MockClock) -> None:
    """A run that is over is not held, nor is one that could not go on."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "work 1")
        await run.wait()
        with pytest.raises(RunAlreadyEnded, match="can't be paused: it is completed"):
            await run.pause()
        with pytest.raises(RunAlreadyEnded, match="can't be resumed: it is completed"):
            await run.resume()
    async with opened(world) as runtime:
        run = await begin(runtime, "work 1")
        with pytest.raises(RuntimeNeeded):
            await run.pause()
        with pytest.raises(RuntimeNeeded):
            await run.resume()


async def test_it_ends_before_it_is_held(world: World, autojump_clock: MockClock) -> None:
    """A run whose last state ends while it is to be held is over, and whoever wanted to hold it is told."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "work 5")
        with pytest.raises(RunAlreadyEnded):
            await run.pause()
        assert (trio.current_time(), run.status) == (5, RunStatus.COMPLETED)


async def test_it_is_resumed_before_it_is_held(world: World, autojump_clock: MockClock) -> None:
    """`resume` takes back a `pause` that is still waiting for the present state: nobody waits any more, and the run goes on."""
    async with opened(world, journal=MemoryJournal()) as runtime, trio.open_nursery() as nursery:
        run = await begin(runtime, "work 5", "work 5")
        nursery.start_soon(run.pause)
        await trio.sleep(2)
        await run.resume()
        await run.wait()
        assert trio.current_time() == 10


async def test_it_stays_held_over_restarts(world: World, autojump_clock: MockClock) -> None:
    """A run that is held is claimed by nobody, in no runtime, until somebody resumes it: from any of them."""
    journal = MemoryJournal()
    async with journal:
        async with opened(world, journal=journal) as runtime:
            run = await begin(runtime, "ask", run_id="r")
            await run.pause("no")
            await run.send(Note())
        async with opened(world, journal=journal) as runtime:
            run = await runtime.get(desk, "r")
            await trio.sleep(1000)
            assert (run.status, world.effects) == (RunStatus.PAUSED, [])
            told = (await runtime.runs())[0]
            assert (told.status, told.reason) == (RunStatus.PAUSED, "no")
            await run.pause("still")
            await run.resume()
            assert (await run.wait()).data.heard == ["yes"]


async def test_it_is_cancelled_while_it_is_held(world: World, autojump_clock: MockClock) -> None:
    """A run that is held can be cancelled, and is undone."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "book", "work 5", "work 1", run_id="r")
        await trio.sleep(1)
        await run.pause()
        run.cancel("enough")
        with pytest.raises(RunCancelled, match="enough"):
            await run.wait()
    assert world.effects == ["r/0", "r/1", "r/0/undo"]


@pytest.mark.parametrize("plan", ["ask", "work 100", "nap 100"])
async def test_a_run_of_another_process_is_held(plan: str, world: World, autojump_clock: MockClock) -> None:
    """A run that another process carries out is held by it, as soon as its state is finished, and resumed from anywhere."""
    journal = MemoryJournal()
    async with (
        opened(world, journal=journal) as runtime,
        opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
    ):
        run = await begin(runtime, plan, "work 1", run_id="r")
        theirs = await other.get(desk, "r")
        await trio.sleep(1)
        await theirs.pause("from afar")
        assert trio.current_time() == (100 if plan == "work 100" else 1)
        assert (theirs.status, run.status) == (RunStatus.PAUSED, RunStatus.PAUSED)
        assert (await journal.load("r")).record.position.reason == "from afar"
        await run.send(Note())
        await trio.sleep_until(500)
        await run.resume()
        assert (await theirs.wait()).state is (await run.wait()).state is Step.DONE
    assert world.began("r/1") == 1


async def test_two_processes_hold_a_run(world: World, autojump_clock: MockClock) -> None:
    """However many hold a run, one `resume` lets it go on."""
    journal = MemoryJournal()
    async with (
        opened(world, journal=journal) as runtime,
        opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
        trio.open_nursery() as nursery,
    ):
        run = await begin(runtime, "work 100", "work 1", run_id="r")
        theirs = await other.get(desk, "r")
        await trio.sleep(1)
        for holder in (theirs, run, theirs):
            nursery.start_soon(holder.pause)
        await trio.sleep(200)
        assert (theirs.status, run.status) == (RunStatus.PAUSED, RunStatus.PAUSED)
        await run.resume()
        await run.wait()
        assert trio.current_time() == 202


async def test_it_is_held_again_while_it_is_let_go(world: World, autojump_clock: MockClock) -> None:
    """A request to hold a run that comes when it has just been held is met by that, and does not outlive its `resume`."""
    journal = MemoryJournal()
    async with (
        opened(world, journal=journal) as runtime,
        opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
    ):
        for steps in range(8):
            run = await begin(runtime, "ask", run_id=f"r{steps}")
            theirs = await other.get(desk, run.id)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.pause)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                await theirs.pause()
            await run.resume()
            await run.send(Note())
            assert (await run.wait()).state is Step.DONE
