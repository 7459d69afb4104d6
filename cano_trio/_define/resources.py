"""What tasks work with: connections, stores, clients, found by type or by key."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncContextDecorator
from difflib import get_close_matches
from enum import Enum
from typing import Annotated, Any, Self, TypeAlias, TypeVar, final, get_args, get_origin

from msgspec import Struct
from typing_extensions import override

from .._errors import (
    DefinitionError,
    ResourceAmbiguous,
    ResourceDuplicateKey,
    ResourceNotFound,
    ResourceNotOpen,
    ResourceTypeMismatch,
)
from .health import HealthStatus
from .hints import Scope, resolve_hints
from .site import Site

T = TypeVar("T")

Key: TypeAlias = str | Enum


class Resource:
    """A resource with a life of its own; a base class for convenience.

    Any object will do as a resource, and each of these methods it has is called if it is async.

    >>> import trio
    >>> from cano_trio import Resource, Resources
    >>> class Connection(Resource):
    ...     async def setup(self) -> None:
    ...         print("connected")
    ...     async def teardown(self) -> None:
    ...         print("closed")
    >>> async def main():
    ...     async with Resources(connection=Connection()):
    ...         print("at work")
    >>> trio.run(main)
    connected
    at work
    closed
    """

    async def setup(self) -> None:
        """Make it ready; called once before the first run that uses it."""

    async def teardown(self) -> None:
        """Let go of everything; called once after the last run, shielded from cancellation but bounded in time."""

    async def health(self) -> HealthStatus:
        """How it is; only `Resources.check_all_health` and `Resources.aggregate_health` ask (cano RES-9)."""
        return HealthStatus.healthy()


class Made:
    """A resource that is made when it is needed; see `Shared` and `PerRun`."""

    __slots__ = ("class_", "factory")

    def __init__(self, factory: Callable[[], object], *, provides: type | None = None) -> None:
        if is_unopened(factory) or not callable(factory) or _is_no_factory(factory):
            raise DefinitionError.one(
                "E13", "resources", f"{type(self).__name__} got {factory!r}", site=str(Site.here()),
                hint="Pass a class, a plain function, or an @asynccontextmanager function; all without arguments.",
            )  # fmt: skip
        self.factory: Callable[[], object] = factory
        self.class_: type | None = provides or _made_by(factory)
        """The class of what it will make, as far as that is known before."""

    def __repr__(self) -> str:
        """Its factory."""
        return f"{type(self).__name__}({self.factory!r})"


@final
class Shared(Made):
    """A resource made once and used by all runs: opened with the resources, closed with them.

    Args:
        factory: called without arguments. An async context manager that it returns is entered, and what that gives is
            the resource; a value with an async ``setup`` is set up.
        provides: the class of the resource, where neither the factory nor its return annotation tells.

    >>> from contextlib import asynccontextmanager
    >>> import trio
    >>> from cano_trio import Resources, Shared
    >>> @asynccontextmanager
    ... async def numbers():
    ...     yield [1, 2, 3]
    >>> async def main():
    ...     async with Resources(numbers=Shared(numbers)) as resources:
    ...         return resources.get(list, "numbers")
    >>> trio.run(main)
    [1, 2, 3]
    """


@final
class PerRun(Made):
    """A resource made anew for every run, and closed with it.

    Args:
        factory: as for `Shared`.
        provides: as for `Shared`.

    >>> from cano_trio import MemoryStore, PerRun, Resources
    >>> Resources(store=PerRun(MemoryStore))
    <Resources store: MemoryStore per run>
    """


@final
class Entry(Struct, eq=False):
    """A resource under its key.

    Args:
        key: its key.
        given: what was handed in.
        value: what tasks get; not there yet (`CLOSED`) for one that is to be made.
        class_: its class; None if that is not known before it is made.
        changing: it is being set up or torn down.
    """

    key: Key
    given: object
    value: object
    class_: type | None
    changing: bool = False

    @classmethod
    def of(cls, key: Key, given: object) -> Entry:
        """The entry for what was handed in."""
        if isinstance(given, Made):
            return cls(key, given, CLOSED, given.class_)
        return cls(key, given, given, type(given))

    @property
    def label(self) -> str:
        """Its key as text."""
        return _text(self.key)

    @property
    def kind(self) -> str:
        """Its class as text."""
        class_ = self.class_ if self.value is CLOSED else type(self.value)
        return "something of unknown class (see provides=)" if class_ is None else class_.__name__

    @property
    def lives(self) -> bool:
        """It has to be made, set up or torn down."""
        return isinstance(self.given, Made) or is_async(self.given, "setup") or is_async(self.given, "teardown")

    def fits(self, wanted: tuple[type, ...] | None) -> bool:
        """Whether it is of one of these classes, as far as is known."""
        if wanted is None:
            return True
        if self.value is not CLOSED:
            return isinstance(self.value, wanted)
        return self.class_ is not None and any(_may_be(self.class_, type_) for type_ in wanted)

    def get(self) -> Any:
        """Its value.

        Raises:
            ResourceNotOpen: it has not been made.
        """
        if self.value is CLOSED:
            raise ResourceNotOpen(self.label)
        return self.value


CLOSED = object()
"""The value of a resource that is not made yet."""


class ResourceMap:
    """Resources by key. `Resources` adds how they are opened and closed."""

    def __init__(self, resources: Mapping[Any, object] | None = None, /, **named: object) -> None:
        self._entries: dict[Key, Entry] = {}
        for key, value in (resources or {}).items():
            self.insert(key, value)
        for name, value in named.items():
            self.insert(name, value)

    def insert(self, key: Key, resource: object) -> None:
        """Add a resource.

        Args:
            key: a string or a member of an Enum.
            resource: any object, a `Shared` or a `PerRun`.

        Raises:
            ResourceDuplicateKey: the key is taken (cano RES-1).
            TypeError: the key is neither a string nor an Enum member, or the resource is an async context manager
                function that was called, or not called.
        """
        if not isinstance(key, (str, Enum)):
            raise TypeError(f"the key of a resource is {key!r}. Use a string or a member of an Enum.")
        if key in self._entries:
            raise ResourceDuplicateKey(_text(key))
        if is_unopened(resource) or isinstance(resource, AsyncContextDecorator) or _yields(resource):
            raise TypeError(
                f"resource {_text(key)!r} is {resource!r}. Write Shared(function) to open it with the others."
            )
        self._entries[key] = Entry.of(key, resource)

    def get(self, type_: type[T], key: Key | None = None, /) -> T:
        """The one resource of a type; always the same object (cano RES-2).

        Args:
            type_: its class, or one of its base classes.
            key: its key, needed where several are of that type.

        Raises:
            ResourceNotFound: there is none.
            ResourceTypeMismatch: the resource of that key is of another type.
            ResourceAmbiguous: there are several and no key was given.
            ResourceNotOpen: it is a `Shared` or `PerRun` that has not been opened.

        >>> from cano_trio import Resources
        >>> resources = Resources(limit=3, name="census")
        >>> resources.get(int), resources.get(str, "name")
        (3, 'census')
        """
        found: T = self.find((type_,), "", key).get()
        return found

    def value(self, key: Key, /) -> object:
        """The resource of a key, whatever its type.

        Raises:
            ResourceNotFound: there is none.
            ResourceNotOpen: it is a `Shared` or `PerRun` that has not been opened.
        """
        return self._of_key(key, None).get()

    def find(self, types: tuple[type, ...] | None, name: str, key: Key | None) -> Entry:
        """The entry that an injected parameter means.

        Args:
            types: the classes it may be of; None if only the name can tell.
            name: the parameter's name, which decides between several.
            key: the key written in its annotation.

        Raises:
            ResourceNotFound: there is none.
            ResourceTypeMismatch: the resource of that key, or of that name, is of another type.
            ResourceAmbiguous: several fit.
        """
        if key is not None:
            return self._of_key(key, types)
        named = self._entries.get(name)
        if named is not None and named.fits(types):
            return named
        if types is None:
            raise self._missing(repr(name), name)
        fitting = [entry for entry in self._entries.values() if entry.fits(types)]
        wanted = " | ".join(type_.__name__ for type_ in types)
        if len(fitting) > 1:
            raise ResourceAmbiguous(wanted, [repr(entry.label) for entry in fitting])
        if fitting:
            return fitting[0]
        if named is not None:
            raise ResourceTypeMismatch(name, wanted, named.kind)
        raise self._missing(f"of type {wanted}" + (f" for {name!r}" if name else ""), name or wanted)

    def _of_key(self, key: Key, types: tuple[type, ...] | None) -> Entry:
        entry = self._entries.get(key)
        if entry is None:
            raise self._missing(repr(_text(key)), _text(key))
        if not entry.fits(types):
            raise ResourceTypeMismatch(entry.label, " | ".join(type_.__name__ for type_ in types or ()), entry.kind)
        return entry

    def _missing(self, wanted: str, like: str) -> ResourceNotFound:
        there = {entry.label: f"{entry.label!r} ({entry.kind})" for entry in self._entries.values()}
        near = dict.fromkeys([*get_close_matches(like, there), *there])
        return ResourceNotFound(wanted, [there[label] for label in near])

    @property
    def undecided(self) -> bool:
        """What one of them is will only be known when they are opened."""
        return any(
            isinstance(entry.given, Shared) and entry.class_ is None and entry.value is CLOSED
            for entry in self._entries.values()
        )

    def __contains__(self, key: object) -> bool:
        """Whether there is a resource of that key."""
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        """The keys, in the order of their set-up."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)

    def __repr__(self) -> str:
        """Each key with its class."""
        shown = [
            f"{entry.label}: {entry.kind}{' per run' if isinstance(entry.given, PerRun) else ''}"
            for entry in self._entries.values()
        ]
        return f"<{' '.join([type(self).__name__, ', '.join(shown)]).rstrip()}>"


