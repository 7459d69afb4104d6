"""What a run weighs that waits, in memory, beside a bare task that waits."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import wait_all_tasks_blocked

from cano_trio import Workflow, open_runtime

from .measure import Case

TASK = "parked: bare task"


Park = Callable[[int, Callable[[], None]], Awaitable[None]]
"""Has so many wait, and calls what weighs them."""


class Step(Enum):
    """The states."""

    WAIT = auto()
    DONE = auto()


message: Workflow[Step] = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE], name="for a message")
timer: Workflow[Step] = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE], name="for a time")


@message.receive(Step.WAIT)
async def told(text: str) -> Literal[Step.DONE]:  # noqa: ARG001  (what it says is all the same)
    """Be done."""
    return Step.DONE


@timer.timer(Step.WAIT)
async def wait() -> float:
    """Wait long."""
    return 86_400.0


@wait.after_wait
async def after() -> Literal[Step.DONE]:
    """Be done."""
    return Step.DONE


async def _weigh(park: Park, times: int) -> float:
    """The bytes that one weighs, of so many that wait at once."""
    weights: list[float] = []
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def weigh() -> None:
        gc.collect()
        weights.append((tracemalloc.get_traced_memory()[0] - before) / times)

    try:
        await park(times, weigh)
    finally:
        tracemalloc.stop()
    return weights[0]


async def _tasks(times: int, weigh: Callable[[], None]) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(trio.sleep_forever)
        await wait_all_tasks_blocked()
        weigh()
        nursery.cancel_scope.cancel()


def _runs(workflow: Workflow[Step]) -> Park:
    async def park(times: int, weigh: Callable[[], None]) -> None:
        with trio.CancelScope() as scope:
            async with open_runtime(workflows=[workflow]) as runtime:
                for _ in range(times):
                    await runtime.start(workflow)
                await wait_all_tasks_blocked()
                weigh()
                scope.cancel()

    return park


def cases() -> Sequence[Case]:
    """Runs that wait for a message and for a time: 10,000, and on demand 100,000."""

    def case(
        name: str,
        park: Park,
        times: int,
        *,
        reach: float | None = None,
        big: bool = False,
    ) -> Case:
        return Case(
            name=name if not big else f"{name}, {times:,}",
            clocked=lambda count: trio.run(_weigh, park, count),
            times=times,
            baseline=None if park is _tasks else TASK,
            reach=reach,
            unit="bytes",
            once=True,
            big=big,
        )

    return [
        case(TASK, _tasks, 10_000),
        case("parked: run, message", _runs(message), 10_000, reach=6_000),
        case("parked: run, timer", _runs(timer), 10_000, reach=6_000),
        case("parked: run, message", _runs(message), 100_000, reach=6_000, big=True),
    ]
