"""Leaving a runtime: what becomes of its runs, and what comes out of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    RunReleased,
    Runtime,
    RuntimeClosed,
    Workflow,
    open_runtime,
)
from cano_trio.journals import ForwardingJournal, MemoryJournal
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
    journal = SlowJournal(MemoryJournal())
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


class SlowJournal(ForwardingJournal):
    """A journal that takes its time to write."""

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if method not in {"create", "commit"}:
            return await call()
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
            result = await call()
        return result  # noqa: RET504  # noqa: RET504  (within the block, a checker takes the scope to swallow something)
