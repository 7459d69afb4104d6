"""Streams that keep what they see, over sources of every kind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any, Literal

import trio

from cano_trio import CloseReason, StreamTask, Workflow


class Step(Enum):
    WORK = auto()
    AFTER = auto()
    DONE = auto()
    STOPPED = auto()
    FAILED = auto()


EXITS = [Step.DONE, Step.STOPPED, Step.FAILED]


class Numbers(StreamTask[Step, float, float, float]):
    """Is given each of its items after its number of seconds; fails for negative ones. Keeps what it sees.

    Args:
        items: the items.
        takes: the seconds that an item takes.
        stops: which windows stop it.
        options: attributes of a stream.
    """

    def __init__(
        self,
        items: Sequence[float] = (),
        *,
        takes: float = 0,
        stops: Callable[[list[float]], bool] = lambda _: False,
        **options: object,
    ) -> None:
        self.items = items
        self.takes = takes
        self.stops = stops
        self.opened: list[float | None] = []
        self.asked = 0
        self.processed: list[float] = []
        self.windows: list[list[float]] = []
        self.flushed_at: list[float] = []
        self.closed: list[CloseReason] = []
        self.source_open = False
        vars(self).update(options)

    def open(self, cursor: float | None) -> Any:
        """An async generator."""
        return self.generated(cursor)

    async def generated(self, cursor: float | None) -> AsyncGenerator[float, None]:
        self.opened.append(cursor)
        self.source_open = True
        try:
            for item in self.items:
                self.asked += 1
                await trio.sleep(abs(item))
                yield item
        finally:
            self.source_open = False

    async def process_item(self, item: float) -> tuple[float, float]:
        await trio.sleep(self.takes)
        if item < 0:
            raise OSError(item)
        self.processed.append(item)
        return item, item

    async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
        self.windows.append(outputs)
        self.flushed_at.append(trio.current_time())
        return Step.STOPPED if self.stops(outputs) else None

    async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
        assert not self.source_open
        self.closed.append(reason)
        return Step.DONE

    def flushed(self) -> list[float]:
        """All outputs, in order."""
        return [output for outputs in self.windows for output in outputs]


class Burying(Numbers):
    """Keeps failed items."""

    on_item_error = "dead_letter"

    def __init__(self, items: Sequence[float] = (), **options: Any) -> None:
        self.buried: list[tuple[float, Exception]] = []
        super().__init__(items, **options)

    async def dead_letter(self, item: float, error: Exception) -> None:
        self.buried.append((item, error))


def workflow(stream: StreamTask[Step, Any, Any, Any], **options: Any) -> Workflow[Step]:
    work = Workflow(Step, initial=Step.WORK, exits=EXITS, **options)
    work.register(Step.WORK, stream)
    return work


async def work_off(stream: StreamTask[Step, Any, Any, Any]) -> Step:
    return await workflow(stream).orchestrate()


# ---- sources


class FromFunction(Numbers):
    """open is an async function that returns the generator."""

    async def open(self, cursor: float | None) -> AsyncIterator[float]:
        await trio.lowlevel.checkpoint()
        return self.generated(cursor)


class FromGenerator(Numbers):
    """open is the generator itself."""

    async def open(self, cursor: float | None) -> AsyncIterator[float]:
        self.source_open = True
        try:
            for item in self.items:
                await trio.sleep(item)
                yield item
        finally:
            self.source_open = False


class FromChannel(Numbers):
    """open returns a memory channel, which others keep."""

    async def open(self, cursor: float | None) -> trio.MemoryReceiveChannel[float]:
        send, receive = trio.open_memory_channel[float](100)
        with send:
            for item in self.items:
                send.send_nowait(item)
        return receive


class FromProducer(Numbers):
    """open is a context manager with a producer inside, that sends into a channel without a buffer."""

    @asynccontextmanager
    async def open(self, cursor: float | None) -> AsyncGenerator[trio.MemoryReceiveChannel[float], None]:
        send, receive = trio.open_memory_channel[float](0)
        async with trio.open_nursery() as nursery:
            self.source_open = True
            try:
                nursery.start_soon(self._produce, send)
                yield receive
            finally:
                self.source_open = False
                nursery.cancel_scope.cancel()

    async def _produce(self, send: trio.MemorySendChannel[float]) -> None:
        with send:
            for item in self.items:
                await trio.sleep(item)
                await send.send(item)


class FromSafeChannel(Numbers):
    """open is a generator that trio has made safe."""

    @trio.as_safe_channel
    async def open(self, cursor: float | None) -> AsyncGenerator[float, None]:
        self.source_open = True
        try:
            for item in self.items:
                await trio.sleep(item)
                yield item
        finally:
            self.source_open = False


class FromIterable(Numbers):
    """open returns an object that is neither a generator nor a channel."""

    async def open(self, cursor: float | None) -> Iterable:
        return Iterable(self.items)


class Iterable:
    """Gives its items, without waiting for more than its turn."""

    def __init__(self, items: Sequence[float]) -> None:
        self._items = iter(items)

    def __aiter__(self) -> Iterable:
        return self

    async def __anext__(self) -> float:
        await trio.lowlevel.checkpoint()
        for item in self._items:
            return item
        raise StopAsyncIteration


SOURCES: list[type[Numbers]] = [
    FromFunction,
    FromGenerator,
    FromChannel,
    FromProducer,
    FromSafeChannel,
    FromIterable,
]
