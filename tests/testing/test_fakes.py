"""Tasks and resources that do what a test tells them to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import DefinitionError, Resource, Resources, Retry, RetryExhausted, Shared, Workflow
from cano_trio.testing import FakeTask, FlakyResource, ScriptRanOut


class Step(Enum):
    CHARGE = auto()
    SHIP = auto()
    MANUAL = auto()
    DONE = auto()


def shop() -> Workflow[Step]:
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE, Step.MANUAL], name="shop")

    @work.task(Step.CHARGE, retry=Retry.fixed(2, delay=10.0), on_error={OSError: Step.MANUAL})
    async def charge() -> Literal[Step.SHIP, Step.CHARGE]:
        raise AssertionError("a bank in a test")

    @work.task(Step.SHIP)
    async def ship() -> Literal[Step.DONE]:
        return Step.DONE

    return work


async def test_a_script_is_played_call_by_call(autojump_clock: MockClock) -> None:
    """Each call comes to its own outcome after its own delay, under the retry of the task that is replaced."""
    fake = FakeTask([ValueError("no"), Step.CHARGE, Step.SHIP], delay=[1.0, 2.0])
    assert await shop().with_tasks({Step.CHARGE: fake}).orchestrate(run_id="r") is Step.DONE
    told = [(call.run_id, call.state, call.visit, call.attempt, call.key, call.time) for call in fake.calls]
    assert told == [
        ("r", Step.CHARGE, 1, 1, "r/0", 0.0),
        ("r", Step.CHARGE, 1, 2, "r/0", 11.0),
        ("r", Step.CHARGE, 2, 1, "r/1", 13.0),
    ]
    assert trio.current_time() == 15


async def test_one_outcome_is_for_every_call(autojump_clock: MockClock) -> None:
    """A single failure is that of all attempts, and leads where the replaced task's on_error says."""
    fake = FakeTask(OSError)
    assert await shop().with_tasks({Step.CHARGE: fake}).orchestrate() is Step.MANUAL
    assert [call.attempt for call in fake.calls] == [1, 2, 3]


async def test_a_script_that_has_run_out_says_so(autojump_clock: MockClock) -> None:
    """A call too many is a mistake in the test: it is not tried again, and says what to do."""
    fake = FakeTask([Step.CHARGE], name="fake_charge")
    with pytest.raises(ScriptRanOut, match=r"fake_charge was called 2 times, and its script has 1 outcome\. Add one"):
        await shop().with_tasks({Step.CHARGE: fake}).orchestrate()
    assert len(fake.calls) == 2
    assert trio.current_time() == 0


def test_a_fake_goes_where_the_task_may_go() -> None:
    """It has the edges of the task that it replaces, and is refused where it would go elsewhere."""
    work = shop()
    tested = work.with_tasks({Step.CHARGE: FakeTask(Step.SHIP)})
    assert f"{tested:ascii}".replace("fake", "charge") == f"{work:ascii}"
    with pytest.raises(DefinitionError) as caught:
        work.with_tasks({Step.CHARGE: FakeTask([Step.SHIP, Step.DONE])})
    assert str(caught.value) == (
        "E44 CHARGE: fake leads to Step.DONE, where the task that it replaces never does. "
        "That one may return Step.SHIP, Step.CHARGE."
    )


async def test_a_fake_may_stand_by_itself() -> None:
    """Registered, and not put in another's place, it leads where its script says."""
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    work.register(Step.CHARGE, FakeTask(Step.SHIP))
    work.register(Step.SHIP, FakeTask(Step.DONE))
    assert await work.orchestrate() is Step.DONE
    assert [problem.code for problem in work.problems()] == ["W10"]  # MANUAL


@pytest.mark.parametrize("script", ["SHIP", [Step.SHIP, None], lambda: Step.SHIP, [[Step.SHIP]]])
def test_a_script_has_states_and_exceptions(script: Any) -> None:
    """Anything else is refused when it is written, not when it is played."""
    with pytest.raises(TypeError, match=r"the script of fake has .*: it takes states, exceptions and classes"):
        FakeTask(script)


@pytest.mark.parametrize("delay", [-1.0, [], [1.0, -2.0], float("nan")])
def test_a_delay_is_seconds(delay: Any) -> None:
    """A negative delay, or none at all, is refused."""
    with pytest.raises(ValueError, match="it takes seconds, 0 or more"):
        FakeTask(Step.SHIP, delay=delay)


# -- resources


class Bank(Resource):
    """Says what was done with it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def setup(self) -> None:
        self.log.append("setup")

    async def teardown(self) -> None:
        self.log.append("teardown")

    async def charge(self, amount: int) -> None:
        self.log.append(f"charge {amount}")

    def balance(self) -> int:
        return len(self.log)


def paying(bank: Any, retries: int = 2) -> Workflow[Step]:
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE], resources=Resources(bank=bank))

    @work.task(Step.CHARGE, retry=Retry.fixed(retries, delay=5.0))
    async def charge(bank: Bank) -> Literal[Step.DONE]:
        await bank.charge(bank.balance())
        return Step.DONE

    return work


async def test_the_named_calls_fail(autojump_clock: MockClock) -> None:
    """A call that is to fail does so before the resource hears of it; sync and async ones are counted together."""
    bank = Bank()
    flaky = FlakyResource(bank, calls={2, 3})
    assert await paying(Shared(lambda: flaky, provides=Bank)).orchestrate() is Step.DONE
    assert bank.log == ["setup", "charge 1", "teardown"]
    assert (flaky.called, flaky.entered) == (5, 1)
    assert trio.current_time() == 10


async def test_calls_that_fail_too_often_fail_the_run(autojump_clock: MockClock) -> None:
    """The failure is the one that was given."""
    error = OSError("no network")
    flaky = FlakyResource(Bank(), calls=range(10), error=error)
    with pytest.raises(RetryExhausted) as caught:
        await paying(Shared(lambda: flaky, provides=Bank), retries=1).orchestrate()
    assert caught.value.__cause__ is error


async def test_the_named_enters_fail() -> None:
    """A resource that can't be opened at first can be opened later; what is behind it is not touched by the failure."""
    bank = Bank()
    flaky = FlakyResource(bank, enters={1})
    work = paying(Shared(lambda: flaky, provides=Bank))
    with pytest.raises(ConnectionError, match="Bank: enter fails, as it is told to at number 1"):
        await work.orchestrate()
    assert bank.log == []
    assert await work.orchestrate() is Step.DONE
    assert bank.log == ["setup", "charge 1", "teardown"]


async def test_a_context_manager_is_entered_and_left() -> None:
    """What works behind it may be one that has to be opened."""
    log: list[str] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[Bank]:
        log.append("open")
        yield Bank()
        log.append("close")

    flaky = FlakyResource(opened())
    async with flaky as found:
        given: Any = found
        assert isinstance(given, Bank)
        assert given.balance() == 0
        assert given.log == []
    assert log == ["open", "close"]
    assert flaky.called == 1
