"""This library."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

import peer
import trio

from cano_trio import BatchResults, Retry, RunContext, Workflow
from cano_trio.journals import SqliteJournal


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


@dataclass
class Count:
    """The data."""

    number: int = 0


def counting(times, **options):
    """A workflow that goes through its state so many times."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Count)

    @workflow.task(Step.WORK, **options)
    async def work(count: Count) -> Literal[Step.WORK, Step.DONE]:
        count.number += 1
        return Step.WORK if count.number < times else Step.DONE

    return workflow


async def transition(times, _):
    """A run of so many transitions, each of which changes data."""
    await counting(times).run(Count())


async def fan_out(times, _):
    """So many items at once."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @workflow.batch(Step.WORK, concurrency=1_000)
    async def add(item: int) -> int:
        return item + 1

    @add.load
    async def load() -> Sequence[int]:
        return range(times)

    @add.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE

    await workflow.run()


async def durable(times, folder):
    """A hundred runs at once, each transition on disk before the next."""
    workflow = counting(times // peer.RUNS)
    async with SqliteJournal(folder / "runs.db") as journal, trio.open_nursery() as nursery:
        for _ in range(peer.RUNS):
            nursery.start_soon(partial(workflow.run, Count(), journal=journal))


async def retry(times, _):
    """A state under a retry policy, with the transition around it: there is no retry without one."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @workflow.task(Step.WORK, retry=Retry.exponential(3))
    async def call(ctx: RunContext) -> Literal[Step.WORK, Step.DONE]:
        return Step.WORK if ctx.visit < times else Step.DONE

    await workflow.run()


peer.main({"transition": transition, "fan-out": fan_out, "durable": durable, "retry": retry}, trio.run)
