"""Wall-clock time tied to trio's clock: the only module that reads a clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import trio

# Where wall time starts in a run under a MockClock: one fixed instant, so that every test sees the same dates.
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
_EPOCH_SECONDS = EPOCH.timestamp()


def now() -> datetime:
    """The wall-clock instant, timezone-aware in UTC; under a `trio.testing.MockClock` it moves with that clock.

    Raises:
        RuntimeError: outside of a trio run.

    >>> import trio, trio.testing
    >>> async def main():
    ...     begun = now()
    ...     await trio.sleep(86_400)
    ...     return now() - begun
    >>> trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    datetime.timedelta(days=1)
    """
    if is_virtual():
        return EPOCH + timedelta(seconds=trio.current_time())
    return datetime.fromtimestamp(time.time(), UTC)


def timestamp() -> float:
    """`now` in seconds since 1970, as instants are written down.

    Raises:
        RuntimeError: outside of a trio run.
    """
    return _EPOCH_SECONDS + trio.current_time() if is_virtual() else time.time()


def is_virtual() -> bool:
    """Whether this trio run goes by a `trio.testing.MockClock`."""
    # Whoever has one has imported its module; importing it here would make every program pay for it.
    testing = sys.modules.get("trio.testing")
    return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)


def seconds_until(instant: datetime) -> float:
    """Seconds from now to a timezone-aware instant; negative when it has passed.

    Raises:
        ValueError: the instant has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(
            f"{instant!r} has no time zone. Use a timezone-aware datetime, such as datetime.now(timezone.utc)."
        )
    return (instant - now()).total_seconds()


def wall_clock() -> Callable[[], float]:
    """What tells the wall-clock time of this trio run in any thread, in seconds since 1970.

    Raises:
        RuntimeError: outside of a trio run.
    """
    if not is_virtual():
        return time.time
    clock = trio.lowlevel.current_clock()
    return lambda: EPOCH.timestamp() + clock.current_time()


def monotonic() -> float:
    """Seconds of the host's monotonic clock: the same in all its processes, and readable in any thread."""
    return time.monotonic()
