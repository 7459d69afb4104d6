"""What is said to SQLite: every statement is fixed, and every value a parameter."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns from this module

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from itertools import chain
from typing import Any

import apsw
import msgspec

from ..._errors import DuplicateRun, JournalError, LeaseLost, RunNotFound
from ..._observe.status import RunStatus
from ..rows import Commit, Cursor, Fence, LogRow, NewRun, Outcome, Position, RunRecord, StoredError, StoredRun
from .owners import OwnerLocks

POSITION = "state, status, seq, entered_at, due_at, deadline_at, reason, error"
RECORD = f"number, run_id, workflow, version, {POSITION}, labels, priority, parent, owner, epoch, rev, crashes"
LOG = "seq, state, next, kind, part, attempts, entered_at, finished_at, receipt, messages, data"

INSERT_RUN = (
    f"INSERT INTO cano_run(run_id, workflow, version, {POSITION}, labels, priority, parent, owner, data, epoch, rev, crashes)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,1,0,0)"
)
INSERT_LOG = (
    f"INSERT INTO cano_log({LOG}, id, run, prior) VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,coalesce(?,(SELECT last_log FROM cano_run WHERE number=?)))",
    "",
)
UPDATE_RUN = (
    (
        "WITH new(state, status, seq, entered_at, due_at, deadline_at, reason, error, data, last_log, release, number, owner,"
        " epoch, rev) AS (VALUES "
    ),
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    (
        ") UPDATE cano_run SET rev=new.rev+1, crashes=0, state=new.state, status=new.status, seq=new.seq,"
        " entered_at=new.entered_at, due_at=new.due_at, deadline_at=new.deadline_at, reason=new.reason, error=new.error,"
        " data=coalesce(new.data,cano_run.data), last_log=coalesce(new.last_log,cano_run.last_log),"
        " owner=iif(new.release,NULL,cano_run.owner) FROM new WHERE cano_run.number=new.number AND cano_run.owner=new.owner"
        " AND cano_run.epoch=new.epoch AND cano_run.rev=new.rev"
    ),
)
CHUNKS = (64, 8, 1)
"""How many rows one statement writes: SQLite's driver lets the interpreter go at every step, and beside a busy loop it
gets it back late."""

FORGET_CURSORS = "DELETE FROM cano_cursor WHERE run=? AND seq<=?"
FORGET_OUTCOMES = "DELETE FROM cano_outcome WHERE run=? AND seq<=?"
KEEP_CURSOR = "INSERT OR REPLACE INTO cano_cursor(run, seq, part, body) VALUES (?,?,?,?)"
KEEP_OUTCOME = "INSERT OR REPLACE INTO cano_outcome(run, seq, part, body) VALUES (?,?,?,?)"
CHAIN = (
    "WITH RECURSIVE chain(id) AS (SELECT last_log FROM cano_run WHERE number=? UNION ALL"
    " SELECT prior FROM cano_log JOIN chain USING(id) WHERE prior IS NOT NULL)"
)
RUNS = (
    f"SELECT {RECORD} FROM cano_run WHERE number>?1 AND (?2 IS NULL OR workflow=?2) AND (?3 IS NULL OR status=?3)"
    " ORDER BY number LIMIT ?4"
)

_encode = msgspec.json.Encoder().encode
_error = msgspec.json.Decoder(StoredError).decode
_labels = msgspec.json.Decoder(dict[str, str]).decode


def create(db: apsw.Connection, run: NewRun) -> RunRecord:
    """Create a run."""
    gone = db.execute("SELECT status FROM cano_removed WHERE hash=?", (_hash(run.run_id),)).get
    gone = gone or db.execute("SELECT status FROM cano_run WHERE run_id=?", (run.run_id,)).get
    if gone:
        raise DuplicateRun(run.run_id, gone)
    named = (run.run_id, run.workflow, run.version)
    rest = (_encode(run.labels), run.priority, run.parent, run.owner, run.data)
    db.execute(INSERT_RUN, (*named, *_position(run.position), *rest))
    return _found(db, run.run_id).record


def commit(db: apsw.Connection, one: Commit) -> int:
    """Apply a commit with all that goes along; the caller rolls back what a failure leaves half done."""
    commit_together(db, [one])
    for run in one.starts:
        create(db, run)
    for other in one.along:
        commit(db, other)
    return one.fence.rev + 1


def are_alike(commits: Sequence[Commit]) -> bool:
    """Whether commits can be applied statement by statement: each is of another run, and nothing goes along."""
    plain = not any(one.starts or one.along for one in commits)
    return plain and len({one.fence.run for one in commits}) == len(commits)


def commit_together(db: apsw.Connection, commits: Sequence[Commit]) -> None:
    """Apply commits of different runs, without what goes along, with as few statements as there can be.

    Raises:
        LeaseLost: the fence of one of them does not hold; if there are several, the error may name another.
    """
    first = (db.execute("SELECT max(id) FROM cano_log").get or 0) + 1
    rows, updates = _numbered(commits, first)
    _write_rows(db, INSERT_LOG, rows)
    before = db.total_changes()
    _write_rows(db, UPDATE_RUN, updates)
    if db.total_changes() - before != len(commits):
        lost = commits[0]
        raise LeaseLost(lost.run_id, lost.fence.owner, lost.position.seq)
    for statement, parameters in _kept(commits):
        if parameters:
            db.executemany(statement, parameters)


def _write_rows(db: apsw.Connection, statement: tuple[str, str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows in large chunks first, so that there are few statements, and few different ones."""
    begun = 0
    for size in CHUNKS:
        while begun + size <= len(rows):
            db.execute(_of_rows(statement, size), tuple(chain.from_iterable(rows[begun : begun + size])))
            begun += size


