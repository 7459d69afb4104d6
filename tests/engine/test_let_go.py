"""What a failed attempt held is let go with its exception, without waiting for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from enum import Enum, auto
from typing import Any, Literal, NoReturn

import pytest
from trio.testing import MockClock

from cano_trio import (
    BatchResults,
    BranchResults,
    BranchTask,
    CircuitBreaker,
    CircuitPolicy,
    CloseReason,
    Retry,
    Split,
    SplitFailed,
    Workflow,
)


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


def failing_branches(fail: Failing, split: Split[Step], **options: Any) -> Workflow[Step]:
    """A split of branches that fail, joined in a state that looks at the failures."""
    work = workflow()
    work.register_split(Step.WORK, split, **options)

    async def after(results: BranchResults[None]) -> Literal[Step.DONE]:
        assert results.failures
        return Step.DONE

    if split.then is Step.AFTER:
        work.register(Step.AFTER, after)
    return work


def branch_of(fail: Failing) -> BranchTask[None]:
    class Branch(BranchTask[None]):
        retry = Retry.none()

        async def run(self) -> None:
            fail(OSError)

    return Branch()


def borne_branches(fail: Failing) -> Workflow[Step]:
    """Branches fail, and the join bears it."""
    return failing_branches(fail, Split.quorum([branch_of(fail)] * 2, 0, Step.AFTER, collect=True))


def borne_at_an_exit(fail: Failing) -> Workflow[Step]:
    """Branches fail, and nobody asks for it."""
    return failing_branches(fail, Split.quorum([branch_of(fail)] * 2, 0, Step.DONE, collect=True))


def failing_split(fail: Failing) -> Workflow[Step]:
    """Branches fail, and with them the split."""
    return failing_branches(fail, Split.any([branch_of(fail)] * 2, Step.AFTER))


def diverted_split(fail: Failing) -> Workflow[Step]:
    """Branches fail, and the split is led to an exit."""
    split = Split.any([branch_of(fail)] * 2, Step.AFTER)
    return failing_branches(fail, split, on_error={SplitFailed: Step.FAILED})


def held_attempts(fail: Failing) -> Workflow[Step]:
    """An attempt that is watched for a cancel fails, and so does the one after."""
    work = workflow()

    @work.compensatable(Step.WORK, retry=Retry.fixed(1, delay=1))
    async def task() -> tuple[Literal[Step.DONE], int]:
        fail(OSError)

    @task.compensate
    async def undo(receipt: int) -> None: ...

    return work


def failing_compensations(fail: Failing) -> Workflow[Step]:
    """What was done can't be undone, at the second attempt neither."""
    work = workflow()

    @work.compensatable(Step.WORK, compensate_retry=Retry.fixed(1, delay=1))
    async def task() -> tuple[Literal[Step.AFTER], int]:
        return Step.AFTER, 1

    @task.compensate
    async def undo(receipt: int) -> None:
        fail(OSError)

    @work.task(Step.AFTER)
    async def after() -> Literal[Step.DONE]:
        fail(TypeError)

    return work


def compensations_cut_off(fail: Failing) -> Workflow[Step]:
    """The time is over before the second attempt at undoing it."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.FAILED], compensation_timeout=5)

    @work.compensatable(Step.WORK, retry=Retry.none(), compensate_retry=Retry.fixed(1, delay=60))
    async def task() -> tuple[Literal[Step.DONE], int]:
        fail(OSError)

    @task.compensate
    async def undo(receipt: int) -> None: ...

    @task.compensate_in_doubt
    async def look() -> None:
        fail(OSError)

    return work


def timed_out(fail: Failing) -> Workflow[Step]:
    """The run is over during the back-off."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.FAILED], timeout=5)

    @work.task(Step.WORK, retry=Retry.fixed(1, delay=60))
    async def task() -> Literal[Step.DONE]:
        fail(OSError)

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
        (borne_branches, 2),
        (borne_at_an_exit, 2),
        (failing_split, 2),
        (diverted_split, 2),
        (held_attempts, 2),
        (failing_compensations, 3),
        (compensations_cut_off, 2),
        (timed_out, 1),
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
