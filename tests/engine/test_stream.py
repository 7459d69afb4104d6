"""How a stream is worked off: windows, items that fail, keys, data and events (cano STM-*)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    CloseReason,
    DataNotEncodable,
    DataNotWritable,
    IllegalTransition,
    RateLimiter,
    Retry,
    RetryExhausted,
    RunContext,
    StreamTask,
    TaskSucceeded,
    Waiting,
    Window,
    WindowFlushed,
    Workflow,
    failure_context,
)
from tests.engine.streams import EXITS, Burying, Numbers, Step, work_off, workflow

if TYPE_CHECKING:
    from tests.conftest import Recorder


# ---- windows


async def test_defaults(autojump_clock: MockClock) -> None:
    """STM-1: by default each item is flushed by itself, and the first failure fails the stream, without a retry."""
    stream = Numbers([1, 2, -1])
    with pytest.raises(OSError, match="-1"):
        await work_off(stream)
    assert (stream.windows, stream.closed) == ([[1], [2]], [CloseReason.FAILED])


@pytest.mark.parametrize(
    "count, windows",
    [(1, [[1], [1], [1], [1]]), (2, [[1, 1], [1, 1]]), (3, [[1, 1, 1], [1]]), (9, [[1, 1, 1, 1]])],
)
async def test_windows_by_count(autojump_clock: MockClock, count: int, windows: list[list[float]]) -> None:
    """STM-2, STM-3, STM-13: items go one after the other into windows of `count`; the rest is flushed at the end."""
    stream = Numbers([1, 1, 1, 1], window=Window(count=count))
    assert await work_off(stream) is Step.DONE
    assert (stream.windows, stream.closed) == (windows, [CloseReason.EXHAUSTED])


async def test_windows_by_time(autojump_clock: MockClock) -> None:
    """STM-4: a window ends when its time is over, also while the source is idle; the item that was asked for comes later."""
    stream = Numbers([1, 1, 7, 1], window=Window(seconds=4))
    await work_off(stream)
    assert list(zip(stream.windows, stream.flushed_at, strict=True)) == [([1, 1], 4), ([7, 1], 10)]
    assert stream.asked == 4


async def test_windows_without_outputs_are_not_flushed(autojump_clock: MockClock) -> None:
    """STM-4: the next window begins when one without outputs ends, and nothing is flushed for it."""
    stream = Numbers([9.5, 0.25, 5], window=Window(seconds=2))
    await work_off(stream)
    assert list(zip(stream.windows, stream.flushed_at, strict=True)) == [([9.5, 0.25], 10), ([5], 14.75)]


async def test_windows_by_count_or_time(autojump_clock: MockClock) -> None:
    """G-STM-2: with both, the last items of a quiet source do not wait for ever, and a full window does not wait either."""
    stream = Numbers([1, 1, 1, 50], window=Window(count=2, seconds=10))
    await work_off(stream)
    assert list(zip(stream.windows, stream.flushed_at, strict=True)) == [([1, 1], 2), ([1], 12), ([50], 53)]


async def test_an_item_at_work_is_not_interrupted_by_the_window(autojump_clock: MockClock) -> None:
    """STM-5: a window whose time is over while an item is at work is flushed right behind it, before the next item."""
    stream = Numbers([0, 0], window=Window(seconds=3), takes=5)
    await work_off(stream)
    assert stream.flushed_at == [5, 10]


async def test_only_outputs_count(autojump_clock: MockClock) -> None:
    """STM-3: failed items do not fill a window."""
    stream = Numbers([1, -1, 1, -1, 1], window=Window(count=2), on_item_error="skip")
    await work_off(stream)
    assert stream.windows == [[1, 1], [1]]


async def test_empty_source() -> None:
    """STM-14: nothing is flushed of a source without items, and on_close hears that it is exhausted."""
    stream = Numbers()
    assert await work_off(stream) is Step.DONE
    assert (stream.windows, stream.closed, stream.opened) == ([], [CloseReason.EXHAUSTED], [None])


async def test_an_output_may_be_none_or_false() -> None:
    """Outputs are counted, not looked at; nor is an item that is None taken for no item."""

    class Nones(StreamTask[Step, None, bool, int]):
        window = Window(count=2)

        async def open(self, cursor: int | None) -> AsyncIterator[None]:
            for _ in range(3):
                yield None

        async def process_item(self, item: None) -> tuple[bool, int]:
            return False, 0

        async def flush_window(self, outputs: list[bool]) -> None:
            windows.append(outputs)

        async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
            return Step.DONE

    windows: list[list[bool]] = []
    await work_off(Nones())
    assert windows == [[False, False], [False]]


# ---- stopping


async def test_a_flush_that_names_a_state_stops(autojump_clock: MockClock) -> None:
    """STM-7, G-STM-1: the stream goes where the flush says; on_close hears of it, and what it returns does not count."""
    stream = Numbers([1, 2, 3], stops=lambda outputs: outputs == [2])
    assert await work_off(stream) is Step.STOPPED
    assert (stream.windows, stream.closed, stream.asked) == ([[1], [2]], [CloseReason.STOPPED], 2)


async def test_the_last_flush_may_stop(autojump_clock: MockClock) -> None:
    """STM-13: so may the flush of what was left when the source had no more."""
    stream = Numbers([1, 2], window=Window(count=9), stops=bool)
    assert await work_off(stream) is Step.STOPPED
    assert stream.closed == [CloseReason.STOPPED]


async def test_a_stop_leaves_the_rest_in_the_channel(autojump_clock: MockClock) -> None:
    """STM-7: two stream states share a channel; a stop, also by time, leaves all that was not processed to the next."""
    send, receive = trio.open_memory_channel[float](100)

    class Shared(Numbers):
        async def open(self, cursor: float | None) -> trio.MemoryReceiveChannel[float]:
            return receive

        async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
            await trio.sleep(1)  # items come meanwhile
            return await super().flush_window(outputs)

    class Second(Shared):
        async def flush_window(self, outputs: list[float]) -> Literal[Step.AFTER] | None:  # type: ignore[override]
            await super().flush_window(outputs)
            return None

    first = Shared(window=Window(seconds=2), stops=bool)
    second = Second(window=Window(count=100))
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, first)

    @work.task(Step.STOPPED)
    async def flip() -> Literal[Step.AFTER]:
        return Step.AFTER

    work.register(Step.AFTER, second)

    async def produce() -> None:
        with send:
            for number in range(20):
                await trio.sleep(0.25)
                await send.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await work.orchestrate()
    assert len(first.windows) == 1
    assert [*first.windows[0], *second.windows[0]] == list(range(20))
    assert trio.current_time() == 6


async def test_an_item_that_comes_with_a_stop_is_flushed(autojump_clock: MockClock) -> None:
    """A generator that was asked before the window's time was over may give its item during the flush: it is not lost."""

    class Slow(Numbers):
        async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
            result = await super().flush_window(outputs)
            await trio.sleep(5)
            return result

    stream = Slow([1, 3, 1], window=Window(seconds=2), stops=lambda outputs: outputs == [1])
    assert await work_off(stream) is Step.STOPPED
    assert (stream.windows, stream.asked) == ([[1], [3]], 2)


