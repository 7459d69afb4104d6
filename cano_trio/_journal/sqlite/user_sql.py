"""SQL of the user's, which may do anything in tables of its own, and nothing else."""

from __future__ import annotations

import re
from typing import Any, Final

import apsw

from ..._errors import StatementFailed
from ..rows import Statement

FORBIDDEN: Final = {
    apsw.SQLITE_PRAGMA: "PRAGMA is not allowed",
    apsw.SQLITE_ATTACH: "ATTACH and VACUUM are not allowed",
    apsw.SQLITE_DETACH: "DETACH is not allowed",
    apsw.SQLITE_TRANSACTION: "the transaction is the journal's",
    apsw.SQLITE_SAVEPOINT: "the transaction is the journal's",
}
OF_COLUMNS: Final = {apsw.SQLITE_READ, apsw.SQLITE_UPDATE}
"""Actions that name a table and a column; others that name two things name an index or a trigger, and a table."""

STORE_FAILED: Final = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.ReadOnlyError,
    apsw.InternalError,
)
"""What is no fault of the statement."""

_NOTHING: Final = re.compile(r"(?s)(?:\s|;|(?>--[^\n]*)|/\*(?>(?:(?!\*/).)*)(?:\*/|\Z))*\Z")


class UserSql:
    """Runs statements of the user's on the journal's own connection.

    Args:
        db: the connection.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._refused: str | None = None
        self._ran = False
        self._is_running = False
        db.authorizer = self._authorize  # always: to set it anew would have SQLite prepare all our statements again

    def run(self, statement: Statement) -> None:
        """Run a statement to its end; what it returns is dropped.

        Raises:
            StatementFailed: it failed, or does what it may not.
            apsw.Error: the journal failed.
        """
        self._refused, self._ran, self._is_running = None, False, True
        cursor = self._db.cursor()
        cursor.exec_trace = self._trace
        try:
            # Not from the cache: one of ours with the same text was allowed to touch our tables.
            for _ in cursor.execute(statement.text, statement.parameters, can_cache=False):
                pass
        except STORE_FAILED:
            raise
        except Exception as error:
            raise StatementFailed(statement.text, self._refused or str(error)) from error
        finally:
            self._is_running = False
            cursor.close(force=True)

    def _authorize(self, action: int, one: str | None, two: str | None, *_: Any) -> int:
        if not self._is_running:
            return apsw.SQLITE_OK
        named = (one,) if action in OF_COLUMNS else (one, two)
        if action in FORBIDDEN:
            self._refused = FORBIDDEN[action]
        elif any(name is not None and name.lower().startswith("cano_") for name in named):
            self._refused = "tables named cano_* are the journal's"
        else:
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY

    def _trace(self, _: apsw.Cursor, sql: str, __: Any) -> bool:
        if _NOTHING.match(sql):
            return True
        if self._ran:
            self._refused = "it is more than one statement. Give each its own"
            return False
        self._ran = True
        return True