@final
class Elsewhere(ResourceMap):
    """The resources of other processes, which carry runs out: whatever is asked for is there, and of no use here."""

    def __init__(self) -> None:
        super().__init__()
        self.programs: dict[Any, Any] = {}
        """As those of `Resources`."""
        self.per_run = False

    @override
    def find(self, types: tuple[type, ...] | None, name: str, key: Key | None) -> Entry:
        return Entry(name if key is None else key, None, CLOSED, None)


def is_async(value: object, method: str) -> bool:
    """Whether an object has an async method of that name."""
    return inspect.iscoroutinefunction(getattr(type(value), method, None))


def is_unopened(value: object) -> bool:
    """Whether an async function or generator was called, and nobody has awaited it."""
    if inspect.iscoroutine(value):
        value.close()  # else Python warns, somewhere else, that it was never awaited
        return True
    return inspect.isasyncgen(value)


def _text(key: Key) -> str:
    return f"{type(key).__name__}.{key.name}" if isinstance(key, Enum) else key


def _is_no_factory(function: Callable[..., object]) -> bool:
    """Whether calling it does not give a value or a context manager: async, undecorated, or called already."""
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or isinstance(function, AsyncContextDecorator)
    )


def _yields(resource: object) -> bool:
    """Whether it is a context manager function, which `Shared` would open."""
    return inspect.isfunction(resource) and inspect.isasyncgenfunction(inspect.unwrap(resource))


