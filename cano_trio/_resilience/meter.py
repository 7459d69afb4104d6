"""A limiter with one budget: taking, waiting in line, giving back, however the budget comes back."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial

import attrs
import trio
from trio.lowlevel import current_clock

from .._errors import RateLimited
from .limiter import LimiterStatistics
from .line import Line
from .on_clock import OnClock
from .reservation import Reservation

SHORTEST = 0.001  # seconds: behind others who are about to be served, "now" is no answer (RAT-10)


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)  # a hook would make every counter slow
class Meter(OnClock):
    """A limiter with one budget. A subclass says when there is room, and what taking and giving back do to it."""

    name: str = attrs.field(default="limiter", kw_only=True)
    capacity: float = attrs.field(default=1, init=False)  # what it ever holds; a subclass sets it at birth

    _period: int = attrs.field(default=0, init=False)  # which of its budgets is being spent
    _line: Line = attrs.field(factory=Line, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)  # something was given back
    _acquired: int = attrs.field(default=0, init=False)
    _consumed: float = attrs.field(default=0, init=False)
    _refunded: float = attrs.field(default=0, init=False)
    _waited: int = attrs.field(default=0, init=False)
    _seconds_waited: float = attrs.field(default=0.0, init=False)
    _rejected: int = attrs.field(default=0, init=False)

    @abstractmethod
    def _ready_at(self, cost: float, now: float) -> float:
        """The instant at which `cost` is there; `now` or earlier if it is there.

        An instant, not a wait: what slept until it compares the same two floats again, so no rounding can make it sleep
        for the rest of a rounding error, which under a mock clock is for ever.
        """

    @abstractmethod
    def _paid(self, cost: float, now: float) -> bool:
        """Take `cost` if it is there, and tell whether it was; one look and not two, since every call pays."""

    @abstractmethod
    def _give_back(self, cost: float, period: int, now: float) -> bool:
        """Put back what was taken in `period`, never above the capacity; False if that budget is past."""

    @abstractmethod
    def _available(self, now: float) -> float:
        """What may be taken."""

    @abstractmethod
    def _resets_in(self, now: float) -> float | None:
        """Seconds until the whole budget comes back, if it does so at once."""

    def __repr__(self) -> str:
        now = self._peek()
        waiting = f", {self._line.waiting} waiting" if self._line.waiting else ""
        return (
            f"<{type(self).__name__} {self.name!r} {self._available(now):.3g} of {self.capacity:g} available{waiting}>"
        )

    def take(self, cost: float = 1) -> float:
        """Take `cost` and return 0, or take nothing and return the seconds until it may be there; never waits.

        Args:
            cost: how much; 0 always passes and takes nothing.

        Raises:
            ValueError: `cost` is no number, negative, or more than the limiter ever holds.
        """
        if cost != 1:  # 1 may always pass: no limiter holds less
            if cost == 0:
                return 0.0
            self._check(cost)
        clock = current_clock()
        now = clock.current_time() if clock is self._clock else self._now()  # mostly it is: a call less for every call
        if self._line.waiting or not self._paid(cost, now):
            return self._wait(cost, now)
        self._acquired += 1
        self._consumed += cost
        return 0.0

    def available_in(self, cost: float = 1) -> float:
        """Seconds until `cost` could be taken, behind those who wait; 0 if now. Takes nothing.

        Args:
            cost: how much, as for `take`.

        Raises:
            ValueError: as `take`.
        """
        self._check(cost)
        return self._wait(cost, self._now()) if cost else 0.0

    def acquire_nowait(self, cost: float = 1) -> None:
        """Take `cost` now.

        Args:
            cost: how much; 0 always passes and takes nothing.

        Raises:
            RateLimited: it is not there, or others wait for it; `retry_after` says how long it may take.
            ValueError: as `take`.
        """
        if wait := self.take(cost):
            self._rejected += 1
            raise RateLimited(self.name, wait)

    async def acquire(self, cost: float = 1) -> None:
        """Take `cost` as soon as it is there; those who wait are served in the order they came. A checkpoint.

        Args:
            cost: how much; 0 always passes and takes nothing.

        Raises:
            ValueError: as `take`.
        """
        await self.reserve(cost)

    def reserve_nowait(self, cost: float = 1) -> Reservation:
        """As `acquire_nowait`, but what was taken goes back at the end of the block unless it is committed."""
        self.acquire_nowait(cost)
        return self._reservation(cost)

    async def reserve(self, cost: float = 1) -> Reservation:
        """As `acquire`, but what was taken goes back at the end of the block unless it is committed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self.take(cost):
            reservation = self._reservation(cost)  # before the scheduler has its turn: a window may end meanwhile
            await trio.lowlevel.cancel_shielded_checkpoint()
            return reservation
        begun = self._now()
        async with self._line.front(cost):
            while not self._paid(cost, now := self._now()):
                self._news = trio.Event()
                with trio.move_on_at(self._ready_at(cost, now)):
                    await self._news.wait()
            self._acquired += 1
            self._consumed += cost
        self._waited += 1
        self._seconds_waited += now - begun
        return self._reservation(cost)

    def statistics(self) -> LimiterStatistics:
        """A frozen picture of this moment; taking it changes nothing (G-RAT-2)."""
        now = self._peek()
        return LimiterStatistics(
            capacity=self.capacity,
            available=self._available(now),
            available_in=self._wait(1, now),
            resets_in=self._resets_in(now),
            waiting=self._line.waiting,
            acquired=self._acquired,
            consumed=self._consumed,
            refunded=self._refunded,
            waited=self._waited,
            seconds_waited=self._seconds_waited,
            rejected=self._rejected,
        )

    def _check(self, cost: float) -> None:
        """Raise for a cost that could never pass (cano RAT-3 and RAT-7 wait for ever; G-RAT-1)."""
        try:
            possible = 0 <= cost <= self.capacity
        except TypeError:
            possible = False
        if not possible:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: cost={cost!r} can never pass. Pass a number from 0 to its capacity, "
                f"{self.capacity:g}, or make the limiter larger."
            )

    def _wait(self, cost: float, now: float) -> float:
        ready = self._ready_at(self._line.cost + cost, now)
        if ready > now:
            return ready - now
        return SHORTEST if self._line.waiting else 0.0

    def _reservation(self, cost: float) -> Reservation:
        return Reservation(partial(self._refund, cost, self._period))

    def _refund(self, cost: float, period: int) -> None:
        if self._give_back(cost, period, self._now()):
            self._refunded += cost
            self._news.set()
