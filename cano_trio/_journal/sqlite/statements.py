"""What is said to SQLite: every statement is fixed, and every value a parameter."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns from this module

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from itertools import chain
from typing import Any

import apsw
import msgspec

from ..._errors import DuplicateRun, JournalError, LeaseLost, RunAlreadyEnded, RunNotFound
from ..._observe.status import RunStatus
from ..inbox import KEYS_KEPT, takes_messages
from ..memory import created
from ..rows import (
    Commit,
    Cursor,
    Fence,
    Letter,
    LogRow,
    Message,
    NewRun,
    Outcome,
    Position,
    RunRecord,
    StoredError,
    StoredRun,
)
from .lease import Lease
from .user_sql import UserSql

POSITION = "state, status, seq, entered_at, due_at, deadline_at, ended_at, reason, error"
RECORD = f"number, run_id, workflow, version, {POSITION}, labels, priority, parent, owner, epoch, rev, crashes"
LOG = "seq, state, next, kind, part, attempts, entered_at, finished_at, receipt, messages, data, version, error"

INSERT_RUN = (
    f"INSERT INTO cano_run(run_id, workflow, version, {POSITION}, labels, priority, parent, owner, data, epoch, rev, crashes, posted)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,1,0,0,0)"
)
INSERT_LOG = (
    f"INSERT INTO cano_log({LOG}, id, run, prior) VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,coalesce(?,(SELECT last_log FROM cano_run WHERE number=?)))",
    "",
)
UPDATE_RUN = (
    (f"WITH new({POSITION}, version, data, last_log, release, number, owner, epoch, rev) AS (VALUES "),
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    (
        ") UPDATE cano_run SET rev=new.rev+1, crashes=0, state=new.state, status=new.status, seq=new.seq,"
        " entered_at=new.entered_at, due_at=new.due_at, deadline_at=new.deadline_at, ended_at=new.ended_at, reason=new.reason,"
        " error=new.error, version=coalesce(new.version,cano_run.version), data=coalesce(new.data,cano_run.data), last_log=coalesce(new.last_log,cano_run.last_log),"
        " owner=iif(new.release,NULL,cano_run.owner) FROM new WHERE cano_run.number=new.number AND cano_run.owner=new.owner"
        " AND cano_run.epoch=new.epoch AND cano_run.rev=new.rev"
    ),
)
CHUNKS = (64, 8, 1)
"""How many rows one statement writes: SQLite's driver lets the interpreter go at every step, and beside a busy loop it
gets it back late."""

FORGET_CURSORS = "DELETE FROM cano_cursor WHERE run=? AND seq<=?"
FORGET_OUTCOMES = "DELETE FROM cano_outcome WHERE run=? AND seq<=?"
KEEP_LABEL = "INSERT INTO cano_label(name, value, run) VALUES (?,?,?)"
KEEP_CURSOR = "INSERT OR REPLACE INTO cano_cursor(run, seq, part, body) VALUES (?,?,?,?)"
CONSUME = "DELETE FROM cano_inbox WHERE run=? AND number=?"
KEEP_OUTCOME = "INSERT OR REPLACE INTO cano_outcome(run, seq, part, body) VALUES (?,?,?,?)"
CHAIN = (
    "WITH RECURSIVE chain(id) AS (SELECT last_log FROM cano_run WHERE number=? UNION ALL"
    " SELECT prior FROM cano_log JOIN chain USING(id) WHERE prior IS NOT NULL)"
)
LETTER = "kind, body, key, sent_at, version"
POST = f"INSERT INTO cano_inbox(run, number, {LETTER}) VALUES (?,?,?,?,?,?,?)"
KEEP_KEY = "INSERT INTO cano_key(run, place, key) SELECT ?1, 1 + coalesce(max(place), 0), ?2 FROM cano_key WHERE run=?1"
FORGET_KEYS = "DELETE FROM cano_key WHERE run=?1 AND place <= (SELECT max(place) FROM cano_key WHERE run=?1) - ?2"
UNFINISHED = "status NOT IN ('completed', 'failed', 'rolled_back', 'cancelled', 'rollback_failed')"
"""As the index says it: it is used only by those who say the same."""

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
    record = created(run, db.last_insert_rowid())
    if run.labels:
        db.executemany(KEEP_LABEL, [(name, value, record.number) for name, value in run.labels.items()])
    return record


def commit(db: apsw.Connection, sql: UserSql, one: Commit) -> int:
    """Apply a commit with all that goes along; the caller rolls back what a failure leaves half done."""
    commit_together(db, [one])
    for statement in one.statements:
        sql.run(statement)
    for run in one.starts:
        create(db, run)
    for other in one.along:
        commit(db, sql, other)
    for letter in one.sends:
        post(db, letter)
    return one.fence.rev + 1


def is_plain(one: Commit) -> bool:
    """Whether a commit changes nothing but its own run."""
    return not (one.statements or one.starts or one.along or one.sends)


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
            *plain, error = msgspec.structs.astuple(row)
            rows.append((*plain, _packed(error), number, fence.run, last, fence.run))
            last = number
        place = (fence.run, fence.owner, fence.epoch, fence.rev)
        updates.append((*_position(one.position), one.version, one.data, last, one.release, *place))
    return rows, updates


def _kept(commits: Sequence[Commit]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """What is forgotten and kept beside the runs, as statements with their parameters."""
    yield FORGET_CURSORS, [(c.fence.run, c.forget_cursors) for c in commits if c.forget_cursors is not None]
    yield FORGET_OUTCOMES, [(c.fence.run, c.forget_outcomes) for c in commits if c.forget_outcomes is not None]
    yield KEEP_CURSOR, [(c.fence.run, row.seq, row.part, row.body) for c in commits for row in c.cursors]
    yield CONSUME, [(c.fence.run, number) for c in commits for number in c.consumed]
    yield KEEP_OUTCOME, [(c.fence.run, row.seq, row.part, row.body) for c in commits for row in c.outcomes]


def post(db: apsw.Connection, letter: Letter) -> int | None:
    """Put a message into a run's inbox, unless it was there."""
    found = db.execute("SELECT number, status, posted FROM cano_run WHERE run_id=?", (_text(letter.run_id),)).fetchone()
    if found is None:
        raise RunNotFound(letter.run_id)
    run, status, posted = found
    if letter.key is not None:
        if db.execute("SELECT 1 FROM cano_key WHERE run=? AND key=?", (run, letter.key)).get:
            return None
        db.execute(KEEP_KEY, (run, letter.key))
        db.execute(FORGET_KEYS, (run, KEYS_KEPT))
    if not takes_messages(_status(letter.run_id, status)):
        raise RunAlreadyEnded(letter.run_id, status)
    db.execute("UPDATE cano_run SET posted=? WHERE number=?", (posted + 1, run))
    db.execute(POST, (run, posted + 1, letter.kind, letter.body, letter.key, letter.sent_at, letter.version))
    return int(posted) + 1


