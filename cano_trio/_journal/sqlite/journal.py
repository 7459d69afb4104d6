"""The journal in a SQLite file, to the engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar, final

import apsw
import attrs
import trio
from trio.lowlevel import current_trio_token

from ..._clock import monotonic, now, wall_clock
from ..._errors import JournalError
from ..._observe.status import RunStatus
from ..protocol import NO_LABELS
from ..rows import Commit, Fence, Letter, LogRow, Message, NewRun, News, RunRecord, StoredRun
from ..schedule_record import ScheduleRecord
from ..shared import Shared
from . import claims, schedules, statements
from .examination import Examination, examine
from .failures import PASSING, refusal
from .lease import Lease
from .reader import Reader, at_one_moment
from .retention import Retention
from .schema import open_reader, open_writer
from .watching import Watch
from .writer import Writer

T = TypeVar("T")

_log = logging.getLogger("cano_trio")


@final
class SqliteJournal:
    """Runs in a SQLite file on a local disk; several processes of one host may use it at once.

    Args:
        path: the file; it is made if there is none. Beside it lies a folder with a lock file for each process.
        lease: how long others leave this process's runs alone after it was last heard of, in seconds. A process that dies is
            noticed at once; the lease is for one that is frozen.
        retention: how long runs stay that are completed, rolled back or cancelled, in seconds; None for ever. Their ids stay
            used. Failed ones stay, and those that a living run started.
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

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = 15.0,
        retention: float | None = 30 * 86400.0,
        patience: float = 5.0,
        vfs: str | None = None,
    ) -> None:
        self._path = str(Path(path).absolute())
        self._lease_seconds = lease
        self._retention_seconds = retention
        self._patience = patience
        self._vfs = vfs
        self._shared = Shared(f"journal {self._path}", self._take_up, self._lay_down)
        self._unreadable: set[str] = set()
        self._opened: _Opened

    @property
    def owner(self) -> str:
        """Under which id runs are held by it; a new one each time it is opened, and after its lease was lost.

        Raises:
            JournalError: it is not open.
        """
        return self._open.lease.owner

    def holds(self, owner: str, /) -> bool:
        """Whether the runs that are held under an owner are sure to be held still: it is its own, and renewed its lease lately."""
        lease = self._open.lease
        return owner == lease.owner and monotonic() < lease.sure_until

    async def __aenter__(self) -> Self:
        """Open the file; if it is open in this trio run, join those that use it.

        Raises:
            JournalError: it can't be opened, is no journal, or is newer than this library; or another trio run uses it.
        """
        await self._shared.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """The last to leave closes it, after all that was asked of it is written, and gives back all runs that it holds."""
        await self._shared.leave()

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        opened = self._open
        record = await opened.writer.create(run)
        if run.owner is None:
            opened.watch.change()
        return record

    def commit(self, commit: Commit, /) -> Coroutine[Any, Any, int]:
        """Write down what happened to a run, and return its new ``rev``."""
        return self._open.writer.commit(commit)

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs."""
        return await self._read(lambda db: statements.load(db, run_id))

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits."""
        return await self._read(lambda db: statements.history(db, run_id))

    async def runs(
        self,
        *,
        workflow: str | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        parent: str | None = None,
        due: float | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 1000,
    ) -> tuple[RunRecord, ...]:
        """Runs in the order of their creation, a page at a time; one whose row can't be read is left out, and logged."""
        wanted = statements.Wanted(
            workflow=workflow,
            status=None if status is None else frozenset(status),
            labels=labels,
            parent=parent,
            due=due,
            after=after,
            before=before,
            limit=limit,
        )
        found, unreadable = await self._read(lambda db: statements.runs(db, wanted))
        self._tell(unreadable)
        return found

    async def claimable(
        self, *, workflows: Collection[str] | None = None, now: float, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs that have something to do, and that no living process holds: first things first."""
        lease = self._open.lease
        return await self._read(lambda db: claims.claimable(db, lease, workflows, now, limit))

    async def next_due(self, *, workflows: Collection[str] | None = None, now: float) -> float | None:
        """When after `now` the first run that nobody holds will have something to do, as far as it is known."""
        lease = self._open.lease
        return await self._read(lambda db: claims.next_due(db, lease, workflows, now))

    async def inbox(self, run_id: str, /, *, after: int = 0) -> tuple[Message, ...]:
        """The messages in a run's inbox, in the order in which they came."""
        return await self._read(lambda db: claims.inbox(db, run_id, after))

    async def news(self, seen: int = 0, /) -> News:
        """Which runs have got messages since."""
        lease = self._open.lease
        return await self._read(lambda db: claims.news(db, lease, seen))

    @property
    def changes(self) -> int:
        """A number that grows whenever a run may have become claimable, or got a message, or another process has written."""
        return self._open.watch.changes

    async def wait_changed(self, seen: int, /) -> None:
        """Wait until `changes` is another number than this."""
        opened = self._open
        if not opened.watch.is_on:
            opened.watch.begin()
            await opened.writer.do(_nothing)  # its thread sleeps until there is something to do
        await opened.watch.wait(seen)

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over for `owner`, unless another living process holds it."""
        opened = self._open
        return await opened.writer.do(lambda db: statements.claim(db, opened.lease, run_id))

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox."""
        opened = self._open
        number = await opened.writer.do(lambda db: statements.post(db, letter))
        opened.watch.change()
        return number

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used."""
        await self._open.writer.do(lambda db: statements.delete(db, run_id, fence))

    async def dead(self) -> frozenset[str]:
        """The processes that hold runs, and are gone or have let their lease lapse: whoever wants may claim those runs."""
        lease = self._open.lease
        return await self._read(lease.dead)

    async def schedules(self) -> tuple[ScheduleRecord, ...]:
        """The schedules that were begun and not removed, by their names; one whose row can't be read is left out, and logged."""
        found, unreadable = await self._read(schedules.schedules)
        self._tell(unreadable)
        return found

    async def keep_schedule(self, schedule: ScheduleRecord, /) -> ScheduleRecord | None:
        """Write down where a schedule stands, unless somebody else has done so since."""
        return await self._open.writer.do(lambda db: schedules.keep(db, schedule))

    async def delete_schedule(self, name: str, rev: int, /) -> ScheduleRecord | None:
        """Forget a schedule, unless something else has become of it since."""
        return await self._open.writer.do(lambda db: schedules.delete(db, name, rev))

    async def fire(self, run: NewRun, schedule: ScheduleRecord, /) -> RunRecord | ScheduleRecord:
        """Create a run, and write down that a schedule has fired it: both, or neither."""
        opened = self._open
        result = await opened.writer.do(lambda db: schedules.fire(db, run, schedule))
        opened.watch.change()
        return result

    async def examine(self, *, stuck_after: float = 60.0) -> Examination:
        """Look through all of it: for damage, for the dead, and for runs that nobody carries on.

        It need not be open, and nothing is written: who has a damaged file can look at it before anything else is done to it.

        Args:
            stuck_after: a run is not stuck before it was in its state for so long, in seconds.

        Raises:
            JournalError: the file is no journal, is newer than this library, or can't be read.
        """
        since = now().timestamp() - stuck_after
        lease = Lease(self._path, self._lease_seconds, current_trio_token())  # not begun: it only looks at the others

        def look() -> Examination:
            db = open_reader(
                self._path, self._patience, vfs=self._vfs
            )  # its own: it takes long, and others read meanwhile
            try:
                return at_one_moment(db, lambda db: examine(db, self._path, lease.dead, since))
            finally:
                db.close()

        with self._telling():
            return await trio.to_thread.run_sync(look)

    @property
    def _open(self) -> _Opened:
        self._shared.check()
        return self._opened

    def _tell(self, unreadable: Iterable[JournalError]) -> None:
        """Log what can't be read, each once."""
        for error in unreadable:
            if str(error) not in self._unreadable:
                self._unreadable.add(str(error))
                _log.error("%s", error)

    async def _take_up(self) -> None:
        lease = Lease(self._path, self._lease_seconds, current_trio_token())
        retention = Retention(self._retention_seconds, wall_clock())
        watch = Watch(current_trio_token())
        db, reading, close = await trio.to_thread.run_sync(self._connect, lease)
        reader = Reader(reading)

        def end() -> None:
            reader.end()
            close()

        writer = Writer(db, self._path, lease, retention, watch, end)
        self._opened = _Opened(lease=lease, watch=watch, writer=writer, reader=reader)

    async def _lay_down(self) -> None:
        await self._opened.writer.aclose()

    async def _read(self, read: Callable[[apsw.Connection], T]) -> T:
        """Read at one moment, in the thread for that."""
        with self._telling():
            return await self._open.reader.read(read)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell what a failure of SQLite means, inside."""
        try:
            yield
        except PASSING as error:
            raise refusal(self._path, error) from error
        except apsw.Error as error:
            raise JournalError(
                f"journal {self._path} can't be read: {error}. `examine` tells what is damaged."
            ) from error

    def _connect(self, lease: Lease) -> tuple[apsw.Connection, apsw.Connection, Callable[[], None]]:
        """The connections, and what closes them; the lease is begun."""
        with ExitStack() as stack:
            try:
                db = open_writer(self._path, self._patience, vfs=self._vfs)
                stack.callback(db.close)
                reader = open_reader(self._path, self._patience, vfs=self._vfs)
                stack.callback(reader.close)  # first: the last connection takes the WAL into the file
                stack.callback(lease.drop)
                with db:
                    lease.begin(db)
                    lease.sweep(db)
            except apsw.Error as error:
                raise refusal(self._path, error) from error
            return db, reader, stack.pop_all().close


def _nothing(_: apsw.Connection) -> None:
    """What only wakes the thread that writes."""


@attrs.frozen(kw_only=True)
class _Opened:
    """What an open journal consists of."""

    lease: Lease
    watch: Watch
    writer: Writer
    reader: Reader
