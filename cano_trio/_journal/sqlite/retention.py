"""What becomes of runs that are settled: after a while they are removed, and only their ids stay used."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, final

import apsw

from ..._clock import monotonic
from .statements import is_any_settled, remove_settled

HOUR: Final = 3600.0


@final
class Retention:
    """When settled runs are removed, a few at a time: at first, and then every hour.

    Args:
        seconds: how long they stay; None for ever.
        now: tells the wall-clock time.
    """

    is_urgent: Final = False

    def __init__(self, seconds: float | None, now: Callable[[], float]) -> None:
        self.due = math.inf if seconds is None else monotonic()
        self._seconds = seconds or 0.0
        self._now = now

    def has_work(self, db: apsw.Connection) -> bool:
        """Whether a transaction is worth its while."""
        if is_any_settled(db, self._now() - self._seconds):
            return True
        self.put_off()
        return False

    def do(self, db: apsw.Connection) -> None:
        """Remove a few, inside a transaction."""
        is_more = remove_settled(db, self._now() - self._seconds)
        self.due = monotonic() + (0.0 if is_more else HOUR)

    def put_off(self) -> None:
        """Do it later: there is nothing, or it could not be done."""
        self.due = monotonic() + HOUR
