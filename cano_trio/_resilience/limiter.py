"""What every rate limiter offers, and what one says of itself."""

from __future__ import annotations

from typing import Protocol, TypeGuard, final, runtime_checkable

import msgspec


@runtime_checkable
class Limiter(Protocol):
    """What a task's ``limiter=`` may be: anything that can be taken from, or waited for."""

    @property
    def name(self) -> str:
        """What errors and events call it."""
        ...

    def take(self) -> float:
        """Take what one call costs and return 0, or take nothing and return the seconds until it may be there."""
        ...

    async def acquire(self) -> None:
        """Take what one call costs, as soon as it is there."""
        ...


def is_limiter(value: object) -> TypeGuard[Limiter]:
    """Whether a value is a limiter; a class of limiters has all that the protocol asks for, but is none itself."""
    # A runtime-checkable protocol takes 50 us to say no, and mostly there is none.
    return value is not None and isinstance(value, Limiter) and not isinstance(value, type)


@final
class LimiterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A rate limiter at one moment; what is counted, is counted since it was made (RAT-9, RAT-14).

    Args:
        capacity: what may be taken at once.
        available: what may be taken now, if nobody waits.
        available_in: seconds until a call of cost 1 could pass, behind those who wait.
        resets_in: seconds until a window ends and the whole budget is back; None if it comes back bit by bit, or if
            no window has begun.
        waiting: tasks in line.
        acquired: calls let through.
        consumed: what they took.
        refunded: what was given back of that.
        waited: calls that had to wait before they were let through.
        seconds_waited: how long, all together.
        rejected: calls refused by a method that does not wait.
    """

    capacity: float
    available: float
    available_in: float
    resets_in: float | None
    waiting: int
    acquired: int
    consumed: float
    refunded: float
    waited: int
    seconds_waited: float
    rejected: int

    @property
    def used(self) -> float:
        """What is missing to `capacity`."""
        return self.capacity - self.available
