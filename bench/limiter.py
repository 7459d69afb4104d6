"""A rate limiter that never runs dry."""

from __future__ import annotations

from collections.abc import Sequence

from trio.lowlevel import checkpoint

from cano_trio import RateLimiter
from cano_trio._engine.layers import limited

from .measure import Case, Work, calls, in_asyncio, in_trio, nothing, optional

CALLS = 50_000
PLENTY = 1e9
BARE = "call: bare, beside a limiter"
CHECKPOINT = "checkpoint: bare"


def _aiolimiter() -> Work | None:
    aiolimiter = optional("aiolimiter")
    if aiolimiter is None:
        return None

    async def work(times: int) -> None:
        limiter = aiolimiter.AsyncLimiter(PLENTY, 1)
        for _ in range(times):
            await limiter.acquire()

    return work


def cases() -> Sequence[Case]:
    """The engine's layer beside a bare call; `acquire`, which is a checkpoint, beside a bare one and aiolimiter's."""
    limiter, aiolimiter = RateLimiter(PLENTY), _aiolimiter()
    return [
        Case(name=BARE, clocked=in_trio(calls(nothing)), times=CALLS),
        Case(
            name="call: limiter layer",
            clocked=in_trio(calls(limited(nothing, limiter))),
            times=CALLS,
            baseline=BARE,
            reach_added=0.7,
        ),
        Case(name=CHECKPOINT, clocked=in_trio(calls(checkpoint)), times=CALLS // 10),
        Case(
            name="checkpoint: limiter.acquire()",
            clocked=in_trio(calls(limiter.acquire)),
            times=CALLS // 10,
            baseline=CHECKPOINT,
        ),
        Case(
            name="no checkpoint: aiolimiter",
            clocked=aiolimiter and in_asyncio(aiolimiter),
            times=CALLS // 10,
            baseline=CHECKPOINT,
            note="under asyncio; it does not yield" if aiolimiter else "not installed",
        ),
    ]
