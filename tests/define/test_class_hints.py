"""The methods of task classes: resolved where they stand, with what the class's type arguments say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, Literal, TypeVar

import attrs

from cano_trio import BatchResults, BatchTask, Task, Workflow


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()
    FAILED = auto()


S = TypeVar("S", bound=Enum)
T = TypeVar("T")


def edges(function: Any, states: type[Enum] = Step) -> dict[str, str]:
    """Where a task may lead, with the labels; the definition must be right but for what it leaves unused."""
    members = list(states)
    work: Any = Workflow(states, initial=members[0], exits=members[1:])
    work.register(members[0], function)
    assert [problem for problem in work.problems() if problem.severity == "error"] == []
    return {edge.target.name: edge.label for edge in work.blueprint()[members[0]].edges}


@dataclass
class Mixin:
    """Brings a method from beside the task classes."""

    async def run(self) -> Literal[Step.DONE]:
        return Step.DONE


class FromMixin(Mixin, Task[Step]):
    pass


def test_a_method_from_a_mixin() -> None:
    """A method may come from a class that is no task."""
    assert edges(FromMixin()) == {"DONE": ""}


def test_methods_with_local_names() -> None:
    """A class form finds the locals of its function, and what stands in its own body beside its methods."""

    class Local(Enum):
        WORK = auto()
        DONE = auto()

    class Form(Task[Local]):
        class Inside: ...

        def list(self) -> None:
            """Has a builtin's name, which the annotation does not mean."""

        async def run(self, inside: Inside | None = None, many: list[int] | None = None) -> Literal[Local.DONE]:  # type: ignore[valid-type]
            return Local.DONE

    @attrs.define
    class Defined(Task[Local]):
        size: int = 3

        async def run(self) -> Literal[Local.DONE]:
            return Local.DONE

    class Static(Task[Local]):
        @staticmethod
        async def run() -> Literal[Local.DONE]:
            return Local.DONE

    class Late(Task[Local]):
        def __init__(self) -> None:
            async def run() -> Literal[Local.DONE]:
                return Local.DONE

            self.run = run  # type: ignore[method-assign, assignment]

        async def run(self) -> Literal[Local.WORK]:
            return Local.WORK

    for form in (Form(), Defined(), Static(), Late()):
        assert edges(form, Local) == {"DONE": ""}


def test_each_method_has_the_scope_of_its_own_class() -> None:
    """A method that overrides another is resolved where it stands, not where the overridden one does."""

    def first() -> type[Task[Any]]:
        class Local(Enum):
            WORK = auto()
            FAILED = auto()

        class Base(Task[Any]):
            async def run(self) -> Literal[Local.FAILED]:
                return Local.FAILED

        return Base

    base = first()

    class Local(Enum):
        WORK = auto()
        DONE = auto()

    class Beside:
        async def run(self) -> Literal[Local.DONE]:
            return Local.DONE

    class Both(Beside, base):  # type: ignore[valid-type, misc]
        pass

    assert edges(Both(), Local) == {"DONE": ""}


class Library(Task[S], Generic[S]):
    """Leads wherever its type argument says, as a library's class would."""

    def __init__(self, target: S) -> None:
        self.target = target

    async def run(self) -> S:
        return self.target


class Listing(BatchTask[Literal[Step.DONE], T, list[T]], Generic[T]):
    def __init__(self, *items: T) -> None:
        self.items = items

    async def load(self) -> list[T]:
        return list(self.items)

    async def process_item(self, item: T) -> list[T]:
        return [item]

    async def finish(self, results: BatchResults[T, list[T]]) -> Literal[Step.DONE]:
        return Step.DONE


def test_type_arguments() -> None:
    """An inherited method's type variables stand for what the class passes to its generic base, at any depth."""

    class Named(Library[Literal[Step.DONE, Step.FAILED]]):
        pass

    class Middle(Library[S]):
        pass

    class Deep(Middle[Literal[Step.DONE]]):
        pass

    class Anywhere(Library[Step]):
        pass

    assert edges(Named(Step.DONE)) == {"DONE": "", "FAILED": ""}
    assert edges(Deep(Step.DONE)) == {"DONE": ""}
    assert edges(Anywhere(Step.DONE)) == {"WORK": "", "MORE": "", "DONE": "", "FAILED": ""}


def test_type_arguments_of_a_batch() -> None:
    """E17 knows what an inherited method's type variables stand for."""

    class Right(Listing[int]):
        async def process_item(self, item: int) -> list[int]:
            return [item]

    class Wrong(Listing[int]):
        async def process_item(self, item: str) -> list[int]:  # type: ignore[override]
            return []

    assert edges(Right(3)) == {"DONE": ""}
    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, Wrong(3))
    assert [problem.message for problem in work.problems() if problem.code == "E17"] == [
        "Wrong.process_item: it takes a str, but the class names int as its item",
        "Wrong.load: it lists int, but Wrong.process_item takes str",
        "Wrong.finish: it takes cano_trio.BatchResults[int, list[int]], but gets cano_trio.BatchResults[str, list[int]]",
    ]


def test_type_variable_without_an_argument() -> None:
    """E11: a class that leaves its type variable open does not say where it leads."""
    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, Library(Step.DONE))
    assert "E11" in [problem.code for problem in work.problems()]