async def test_an_unknown_state_fails_the_stream(autojump_clock: MockClock) -> None:
    """STM-23: a flush that returns what its annotation does not name fails the stream, and on_close is told so."""
    stream = Numbers([1])

    async def flush(outputs: list[float]) -> Literal[Step.STOPPED] | None:
        return Step.WORK  # type: ignore[return-value]

    stream.flush_window = flush  # type: ignore[method-assign]
    with pytest.raises(IllegalTransition):
        await work_off(stream)
    assert stream.closed == [CloseReason.FAILED]


# ---- failed items


async def test_skip(autojump_clock: MockClock) -> None:
    """STM-8: with "skip" the stream goes on behind a failed item."""
    stream = Numbers([1, -1, 2], on_item_error="skip")
    await work_off(stream)
    assert (stream.windows, stream.closed) == ([[1], [2]], [CloseReason.EXHAUSTED])


async def test_retry(autojump_clock: MockClock) -> None:
    """G-STM-3: a failed item is tried again as the retry says, and only then is it judged; nothing else is tried again."""

    class Flaky(Numbers):
        tries = 0

        async def process_item(self, item: float) -> tuple[float, float]:
            self.tries += 1
            if self.tries == 2:
                raise OSError
            return await super().process_item(item)

    stream = Flaky([1, 2, 3], retry=Retry.fixed(1, delay=10))
    await work_off(stream)
    assert (stream.windows, stream.tries, trio.current_time()) == ([[1], [2], [3]], 4, 16)


