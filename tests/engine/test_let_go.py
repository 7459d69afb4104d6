"""What a failed attempt held is let go with its exception, without waiting for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from enum import Enum, auto
from typing import Literal, NoReturn

import pytest
from trio.testing import MockClock

from cano_trio import BatchResults, CircuitBreaker, CircuitPolicy, CloseReason, Retry, Workflow


class Step(Enum):
    WORK = auto()
    AFTER = auto()
    DONE = auto()
    FAILED = auto()


class Page:
    """Something large that an attempt has in its hands when it fails."""


class Failing:
    """Fails with a `Page` in a local variable, so often; knows which pages are still there."""

    def __init__(self, times: int = 100) -> None:
        self.times = times
        self._pages: list[weakref.ref[Page]] = []

    def __call__(self, kind: type[Exception]) -> NoReturn:
        page = Page()
        self._pages.append(weakref.ref(page))
        raise kind

    def once_more(self) -> None:
        if len(self._pages) < self.times:
            self(OSError)

    def held(self) -> list[bool]:
        return [page() is not None for page in self._pages]


def workflow() -> Workflow[Step]:
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.FAILED])


def failing(fail: Failing) -> Workflow[Step]:
    """Fails at once."""
    work = workflow()

    @work.task(Step.WORK, retry=Retry.none())
    async def task() -> Literal[Step.DONE]:
        fail(OSError)

    return work


def exhausted(fail: Failing) -> Workflow[Step]:
    """Fails at every attempt."""
    work = workflow()

    @work.task(Step.WORK, retry=Retry.fixed(1, delay=1))
    async def task() -> Literal[Step.DONE]:
        fail(OSError)

    return work


def refused(fail: Failing) -> Workflow[Step]:
    """Fails, and is refused by its breaker when tried again."""
    work = workflow()

    @work.task(Step.WORK, retry=Retry.fixed(1, delay=1), breaker=CircuitBreaker(CircuitPolicy(failure_threshold=1)))
    async def task() -> Literal[Step.DONE]:
        fail(OSError)

    return work


def recovering(fail: Failing) -> Workflow[Step]:
    """Fails twice, and succeeds."""
    fail.times = 2
    work = workflow()

    @work.task(Step.WORK, retry=Retry.fixed(2, delay=1))
    async def task() -> Literal[Step.DONE]:
        fail.once_more()
        return Step.DONE

    return work


def diverted(fail: Failing) -> Workflow[Step]:
    """Fails, and is led to an exit."""
    work = workflow()

    @work.task(Step.WORK, retry=Retry.none(), on_error={OSError: Step.FAILED})
    async def task() -> Literal[Step.DONE]:
        fail(OSError)

    return work


def diverted_and_failing(fail: Failing) -> Workflow[Step]:
    """Fails, is led on, and fails there."""
    work = workflow()

    @work.task(Step.WORK, retry=Retry.none(), on_error={OSError: Step.AFTER})
    async def task() -> Literal[Step.DONE]:
        fail(OSError)

    @work.task(Step.AFTER)
    async def after() -> Literal[Step.DONE]:
        fail(TypeError)

    return work


def failing_items(fail: Failing) -> Workflow[Step]:
    """All items of a batch fail."""
    work = workflow()

    @work.batch(Step.WORK, concurrency=2)
    async def item(number: int) -> None:
        fail(OSError)

    @item.load
    async def load() -> list[int]:
        return [1, 2, 3]

    @item.finish
    async def finish(results: BatchResults[int, None]) -> Literal[Step.DONE]:
        return Step.DONE

    return work


def failing_stream(fail: Failing) -> Workflow[Step]:
    """An item of a stream fails."""
    work = workflow()

    @work.stream(Step.WORK)
    async def item(number: int) -> tuple[int, int]:
        fail(OSError)

    @item.open
    async def numbers(cursor: int | None) -> AsyncIterator[int]:
        yield 1

    @item.flush_window
    async def flush(outputs: list[int]) -> None: ...

    @item.on_close
    async def close(reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE

    return work


def failing_source(fail: Failing) -> Workflow[Step]:
    """A stream's source fails."""
    work = workflow()

    @work.stream(Step.WORK)
    async def item(number: int) -> tuple[int, int]:
        return number, number

    @item.open
    async def numbers(cursor: int | None) -> AsyncIterator[int]:
        yield 1
        fail(OSError)

    @item.flush_window
    async def flush(outputs: list[int]) -> None: ...

    @item.on_close
    async def close(reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE

    return work


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "make, attempts",
    [
        (failing, 1),
        (exhausted, 2),
        (refused, 1),
        (recovering, 2),
        (diverted, 1),
        (diverted_and_failing, 2),
        (failing_items, 3),
        (failing_stream, 1),
        (failing_source, 1),
    ],
)
async def test_what_a_failed_attempt_held_goes_with_its_exception(
    autojump_clock: MockClock, make: Callable[[Failing], Workflow[Step]], attempts: int
) -> None:
    """No reference cycle goes through a failure's traceback: once the run is over, all that its frames held is gone."""
    fail = Failing()
    with suppress(Exception):  # pytest.raises would keep it
        await make(fail).orchestrate()
    assert fail.held() == [False] * attempts
