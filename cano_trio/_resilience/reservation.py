"""Taken for now: given back unless the work that it was taken for gets done."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import final


@final
class Reservation:
    """What a rate limiter has set aside; the end of the block gives it back unless it was committed (RAT-5).

    >>> import trio
    >>> from cano_trio import RateLimiter
    >>> async def main():
    ...     limiter = RateLimiter(10)
    ...     with limiter.reserve_nowait(4):
    ...         pass  # nothing came of it
    ...     with limiter.reserve_nowait(3) as reservation:
    ...         reservation.commit()
    ...     print(limiter.statistics().refunded, limiter.statistics().consumed)
    >>> trio.run(main)
    4 7
    """

    __slots__ = ("_give_back", "_state")

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._state = "open"

    def __repr__(self) -> str:
        return f"<Reservation {self._state}>"

    def commit(self) -> None:
        """Keep what was taken. RuntimeError if it was given back; a second time does nothing."""
        if self._state == "refunded":
            raise RuntimeError(
                "this reservation was given back already. Commit it inside its block, before any refund()."
            )
        self._state = "committed"

    def refund(self) -> None:
        """Give back what was taken, unless it was committed; a second time does nothing."""
        if self._state == "open":
            self._state = "refunded"
            self._give_back()

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refund()
