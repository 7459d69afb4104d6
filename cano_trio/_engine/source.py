"""The source of a stream, and the one task that has to do with it."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, final

import trio
from trio.lowlevel import ParkingLot

from .._errors import SourceNotClosed
from .drive import FAIR_SECONDS, FAIR_TRANSITIONS

NOTHING: Final = object()
"""No item."""


@final
class Source:
    """Opens a source, asks it for one item per request, and closes it, all in a task of its own.

    A request may outlive the patience of who made it: it goes on, and its item waits for the next one. To cancel an async
    generator that is asked for an item would end it. Nor may the task that processes items be the one that iterates: a
    generator leaves its cancel scopes and nurseries open around whoever it yields to.

    Args:
        label: the name of what opens it, for errors.
        opening: opens it.
    """

    __slots__ = (
        "_answer",
        "_asking",
        "_channel",
        "_clock",
        "_dropped",
        "_label",
        "_life",
        "_opening",
        "_pass_at",
        "_patience",
        "_readers",
        "_received",
        "_released",
        "_requests",
        "asked",
        "closed",
        "ended",
        "failure",
        "interrupted",
        "opened",
        "over",
    )

    def __init__(self, label: str, opening: Callable[[], Awaitable[Any]]) -> None:
        self._label = label
        self._opening = opening
        self._life = trio.CancelScope(shield=True)
        """Around all that the task does."""
        self._asking = trio.CancelScope()
        """Around the iteration: entered once, so that it does not cut across the scopes of a generator."""
        self._patience = trio.CancelScope()
        """Around the present wait at a channel."""
        self._requests = ParkingLot()
        self._readers = ParkingLot()
        self._channel: trio.MemoryReceiveChannel[Any] | None = None
        self._answer: object = NOTHING
        self._dropped = False
        """It was given up while it was opened."""
        self._released = False
        self._clock = trio.lowlevel.current_clock().current_time
        self._received = 0
        self._pass_at = 0.0
        """When others must have their turn."""
        self.opened = False
        self.asked = False
        """An item has been asked for, and has not come."""
        self.ended = False
        """It has no more items."""
        self.interrupted = False
        """It was given up while it was opened or asked for an item."""
        self.over = False
        """It gives no more items, whether it has ended or not."""
        self.closed = False
        self.failure: BaseException | None = None

    # -- for the stream's task

    async def wait_opened(self) -> None:
        """Wait until it can be asked for items, or never will be."""
        while not (self.opened or self.over):
            await self._readers.park()

    async def next(self, until: float) -> object:
        """The next item, or `NOTHING` if none has come in time, after an interruption, and when it is over."""
        if self._channel is not None:
            return await self._receive(self._channel, until)
        if self._answer is NOTHING and not self.over:
            if not self.asked:
                self.asked = True
                self._requests.unpark()
            if until == math.inf:
                await self._readers.park()
            else:
                with trio.CancelScope(deadline=until):
                    await self._readers.park()
        return self._taken()

    async def _receive(self, channel: trio.MemoryReceiveChannel[Any], until: float) -> object:
        """Receive here: it either gives an item or is cancelled, so that nobody holds a request while a window is flushed."""
        if self.over:
            return NOTHING
        self._received += 1
        try:
            # As between two states: without a pass through the scheduler, unless others have waited.
            if self._received % FAIR_TRANSITIONS and self._clock() < self._pass_at:
                try:
                    return channel.receive_nowait()
                except trio.WouldBlock:
                    pass
            with trio.CancelScope(deadline=until) as self._patience:
                item = await channel.receive()
                self._pass_at = self._clock() + FAIR_SECONDS
                return item
        except trio.EndOfChannel:
            self.ended = self.over = True
        return NOTHING

    def _taken(self) -> object:
        item, self._answer = self._answer, NOTHING
        return item

    def interrupt(self) -> None:
        """Give up opening it, or waiting for an item; what it has at hand it keeps."""
        if not self.opened:
            self.interrupted = self._dropped = True
            self._life.cancel()
        elif self.asked:
            self.interrupted = True
            self._asking.cancel()
        self._patience.cancel()
        self._readers.unpark_all()

    async def retract(self) -> object:
        """Take a request back; gives the item that has come all the same, or `NOTHING`."""
        if self.asked:
            self.interrupt()
        while self.asked:
            await self._readers.park()
        return self._taken()

    async def close(self, limit: float) -> None:
        """Close it, and wait until it is closed.

        Args:
            limit: seconds that it may take.

        Raises:
            SourceNotClosed: it has taken longer.
            BaseException: what it raised, when it was opened, asked or closed.
        """
        if self.asked or not self.opened:
            self.interrupt()
        self._released = True
        self._life.deadline = min(self._life.deadline, trio.current_time() + limit)
        self._requests.unpark_all()
        while not self.closed:
            await self._readers.park()
        failure, self.failure = self.failure, None
        try:
            if failure is not None:
                raise failure
            if self._life.cancelled_caught and not self._dropped:
                raise SourceNotClosed(self._label, f"it took more than {limit:g} s and was cut off")
        finally:
            del failure  # it holds this frame by its traceback

    # -- for its own task

    async def run(self) -> None:
        """Be its task, to the end; what is raised is kept for `close`."""
        try:
            with self._life:
                await self._live()
        except BaseException as error:
            self.failure = error
        self.asked = False
        self.over = self.closed = True
        self._patience.cancel()
        self._readers.unpark_all()

    async def _live(self) -> None:
        async with self._entered(await self._opening()) as source:
            if not isinstance(source, AsyncIterable):
                raise self._refused(source)
            self.opened = True
            if isinstance(source, trio.MemoryReceiveChannel):
                self._channel = source
                self._readers.unpark_all()
            else:
                with self._asking:
                    await self._serve(source)  # pyright: ignore[reportUnknownArgumentType]
            # Not closed before the last window has been flushed: that may need what the source holds open.
            while not self._released:
                await self._requests.park()

    def _entered(self, given: Any) -> AbstractAsyncContextManager[Any]:
        """What is iterable is not entered, even if it could be: leaving a channel would close it for everybody."""
        if isinstance(given, AsyncIterable):
            return nullcontext(given)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(given, AbstractAsyncContextManager):
            return given  # pyright: ignore[reportUnknownVariableType]
        raise self._refused(given)

    def _refused(self, given: object) -> TypeError:
        return TypeError(
            f"{self._label} gave {given!r}. Return an async iterable, a receive channel, or an async context manager "
            "giving one."
        )

    async def _serve(self, source: AsyncIterable[Any]) -> None:
        iterator = aiter(source)
        self._readers.unpark_all()
        try:
            while await self._requested():
                try:
                    self._answer = await anext(iterator)
                except StopAsyncIteration:
                    self.ended = True
                    break
                self.asked = False
                self._readers.unpark_all()
        finally:
            self.asked, self.over = False, True
            self._readers.unpark_all()
            if isinstance(iterator, AsyncGenerator):
                await self._close(iterator)  # pyright: ignore[reportUnknownArgumentType]

    async def _requested(self) -> bool:
        """Wait for a request, or to be closed; undisturbed by the scopes that a generator has open where it yields."""
        while not (self.asked or self._released):
            try:
                await self._requests.park()
            except trio.Cancelled:  # which is the generator's own affair: it is raised again where it is asked
                with trio.CancelScope(shield=True):
                    while not (self.asked or self._released):
                        await self._requests.park()
        return not self._released

    async def _close(self, generator: AsyncGenerator[Any, Any]) -> None:
        try:
            await generator.aclose()
        except RuntimeError as error:
            if getattr(generator, "ag_frame", None) is None:
                raise
            raise SourceNotClosed(self._label, "it goes on yielding when it is closed") from error
        except BaseExceptionGroup as group:
            # A nursery in the generator has wrapped the GeneratorExit by which it is closed.
            if (rest := group.split(GeneratorExit)[1]) is not None:
                raise rest from None
