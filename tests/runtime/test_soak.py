"""A service that runs for long weighs no more than one that has just begun."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import Every, Retry, Run, Runtime, Schedule, Workflow, open_runtime
from cano_trio.journals import Journal, SqliteJournal

ROUNDS = 30
"""How many rounds are looked at, behind as many for warming up."""

RUNS = 20
"""How many runs are started in each."""

GROWTH = 200_000
"""Bytes by which memory may differ between a late round and an early one."""


class Step(Enum):
    """The states."""

    CHARGE = auto()
    APPROVE = auto()
    WAIT = auto()
    DONE = auto()


@dataclass
class Order:
    """A run's data."""

    number: int
    approved: bool = False


def workflow() -> Workflow[Step, Order]:
    """Work that fails from time to time, waits for a message, and then for an hour."""
    order: Workflow[Step, Order] = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE], name="order", data=Order)
    failing: set[int] = set()

    @order.task(Step.CHARGE, retry=Retry.fixed(1, delay=1))
    async def charge(data: Order) -> Literal[Step.APPROVE]:
        if data.number % 3 == 0 and data.number not in failing:
            failing.add(data.number)
            raise OSError
        failing.discard(data.number)
        return Step.APPROVE

    @order.receive(Step.APPROVE)
    async def approve(yes: bool, data: Order) -> Literal[Step.WAIT]:  # noqa: FBT001  (it is the message)
        data.approved = yes
        return Step.WAIT

    @order.timer(Step.WAIT)
    async def wait() -> float:
        return 3600

    @wait.after_wait
    async def after() -> Literal[Step.DONE]:
        return Step.DONE

    return order


async def one_round(runtime: Runtime, order: Workflow[Step, Order], first: int) -> None:
    """Start runs, cancel some, send the others what they wait for, and see all of them end."""
    runs: list[Run[Step, Order]] = [
        await runtime.start(order, Order(number), run_id=f"order-{number}") for number in range(first, first + RUNS)
    ]
    for run in runs[::10]:
        run.cancel("nobody wants it")
    left = [run for run in runs if run not in runs[::10]]
    for run in left:
        await run.send(True)  # noqa: FBT003  (it is the message)
    for run in left:
        assert (await run.wait()).data.approved


async def soak(journal: Journal | None) -> None:
    """Many rounds, a virtual hour each, beside a schedule."""
    order = workflow()
    report: Workflow[Step] = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE], name="report")

    @report.task(Step.CHARGE)
    async def write() -> Literal[Step.DONE]:
        return Step.DONE

    weights: list[int] = []
    async with open_runtime(
        workflows=[order], schedules=[Schedule("report", report, Every(600))], journal=journal
    ) as runtime:
        tracemalloc.start()
        try:
            for number in range(2 * ROUNDS):
                await one_round(runtime, order, number * RUNS)
                gc.collect()
                weights.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        statistics = runtime.statistics()
    assert statistics.at_work <= 1
    assert statistics.completed >= 2 * ROUNDS * (RUNS - RUNS // 10)
    early, late = min(weights[ROUNDS : ROUNDS + 10]), min(weights[-10:])
    assert late - early < GROWTH, weights


@pytest.mark.slow
def test_memory_stays_flat() -> None:
    """Without a journal, a runtime that has carried out thousands of runs holds nothing of them."""
    trio.run(soak, None, clock=MockClock(autojump_threshold=0))


@pytest.mark.slow
def test_memory_stays_flat_with_a_file(tmp_path: Path) -> None:
    """With a journal on disk it holds nothing of them, either."""
    trio.run(soak, SqliteJournal(tmp_path / "runs.db"), clock=MockClock(autojump_threshold=0.05))
