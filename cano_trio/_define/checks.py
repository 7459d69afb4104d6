"""Checks of single option values, shared by all that take options."""

from __future__ import annotations

import math


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
    if math.isnan(value) or value <= 0:
        raise ValueError(f"{name} is {value}: it takes a positive number of seconds (math.inf for no limit)")
