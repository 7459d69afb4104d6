"""How a batch is worked off (cano BAT-*)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal

import outcome
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    BatchResults,
    BatchTask,
    Progress,
    Retry,
    RetryExhausted,
    RunContext,
    Workflow,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    WORK = auto()
    DONE = auto()
    FAILED = auto()


class Wait(BatchTask[Step, float, float]):
    """Sleeps as long as each item says; fails for negative ones. Keeps what it sees."""

    retry = Retry.none()

    def __init__(self, items: Sequence[float], **options: object) -> None:
        self.items = items
        self.running = self.most = self.loads = self.done = 0
        self.results: BatchResults[float, float] = BatchResults([])
        vars(self).update(options)

    async def load(self) -> Sequence[float]:
        self.loads += 1
        return self.items

    async def process_item(self, item: float, /) -> float:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(abs(item))
            if item < 0:
                raise OSError(item)
            return item
        finally:
            self.running -= 1
            self.done += 1

    async def finish(self, results: BatchResults[float, float], /) -> Literal[Step.DONE]:
        self.results = results
        return Step.DONE


def workflow(batch: BatchTask[Step, float, float]) -> Workflow[Step]:
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.FAILED])
    work.register(Step.WORK, batch)
    return work


async def test_results_in_input_order(autojump_clock: MockClock) -> None:
    """BAT-1: results stand in the order of the items, whatever order they end in."""
    batch = Wait([3, 1, 2], concurrency=3)
    assert await workflow(batch).orchestrate() is Step.DONE
    assert [result.item for result in batch.results] == batch.results.values == [3, 1, 2]
    assert [result.elapsed for result in batch.results] == [3, 1, 2]
    assert trio.current_time() == 3


@pytest.mark.parametrize("concurrency, most, seconds", [(1, 1, 10), (2, 2, 5), (4, 4, 3), (100, 10, 1)])
async def test_concurrency_bounds_the_items_at_once(
    autojump_clock: MockClock, concurrency: int, most: int, seconds: float
) -> None:
    """BAT-1: never more than `concurrency` items are in flight, and no fewer while there is work."""
    batch = Wait([1] * 10, concurrency=concurrency)
    await workflow(batch).orchestrate()
    assert (batch.most, trio.current_time()) == (most, seconds)


async def test_default_concurrency_is_one(autojump_clock: MockClock) -> None:
    """BAT-2: by default one item after the other."""
    batch = Wait([1, 1])
    await workflow(batch).orchestrate()
    assert batch.most == 1


async def test_empty_list_finishes() -> None:
    """BAT-3: with nothing loaded, finish gets an empty sequence."""
    batch = Wait([])
    await workflow(batch).orchestrate()
    assert list(batch.results) == []


async def test_failed_item_fills_its_slot(autojump_clock: MockClock) -> None:
    """BAT-4, G-BAT-2: an item's failure is its result, and the batch goes on; finish decides."""
    batch = Wait([1, -2, 3])
    await workflow(batch).orchestrate()
    assert batch.results.values == [1, 3]
    (failure,) = batch.results.failures
    assert (failure.item, failure.attempts, failure.elapsed) == (-2, 1, 2)
    assert isinstance(failure.outcome, outcome.Error)
    assert repr(failure.outcome.error) == "OSError(-2)"


async def test_item_retry(autojump_clock: MockClock) -> None:
    """BAT-5: items have a retry policy of their own, and a slot holds the bare last failure."""
    batch = Wait([-1], item_retry=Retry.fixed(2, delay=10))
    await workflow(batch).orchestrate()
    (failure,) = batch.results.failures
    assert (failure.attempts, failure.elapsed) == (3, 23)
    assert isinstance(failure.outcome, outcome.Error)
    assert type(failure.outcome.error) is OSError


async def test_item_retry_on(autojump_clock: MockClock) -> None:
    """What is retried of an item is its own rule: a failure that it does not name fills the slot at once."""
    batch = Wait([-1, -1], item_retry=Retry.fixed(2, delay=10), item_retry_on=TimeoutError)
    await workflow(batch).orchestrate()
    assert [result.attempts for result in batch.results] == [1, 1]


