"""One trivial item of a batch of 10,000, 16 at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Literal

import trio
from trio.lowlevel import checkpoint_if_cancelled

from cano_trio import BatchResults, Workflow

from .measure import Case, in_trio

ITEMS = 10_000
CONCURRENCY = 16
WORKERS = "batch item: workers by hand"


class Step(Enum):
    """The states."""

    SQUARE = auto()
    DONE = auto()


async def square(item: int) -> int:
    """Process one item."""
    return item * item


async def by_workers(times: int) -> None:
    """Sixteen workers that pull items from one iterator, looking for a cancel at each; results in order."""
    results: list[int | Exception | None] = [None] * times
    todo = iter(enumerate(range(times)))
    async with trio.open_nursery() as nursery:
        for _ in range(CONCURRENCY):
            nursery.start_soon(_pull, todo, results)


async def _pull(todo: Iterator[tuple[int, int]], results: list[int | Exception | None]) -> None:
    for at, item in todo:
        await checkpoint_if_cancelled()
        try:
            results[at] = await square(item)
        except Exception as error:
            results[at] = error


async def by_tasks(times: int) -> None:
    """A task for each item, which takes a token of a `CapacityLimiter`: as one writes it first."""
    results: list[int | Exception | None] = [None] * times
    limiter = trio.CapacityLimiter(CONCURRENCY)

    async def one(item: int) -> None:
        async with limiter:
            try:
                results[item] = await square(item)
            except Exception as error:
                results[item] = error

    async with trio.open_nursery() as nursery:
        for item in range(times):
            nursery.start_soon(one, item)


def cases() -> Sequence[Case]:
    """A batch beside two ways to write one by hand, which tell neither attempts nor times."""
    items: list[int] = []
    workflow: Workflow[Step] = Workflow(Step, initial=Step.SQUARE, exits=[Step.DONE])
    process = workflow.batch(Step.SQUARE, concurrency=CONCURRENCY)(square)

    @process.load
    async def load() -> list[int]:
        return items

    @process.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        assert len(results) == len(items)  # noqa: S101
        return Step.DONE

    async def batch(times: int) -> None:
        items[:] = range(times)
        await workflow.orchestrate()

    return [
        Case(name=WORKERS, clocked=in_trio(by_workers), times=ITEMS),
        Case(name="batch item: task + limiter by hand", clocked=in_trio(by_tasks), times=ITEMS, baseline=WORKERS),
        Case(name="batch item: workflow", clocked=in_trio(batch), times=ITEMS, baseline=WORKERS, reach=1.1),
    ]
