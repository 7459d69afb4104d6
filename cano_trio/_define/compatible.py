"""Whether a value of one annotation may be given where another is asked for: a check for people, so in doubt it is yes."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .method import is_any


def compatible(given: Any, wanted: Any) -> bool:
    """Whether a value annotated `given` fits a parameter annotated `wanted`.

    >>> compatible(bool, int), compatible(str, int), compatible(list[int], list[str]), compatible(int, int | None)
    (True, False, False, True)
    """
    given, wanted = bare(given), bare(wanted)
    if is_any(given) or is_any(wanted) or wanted is object or given == wanted:
        return True
    if _is_union(given):
        return all(compatible(part, wanted) for part in get_args(given))
    if get_origin(given) is Literal:
        return all(compatible(type(value), wanted) for value in get_args(given))
    if _is_union(wanted):
        return any(compatible(given, part) for part in get_args(wanted))
    mine, theirs = get_origin(given) or given, get_origin(wanted) or wanted
    if not isinstance(mine, type) or not isinstance(theirs, type):
        return True
    if getattr(theirs, "_is_protocol", False):
        return True
    if not issubclass(mine, theirs):
        # PEP 484: an int is accepted where a float is asked for.
        return (mine, theirs) == (int, float)
    inside, asked = get_args(given), get_args(wanted)
    if mine is not theirs or len(inside) != len(asked):
        return True
    return all(compatible(one, other) for one, other in zip(inside, asked, strict=True))


def name_of(hint: Any) -> str:
    """A hint as a user would write it."""
    if hint is None or hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")


def bare(hint: Any) -> Any:
    """A hint without its metadata and its alias."""
    while hasattr(hint, "__value__"):
        hint = hint.__value__
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    return type(None) if hint is None else hint


def has_instances(data: Any) -> bool:
    """Whether values can be told to be of this type: not of an alias, a union, `Any`, a TypedDict or a plain Protocol."""
    try:
        isinstance(None, data)
    except TypeError:
        return False
    return isinstance(data, type)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in {Union, types.UnionType}
