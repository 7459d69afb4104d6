"""Leaving a runtime: what becomes of its runs, and what comes out of it."""

from __future__ import annotations

import logging
import signal
from typing import Literal, TypeVar

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    Resources,
    Retry,
    Run,
    RunCancelled,
    RunFailed,
    RunReleased,
    RunStatus,
    Runtime,
    RuntimeClosed,
    Workflow,
    open_runtime,
)
from cano_trio.journals import MemoryJournal
from cano_trio.testing import FaultyJournal
from tests.runtime.desk import Job, Note, Step, World, begin, desk, opened, process

T = TypeVar("T")


@pytest.mark.parametrize("plan", ["work 100", "look 3", "nap 100", "ask", "call 100"])
async def test_a_cancel_from_outside_releases_a_run(plan: str, world: World, autojump_clock: MockClock) -> None:
    """Whatever a written run is at: a cancel of the runtime lets it go at once, undone is nothing, and it goes on in the next."""
    journal = MemoryJournal()
    async with journal:
        with trio.move_on_after(10):
            async with opened(world, journal=journal) as runtime:
                run = await begin(runtime, "book", plan, run_id="r")
                await run.wait()
        assert trio.current_time() == 10
        with pytest.raises(RunReleased):
            await run.wait()
        assert (await journal.load("r")).record.owner is None
        async with opened(world, journal=journal) as runtime:
            run = await runtime.get(desk, "r")
            await run.send(Note())
            assert (await run.wait()).state is Step.DONE
    assert world.began("r/0") == 1
    assert "r/0/undo" not in world.effects


flow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="flow")


@flow.task(Step.WORK, retry=Retry.none())
async def raise_it(error: BaseException) -> Step:
    await trio.sleep(1)
    raise error


class Escape(BaseException):
    """What no run handles."""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Escape()])
def test_what_no_run_handles_comes_out_of_the_runtime(error: BaseException) -> None:
    """A Ctrl-C that comes to a run's task, or the like, ends the runtime and leaves it bare; no cancel leaves in its place."""

    async def main() -> None:
        with pytest.raises(type(error)) as caught:  # noqa: PT012
            async with open_runtime(workflows=[flow], resources=Resources(error=error)) as runtime:
                await runtime.start(flow)
                await trio.sleep(10)
        assert (caught.value, trio.current_time()) == (error, 1)

    process(main)


async def test_two_failures_are_both_told(autojump_clock: MockClock) -> None:
    """Where the block has failed, and then a Ctrl-C comes to a run that gives way, both are told."""
    undoing = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], name="undoing")

    @undoing.compensatable(Step.BOOK)
    async def act() -> tuple[Literal[Step.WORK], int]:
        return Step.WORK, 1

    @act.compensate
    async def undo(receipt: int) -> None:
        raise KeyboardInterrupt

    @undoing.task(Step.WORK)
    async def wait() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with pytest.RaisesGroup(ValueError, KeyboardInterrupt):
        async with open_runtime(workflows=[undoing]) as runtime:
            await runtime.start(undoing)
            await trio.sleep(1)
            raise ValueError


async def test_the_blocks_own_exception_leaves_as_it_is(world: World, autojump_clock: MockClock) -> None:
    """What the block raises stops all runs at once, undoes those without a journal, and is the very exception raised."""
    error = ValueError()
    with pytest.raises(ValueError) as caught:  # noqa: PT012
        async with opened(world) as runtime:
            run = await begin(runtime, "book", "work 100", run_id="r")
            await trio.sleep(10)
            raise error
    assert (caught.value, trio.current_time()) == (error, 10)
    assert error.__context__ is None
    assert world.effects == ["r/0", "r/1", "r/0/undo"]
    with pytest.raises(RunCancelled):
        await run.wait()


async def test_a_cancel_does_not_hide_what_the_block_raised(autojump_clock: MockClock) -> None:
    """A cancel from outside that comes while runs are undone, after the block has failed, does not take its exception's place."""
    slow = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], name="slow")

    @slow.compensatable(Step.BOOK)
    async def act() -> tuple[Literal[Step.WORK], int]:
        return Step.WORK, 1

    @act.compensate
    async def undo(receipt: int) -> None:
        await trio.sleep(5)

    @slow.task(Step.WORK)
    async def wait() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with trio.move_on_after(3), pytest.raises(ValueError):  # noqa: PT012
        async with open_runtime(workflows=[slow]) as runtime:
            await runtime.start(slow)
            await trio.sleep(1)
            raise ValueError
    assert trio.current_time() == 6


