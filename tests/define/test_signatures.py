"""What is wrong with a function's annotations (E05, E06, E11, E14, E17)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Union

import pytest

from cano_trio import BatchResults, BatchTask, Problem, Workflow

if TYPE_CHECKING:
    from elsewhere import Client, Reply  # type: ignore[import-not-found]


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()


class Other(Enum):
    DONE = auto()


@dataclass
class Doc:
    words: int = 0


def shown(value: Any) -> str:
    return value.__name__ if inspect.isfunction(value) else str(value)


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Doc)


def errors(work: Any) -> list[Problem]:
    return [problem for problem in work.problems() if problem.severity == "error"]


def problems_of(function: Any) -> list[Problem]:
    """The errors of a workflow of one task, each of which names the function's line."""
    work = workflow()
    work.register(Step.WORK, function)
    found = errors(work)
    for problem in found:
        assert problem.place == "WORK"
        assert problem.site.endswith(f"test_signatures.py:{function.__code__.co_firstlineno}")
    return found


def test_names_for_checkers_only() -> None:
    """E05: a name imported under TYPE_CHECKING is named, for each annotation that needs it, and nothing else is."""

    async def fetch(client: Client, doc: Doc, reply: Reply | None = None) -> Literal[Step.DONE]:
        return Step.DONE

    found = problems_of(fetch)
    assert [(problem.code, problem.message) for problem in found] == [
        ("E05", "fetch: the annotation of 'client' 'Client' needs the name 'Client', which is not defined at run time"),
        (
            "E05",
            "fetch: the annotation of 'reply' 'Reply | None' needs the name 'Reply', which is not defined at run time",
        ),
    ]
    assert {problem.hint for problem in found} == {"Define the name in the module or in the enclosing function."}


def test_the_others_still_resolve() -> None:
    """E05: one bad annotation does not take the function's edges and its other parameters along."""

    async def fetch(client: Client, doc: Doc) -> Literal[Step.DONE]:
        return Step.DONE

    work = workflow()
    work.register(Step.WORK, fetch)
    plan = work.blueprint()[Step.WORK]
    assert plan.targets == (Step.DONE,)
    assert [parameter.name for parameter in plan.methods["run"].parameters] == ["doc"]


def test_return_annotation_that_can_not_be_resolved() -> None:
    """E05: where nobody knows where a task leads, what follows from that alone is not told as well."""

    async def fetch() -> Reply:
        return None

    (problem,) = problems_of(fetch)
    assert problem.code == "E05"
    assert problem.message == (
        "fetch: the return annotation 'Reply' needs the name 'Reply', which is not defined at run time"
    )


def test_annotations_that_raise() -> None:
    """E05: an annotation may be any expression, and fail like one."""

    async def fetch(a: Doc.Missing, b: 1 / 0, c: Literal[Step.GONE]) -> Literal[Step.DONE]:  # type: ignore[name-defined, valid-type]
        return Step.DONE

    texts = [problem.message for problem in problems_of(fetch)]
    assert "annotation of 'a' 'Doc.Missing' can't be evaluated: AttributeError: type object 'Doc'" in texts[0]
    assert "annotation of 'b' '1 / 0' can't be evaluated: ZeroDivisionError" in texts[1]
    assert "annotation of 'c' 'Literal[Step.GONE]' can't be evaluated: AttributeError" in texts[2]


def test_annotation_that_is_no_python() -> None:
    """E05: nor need it be Python at all."""

    async def fetch(a: int) -> Literal[Step.DONE]:
        return Step.DONE

    fetch.__annotations__["a"] = "a mistake"
    (problem,) = problems_of(fetch)
    assert problem.message.startswith("fetch: the annotation of 'a' 'a mistake' can't be evaluated: SyntaxError")


def test_no_return_annotation() -> None:
    """E06: edges come from return annotations, so there must be one; the rest of the graph is not blamed."""

    async def fetch():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return Step.DONE

    (problem,) = problems_of(fetch)
    assert (problem.code, problem.message) == ("E06", "fetch: no return annotation")
    assert problem.hint == "Say what it returns, such as -> Literal[Step.DONE]."


