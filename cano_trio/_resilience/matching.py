"""Which failures a rule speaks of: what is retried (`retry_on`), and what an `on_error` edge catches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from .._errors import (
    CircuitOpen,
    DataError,
    DefinitionError,
    IllegalTransition,
    RecordedFailure,
    RetryExhausted,
    RollbackFailed,
    qualified,
)

RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]

# Mistakes in code: the next attempt would make them again (RULINGS 3.4; cano never retries a panic, RET-11).
MISTAKES = (NameError, AttributeError, TypeError, AssertionError, NotImplementedError, ImportError)

# The engine's own verdicts, final whatever `retry_on` says (RET-9, G-RET-1).
NEVER = (DefinitionError, IllegalTransition, CircuitOpen, DataError)


def is_transient(error: BaseException) -> bool:
    """Whether a failure may pass by itself: the default `retry_on`.

    Any `Exception` may, except those that a typo raises: `NameError`, `AttributeError`, `TypeError`, `AssertionError`,
    `NotImplementedError` and `ImportError`. An exception group may if all its leaves may, but not a `RollbackFailed`.

    >>> from cano_trio._resilience import is_transient
    >>> is_transient(OSError("connection reset")), is_transient(NameError("pirnt"))
    (True, False)
    """
    return _every_leaf(error, lambda leaf: not isinstance(leaf, MISTAKES))


def matcher(retry_on: RetryOn) -> Callable[[BaseException], bool]:
    """The question that `retry_on` asks of a failure, made ready once.

    Whatever is given, `DefinitionError`, `IllegalTransition`, `CircuitOpen`, `DataError`, `RollbackFailed` and what is no
    `Exception` never match. Any other exception group matches when all its leaves do, so a predicate is only ever shown leaves.

    Args:
        retry_on: an exception type, a tuple of them, or a function that takes the failure and returns a bool.

    Raises:
        TypeError: `retry_on` is none of these, or an async function, or names a type that is no `Exception`.
        ValueError: `retry_on` is an empty tuple.

    >>> from cano_trio._resilience import matcher
    >>> retried = matcher((ConnectionError, TimeoutError))
    >>> retried(TimeoutError()), retried(ExceptionGroup("two", [TimeoutError(), KeyError("k")]))
    (True, False)
    """
    test = _leaf_test(retry_on)
    return lambda error: _every_leaf(error, lambda leaf: not isinstance(leaf, NEVER) and test(leaf))


def matches(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """Whether an ``on_error`` edge for `kinds` catches this failure (RULINGS 3.3).

    It does if the failure is one of them; an exception group also if all its leaves are caught, and `RetryExhausted`
    also by the failure it ended with.

    Args:
        error: the failure.
        kinds: an exception type, or a tuple of them.

    >>> from cano_trio import RetryExhausted
    >>> from cano_trio._resilience import matches
    >>> matches(RetryExhausted("pay", 4, TimeoutError()), TimeoutError)
    True
    """
    if isinstance(error, kinds):
        return True
    if isinstance(error, RecordedFailure):
        return error.is_of(kinds)
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(matches(part, kinds) for part in group.exceptions)
    return isinstance(error, RetryExhausted) and matches(error.last, kinds)


def kinds_of(error: BaseException) -> tuple[str, ...]:
    """The classes by which `matches` catches a failure, so that it does so when it is written down; but for `Exception`.

    >>> kinds_of(ExceptionGroup("two", [ConnectionResetError(), TimeoutError()]))
    ('builtins:ExceptionGroup', 'builtins:BaseExceptionGroup', 'builtins:OSError')
    """
    if isinstance(error, RecordedFailure):
        return error.kinds
    own = [qualified(kind) for kind in type(error).__mro__ if kind not in {Exception, BaseException, object}]
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        first, *others = map(kinds_of, group.exceptions)
        own += [kind for kind in first if all(kind in other for other in others)]
    elif isinstance(error, RetryExhausted):
        own += kinds_of(error.last)
    return tuple(dict.fromkeys(own))


def _every_leaf(error: BaseException, test: Callable[[Exception], bool]) -> bool:
    if isinstance(error, RollbackFailed):
        return False  # of a run inside the task: its effects stand, and an operator must see to them (cano G-SAG-5)
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(_every_leaf(part, test) for part in group.exceptions)
    return isinstance(error, Exception) and test(error)


def _leaf_test(retry_on: Any) -> Callable[[Exception], bool]:
    """`retry_on` as a function of one leaf; Any, because it comes from a user who may not run a type checker."""
    if retry_on == ():
        raise ValueError("retry_on=() matches nothing. Name exception types, or pass retry=Retry.none().")
    if isinstance(retry_on, type | tuple):
        given = cast("tuple[object, ...]", retry_on) if isinstance(retry_on, tuple) else (retry_on,)
        kinds = tuple(_exception_type(kind) for kind in given)
        return lambda leaf: isinstance(leaf, kinds)
    if not callable(retry_on):
        raise TypeError(f"retry_on={retry_on!r} won't do. Pass an exception type, a tuple of them, or a function.")
    if inspect.iscoroutinefunction(retry_on) or inspect.iscoroutinefunction(type(retry_on).__call__):
        raise TypeError(f"retry_on={retry_on!r} is an async function. Pass a plain one that returns a bool.")
    return cast("Callable[[Exception], bool]", retry_on)


def _exception_type(kind: object) -> type[Exception]:
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind
    raise TypeError(
        f"retry_on: {kind!r} is no subclass of Exception. Name exception types such as ConnectionError; "
        "KeyboardInterrupt, trio.Cancelled and their like always pass through."
    )