async def test_result_of_an_item() -> None:
    """A result gives its value, or raises its failure, and tells the failure without raising."""
    batch = Wait([0, -0.001])
    await workflow(batch).orchestrate()
    good, bad = batch.results
    assert (good.value, good.error) == (0, None)
    assert isinstance(bad.error, OSError)
    with pytest.raises(OSError) as caught:
        _ = bad.value
    assert caught.value is bad.error


async def test_item_timeout(autojump_clock: MockClock) -> None:
    """G-BAT-3: an item that hangs is cut off, and the others are not held up."""
    batch = Wait([1, 100, 1], item_timeout=5)
    await workflow(batch).orchestrate()
    assert batch.results.values == [1, 1]
    assert isinstance(batch.results.failures[0].outcome, outcome.Error)
    assert isinstance(batch.results.failures[0].outcome.error, AttemptTimeout)
    assert trio.current_time() == 7


async def test_load_failure_goes_to_the_outer_retry(autojump_clock: MockClock) -> None:
    """BAT-6: a failure of load is a failure of the attempt; finish is not called."""

    class Broken(Wait):
        async def load(self) -> Sequence[float]:
            self.loads += 1
            raise OSError

        async def finish(self, results: BatchResults[float, float], /) -> Literal[Step.DONE]:
            raise AssertionError

    batch = Broken([1], retry=Retry.fixed(2, delay=1))
    with pytest.raises(RetryExhausted):
        await workflow(batch).orchestrate()
    assert batch.loads == 3


async def test_finish_failure_replays_the_whole_cycle(autojump_clock: MockClock) -> None:
    """BAT-7: after a failure of finish, a retry loads and processes all again."""

    class Picky(Wait):
        async def finish(self, results: BatchResults[float, float], /) -> Literal[Step.DONE]:
            if self.loads == 1:
                raise OSError
            return Step.DONE

    batch = Picky([1, 1], retry=Retry.fixed(1, delay=5))
    await workflow(batch).orchestrate()
    assert (batch.loads, trio.current_time()) == (2, 9)


async def test_attempt_timeout_bounds_the_whole_cycle(autojump_clock: MockClock) -> None:
    """BAT-9: the attempt timeout is for load, all items and finish together."""
    with pytest.raises(AttemptTimeout):
        await workflow(Wait([2, 2], attempt_timeout=3)).orchestrate()
    assert trio.current_time() == 3


async def test_cancel_stops_all_items(autojump_clock: MockClock) -> None:
    """BAT-12: a cancel ends the items in flight at once, and finish is not called."""
    batch = Wait([50] * 4, concurrency=2)
    with trio.move_on_after(1):
        await workflow(batch).orchestrate()
    assert (batch.running, batch.most, list(batch.results)) == (0, 2, [])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_no_exception_passes_bare(kind: type[BaseException], autojump_clock: MockClock) -> None:
    """BAT-12: what an item raises that is no `Exception` ends the others and leaves the run as itself, in no group."""

    class Stopped(Wait):
        async def process_item(self, item: float, /) -> float:
            await super().process_item(item)
            raise kind

    limiter = trio.CapacityLimiter(2)
    batch = Stopped([50, 1, 1], concurrency=limiter)
    with pytest.raises(kind) as caught:
        await workflow(batch).orchestrate()
    assert type(caught.value) is kind
    assert (batch.running, limiter.borrowed_tokens, trio.current_time()) == (0, 0, 1)