def claim(db: apsw.Connection, lease: Lease, run_id: str) -> StoredRun | None:
    """Take a run over, unless another living process holds it."""
    record = _found(db, run_id).record
    died = record.owner is not None and record.owner != lease.owner
    if record.owner is not None and died and not lease.take_over(db, record.owner):
        return None
    taken = "UPDATE cano_run SET owner=?, epoch=epoch+1, crashes=crashes+? WHERE number=?"
    db.execute(taken, (lease.owner, int(died), record.number))
    return load(db, run_id)


def delete(db: apsw.Connection, run_id: str, fence: Fence) -> None:
    """Remove a run with all its rows; the hash of its id stays."""
    number = fence.run
    place = (number, fence.owner, fence.epoch, fence.rev)
    found = db.execute("SELECT status, labels FROM cano_run WHERE number=? AND owner=? AND epoch=? AND rev=?", place)
    if (row := found.fetchone()) is None:
        raise LeaseLost(run_id, fence.owner)
    status, labels = row
    db.execute("INSERT INTO cano_removed(hash, status) VALUES (?,?)", (_hash(run_id), status))
    db.execute(f"{CHAIN} DELETE FROM cano_log WHERE id IN chain", (number,))
    for table in ("cano_cursor", "cano_outcome", "cano_inbox", "cano_key"):
        db.execute(f"DELETE FROM {table} WHERE run=?", (number,))
    forget = "DELETE FROM cano_label WHERE name=? AND value=? AND run=?"
    db.executemany(forget, [(name, value, number) for name, value in _labels(labels).items()])
    db.execute("DELETE FROM cano_run WHERE number=?", (number,))


def load(db: apsw.Connection, run_id: str) -> StoredRun:
    """All that resuming a run needs."""
    stored = _found(db, run_id)
    number = (stored.record.number,)
    cursors = db.execute("SELECT seq, part, body FROM cano_cursor WHERE run=? ORDER BY seq, part", number)
    outcomes = db.execute("SELECT seq, part, body FROM cano_outcome WHERE run=? ORDER BY seq, part", number)
    inbox = db.execute(f"SELECT number, {LETTER} FROM cano_inbox WHERE run=? ORDER BY number", number)
    return StoredRun(
        record=stored.record,
        data=stored.data,
        cursors=tuple(Cursor(*row) for row in cursors),
        outcomes=tuple(Outcome(*row) for row in outcomes),
        messages=tuple(_message(run_id, *row) for row in inbox),
    )