async def test_spent_retries_fail(autojump_clock: MockClock) -> None:
    """RET-7: an item that fails at every attempt fails the stream as it would fail a task."""
    stream = Numbers([-1], retry=Retry.fixed(2, delay=1))
    with pytest.raises(RetryExhausted) as caught:
        await work_off(stream)
    context = failure_context(caught.value)
    assert context is not None
    assert (context.attempts, trio.current_time()) == (3, 3)


async def test_dead_letter(autojump_clock: MockClock) -> None:
    """G-STM-3: with "dead_letter" an item goes there with its last failure, once, when its retries are spent."""
    stream = Burying([1, -1, 2], retry=Retry.fixed(2, delay=1))
    await work_off(stream)
    ((item, error),) = stream.buried
    assert (item, repr(error), stream.windows) == (-1, "OSError(-1)", [[1], [2]])


async def test_a_dead_letter_that_can_not_be_kept(autojump_clock: MockClock) -> None:
    """A failure of dead_letter fails the stream, and the item's own failure is its context: neither is lost."""

    class Full(Burying):
        async def dead_letter(self, item: float, error: Exception) -> None:
            raise KeyError(item)

    stream = Full([-1])
    with pytest.raises(KeyError) as caught:
        await work_off(stream)
    assert isinstance(caught.value.__context__, OSError)
    assert stream.closed == [CloseReason.FAILED]


@pytest.mark.parametrize("max_errors, windows", [(0, [[1]]), (1, [[1], [2]]), (2, [[1], [2]])])
async def test_max_errors(autojump_clock: MockClock, max_errors: int, windows: list[list[float]]) -> None:
    """STM-8: so many failures in a row are let pass, across windows; one more fails the stream, and a success resets."""
    stream = Numbers([1, -1, 2, -1, -2, -3], on_item_error="skip", max_errors=max_errors)
    with pytest.raises(OSError, match=["-1", "-2", "-3"][max_errors]):
        await work_off(stream)
    assert stream.windows == windows


async def test_attempt_timeout_bounds_each_item(autojump_clock: MockClock) -> None:
    """STM-11: an item that hangs is cut off by itself, as its policy says; waiting for items takes as long as it takes."""

    class Hung(Numbers):
        async def process_item(self, item: float) -> tuple[float, float]:
            await trio.sleep(100 if item == 2 else 0)
            return item, item

    stream = Hung([60, 2, 60], attempt_timeout=5, on_item_error="skip")
    await work_off(stream)
    assert (stream.windows, trio.current_time()) == ([[60], [60]], 127)
    with pytest.raises(AttemptTimeout, match=r"Hung\.process_item"):
        await work_off(Hung([2], attempt_timeout=5))


@pytest.mark.parametrize("method", ["open", "flush_window", "on_close"])
async def test_attempt_timeout_bounds_the_other_calls(autojump_clock: MockClock, method: str) -> None:
    """G-STM-5: so are open, flush_window and on_close, each by itself."""

    stream = Numbers([1], attempt_timeout=5)

    async def hang(argument: Any) -> Any:
        await trio.sleep_forever()

    hang.__annotations__["return"] = getattr(stream, method).__annotations__["return"]
    setattr(stream, method, hang)
    with pytest.raises(AttemptTimeout, match=method):
        await work_off(stream)
    assert stream.closed == ([] if method == "on_close" else [CloseReason.FAILED])


