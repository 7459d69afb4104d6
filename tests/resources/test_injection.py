"""Which resource a task's parameter gets, and what is said when that is not clear."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cano_trio import (
    BatchResults,
    DefinitionError,
    MemoryStore,
    PerRun,
    Resource,
    Resources,
    RunContext,
    Shared,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


Done = Literal[Step.DONE]


class Key(Enum):
    DB = auto()
    CACHE = auto()


class Connection:
    url = "here"

    async def fetch(self) -> str:
        return "row"


class Replica(Connection):
    pass


@runtime_checkable
class Fetching(Protocol):
    async def fetch(self) -> str: ...


@runtime_checkable
class Located(Protocol):
    url: str


class Unchecked(Protocol):
    def anything(self) -> None: ...


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    yield Replica()


class Fails(Resource):
    async def setup(self) -> None:
        raise AssertionError("set up, although the definition is wrong")


def workflow_of(task: Callable[..., Awaitable[Done]]) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="injected")
    workflow.register(Step.WORK, task)  # type: ignore[arg-type]
    return workflow


async def given_to(task: Callable[..., Awaitable[Done]], resources: Resources) -> None:
    assert await workflow_of(task).orchestrate(resources=resources) is Step.DONE


async def refusal(task: Callable[..., Awaitable[Done]], resources: Resources) -> str:
    """The one problem of a task, whose resources must not have been touched."""
    resources.insert("fails if set up", Fails())
    with pytest.raises(DefinitionError) as caught:
        await workflow_of(task).orchestrate(resources=resources)
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("E13", "WORK")
    assert re.search(r"test_injection\.py:\d+$", problem.site)
    return problem.message


async def test_by_type_whatever_the_name() -> None:
    """A parameter gets the one resource of its class, or of a class derived from it."""
    replica, seen = Replica(), list[object]()

    async def work(anything: Connection, other: Fetching) -> Done:
        seen.extend([anything, other])
        return Step.DONE

    await given_to(work, Resources({Key.DB: replica}, limit=3))
    assert seen == [replica, replica]


async def test_the_name_decides_between_several() -> None:
    """RES-13: among several of the class the parameter's name picks one; the order does not matter."""
    first, second, seen = Connection(), Connection(), list[object]()

    async def work(second: Connection, first: Connection) -> Done:
        seen.extend([second, first])
        return Step.DONE

    await given_to(work, Resources(first=first, second=second))
    assert seen == [second, first]


async def test_a_name_of_another_class_does_not_decide() -> None:
    """A resource that merely has the parameter's name, and another class, gives way to the one of its class."""
    connection, seen = Connection(), list[object]()

    async def work(db: Connection) -> Done:
        seen.append(db)
        return Step.DONE

    await given_to(work, Resources(db="a text", other=connection))
    assert seen == [connection]


async def test_the_key_in_the_annotation_decides() -> None:
    """RES-13: `Annotated[T, key]` with a string or an Enum member, among other annotations; the name says nothing."""
    a, b, c, seen = Connection(), Connection(), Connection(), list[object]()

    async def work(
        a: Annotated[Connection, "b"], x: Annotated[Connection, 17, Key.DB], y: Annotated[Connection | None, "a"]
    ) -> Done:
        seen.extend([a, x, y])
        return Step.DONE

    await given_to(work, Resources({"a": a, "b": b, Key.DB: c}))
    assert seen == [b, c, a]


async def test_builtins_generics_and_unions() -> None:
    """A number, a `list[int]`, a union, and what only its name can tell are found as well."""
    seen = list[object]()

    async def work(limit: int, rows: list[int], either: bytes | str, call: Callable[[], int], any_: Any) -> Done:
        seen.extend([limit, rows, either, call(), any_])
        return Step.DONE

    await given_to(work, Resources(limit=3, rows=[1], text="x", call=lambda: 4, any_=None))
    assert seen == [3, [1], "x", 4, None]


async def test_by_name_behind_a_star() -> None:
    """Keyword-only parameters are injected too, beside the context and the map itself."""
    resources, seen = Resources(db=Connection(), limit=3), list[object]()

    async def work(res: Resources, /, ctx: RunContext, *, limit: int, db: Connection) -> Done:
        seen.extend([res is resources, ctx.state, limit, db is resources.value("db")])
        return Step.DONE

    await given_to(work, resources)
    assert seen == [True, Step.WORK, 3, True]


