"""What a parameter's annotation asks for, and how it is passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import pytest
from typing_extensions import TypeAliasType

from cano_trio import CircuitBreaker, RateLimiter, Resources, RunContext, Workflow


class Step(Enum):
    WORK = auto()
    DONE = auto()


class Tool:
    def hammer(self) -> None: ...


class Saw(Tool): ...


@runtime_checkable
class Hammering(Protocol):
    def hammer(self) -> None: ...


class Unchecked(Protocol):
    def hammer(self) -> None: ...


@dataclass
class Doc:
    region: str = "eu"


Alias = TypeAliasType("Alias", Tool)
tool, saw = Tool(), Saw()


async def given(function: Any, **resources: Any) -> None:
    """Run a task with these resources."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Doc, resources=Resources(**resources))
    work.register(Step.WORK, function)
    assert (await work.run(Doc())).state is Step.DONE


async def test_everything_at_once() -> None:
    """Resources, context and data by their types; resources by type, by name and by key; positional and by keyword."""
    seen: list[object] = []

    async def task(
        res: Resources, ctx: RunContext | None, /, doc: Doc, one: Annotated[Tool, "first"], *, saw: Saw, last: Alias
    ) -> Literal[Step.DONE]:
        assert ctx is not None
        seen.extend([type(res), ctx.state, doc, one, saw, last])
        return Step.DONE

    await given(task, first=tool, saw=saw, last=tool)
    assert seen == [Resources, Step.WORK, Doc(), tool, saw, tool]


@pytest.mark.parametrize(
    "hint, resources, found",
    [
        (Tool, {"other": tool}, tool),
        (Tool | None, {"it": tool}, tool),
        (Tool | None, {}, None),
        (Saw | str, {"other": saw}, saw),
        (Hammering, {"other": tool}, tool),
        (Unchecked, {"it": tool, "other": saw}, tool),
        (Unchecked | Doc, {"it": tool}, tool),
        (Any, {"it": 3}, 3),
        (object, {"it": 3}, 3),
        (Callable[[], None], {"it": print}, print),
        (Annotated[Tool, "other", "no"], {"it": saw, "other": tool}, tool),
        (list[int], {"other": [3]}, [3]),
    ],
    ids=[
        "class",
        "optional",
        "missing",
        "union",
        "protocol",
        "unchecked",
        "unchecked or class",
        "any",
        "object",
        "callable",
        "key",
        "generic",
    ],
)
async def test_resources_by_annotation(hint: Any, resources: dict[str, Any], found: object) -> None:
    """A class, a union, a protocol, a key, or what only a name can find."""
    seen: list[object] = []

    async def task(it: Any) -> Literal[Step.DONE]:
        seen.append(it)
        return Step.DONE

    task.__annotations__["it"] = hint
    await given(task, **resources)
    assert seen == [found]


async def test_defaults() -> None:
    """A parameter with a default keeps it where there is no such resource."""
    seen: list[object] = []

    async def task(one: Tool = tool, two: int = 2, *, three: int = 3) -> Literal[Step.DONE]:
        seen.extend([one, two, three])
        return Step.DONE

    await given(task)
    await given(task, other=saw, two=5)
    assert seen[:3] == [tool, 2, 3]
    assert seen[3:5] == [saw, 5]


async def test_a_default_without_an_annotation_stands_in_nobodys_way() -> None:
    """What has no annotation keeps its default, and does not take the argument of the next parameter."""
    seen: list[object] = []

    async def task(doc: Doc, limit=3, one: Tool = tool, *, last=4, two: Saw) -> Literal[Step.DONE]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        seen.extend([doc, limit, one, last, two])
        return Step.DONE

    await given(task, saw=saw)
    assert seen == [Doc(), 3, saw, 4, saw]


async def test_variadic_parameters_get_nothing() -> None:
    """Nothing is injected for *args and **kwargs."""

    async def task(one: Tool, *args: int, **kwargs: str) -> Literal[Step.DONE]:
        assert (args, kwargs) == ((), {})
        return Step.DONE

    await given(task, one=tool)


regions = {"eu": CircuitBreaker(), "us": CircuitBreaker()}


def by_hint(doc: Doc, *, kind: Any = "plain") -> CircuitBreaker:
    assert kind == "plain"
    return regions[doc.region]


class Chooser:
    def __call__(self, doc: Doc) -> CircuitBreaker:
        return regions[doc.region]


@pytest.mark.parametrize(
    "choose",
    [
        lambda doc: regions[doc.region],
        lambda *, doc: regions[doc.region],
        lambda doc, known=regions: known[doc.region],
        lambda known=regions, *, doc: known[doc.region],
        lambda eu: eu,
        lambda: regions["eu"],
        by_hint,
        Chooser(),
        Chooser().__call__,
    ],
    ids=range(9),
)
async def test_choosers(choose: Any) -> None:
    """RULINGS 3.11: a breaker may be chosen by a lambda, whose parameters are resources by name, or the run's data."""
    asked: list[object] = []

    def asking(*args: Any, **kwargs: Any) -> Any:
        asked.append(choose(*args, **kwargs))
        return asked[-1]

    asking.__wrapped__ = choose  # type: ignore[attr-defined]

    async def task() -> Literal[Step.DONE]:
        return Step.DONE

    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Doc, resources=Resources(eu=regions["eu"]))
    work.register(Step.WORK, task, breaker=asking)
    await work.run(Doc())
    assert asked == [regions["eu"]]


async def test_a_builtin_chooses() -> None:
    """What has no Python code of its own may choose, too, as far as it needs no arguments."""
    chosen = iter([RateLimiter(1000.0)])

    async def task() -> Literal[Step.DONE]:
        return Step.DONE

    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, task, limiter=chosen.__next__)
    await work.run()
    assert list(chosen) == []


async def test_a_partial_of_a_class_chooses() -> None:
    """A partial of a class makes a breaker anew for every attempt."""

    async def task() -> Literal[Step.DONE]:
        return Step.DONE

    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, task, breaker=partial(CircuitBreaker, name="new"))
    assert (await work.run()).state is Step.DONE
