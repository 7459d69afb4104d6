"""Where two values differ, field by field: types need not define `__eq__`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs
import msgspec

_ATOMS = (str, bytes, int, bool, type(None))


def difference(one: Any, other: Any, path: str) -> str | None:
    """The path of the first place where two values differ, or None.

    >>> difference({"a": [1, 2]}, {"a": [1, 3]}, "order")
    "order['a'][1]"
    >>> difference(float("nan"), float("nan"), "x")
    'x'
    """
    if one is other and not isinstance(one, float):
        # Only leaves may be skipped: a container that is the same object on both sides may hold a NaN, and is never met.
        return None
    if type(one) is not type(other) and not (isinstance(one, float | int) and isinstance(other, float)):
        return path  # PEP 484: an int stands for a float; JSON gives it back as one
    if isinstance(one, float) and not math.isfinite(one):
        return path
    if isinstance(one, (*_ATOMS, float)):
        return None if one == other else path
    mine, theirs = fields_of(one), fields_of(other)
    if mine is None or theirs is None:
        return None if _equal(one, other) else path
    return _first_difference(dict(mine), dict(theirs), path)


def _equal(one: Any, other: Any) -> bool:
    """Whether two leaves are equal: not, if their ``==`` can't tell, as that of arrays, which compares by element."""
    try:
        return bool(one == other)
    except Exception:  # a user's own __eq__, or the __bool__ of what it gives
        return False


def _first_difference(mine: dict[str, Any], theirs: dict[str, Any], path: str) -> str | None:
    for name in mine.keys() | theirs.keys():
        if name not in mine or name not in theirs:
            return f"{path}{name}"
    return next(filter(None, (difference(mine[name], theirs[name], f"{path}{name}") for name in mine)), None)


def left_out(whole: Any, part: Any, path: str) -> str | None:
    """The path of the first entry of some JSON that other JSON has not, or None; what the other has besides does not count.

    >>> left_out({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}], "d": 3}, "order")
    'order.a[0].c'
    """
    if isinstance(whole, dict) and isinstance(part, dict):
        missing = (f"{path}.{name}" for name in whole if name not in part)
        deeper = (left_out(value, part[name], f"{path}.{name}") for name, value in whole.items() if name in part)
        return next(missing, None) or next(filter(None, deeper), None)
    if isinstance(whole, list) and isinstance(part, list):
        return next(filter(None, (_left_out_of_all(item, part, at, path) for at, item in enumerate(whole))), None)
    return None


def _left_out_of_all(item: Any, part: list[Any], at: int, path: str) -> str | None:
    """What none of a list's items has: those of a set come in any order."""
    where = f"{path}[{at}]"
    found = left_out(item, part[at], where) if at < len(part) else None
    return None if found is None or any(left_out(item, other, where) is None for other in part) else found


def not_finite(value: Any, path: str) -> str | None:
    """The path of the first float that is NaN or infinite, or None.

    >>> not_finite({"a": [1.5, float("inf")]}, "x")
    "x['a'][1]"
    """
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    return next(filter(None, (not_finite(part, f"{path}{name}") for name, part in fields_of(value) or ())), None)


def _compares_by_identity(type_: Any) -> bool:
    return type_.__eq__ is object.__eq__


def fields_of(value: Any) -> Iterator[tuple[str, Any]] | None:
    """The parts of a value, each with how it is reached (``.price``, ``[3]``); None for a leaf."""
    if isinstance(value, msgspec.Struct):
        return ((f".{name}", getattr(value, name, None)) for name in value.__struct_fields__)
    if attrs.has(type(value)):
        return ((f".{field.name}", getattr(value, field.name, None)) for field in attrs.fields(type(value)))
    if dataclasses.is_dataclass(value):
        return ((f".{field.name}", getattr(value, field.name, None)) for field in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return ((f"[{key!r}]", part) for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return ((f"[{index}]", part) for index, part in enumerate(value))
    if isinstance(value, AbstractSet):
        return None
    own = getattr(value, "__dict__", None)
    if own and _compares_by_identity(type(value)):
        return ((f".{name}", part) for name, part in own.items())
    return None