async def test_who_waits_for_a_slot_is_refused_when_the_block_is_left(world: World, autojump_clock: MockClock) -> None:
    """A start that waits for a slot begins nothing any more when the block is left, and holds nobody up."""
    refused: list[float] = []

    async def start_another(runtime: Runtime) -> None:
        with pytest.raises(RuntimeClosed):
            await begin(runtime, "work 2")
        refused.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        async with opened(world, limit=1) as runtime:
            await begin(runtime, "work 2")
            nursery.start_soon(start_another, runtime)
            await trio.sleep(1)
        assert trio.current_time() == 2
    assert refused == [2]


async def test_a_start_during_which_the_runtime_fails(world: World, autojump_clock: MockClock) -> None:
    """A start that is being written down when the runtime stops is done as a whole: the run is there, held by nobody."""
    journal = FaultyJournal(MemoryJournal(), seconds=2, methods={"create", "commit"})
    handles: list[Run[Step, Job]] = []

    async def start(runtime: Runtime) -> None:
        handles.append(await begin(runtime, "work 2", run_id="r"))

    async with journal, trio.open_nursery() as nursery:
        with pytest.raises(ValueError):  # noqa: PT012
            async with opened(world, journal=journal) as runtime:
                nursery.start_soon(start, runtime)
                await trio.sleep(1)
                raise ValueError
        assert trio.current_time() == 4
        assert (await journal.load("r")).record.owner is None
        with pytest.raises(RunReleased):
            await handles[0].wait()


@pytest.mark.parametrize("written", [False, True])
async def test_leaving_waits_for_what_is_at_work(
    world: World, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, *, written: bool
) -> None:
    """The block is left when all runs are over that are at work here; whoever has to wait for long is told for what."""
    caplog.set_level(logging.INFO)
    journal = MemoryJournal() if written else None
    async with opened(world, journal=journal) as runtime:
        runs = [await begin(runtime, f"work {seconds}", run_id=f"r{seconds}") for seconds in (1, 30)]
    assert trio.current_time() == 30
    assert [run.status for run in runs] == [RunStatus.COMPLETED] * 2
    waits = [record.message for record in caplog.records if "the runtime waits for" in record.message]
    assert len(waits) == 1
    assert "r30" in waits[0]


async def test_leaving_does_not_wait_for_what_only_waits_in_the_journal(
    world: World, autojump_clock: MockClock
) -> None:
    """A run that is let go while the block is left is held here no more; nor is one taken up whose time comes then."""
    journal = MemoryJournal()
    async with journal:
        async with opened(world, journal=journal) as runtime:
            await begin(runtime, "nap 1000", run_id="far")
            await begin(runtime, "work 100")
            await begin(runtime, "work 1", run_id="late", delay=50)
        assert trio.current_time() == 100
        for run_id, status in (("far", RunStatus.WAITING), ("late", RunStatus.QUEUED)):
            record = (await journal.load(run_id)).record
            assert (record.position.status, record.owner) == (status, None)


@pytest.mark.parametrize("written", [False, True])
async def test_draining(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """A drain lets each run finish the state it is in; written runs are released then, others are waited for."""
    journal = MemoryJournal() if written else None
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "book", "work 10", "work 10", run_id="r")
        waits = await begin(runtime, "nap 15", run_id="waits")
        later = await begin(runtime, "work 1", run_id="later", delay=100)
        await trio.sleep(1)
        assert await runtime.drain(grace=100) is True
        assert trio.current_time() == (10 if written else 20)
        if written:
            assert {one.status for one in (run, waits, later)} == {
                RunStatus.RUNNING, RunStatus.WAITING, RunStatus.QUEUED
            }  # fmt: skip
        else:
            assert [one.status for one in (run, waits, later)] == [
                RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.CANCELLED
            ]  # fmt: skip
        assert await runtime.drain() is True  # there is nothing left to do
    assert world.effects == (["r/0", "r/1"] if written else ["r/0", "r/1", "r/2", "waits/0"])