@pytest.mark.parametrize(
    "hint, shown",
    [
        (None, ["None"]),
        (type(None), ["None"]),
        (str, ["str"]),
        (Any, ["Any"]),
        (Enum, ["Enum"]),
        (NoReturn, ["NoReturn"]),
        (Literal["DONE"], ["'DONE'"]),
        (Literal[Step.DONE, "DONE", 3], ["'DONE'", "3"]),
        (Literal[Other.DONE], ["Other.DONE"]),
        (Other, ["Other"]),
        (Literal[Step.DONE] | None, ["None"]),
        (Union[Step, str, None], ["str", "None"]),  # noqa: UP007
        (tuple[Step, int], [f"tuple[{Step.__module__}.Step, int]"]),
        (Awaitable[str], ["collections.abc.Awaitable[str]"]),
        (Coroutine[Any, Any, str], ["collections.abc.Coroutine[Any, Any, str]"]),
        (Annotated[int, "label"], ["int"]),
    ],
    ids=shown,
)
def test_wrong_returns(hint: Any, shown: list[str]) -> None:
    """E11: a task returns states; each other thing that its annotation names is a problem of its own."""

    async def fetch() -> Any:
        return Step.DONE

    fetch.__annotations__["return"] = hint
    found = problems_of(fetch)
    assert {problem.code for problem in found} == {"E11"}
    assert [problem.message for problem in found] == [f"fetch is annotated to return {text}" for text in shown]
    assert {problem.hint for problem in found} == {"It must return members of Step, such as -> Literal[Step.WORK]."}


def test_parameters_without_annotation() -> None:
    """E14: nobody can tell what to inject for a parameter without an annotation; one with a default keeps that."""

    async def fetch(client, limit=3, *, doc: Doc, page, **more: int) -> Literal[Step.DONE]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return Step.DONE

    found = problems_of(fetch)
    assert [(problem.code, problem.message) for problem in found] == [
        ("E14", "fetch: parameter 'client' has no annotation"),
        ("E14", "fetch: parameter 'page' has no annotation"),
    ]
    assert found[0].hint == "Annotate it with the type of what it takes."


def test_default_that_stands_in_the_way() -> None:
    """E14: a positional-only parameter can't be passed over, default or not."""

    async def fetch(limit=3, /, doc: Doc = Doc()) -> Literal[Step.DONE]:  # type: ignore[no-untyped-def]  # noqa: ANN001, B008
        return Step.DONE

    (problem,) = problems_of(fetch)
    assert problem.message == "fetch: parameter 'limit' has no annotation"


def batch(process: Any, load: Any = None, finish: Any = None) -> list[Problem]:
    work = workflow()
    made = work.batch(Step.WORK)(process)

    async def default_load() -> Any:
        return []

    async def default_finish(results: Any) -> Literal[Step.DONE]:
        return Step.DONE

    made.load(load or default_load)
    made.finish(finish or default_finish)
    return errors(work)


async def item(item: int) -> str:
    return ""


async def untyped(item) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return ""


async def wide(item: int | str | None) -> str:
    return ""


async def aliases(item: float) -> str:
    return ""


def returning(hint: Any) -> Any:
    async def load() -> Any:
        return []

    load.__annotations__["return"] = hint
    return load


def taking(hint: Any) -> Any:
    async def finish(results: Any) -> Literal[Step.DONE]:
        return Step.DONE

    finish.__annotations__["results"] = hint
    return finish


@pytest.mark.parametrize(
    "process, hint",
    [
        (item, list[int]),
        (item, Sequence[int]),
        (item, tuple[int, ...]),
        (item, list[bool]),
        (item, list),
        (item, Any),
        (item, list[Any]),
        (item, range),
        (untyped, list[str]),
        (wide, list[int]),
        (wide, list[int | None]),
        (wide, list[Literal[1, "a"]]),
        (aliases, list[int]),
        (item, Annotated[list[int], "label"]),
    ],
    ids=shown,
)
def test_loads_that_agree(process: Any, hint: Any) -> None:
    """E17 is for people: in doubt, what `load` lists fits what `process_item` takes."""
    assert batch(process, load=returning(hint)) == []