def _may_be(class_: type, wanted: type) -> bool:
    try:
        return issubclass(class_, wanted)
    except TypeError:  # a protocol with attributes, which only an instance is sure to have: judged when it is made
        return True


def _made_by(factory: Callable[..., object]) -> type | None:
    """The class of what a factory makes, as far as it is one or is annotated."""
    if isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        enter = getattr(factory, "__aenter__", None)
        return factory if enter is None else _class_of(_returned(enter), factory)
    hint = _returned(inspect.unwrap(factory))
    origin: Any = get_origin(hint)
    if isinstance(origin, type) and (issubclass(origin, AsyncIterator) or hasattr(origin, "__aenter__")):
        hint = get_args(hint)[0]
    elif isinstance(hint, type) and hasattr(hint, "__aenter__"):  # it is entered
        return _made_by(hint)
    return _class_of(hint, None)


def _returned(function: Callable[..., object]) -> Any:
    return resolve_hints(function, Scope.capture(function))[0].get("return")


def _class_of(hint: Any, self: type | None) -> type | None:
    if get_origin(hint) is Annotated:
        return _class_of(get_args(hint)[0], self)
    if hint is Self or isinstance(hint, TypeVar):  # `__aenter__` of a class gives itself
        return self
    found = get_origin(hint) or hint
    return found if isinstance(found, type) and found not in {object, type(None)} else None
