"""How the attempts of a task are made."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final

import attrs
from typing_extensions import TypedDict

from .._resilience import CircuitBreaker, Retry, RetryOn, is_limiter, is_transient, matcher
from .._resilience import Limiter as AnyLimiter
from .checks import check_seconds

S = TypeVar("S", bound=Enum)

Breaker: TypeAlias = "CircuitBreaker | Callable[..., CircuitBreaker]"
"""A circuit breaker, or a plain function with injected parameters that chooses one."""

Limiter: TypeAlias = "AnyLimiter | Callable[..., AnyLimiter]"
"""A rate limiter, or a plain function with injected parameters that chooses one."""

OnOpen: TypeAlias = Literal["fail", "wait"]
"""What an attempt does at an open breaker."""

OnError: TypeAlias = "Mapping[type[Exception], S]"
"""Where a task leads when it fails for good, by the type of its failure; the first that fits is taken."""


def check_retry(name: str, value: object) -> None:
    """Refuse anything but a `Retry`."""
    if not isinstance(value, Retry):
        raise ValueError(f"{name} is {value!r}: it takes a Retry, such as Retry.fixed(2, delay=0.1)")  # noqa: TRY004  (a wrong value of an option)


def _check_retry(_: object, __: object, value: object) -> None:
    check_retry("retry", value)


def _check_on_open(_: object, __: object, value: object) -> None:
    if value not in ("fail", "wait"):
        raise ValueError(f"on_open is {value!r}: it takes 'fail' or 'wait'")


def _check_timeout(_: object, __: object, value: float | None) -> None:
    if value is not None:
        check_seconds("attempt_timeout", value)


def _check_retry_on(_: object, __: object, value: Any) -> None:
    matcher(value)


def _check_breaker(_: object, __: object, value: Any) -> None:
    if value is not None and not isinstance(value, CircuitBreaker) and not is_chooser(value):
        raise ValueError(f"breaker is {value!r}: it takes a CircuitBreaker, or a plain function that chooses one")


def _check_limiter(_: object, __: object, value: Any) -> None:
    if value is not None and not is_limiter(value) and not is_chooser(value):
        raise ValueError(
            f"limiter is {value!r}: it takes a RateLimiter, WindowedRateLimiter or MultiRateLimiter, or a plain function "
            "that chooses one"
        )


def is_chooser(value: object) -> bool:
    """Whether a value is a function that chooses a breaker or a limiter; a class, and a limiter that can be called, is none."""
    if isinstance(value, type) or is_limiter(value):
        return False
    return callable(value) and not inspect.iscoroutinefunction(value)


@final
@attrs.frozen(kw_only=True)
class TaskConfig:
    """How the attempts of a task are made: retried, bounded in time, guarded and paced.

    Args:
        retry: how often and how patiently a failed attempt is tried again.
        attempt_timeout: seconds that one attempt may take; None for no limit. Waiting at the limiter does not count.
        retry_on: which failures are tried again: exception types, or a predicate. By default those that may pass
            (`is_transient`): not a `NameError`, `TypeError` and their like, which are mistakes in the code. A predicate
            that raises is a mistake in the workflow itself: what it raised leaves the run, from the failure it was asked
            about, and no ``on_error`` leads it anywhere.
        breaker: a circuit breaker around each attempt, or a function that chooses one.
        limiter: a rate limiter before each attempt, or a function that chooses one.
        on_open: at an open breaker, ``"fail"`` at once (cano RET-9) or ``"wait"`` until it lets the attempt through.

    >>> from cano_trio import Retry, TaskConfig
    >>> TaskConfig(retry=Retry.fixed(2, delay=0.5), attempt_timeout=3.0).attempt_timeout
    3.0
    """

    retry: Retry = attrs.field(factory=Retry, validator=_check_retry)
    attempt_timeout: float | None = attrs.field(default=None, validator=_check_timeout)
    retry_on: RetryOn = attrs.field(default=is_transient, validator=_check_retry_on)
    breaker: Breaker | None = attrs.field(default=None, validator=_check_breaker)
    limiter: Limiter | None = attrs.field(default=None, validator=_check_limiter)
    on_open: OnOpen = attrs.field(default="fail", validator=_check_on_open)

    @classmethod
    def minimal(cls) -> TaskConfig:
        """One attempt, no limits."""
        return cls(retry=Retry.none())

    @property
    def limit(self) -> float | None:
        """The attempt timeout where it limits anything."""
        return None if self.attempt_timeout is None or math.isinf(self.attempt_timeout) else self.attempt_timeout


class TaskOptions(TypedDict, Generic[S], total=False):
    """What every task decorator takes as keywords, and every task class as attributes.

    Each overrides what `config` or the workflow's ``defaults`` say. They are those of `TaskConfig`, and:

    Args:
        name: the task's name in events and errors; by default its function's or class's.
        config: all of `TaskConfig` at once.
        on_error: where a failure leads, judged when the retries are spent: the first type that fits.
    """

    name: str
    config: TaskConfig
    retry: Retry
    attempt_timeout: float
    retry_on: RetryOn
    breaker: Breaker
    limiter: Limiter
    on_open: OnOpen
    on_error: Mapping[type[Exception], S]


POLICIES = ("retry", "attempt_timeout", "retry_on", "breaker", "limiter", "on_open")


def settle_config(given: Mapping[str, Any], defaults: TaskConfig, *, retries: bool) -> TaskConfig:
    """What a task's options come to over the workflow's defaults; a model that does not retry ignores their retry."""
    base: TaskConfig | None = given.get("config")
    if base is not None and not isinstance(base, TaskConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"config is {base!r}: it takes a TaskConfig")
    if base is None:
        base = defaults if retries else attrs.evolve(defaults, retry=Retry.none())
    return attrs.evolve(base, **{name: given[name] for name in POLICIES if given.get(name) is not None})
