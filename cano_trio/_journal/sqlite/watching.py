"""Noticing that another process has written to a journal's file, which tells nobody."""

from __future__ import annotations

import math
from typing import Final, final

import apsw
import trio
from trio.lowlevel import TrioToken

from ..._clock import monotonic

EVERY: Final = 0.05
"""Seconds between two looks, for as long as anybody wants to know."""


@final
class Watch:
    """Counts what may be of interest to those who take runs up; the writer's thread looks, in turn with its other chores.

    Args:
        token: the trio run in which they wait.
    """

    is_urgent: Final = True

    def __init__(self, token: TrioToken) -> None:
        self.due = math.inf
        self.changes = 0
        self._changed = trio.Event()
        self._token = token
        self._version: int | None = None

    @property
    def is_on(self) -> bool:
        """Whether anybody wants to know."""
        return self.due < math.inf

    def begin(self) -> None:
        """Look from now on."""
        self.due = monotonic()

    def change(self) -> None:
        """Something has changed."""
        self.changes += 1
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self, seen: int) -> None:
        """Wait until `changes` is another number."""
        while self.changes == seen:
            await self._changed.wait()

    # -- in the writer's thread

    def has_work(self, db: apsw.Connection) -> bool:
        """Look whether another connection has written since the last look; there is never anything to be written itself."""
        version: int = db.pragma("data_version")
        if version != self._version:
            if self._version is not None:
                self._token.run_sync_soon(self.change)
            self._version = version
        self.due = monotonic() + EVERY
        return False

    def do(self, db: apsw.Connection) -> None:
        """Nothing: looking is all."""

    def put_off(self) -> None:
        """Look a little later."""
        self.due = monotonic() + EVERY