async def test_optional_ones_keep_their_default() -> None:
    """A parameter with a default, or that may be None, does without; if there is a resource, it gets that."""
    seen = list[object]()

    async def work(
        a: int = 7,
        b: str | None = None,
        c: bytes | None = b"c",
        d: Annotated[float, "rate"] = 0.5,
        *,
        e: set[int] | None,
    ) -> Done:
        seen.append((a, b, c, d, e))
        return Step.DONE

    await given_to(work, Resources())
    await given_to(work, Resources(limit=1, name="x", raw=b"y", rate=2.5, e={1}))
    assert seen == [(7, None, b"c", 0.5, None), (1, "x", b"y", 2.5, {1})]


async def test_what_is_inserted_later_is_seen_by_the_next_run() -> None:
    """A workflow is bound to resources once, and again when there are more."""
    seen = list[object]()

    async def work(limit: int | None = None) -> Done:
        seen.append(limit)
        return Step.DONE

    workflow, resources = workflow_of(work), Resources(name="x")
    await workflow.orchestrate(resources=resources)
    resources.insert("most", 3)
    await workflow.orchestrate(resources=resources)
    resources.insert("least", 1)
    with pytest.raises(DefinitionError, match="2 resources are a int: 'most', 'least'"):
        await workflow.orchestrate(resources=resources)
    assert seen == [None, 3]


async def test_protocols_by_isinstance_or_by_name() -> None:
    """RULINGS 3.10: a runtime-checkable Protocol matches what has its members, another one is found by its name."""
    connection, seen = Connection(), list[object]()

    async def work(fetching: Fetching, located: Located, thing: Unchecked) -> Done:
        seen.extend([fetching, located, thing])
        return Step.DONE

    await given_to(work, Resources(db=connection, thing=3))
    assert seen == [connection, connection, 3]
    assert await refusal(work, Resources(db=connection, think=3)) == (
        "work: no resource 'thing'. There are: 'think' (int), 'db' (Connection), 'fails if set up' (Fails)."
    )


async def test_a_protocol_with_attributes_fits_what_is_not_made_yet() -> None:
    """Only an instance is sure to have attributes: one that will be made is taken, and judged when it is there."""
    seen = list[str]()

    async def work(located: Located) -> Done:
        seen.append(located.url)
        return Step.DONE

    await given_to(work, Resources(db=Shared(connected)))
    await given_to(work, Resources(db=PerRun(Connection)))
    assert seen == ["here", "here"]
    with pytest.raises(DefinitionError, match=r"E13 WORK: work: no resource of type Located for 'located'"):
        await given_to(work, Resources(store=Shared(MemoryStore)))


async def test_missing_names_parameter_and_near_misses() -> None:
    """E13, before anything is set up: what is missing, for which parameter, where, what looks like it."""

    async def work(stores: MemoryStore) -> Done:
        raise AssertionError(stores)

    assert await refusal(work, Resources(limit=3, store=Connection())) == (
        "work: no resource of type MemoryStore for 'stores'. "
        "There are: 'store' (Connection), 'limit' (int), 'fails if set up' (Fails)."
    )


async def test_missing_key_and_none_at_all() -> None:
    """E13: a key in the annotation that nobody has; the hint says how to mend it."""

    async def work(db: Annotated[Connection, Key.DB]) -> Done:
        raise AssertionError(db)

    assert (await refusal(work, Resources({Key.CACHE: 1}))).startswith("work: no resource 'Key.DB'. There are: 'Key.CA")
    with pytest.raises(DefinitionError) as caught:
        await given_to(work, Resources())
    assert str(caught.value).endswith("Pass it in Resources(...), or name one with Annotated[T, key].")
    assert "no resource 'Key.DB'. There are no resources at all (tests" in str(caught.value)


async def test_ambiguous_names_the_candidates() -> None:
    """E13: several of the class, and none has the parameter's name; also where the parameter is optional."""

    async def work(db: Connection | None = None) -> Done:
        raise AssertionError(db)

    resources = Resources({"a": Connection(), Key.DB: Replica()})
    assert await refusal(work, resources) == "work: 2 resources are a Connection: 'a', 'Key.DB'. Name one of them."


async def test_mismatch_by_key_and_by_name() -> None:
    """E13: what has the key, or the name and is alone with it, is of another class."""

    async def by_key(a: Annotated[Connection, "db"]) -> Done:
        raise AssertionError(a)

    async def by_name(db: Connection | bytes) -> Done:
        raise AssertionError(db)

    assert await refusal(by_key, Resources(db="x")) == "by_key: resource 'db' is a str, not a Connection"
    assert await refusal(by_name, Resources(db="x")) == "by_name: resource 'db' is a str, not a Connection | bytes"


