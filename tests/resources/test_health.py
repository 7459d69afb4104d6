"""How resources are, each and all together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any, Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from cano_trio import HealthLevel, HealthStatus, PerRun, Resource, Resources, Shared, Workflow


class Key(Enum):
    DB = auto()


class Step(Enum):
    WORK = auto()
    DONE = auto()


@attrs.define(eq=False)
class Says:
    """Answers after a while; raises an answer that is an exception."""

    answer: object
    seconds: float = 0.0
    asked: int = 0

    async def health(self) -> Any:
        self.asked += 1
        await trio.sleep(self.seconds)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_status_tells_level_and_reason() -> None:
    """RES-9: only `healthy` is healthy; a status reads as its level and reason."""
    statuses = [HealthStatus.healthy(), HealthStatus.degraded("slow"), HealthStatus.unhealthy("gone")]
    assert [status.is_healthy for status in statuses] == [True, False, False]
    assert [str(status) for status in statuses] == ["healthy", "degraded: slow", "unhealthy: gone"]
    assert [status.level for status in statuses] == sorted(HealthLevel)
    assert HealthStatus.degraded("slow") == HealthStatus(HealthLevel.DEGRADED, "slow")


async def test_healthy_by_default() -> None:
    """RES-9: a resource that says nothing, one with the base class, and one whose `health` is not async are healthy."""

    class Sync:
        health = "splendid"

    resources = Resources({Key.DB: Resource()}, plain=object(), sync=Sync())
    healthy = HealthStatus.healthy()
    assert await resources.check_all_health() == {Key.DB: healthy, "plain": healthy, "sync": healthy}
    assert await resources.aggregate_health() == healthy


async def test_nothing_to_ask_is_healthy() -> None:
    """RES-9: no resources, no trouble."""
    assert await Resources().check_all_health() == {}
    assert await Resources().aggregate_health() == HealthStatus.healthy()


async def test_one_answer_per_key_in_order(autojump_clock: MockClock) -> None:
    """RES-9: each is asked in turn, in the order of set-up, and answers for itself."""
    resources = Resources({"b": Says(HealthStatus.degraded("slow"), 2), Key.DB: Says(HealthStatus.healthy(), 1)})
    answers = await resources.check_all_health()
    assert [*answers.items()] == [("b", HealthStatus.degraded("slow")), (Key.DB, HealthStatus.healthy())]
    assert trio.current_time() == 3


async def test_the_worst_and_among_equals_the_first() -> None:
    """RES-9: the aggregate is the worst answer, the first among equals, with its key."""
    resources = Resources(
        {"a": Says(HealthStatus.degraded("slow")), Key.DB: Says(HealthStatus.unhealthy("first"))},
        c=Says(HealthStatus.unhealthy("second")),
        d=Says(HealthStatus.healthy()),
    )
    assert await resources.aggregate_health() == HealthStatus.unhealthy("Key.DB: first")


async def test_an_aggregate_without_reason_names_the_key() -> None:
    """RES-9: an answer that gives no reason still tells whose it is."""
    resources = Resources(db=Says(HealthStatus(HealthLevel.DEGRADED)))
    assert await resources.aggregate_health() == HealthStatus.degraded("db")


@pytest.mark.parametrize(
    "error,reason",
    [
        (OSError("no route"), "OSError: no route"),
        (TimeoutError(), "TimeoutError"),
        (ExceptionGroup("both", [OSError(), ValueError()]), "ExceptionGroup: both (2 sub-exceptions)"),
    ],
)
async def test_who_raises_is_unhealthy(error: Exception, reason: str) -> None:
    """RES-9, changed: an exception is an answer, and the others are asked all the same."""
    resources = Resources(db=Says(error), cache=Says(HealthStatus.degraded("slow")))
    assert await resources.check_all_health() == {
        "db": HealthStatus.unhealthy(reason),
        "cache": HealthStatus.degraded("slow"),
    }


async def test_who_does_not_answer_is_unhealthy(autojump_clock: MockClock) -> None:
    """RES-9, changed: every resource has its own five seconds, or as many as asked for."""
    resources = Resources(hung=Says(None, 1e9), slow=Says(HealthStatus.healthy(), 4.5))
    assert await resources.check_all_health() == {
        "hung": HealthStatus.unhealthy("no answer within 5 s"),
        "slow": HealthStatus.healthy(),
    }
    assert trio.current_time() == 9.5
    assert await resources.aggregate_health(timeout=0.5) == HealthStatus.unhealthy("hung: no answer within 0.5 s")
    assert trio.current_time() == 10.5


async def test_who_fails_when_timed_out_is_unhealthy(autojump_clock: MockClock) -> None:
    """RES-9, changed: a nursery in `health` that fails as it is cut off does not fail the asking."""

    class Gathers:
        async def health(self) -> HealthStatus:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(fail_when_cut)
            return HealthStatus.healthy()

    async def fail_when_cut() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cut")

    answer = (await Resources(a=Gathers()).check_all_health())["a"]
    assert answer == HealthStatus.unhealthy("ExceptionGroup: Exceptions from Trio nursery (1 sub-exception)")
    assert trio.current_time() == 5


async def test_a_wrong_answer_is_unhealthy() -> None:
    """RES-9: True is no HealthStatus, and the answer says so."""
    assert await Resources(db=Says(answer=True)).aggregate_health() == HealthStatus.unhealthy(
        "db: health() returned True, not a HealthStatus"
    )


async def test_a_cancel_from_outside_passes(autojump_clock: MockClock) -> None:
    """An outer deadline is no answer: it ends the asking."""
    with trio.move_on_after(1) as scope:
        await Resources(db=Says(None, 3)).check_all_health()
    assert scope.cancelled_caught
    assert trio.current_time() == 1


async def test_what_is_made_is_asked_while_open() -> None:
    """A `Shared` answers once it is there; before that, nothing is known against it."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Says]:
        yield Says(HealthStatus.degraded("slow"))

    resources = Resources(db=Shared(opened))
    assert await resources.aggregate_health() == HealthStatus.healthy()
    async with resources:
        assert await resources.aggregate_health() == HealthStatus.degraded("db: slow")


async def test_only_those_who_want_to_know_ask() -> None:
    """RES-9: a run never calls `health`; a task may, and sees the resources that are made for its run."""
    asked: list[HealthStatus] = []
    mute, own = Says(None), Says(HealthStatus.degraded("new"))
    resources = Resources(db=mute, own=PerRun(lambda: own))
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources)

    @workflow.task(Step.WORK)
    async def work(resources: Resources) -> Literal[Step.DONE]:
        assert (mute.asked, own.asked) == (0, 0)
        asked.append(await resources.aggregate_health())
        return Step.DONE

    await workflow.orchestrate()
    assert asked == [HealthStatus.unhealthy("db: health() returned None, not a HealthStatus")]
    assert (mute.asked, own.asked) == (1, 1)
