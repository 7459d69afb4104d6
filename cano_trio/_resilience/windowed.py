"""The fixed window: a budget that comes back all at once."""

from __future__ import annotations

import math
from typing import final

import attrs
from typing_extensions import override

from .bounds import finite
from .meter import Meter

MOST_WINDOWS = (
    2**53
)  # since the first; more of them are shorter than a float tells apart, and their quotient may be infinite


@final
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class WindowedRateLimiter(Meter):
    """Lets `limit` calls through in each window of `window` seconds, then none until the next window (RAT-6).

    The first call that takes something begins the first window; the others follow on a fixed grid, whenever one looks
    (cano's windows begin where they are looked at; G-RAT-2). Who finds too little left waits for a window that has it, in
    the order of coming. What a reservation gives back after its window has ended is ignored (RAT-8).

    One limiter may guard many tasks and workflows, may be made before trio runs and serve several runs in turn.

    Args:
        limit: what may be taken per window, 1 or more.
        window: its length in seconds.
        name: what errors and events call it.

    Raises:
        ValueError: a number is out of its bounds.

    >>> import trio, trio.testing
    >>> from cano_trio import WindowedRateLimiter
    >>> async def main():
    ...     limiter = WindowedRateLimiter(2, 60)
    ...     for _ in range(5):
    ...         await limiter.acquire()
    ...     return trio.current_time()
    >>> trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    120.0
    """

    _limit: float = attrs.field(validator=finite(1))
    _window: float = attrs.field(validator=finite(above=0))

    _used: float = attrs.field(default=0, init=False)
    _first: float | None = attrs.field(default=None, init=False)  # where the grid begins
    _ends: float = attrs.field(default=math.inf, init=False)  # where the present window ends

    def __attrs_post_init__(self) -> None:
        self.capacity: float = self._limit

    @override
    def _ready_at(self, cost: float, now: float) -> float:
        over = self._used_at(now) + cost - self.capacity
        return self._ends + (math.ceil(over / self.capacity) - 1) * self._window if over > 0 else now

    @override
    def _paid(self, cost: float, now: float) -> bool:
        used = self._used_at(now) + cost
        if used > self.capacity:
            return False
        if self._first is None:
            self._first = now
            self._set_end(now, 1)
        self._used = used
        return True

    @override
    def _give_back(self, cost: float, period: int, now: float) -> bool:
        used = self._used_at(now)
        if period != self._period:
            return False
        self._used = max(0, used - cost)
        return True

    @override
    def _available(self, now: float) -> float:
        return self.capacity - self._used_at(now)

    @override
    def _resets_in(self, now: float) -> float | None:
        self._used_at(now)
        return None if self._first is None else self._ends - now

    @override
    def _shift(self, seconds: float) -> None:
        self._ends += seconds
        if self._first is not None:
            self._first += seconds

    def _used_at(self, now: float) -> float:
        """What is used of the window that `now` lies in. Stepping along the grid on a mere look does no harm: it is fixed."""
        if now >= self._ends and self._first is not None:
            self._used = 0
            self._period += 1
            self._set_end(now, math.floor(min((now - self._first) / self._window, MOST_WINDOWS)) + 1)
        return self._used

    def _set_end(self, now: float, windows: int) -> None:
        # The quotient may round to a window that has just ended. The next end is reckoned from the first, as all are: a step
        # from the last may miss it by a rounding error, and that error would be a window with a budget of its own.
        first = self._first or 0.0
        end = first + windows * self._window
        if end <= now:
            end = first + (windows + 1) * self._window
        self._ends = max(end, math.nextafter(now, math.inf))  # an end that is not after now would end it for ever
