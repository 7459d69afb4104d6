"""What a factory makes, as far as that is known before; and what is no factory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Annotated, Any, Self

import pytest

from cano_trio import DefinitionError, PerRun, ResourceError, Resources, Shared


class Connection:
    pass


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    yield Connection()


class Session:
    """A context manager that gives itself, or something else."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Pool(Session):
    async def __aenter__(self) -> Connection:  # type: ignore[override]
        return Connection()


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


def anything() -> Any:
    raise NotImplementedError


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
            raise NotImplementedError

        async def __aexit__(self, *_: object) -> None:
            pass

    class Inner:
        pass

    @asynccontextmanager
    async def local() -> AsyncIterator[Inner]:
        yield anything()

    assert repr(Resources(a=PerRun(local), b=Shared(Local))) == "<Resources a: Inner per run, b: Inner>"


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
        DefinitionError, match=rf"E13 resources: {kind.__name__} got .*test_factories\.py:\d+\)\. Pass a"
    ):
        kind(make())


@pytest.mark.parametrize("make", [coroutine, generator])
async def test_a_factory_that_gives_what_nobody_awaits(make: Callable[[], object]) -> None:
    """What a lambda hides is found when it is called: an error of the set-up, and no warning later."""
    with pytest.raises(ResourceError, match=r"^the factory of resource 'a' returned <.*>, which nobody awaits$"):
        async with Resources(a=Shared(lambda: make())):  # noqa: PLW0108
            raise AssertionError


def test_repr_shows_the_factory() -> None:
    """What was handed in, for debugging."""
    assert (repr(Shared(Connection)), repr(PerRun(dict))) == (f"Shared({Connection!r})", f"PerRun({dict!r})")
