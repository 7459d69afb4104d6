"""Errors that trio's nurseries put in one group, taken apart."""

from __future__ import annotations

import trio


def parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """The cancel that is in an error, and the rest of it; what has no cancel in it is the rest, untouched."""
    if isinstance(error, BaseExceptionGroup):
        cancel, rest = error.split(trio.Cancelled)
        return (None, error) if cancel is None else (cancel, rest)  # `split` makes a copy of what it leaves whole
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)


def bared(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What has left a nursery whose own tasks leave it by nothing but a cancel: that cancel, or a Ctrl-C.

    A Ctrl-C comes to the task that waits for the others, and the nursery puts even it in a group.
    """
    cancel, rest = parted(group)
    inner = rest or cancel
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner or group
