"""One trivial item of a stream, from a channel and from a generator, by how many there are in a window."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from enum import Enum, auto
from typing import Any, Literal

import trio

from cano_trio import CloseReason, Window, Workflow

from .measure import Case, Work, in_trio

ITEMS = 10_000
WINDOW = 100
CHANNEL = "stream item: loop over a channel"
GENERATOR = "stream item: loop over trio.as_safe_channel"


class Step(Enum):
    """The states."""

    READ = auto()
    DONE = auto()


async def square(item: int) -> tuple[int, int]:
    """Process one item."""
    return item * item, item


async def write(outputs: list[int]) -> None:
    """Flush a window."""


async def from_channel(times: int) -> trio.MemoryReceiveChannel[int]:
    """A channel that holds all items."""
    send, receive = trio.open_memory_channel[int](times)
    with send:
        for item in range(times):
            send.send_nowait(item)
    return receive


async def from_generator(times: int) -> AsyncIterator[int]:
    """A generator that never waits."""
    for item in range(times):
        yield item


@trio.as_safe_channel
async def from_safe_channel(times: int) -> AsyncGenerator[int, None]:
    """The same as it is iterated safely by hand: in a task of its own, an item per request."""
    for item in range(times):
        yield item


async def _loop(items: AsyncIterator[int] | trio.MemoryReceiveChannel[int]) -> None:
    outputs: list[int] = []
    async for item in items:
        output, _ = await square(item)
        outputs.append(output)
        if len(outputs) == WINDOW:
            await write(outputs)
            outputs = []
    await write(outputs)


async def over_channel(times: int) -> None:
    """By hand, with neither time windows nor anything kept when it fails or is cancelled."""
    await _loop(await from_channel(times))


async def over_generator(times: int) -> None:
    """By hand, as before."""
    async with from_safe_channel(times) as items:
        await _loop(items)


def _stream(source: Callable[[int], Any], window: Window) -> Work:
    times = 0
    workflow: Workflow[Step] = Workflow(Step, initial=Step.READ, exits=[Step.DONE])
    process = workflow.stream(Step.READ, window=window)(square)

    @process.open
    async def opened(_cursor: int | None) -> AsyncIterator[int]:
        given = source(times)
        items: AsyncIterator[int] = given if source is from_generator else await given
        return items

    process.flush_window(write)

    @process.on_close
    async def close(_reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE

    async def work(number: int) -> None:
        nonlocal times
        times = number
        await workflow.orchestrate()

    return work


def cases() -> Sequence[Case]:
    """Streams beside loops by hand over the same sources."""
    windows = {
        "by 1": Window(count=1),
        f"by {WINDOW}": Window(count=WINDOW),
        f"by {WINDOW} or 1 s": Window(count=WINDOW, seconds=1),
    }
    sources = {"channel": (from_channel, CHANNEL), "generator": (from_generator, GENERATOR)}
    return [
        Case(name=CHANNEL, clocked=in_trio(over_channel), times=ITEMS),
        Case(name=GENERATOR, clocked=in_trio(over_generator), times=ITEMS),
        *(
            Case(
                name=f"stream item: {kind} {name}",
                clocked=in_trio(_stream(source, window)),
                times=ITEMS,
                baseline=baseline,
            )
            for kind, (source, baseline) in sources.items()
            for name, window in windows.items()
        ),
    ]
