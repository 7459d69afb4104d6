"""The journal in a SQLite file, to the engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Self, TypeVar, final

import apsw
import trio

from ..._errors import JournalError
from ..._observe.status import RunStatus
from ..rows import Commit, Fence, LogRow, NewRun, RunRecord, StoredRun
from . import statements
from .owners import OwnerLocks
from .schema import open_reader, open_writer
from .writer import Writer, refusal

T = TypeVar("T")


@final
class SqliteJournal:
    """Runs in a SQLite file on a local disk; several processes of one host may use it at once.

    Args:
        path: the file; it is made if there is none. Beside it lies a folder with a lock file for each process.
        patience: how long to wait while another process holds the file, in seconds.
        vfs: SQLite's access to files, by the name it is registered under; None for that of the system.

    >>> import tempfile, trio
    >>> async def main():
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         async with SqliteJournal(f"{folder}/runs.db") as journal:
    ...             return await journal.runs()
    >>> trio.run(main)
    ()
    """

    def __init__(self, path: str | os.PathLike[str], *, patience: float = 5.0, vfs: str | None = None) -> None:
        self._path = str(Path(path).absolute())
        self._patience = patience
        self._vfs = vfs
        self._locks = OwnerLocks(Path(f"{self._path}.owners"))
        self._open: tuple[Writer, apsw.Connection] | None = None
        self._one_reader = trio.CapacityLimiter(1)
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            JournalError: it can't be opened, is no journal, or is newer than this library.
        """
        if self._open is not None:
            raise JournalError(f"journal {self._path} is open already")
        db, reader = await trio.to_thread.run_sync(self._connect)
        self._open = Writer(db, self._path), reader
        self._closing.push_async_callback(trio.to_thread.run_sync, partial(_close, db, reader, self._locks))
        self._closing.push_async_callback(self._open[0].aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it, after all that was asked of it is written."""
        with trio.CancelScope(shield=True):
            await self._closing.aclose()
        self._open = None

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        return await self._writer.do(lambda db: statements.create(db, run))

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run, and return its new ``rev``."""
        return await self._writer.do(lambda db: statements.commit(db, commit), commit)

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs."""
        return await self._read(lambda db: statements.load(db, run_id))

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits."""
        return await self._read(lambda db: statements.history(db, run_id))

    async def runs(
        self, *, workflow: str | None = None, status: RunStatus | None = None, after: int = 0, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs in the order of their creation, a page at a time."""
        return await self._read(lambda db: statements.runs(db, workflow, status, after, limit))

    async def renew(self, owner: str, /, *, until: float) -> None:
        """Begin the lease of an owner, or extend it."""
        await self._writer.do(lambda db: statements.renew(db, self._locks, owner, until))

    async def claim(self, run_id: str, owner: str, /, *, now: float) -> StoredRun | None:
        """Take a run over, unless another living process holds it."""
        return await self._writer.do(lambda db: statements.claim(db, self._locks, run_id, owner, now))

    async def release(self, owner: str, /) -> None:
        """Give back all runs of an owner, and end its lease."""
        await self._writer.do(lambda db: statements.release(db, owner))
        self._locks.drop(owner)

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used."""
        await self._writer.do(lambda db: statements.delete(db, run_id, fence))

    @property
    def _writer(self) -> Writer:
        return self._opened()[0]

    def _opened(self) -> tuple[Writer, apsw.Connection]:
        if self._open is None:
            raise JournalError(f"journal {self._path} is not open. Use it inside `async with`.")
        return self._open

    async def _read(self, read: Callable[[apsw.Connection], T]) -> T:
        """Read in one transaction, in a thread."""
        db = self._opened()[1]

        def at_one_moment() -> T:
            db.execute("BEGIN")
            try:
                return read(db)
            finally:
                db.execute("ROLLBACK")

        try:
            return await trio.to_thread.run_sync(at_one_moment, limiter=self._one_reader)
        except apsw.Error as error:
            raise refusal(self._path, error) from error

    def _connect(self) -> tuple[apsw.Connection, apsw.Connection]:
        try:
            db = open_writer(self._path, self._patience, vfs=self._vfs)
            try:
                return db, open_reader(self._path, self._patience, vfs=self._vfs)
            except BaseException:
                db.close()
                raise
        except apsw.Error as error:
            raise refusal(self._path, error) from error


def _close(db: apsw.Connection, reader: apsw.Connection, locks: OwnerLocks) -> None:
    """Close the reader first: the last connection takes the WAL into the file."""
    reader.close()
    db.close()
    locks.close()