@cache
def _of_rows(statement: tuple[str, str, str], count: int) -> str:
    """A statement for that many rows, of its beginning, what stands for a row, and its end."""
    head, row, tail = statement
    return f"{head}{','.join([row] * count)}{tail}"


def _numbered(commits: Sequence[Commit], first: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The parameters of the log rows and of the runs: each row of the log knows the one before it of its run."""
    rows: list[tuple[Any, ...]] = []
    updates = []
    for one in commits:
        fence = one.fence
        last = None
        for row in one.log:
            number = first + len(rows)
            rows.append((*msgspec.structs.astuple(row), number, fence.run, last, fence.run))
            last = number
        place = (fence.run, fence.owner, fence.epoch, fence.rev)
        updates.append((*_position(one.position), one.data, last, one.release, *place))
    return rows, updates


def _kept(commits: Sequence[Commit]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """What is forgotten and kept beside the runs, as statements with their parameters."""
    yield FORGET_CURSORS, [(c.fence.run, c.forget_cursors) for c in commits if c.forget_cursors is not None]
    yield FORGET_OUTCOMES, [(c.fence.run, c.forget_outcomes) for c in commits if c.forget_outcomes is not None]
    yield KEEP_CURSOR, [(c.fence.run, row.seq, row.part, row.body) for c in commits for row in c.cursors]
    yield KEEP_OUTCOME, [(c.fence.run, row.seq, row.part, row.body) for c in commits for row in c.outcomes]


def renew(db: apsw.Connection, locks: OwnerLocks, owner: str, until: float) -> None:
    """Begin or extend a lease, and hold the owner's lock."""
    taken = db.execute("SELECT lease_until IS NULL FROM cano_owner WHERE owner=?", (owner,)).get
    if taken:
        raise LeaseLost(None, owner)
    try:
        locks.hold(owner)
    except OSError as error:
        raise JournalError(f"the lock of process {owner} can't be held: {error}") from error
    db.execute("INSERT OR REPLACE INTO cano_owner(owner, lease_until) VALUES (?,?)", (owner, until))


def claim(db: apsw.Connection, locks: OwnerLocks, run_id: str, owner: str, now: float) -> StoredRun | None:
    """Take a run over, unless another living process holds it."""
    record = _found(db, run_id).record
    died = record.owner is not None and record.owner != owner
    if record.owner is not None and died:
        until = db.execute("SELECT lease_until FROM cano_owner WHERE owner=?", (record.owner,)).get
        if until is not None and until > now and not locks.is_dead(record.owner):
            return None
        db.execute("INSERT OR REPLACE INTO cano_owner(owner, lease_until) VALUES (?,NULL)", (record.owner,))
    taken = "UPDATE cano_run SET owner=?, epoch=epoch+1, crashes=crashes+? WHERE number=?"
    db.execute(taken, (owner, int(died), record.number))
    return load(db, run_id)


def release(db: apsw.Connection, owner: str) -> None:
    """Give back all runs of an owner, and end its lease."""
    db.execute("UPDATE cano_run SET owner=NULL WHERE owner=?", (owner,))
    db.execute("DELETE FROM cano_owner WHERE owner=?", (owner,))


def delete(db: apsw.Connection, run_id: str, fence: Fence) -> None:
    """Remove a run with all its rows; the hash of its id stays."""
    number = fence.run
    place = (number, fence.owner, fence.epoch, fence.rev)
    status = db.execute("SELECT status FROM cano_run WHERE number=? AND owner=? AND epoch=? AND rev=?", place).get
    if status is None:
        raise LeaseLost(run_id, fence.owner)
    db.execute("INSERT INTO cano_removed(hash, status) VALUES (?,?)", (_hash(run_id), status))
    db.execute(f"{CHAIN} DELETE FROM cano_log WHERE id IN chain", (number,))
    db.execute("DELETE FROM cano_cursor WHERE run=?", (number,))
    db.execute("DELETE FROM cano_outcome WHERE run=?", (number,))
    db.execute("DELETE FROM cano_run WHERE number=?", (number,))


def load(db: apsw.Connection, run_id: str) -> StoredRun:
    """All that resuming a run needs."""
    stored = _found(db, run_id)
    number = (stored.record.number,)
    cursors = db.execute("SELECT seq, part, body FROM cano_cursor WHERE run=? ORDER BY seq, part", number)
    outcomes = db.execute("SELECT seq, part, body FROM cano_outcome WHERE run=? ORDER BY seq, part", number)
    kept = tuple(Cursor(*row) for row in cursors), tuple(Outcome(*row) for row in outcomes)
    return StoredRun(record=stored.record, data=stored.data, cursors=kept[0], outcomes=kept[1])


def history(db: apsw.Connection, run_id: str) -> tuple[LogRow, ...]:
    """The finished states of a run, in the order of their commits."""
    number = _found(db, run_id).record.number
    rows = db.execute(f"{CHAIN} SELECT {LOG} FROM cano_log WHERE id IN chain ORDER BY id", (number,))
    return tuple(_log_row(*row) for row in rows)


def runs(
    db: apsw.Connection, workflow: str | None, status: RunStatus | None, after: int, limit: int
) -> tuple[RunRecord, ...]:
    """Runs in the order of their creation, a page at a time."""
    wanted = (after, workflow, status and status.value, limit)
    return tuple(_record(row) for row in db.execute(RUNS, wanted))


def _found(db: apsw.Connection, run_id: str) -> StoredRun:
    """A run without what is kept beside it."""
    try:
        row = db.execute(f"SELECT {RECORD}, data FROM cano_run WHERE run_id=?", (run_id,)).fetchone()
    except UnicodeEncodeError:  # no run has such an id
        row = None
    if row is None:
        raise RunNotFound(run_id)
    return StoredRun(record=_record(row), data=row[-1])


def _record(row: Sequence[Any]) -> RunRecord:
    """A run, as it was written."""
    try:
        return _decoded(row)
    except ValueError as error:  # of msgspec, of the status
        raise JournalError(f"run {row[1]!r} can't be read: {error}. Its row was changed by something else.") from error


def _decoded(row: Sequence[Any]) -> RunRecord:
    number, run_id, workflow, version, state, status, seq, entered, due, deadline, reason, error, *rest = row
    labels, priority, parent, owner, epoch, rev, crashes = rest[:7]
    position = Position(
        state=state,
        status=RunStatus(status),
        seq=seq,
        entered_at=entered,
        due_at=due,
        deadline_at=deadline,
        reason=reason,
        error=None if error is None else _error(error),
    )
    return RunRecord(
        number=number,
        run_id=run_id,
        workflow=workflow,
        version=version,
        position=position,
        labels=_labels(labels),
        priority=priority,
        parent=parent,
        owner=owner,
        epoch=epoch,
        rev=rev,
        crashes=crashes,
    )


def _position(position: Position) -> tuple[Any, ...]:
    error = None if position.error is None else _encode(position.error)
    state, status, seq, entered, due, deadline, reason, _ = msgspec.structs.astuple(position)
    return state, status.value, seq, entered, due, deadline, reason, error


def _log_row(*row: Any) -> LogRow:
    return LogRow(**dict(zip(LogRow.__struct_fields__, row, strict=True)))


def _hash(run_id: str) -> bytes:
    return blake2b(run_id.encode(), digest_size=16).digest()
