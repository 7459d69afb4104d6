"""The class form of a task: what all of its models have in common."""

from __future__ import annotations

import types
from abc import ABC
from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from .._resilience import Retry, RetryOn
from .config import Breaker, Limiter, OnOpen, TaskConfig
from .hints import Scope
from .model import Model

S_co = TypeVar("S_co", bound=Enum, covariant=True)

_FUNCTIONS = (types.FunctionType, staticmethod, classmethod)


class TaskForm(ABC, Generic[S_co]):
    """What every task class has: as plain attributes, what its decorator takes as keywords.

    They are read once, when the task is registered (cano RET-14). An attribute that is almost called like one of them, and
    that no method reads, is refused then as misspelt.
    """

    # Not `model`: that is a name which users give to what they compute with.
    __model__: ClassVar[Model]
    __scopes__: ClassVar[Mapping[str, Scope]] = {}

    name: str | None = None
    """Its name in events and errors; by default the class's."""
    config: TaskConfig | None = None
    """All of `TaskConfig` at once; the attributes below override it."""
    retry: Retry | None = None
    """How often and how patiently a failed attempt is tried again."""
    attempt_timeout: float | None = None
    """Seconds that one attempt may take."""
    retry_on: RetryOn | None = None
    """Which failures are tried again."""
    breaker: Breaker | None = None
    """A circuit breaker around each attempt."""
    limiter: Limiter | None = None
    """A rate limiter before each attempt."""
    on_open: OnOpen | None = None
    """What an attempt does at an open breaker."""
    on_error: Mapping[type[Exception], Any] | None = None
    """Where a failure leads when the retries are spent."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the local names that the methods' annotations need, while they are in scope."""
        super().__init_subclass__(**kwargs)
        functions: dict[str, Any] = {name: it for name, it in vars(cls).items() if isinstance(it, _FUNCTIONS)}
        body = {name: it for name, it in vars(cls).items() if name not in functions}
        cls.__scopes__ = {name: Scope.capture(function, body) for name, function in functions.items()}
