"""A dict with types, for the tasks of a run to hand values on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar, final

from .._errors import KeyNotFound, StoreTypeMismatch

T = TypeVar("T")


@final
class MemoryStore:
    """Values by key, asked for with their type; lives as long as the process and is not rolled back (cano MEM-6).

    For what one run's tasks hand to each other, per-run data (``Workflow(data=...)``) are the safer place: each attempt
    works on a copy of its own, and they are committed with the state. Shared by concurrent runs, unless `PerRun`. A journal
    keeps nothing of it, so a workflow whose tasks take one is refused under a journal.

    Args:
        volatile_ok: allow it under a journal: it holds only what may be empty after a crash, such as a cache.

    >>> from cano_trio import MemoryStore
    >>> store = MemoryStore()
    >>> store.put("rows", 3)
    >>> store.append("log", "begun")
    >>> store.get("rows", int), store.get("log", list)
    (3, ['begun'])
    """

    __slots__ = ("_values", "volatile_ok")

    def __init__(self, *, volatile_ok: bool = False) -> None:
        self.volatile_ok: bool = volatile_ok
        """It is allowed under a journal."""
        self._values: dict[str, Any] = {}

    def put(self, key: str, value: object) -> None:
        """Store a value, in place of any earlier one, whatever its type (cano MEM-3)."""
        self._values[key] = value

    def get(self, key: str, type_: type[T]) -> T:
        """The value itself, not a copy.

        Args:
            key: its key.
            type_: its class, or one of its base classes; ``object`` takes any.

        Raises:
            KeyNotFound: there is none (cano MEM-2).
            StoreTypeMismatch: it is of another class.
        """
        if key not in self._values:
            raise KeyNotFound(key, get_close_matches(key, self._values))
        value = self._values[key]
        if not isinstance(value, type_) or (isinstance(value, bool) and type_ in {int, float}):
            raise StoreTypeMismatch(key, type_.__name__, type(value).__name__)
        return value

    def get_copy(self, key: str, type_: type[T]) -> T:
        """A deep copy of the value; arguments and errors as `get`'s."""
        return copy.deepcopy(self.get(key, type_))

    def append(self, key: str, item: object) -> None:
        """Add an item to the list under a key, which is made if there is none.

        A list that somebody got earlier does not change: the longer one is a new object (cano MEM-4).

        Raises:
            StoreTypeMismatch: the value there is no list; it stays as it is.
        """
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise StoreTypeMismatch(key, "list", type(value).__name__)
        self._values[key] = [*value, item]  # pyright: ignore[reportUnknownVariableType]

    def remove(self, key: str) -> None:
        """Forget a value; nothing happens if there is none (cano MEM-5)."""
        self._values.pop(key, None)

    def keys(self) -> tuple[str, ...]:
        """All keys, oldest first."""
        return tuple(self._values)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

    def __iter__(self) -> Iterator[str]:
        """All keys, oldest first."""
        return iter(self._values)

    def __contains__(self, key: object) -> bool:
        """Whether there is a value under that key."""
        return key in self._values

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._values)

    def __repr__(self) -> str:
        """Its keys."""
        return f"<MemoryStore {', '.join(self._values) or 'empty'}>"
