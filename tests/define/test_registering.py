"""What is refused where a task is registered (E04, E15, E16, E22)."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from enum import Enum, auto
from typing import Any, Literal

import pytest

from cano_trio import (
    BatchResults,
    BatchTask,
    DefinitionError,
    Problem,
    Retry,
    Task,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()


class Other(Enum):
    WORK = auto()


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE])


def refused(call: Callable[[], object]) -> Problem:
    """The only problem of a call; nothing of it stays behind."""
    with pytest.raises(DefinitionError) as caught:
        call()
    (problem,) = caught.value.problems
    assert "test_registering.py:" in problem.site
    return problem


def line(function: Callable[..., Any]) -> str:
    return f"test_registering.py:{function.__code__.co_firstlineno}"


async def fine() -> Literal[Step.DONE]:
    return Step.DONE


async def other() -> Literal[Step.DONE]:
    return Step.DONE


class Square(BatchTask[Step, int, int]):
    async def load(self) -> list[int]:
        return [1]

    async def process_item(self, item: int) -> int:
        return item

    async def finish(self, results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE


def test_a_state_has_one_task() -> None:
    """E04: a second task for a state is refused, by where the first one stands, and the first stays."""
    work = workflow()
    work.task(Step.WORK)(fine)
    problem = refused(lambda: work.task(Step.WORK)(other))
    assert (problem.code, problem.place) == ("E04", "WORK")
    assert problem.message.startswith("it already has the task fine (")
    assert problem.message.endswith(f"{line(fine)})")
    assert problem.hint == "Take one away; to replace tasks in a test, use workflow.with_tasks({...})."
    assert problem.site.endswith(line(other))
    assert repr(work).startswith("<Workflow 'Step' of 1 tasks")
    assert work.problems()[0].code == "W10"


def test_a_batch_has_one_function_of_a_kind() -> None:
    """E04: a second `finish` is refused, by where the first one stands."""
    work = workflow()

    async def item(item: int) -> int:
        return item

    async def first(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE

    async def second(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE

    batch = work.batch(Step.WORK)(item)
    batch.finish(first)
    problem = refused(lambda: batch.finish(second))
    assert (problem.code, problem.place, problem.hint) == ("E04", "WORK", "Keep one of the two.")
    assert problem.message.startswith("item.finish is already defined at ")
    assert problem.message.endswith(line(first))
    assert problem.site.endswith(line(second))


def sync() -> Literal[Step.DONE]:
    return Step.DONE


async def generator() -> AsyncGenerator[Step, None]:
    yield Step.DONE


class Blocking:
    def __call__(self) -> Literal[Step.DONE]:
        return Step.DONE

    async def method(self) -> Literal[Step.DONE]:
        return Step.DONE


@pytest.mark.parametrize(
    "task, message",
    [
        (sync, "sync is a plain function, not an async function"),
        (lambda: Step.DONE, "<lambda> is a plain function, not an async function"),
        (print, "print is a plain function, not an async function"),
        (functools.partial(sync), "sync is functools.partial("),
        (generator, "generator is an async generator"),
        (Blocking(), "Blocking is <"),
        (Blocking().__call__, "Blocking is a plain function"),
        (classmethod(fine), "fine is a plain function"),  # type: ignore[arg-type]
        (None, "NoneType is None, not an async function"),
        (3, "int is 3, not an async function"),
        (Retry.none(), "Retry is Retry("),
    ],
)
def test_only_async_functions(task: Any, message: str) -> None:
    """E15: nothing but an async function is a task; the decorator says so, and `register` too."""
    work = workflow()
    for register in (
        lambda: work.task(Step.WORK)(task),
        lambda: work.register(Step.WORK, task),
    ):
        problem = refused(register)
        assert (problem.code, problem.place) == ("E15", "WORK")
        assert problem.message.startswith(message)
        assert problem.hint
        assert [found.code for found in work.problems()] == ["E01"]


def test_hints_of_not_async() -> None:
    """E15: the hint says how to go on, for a function that blocks and for one that yields."""
    assert refused(lambda: workflow().register(Step.WORK, sync)).hint == (
        "Write `async def`; call blocking code with `await trio.to_thread.run_sync(...)`."
    )
    assert refused(lambda: workflow().register(Step.WORK, generator)).hint == (
        "Return a value instead of yielding; many items belong into a batch or a stream."
    )


def test_a_class_is_no_task() -> None:
    """E15: who registers the class is told to make an instance."""
    problem = refused(lambda: workflow().register(Step.WORK, Square))
    assert (problem.code, problem.message) == ("E15", "Square is a class, not a task")
    assert problem.hint == "Register an instance: Square()."


def test_a_sync_method_leaves_nothing_behind() -> None:
    """E15: a task object with a method that is not async is refused as a whole."""

    class Wrong(Square):
        def finish(self, results: BatchResults[int, int]) -> Literal[Step.DONE]:  # type: ignore[override]
            return Step.DONE

    work = workflow()
    problem = refused(lambda: work.register(Step.WORK, Wrong()))
    assert (problem.code, problem.message) == ("E15", "Wrong.finish is a plain function, not an async function")
    work.register(Step.WORK, Square())


def test_a_hung_function_is_async_too() -> None:
    """E15 holds for `load` and `finish` hung on a batch."""
    batch = workflow().batch(Step.WORK)(fine)
    assert refused(lambda: batch.load(sync)).message == "fine.load is a plain function, not an async function"


@pytest.mark.parametrize("state", [Other.WORK, "WORK", 1, None])
def test_foreign_states(state: Any) -> None:
    """E22: every form takes only members of the workflow's own Enum, and says so before it sees the function."""
    work = workflow()
    for call in (
        lambda: work.task(state),
        lambda: work.router(state),
        lambda: work.batch(state),
        lambda: work.register(state, fine),
        lambda: work.register(state, Square()),
    ):
        problem = refused(call)
        assert (problem.code, problem.place) == ("E22", "workflow")
        assert problem.message == f"{state!r} is no state of Step"
        assert problem.hint == "Pass a member of Step."


