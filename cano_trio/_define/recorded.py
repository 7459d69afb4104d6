"""As what types values are written down, and what is to be said of those that can't be."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, Never, NoReturn, Union, get_args, get_origin

from .._errors import Problem
from .._journal.codec import unencodable_part
from .compatible import bare
from .edges import members
from .method import Method, is_any

_TELL_NOTHING = (object, Never, NoReturn)
"""Annotations that name no type which a value could be read back as."""


def recorded_type(*hints: Any) -> Any:
    """The type that values are written down as: of several hints the first that tells one, and `Any` where none does.

    A member of an Enum has no literal in JSON, so it is written down as one of its Enum.

    >>> Step = Enum("Step", "WORK DONE")
    >>> recorded_type(object, int), recorded_type(Literal[Step.DONE], int), recorded_type(Any)
    (<class 'int'>, <enum 'Step'>, typing.Any)
    """
    told = (hint for hint in hints if not is_any(hint) and all(bare(hint) is not nothing for nothing in _TELL_NOTHING))
    return next((_without_enum_literals(hint) for hint in told), Any)


def _without_enum_literals(hint: Any) -> Any:
    parts = members(hint)
    if not any(isinstance(value, Enum) for part in parts for value in _literals(part)):
        return hint
    return Union[tuple(kind for part in parts for kind in [*map(type, _literals(part))] or [part])]  # noqa: UP007


def _literals(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def unwritable(code: str, place: str, method: Method, what: str, type_: Any, otherwise: str = "") -> Iterator[Problem]:
    """The problem that something a method gives or takes is of a type that JSON can't hold, if that is so.

    Args:
        code: the problem's code.
        place: whose method it is.
        method: the method.
        what: what it gives or takes, in a word.
        type_: the type it is to be written down as.
        otherwise: what to do if it can't be made of plain values.
    """
    if part := unencodable_part(type_):
        yield Problem(
            code=code,
            place=place,
            message=f"{method.label}: its {what} can't be written down as JSON: {part}",
            site=str(method.site),
            hint=f"{plain_values(what)} {otherwise}".rstrip(),
        )


def plain_values(what: str) -> str:
    """The advice to make something of what JSON can hold."""
    return f"Make the {what} of plain values: numbers, strings, a dataclass of such; things belong in resources."