@pytest.mark.parametrize("kind", [OSError, SystemExit])
async def test_a_group_with_a_cancel_is_parted(kind: type[BaseException], autojump_clock: MockClock) -> None:
    """What the own nursery of an item that is cut off raises beside the cancel passes if it is no `Exception`, and alone."""

    class Torn(Wait):
        async def process_item(self, item: float, /) -> float:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.stops_badly)
                try:
                    return await super().process_item(item)
                finally:
                    await trio.lowlevel.checkpoint()

        async def stops_badly(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise kind

    work = workflow(Torn([50], attempt_timeout=1))
    if kind is OSError:
        with pytest.raises(AttemptTimeout):
            await work.orchestrate()
    else:
        with pytest.raises(BaseExceptionGroup) as caught:
            await work.orchestrate()
        assert [type(error) for error in caught.value.exceptions] == [SystemExit]


async def test_a_cancel_from_outside_is_no_group(autojump_clock: MockClock) -> None:
    """BAT-12: however many items it cuts off, a cancel leaves the run as one `Cancelled`."""
    with trio.move_on_after(1), pytest.raises(trio.Cancelled):
        await workflow(Wait([50] * 4, concurrency=2)).orchestrate()


async def test_shared_limiter_bounds_two_batches_together(autojump_clock: MockClock) -> None:
    """A CapacityLimiter shared by batches bounds all their items together, and neither waits for the other's end."""
    limiter = trio.CapacityLimiter(2)
    batches = [Wait([1] * 6, concurrency=limiter), Wait([1] * 6, concurrency=limiter)]
    ends = {}

    async def work(batch: Wait) -> None:
        await workflow(batch).orchestrate()
        ends[id(batch)] = trio.current_time()

    async with trio.open_nursery() as nursery:
        for batch in batches:
            nursery.start_soon(work, batch)
        await trio.sleep(4.5)
        assert batches[0].running + batches[1].running == 2
        assert [batch.done for batch in batches] in ([3, 5], [4, 4], [5, 3])
    assert trio.current_time() == 6
    assert min(ends.values()) >= 5
    assert limiter.borrowed_tokens == 0


async def test_limit_raised_and_lowered_while_working(autojump_clock: MockClock) -> None:
    """A change of the shared limiter's tokens is felt by a running batch, up and down."""
    limiter = trio.CapacityLimiter(1)
    batch = Wait([1] * 20, concurrency=limiter)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workflow(batch).orchestrate)
        await trio.sleep(1.5)
        assert batch.running == 1
        limiter.total_tokens = 4
        await trio.sleep(2)
        assert batch.running == 4
        limiter.total_tokens = 2
        await trio.sleep(2)
        assert batch.running == 2


async def test_progress_tells_the_end(autojump_clock: MockClock, recorder: Recorder) -> None:
    """Progress events count up and end with all of all."""
    await workflow(Wait([1] * 5)).orchestrate(observers=[recorder])
    told = [(event.done, event.total) for event in recorder.of(Progress)]
    assert told == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


async def test_items_have_keys_of_their_own() -> None:
    """RULINGS 5: an item's idempotency key ends with its index in the loaded list."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    keys = []

    @work.batch(Step.WORK)
    async def note(item: str, ctx: RunContext) -> None:
        keys.append((item, ctx.idempotency_key, ctx.attempt))

    @note.load
    async def letters() -> list[str]:
        return ["a", "b"]

    @note.finish
    async def end(results: BatchResults[str, None]) -> Literal[Step.DONE]:
        return Step.DONE

    await work.orchestrate(run_id="r")
    assert keys == [("a", "r/0/i:0", 1), ("b", "r/0/i:1", 1)]


async def test_load_that_lists_nothing_iterable_fails_clearly() -> None:
    """What load returns must be a sequence; None says so, and is not retried."""

    class Nothing(Wait):
        retry = Retry.fixed(3, delay=0)

        async def load(self) -> Sequence[float]:
            self.loads += 1
            return None  # type: ignore[return-value]

    batch = Nothing([])
    with pytest.raises(TypeError, match=r"Nothing\.load returned None"):
        await workflow(batch).orchestrate()
    assert batch.loads == 1


@given(
    items=st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), max_size=20),
    concurrency=st.integers(1, 6),
    retries=st.integers(0, 2),
)
def test_batch_law(items: list[float], concurrency: int, retries: int) -> None:
    """BAT-1, BAT-4, BAT-5: every item has exactly one result, in order, with its own outcome and number of attempts."""
    batch = Wait(items, concurrency=concurrency, item_retry=Retry.fixed(retries, delay=1))
    trio.run(workflow(batch).orchestrate, clock=MockClock(autojump_threshold=0))
    assert [result.item for result in batch.results] == items
    assert batch.results.values == [item for item in items if item >= 0]
    assert [result.attempts for result in batch.results] == [1 if item >= 0 else retries + 1 for item in items]
    assert batch.most <= concurrency
