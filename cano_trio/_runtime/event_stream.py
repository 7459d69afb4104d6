"""A run's events, for one who reads them at leisure."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any, Self, final

import trio

from .._observe.events import Event, EventsLost
from .actor import Actor, without


@final
class EventStream:
    """The events of a run from now on: enter it with ``with``, and read them with ``async for``.

    It ends behind `RunEnded`. The run never waits for its reader: one who is slower than the buffer is long loses the oldest
    events, and is told so by an `EventsLost` in their place. There is no public constructor: see `Run.events`.
    """

    def __init__(self, actor: Any, buffer: int, /) -> None:
        if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"buffer is {buffer!r}: it takes a number of events, at least 1")
        self._actor: Actor = actor
        self._events: deque[Event] = deque()
        self._buffer = buffer
        self._lost = 0
        self._open = False
        self._come = trio.Event()

    def __enter__(self) -> Self:
        """Listen from here on."""
        self._open = True
        self._actor.watch(self)
        self._actor.endings += (self._wake,)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._open = False
        self._actor.unwatch(self)
        self._actor.endings = without(self._actor.endings, self._wake)
        self._wake()

    def _wake(self) -> None:
        self._come.set()

    def on_event(self, event: Event, /) -> None:
        """Take an event in."""
        if len(self._events) == self._buffer:
            self._events.popleft()
            self._lost += 1
        self._events.append(event)
        self._come.set()

    def __aiter__(self) -> Self:
        """The events, one after the other."""
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        if not self._open:
            raise trio.ClosedResourceError("these events are read outside of their `with run.events() as events:`")
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._actor.over:
                raise StopAsyncIteration
            if self._come.is_set():  # else another reader waits for it
                self._come = trio.Event()
            await self._come.wait()
            if not self._open:
                raise trio.ClosedResourceError(
                    "the `with run.events() as events:` was left while somebody read from it"
                )
        if self._lost:
            first, lost, self._lost = self._events[0], self._lost, 0
            return EventsLost(first.run_id, first.workflow, first.state, first.time, lost)
        return self._events.popleft()
