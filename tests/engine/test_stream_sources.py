"""Where a stream takes its items from, and how sources are opened, asked and closed."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    CloseReason,
    RunContext,
    SourceNotClosed,
    Window,
    Workflow,
)
from tests.engine.streams import EXITS, SOURCES, Numbers, Step, work_off

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("window", [Window(count=2), Window(seconds=100), Window(count=2, seconds=1.5)])
async def test_all_kinds_of_sources(autojump_clock: MockClock, kind: type[Numbers], window: Window) -> None:
    """Whatever open gives of what it may give, every item is processed once, in order, and the source is closed."""
    stream = kind([1, 0.5, 0.25, 2, 1], window=window)
    assert await work_off(stream) is Step.DONE
    assert stream.flushed() == stream.items
    assert (stream.closed, stream.source_open) == ([CloseReason.EXHAUSTED], False)


async def test_function_form(autojump_clock: MockClock) -> None:
    """The function form is the same: a decorated function with the others hung on it, each with injected arguments."""
    work = Workflow(Step, initial=Step.WORK, exits=EXITS)
    seen: list[object] = []

    @work.stream(Step.WORK, window=Window(count=2), on_item_error="dead_letter")
    async def square(item: int) -> tuple[int, int]:
        return (item * item, item) if item else (1 // item, 0)

    @square.open
    async def numbers(cursor: int | None) -> AsyncIterator[int]:
        for number in (1, 0, 2, 3):
            yield number

    @square.flush_window
    async def write(outputs: list[int], ctx: RunContext) -> None:
        seen.append((ctx.idempotency_key.partition("/")[2], outputs))

    @square.on_close
    async def close(reason: CloseReason) -> Literal[Step.DONE]:
        seen.append(reason)
        return Step.DONE

    @square.dead_letter
    async def bury(item: int, error: Exception) -> None:
        seen.append((item, type(error)))

    assert await work.orchestrate() is Step.DONE
    assert seen == [(0, ZeroDivisionError), ("0/w:0", [1, 4]), ("0/w:1", [9]), CloseReason.EXHAUSTED]
    assert await square(3) == (9, 3)


@pytest.mark.parametrize("given", [3, [1, 2], None])
async def test_no_source(autojump_clock: MockClock, given: object) -> None:
    """What open returns and is no source fails the stream, with what to return."""

    class Odd(Numbers):
        async def open(self, cursor: float | None) -> Any:
            return given

    with pytest.raises(
        TypeError, match=r"Odd\.open gave .*\. Return an async iterable, a receive channel, or an async"
    ):
        await work_off(Odd())


async def test_a_channel_is_not_closed() -> None:
    """A channel that open returned bare stays open, for others may go on with it; under a context manager it is closed."""
    send, receive = trio.open_memory_channel[float](1)

    class Bare(Numbers):
        async def open(self, cursor: float | None) -> trio.MemoryReceiveChannel[float]:
            return receive

    class Entered(Numbers):
        @asynccontextmanager
        async def open(self, cursor: float | None) -> AsyncGenerator[trio.MemoryReceiveChannel[float], None]:
            with receive:
                yield receive

    await send.send(1)
    await work_off(Bare(stops=bool))
    await send.send(2)
    await work_off(Entered(stops=bool))
    with pytest.raises(trio.BrokenResourceError):
        send.send_nowait(3)


def test_a_generator_keeps_its_scopes_to_itself() -> None:
    """A nursery and a deadline that a generator holds open where it yields reach no item at work, and are left in order."""

    class Scoped(Numbers):
        async def open(self, cursor: float | None) -> AsyncIterator[float]:
            async with trio.open_nursery() as nursery:
                for item in (1, 2, 3):
                    with trio.move_on_after(0.5):
                        yield item
                nursery.cancel_scope.cancel()

    stream = Scoped(takes=10)
    # Not in a trio test, which would take a Cancelled that got out for its own.
    trio.run(work_off, stream, clock=MockClock(autojump_threshold=0))
    assert (stream.windows, stream.closed) == ([[1], [2], [3]], [CloseReason.EXHAUSTED])


async def test_a_generator_is_closed_where_it_is_iterated(autojump_clock: MockClock) -> None:
    """One task opens, iterates and closes the source, however the stream ends: else trio's scopes would be torn."""
    tasks: set[trio.lowlevel.Task] = set()

    class Watched(Numbers):
        @asynccontextmanager
        async def open(self, cursor: float | None) -> AsyncGenerator[AsyncIterator[float], None]:
            tasks.add(trio.lowlevel.current_task())
            try:
                yield self.items_of()
            finally:
                tasks.add(trio.lowlevel.current_task())

        async def items_of(self) -> AsyncIterator[float]:
            try:
                async with trio.open_nursery():
                    for item in (1, 2, 3):
                        tasks.add(trio.lowlevel.current_task())
                        yield item
            finally:
                tasks.add(trio.lowlevel.current_task())

    for options in ({}, {"stops": bool}, {"items": [1]}):
        tasks.clear()
        await work_off(Watched(**options))
        assert len(tasks) == 1