async def test_open_is_retried(autojump_clock: MockClock) -> None:
    """STM-12, G-STM-8: a retry is not silently ignored: it holds for open, too, which else is called once."""

    class Refused(Numbers):
        async def open(self, cursor: float | None) -> trio.MemoryReceiveChannel[float]:
            self.opened.append(cursor)
            if len(self.opened) < 3:
                raise OSError
            send, receive = trio.open_memory_channel[float](1)
            with send:
                await send.send(7)
            return receive

    stream = Refused(retry=Retry.fixed(2, delay=1))
    await work_off(stream)
    assert (stream.opened, stream.windows, stream.closed) == ([None] * 3, [[7]], [CloseReason.EXHAUSTED])


async def test_a_flush_is_retried_with_all_its_outputs(autojump_clock: MockClock) -> None:
    """A second attempt at a flush gets what the first did, whatever that did to its list."""

    class Eats(Numbers):
        async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
            await super().flush_window([*outputs])
            outputs.clear()
            if len(self.windows) == 1:
                raise OSError
            return None

    stream = Eats([1, 2], window=Window(count=2), retry=Retry.fixed(1, delay=1))
    await work_off(stream)
    assert stream.windows == [[1, 2], [1, 2]]


async def test_an_open_breaker_is_no_failed_item(autojump_clock: MockClock) -> None:
    """An item that a breaker refused was not tried: it is neither skipped nor buried, and the stream fails."""
    breaker = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=60))
    stream = Burying([-1, 1], breaker=breaker)
    with pytest.raises(CircuitOpen):
        await work_off(stream)
    assert ([item for item, _ in stream.buried], stream.processed) == ([-1], [])


async def test_a_limiter_paces_the_items(autojump_clock: MockClock) -> None:
    """G-STM-8: a limiter holds for the items, and for nothing else."""
    stream = Numbers([0, 0, 0], limiter=RateLimiter(1, per=10, burst=1))
    await work_off(stream)
    assert stream.flushed_at == [0, 10, 20]


async def test_what_process_item_returns(autojump_clock: MockClock) -> None:
    """An item's result must be a pair; anything else is a mistake in the code, which no policy for items passes over."""

    class Wrong(Numbers):
        async def process_item(self, item: float) -> tuple[float, float]:
            return item  # type: ignore[return-value]

    with pytest.raises(
        TypeError, match=r"Wrong\.process_item returned 1\. Return a pair of the output and the cursor\."
    ):
        await work_off(Wrong([1], on_item_error="skip"))


# ---- keys, cursors, data


async def test_keys(autojump_clock: MockClock) -> None:
    """RULINGS 5: an item's key tells the windows before it and its place behind their cursor; so no two items share one.

    An item that was skipped behind the cursor would come again after a crash: it keeps its number in the next window.
    """

    class Keys(Numbers):
        keys: list[str]

        async def process_item(self, item: float, ctx: RunContext) -> tuple[float, float]:  # type: ignore[override]
            self.keys.append(ctx.idempotency_key)
            return await super().process_item(item)

    stream = Keys([1, 2, 3, -1, 2, 1], window=Window(seconds=8), on_item_error="skip", keys=[])
    await workflow(stream).run(run_id="r")
    assert stream.windows == [[1, 2, 3], [2, 1]]
    assert stream.keys == ["r/0/w:0/i:0", "r/0/w:0/i:1", "r/0/w:0/i:2", "r/0/w:0/i:3", "r/0/w:1/i:1", "r/0/w:1/i:2"]


@dataclass
class Ledger:
    total: float = 0
    windows: int = 0
    closed: list[str] = field(default_factory=list)