@pytest.mark.parametrize("written", [False, True])
async def test_draining_ends_with_its_grace(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """What is still at work when the grace is over is stopped: released as it is, or undone."""
    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        run = await begin(runtime, "book", "work 1000", run_id="r")
        await trio.sleep(1)
        assert await runtime.drain(grace=30) is False
        assert trio.current_time() == 31
        assert run.status is (RunStatus.RUNNING if written else RunStatus.CANCELLED)
    assert world.effects == ["r/0", "r/1"] + ([] if written else ["r/0/undo"])


@pytest.mark.parametrize("_", range(8))
async def test_a_drain_right_behind_a_start(world: World, autojump_clock: MockClock, _: int) -> None:
    """A run in memory whose start has returned is waited for, whether or not its task has begun; one that is delayed is not."""
    async with opened(world) as runtime:
        late = await begin(runtime, "work 5", delay=1)
        run = await begin(runtime, "work 5")
        assert await runtime.drain(10)
    assert (trio.current_time(), run.status, late.status) == (5, RunStatus.COMPLETED, RunStatus.CANCELLED)


async def test_leaving_by_draining(world: World, autojump_clock: MockClock) -> None:
    """With `on_exit="drain"` leaving the block is a drain with its grace."""
    journal = MemoryJournal()
    async with journal:
        async with opened(world, journal=journal, on_exit="drain", grace=5) as runtime:
            await begin(runtime, "work 100", run_id="r")
        assert trio.current_time() == 5
        assert (await journal.load("r")).record.owner is None


@pytest.mark.parametrize("written", [False, True])
async def test_a_compensation_that_hangs_is_bounded(autojump_clock: MockClock, *, written: bool) -> None:
    """A drain that meets a compensation that hangs: in memory it is cut off at the workflow's bound; one that is written
    down goes on in the next runtime, which has a bound of its own."""
    undone: list[float] = []
    slow = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], name="slow", compensation_timeout=20)

    @slow.compensatable(Step.BOOK)
    async def act() -> tuple[Literal[Step.WORK], int]:
        return Step.WORK, 1

    @act.compensate
    async def undo(receipt: int) -> None:
        undone.append(trio.current_time())
        await trio.sleep_forever()

    @slow.task(Step.WORK)
    async def wait() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    journal = MemoryJournal() if written else None
    async with open_runtime(workflows=[slow], journal=journal) as runtime:
        run = await runtime.start(slow, run_id="r")
        await trio.sleep(1)
        run.cancel("no need")
        await trio.sleep(1)
        await runtime.drain(grace=5)
        assert trio.current_time() == (7 if written else 21)
    if written:
        async with open_runtime(workflows=[slow], journal=journal) as runtime:
            run = await runtime.get(slow, "r")
            with pytest.raises(RunFailed):
                await run.wait()
        assert trio.current_time() == 27
    assert (undone, run.status) == ([1, 7] if written else [1], RunStatus.ROLLBACK_FAILED)


async def test_a_task_that_holds_out_is_bounded(autojump_clock: MockClock) -> None:
    """A task of a compensatable is held against a cancel from outside only in memory, and only so long; then all is left."""
    slow = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], name="slow")

    @slow.compensatable(Step.BOOK, hold=10)
    async def act() -> tuple[Literal[Step.DONE], int]:
        await trio.sleep_forever()

    @act.compensate
    async def undo(receipt: int) -> None:
        pass

    for journal, end in ((None, 11), (MemoryJournal(), 12)):
        begun = trio.current_time()
        with trio.move_on_after(1):
            async with open_runtime(workflows=[slow], journal=journal) as runtime:
                await runtime.start(slow)
        assert trio.current_time() == end
        assert begun in {0, 11}


@pytest.mark.parametrize("written", [False, True])
def test_a_ctrl_c_in_the_block(written: bool) -> None:  # noqa: FBT001
    """A Ctrl-C in the block leaves it bare: written runs are released, others undone."""

    async def main() -> None:
        world, journal = World(), MemoryJournal() if written else None
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            async with opened(world, journal=journal) as runtime:
                run = await begin(runtime, "book", "work 100", run_id="r")
                await trio.sleep(1)
                signal.raise_signal(signal.SIGINT)
                await trio.sleep(1)
        assert trio.current_time() == 1
        assert world.effects == ["r/0", "r/1"] + ([] if written else ["r/0/undo"])
        with pytest.raises(RunReleased if written else RunCancelled):
            await run.wait()

    process(main)


async def test_waiting_tasks_outside_are_told(world: World, autojump_clock: MockClock) -> None:
    """Whoever waits outside of the block for a run that was let go gets `RunReleased`, and does not wait for ever."""
    errors: list[Exception] = []

    async def wait(run: Run[Step, Job]) -> None:
        try:
            await run.wait()
        except RunReleased as error:
            errors.append(error)

    async with (
        trio.open_nursery() as nursery,
        opened(world, journal=MemoryJournal(), on_exit="drain", grace=1) as runtime,
    ):
        for plan in ("work 100", "nap 1000", "ask"):
            run = await begin(runtime, plan)
            for _ in range(2):
                nursery.start_soon(wait, run)
        await trio.sleep(80)
    assert len({id(error) for error in errors}) == 6
