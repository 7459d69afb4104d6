"""The policies of a task as layers around its call, put together once: one that is not set costs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .._define.config import OnOpen
from .._errors import AttemptTimeout
from .._resilience import CircuitBreaker, Limiter
from .._resilience.circuit import enter, failed, released, succeeded, wait_enter
from .._resilience.waits import Waits

Call = Callable[..., Awaitable[Any]]


KNOWN = 256
"""How many chosen breakers or limiters a task remembers."""


def timed(call: Call, seconds: float, label: str, *, shield: bool = False) -> Call:
    """The call under an attempt timeout (cano RET-8); with `shield`, nothing but that timeout cancels it.

    What it raised is looked at before the timeout: a failure that was on its way when the time ran out stays itself.
    """

    async def within(*args: object) -> Any:
        with trio.move_on_after(seconds, shield=shield) as scope:
            return await call(*args)
        assert scope.cancelled_caught  # noqa: S101  (the only way here)
        raise AttemptTimeout(label, seconds)

    return within


def limited(call: Call, limiter: Limiter) -> Call:
    """The call after a rate limiter."""
    take, acquire = limiter.take, limiter.acquire

    async def paced(*args: object) -> Any:
        if take():
            with Waits("limiter"):
                await acquire()
        return await call(*args)

    return paced


def guarded(call: Call, breaker: CircuitBreaker, on_open: OnOpen) -> Call:
    """The call inside a circuit breaker: an `Exception` is a failure; a cancel from outside says nothing (G-CIR-1)."""
    wait = on_open == "wait"

    async def permitted(*args: object) -> Any:
        epoch = await wait_enter(breaker) if wait else enter(breaker)
        verdict = released
        try:
            result = await call(*args)
            verdict = succeeded
        except Exception:
            verdict = failed
            raise
        finally:
            verdict(breaker, epoch)
        return result

    return permitted


def chosen(call: Call, wrap: Callable[[Call, Any], Call]) -> Call:
    """The call inside a layer around what its first argument is, such as the breaker of a device's region."""
    known: dict[int, tuple[Any, Call]] = {}

    async def around(choice: Any, *args: object) -> Any:
        if len(known) >= KNOWN:  # a function that makes a new one each time must not make us keep them all
            known.clear()
        # By identity, with the object kept, so that its id stays its own.
        _, layered = known.get(id(choice)) or known.setdefault(id(choice), (choice, wrap(call, choice)))
        return await layered(*args)

    return around


def reading(call: Call, at: int, label: str) -> Call:
    """The call of a method that may only read the data, which it gets at place `at`; its first argument is the run."""

    async def read_only(run: Any, *args: object) -> Any:
        result = await call(*args)
        run.refuse_change(args[at], label)
        return result

    return read_only
