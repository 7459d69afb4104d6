"""A stream whose durable run is released: what is closed, and what has not happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    CloseReason,
    LeaseLost,
    RunCancelled,
    RunContext,
    RunStatus,
    Window,
    WindowFlushed,
    Workflow,
)
from cano_trio.journals import Commit, ForwardingJournal, Journal, MemoryJournal
from tests.conftest import Recorder


class Step(Enum):
    SUM = auto()
    DONE = auto()


@dataclass
class Sum:
    total: int = 0


@dataclass
class World:
    """How a stream of five numbers behaves, one a second, in windows of three; and what became of them."""

    item_takes: float = 0
    flush_takes: float = 0
    close_takes: float = 0
    close_fails: bool = False
    processed: list[int] = field(default_factory=list)
    flushed: list[list[int]] = field(default_factory=list)
    closed: list[CloseReason] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    is_open: bool = False

    def workflow(self) -> Workflow[Step, Sum]:
        """The workflow of the stream."""
        work = Workflow(Step, initial=Step.SUM, exits=[Step.DONE], name="sums", data=Sum)

        @work.stream(Step.SUM, window=Window(count=3))
        async def process(item: int, ctx: RunContext) -> tuple[int, int]:
            self.keys.append(ctx.idempotency_key)
            await trio.sleep(self.item_takes)
            self.processed.append(item)
            return item, item

        @process.open
        async def numbers(cursor: int | None) -> AsyncIterator[int]:
            self.is_open = True
            try:
                for number in range((cursor or 0) + 1, 6):
                    await trio.sleep(1)
                    yield number
            finally:
                self.is_open = False

        @process.flush_window
        async def flush(outputs: list[int], it: Sum) -> None:
            await trio.sleep(self.flush_takes)
            self.flushed.append(outputs)
            it.total += sum(outputs)

        @process.on_close
        async def close(reason: CloseReason, it: Sum) -> Literal[Step.DONE]:
            self.closed.append(reason)
            await trio.sleep(self.close_takes)
            it.total += 1000
            if self.close_fails and reason is CloseReason.RELEASED:
                raise OSError("can't be closed")
            return Step.DONE

        return work

    async def release(self, journal: Journal, after: float, *observers: Recorder) -> float:
        """Run it, and stop it from outside after some seconds; gives when it has left."""
        with trio.move_on_after(after) as scope:
            await self.workflow().run(Sum(), run_id="r", journal=journal, observers=observers)
        assert scope.cancelled_caught
        return trio.current_time()


async def test_a_release_flushes_nothing(autojump_clock: MockClock, recorder: Recorder) -> None:
    """The open window has not happened: its items come again after the resume, under the keys that they had."""
    world = World()
    async with MemoryJournal() as journal:
        assert await world.release(journal, 4.5, recorder) == 4.5
        assert (world.processed, world.flushed, world.closed) == ([1, 2, 3, 4], [[1, 2, 3]], [CloseReason.RELEASED])
        assert not world.is_open
        assert len(recorder.of(WindowFlushed)) == 1
        stored = await journal.load("r")
        assert (stored.record.position.status, stored.record.owner) == (RunStatus.RUNNING, None)
        assert stored.data == b'{"total":6}'
        result = await world.workflow().resume("r", journal=journal)
    assert (result.data, world.flushed) == (Sum(1015), [[1, 2, 3], [4, 5]])
    assert world.closed == [CloseReason.RELEASED, CloseReason.EXHAUSTED]
    assert world.keys == ["r/0/w:0/i:0", "r/0/w:0/i:1", "r/0/w:0/i:2", "r/0/w:1/i:0", "r/0/w:1/i:0", "r/0/w:1/i:1"]


@pytest.mark.parametrize("world, after", [(World(item_takes=100), 2), (World(flush_takes=100), 5)])
async def test_a_release_interrupts_at_once(autojump_clock: MockClock, world: World, after: float) -> None:
    """An item at work and a flush are cut off as a task is: they begin again after the resume."""
    async with MemoryJournal() as journal:
        assert await world.release(journal, after) == after
        assert (world.flushed, world.closed) == ([], [CloseReason.RELEASED])
        world.item_takes = world.flush_takes = 0
        assert (await world.workflow().resume("r", journal=journal)).data == Sum(1015)


async def test_the_last_window_of_a_source_that_has_ended(autojump_clock: MockClock) -> None:
    """Released in its flush, the stream is not exhausted: what stands in the window is not lost."""
    world = World()
    async with MemoryJournal() as journal:
        world.flush_takes = 0.25  # the first window is flushed at 3.25, the last from 5.25 on
        assert await world.release(journal, 5.3) == 5.3
        assert (world.flushed, world.closed) == ([[1, 2, 3]], [CloseReason.RELEASED])
        assert (await world.workflow().resume("r", journal=journal)).data == Sum(1015)


async def test_a_release_while_it_is_closed(autojump_clock: MockClock) -> None:
    """What has ended has ended: `on_close` is let come to its end, is not called again, and what it wrote counts."""
    world = World(close_takes=1)
    async with MemoryJournal() as journal:
        with trio.move_on_after(5.5):
            await world.workflow().run(Sum(), run_id="r", journal=journal)
        assert (trio.current_time(), world.closed) == (6, [CloseReason.EXHAUSTED])
        assert (await journal.load("r")).record.position.status is RunStatus.COMPLETED


async def test_a_failure_to_close_undoes_nothing(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong in the closing of a released stream is logged: the run goes on later all the same."""
    world = World(close_fails=True)
    async with MemoryJournal() as journal:
        await world.release(journal, 4.5)
        assert (await journal.load("r")).record.position.status is RunStatus.RUNNING
        assert [record.message for record in caplog.records] == [
            "process failed when it was closed for the release of run 'r'"
        ]
        caplog.clear()
        assert (await world.workflow().resume("r", journal=journal)).data == Sum(1015)


