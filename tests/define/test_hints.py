"""Annotations are resolved one by one, with the names that stand around the definition (PEP 563 in force here)."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable, Coroutine
from enum import Enum, IntEnum, auto
from typing import Annotated, Any, Literal, Optional, TypeAlias, TypeVar, Union  # noqa: F401

import pytest
from typing_extensions import TypeAliasType

from cano_trio import Resources, Task, Workflow


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()
    FAILED = auto()


class Tool:
    """A resource."""


class Number(IntEnum):
    WORK = 1
    DONE = 2


Next: TypeAlias = Literal[Step.MORE, Step.DONE]
Lazy = TypeAliasType("Lazy", Annotated[Literal[Step.MORE], "lazy"] | Literal[Step.DONE])
S = TypeVar("S", bound=Enum)
T = TypeVar("T")


def edges(function: Any, states: type[Enum] = Step) -> dict[str, str]:
    """Where a task may lead, with the labels; the definition must be right but for what it leaves unused."""
    members = list(states)
    work: Any = Workflow(states, initial=members[0], exits=members[1:])
    work.register(members[0], function)
    assert [problem for problem in work.problems() if problem.severity == "error"] == []
    return {edge.target.name: edge.label for edge in work.blueprint()[members[0]].edges}


def returning(hint: Any) -> Any:
    async def task() -> Any:
        return Step.DONE

    task.__annotations__["return"] = hint
    return task


@pytest.mark.parametrize(
    "hint, found",
    [
        ("Literal[Step.DONE]", {"DONE": ""}),
        ("Literal[Step.MORE, Step.DONE]", {"MORE": "", "DONE": ""}),
        ("Literal[Step.MORE] | Literal[Step.DONE]", {"MORE": "", "DONE": ""}),
        ("Union[Literal[Step.MORE], Literal[Step.DONE]]", {"MORE": "", "DONE": ""}),
        ("Annotated[Literal[Step.DONE], 'in stock']", {"DONE": "in stock"}),
        ("Annotated[Literal[Step.MORE, Step.DONE], 3, 'both', 'no']", {"MORE": "both", "DONE": "both"}),
        ("Annotated[Literal[Step.MORE], 'a'] | Annotated[Literal[Step.DONE], 'b']", {"MORE": "a", "DONE": "b"}),
        ("Annotated[Annotated[Literal[Step.MORE], 'in'] | Literal[Step.DONE], 'out']", {"MORE": "in", "DONE": "out"}),
        ("Annotated[Literal[Step.DONE], 3]", {"DONE": ""}),
        ("Step", {"WORK": "", "MORE": "", "DONE": "", "FAILED": ""}),
        ("Annotated[Literal[Step.DONE], 'usual'] | Step", {"WORK": "", "MORE": "", "DONE": "usual", "FAILED": ""}),
        ("Next", {"MORE": "", "DONE": ""}),
        ("Lazy", {"MORE": "lazy", "DONE": ""}),
        ("Literal[Next, Step.FAILED]", {"MORE": "", "DONE": "", "FAILED": ""}),
        (Literal[Step.DONE], {"DONE": ""}),
        (Optional["Step"], None),
    ],
    ids=str,
)
def test_edges_of_an_annotation(hint: Any, found: dict[str, str] | None) -> None:
    """Edges and labels come from the return annotation, whatever it is composed of."""
    if found is None:
        work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
        work.register(Step.WORK, returning(hint))
        assert [problem.code for problem in work.problems()] == ["E11"]
    else:
        assert edges(returning(hint)) == found


def test_integer_states() -> None:
    """Literals of an IntEnum are its members, not the numbers that they equal."""

    async def task() -> Literal[Number.DONE]:
        return Number.DONE

    assert edges(task, Number) == {"DONE": ""}
    work: Any = Workflow(Number, initial=Number.WORK, exits=[Number.DONE])
    work.register(Number.WORK, returning(Literal[2]))
    assert [problem.message for problem in work.problems()] == ["task is annotated to return 2"]


def test_local_states() -> None:
    """An Enum of the defining function is found, though nothing but the annotation names it."""

    class Local(Enum):
        WORK = auto()
        DONE = auto()

    async def task() -> Literal[Local.DONE]:
        raise NotImplementedError

    assert edges(task, Local) == {"DONE": ""}


def test_names_two_functions_out() -> None:
    """All enclosing functions are looked through, the nearest first."""

    class Local(Enum):
        WORK = auto()
        DONE = auto()

    def inner() -> dict[str, str]:
        class Step(Enum):  # nearer than the module's
            WORK = auto()
            DONE = auto()

        async def near() -> Literal[Step.DONE]:
            raise NotImplementedError

        async def far() -> Literal[Local.DONE]:
            raise NotImplementedError

        assert edges(near, Step) == {"DONE": ""}
        return edges(far, Local)

    assert inner() == {"DONE": ""}


def test_closures() -> None:
    """A closure's names are found even where the defining function has returned."""

    def make() -> tuple[Any, Any]:
        class Local(Enum):
            WORK = auto()
            DONE = auto()

        async def task() -> Literal[Local.DONE]:
            return Local.DONE

        return Local, task

    states, task = make()
    assert edges(task, states) == {"DONE": ""}


