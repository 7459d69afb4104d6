"""What is said to SQLite beside commits: every statement is fixed, and every value a parameter."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns, or of question marks

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final
from zlib import crc32

import apsw
import msgspec
from msgspec.structs import replace

from ..._errors import JournalError, LeaseLost, RunAlreadyEnded, RunNotFound
from ..._observe.status import RunStatus
from ..inbox import KEYS_KEPT, takes_messages
from ..rows import Commit, Cursor, Fence, Letter, LogRow, Outcome, RunRecord, StoredRun
from .commits import CHAIN, HISTORY, write
from .creation import create, hash_of
from .lease import Lease
from .packed import (
    KEPT,
    LETTER,
    RECORD,
    RUNS,
    UNREADABLE,
    check_that,
    pack_letter,
    pack_place,
    reading,
    unpack_kept,
    unpack_log,
    unpack_message,
    unpack_record,
    unpack_visits,
    unreadable,
)
from .user_sql import UserSql

FORGET_LABEL: Final = "DELETE FROM cano_label WHERE name=? AND value=? AND run=?"
POST: Final = f"INSERT INTO cano_inbox(run, number, {LETTER}) VALUES (?,?,?,?,?,?,?,?)"
CALL: Final = (
    "UPDATE cano_place SET ready=priority WHERE number=? AND owner IS NULL AND status='waiting'"
    " AND (SELECT parent IS NULL FROM cano_run WHERE cano_run.number=cano_place.number)"
)
TELL: Final = "INSERT INTO cano_news(run) VALUES (?)"
FORGET_NEWS: Final = "DELETE FROM cano_news WHERE id<=?"
NEWS_KEPT: Final = 10_000
"""How many messages are remembered for those who ask who has got any; who is later than that is told of all its runs."""

KEEP_KEY: Final = (
    "INSERT INTO cano_key(run, place, key) SELECT ?1, 1 + coalesce(max(place), 0), ?2 FROM cano_key WHERE run=?1"
)
FORGET_KEYS: Final = (
    "DELETE FROM cano_key WHERE run=?1 AND place <= (SELECT max(place) FROM cano_key WHERE run=?1) - ?2"
)
SETTLED_RUNS: Final = (
    f"SELECT {RECORD} FROM {RUNS} WHERE settled_at<? AND NOT EXISTS (SELECT 1 FROM cano_run AS above"
    " JOIN cano_place AS there USING (number) WHERE above.run_id=cano_run.parent AND there.unfinished)"
    " ORDER BY settled_at LIMIT ?"
)
FOUND: Final = f"SELECT {RECORD}, data, data.crc FROM {RUNS} LEFT JOIN cano_data AS data ON run=number WHERE run_id=?"
REMOVED_AT_ONCE: Final = 20
"""How many runs one transaction removes: each may have a thousand rows, and commits wait meanwhile."""

OF_RUNS: Final = ("cano_data", "cano_cursor", "cano_outcome", "cano_inbox", "cano_key", "cano_news")
"""Tables whose rows are found by their run."""

PAGE: Final = 1000
"""How many rows are read, and then unpacked, at a time."""

NO_ROW: Final = (UnicodeDecodeError, apsw.TooBigError)
"""What is raised in place of a row whose texts are none, or that is far too large."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list."""

    workflow: str | None
    status: frozenset[RunStatus] | None
    labels: Mapping[str, str]
    parent: str | None
    due: float | None
    after: int
    before: int | None
    limit: int

    def select(self, columns: str) -> tuple[str, tuple[Any, ...]]:
        """The statement that finds them in order, and its parameters."""
        terms = dict(self._terms())
        values = tuple(value for parameters in terms.values() for value in parameters)
        order = self._number() if self.before is None else f"{self._number()} DESC"
        return f"SELECT {columns} FROM {RUNS} WHERE {' AND '.join(terms)} ORDER BY {order}", values

    @property
    def _is_unfinished(self) -> bool:
        return self.status is not None and not any(status.ended for status in self.status)

    def _number(self) -> str:
        """A run's number in the table that leads to those that are wanted.

        It is not to be gone through in its own order, where there is an index of those that are due.
        """
        if self.due is not None:
            return "+cano_place.number"
        return "cano_place.number" if self._is_unfinished else "cano_run.number"

    def _terms(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        yield f"{self._number()}>?", (self.after,)
        if self.before is not None:
            yield f"{self._number()}<?", (self.before,)
        if self.workflow is not None:
            yield "workflow=?", (self.workflow,)
        if self.status is not None:
            yield f"status IN ({','.join('?' * len(self.status))})", tuple(status.value for status in self.status)
        if self._is_unfinished:
            yield "unfinished", ()  # as the index says
        if self.parent is not None:
            yield "parent=?", (self.parent,)
        if self.due is not None:
            yield "due_at<=?", (self.due,)
        if self.labels:
            found = " INTERSECT ".join(["SELECT run FROM cano_label WHERE name=? AND value=?"] * len(self.labels))
            yield f"cano_run.number IN ({found})", tuple(text for label in self.labels.items() for text in label)


ALL: Final = Wanted(
    workflow=None, status=None, labels={}, parent=None, due=None, after=0, before=None, limit=sys.maxsize
)


def commit(db: apsw.Connection, sql: UserSql, one: Commit) -> int:
    """Apply a commit with all that goes along; the caller rolls back what a failure leaves half done."""
    write(db, [one])
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


def post(db: apsw.Connection, letter: Letter) -> int | None:
    """Put a message into a run's inbox, unless it was there."""
    wanted = f"SELECT number, status, posted FROM {RUNS} WHERE run_id=?"
    found = db.execute(wanted, (_text(letter.run_id),)).fetchone()
    if found is None:
        raise RunNotFound(letter.run_id)
    run, status, posted = found
    if letter.key is not None:
        if db.execute("SELECT 1 FROM cano_key WHERE run=? AND key=?", (run, letter.key)).get:
            return None
        db.execute(KEEP_KEY, (run, letter.key))
        db.execute(FORGET_KEYS, (run, KEYS_KEPT))
    with reading(letter.run_id):
        takes = takes_messages(RunStatus(status))
        number = int(posted) + 1
    if not takes:
        raise RunAlreadyEnded(letter.run_id, status)
    db.execute("UPDATE cano_run SET posted=?, kept=kept+1 WHERE number=?", (number, run))
    db.execute(CALL, (run,))
    db.execute(TELL, (run,))
    db.execute(FORGET_NEWS, (db.last_insert_rowid() - NEWS_KEPT,))
    db.execute(POST, (run, number, *pack_letter(letter, number)))
    return number


def claim(db: apsw.Connection, lease: Lease, run_id: str) -> StoredRun | None:
    """Take a run over, unless another living process holds it."""
    record, data = _found(db, run_id)
    died = record.owner is not None and record.owner != lease.owner
    if record.owner is not None and died and not lease.take_over(db, record.owner):
        return None
    epoch, crashes = record.epoch + 1, record.crashes + died
    place = pack_place(record.position, record.number, epoch, record.rev, crashes)
    taken = "UPDATE cano_place SET owner=?, epoch=?, place=?, crc=?, ready=NULL WHERE number=?"
    db.execute(taken, (lease.owner, epoch, *place, record.number))
    return _with_rows(db, replace(record, owner=lease.owner, epoch=epoch, crashes=crashes), data)


def delete(db: apsw.Connection, run_id: str, fence: Fence) -> None:
    """Remove a run with all its rows; the hash of its id stays."""
    record, _ = _found(db, run_id, LeaseLost(run_id, fence.owner))
    if record.owner is None or record.fence != fence:
        raise LeaseLost(run_id, fence.owner)
    remove(db, record)


def is_any_settled(db: apsw.Connection, before: float) -> bool:
    """Whether there are runs for `remove_settled`."""
    return db.execute(SETTLED_RUNS, (before, 1)).fetchone() is not None


def remove_settled(db: apsw.Connection, before: float) -> bool:
    """Remove a few runs that are settled since before an instant and have no living parent; whether there may be more.

    Args:
        db: the connection.
        before: the instant, in wall-clock seconds.
    """
    removed = 0
    rows = db.execute(SETTLED_RUNS, (before, REMOVED_AT_ONCE)).fetchall()
    for row in rows:
        with suppress(*UNREADABLE):  # whoever examines the journal is told of it
            remove(db, unpack_record(row))
            removed += 1
    return removed > 0 and len(rows) == REMOVED_AT_ONCE


def remove(db: apsw.Connection, record: RunRecord) -> None:
    """Remove a run with all its rows; the hash of its id stays."""
    number = record.number
    kept = (hash_of(record.run_id), record.position.status.value)
    db.execute("INSERT INTO cano_removed(hash, status) VALUES (?,?)", kept)
    db.execute(f"{CHAIN} DELETE FROM cano_log WHERE id IN chain AND run=?1", (number,))
    for table in OF_RUNS:
        db.execute(f"DELETE FROM {table} WHERE run=?", (number,))
    db.executemany(FORGET_LABEL, [(name, value, number) for name, value in record.labels.items()])
    for table in ("cano_place", "cano_run"):
        db.execute(f"DELETE FROM {table} WHERE number=?", (number,))


def load(db: apsw.Connection, run_id: str) -> StoredRun:
    """All that resuming a run needs."""
    return _with_rows(db, *_found(db, run_id))


def _with_rows(db: apsw.Connection, record: RunRecord, data: bytes) -> StoredRun:
    """A run with what is kept beside it."""
    run, run_id = record.number, record.run_id
    order = "WHERE run=? ORDER BY seq, part"
    cursors = db.execute(f"SELECT {KEPT} FROM cano_cursor {order}", (run,))
    outcomes = db.execute(f"SELECT {KEPT} FROM cano_outcome {order}", (run,))
    inbox = db.execute(f"SELECT number, {LETTER} FROM cano_inbox WHERE run=? ORDER BY number", (run,))
    known = "SELECT kept, visits, visits_crc, posted FROM cano_run WHERE number=?"
    rows: list[Any] = db.execute(known, (run,)).fetchall()
    kept, visits, crc, posted = rows[0]
    with reading(run_id):
        stored = StoredRun(
            record=record,
            data=data,
            cursors=tuple(unpack_kept(Cursor, row, run) for row in cursors),
            outcomes=tuple(unpack_kept(Outcome, row, run) for row in outcomes),
            messages=tuple(unpack_message(row, run_id) for row in inbox),
            visits=unpack_visits(visits, crc),
            posted=posted,
        )
        check_that(len(stored.cursors) + len(stored.outcomes) + len(stored.messages) == kept)
    return stored


def history(db: apsw.Connection, run_id: str) -> tuple[LogRow, ...]:
    """The finished states of a run, in the order of their commits."""
    run = _found(db, run_id)[0].number
    with reading(run_id):
        found = tuple(unpack_log(row, crc, run) for _, row, crc in db.execute(HISTORY, (run,)))
        check_that(len(found) >= db.execute("SELECT log_rows FROM cano_place WHERE number=?", (run,)).get)
    return found


def runs(db: apsw.Connection, wanted: Wanted) -> tuple[tuple[RunRecord, ...], tuple[JournalError, ...]]:
    """Runs in the order of their creation, a page at a time; and what is wrong with those that can't be read."""
    try:
        found, damaged = _runs(db, db.execute(*wanted.select(RECORD)), wanted.limit)
    except NO_ROW:  # the driver gives no more rows after it
        numbers = db.execute(*wanted.select("cano_run.number")).fetchall()
        found, damaged = _runs(db, _rows_one_by_one(db, numbers), wanted.limit)
    return found if wanted.before is None else found[::-1], damaged


def _runs(
    db: apsw.Connection, rows: Iterator[Any], limit: int
) -> tuple[tuple[RunRecord, ...], tuple[JournalError, ...]]:
    found: list[RunRecord] = []
    damaged: list[JournalError] = []
    while page := list(islice(rows, min(limit - len(found), PAGE))):
        try:
            found += [unpack_record(row) for row in page]
        except UNREADABLE:  # one of them
            for row in page:
                try:
                    found.append(unpack_record(row))
                except UNREADABLE as error:
                    damaged.append(unreadable(_name_of(db, row[0]), error))
    return tuple(found), tuple(damaged)


def _rows_one_by_one(db: apsw.Connection, numbers: list[Any]) -> Iterator[Any]:
    for (number,) in numbers:
        try:
            yield db.execute(f"SELECT {RECORD} FROM {RUNS} WHERE number=?", (number,)).fetchone()
        except NO_ROW:
            yield (number,)


def _name_of(db: apsw.Connection, number: int) -> str:
    try:
        return str(db.execute("SELECT run_id FROM cano_run WHERE number=?", (number,)).get)
    except NO_ROW:
        return f"number {number}"


def _found(db: apsw.Connection, run_id: str, otherwise: JournalError | None = None) -> tuple[RunRecord, bytes]:
    """A run and its data."""
    with reading(run_id):
        row = db.execute(FOUND, (_text(run_id),)).fetchone()
        if row is None:
            raise otherwise or RunNotFound(run_id)
        *columns, data, data_crc = row
        record = unpack_record(columns)
        check_that(crc32(data, record.number) == data_crc and record.run_id == run_id)
        return record, data


def _text(run_id: str) -> str | None:
    """An id as SQLite can be asked for it; None, which is no run's, if it has no UTF-8 form."""
    try:
        run_id.encode()
    except UnicodeEncodeError:
        return None
    return run_id