async def test_a_closing_that_hangs_is_bounded(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A released stream has its ``drain_timeout`` to close, and is cut off then."""
    world = World(close_takes=1000)
    async with MemoryJournal() as journal:
        assert await world.release(journal, 4.5) == 34.5
        assert [type(record.exc_info[1]).__name__ for record in caplog.records if record.exc_info] == ["DrainTimeout"]
        assert (await journal.load("r")).record.position.status is RunStatus.RUNNING
        caplog.clear()


async def test_an_interrupt_releases(autojump_clock: MockClock) -> None:
    """So does a Ctrl-C, which is raised in the middle of an item."""
    world = World()

    async def main(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(world.workflow().run, Sum(), run_id="r", journal=journal))
            await trio.sleep(4.5)
            raise KeyboardInterrupt

    async with MemoryJournal() as journal:
        with pytest.RaisesGroup(KeyboardInterrupt):
            await main(journal)
        assert (world.flushed, world.closed) == ([[1, 2, 3]], [CloseReason.RELEASED])
        assert (await world.workflow().resume("r", journal=journal)).data == Sum(1015)


async def test_a_cancel_of_the_run_drains(autojump_clock: MockClock) -> None:
    """Who cancels the run itself has the last window flushed, as in a run without a journal."""
    world = World()
    async with MemoryJournal() as journal:
        with pytest.RaisesGroup(RunCancelled):
            async with trio.open_nursery() as nursery:
                run = await nursery.start(partial(world.workflow().run, Sum(), run_id="r", journal=journal))
                await trio.sleep(4.5)
                run.cancel()
    assert (world.flushed, world.closed) == ([[1, 2, 3], [4]], [CloseReason.CANCELLED])


class Lost(ForwardingJournal):
    """Another process has the run from the first commit on."""

    async def commit(self, commit: Commit, /) -> int:
        raise LeaseLost(commit.run_id, self.owner)


async def test_a_run_that_is_lost_closes_its_stream(autojump_clock: MockClock) -> None:
    """A stream that can write nothing any more is closed as one that goes on elsewhere."""
    world = World()
    async with MemoryJournal() as journal:
        with pytest.raises(LeaseLost):
            await world.workflow().run(Sum(), run_id="r", journal=Lost(journal))
    assert (world.flushed, world.closed, world.is_open) == ([[1, 2, 3]], [CloseReason.RELEASED], False)
