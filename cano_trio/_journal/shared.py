"""What the first of its users opens, and the last closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

import trio
from trio.lowlevel import TrioToken, current_trio_token

from .._errors import JournalError


@final
class Shared:
    """Who uses a journal. All are of one trio run; when that is over without their leaving, the journal is as after a crash.

    Args:
        name: the journal, for errors.
        open_: opens it, for the first to enter.
        close: closes it, after the last has left.
    """

    def __init__(self, name: str, open_: Callable[[], Awaitable[None]], close: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._open = open_
        self._close = close
        self._users = 0
        self._turn = trio.Lock()
        self._token: TrioToken | None = None

    async def enter(self) -> None:
        """Open it, or join those that use it.

        Raises:
            JournalError: another trio run uses it.
        """
        self._join()
        async with self._turn:
            if self._users == 0:
                await self._open()
            self._users += 1

    async def leave(self) -> None:
        """Close it, if nobody else uses it."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                self._users -= 1
                if self._users == 0:
                    await self._close()

    def check(self) -> None:
        """See that it is open.

        Raises:
            JournalError: it is not.
        """
        if self._users == 0 or current_trio_token() is not self._token:
            raise JournalError(f"{self._name} is not open. Use it inside `async with`.")

    def _join(self) -> None:
        token = current_trio_token()
        if self._token is not token:
            if self._token is not None and self._is_used() and not is_over(self._token):
                raise JournalError(f"{self._name} is open in another trio run. Give each run a journal of its own.")
            self._users, self._turn, self._token = 0, trio.Lock(), token

    def _is_used(self) -> bool:
        return self._users > 0 or self._turn.locked()


def is_over(token: TrioToken) -> bool:
    """Whether a trio run is over, seen from any thread."""
    try:
        token.run_sync_soon(_nothing, idempotent=True)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None:
    """What a run that goes on is asked to do."""
