"""What the type parameters of a class's bases stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

Arguments = Mapping[Any, Any]


def type_arguments(cls: type) -> dict[type, Arguments]:
    """For each generic class that a class derives from, its type parameters with what they stand for.

    >>> from typing import Generic
    >>> T = TypeVar("T")
    >>> class Base(Generic[T]): ...
    >>> class Lists(Base[list[T]]): ...
    >>> class Numbers(Lists[int]): ...
    >>> type_arguments(Numbers)[Base]
    {~T: list[int]}
    """
    found: dict[type, Arguments] = {}
    for derived in cls.__mro__:
        own = found.get(derived, {})
        for base in vars(derived).get("__orig_bases__", ()):
            origin = get_origin(base)
            parameters = getattr(origin, "__parameters__", ())
            if isinstance(origin, type) and parameters:
                given = [filled(argument, own) for argument in get_args(base)]
                found.setdefault(origin, dict(zip(parameters, given, strict=False)))
    return found


def filled(hint: Any, arguments: Arguments) -> Any:
    """A hint with its type variables replaced by what they stand for, where that is known."""
    if isinstance(hint, TypeVar):
        return arguments.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if isinstance(hint, type) or not any(parameter in arguments for parameter in parameters):
        return hint
    return hint[tuple(arguments.get(parameter, parameter) for parameter in parameters)]
