"""The right of a process to its runs: a row that it renews while it lives, and a lock that ends with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import uuid4

import apsw
from trio.lowlevel import TrioToken

from ..._clock import monotonic
from ..._errors import JournalError
from ..shared import is_over
from .owners import OwnerLocks

BEGIN: Final = "INSERT INTO cano_owner(owner, lease_until, batches) VALUES (?,?,0)"
RENEW: Final = "UPDATE cano_owner SET lease_until=? WHERE owner=? AND lease_until IS NOT NULL"
GIVE_BACK: Final = (
    "UPDATE cano_place SET owner=NULL, ready=iif((SELECT parent IS NULL AND (status IN ('running','rolling_back')"
    " OR status='waiting' AND posted>0) FROM cano_run WHERE cano_run.number=cano_place.number), priority, NULL)"
    " WHERE owner=?"
)
"""Those that wait and got messages may have seen them all: whoever claims them finds out."""
COUNT: Final = "UPDATE cano_owner SET batches=? WHERE owner=?"

_here: Final[dict[str, TrioToken]] = {}
"""The owners of this process. Their locks would outlive a trio run that was given up, as a test gives up one."""


class Lease:
    """Under which id runs are held, and until when others leave them alone; to be renewed when it is `due`.

    Args:
        path: the journal's file; beside it lies a folder with the locks of its owners.
        seconds: how long it lasts; it is renewed five times as often.
        token: the trio run that it ends with.
    """

    is_urgent: Final = True

    def __init__(self, path: str, seconds: float, token: TrioToken) -> None:
        self.owner = uuid4().hex
        self.due = monotonic()
        self.sure_until = 0.0
        """Until when nobody can be about to take a run over: half of its time after it was renewed."""
        self._renewed_at = 0.0
        self._path = path
        self._locks = OwnerLocks(Path(f"{path}.owners"))
        self._seconds = seconds
        self._token = token
        self._batches = 0
        self._is_counted = False

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
        self._batches = 0
        now = monotonic()
        db.execute(BEGIN, (self.owner, now + self._seconds))
        self.due = now + self._seconds / 5
        self._renewed_at = now
        self.sure_until = now + self._seconds / 2

    def has_work(self, _: apsw.Connection) -> bool:
        """Whether there is anything to do when it is due: always."""
        return True

    def do(self, db: apsw.Connection) -> None:
        """Extend it, inside a transaction; if somebody found it lapsed and took a run over, go on under another id."""
        now = monotonic()
        db.execute(RENEW, (now + self._seconds, self.owner))
        if db.changes():
            self.due = now + self._seconds / 5
            self._renewed_at = now
            return
        lost = self.owner
        self.owner = uuid4().hex
        self.begin(db)
        self._forget(lost)

    def count(self, db: apsw.Connection) -> None:
        """Count a batch, inside its transaction: so many of them have to be there when the lock is found free."""
        db.execute(COUNT, (self._batches + 1, self.owner))
        self._is_counted = db.changes() == 1  # or somebody found this process dead

    def counted(self) -> None:
        """Note that the batch is on disk, outside of the journal, too: what is lost with its WAL can't tell so itself."""
        self.sure_until = self._renewed_at + self._seconds / 2
        if self._is_counted:
            self._batches += 1
            self._locks.write(self.owner, self._batches)

    def put_off(self) -> None:
        """Renew it a little later: it could not be done now."""
        self.due = monotonic() + self._seconds / 50

    def end(self, db: apsw.Connection) -> None:
        """Give back all runs that are held under it, inside a transaction."""
        self._locks.erase(self.owner)
        db.execute(GIVE_BACK, (self.owner,))
        db.execute("DELETE FROM cano_owner WHERE owner=?", (self.owner,))

    def drop(self) -> None:
        """Let its lock go, and what is left of those before it."""
        self._forget(self.owner)
        self._locks.drop_all()

    def take_over(self, db: apsw.Connection, owner: str) -> bool:
        """Whether an owner is dead, or let its lease lapse; if so, it can't renew it any more."""
        if self._lives(db, owner):
            return False
        db.execute("UPDATE cano_owner SET lease_until=NULL WHERE owner=?", (owner,))
        return True

    def sweep(self, db: apsw.Connection) -> None:
        """Forget the dead, inside a transaction: an owner of which nothing is known is as dead.

        Raises:
            JournalError: they had more on disk than there is now.
        """
        batches = {str(owner): int(count) for owner, count in db.execute("SELECT owner, batches FROM cano_owner")}
        if lost := self._locks.missing(batches):
            raise JournalError(
                f"journal {self._path} has lost {lost} transactions that were on disk: its -wal file was deleted, cut or "
                f"damaged. Put it back; or remove {self._path}.owners to go on without them, and repeat what they did."
            )
        for owner in batches:
            if self._locks.is_dead(owner):
                db.execute("DELETE FROM cano_owner WHERE owner=?", (owner,))
        self._locks.sweep()

    def dead(self, db: apsw.Connection) -> frozenset[str]:
        """The owners of runs that are dead, or whose lease lapsed."""
        owners = db.execute("SELECT DISTINCT owner FROM cano_place WHERE owner IS NOT NULL").fetchall()
        return frozenset(str(owner) for (owner,) in owners if owner != self.owner and not self._lives(db, str(owner)))

    def _lives(self, db: apsw.Connection, owner: str) -> bool:
        until = db.execute("SELECT lease_until FROM cano_owner WHERE owner=?", (owner,)).get
        return until is not None and until > monotonic() and not self._is_dead(owner)

    def _is_dead(self, owner: str) -> bool:
        token = _here.get(owner)
        return self._locks.is_dead(owner) or (token is not None and is_over(token))

    def _forget(self, owner: str) -> None:
        _here.pop(owner, None)
        self._locks.drop(owner)
