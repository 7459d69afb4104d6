"""When a circuit breaker opens and closes, and what it says of itself."""

from __future__ import annotations

from enum import Enum
from typing import final

import attrs
import msgspec

from .bounds import finite, whole


@final
class CircuitState(Enum):
    """What a circuit breaker does with calls."""

    CLOSED = "closed"  # lets all through
    OPEN = "open"  # lets none through
    HALF_OPEN = "half-open"  # lets a few through, on trial


@final
@attrs.frozen(kw_only=True)
class CircuitPolicy:
    """When a circuit breaker opens, and how it finds its way back.

    Args:
        failure_threshold: failures in a row that open it.
        reset_timeout: seconds that it stays open before it lets trial calls through.
        half_open_trials: how many trial calls may be in flight at a time, and how many must succeed to close it.

    Raises:
        ValueError: a number is out of its bounds (CIR-1).

    >>> from cano_trio import CircuitPolicy
    >>> CircuitPolicy(failure_threshold=0)
    Traceback (most recent call last):
    ...
    ValueError: CircuitPolicy: failure_threshold=0 won't do. Pass a whole number, 1 or more, such as 5.
    """

    failure_threshold: int = attrs.field(default=5, validator=whole(1))
    reset_timeout: float = attrs.field(default=30.0, validator=finite(0))
    half_open_trials: int = attrs.field(default=1, validator=whole(1))


@final
class CircuitStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A circuit breaker at one moment; what is counted, is counted since it was made (CIR-8).

    Args:
        state: closed, open or half-open.
        retry_after: seconds until an open breaker may let a trial call through; 0 otherwise.
        failures_in_row: what a closed breaker compares with its threshold.
        trials_in_flight: trial calls without a verdict yet.
        waiting: tasks in `CircuitBreaker.wait_acquire`.
        acquired: calls let through.
        rejected: calls refused.
        successes: verdicts heeded; one from before the last change of state is not.
        failures: likewise.
        released: likewise, for calls that ended without a verdict.
        opened: changes from closed to open.
        half_opened: changes from open to half-open.
        reopened: changes from half-open back to open.
        closed: changes from half-open to closed.
    """

    state: CircuitState
    retry_after: float
    failures_in_row: int
    trials_in_flight: int
    waiting: int
    acquired: int
    rejected: int
    successes: int
    failures: int
    released: int
    opened: int
    half_opened: int
    reopened: int
    closed: int
