"""How many runs are at work at a time."""

from __future__ import annotations

import itertools
from heapq import heapify, heappop, heappush
from typing import final

import attrs
import trio


@attrs.define(eq=False, order=False)
class _Waiting:
    """One who waits for a slot."""

    rank: tuple[int, int]
    event: trio.Event = attrs.Factory(trio.Event)

    def __lt__(self, other: _Waiting) -> bool:
        return self.rank < other.rank


@final
class Slots:
    """The slots of runs that are at work; who waits for one gets it by priority, and then in turn.

    Args:
        limit: how many there are; None for any number.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.taken = 0
        self.behind = 0
        """How many runs in the journal may be waiting for a slot, so that none that is only being started comes before them."""
        self._waiting: list[_Waiting] = []
        self._turn = itertools.count()

    @property
    def free(self) -> int | None:
        """How many are free, behind those who wait already; None for any number."""
        return None if self.limit is None else max(self.limit - self.taken - len(self._waiting), 0)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def take_nowait(self) -> bool:
        """Take a slot, if one is free."""
        if self.free == 0:
            return False
        self.taken += 1
        return True

    async def take(self, priority: int) -> None:
        """Take a slot, as soon as one is free; no checkpoint if one is."""
        if self.take_nowait():
            return
        waiting = _Waiting((-priority, next(self._turn)))
        heappush(self._waiting, waiting)
        try:
            await waiting.event.wait()
        except BaseException:  # a Ctrl-C may come here, too
            if waiting.event.is_set():
                self.give_back()
            else:
                self._waiting.remove(waiting)
                heapify(self._waiting)
            raise

    def take_beyond(self) -> None:
        """Take one though none may be free, for a run that does nothing but end."""
        self.taken += 1

    def give_back(self) -> None:
        """Give a slot to the first who waits, or back."""
        if self._waiting and (self.limit is None or self.taken <= self.limit):
            heappop(self._waiting).event.set()
        else:
            self.taken -= 1
