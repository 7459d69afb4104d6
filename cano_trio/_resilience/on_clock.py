"""Instants that outlive a trio run: each run's clock begins elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod

import attrs
import trio
from trio.lowlevel import current_clock


@attrs.define(eq=False, repr=False)
class OnClock(ABC):
    """Something that remembers instants of trio's clock, and may be made before `trio.run` and used in several runs.

    The clock of a new run begins elsewhere (trio's own at random), so a remembered instant would lie far off. But the
    clock that it was read from still goes, inside its run or not, so the instants can be carried over exactly. One object
    serves one run at a time, as everything of trio's does.
    """

    _clock: trio.abc.Clock | None = attrs.field(default=None, init=False)

    def _now(self) -> float:
        """`trio.current_time`, after carrying the remembered instants over to this run's clock."""
        clock = current_clock()
        if clock is not self._clock:
            if self._clock is not None:
                self._shift(clock.current_time() - self._clock.current_time())
            self._clock = clock
        return clock.current_time()

    def _peek(self) -> float:
        """Now, on the clock of the remembered instants; unlike `_now` also outside of trio. For what only looks."""
        return 0.0 if self._clock is None else self._clock.current_time()

    @abstractmethod
    def _shift(self, seconds: float) -> None:
        """Move every remembered instant."""