@pytest.mark.parametrize("decorator", ["task", "router", "batch"])
def test_decorator_without_a_state(decorator: str) -> None:
    """E22: `@workflow.task` without a state is told how to be written."""
    problem = refused(lambda: getattr(workflow(), decorator)(fine))
    assert (problem.code, problem.hint) == ("E22", f"Write @workflow.{decorator}(Step.WORK).")


def test_abstract_methods() -> None:
    """A misspelt method leaves its class abstract: Python refuses the instance and names what is missing."""

    class Wrong(Task[Step]):
        async def rum(self) -> Literal[Step.DONE]:
            return Step.DONE

    with pytest.raises(TypeError, match=r"abstract class Wrong .*method.* '?run'?"):
        Wrong()  # type: ignore[abstract]


def test_batch_without_its_other_functions() -> None:
    """E16: each function that is missing is a problem of its own, with how to write it."""
    work = workflow()

    async def item(item: int) -> int:
        return item

    work.batch(Step.WORK)(item)
    found = [problem for problem in work.problems() if problem.severity == "error"]
    assert [(problem.code, problem.place, problem.message) for problem in found] == [
        ("E16", "WORK", "item has no load"),
        ("E16", "WORK", "item has no finish"),
    ]
    assert found[1].hint == "Write @item.finish over an async function."
    assert found[1].site.endswith(line(item))


def test_own_arguments() -> None:
    """E16: an item function must take the item, and by position; *args would tell nothing."""

    async def nothing() -> int:
        return 3

    async def keyword(*, item: int) -> int:
        return item

    async def anything(*items: int) -> int:
        return 3

    for function in (nothing, keyword, anything):
        work = workflow()
        batch = work.batch(Step.WORK)(function)
        batch.load(other)
        problem = next(found for found in work.problems() if "must take" in found.message)
        assert (problem.code, problem.place) == ("E16", "WORK")
        assert problem.message == f"{function.__name__}.process_item: it must take item first"
        assert problem.hint == "Write (item, ...)."
        assert problem.site.endswith(line(function))
