"""The right of a process to its runs: a row that it renews while it lives, and a lock that ends with it."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import apsw
from trio.lowlevel import TrioToken

from ..._clock import monotonic
from ..._errors import JournalError
from ..shared import is_over
from .owners import OwnerLocks

BEGIN = "INSERT INTO cano_owner(owner, lease_until) VALUES (?,?)"
RENEW = "UPDATE cano_owner SET lease_until=? WHERE owner=? AND lease_until IS NOT NULL"

_here: Final[dict[str, TrioToken]] = {}
"""The owners of this process. Their locks would outlive a trio run that was given up, as a test gives up one."""


class Lease:
    """Under which id runs are held, and until when others leave them alone.

    Args:
        locks: the locks of the journal's owners.
        seconds: how long it lasts; it is renewed five times as often.
        token: the trio run that it ends with.
    """

    def __init__(self, locks: OwnerLocks, seconds: float, token: TrioToken) -> None:
        self.owner = uuid4().hex
        self.due = monotonic()
        self._locks = locks
        self._seconds = seconds
        self._token = token

    @property
    def is_over(self) -> bool:
        """Whether the trio run is over that it was for."""
        return is_over(self._token)

    def begin(self, db: apsw.Connection) -> None:
        """Begin it, inside a transaction.

        Raises:
            JournalError: its lock can't be held.
        """
        try:
            self._locks.hold(self.owner)
        except OSError as error:
            raise JournalError(f"the lock of this process can't be held: {error}") from error
        _here[self.owner] = self._token
        now = monotonic()
        db.execute(BEGIN, (self.owner, now + self._seconds))
        self.due = now + self._seconds / 5

    def renew(self, db: apsw.Connection) -> None:
        """Extend it, inside a transaction; if somebody found it lapsed and took a run over, go on under another id."""
        now = monotonic()
        db.execute(RENEW, (now + self._seconds, self.owner))
        if db.changes():
            self.due = now + self._seconds / 5
            return
        lost = self.owner
        self.owner = uuid4().hex
        self.begin(db)
        self._forget(lost)

    def put_off(self) -> None:
        """Renew it a little later: it could not be done now."""
        self.due = monotonic() + self._seconds / 50

    def end(self, db: apsw.Connection) -> None:
        """Give back all runs that are held under it, inside a transaction."""
        db.execute("UPDATE cano_run SET owner=NULL WHERE owner=?", (self.owner,))
        db.execute("DELETE FROM cano_owner WHERE owner=?", (self.owner,))

    def drop(self) -> None:
        """Let its lock go."""
        self._forget(self.owner)

    def take_over(self, db: apsw.Connection, owner: str) -> bool:
        """Whether an owner is dead, or let its lease lapse; if so, it can't renew it any more."""
        until = db.execute("SELECT lease_until FROM cano_owner WHERE owner=?", (owner,)).get
        if until is not None and until > monotonic() and not self._is_dead(owner):
            return False
        db.execute("UPDATE cano_owner SET lease_until=NULL WHERE owner=?", (owner,))
        return True

    def sweep(self, db: apsw.Connection) -> None:
        """Forget the dead, inside a transaction: an owner of which nothing is known is as dead."""
        for (owner,) in db.execute("SELECT owner FROM cano_owner").fetchall():
            if owner != self.owner and self._is_dead(str(owner)):
                db.execute("DELETE FROM cano_owner WHERE owner=?", (owner,))
        self._locks.sweep()

    def _is_dead(self, owner: str) -> bool:
        token = _here.get(owner)
        return self._locks.is_dead(owner) or (token is not None and is_over(token))

    def _forget(self, owner: str) -> None:
        _here.pop(owner, None)
        self._locks.drop(owner)