class Booking(StreamTask[Step, float, float, int]):
    """Writes into the run's data; fails at an item of -1, and in the flush of a -2."""

    def __init__(self, items: Sequence[float], **options: Any) -> None:
        self.items = items
        vars(self).update(options)

    async def open(self, cursor: int | None, ledger: Ledger) -> AsyncIterator[float]:
        for item in self.items:
            yield item

    async def process_item(self, item: float, ledger: Ledger) -> tuple[float, int]:
        if item == -1:
            raise OSError
        if item == -3:
            ledger.total = 99
        return item, 0

    async def flush_window(self, outputs: list[float], ledger: Ledger) -> Literal[Step.STOPPED] | None:
        ledger.total += sum(outputs)
        ledger.windows += 1
        if -2 in outputs:
            raise OSError
        return Step.STOPPED if 100 in outputs else None

    async def on_close(self, reason: CloseReason, ledger: Ledger) -> Literal[Step.DONE]:
        ledger.closed.append(reason.value)
        return Step.DONE


def booking(*items: float, **options: Any) -> Workflow[Step, Ledger]:
    work = Workflow(Step, initial=Step.WORK, exits=EXITS, data=Ledger)
    work.register(Step.WORK, Booking(items), on_error={OSError: Step.FAILED}, **options)
    return work


@pytest.mark.parametrize(
    "items, total, windows, closed",
    [
        ([1, 2, 3], 6, 3, ["exhausted"]),
        ([1, 100, 3], 101, 2, ["stopped"]),
        ([1, 2, -1], 3, 2, []),
        ([1, 2, -2], 3, 2, []),
    ],
)
async def test_data(items: list[float], total: float, windows: int, closed: list[str]) -> None:
    """RULINGS 4: what a flush wrote is kept with its window; what on_close wrote, where the state ends by it."""
    result = await booking(*items).run(Ledger())
    assert result.data == Ledger(total, windows, closed)


async def test_data_are_for_reading_where_items_speak() -> None:
    """RULINGS 4: process_item may not change them, whatever is to become of failed items."""
    with pytest.raises(DataNotWritable, match=r"Booking\.process_item changed Ledger\.total"):
        await booking(-3, on_item_error="skip").run(Ledger())


async def test_a_cursor_that_can_not_be_written_down(autojump_clock: MockClock) -> None:
    """A cursor that is not of its type fails the stream before its window is flushed: nothing has happened then."""

    class Odd(Numbers):
        async def process_item(self, item: float) -> tuple[float, float]:
            return item, float("nan") if item == 2 else item

    stream = Odd([1, 2])
    with pytest.raises(DataNotEncodable, match="cursor"):
        await work_off(stream)
    assert (stream.windows, stream.closed) == ([[1]], [CloseReason.FAILED])


async def test_a_later_visit_begins_anew(autojump_clock: MockClock) -> None:
    """G-REC-2: when the state is entered again, open gets no cursor of the visit before."""
    stream = Numbers([1, 2])
    work = Workflow(Step, initial=Step.WORK, exits=[Step.STOPPED])
    work.register(Step.WORK, stream)

    @work.router(Step.DONE)
    async def again(ctx: RunContext) -> Literal[Step.WORK, Step.STOPPED]:
        return Step.WORK if len(stream.closed) < 3 else Step.STOPPED

    await work.orchestrate()
    assert stream.opened == [None] * 3


# ---- events


async def test_events(autojump_clock: MockClock, recorder: Recorder) -> None:
    """OBS-3, STM-29: observers hear of each flushed window, and of a wait that takes more than a moment."""
    stream = Numbers([0, 0, 20, 1], window=Window(count=2, seconds=5))
    await workflow(stream).orchestrate(observers=[recorder])
    assert [(it.window, it.outputs) for it in recorder.of(WindowFlushed)] == [(1, 2), (2, 2)]
    assert [(it.time, it.reason, it.seconds) for it in recorder.of(Waiting)] == [
        (0.1, "item", None),
        (20.1, "item", pytest.approx(4.9)),
    ]
    assert len(recorder.of(TaskSucceeded)) == 1


async def test_events_of_a_cancel(autojump_clock: MockClock, recorder: Recorder) -> None:
    """STM-21: a cancelled stream did neither succeed nor fail: the run has ended."""
    with trio.move_on_after(1.5):
        await workflow(Numbers([1, 1])).orchestrate(observers=[recorder])
    assert recorder.kinds() == ["RunStarted", "StateEntered", "Waiting", "WindowFlushed", "Waiting", "RunEnded"]
