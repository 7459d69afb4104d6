"""How a stream ends when something fails or the run is cancelled: which failure wins, and what is still done."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    CloseReason,
    DrainTimeout,
    RunTimeout,
    TaskFailed,
    Window,
    Workflow,
)
from tests.engine.streams import EXITS, SOURCES, Numbers, Step, work_off, workflow

if TYPE_CHECKING:
    from tests.conftest import Recorder


# ---- failures, and which wins


class Failing(Numbers):
    """Fails where it is told to."""

    def __init__(self, *fails: str) -> None:
        super().__init__([1, 2], window=Window(count=9))
        self.fails = fails

    def fail(self, where: str) -> None:
        if where in self.fails:
            raise OSError(where)

    @asynccontextmanager
    async def open(self, cursor: float | None) -> AsyncGenerator[AsyncIterator[float], None]:
        self.fail("open")
        yield self.generated(cursor)
        self.fail("closing")

    async def process_item(self, item: float) -> tuple[float, float]:
        self.fail("process")
        return await super().process_item(item)

    async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
        self.fail("flush")
        return await super().flush_window(outputs)

    async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
        await super().on_close(reason)
        self.fail("on_close")
        return Step.DONE


@pytest.mark.parametrize(
    "fails",
    [
        ["open"], ["process"], ["flush"], ["closing"], ["on_close"], ["open", "on_close"], ["process", "closing"],
        ["process", "on_close"], ["flush", "closing", "on_close"], ["closing", "on_close"],
    ],
)  # fmt: skip
async def test_the_first_failure_wins(
    autojump_clock: MockClock, fails: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """G-STM-1, G-STM-6: the first failure is the stream's; later ones are logged and noted on it; on_close comes once."""
    stream = Failing(*fails)
    with pytest.raises(OSError, match=fails[0]) as caught:
        await work_off(stream)
    *notes, _ = caught.value.__notes__
    assert notes == [f"then, while Failing was closed: OSError: {where}" for where in fails[1:]]
    assert [record.message for record in caplog.records] == ["Failing failed once more while it was closed"] * len(
        notes
    )
    assert stream.closed == [CloseReason.EXHAUSTED if fails[0] == "on_close" else CloseReason.FAILED]
    assert not stream.source_open


async def test_a_failure_is_led_by_on_error(autojump_clock: MockClock, recorder: Recorder) -> None:
    """RULINGS 3.3: what fails a stream may lead to another state, when it is closed."""
    work = Workflow(Step, initial=Step.WORK, exits=EXITS)
    stream = Numbers([1, -1], on_error={OSError: Step.FAILED})
    work.register(Step.WORK, stream)
    assert await work.orchestrate(observers=[recorder]) is Step.FAILED
    assert stream.closed == [CloseReason.FAILED]
    assert [event.next_state for event in recorder.of(TaskFailed)] == [Step.FAILED]


class Blow(BaseException):
    """Like a KeyboardInterrupt."""


@pytest.mark.parametrize("where", ["process", "flush", "on_close", "open"])
async def test_what_is_no_exception_passes(autojump_clock: MockClock, where: str) -> None:
    """A BaseException leaves the stream bare, and on_close is called even so, once."""

    class Blowing(Failing):
        def fail(self, where: str) -> None:
            if where in self.fails:
                raise Blow

    stream = Blowing(where)
    with pytest.raises(Blow):
        await work_off(stream)
    assert stream.closed == [CloseReason.EXHAUSTED if where == "on_close" else CloseReason.FAILED]


async def test_a_users_group_passes_untouched(autojump_clock: MockClock) -> None:
    """A group that the user raises is the very one that leaves the run."""
    group = ExceptionGroup("mine", [OSError(1), OSError(2)])

    class Grouped(Numbers):
        async def process_item(self, item: float) -> tuple[float, float]:
            raise group

    with pytest.raises(ExceptionGroup) as caught:
        await work_off(Grouped([1]))
    assert caught.value is group