def test_closure_over_a_name_bound_later() -> None:
    """A closure's empty cell is no obstacle."""

    async def task() -> Literal[Step.DONE]:
        return later  # type: ignore[no-any-return]

    assert edges(task) == {"DONE": ""}
    later: Any = Step.DONE


def test_a_callers_local_is_not_captured() -> None:
    """A name must be in scope lexically: a caller's local of the same name is none of the definition's business."""
    Hidden = Tool  # noqa: F841, N806

    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, elsewhere)
    assert ["E05" for problem in work.problems() if "'Hidden'" in problem.message] == ["E05"]


async def elsewhere(tool: Hidden) -> Literal[Step.DONE]:  # type: ignore[name-defined]  # noqa: F821
    return Step.DONE


def test_names_in_nested_strings() -> None:
    """A string within an annotation is an annotation, and its local names are found."""

    class Local: ...

    async def task(many: list["Local"], one: Annotated["Local", "key"]) -> Literal[Step.DONE]:  # noqa: UP037
        return Step.DONE

    assert edges(task) == {"DONE": ""}


def test_no_frames_are_kept() -> None:
    """A definition keeps the names that its annotations need, and not the frame in which it stands."""

    class Heavy: ...

    def define() -> tuple[Any, weakref.ref[Heavy]]:
        class Local(Enum):
            WORK = auto()
            DONE = auto()

        heavy = Heavy()
        work = Workflow(Local, initial=Local.WORK, exits=[Local.DONE])

        @work.task(Local.WORK)
        async def task() -> Literal[Local.DONE]:
            return Local.DONE

        class Form(Task[Local]):
            async def run(self) -> Literal[Local.DONE]:
                return Local.DONE

        work.with_tasks({Local.WORK: Form()}).validate()
        work.validate()
        return (work, task, Form), weakref.ref(heavy)

    kept, heavy = define()
    gc.collect()
    assert heavy() is None
    assert kept


Passing = Callable[..., Coroutine[Any, Any, Any]]


def logged(function: Passing) -> Passing:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


class Service:
    """Callables of every kind."""

    def __init__(self, target: Step = Step.DONE) -> None:
        self.target = target

    async def method(self, tool: Tool) -> Literal[Step.DONE, Step.FAILED]:
        assert isinstance(tool, Tool)
        return self.target  # type: ignore[return-value]

    @staticmethod
    async def static(tool: Tool) -> Literal[Step.DONE]:
        assert isinstance(tool, Tool)
        return Step.DONE

    @classmethod
    async def of_class(cls, tool: Tool) -> Literal[Step.DONE]:
        assert isinstance(tool, Tool)
        return Step.DONE

    async def __call__(self, tool: Tool) -> Literal[Step.DONE, Step.FAILED]:
        return await self.method(tool)


async def partly(first: int, tool: Tool, *, last: str) -> Literal[Step.DONE]:
    assert (first, last) == (3, "x")
    assert isinstance(tool, Tool)
    return Step.DONE


@logged
async def wrapped(tool: Tool) -> Literal[Step.DONE]:
    assert isinstance(tool, Tool)
    return Step.DONE


@pytest.mark.parametrize(
    "task, name",
    [
        (Service().method, "method"),
        (Service.static, "static"),
        (Service.of_class, "of_class"),
        (Service(), "Service"),
        (Service().__call__, "Service"),
        (functools.partial(partly, 3, last="x"), "partly"),
        (functools.partial(Service().method), "method"),
        (wrapped, "wrapped"),
        (vars(Service)["static"], "static"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_callables_of_every_kind(task: Any, name: str) -> None:
    """Bound methods, static ones, partials, wrappers and callable objects are tasks as functions are."""
    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.FAILED], resources=Resources(tool=Tool()))
    work.register(Step.WORK, task)
    assert work.blueprint()[Step.WORK].node.name == name
    assert "test_hints.py:" in str(work.blueprint()[Step.WORK].node.site)
    assert await work.orchestrate() is Step.DONE


async def test_partials_of_local_functions() -> None:
    """A partial is looked through for the local names of its function."""

    class Local(Enum):
        WORK = auto()
        DONE = auto()

    async def task(size: int) -> Literal[Local.DONE]:
        assert size == 3
        return Local.DONE

    assert edges(functools.partial(task, 3), Local) == {"DONE": ""}