async def test_all_that_is_missing_is_told_at_once() -> None:
    """One DefinitionError for all states, before the first of them."""

    class Steps(Enum):
        A = auto()
        B = auto()
        DONE = auto()

    workflow = Workflow(Steps, initial=Steps.A, exits=[Steps.DONE])

    @workflow.task(Steps.A)
    async def first(store: MemoryStore) -> Literal[Steps.B]:
        raise AssertionError(store)

    @workflow.batch(Steps.B)
    async def second(item: int, db: Connection) -> int:
        raise AssertionError(db)

    @second.load
    async def load() -> list[int]:
        raise AssertionError

    @second.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Steps.DONE]:
        raise AssertionError(results)

    with pytest.raises(DefinitionError) as caught:
        await workflow.orchestrate(resources=Resources(a=1))
    assert [(problem.code, problem.place) for problem in caught.value.problems] == [("E13", "A"), ("E13", "B")]


async def test_an_unknown_shared_is_looked_at_once_it_is_made() -> None:
    """Where nothing tells the class before, the resources are opened first, and the injection judged then."""
    seen = list[object]()

    async def work(db: Connection) -> Done:
        seen.append(type(db))
        return Step.DONE

    await given_to(work, Resources(other=Shared(lambda: Replica())))  # noqa: PLW0108
    assert seen == [Replica]
    with pytest.raises(DefinitionError, match="E13 WORK: work: resource 'db' is a str, not a Connection"):
        await given_to(work, Resources(db=Shared(lambda: "text")))


async def test_an_unknown_one_per_run_needs_provides() -> None:
    """What is made per run has to tell its class; the message names `provides=`, and nothing is set up."""
    seen = list[object]()

    async def work(db: Connection) -> Done:
        seen.append(type(db))
        return Step.DONE

    assert await refusal(work, Resources(db=PerRun(lambda: Connection()))) == (  # noqa: PLW0108
        "work: resource 'db' is a something of unknown class (see provides=), not a Connection"
    )
    await given_to(work, Resources(db=PerRun(lambda: Replica(), provides=Connection)))  # noqa: PLW0108
    assert seen == [Replica]


class A: ...


class B: ...


class C: ...


CLASSES: tuple[type[Any], ...] = (A, B, C)


@given(
    kinds=st.lists(st.sampled_from(CLASSES), min_size=1, max_size=5),
    made=st.lists(st.sampled_from(["value", "shared", "per run"]), min_size=5, max_size=5),
    wanted=st.data(),
)
async def test_injection_gives_what_was_registered(
    kinds: list[type[Any]], made: list[str], wanted: st.DataObject
) -> None:
    """The law of injection: by type if it is alone of its type, by key else, exactly the object registered."""
    values = [kind() for kind in kinds]
    give = {"value": lambda value: value, "shared": wrap(Shared), "per run": wrap(PerRun)}
    resources = Resources({f"r{at}": give[made[at]](value) for at, value in enumerate(values)})
    chosen = wanted.draw(st.lists(st.sampled_from(range(len(values))), unique=True))
    seen: dict[str, object] = {}

    async def work(**found: Any) -> Done:
        seen.update(found)
        return Step.DONE

    async def call(p0: Any, p1: Any, p2: Any, p3: Any, p4: Any) -> Done:
        return await work(p0=p0, p1=p1, p2=p2, p3=p3, p4=p4)

    call.__annotations__ = {f"p{at}": int | None for at in range(5)} | {"return": Done}
    for at in chosen:
        alone = kinds.count(kinds[at]) == 1
        call.__annotations__[f"p{at}"] = kinds[at] if alone else Annotated[kinds[at], f"r{at}"]
    await given_to(call, resources)
    assert {name: value for name, value in seen.items() if value is not None}.keys() == {f"p{at}" for at in chosen}
    assert all(seen[f"p{at}"] is values[at] for at in chosen)


def wrap(kind: type[Shared | PerRun]) -> Callable[[Any], Shared | PerRun]:
    return lambda value: kind(lambda: value, provides=type(value))


@pytest.mark.parametrize("method", ["run", "orchestrate"])
async def test_a_run_given_a_dict_for_resources(method: str) -> None:
    """What is no Resources is refused before anything runs, with what to write instead."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    with pytest.raises(DefinitionError) as caught:
        await getattr(workflow, method)(resources={"connection": Connection()})
    assert str(caught.value) == "E03 workflow: resources is of type dict. Pass Resources({...})."
