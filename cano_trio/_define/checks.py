"""Checks of single option values, shared by all that take options."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

LARGEST = sys.float_info.max
"""The most seconds that anything is waited for: a larger int is no float, and there is none beyond but infinity."""


def check_count(name: str, value: object, *, least: int = 0) -> None:
    """Refuse anything but a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}: it takes a whole number, {least} or more")  # noqa: TRY004  (a wrong value of an option)
    if value < least:
        raise ValueError(f"{name} is {value}: it takes a whole number, {least} or more")


def check_seconds(name: str, value: object) -> None:
    """Refuse anything but a positive number of seconds; infinity means no limit."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} is {value!r}: it takes a number of seconds")  # noqa: TRY004
    if not 0 < value <= LARGEST and value != math.inf:  # false for a NaN too; a larger int is no float
        raise ValueError(f"{name} is {value}: it takes a positive number of seconds (math.inf for no limit)")


def check_wait(name: str, value: object) -> None:
    """Refuse anything but a number of seconds, 0 or more, that ends."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST:
        raise ValueError(f"{name} is {value!r}: it takes a number of seconds, 0 or more")


def check_text(name: str, value: object) -> None:
    """Refuse anything but a string that can be written down."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}: it takes a string")  # noqa: TRY004
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} is {value!r}: it has half of a surrogate pair, and no file could hold it")


def check_reason(value: object) -> None:
    """Refuse anything but None and a string that can be written down."""
    if value is not None:
        check_text("reason", value)


def check_priority(value: object) -> None:
    """Refuse anything but a whole number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(
            f"priority is {value!r}: it takes a whole number of at most 64 bits; more is earlier, and 0 is usual"
        )


def check_flag(name: str, value: object) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}: it takes True or False")  # noqa: TRY004  (a wrong value of an option)


def check_instance(type_: type, example: str) -> Callable[[str, Any], None]:
    """Refuse anything but an instance of a class."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, type_):
            raise ValueError(f"{name} is {value!r}: it takes a {type_.__name__}, such as {example}")  # noqa: TRY004

    return check
