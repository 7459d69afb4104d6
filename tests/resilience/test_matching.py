"""Which failures are retried, and which an `on_error` edge catches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import pytest
import trio

from cano_trio import CircuitOpen, DataNotEncodable, DefinitionError, IllegalTransition, RateLimited, RetryExhausted
from cano_trio._resilience import is_transient, matcher, matches


class Step(Enum):
    """A state for the error that needs one."""

    A = auto()


VERDICTS = [
    DefinitionError([]),
    IllegalTransition("pay", Step.A, None, [], "pay.py:1"),
    CircuitOpen("db", 3),
    DataNotEncodable("order.total", "it is a set"),
]


async def cancelled() -> BaseException:
    """A real `trio.Cancelled`; trio lets nobody make one by hand."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            caught: BaseException = error
            raise
    return caught


@pytest.mark.parametrize("error", [Exception(), OSError(), ValueError(), TimeoutError(), RateLimited("day", 2)])
def test_any_exception_may_pass(error: Exception) -> None:
    """RULINGS 3.4: by default an Exception is retried."""
    assert is_transient(error)
    assert matcher(is_transient)(error)


@pytest.mark.parametrize(
    "kind",
    [NameError, UnboundLocalError, AttributeError, TypeError, AssertionError, NotImplementedError, ModuleNotFoundError],
)
def test_a_typo_fails_at_once(kind: type[Exception]) -> None:
    """RULINGS 3.4: what a mistake in code raises is not retried by default, but may be by name."""
    assert not is_transient(kind())
    assert matcher(Exception)(kind())


def test_a_group_is_transient_if_all_its_leaves_are() -> None:
    """DESIGN 3.1: one typo in a nested group is enough."""
    inner = ExceptionGroup("inner", [OSError(), ValueError()])
    assert is_transient(ExceptionGroup("outer", [OSError(), inner]))
    assert not is_transient(ExceptionGroup("outer", [OSError(), ExceptionGroup("inner", [NameError()])]))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_what_is_no_exception_passes_through(error: BaseException) -> None:
    """DESIGN 3.1: a BaseException is never retried, alone or in a group."""
    everything = matcher(lambda _: True)
    for failure in (error, BaseExceptionGroup("mixed", [OSError(), error])):
        assert not is_transient(failure)
        assert not everything(failure)


async def test_a_cancel_is_never_retried() -> None:
    """DESIGN 3.1: nor is trio.Cancelled, even beside a failure that would be."""
    error = await cancelled()
    group = BaseExceptionGroup("mixed", [OSError(), error])
    assert not matcher(Exception)(group)
    assert not matches(group, Exception)
    assert matches(group, (Exception, trio.Cancelled))


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: type(verdict).__name__)
def test_the_engines_verdicts_are_final(verdict: Exception) -> None:
    """G-RET-1, RET-9: whatever `retry_on` says, these are not retried; nor is a group that holds one."""
    for retry_on in (Exception, (type(verdict),), lambda _: True):
        assert not matcher(retry_on)(verdict)
        assert not matcher(retry_on)(ExceptionGroup("two", [OSError(), verdict]))


def test_a_type_matches_its_subclasses() -> None:
    """G-RET-1: `retry_on=` a type, or a tuple of types."""
    one, two = matcher(ConnectionError), matcher((ConnectionError, LookupError))
    assert one(ConnectionResetError())
    assert not one(KeyError())
    assert two(KeyError())
    assert not two(ValueError())


def test_a_predicate_sees_leaves_only() -> None:
    """G-RET-1: a function is shown each failure of a group, and none after the first that it refuses."""
    seen: list[Exception] = []

    def small(error: Exception) -> bool:
        seen.append(error)
        return isinstance(error, OSError)

    first, second, third = OSError(1), KeyError(2), OSError(3)
    assert not matcher(small)(ExceptionGroup("outer", [ExceptionGroup("inner", [first, second]), third]))
    assert seen == [first, second]


def test_a_predicate_that_raises_is_heard() -> None:
    """G-RET-1: a broken predicate is not taken for a no."""

    def broken(error: Exception) -> bool:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        matcher(broken)(OSError())


async def predicate(error: Exception) -> bool:
    """A mistake on purpose."""
    return True


class AsyncPredicate:
    """The same mistake as an object."""

    async def __call__(self, error: Exception) -> bool:
        """A matcher never awaits it."""
        return bool(error)


@pytest.mark.parametrize(
    "retry_on, complaint",
    [
        (KeyboardInterrupt, "is no subclass of Exception"),
        ((OSError, BaseException), "<class 'BaseException'> is no subclass of Exception"),
        ((OSError, "ValueError"), "'ValueError' is no subclass of Exception"),
        (int, "<class 'int'> is no subclass of Exception"),
        (3, "retry_on=3 won't do"),
        (None, "retry_on=None won't do"),
        ([OSError], "won't do. Pass an exception type, a tuple of them, or a function"),
        (predicate, "is an async function"),
        (functools.partial(predicate), "is an async function"),
        (AsyncPredicate(), "is an async function"),
    ],
)
def test_a_retry_on_that_can_not_work_is_refused(retry_on: Any, complaint: str) -> None:
    """G-RET-1: refused when it is given, not when the first task fails."""
    with pytest.raises(TypeError) as refusal:
        matcher(retry_on)
    assert complaint in str(refusal.value)


def test_nothing_to_retry_on_is_refused() -> None:
    """G-RET-1: an empty tuple would silently switch retries off."""
    with pytest.raises(ValueError, match=r"Retry\.none\(\)"):
        matcher(())


def test_an_edge_catches_by_type() -> None:
    """RULINGS 3.3: first of all by isinstance, which for BaseException is everything."""
    assert matches(ConnectionResetError(), ConnectionError)
    assert matches(KeyError(), (ConnectionError, LookupError))
    assert not matches(KeyError(), ConnectionError)
    assert matches(KeyboardInterrupt(), BaseException)
    assert not matches(KeyboardInterrupt(), Exception)


def test_an_edge_catches_a_group_by_all_its_leaves() -> None:
    """RULINGS 3.3: every leaf must be caught, or the group itself by name."""
    group = ExceptionGroup("two", [KeyError(), ExceptionGroup("one", [IndexError()])])
    assert matches(group, LookupError)
    assert matches(group, (KeyError, IndexError))
    assert not matches(group, KeyError)
    assert matches(group, ExceptionGroup)


@pytest.mark.parametrize(
    "wrap", [lambda error: error, lambda error: ExceptionGroup("one", [error])], ids=["bare", "group"]
)
def test_an_edge_catches_exhausted_retries_by_their_last_failure(wrap: Callable[[Exception], Exception]) -> None:
    """RULINGS 3.3: `RetryExhausted` is caught by itself and by what it ended with, also within groups."""
    exhausted = wrap(RetryExhausted("pay", 4, wrap(TimeoutError())))
    assert matches(exhausted, TimeoutError)
    assert matches(exhausted, RetryExhausted)
    assert not matches(exhausted, KeyError)
