"""One thread that writes: while one transaction is synced to disk, the next gathers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

import apsw
import outcome
import trio
from msgspec import Struct, field
from trio.lowlevel import checkpoint_if_cancelled, current_task, wait_task_rescheduled

from ..._clock import monotonic
from ..._errors import DuplicateRun, JournalError
from ..bounds import size_of
from ..claiming import calls
from ..rows import Commit, NewRun, RunRecord
from . import commits, creation, statements
from .failures import PASSING, REFUSALS, first_of, meaning, refusal, statement_failed
from .files import Files
from .jobs import Job, Tally, acknowledge, never
from .lease import Lease
from .retention import Retention
from .user_sql import UserSql
from .watching import Watch

T = TypeVar("T")

_log = logging.getLogger("cano_trio")

MOST_ROWS = 1024
MOST_BYTES = 4 * 1024 * 1024

LONGEST_WAIT = 3600.0


class _Job(Job, kw_only=True):
    """A commit, a run to create, or whatever else is to be applied.

    The task of a commit that is written needs no result: it knows its own.
    """

    commit: Commit | None = None
    create: NewRun | None = None
    apply: Callable[[apsw.Connection], object] | None = None


def _always(_: apsw.Connection) -> bool:
    return True


class _Sorted(Struct, frozen=True):
    """Jobs by how they are done: commits of runs that go on, and that turn, runs to create, and what is done alone."""

    going_on: list[Commit] = field(default_factory=list)
    turning: list[Commit] = field(default_factory=list)
    creating: dict[str, tuple[_Job, NewRun]] = field(default_factory=dict)
    others: list[_Job] = field(default_factory=list)


class _Refused(Exception):
    """One of the jobs that were done together is refused, or all are; each is to be done alone."""


class _Undone(Exception):
    """A job rolled the whole transaction back, as SQL of the user's can; its neighbours are to be written again."""

    def __init__(self, job: _Job) -> None:
        self.job = job


