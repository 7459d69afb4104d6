"""What a factory makes, as far as that is known before; and what is no factory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum, auto
from functools import partial
from typing import Annotated, Any, Literal, Self

import pytest

from cano_trio import DefinitionError, PerRun, Resource, ResourceError, Resources, Shared, Workflow


class Step(Enum):
    WORK = auto()
    DONE = auto()


Done = Literal[Step.DONE]


def session() -> Session:
    return Session()


def pool() -> Pool:
    return Pool()


def managed() -> AbstractAsyncContextManager[Connection]:
    return Pool()


def listed(length: int) -> Annotated[list[int], "rows"]:
    return [0] * length


def untold():  # type: ignore[no-untyped-def]  # noqa: ANN201
    return Connection()


def quoted() -> NotThere:  # type: ignore[name-defined]  # noqa: F821
    return Connection()


def nothing() -> None:
    pass


class Unannotated(Session):
    async def __aenter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        return self


@pytest.mark.parametrize(
    "factory,shown",
    [
        (Connection, "Connection"),
        (partial(Connection), "Connection"),
        (connected, "Connection"),
        (Session, "Session"),
        (Pool, "Connection"),
        (session, "Session"),
        (pool, "Connection"),
        (managed, "Connection"),
        (partial(listed, 3), "list"),
        (partial(partial(dict), a=1), "dict"),
        (untold, None),
        (quoted, None),
        (nothing, None),
        (Unannotated, None),
        (lambda: 1, None),
    ],
    ids=str,
)
def test_what_a_factory_makes_is_known_before(factory: Callable[[], object], shown: str | None) -> None:
    """A class makes itself, unless entering it gives another; a function what its annotation says; else unknown."""
    text = shown or "something of unknown class (see provides=)"
    assert repr(Resources(a=Shared(factory))) == f"<Resources a: {text}>"
    assert repr(Resources(a=PerRun(factory, provides=bytes))) == "<Resources a: bytes per run>"


def test_a_factory_of_the_same_function_as_its_class() -> None:
    """String annotations with a class that only the enclosing function knows are read all the same."""

    class Local:
        async def __aenter__(self) -> Inner:
            return Inner()

        async def __aexit__(self, *_: object) -> None:
            pass

    class Inner:
        pass

    @asynccontextmanager
    async def local() -> AsyncIterator[Inner]:
        yield Inner()

    assert repr(Resources(a=PerRun(local), b=Shared(Local))) == "<Resources a: Inner per run, b: Inner>"


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


@asynccontextmanager
async def opened() -> AsyncIterator[int]:
    yield 1


async def coroutine() -> int:
    return 1


async def generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("kind", [Shared, PerRun])
@pytest.mark.parametrize(
    "make",
    [lambda: 3, lambda: coroutine, coroutine, lambda: generator, generator, opened],
    ids=["value", "coroutine", "coroutine()", "generator", "generator()", "opened()"],
)
def test_no_factory(kind: type[Shared | PerRun], make: Callable[[], Any]) -> None:
    """E13 at once: a value, an async function, one without @asynccontextmanager, one that was called already."""
    with pytest.raises(
        DefinitionError, match=rf"E13 resources: {kind.__name__} got .*test_injection\.py:\d+\)\. Pass a"
    ):
        kind(make())


