"""One thread that writes: while one transaction is synced to disk, the next gathers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

import apsw
import attrs
import outcome
import trio
from trio.lowlevel import Abort, Task, checkpoint_if_cancelled, current_task, reschedule, wait_task_rescheduled

from ..._errors import JournalError, JournalUnavailable, LeaseLost
from ..rows import Commit
from . import statements

T = TypeVar("T")

MOST_ROWS = 500
MOST_BYTES = 4 * 1024 * 1024

REFUSALS = (JournalError, apsw.ConstraintError, apsw.TooBigError, TypeError, ValueError, OverflowError)
"""What concerns one job, and not its neighbours: their rows stay."""

PASSING = (apsw.BusyError, apsw.LockedError, apsw.FullError)
"""What may be gone at the next try."""


@attrs.define(eq=False)
class _Job:
    """Something to write, and the task that waits for it."""

    task: Task
    apply: Callable[[apsw.Connection], object]
    commit: Commit | None
    result: outcome.Outcome[Any] | None = None

    @property
    def rows(self) -> int:
        one = self.commit
        return 1 if one is None else 1 + len(one.log) + len(one.cursors) + len(one.outcomes)

    @property
    def size(self) -> int:
        one = self.commit
        if one is None:
            return 0
        parts = [one.data, *(part for row in one.log for part in (row.receipt, row.messages, row.data))]
        bodies = [*(row.body for row in one.cursors), *(row.body for row in one.outcomes)]
        return sum(len(part) for part in (*parts, *bodies) if part is not None)


class Writer:
    """Writes to a connection, which nobody else may use meanwhile.

    Args:
        db: the connection.
        path: its file, for errors.
    """

    def __init__(self, db: apsw.Connection, path: str) -> None:
        self._db = db
        self._path = path
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._closing = False
        self._broken: BaseException | None = None
        trio.lowlevel.start_thread_soon(self._work, self._deliver, "cano_trio journal")

    async def do(self, apply: Callable[[apsw.Connection], T], commit: Commit | None = None) -> T:
        """Do something in a transaction, together with whatever else waits; returns when it is on disk.

        Args:
            apply: does it; what it wrote before it raised is rolled back.
            commit: the commit it is about, if it is: several are written with fewer statements.
        """
        await checkpoint_if_cancelled()
        if self._closing:
            raise JournalError(f"journal {self._path} is closed")
        self._queue.put(_Job(current_task(), apply, commit))
        # Nobody can withdraw what may be half written: a cancel waits for the answer.
        return cast("T", await wait_task_rescheduled(lambda _: Abort.FAILED))

    async def aclose(self) -> None:
        """Wait until all is written, and end the thread."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def _deliver(self, result: outcome.Outcome[None]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ended.set)
        result.unwrap()

    def _work(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._gather()
            if batch:
                self._transact(batch)
                with suppress(trio.RunFinishedError):  # nobody waits any more
                    self._token.run_sync_soon(_acknowledge, batch)

    def _gather(self) -> tuple[list[_Job], bool]:
        """All that waits, up to what one transaction should hold, and whether it is the last."""
        batch: list[_Job] = []
        rows = size = 0
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            rows += job.rows
            size += job.size
            if rows >= MOST_ROWS or size >= MOST_BYTES:
                return batch, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _transact(self, batch: Sequence[_Job]) -> None:
        """Write a batch, and note for each of it what came of it."""
        try:
            if self._broken is None:
                self._write(batch)
        except BaseException as error:  # the thread goes on: somebody waits for every answer
            self._fail(error, batch)
        else:
            if self._broken is not None:
                self._refuse(batch, self._broken)

    def _write(self, batch: Sequence[_Job]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for is_commit, jobs in groupby(batch, lambda job: job.commit is not None):
            self._apply(list(jobs), together=is_commit)
        self._db.execute("COMMIT")

    def _apply(self, jobs: Sequence[_Job], *, together: bool) -> None:
        """Apply jobs in as few statements as can be; if one is refused, each by itself."""
        if together and self._applied_together(jobs):
            return
        for job in jobs:
            try:
                with self._db:  # a savepoint
                    job.result = outcome.Value(job.apply(self._db))
            except REFUSALS as error:
                job.result = outcome.Error(error)

    def _applied_together(self, jobs: Sequence[_Job]) -> bool:
        commits = [job.commit for job in jobs if job.commit is not None]
        if len(commits) < 2 or not statements.are_alike(commits):
            return False
        try:
            with self._db:
                statements.commit_together(self._db, commits)
        except (LeaseLost, *REFUSALS):
            return False
        for job, commit in zip(jobs, commits, strict=True):
            job.result = outcome.Value(commit.fence.rev + 1)
        return True

    def _fail(self, error: BaseException, batch: Iterable[_Job]) -> None:
        """Nothing of the batch is acknowledged. Unless the failure may pass, nothing is written any more."""
        first = _first(error)
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error as worse:
            first = worse
        if not isinstance(first, PASSING):
            self._broken = first
        self._refuse(batch, first)

    def _refuse(self, batch: Iterable[_Job], cause: BaseException) -> None:
        for job in batch:
            error = refusal(self._path, cause)
            error.__cause__ = cause
            job.result = outcome.Error(error)


def refusal(path: str, cause: BaseException) -> JournalError:
    """What a failure of SQLite means to whoever asked."""
    if isinstance(cause, PASSING):
        return JournalUnavailable(path, str(cause))
    return JournalError(
        f"journal {path} failed, and is used no more: {cause}. What was acknowledged before is on disk."
    )


def _first(error: BaseException) -> BaseException:
    """What went wrong first: SQLite may have rolled back already, and then has no savepoint to go back to."""
    while isinstance(error.__context__, apsw.Error):
        error = error.__context__
    return error


def _acknowledge(batch: Iterable[_Job]) -> None:
    for job in batch:
        reschedule(job.task, job.result or outcome.Error(trio.TrioInternalError("no result")))