async def test_a_source_that_fails(autojump_clock: MockClock) -> None:
    """STM-10: what the source raises fails the stream as it is; the open window is not flushed, on_close hears of it."""

    class Broken(Numbers):
        async def open(self, cursor: float | None) -> AsyncIterator[float]:
            for item in self.items:
                yield item
            raise ConnectionError("lost")

    stream = Broken([1, 2, 3], window=Window(count=2))
    with pytest.raises(ConnectionError, match="lost"):
        await work_off(stream)
    assert (stream.windows, stream.closed) == ([[1, 2]], [CloseReason.FAILED])


async def test_a_producer_that_crashes(autojump_clock: MockClock) -> None:
    """What a producer beside the source raises fails the stream, in the user's own group; an item at work ends first."""

    class Crashing(Numbers):
        @asynccontextmanager
        async def open(self, cursor: float | None) -> AsyncGenerator[trio.MemoryReceiveChannel[float], None]:
            send, receive = trio.open_memory_channel[float](10)

            async def produce() -> None:
                await send.send(1)
                await trio.sleep(1)
                raise ConnectionError("lost")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(produce)
                yield receive

    for takes in (0, 5):
        stream = Crashing(takes=takes)
        with pytest.raises(ExceptionGroup) as caught:
            await work_off(stream)
        assert [repr(error) for error in caught.value.exceptions] == ["ConnectionError('lost')"]
        assert (stream.windows, stream.closed) == ([[1]], [CloseReason.FAILED])


async def test_a_source_whose_context_manager_ends_it(autojump_clock: MockClock) -> None:
    """A context manager that ends its block quietly, by a deadline of its own, has no more items: what came is flushed."""

    class Timed(Numbers):
        @asynccontextmanager
        async def open(self, cursor: float | None) -> AsyncGenerator[AsyncIterator[float], None]:
            with trio.move_on_after(3.5):
                yield self.generated(cursor)

    stream = Timed([1] * 9, window=Window(count=2))
    assert await work_off(stream) is Step.DONE
    assert (stream.windows, stream.closed) == ([[1, 1], [1]], [CloseReason.EXHAUSTED])


async def test_a_source_that_yields_after_close(autojump_clock: MockClock) -> None:
    """A source that goes on yielding when it is closed fails the stream with an error of its own."""

    class Stubborn(Numbers):
        async def open(self, cursor: float | None) -> AsyncIterator[float]:
            try:
                for item in self.items:
                    yield item
            finally:
                yield 99

    stream = Stubborn([1, 2], stops=bool)
    with pytest.raises(SourceNotClosed, match=r"Stubborn\.open opened could not be closed: it goes on yielding"):
        await work_off(stream)
    assert (stream.windows, stream.closed) == ([[1]], [CloseReason.FAILED])
    gc.collect()


async def test_a_source_that_does_not_close(autojump_clock: MockClock) -> None:
    """G-STM-5: a source that takes too long to close is cut off, which fails the stream."""

    class Slow(Numbers):
        async def open(self, cursor: float | None) -> AsyncIterator[float]:
            try:
                yield 1
                yield 2
            finally:
                await trio.sleep_forever()

    stream = Slow(stops=bool, drain_timeout=7)
    with pytest.raises(SourceNotClosed, match="it took more than 7 s and was cut off"):
        await work_off(stream)
    assert (stream.closed, trio.current_time()) == ([CloseReason.FAILED], 7)