# ---- cancel


async def cancelled_after(seconds: float, work: Awaitable[object]) -> bool:
    with trio.move_on_after(seconds) as scope:
        await work
    return scope.cancelled_caught


async def test_cancel_while_waiting_drains(autojump_clock: MockClock) -> None:
    """STM-15: a cancel that finds it waiting flushes what there is, calls on_close, and goes on as the cancel it is."""
    stream = Numbers([1, 1, 50], window=Window(count=9))
    assert await cancelled_after(10, work_off(stream))
    assert (stream.windows, stream.closed, trio.current_time()) == ([[1, 1]], [CloseReason.CANCELLED], 10)


async def test_cancel_with_an_empty_window(autojump_clock: MockClock) -> None:
    """STM-15: with nothing to flush nothing is flushed, and on_close is called."""
    stream = Numbers([50])
    assert await cancelled_after(10, work_off(stream))
    assert (stream.windows, stream.closed) == ([], [CloseReason.CANCELLED])


async def test_cancel_waits_for_an_item_at_work(autojump_clock: MockClock) -> None:
    """STM-5: an item that has been taken from its source is processed and flushed; no other is asked for."""
    stream = Numbers([1, 1], window=Window(count=9), takes=5)
    assert await cancelled_after(2, work_off(stream))
    assert (stream.windows, stream.asked, trio.current_time()) == ([[1]], 1, 6)


async def test_cancel_before_a_full_window(autojump_clock: MockClock) -> None:
    """STM-6: a full window is flushed before the cancel is looked at; if that stops the stream, it has stopped."""
    stream = Numbers([1, 1], takes=5, stops=bool)
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.STOPPED])
    work.register(Step.WORK, stream)
    assert not await cancelled_after(2, work.orchestrate())
    assert stream.closed == [CloseReason.STOPPED]


async def test_a_drain_goes_nowhere(autojump_clock: MockClock) -> None:
    """STM-15: a state that the flush of a drain names does not count: the run is cancelled."""
    stream = Numbers([1, 50], window=Window(count=9), stops=bool)
    assert await cancelled_after(2, work_off(stream))
    assert stream.closed == [CloseReason.CANCELLED]


async def test_cancel_while_it_opens(autojump_clock: MockClock) -> None:
    """STM-16: open is dropped at once by a cancel; on_close is called all the same."""

    class Opening(Numbers):
        async def open(self, cursor: float | None) -> trio.MemoryReceiveChannel[float]:
            await trio.sleep_forever()
            raise AssertionError

    stream = Opening()
    assert await cancelled_after(2, work_off(stream))
    assert (stream.closed, trio.current_time()) == ([CloseReason.CANCELLED], 2)


async def test_cancel_with_the_end_of_the_source(autojump_clock: MockClock) -> None:
    """WFL-20: a source that has ended before the cancel was heard is exhausted, and the run may have reached its exit."""
    stream = Numbers([1], window=Window(count=9))

    async def flush(outputs: list[float]) -> Literal[Step.STOPPED] | None:
        await trio.sleep(10)
        return None

    stream.flush_window = flush  # type: ignore[method-assign]
    assert not await cancelled_after(5, work_off(stream))
    assert stream.closed == [CloseReason.EXHAUSTED]


@pytest.mark.parametrize("fails", [["flush"], ["on_close"], ["closing"], ["flush", "on_close"]])
async def test_a_failure_beats_a_cancel(autojump_clock: MockClock, fails: list[str]) -> None:
    """STM-15, STM-19: what goes wrong while a cancelled stream is brought to its end is raised: it would be lost."""
    stream = Failing(*fails)
    stream.items = [1, 50]
    with pytest.raises(OSError, match=fails[0]):
        await cancelled_after(5, work_off(stream))
    assert stream.closed == [CloseReason.CANCELLED if fails[0] == "on_close" else CloseReason.FAILED]


