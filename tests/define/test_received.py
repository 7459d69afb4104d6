"""Which contexts may receive messages, and which messages (E36, E17)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Literal, TypeVar

import pytest
import trio

from cano_trio import (
    BatchResults,
    BranchTask,
    CircuitBreaker,
    CloseReason,
    CompensatableTask,
    RunContext,
    Split,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


class Go: ...


class Stop: ...


T = TypeVar("T")
Register = Callable[[Any], object]


def found(register: Register) -> list[str]:
    """What is wrong with a workflow in which this is registered."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    register(work)
    return [str(problem) for problem in work.problems() if problem.code in {"E17", "E36"}]


def a_router(work: Workflow[Step]) -> None:
    @work.router(Step.WORK)
    async def route(ctx: RunContext[Go]) -> Literal[Step.DONE]:
        return Step.DONE


def the_wait_of_a_timer(work: Workflow[Step]) -> None:
    @work.timer(Step.WORK)
    async def nap(ctx: RunContext[Go]) -> float:
        return 1

    @nap.after_wait
    async def after() -> Literal[Step.DONE]:
        return Step.DONE


def an_item(work: Workflow[Step]) -> None:
    @work.batch(Step.WORK)
    async def item(number: int, ctx: RunContext[Go]) -> int:
        return number

    @item.load
    async def load() -> list[int]:
        return []

    @item.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE


def the_load_of_a_batch(work: Workflow[Step]) -> None:
    @work.batch(Step.WORK)
    async def item(number: int) -> int:
        return number

    @item.load
    async def load(ctx: RunContext[Go]) -> list[int]:
        return []

    @item.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE


def an_item_of_a_stream(work: Workflow[Step]) -> None:
    @work.stream(Step.WORK)
    async def item(number: int, ctx: RunContext[Go]) -> tuple[int, int]:
        return number, number

    @item.open
    async def source(cursor: int | None) -> trio.MemoryReceiveChannel[int]:
        return trio.open_memory_channel[int](0)[1]

    @item.flush_window
    async def flush(numbers: list[int]) -> None: ...

    @item.on_close
    async def close(reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE


def a_branch(work: Workflow[Step]) -> None:
    class Look(BranchTask[int]):
        async def run(self, ctx: RunContext[Go]) -> int:
            return 1

    work.register_split(Step.WORK, Split.all([Look()], Step.DONE))


def a_declared_branch(work: Workflow[Step]) -> None:
    @work.branch
    async def branch(item: int, ctx: RunContext[Go]) -> int:
        return item

    @work.split(Step.WORK)
    async def split() -> Split[Literal[Step.DONE]]:
        return Split.over(branch, [1], Step.DONE)


class Book(CompensatableTask[Step, int]):
    async def run(self) -> tuple[Literal[Step.DONE], int]:
        return Step.DONE, 1

    async def compensate(self, receipt: int, /, ctx: RunContext[Go]) -> None: ...


def a_compensation(work: Workflow[Step]) -> None:
    work.register(Step.WORK, Book())


def by_context(ctx: RunContext[Go]) -> CircuitBreaker:
    return CircuitBreaker()


def a_chooser(work: Workflow[Step]) -> None:
    @work.task(Step.WORK, breaker=by_context)
    async def task() -> Literal[Step.DONE]:
        return Step.DONE


READS = "it only reads, and a message is used up together with what is written"
ALONE = "in a state of its own: @workflow.receive."


@pytest.mark.parametrize(
    "register, label, why, hint",
    [
        (a_router, "route", READS, f"Receive in a task, or {ALONE}"),
        (the_wait_of_a_timer, "nap.wait", READS, f"Receive in nap.after_wait, or {ALONE}"),
        (an_item, "item.process_item", READS, f"Receive in item.finish, or {ALONE}"),
        (the_load_of_a_batch, "item.load", READS, f"Receive in item.finish, or {ALONE}"),
        (an_item_of_a_stream, "item.process_item", READS, f"Receive in item.flush_window or item.on_close, or {ALONE}"),
        (a_branch, "Look", READS, f"Receive in a task, or {ALONE}"),
        (a_declared_branch, "branch", READS, f"Receive in a task, or {ALONE}"),
        (
            a_compensation,
            "Book.compensate",
            "the run is undone then, and takes no messages any more",
            f"Receive in Book.run, or {ALONE}",
        ),
        (a_chooser, "task's breaker", "it is a plain function, which can't wait", f"Receive in task, or {ALONE}"),
    ],
)
def test_where_receiving_makes_no_sense(register: Register, label: str, why: str, hint: str) -> None:
    """E36: what may be called many times, what only reads, and what undoes work, receives nothing; it says why, and where to."""
    (problem,) = found(register)
    assert f": {label}: its context can't receive messages: {why} (" in problem
    assert problem.startswith("E36 ")
    assert problem.endswith(f"). {hint}")


@pytest.mark.parametrize(
    "context, shown",
    [
        (RunContext[list[int]], "list[int]"),
        (RunContext[Go | Literal[3]], "Literal[3]"),
        (RunContext[T], "~T"),  # type: ignore[valid-type]
    ],
    ids=["generic", "literal", "variable"],
)
def test_messages_are_told_by_their_class(context: Any, shown: str) -> None:
    """E17: what `isinstance` can't tell from other messages can't be received."""

    def register(work: Workflow[Step]) -> None:
        async def task(ctx: Any) -> Literal[Step.DONE]:
            return Step.DONE

        task.__annotations__["ctx"] = context
        work.task(Step.WORK)(task)

    (problem,) = found(register)
    assert problem.startswith(f"E17 WORK: task: isinstance can't tell what is a {shown} (")


@pytest.mark.parametrize(
    "context",
    [RunContext, RunContext[Go], RunContext[Go | Stop], RunContext[Go] | None],
    ids=["none", "one", "two", "optional"],
)
def test_contexts_that_are_fine(context: Any) -> None:
    """A context names no messages, one class, or several."""

    def register(work: Workflow[Step]) -> None:
        async def task(ctx: Any) -> Literal[Step.DONE]:
            return Step.DONE

        task.__annotations__["ctx"] = context
        work.task(Step.WORK)(task)

    assert found(register) == []