class Writer:
    """Writes to a connection, which nobody else may use meanwhile, and keeps the lease of its process.

    Args:
        db: the connection.
        path: its file, for errors.
        lease: the lease, which is begun.
        retention: what is removed when there is nothing else to do.
        watch: what notices that others write.
        close: closes the connection and drops the lease, at the end.
    """

    def __init__(
        self,
        db: apsw.Connection,
        path: str,
        lease: Lease,
        retention: Retention,
        watch: Watch,
        close: Callable[[], None],
    ) -> None:
        self._db = db
        self._sql = UserSql(db)
        self._path = path
        self._files = Files(path)
        self._lease = lease
        self._watch = watch
        self._chores = (lease, retention, watch)
        self._close = close
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._tally = Tally()
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._closing = False
        self._broken: BaseException | None = None
        trio.lowlevel.start_thread_soon(self._work, self._deliver, "cano_trio journal")

    async def commit(self, commit: Commit) -> int:
        """Write a commit, together with whatever else waits; returns its ``rev`` when it is on disk."""
        self._put(_Job(current_task(), commit=commit))
        await wait_task_rescheduled(never)
        if calls(commit):
            self._watch.change()
        return commit.fence.rev + 1

    async def create(self, run: NewRun) -> RunRecord:
        """Create a run, together with whatever else waits; returns when it is on disk."""
        await checkpoint_if_cancelled()
        self._put(_Job(current_task(), create=run))
        record: RunRecord = await wait_task_rescheduled(never)
        return record

    async def do(self, apply: Callable[[apsw.Connection], T]) -> T:
        """Do something in a transaction, together with whatever else waits; returns when it is on disk.

        Args:
            apply: does it; what it wrote before it raised is rolled back.
        """
        await checkpoint_if_cancelled()
        self._put(_Job(current_task(), apply=apply))
        result: T = await wait_task_rescheduled(never)
        return result

    def _put(self, job: _Job) -> None:
        if self._closing:
            raise JournalError(f"journal {self._path} is closed")
        self._tally.asked += 1
        self._queue.put(job)

    async def aclose(self) -> None:
        """Wait until all is written and the runs are given back, and end the thread."""
        if not self._closing:
            self._closing = True
            self._tally.asked += 1
            self._queue.put(None)
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def _deliver(self, result: outcome.Outcome[None]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ended.set)
        self._tally.answered += 1
        result.unwrap()

    def _work(self) -> None:
        try:
            while (batch := self._gather()) is not None:
                if batch:
                    self._transact(batch)
                    self._token.run_sync_soon(acknowledge, batch)
                    self._tally.answered += len(batch)
                self._do_chores(is_idle=not batch)
            self._change(self._lease.end)
        except trio.RunFinishedError:
            pass  # the run was given up without a word, as by a crash: nothing is given back
        finally:
            self._close()

    def _do_chores(self, *, is_idle: bool) -> None:
        for chore in self._chores:
            if monotonic() >= chore.due and (is_idle or chore.is_urgent):
                if chore is not self._watch:  # which looks so often that a clock could not jump for all the calls
                    self._token.run_sync_soon(_nothing, idempotent=True)
                if not self._change(chore.do, chore.has_work):
                    chore.put_off()

    def _gather(self) -> list[_Job] | None:
        """All that waits, up to what one transaction should hold; nothing when a chore is due, None at the end."""
        batch: list[_Job] = []
        rows = size = 0
        due = min(chore.due for chore in self._chores)
        try:
            job = self._queue.get(timeout=max(0.0, min(due - monotonic(), LONGEST_WAIT)))
            while job is not None:
                batch.append(job)
                rows += 1
                if (one := job.commit) is not None:
                    rows += len(one.log) + len(one.cursors) + len(one.outcomes)
                    size += _size(one)
                elif job.create is not None:
                    size += len(job.create.data)
                if rows >= MOST_ROWS or size >= MOST_BYTES:
                    return batch
                job = self._queue.get_nowait()
        except Empty:
            return batch
        if not batch:
            return None
        self._queue.put(None)  # again, for the next turn: it is the last
        return batch

    def _change(
        self, change: Callable[[apsw.Connection], None], is_needed: Callable[[apsw.Connection], bool] = _always
    ) -> bool:
        """Change something in a transaction of its own, if that is needed; whether it could be done."""
        if self._broken is not None:
            return False
        try:
            if is_needed(self._db):
                with self._transaction():
                    change(self._db)
        except JournalError as error:
            _log.warning("journal %s: %s", self._path, error)
        except Exception as error:
            self._note(error)
        else:
            return True
        return False

    def _transact(self, batch: Sequence[_Job]) -> None:
        """Write a batch, and note for each of it what came of it."""
        jobs = list(batch)
        together = True
        while self._broken is None:
            try:
                with self._transaction():
                    self._apply(jobs, together=together)
            except _Refused:
                together = False
                _forget_results(jobs)
            except _Undone as undone:
                jobs.remove(undone.job)
                _forget_results(jobs)
            except BaseException as error:  # the thread goes on: somebody waits for every answer
                self._refuse(jobs, self._note(error))
                return
            else:
                return
        self._refuse(jobs, self._broken)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._files.check()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._lease.count(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._lease.counted()

    def _apply(self, jobs: Sequence[_Job], *, together: bool) -> None:
        """Apply jobs, in any order: their tasks wait for them at the same time."""
        others = jobs
        if together:
            found = _sorted(jobs)
            others = found.others
            try:
                self._write_together(found)
            except REFUSALS as error:
                raise _Refused from error
        for job in others:
            self._apply_alone(job)

    def _write_together(self, found: _Sorted) -> None:
        """Write commits of different runs, and create runs, in as few statements as can be.

        There is no savepoint to go back to: SQLite would keep a copy of each page that it changes, in a file of its own.
        """
        if found.going_on:
            commits.write(self._db, found.going_on, commits.GO_ON)
        if found.turning:
            commits.write(self._db, found.turning, commits.TURN)
        if found.creating:
            self._create_together(found.creating)

    def _create_together(self, creating: Mapping[str, tuple[_Job, NewRun]]) -> None:
        used = creation.used(self._db, [run for _, run in creating.values()])
        for run_id, status in used.items():
            creating[run_id][0].result = outcome.Error(DuplicateRun(run_id, status))
        new = [found for run_id, found in creating.items() if run_id not in used]
        for (job, _), record in zip(new, creation.insert(self._db, [run for _, run in new]), strict=True):
            job.result = outcome.Value(record)

    def _apply_alone(self, job: _Job) -> None:
        try:
            with self._db:
                if job.commit is not None:
                    statements.commit(self._db, self._sql, job.commit)
                elif job.create is not None:
                    job.result = outcome.Value(creation.create(self._db, job.create))
                elif job.apply is not None:
                    job.result = outcome.Value(job.apply(self._db))
        except (apsw.ConstraintError, apsw.TooBigError) as error:
            job.result = outcome.Error(meaning(self._path, error))
        except REFUSALS as error:
            job.result = outcome.Error(error)
        except apsw.SQLError as error:  # there is no savepoint left to go back to
            refused = statement_failed(error)
            if refused is None or self._db.in_transaction:
                raise
            job.result = outcome.Error(refused)
            raise _Undone(job) from error

    def _note(self, error: BaseException) -> BaseException:
        """What went wrong first. Unless it may pass, nothing is written any more."""
        first = first_of(error)
        if self._db.in_transaction or not isinstance(first, PASSING):
            self._broken = first
        return first

    def _refuse(self, batch: Iterable[_Job], cause: BaseException) -> None:
        """Nothing of the batch is acknowledged."""
        for job in batch:
            error = refusal(self._path, cause)
            error.__cause__ = cause
            job.result = outcome.Error(error)


def _sorted(jobs: Iterable[_Job]) -> _Sorted:
    found = _Sorted()
    going_on, turning, creating, others = found.going_on, found.turning, found.creating, found.others
    runs: set[int] = set()
    for job in jobs:
        one, run = job.commit, job.create
        if one is not None and one.fence.run not in runs and statements.is_plain(one):
            runs.add(one.fence.run)
            (going_on if commits.goes_on(one) else turning).append(one)
        elif run is not None and run.run_id not in creating:
            creating[run.run_id] = job, run
        else:
            others.append(job)
    return found


def _forget_results(jobs: Iterable[_Job]) -> None:
    for job in jobs:
        job.result = None


def _size(one: Commit) -> int:
    """How many bytes of bodies a commit has to write."""
    size = 0 if one.data is None else len(one.data)
    for row in one.log:
        size += size_of(row)
    for cursor in one.cursors:
        size += len(cursor.body)
    for kept in one.outcomes:
        size += len(kept.body)
    return size


def _nothing() -> None:
    """What a run that goes on is asked to do."""