async def test_run_timeout(autojump_clock: MockClock) -> None:
    """STM-17: a run that is out of time drains, and fails as such."""
    stream = Numbers([1, 1, 50], window=Window(count=9))
    with pytest.raises(RunTimeout):
        await workflow(stream, timeout=10).orchestrate()
    assert (stream.windows, stream.closed) == ([[1, 1]], [CloseReason.CANCELLED])


@pytest.mark.parametrize("method", ["process_item", "flush_window", "on_close"])
async def test_the_drain_is_bounded(autojump_clock: MockClock, method: str) -> None:
    """STM-18, G-STM-5: what does not end after a cancel is cut off, with an error of its own, and on_close still comes."""
    stream = Numbers([1, 50], window=Window(count=9), drain_timeout=7)
    original = getattr(stream, method)

    async def hang(argument: Any) -> Any:
        if method == "on_close":
            await original(argument)
        await trio.sleep_forever()

    hang.__annotations__["return"] = original.__annotations__["return"]
    setattr(stream, method, hang)
    with pytest.raises(DrainTimeout, match=r"was cut off: .* drain_timeout of 7 s is over"):
        await cancelled_after(3, work_off(stream))
    assert trio.current_time() == 10
    assert stream.closed == [CloseReason.CANCELLED if method == "on_close" else CloseReason.FAILED]


async def test_on_close_is_called_once_when_it_is_cancelled(autojump_clock: MockClock) -> None:
    """A cancel that finds on_close at work lets it end, and does not call it again."""

    class Slow(Numbers):
        async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
            await trio.sleep(10)
            return await super().on_close(reason)

    stream = Slow([1])
    assert not await cancelled_after(5, work_off(stream))
    assert (stream.closed, trio.current_time()) == ([CloseReason.EXHAUSTED], 11)


@pytest.mark.parametrize("kind", SOURCES)
async def test_cancel_loses_no_item_of_a_source(autojump_clock: MockClock, kind: type[Numbers]) -> None:
    """STM-15: of any kind of source, all that it has given is flushed."""
    for moment in range(1, 30):
        stream = kind([0.5] * 20, window=Window(count=3), takes=0.25)
        await cancelled_after(moment / 8, work_off(stream))
        assert stream.flushed() == stream.processed
        assert (len(stream.closed), stream.source_open) == (1, False)


class Endless(Numbers):
    """A generator that always has an item."""

    async def open(self, cursor: float | None) -> AsyncIterator[float]:
        while True:
            yield 1

    async def process_item(self, item: float) -> tuple[float, float]:
        return item, item

    async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
        return None


class Refilled(Endless):
    """A channel that always has an item."""

    async def open(self, cursor: float | None) -> trio.MemoryReceiveChannel[float]:  # type: ignore[override]
        self.send, receive = trio.open_memory_channel[float](1)
        self.send.send_nowait(1)
        return receive

    async def process_item(self, item: float) -> tuple[float, float]:
        self.send.send_nowait(item)
        return item, item


@pytest.mark.parametrize("kind", [Endless, Refilled])
async def test_a_source_that_never_blocks_can_be_cancelled(autojump_clock: MockClock, kind: type[Numbers]) -> None:
    """Fairness: a source that always has an item keeps neither others nor a cancel from their turn."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        for _ in range(100):
            turns += 1
            await trio.lowlevel.checkpoint()

    stream = kind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work_off, stream)
        await other()
        nursery.cancel_scope.cancel()
    assert (turns, stream.closed) == (100, [CloseReason.CANCELLED])


async def test_back_pressure(autojump_clock: MockClock) -> None:
    """The source is asked for one item at a time, when the one before has been processed and its full window flushed."""
    seen: list[int] = []

    class Watching(Numbers):
        async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
            await trio.sleep(100)
            seen.append(self.asked)
            return None

    await work_off(Watching([0, 0, 0, 0], window=Window(count=2), takes=10))
    assert seen == [2, 4]
