"""What a runtime tells of each run: for what it waits, since when, and what would unblock it."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import (
    CircuitBreaker,
    CircuitPolicy,
    Pending,
    RateLimiter,
    Retry,
    RunInfo,
    RunStatus,
    Split,
    Workflow,
    open_runtime,
)
from cano_trio._clock import EPOCH


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


def workflow(name: str = "w") -> Workflow[Step]:
    """A workflow whose only task is still to be registered."""
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name=name)


async def told_of(one: Workflow[Step], after: float) -> RunInfo:
    """What is told of a run of it, some seconds after its start."""
    async with open_runtime(workflows=[one]) as runtime:
        run = await runtime.start(one, run_id="r")
        await trio.sleep(after)
        (info,) = await runtime.explain()
        run.cancel()
        return info


async def test_a_retry_tells_when_it_comes(autojump_clock: MockClock) -> None:
    """A run between two attempts tells the number of the failed one, and when the next begins."""
    work = workflow()

    @work.task(Step.WORK, retry=Retry.fixed(3, delay=60))
    async def fetch() -> Literal[Step.DONE]:
        raise OSError

    info = await told_of(work, 70)
    assert info.waits_for == "retry 2 of fetch"
    assert info.since == EPOCH + timedelta(seconds=60)
    assert info.due_at == EPOCH + timedelta(seconds=120)
    assert info.unblocked_by == "due 2030-01-01 00:02:00 UTC"


async def test_a_limiter_is_told(autojump_clock: MockClock) -> None:
    """A run that waits at a rate limiter tells so."""
    work, limiter = workflow(), RateLimiter(1, per=100)
    limiter.acquire_nowait()

    @work.task(Step.WORK, limiter=limiter)
    async def fetch() -> Literal[Step.DONE]:
        return Step.DONE

    assert (await told_of(work, 1)).waits_for == "limiter"


async def test_an_open_breaker_is_told(autojump_clock: MockClock) -> None:
    """A run that waits for a circuit breaker tells which."""
    work, breaker = workflow(), CircuitBreaker(CircuitPolicy(failure_threshold=1), name="payments")
    breaker.try_acquire().record_failure()

    @work.task(Step.WORK, breaker=breaker, on_open="wait")
    async def fetch() -> Literal[Step.DONE]:
        return Step.DONE

    assert (await told_of(work, 1)).waits_for == "breaker 'payments'"


async def test_branches_are_counted(autojump_clock: MockClock) -> None:
    """A run whose branches are at work tells how many have finished."""
    work = workflow()

    async def quick() -> int:
        return 1

    async def slow() -> int:
        await trio.sleep(100)
        return 2

    work.register_split(Step.WORK, Split.all([quick, slow, quick], Step.DONE))
    assert (await told_of(work, 1)).waits_for == "branches, 2 of 3 finished"


async def test_a_poll_tells_when_it_looks_again(autojump_clock: MockClock) -> None:
    """A run that polls tells when it looks again."""
    work = workflow()

    @work.poll(Step.WORK)
    async def look() -> Literal[Step.DONE] | Pending:
        return Pending(delay=40)

    info = await told_of(work, 1)
    assert (info.waits_for, info.status) == ("poll", RunStatus.WAITING)
    assert info.due_at == EPOCH + timedelta(seconds=40)


async def test_a_child_tells_where_it_is(autojump_clock: MockClock) -> None:
    """A run whose child waits tells the child's workflow, its state, and what that waits for."""
    child, work = workflow("payment"), workflow()

    @child.receive(Step.WORK)
    async def paid(amount: int) -> Literal[Step.DONE]:
        return Step.DONE

    work.register_child(Step.WORK, child, {Step.DONE: Step.DONE})
    assert (await told_of(work, 1)).waits_for == "child payment in WORK: message int"


async def test_a_run_at_work_waits_for_nothing(autojump_clock: MockClock) -> None:
    """Of a run whose task is at work nothing is made up."""
    work = workflow()

    @work.task(Step.WORK)
    async def fetch() -> Literal[Step.DONE]:
        await trio.sleep(10)
        return Step.DONE

    info = await told_of(work, 1)
    assert (info.waits_for, info.unblocked_by, info.status) == (None, None, RunStatus.RUNNING)
