"""Messages to a run: what one takes, from its sender to the state that waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from time import perf_counter
from typing import Literal

import trio

from cano_trio import RunContext, Workflow, open_runtime
from cano_trio.journals import Journal, SqliteJournal

from .folder import in_folder
from .measure import Case, in_trio

CHANNEL = "message: memory channel of trio"


class Step(Enum):
    """The states."""

    WAIT = auto()
    DONE = auto()


def _workflow(times: int) -> Workflow[Step]:
    workflow: Workflow[Step] = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE], name="receiver")

    @workflow.receive(Step.WAIT)
    async def told(number: int, ctx: RunContext) -> Literal[Step.WAIT, Step.DONE]:  # noqa: ARG001  (any will do)
        return Step.WAIT if ctx.visit < times else Step.DONE

    return workflow


async def _channel(times: int) -> None:
    send, receive = trio.open_memory_channel[int](1_000)

    async def read() -> None:
        async for _ in receive:
            pass

    async with trio.open_nursery() as nursery, send:
        nursery.start_soon(read)
        for number in range(times):
            await send.send(number)


async def _sent(times: int, journal: Journal | None = None) -> None:
    workflow = _workflow(times)
    async with open_runtime(workflows=[workflow], journal=journal) as runtime:
        run = await runtime.start(workflow)
        for number in range(times):
            await run.send(number)
        await run.wait()


async def _written(folder: Path, times: int) -> float:
    async with SqliteJournal(folder / "runs.db") as journal:
        begun = perf_counter()
        await _sent(times, journal)
        return (perf_counter() - begun) / times


def cases() -> Sequence[Case]:
    """One sender and one run, beside a channel; and with a journal, where each message and each transition is a commit."""
    return [
        Case(name=CHANNEL, clocked=in_trio(_channel), times=5_000),
        Case(name="message: run", clocked=in_trio(_sent), times=5_000, baseline=CHANNEL),
        Case(name="message: run, SQLite", clocked=in_folder(_written), times=200, baseline=CHANNEL),
    ]
