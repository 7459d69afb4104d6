"""An error that a cancel has a part in: trio's nurseries put the two in one group."""

from __future__ import annotations

import trio


def parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """The cancel that is in an error, and the rest of it; what has no cancel in it is the rest, untouched."""
    if isinstance(error, BaseExceptionGroup):
        cancel, rest = error.split(trio.Cancelled)
        return (None, error) if cancel is None else (cancel, rest)  # `split` makes a copy of what it leaves whole
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)
