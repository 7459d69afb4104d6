"""Streams cancelled at every step, and under random schedules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import CloseReason, Retry, RunContext, StreamTask, Window
from tests.engine.stepping import cancel_at_every_step
from tests.engine.streams import SOURCES, Numbers, Step, work_off


class Patient(Numbers):
    """Takes its time in all it does, and holds a token while an item is at work."""

    tokens: trio.CapacityLimiter

    async def process_item(self, item: float) -> tuple[float, float]:
        async with self.tokens:
            return await super().process_item(item)

    async def flush_window(self, outputs: list[float]) -> Literal[Step.STOPPED] | None:
        await trio.sleep(0.5)
        return await super().flush_window(outputs)

    async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
        await trio.sleep(0.5)
        return await super().on_close(reason)


def patient(source: type[Numbers], window: Window) -> Patient:
    """One over a kind of source."""
    kind: type[Patient] = type(source.__name__, (Patient, source), {})
    return kind([0.5, 1, 2, 0.25], window=window, takes=0.75, tokens=trio.CapacityLimiter(1))


def nothing_is_left(stream: Patient) -> None:
    assert stream.flushed() == stream.processed == stream.items[: len(stream.processed)]
    # Cancelled before the state was entered, it never began.
    assert stream.closed in ([], [CloseReason.CANCELLED], [CloseReason.EXHAUSTED])
    assert bool(stream.closed) >= bool(stream.opened or stream.processed)
    assert not stream.source_open
    assert stream.tokens.borrowed_tokens == 0


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("window", [Window(count=2), Window(count=3, seconds=1)])
def test_cancel_at_every_step(source: type[Numbers], window: Window) -> None:
    """Cancelled at any step, it leaves no task, no token and no open source; what was processed is flushed, and closed once."""
    assert cancel_at_every_step(lambda: patient(source, window), work_off, nothing_is_left) > 30


# ---- the law

Kind = Literal["good", "flaky", "bad"]

schedules = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["good", "good", "flaky", "bad"])), max_size=12
)
"""Of each item: the seconds until it comes, the seconds that an attempt at it takes, and what that comes to."""


class Scheduled(StreamTask[Step, int, int, int]):
    """A stream of the numbers of its schedule's items, under that schedule; keeps what becomes of each."""

    retry = Retry.fixed(1, delay=1)
    retry_on = OSError

    def __init__(self, schedule: list[tuple[int, int, Kind]], window: Window, stop_at: int) -> None:
        self.schedule = schedule
        self.window = window
        self.stop_at = stop_at
        self.given: list[int] = []
        self.keys: dict[str, int] = {}
        self.tried: set[int] = set()
        self.failed: list[int] = []
        self.windows: list[list[int]] = []
        self.closed: list[CloseReason] = []

    async def open(self, cursor: int | None) -> AsyncIterator[int]:
        for item, (after, _, _) in enumerate(self.schedule):
            await trio.sleep(after)
            self.given.append(item)
            yield item

    async def process_item(self, item: int, ctx: RunContext) -> tuple[int, int]:
        _, takes, kind = self.schedule[item]
        assert self.keys.setdefault(ctx.idempotency_key, item) == item
        again = item in self.tried
        self.tried.add(item)
        await trio.sleep(takes)
        if kind == "flaky" and not again:
            raise OSError(item)
        if kind == "bad":
            self.failed.append(item)
            raise ValueError(item)
        return item, item

    async def flush_window(self, outputs: list[int]) -> Literal[Step.STOPPED] | None:
        self.windows.append(outputs)
        await trio.sleep(1)
        return Step.STOPPED if len(self.windows) == self.stop_at else None

    async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
        self.closed.append(reason)
        return Step.DONE


class Skipping(Scheduled):
    on_item_error = "skip"


class Burying(Scheduled):
    on_item_error = "dead_letter"

    def __init__(self, schedule: list[tuple[int, int, Kind]], window: Window, stop_at: int) -> None:
        super().__init__(schedule, window, stop_at)
        self.buried: list[int] = []

    async def dead_letter(self, item: int, error: Exception) -> None:
        self.buried.append(item)


class FromChannel(Burying):
    """Its items are all there from the beginning, in a channel."""

    def open(self, cursor: int | None) -> trio.MemoryReceiveChannel[int]:
        send, self.channel = trio.open_memory_channel[int](100)
        with send:
            for item in range(len(self.schedule)):
                send.send_nowait(item)
        return self.channel

    def left(self) -> list[int]:
        """What nobody has taken."""
        found: list[int] = []
        while True:
            try:
                found.append(self.channel.receive_nowait())
            except trio.EndOfChannel:
                return found


@given(
    kind=st.sampled_from([Skipping, Burying, FromChannel]),
    schedule=schedules,
    window=st.sampled_from([Window(count=1), Window(count=3), Window(seconds=2), Window(count=4, seconds=3)]),
    cancel_at=st.sampled_from([0.5, 2, 4.5, 7, 10.5, 1000]),
    stop_at=st.sampled_from([1, 2, 3, 1000]),
    order=st.random_module(),
)
def test_stream_law(
    kind: type[Scheduled],
    schedule: list[tuple[int, int, Kind]],
    window: Window,
    cancel_at: float,
    stop_at: int,
    order: object,
) -> None:
    """STM-8, STM-28: each item that left the source is flushed or has failed, once and in order, however the stream ends.

    No two items share a key; a dead letter is kept for each failed item; no window is empty or larger than its count.
    """
    stream = kind(schedule, window, stop_at)

    async def main() -> None:
        with trio.move_on_after(cancel_at):
            await work_off(stream)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    flushed = [output for outputs in stream.windows for output in outputs]
    assert flushed == sorted(flushed)
    left = stream.left() if isinstance(stream, FromChannel) else []
    given = range(len(schedule)) if isinstance(stream, FromChannel) else stream.given
    assert [*sorted(flushed + stream.failed), *left] == [*given]
    if isinstance(stream, Burying):
        assert stream.buried == stream.failed
    assert all(0 < len(outputs) <= (window.count or 100) for outputs in stream.windows)
    assert len(stream.closed) == 1
    if cancel_at == 1000 and stop_at > len(stream.windows):
        assert stream.closed == [CloseReason.EXHAUSTED]
        assert len(given) == len(schedule)