@pytest.mark.parametrize(
    "process, hint, said",
    [
        (item, list[str], "it lists str, but item.process_item takes int"),
        (item, list[int | str], "it lists int | str, but item.process_item takes int"),
        (item, Sequence[Doc], "it lists Doc, but item.process_item takes int"),
        (item, list[Literal["a"]], "it lists Literal['a'], but item.process_item takes int"),
        (item, list[list[int]], "it lists list[int], but item.process_item takes int"),
        (wide, list[Doc], "it lists Doc, but wide.process_item takes int | str | None"),
        (item, int, "it returns int, which is no list or other sequence of items"),
        (item, str, "it returns str, which is no list or other sequence of items"),
        (item, bytes, "it returns bytes, which is no list or other sequence of items"),
        (item, None, "it returns None, which is no list or other sequence of items"),
        (item, dict[str, int], "it returns dict[str, int], which is no list or other sequence of items"),
        (item, set[int], "it returns set[int], which is no list or other sequence of items"),
        (item, list[int] | None, "it returns list[int] | None, which is no list or other sequence of items"),
    ],
    ids=shown,
)
def test_loads_that_disagree(process: Any, hint: Any, said: str) -> None:
    """E17: what `load` lists must be what `process_item` takes."""
    (problem,) = batch(process, load=returning(hint))
    assert (problem.code, problem.place) == ("E17", "WORK")
    assert problem.message == f"{process.__name__}.load: {said}"
    assert problem.hint == "Make them agree."
    assert "test_signatures.py:" in problem.site


@pytest.mark.parametrize(
    "hint", [BatchResults[int, str], BatchResults, BatchResults[Any, Any], Any, Sequence[Any], object], ids=shown
)
def test_finishes_that_agree(hint: Any) -> None:
    """E17 accepts what the results may be called."""
    assert batch(item, finish=taking(hint)) == []


@pytest.mark.parametrize("hint", [BatchResults[str, str], BatchResults[int, int], list[str], int, Doc], ids=shown)
def test_finishes_that_disagree(hint: Any) -> None:
    """E17: `finish` takes the results of just these items and outputs."""
    (problem,) = batch(item, finish=taking(hint))
    assert problem.code == "E17"
    assert problem.message.startswith("item.finish: it takes ")
    assert problem.message.endswith(", but gets cano_trio.BatchResults[int, str]")


def test_generics_and_methods_agree() -> None:
    """E17: a batch class's methods must take and return what its generics name."""

    class Wrong(BatchTask[Step, int, str]):
        async def load(self) -> list[int]:
            return []

        async def process_item(self, item: Doc) -> bytes:  # type: ignore[override]
            return b""

        async def finish(self, results: BatchResults[Doc, bytes]) -> Literal[Step.DONE]:  # type: ignore[override]
            return Step.DONE

    work = workflow()
    work.register(Step.WORK, Wrong())
    assert [problem.message for problem in errors(work)] == [
        "Wrong.process_item: it takes a Doc, but the class names int as its item",
        "Wrong.process_item: it returns a bytes, but the class names str as its output",
        "Wrong.load: it lists int, but Wrong.process_item takes Doc",
    ]


def test_generics_need_not_be_named() -> None:
    """A batch class without generics is checked by its methods alone."""

    class Bare(BatchTask):  # type: ignore[type-arg]
        async def load(self) -> list[str]:
            return []

        async def process_item(self, item: str) -> int:
            return 3

        async def finish(self, results: BatchResults[str, int]) -> Literal[Step.DONE]:
            return Step.DONE

    work = workflow()
    work.register(Step.WORK, Bare())
    assert errors(work) == []


def test_choosers_have_hints_too() -> None:
    """E05: a function that chooses a breaker has injected parameters, and their annotations must resolve."""

    def choose(client: Client) -> Any:
        return client

    async def fetch() -> Literal[Step.DONE]:
        return Step.DONE

    work = workflow()
    work.register(Step.WORK, fetch, breaker=choose)
    (problem,) = errors(work)
    assert (problem.code, problem.place) == ("E05", "WORK")
    assert problem.message.startswith("fetch's breaker: the annotation of 'client' 'Client' needs the name 'Client'")


def test_a_callback_parameter() -> None:
    """A parameter that no class stands for is not refused here: its name finds the resource."""

    async def fetch(call: Callable[[int], int]) -> Literal[Step.DONE]:
        return Step.DONE

    assert problems_of(fetch) == []
