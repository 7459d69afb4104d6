"""The defaults of fields that JSON did not have: msgspec leaves those of dataclasses to the class, and does not write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from .difference import fields_of

T = TypeVar("T")

_LEAVES = (str, bytes, int, float, type(None))


def completed(value: T) -> T:
    """Give the dataclasses in a value that was read from JSON their defaults, to be written like what was given.

    >>> import msgspec
    >>> @dataclasses.dataclass
    ... class Order:
    ...     item: str
    ...     pieces: int = 1
    >>> read = msgspec.json.decode(b'{"item":"tea"}', type=Order)
    >>> msgspec.json.encode(read), msgspec.json.encode(completed(read))
    (b'{"item":"tea"}', b'{"item":"tea","pieces":1}')
    """
    _complete(value, set())
    return value


def _complete(value: Any, seen: set[int]) -> None:
    if isinstance(value, _LEAVES) or id(value) in seen:
        return
    seen.add(id(value))
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                object.__setattr__(value, field.name, getattr(value, field.name))  # it may be frozen
    for part in _parts(value):
        _complete(part, seen)


def _parts(value: Any) -> Iterable[Any]:
    return value if isinstance(value, AbstractSet) else (part for _, part in fields_of(value) or ())
