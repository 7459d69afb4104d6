"""The token bucket: a budget that comes back bit by bit."""

from __future__ import annotations

import math
from typing import final

import attrs
from typing_extensions import override

from .bounds import finite
from .meter import Meter


@final
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class RateLimiter(Meter):
    """Lets `rate` calls through per `per` seconds, and up to `burst` at once after a quiet time (RAT-1).

    A bucket of tokens: it starts full with `burst` of them, a call of cost n takes n, and they come back evenly, fractions
    kept. Who finds too few waits exactly until they are there, in the order of coming; nobody overtakes (G-RAT-1).

    One limiter may guard many tasks and workflows, may be made before trio runs and serve several runs in turn.

    Args:
        rate: tokens that come back in `per` seconds.
        per: seconds.
        burst: tokens that the bucket holds, 1 or more; by default `rate`, but 1 at least.
        name: what errors and events call it.

    Raises:
        ValueError: a number is out of its bounds.

    >>> import trio, trio.testing
    >>> from cano_trio import RateLimiter
    >>> async def main():
    ...     limiter = RateLimiter(10, burst=7)
    ...     for _ in range(7):
    ...         limiter.acquire_nowait()
    ...     await limiter.acquire(3)
    ...     return trio.current_time()
    >>> round(trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)), 3)
    0.3
    """

    _rate: float = attrs.field(validator=finite(above=0))
    _per: float = attrs.field(default=1.0, validator=finite(above=0))
    _burst: float | None = attrs.field(default=None, validator=attrs.validators.optional(finite(1)))

    # What it held at one instant says what it holds at any later one. Not the one float of a GCRA: that adds costs up as
    # instants, and at a large `now` their rounding refuses the last token of a burst.
    _tokens: float = attrs.field(default=0, init=False)
    _counted_at: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.capacity: float = max(1, self._rate) if self._burst is None else self._burst
        self._tokens = self.capacity
        if not math.isfinite(float(self.capacity) * self._per / self._rate):
            raise ValueError(
                f"RateLimiter: rate={self._rate!r} per={self._per!r} s is too slow to count. Pass a larger rate."
            )

    @override
    def _ready_at(self, cost: float, now: float) -> float:
        return self._counted_at + (cost - self._tokens) * self._per / self._rate

    @override
    def _paid(self, cost: float, now: float) -> bool:
        tokens = self._tokens
        if tokens < cost and self._ready_at(cost, now) > now:
            return False
        # Never below 0: at the instant that `_ready_at` gives, the product may come to a rounding error less than the cost.
        held = tokens + (now - self._counted_at) * self._rate / self._per
        held = (self.capacity if held > self.capacity else held) - cost  # noqa: FURB136  (min and max take twice as long)
        self._tokens = held if held > 0 else 0  # noqa: FURB136
        self._counted_at = now
        return True

    @override
    def _give_back(self, cost: float, period: int, now: float) -> bool:
        self._tokens = min(self.capacity, self._tokens + cost)
        return True

    @override
    def _available(self, now: float) -> float:
        return min(self.capacity, self._tokens + (now - self._counted_at) * self._rate / self._per)

    @override
    def _resets_in(self, now: float) -> float | None:
        return None

    @override
    def _shift(self, seconds: float) -> None:
        self._counted_at += seconds