def history(db: apsw.Connection, run_id: str) -> tuple[LogRow, ...]:
    """The finished states of a run, in the order of their commits."""
    number = _found(db, run_id).record.number
    rows = db.execute(f"{CHAIN} SELECT {LOG} FROM cano_log WHERE id IN chain ORDER BY id", (number,))
    return tuple(_log_row(run_id, *row) for row in rows)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list."""

    workflow: str | None
    status: frozenset[RunStatus] | None
    labels: Mapping[str, str]
    parent: str | None
    after: int
    limit: int

    def select(self) -> tuple[str, tuple[Any, ...]]:
        """The statement that finds them in order, and its parameters."""
        terms: list[tuple[str, tuple[Any, ...]]] = [("number>?", (self.after,))]
        if self.workflow is not None:
            terms.append(("workflow=?", (self.workflow,)))
        if self.status is not None:
            terms.append((f"status IN ({_marks(self.status)})", tuple(status.value for status in self.status)))
            if not any(status.ended for status in self.status):
                terms.append((UNFINISHED, ()))
        if self.parent is not None:
            terms.append(("parent=?", (self.parent,)))
        terms += [
            ("number IN (SELECT run FROM cano_label WHERE name=? AND value=?)", pair) for pair in self.labels.items()
        ]
        conditions = " AND ".join(condition for condition, _ in terms)
        parameters = chain.from_iterable(values for _, values in terms)
        return f"SELECT {RECORD} FROM cano_run WHERE {conditions} ORDER BY number", tuple(parameters)


def runs(db: apsw.Connection, wanted: Wanted) -> tuple[tuple[RunRecord, ...], tuple[JournalError, ...]]:
    """Runs in the order of their creation, a page at a time; and what is wrong with those that can't be read."""
    found: list[RunRecord] = []
    unreadable: list[JournalError] = []
    for row in db.execute(*wanted.select()):
        if len(found) >= wanted.limit:
            break
        try:
            found.append(_record(row))
        except JournalError as error:
            unreadable.append(error)
    return tuple(found), tuple(unreadable)


def _found(db: apsw.Connection, run_id: str) -> StoredRun:
    """A run without what is kept beside it."""
    row = db.execute(f"SELECT {RECORD}, data FROM cano_run WHERE run_id=?", (_text(run_id),)).fetchone()
    if row is None:
        raise RunNotFound(run_id)
    return StoredRun(record=_record(row), data=row[-1])


def _record(row: Sequence[Any]) -> RunRecord:
    """A run, as it was written."""
    try:
        return _decoded(row)
    except ValueError as error:  # of msgspec, of the status
        raise _unreadable(row[1], error) from error


def _decoded(row: Sequence[Any]) -> RunRecord:
    number, run_id, workflow, version, state, status, seq, entered, due, deadline, ended, reason, error, *rest = row
    labels, priority, parent, owner, epoch, rev, crashes = rest[:7]
    position = Position(
        state=state,
        status=RunStatus(status),
        seq=seq,
        entered_at=entered,
        due_at=due,
        deadline_at=deadline,
        ended_at=ended,
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
    state, status, seq, entered, due, deadline, ended, reason, error = msgspec.structs.astuple(position)
    return state, status.value, seq, entered, due, deadline, ended, reason, _packed(error)


def _packed(error: StoredError | None) -> bytes | None:
    return None if error is None else _encode(error)


def _log_row(run_id: str, *row: Any) -> LogRow:
    *plain, error = row
    try:
        stored = None if error is None else _error(error)
    except ValueError as wrong:
        raise _unreadable(run_id, wrong) from wrong
    return LogRow(**dict(zip(LogRow.__struct_fields__, (*plain, stored), strict=True)))


def _message(
    run_id: str, number: int, kind: str, body: bytes, key: str | None, sent_at: float, version: int
) -> Message:
    letter = Letter(run_id=run_id, kind=kind, body=body, key=key, sent_at=sent_at, version=version)
    return Message(number=number, letter=letter)


def _status(run_id: str, status: str) -> RunStatus:
    try:
        return RunStatus(status)
    except ValueError as error:
        raise _unreadable(run_id, error) from error


def _unreadable(run_id: str, error: Exception) -> JournalError:
    return JournalError(f"run {run_id!r} can't be read: {error}. Its row was changed by something else.")


def _text(run_id: str) -> str | None:
    """An id as SQLite can be asked for it; None, which is no run's, if it has no UTF-8 form."""
    try:
        run_id.encode()
    except UnicodeEncodeError:
        return None
    return run_id


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))


def _hash(run_id: str) -> bytes:
    return blake2b(run_id.encode(), digest_size=16).digest()
