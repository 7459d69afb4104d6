"""A call that succeeds, inside a closed circuit breaker."""

from __future__ import annotations

from collections.abc import Sequence

from cano_trio import CircuitBreaker
from cano_trio._engine.layers import guarded

from .measure import Case, Work, calls, in_trio, nothing, optional

CALLS = 50_000
BARE = "call: bare, beside a breaker"


async def permits(times: int) -> None:
    """Calls inside permits, as a user writes them."""
    breaker = CircuitBreaker()
    for _ in range(times):
        with breaker.try_acquire():
            await nothing()


def _purgatory() -> Work | None:
    purgatory = optional("purgatory")
    if purgatory is None:
        return None

    async def work(times: int) -> None:
        breaker = await purgatory.AsyncCircuitBreakerFactory().get_breaker("bench")
        for _ in range(times):
            async with breaker:
                await nothing()

    return work


def cases() -> Sequence[Case]:
    """The engine's layer and the permit, beside purgatory's context manager."""
    purgatory = _purgatory()
    return [
        Case(name=BARE, clocked=in_trio(calls(nothing)), times=CALLS),
        Case(
            name="call: breaker layer",
            clocked=in_trio(calls(guarded(nothing, CircuitBreaker(), "fail"))),
            times=CALLS,
            baseline=BARE,
            reach_added=0.4,
        ),
        Case(name="call: with try_acquire()", clocked=in_trio(permits), times=CALLS, baseline=BARE),
        Case(
            name="call: purgatory",
            clocked=purgatory and in_trio(purgatory),
            times=CALLS // 10,
            baseline=BARE,
            note="under trio, in memory" if purgatory else "not installed",
        ),
    ]
