"""Resources as a map: putting in, finding by key and by type, and what is said when nothing is found."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, StrEnum, auto
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cano_trio import (
    CanoError,
    MemoryStore,
    PerRun,
    ResourceAmbiguous,
    ResourceDuplicateKey,
    ResourceError,
    ResourceNotFound,
    ResourceNotOpen,
    Resources,
    ResourceTypeMismatch,
    Shared,
)


class Key(Enum):
    DB = auto()
    CACHE = auto()


class Named(StrEnum):
    DB = "db"


class Connection:
    pass


class Replica(Connection):
    pass


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    yield Connection()


async def fetched() -> Connection:
    return Connection()


async def undecorated() -> AsyncIterator[Connection]:
    yield Connection()


def test_keys_are_strings_and_enum_members_in_order() -> None:
    """A mapping and names may be mixed; iteration gives the keys in the order of set-up."""
    resources = Resources({Key.DB: 1, "with space": 2}, name=3)
    resources.insert(Key.CACHE, 4)
    assert [*resources] == [Key.DB, "with space", "name", Key.CACHE]
    assert len(resources) == 4
    assert Key.DB in resources
    assert "DB" not in resources
    assert [resources.value(key) for key in resources] == [1, 2, 3, 4]


def test_any_name_is_free_for_a_resource() -> None:
    """Not even `self` and `resources`, the parameters of the constructor, are taken."""
    resources = Resources(self=1, resources=2)
    assert (resources.value("self"), resources.value("resources")) == (1, 2)


def test_repr_shows_keys_and_classes() -> None:
    """Each key with its class, one made per run marked as such, and one that nobody can know."""
    resources = Resources({Key.DB: Shared(connected)}, store=PerRun(MemoryStore), x=Shared(lambda: 1))
    assert repr(resources) == (
        "<Resources Key.DB: Connection, store: MemoryStore per run, x: something of unknown class (see provides=)>"
    )
    assert repr(Resources()) == "<Resources>"


@pytest.mark.parametrize("key", ["db", Key.DB])
def test_a_key_is_taken_once(key: str | Key) -> None:
    """RES-1: a duplicate key is refused; what was there stays."""
    resources = Resources({key: 1})
    with pytest.raises(ResourceDuplicateKey) as caught:
        resources.insert(key, 2)
    name = "db" if key == "db" else "Key.DB"
    assert caught.value.key == name
    assert str(caught.value) == f"there already is a resource {name!r}. Give the second one another key."
    assert isinstance(caught.value, (ValueError, ResourceError))
    assert resources.value(key) == 1


def test_a_name_may_not_repeat_a_key_of_the_mapping() -> None:
    """RES-1: the constructor refuses duplicates like insert does, also of a member that is a string."""
    with pytest.raises(ResourceDuplicateKey):
        Resources({"db": 1}, db=2)
    with pytest.raises(ResourceDuplicateKey, match=r"'db'"):
        Resources({Named.DB: 1}, db=2)


def test_a_string_enum_is_called_by_its_name_and_found_by_its_value() -> None:
    """A member of a StrEnum reads as `Named.DB` in messages, and equals its string."""
    resources = Resources({Named.DB: 1})
    assert repr(resources) == "<Resources Named.DB: int>"
    assert resources.value("db") == 1


@pytest.mark.parametrize("key", [3, None, ("a", "b"), Connection])
def test_other_keys_are_refused(key: Any) -> None:
    """Neither numbers nor types are keys, and the message says what is."""
    with pytest.raises(TypeError, match=r"Use a string or a member of an Enum\."):
        Resources({key: 1})


@pytest.mark.parametrize(
    "make",
    [lambda: connected, connected, lambda: undecorated, undecorated, fetched],
    ids=["c", "c()", "u", "u()", "f()"],
)
def test_unopened_context_managers_are_refused(make: Callable[[], Any]) -> None:
    """What would never be entered or awaited is no resource: the message names `Shared`."""
    with pytest.raises(TypeError, match=r"resource 'db' is .*Write Shared\(function\)"):
        Resources(db=make())


def test_ordinary_functions_and_classes_are_values() -> None:
    """A resource may be a function or a class; nobody calls it."""
    resources = Resources(function=len, kind=Connection, asynchronous=fetched)
    assert resources.value("function") is len
    assert resources.value("kind") is Connection
    assert resources.value("asynchronous") is fetched


def test_the_same_object_every_time() -> None:
    """RES-2: get and value hand out the very object that was put in."""
    connection = Connection()
    resources = Resources({Key.DB: connection}, name="x")
    assert resources.get(Connection) is resources.get(Connection) is connection
    assert resources.get(Connection, Key.DB) is resources.value(Key.DB) is connection


def test_a_subclass_satisfies() -> None:
    """RES-2, changed: by isinstance, so a resource is found by its base class; not by a class derived from its own."""
    replica = Replica()
    resources = Resources(replica=replica)
    assert resources.get(Connection) is resources.get(Connection, "replica") is replica
    with pytest.raises(ResourceNotFound):
        Resources(connection=Connection()).get(Replica)


def test_missing_key_lists_what_there_is_nearest_first() -> None:
    """RES-2: the error for a missing key names near misses first, then everything else, with classes."""
    resources = Resources({Key.DB: Connection()}, limit=3, stores=MemoryStore())
    asks: list[Callable[[], object]] = [lambda: resources.value("store"), lambda: resources.get(MemoryStore, "store")]
    for ask in asks:
        with pytest.raises(ResourceNotFound) as caught:
            ask()
        assert str(caught.value) == (
            "no resource 'store'. There are: 'stores' (MemoryStore), 'Key.DB' (Connection), 'limit' (int)."
        )
        assert caught.value.near == ("'stores' (MemoryStore)", "'Key.DB' (Connection)", "'limit' (int)")
        assert isinstance(caught.value, (LookupError, CanoError))


def test_missing_type_lists_what_there_is() -> None:
    """RES-2: asked for a class that nothing is of; and an empty map says that it is empty."""
    with pytest.raises(ResourceNotFound, match=r"^no resource of type Replica\. There are: 'limit' \(int\)\.$"):
        Resources(limit=3).get(Replica)
    with pytest.raises(ResourceNotFound, match=r"^no resource 'db'\. There are no resources at all\.$"):
        Resources().value("db")
    with pytest.raises(ResourceNotFound, match=r"^no resource 'Key\.CACHE'\. There are: 'Key\.DB' \(int\)\.$"):
        Resources({Key.DB: 1}).value(Key.CACHE)


def test_another_type_under_the_key() -> None:
    """RES-2: the resource of that key is of another class."""
    with pytest.raises(ResourceTypeMismatch, match=r"^resource 'Key\.DB' is a str, not a Connection$") as caught:
        Resources({Key.DB: "x"}).get(Connection, Key.DB)
    assert (caught.value.key, caught.value.wanted, caught.value.found) == ("Key.DB", "Connection", "str")
    assert isinstance(caught.value, TypeError)


def test_several_of_a_type_need_a_key() -> None:
    """Two of a class are ambiguous, the message names both; a key decides."""
    first, second = Connection(), Replica()
    resources = Resources({Key.DB: first}, replica=second)
    with pytest.raises(ResourceAmbiguous) as caught:
        resources.get(Connection)
    assert str(caught.value) == "2 resources are a Connection: 'Key.DB', 'replica'. Name one of them."
    assert caught.value.found == ("'Key.DB'", "'replica'")
    assert resources.get(Connection, "replica") is second
    assert resources.get(Replica) is second


def test_what_is_made_is_there_only_while_open() -> None:
    """A `Shared` and a `PerRun` are known by key and by class, but have no value before they are opened."""
    resources = Resources(db=Shared(connected), store=PerRun(MemoryStore))
    asks: list[Callable[[], object]] = [
        lambda: resources.get(Connection),
        lambda: resources.value("db"),
        lambda: resources.get(MemoryStore),
    ]
    for ask in asks:
        with pytest.raises(ResourceNotOpen, match=r"is not open\. Use it in a task, or inside `async with resources:`"):
            ask()
    with pytest.raises(ResourceTypeMismatch, match="resource 'db' is a Connection, not a MemoryStore"):
        resources.get(MemoryStore, "db")


async def test_insert_while_open_comes_too_late() -> None:
    """What would never be set up is refused while the others are open, and taken before and after."""
    resources = Resources(a=1)
    async with resources:
        with pytest.raises(ResourceError, match="resource 'b' comes too late: the others are open"):
            resources.insert("b", 2)
        assert "b" not in resources
    resources.insert("b", 2)
    assert [*resources] == ["a", "b"]


CLASSES: tuple[type[Any], ...] = tuple(type(name, (), {}) for name in ("Alpha", "Beta", "Gamma", "Delta"))


@given(st.lists(st.sampled_from(CLASSES), max_size=8))
def test_by_type_if_alone_and_by_key_always(kinds: list[type[Any]]) -> None:
    """RES-2 as a law: the one object of a class is found by it, any object by its key, several by key only."""
    values = [kind() for kind in kinds]
    resources = Resources({f"r{at}": value for at, value in enumerate(values)})
    for at, value in enumerate(values):
        assert resources.get(kinds[at], f"r{at}") is resources.value(f"r{at}") is value
    for kind in CLASSES:
        of_kind = [value for value in values if isinstance(value, kind)]
        found: object = None
        with contextlib.suppress(ResourceNotFound, ResourceAmbiguous):
            found = resources.get(kind)
        assert found is (of_kind[0] if len(of_kind) == 1 else None)
