"""The one attempt function: it serves states, branches, batch items and compensations alike."""

from __future__ import annotations

from typing import Any

import trio

from .._define.checks import LARGEST
from .._errors import CircuitOpen, RetryExhausted
from .._observe.events import AttemptFailed, AttemptStarted, CircuitRejected, RetryScheduled
from .._resilience.waits import Waits
from .run import Run
from .unit import Unit


async def attempt(run: Run, unit: Unit, args: tuple[object, ...], part: str = "", made: list[int] | None = None) -> Any:
    """Call a unit until it succeeds or its retry policy gives up.

    Args:
        run: the run whose work it is.
        unit: what is called.
        args: its arguments, with gaps where they differ between attempts.
        part: which part of the state's work this is, as in the idempotency key.
        made: a cell that learns how many attempts were made, instead of the run itself, for work that is one of many.

    Raises:
        RetryExhausted: from the last failure, if more than one attempt was allowed (cano RET-7); else that failure.
    """
    number = 1
    earlier: Exception | None = None
    try:
        while True:
            try:
                return await unit.call(*(args if unit.fill is None else unit.fill(run, number, args, part)))
            except Exception as failure:
                delay = judge(run, unit, number, failure, earlier)
                if delay is None:
                    raise
                earlier = failure
                if run.letters:
                    run.put_back_letters()
            # Outside `except`, so that a cancel during the back-off does not carry the failure as its context.
            with Waits(f"retry {number} of {unit.label}", run.clock() + delay):
                await trio.sleep(delay)
            if run.durable:
                await run.may_begin()
            number += 1
            if made is None:
                run.attempts = number
            else:
                made[0] = number
            if run.observers:
                run.tell(AttemptStarted, unit.label, number)
    finally:
        del earlier  # it holds this frame by its traceback


def judge(run: Run, unit: Unit, number: int, failure: Exception, earlier: Exception | None = None) -> float | None:
    """The seconds to wait before the next attempt; None if the unit fails with this very failure.

    It must not raise the failure itself: that would hold this frame by its traceback, and the frame the failure.
    """
    if isinstance(failure, CircuitOpen):
        if run.observers:
            run.tell(CircuitRejected, unit.label, failure.breaker, failure.retry_after)
        if earlier is not None:  # the attempt was not made: the last real failure must not be lost (cano G-RET-3)
            failure.__cause__ = earlier
        return None
    if run.observers:
        run.tell(AttemptFailed, unit.label, number, failure)
    if failure is run.mistake or not may_retry(run, unit, failure):
        return None
    delay = unit.retry.delay(number)
    if delay is None:
        if unit.bare:
            return None
        raise RetryExhausted(unit.label, number, failure) from failure
    delay = asked_delay(failure, delay)
    if run.observers:
        run.tell(RetryScheduled, unit.label, number, delay, failure)
    return delay


def may_retry(run: Run, unit: Unit, failure: Exception) -> bool:
    """Whether a unit's `retry_on` names a failure.

    Raises:
        Exception: what the predicate itself raised, from the failure.
    """
    try:
        return unit.matches(failure)
    except Exception as error:  # a predicate of the user's; what it was asked about must not be lost behind its mistake
        run.blame(error)
        raise error from failure


def without_this_frame(failure: Exception) -> Exception:
    """A failure as it came to its caller, which holds it on, and whose frame must not be held by it."""
    trace = failure.__traceback__
    return failure.with_traceback(None if trace is None else trace.tb_next)


def asked_delay(failure: Exception, otherwise: float) -> float:
    """The seconds that an error itself asks to wait, as its ``retry_after``, else those of the policy."""
    try:
        asked = getattr(failure, "retry_after", None)
    except Exception:  # a property of the user's: the failure it belongs to is what counts
        return otherwise
    if isinstance(asked, bool) or not isinstance(asked, (int, float)) or not 0 <= asked <= LARGEST:
        return otherwise
    return asked
