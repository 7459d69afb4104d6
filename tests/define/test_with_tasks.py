"""`with_tasks`: the same workflow with other tasks, for tests."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio

from cano_trio import BatchResults, DefinitionError, MemoryStore, Resources, Retry, RetryExhausted, Task, Workflow


class Step(Enum):
    CHARGE = auto()
    SHIP = auto()
    DONE = auto()
    FAILED = auto()


class Other(Enum):
    CHARGE = auto()


async def charge() -> Literal[Step.SHIP]:
    raise OSError("no network in a test")


async def ship(store: MemoryStore) -> Literal[Step.DONE]:
    store.append("shipped", 1)
    return Step.DONE


def shop() -> Workflow[Step]:
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE, Step.FAILED], resources=Resources(store=MemoryStore()))
    work.task(Step.CHARGE, retry=Retry.fixed(1, delay=1.0), name="charge_card", on_error={OSError: Step.FAILED})(charge)
    work.register(Step.SHIP, ship)
    return work


async def test_both_run(autojump_clock: trio.testing.MockClock) -> None:
    """The new workflow runs the new task, the old one the old."""
    work = shop()

    async def fake() -> Literal[Step.SHIP]:
        return Step.SHIP

    tested = work.with_tasks({Step.CHARGE: fake})
    assert await tested.orchestrate() is Step.DONE
    assert await work.orchestrate() is Step.FAILED
    assert await tested.orchestrate() is Step.DONE
    assert type(tested) is Workflow
    assert (tested.name, tested.initial, tested.exits) == (work.name, work.initial, work.exits)


async def test_a_function_takes_over_options(autojump_clock: trio.testing.MockClock) -> None:
    """A function keeps the configuration and the error edges of the task that it replaces, under its own name."""
    calls: list[float] = []

    async def fake() -> Literal[Step.SHIP]:
        calls.append(trio.current_time())
        raise OSError

    tested = shop().with_tasks({Step.CHARGE: fake})
    assert await tested.orchestrate() is Step.FAILED
    assert calls == [0.0, 1.0]
    assert tested.blueprint()[Step.CHARGE].node.name == "fake"


async def test_an_object_brings_its_own_options(autojump_clock: trio.testing.MockClock) -> None:
    """A task object comes with what it says itself, and nothing else."""

    class Fake(Task[Step]):
        retry = Retry.fixed(2, delay=5.0)

        def __init__(self) -> None:
            self.calls: list[float] = []

        async def run(self) -> Literal[Step.SHIP]:
            self.calls.append(trio.current_time())
            raise OSError

    fake = Fake()
    with pytest.raises(RetryExhausted):
        await shop().with_tasks({Step.CHARGE: fake}).orchestrate()
    assert fake.calls == [0.0, 5.0, 10.0]


async def test_a_batch_may_be_replaced() -> None:
    """A whole batch is replaced by one function."""
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    work.batch(Step.CHARGE, concurrency=4)(item)

    async def fake() -> Literal[Step.DONE]:
        return Step.DONE

    assert await work.with_tasks({Step.CHARGE: fake}).orchestrate() is Step.DONE


async def item(item: int) -> int:
    return item


def test_the_original_stays() -> None:
    """Neither workflow sees what is done to the other afterwards, hung functions included."""
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    batch = work.batch(Step.CHARGE)(item)
    work.register(Step.SHIP, ship)
    tested = work.with_tasks({Step.SHIP: ship})
    assert [problem.code for problem in tested.problems()] == ["E16", "E16"]

    @batch.load
    async def load() -> list[int]:
        return []

    @batch.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.SHIP]:
        return Step.SHIP

    assert [problem.code for problem in work.problems()] == ["W10"]
    assert [problem.code for problem in tested.problems()] == ["E16", "E16"]
    late = work.with_tasks({})
    late.register(Step.FAILED, charge)
    assert Step.FAILED not in work.blueprint()
    assert [problem.code for problem in late.problems()] == ["E09"]


@pytest.mark.parametrize("state", [Step.DONE, Other.CHARGE, "CHARGE"])
def test_only_what_there_is_can_be_replaced(state: Any) -> None:
    """A state without a task has nothing to replace: more likely it is misspelt."""
    work = shop()
    with pytest.raises(DefinitionError) as caught:
        work.with_tasks({state: ship})
    (problem,) = caught.value.problems
    assert (problem.code, problem.message) == ("E07", f"{state!r} has no task to replace")
    assert problem.hint == "Name a state that has one."
    assert set(work.blueprint()) == {Step.CHARGE, Step.SHIP}


@pytest.mark.parametrize("task", [Task, None, lambda: Step.DONE])
def test_a_replacement_is_a_task(task: Any) -> None:
    """E15 holds for replacements."""
    with pytest.raises(DefinitionError, match="E15 CHARGE"):
        shop().with_tasks({Step.CHARGE: task})
