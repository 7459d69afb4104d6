"""Schedules in the file: each is one row, which says which writing of it this is."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

import apsw
import msgspec
from msgspec.structs import replace

from ..._errors import JournalError
from ..rows import NewRun, RunRecord
from ..schedule_record import ScheduleRecord
from . import creation, statements
from .packed import UNREADABLE, check_that

TABLE: Final = """
    CREATE TABLE cano_schedule(name TEXT PRIMARY KEY, rev INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
    """
COLUMNS: Final = "name, rev, body, crc"

_to_json: Final = msgspec.json.Encoder().encode
_schedule: Final = msgspec.json.Decoder(ScheduleRecord).decode


def schedules(db: apsw.Connection) -> tuple[tuple[ScheduleRecord, ...], tuple[JournalError, ...]]:
    """All schedules, by their names; and what is wrong with those that can't be read."""
    found: list[ScheduleRecord] = []
    damaged: list[JournalError] = []
    for row in _rows(db):
        try:
            found.append(_unpack(row))
        except JournalError as error:
            damaged.append(error)
    return tuple(found), tuple(damaged)


def keep(db: apsw.Connection, schedule: ScheduleRecord) -> ScheduleRecord | None:
    """Write down where a schedule stands, unless that was done since; the record that is there instead.

    Raises:
        JournalError: that can't be read.
    """
    if (there := _overtaking(db, schedule.name, schedule.rev)) is not None:
        return there
    kept = replace(schedule, rev=schedule.rev + 1)
    body = _pack(kept)
    values = (kept.name, kept.rev, body, crc32(body))
    db.execute(f"INSERT OR REPLACE INTO cano_schedule({COLUMNS}) VALUES (?,?,?,?)", values)
    return None


def delete(db: apsw.Connection, name: str, rev: int) -> ScheduleRecord | None:
    """Forget a schedule, unless it was written since; the record that is there instead.

    Raises:
        JournalError: that can't be read.
    """
    if (there := _overtaking(db, name, rev)) is not None:
        return there
    db.execute("DELETE FROM cano_schedule WHERE name=?", (name,))
    return None


def _overtaking(db: apsw.Connection, name: str, rev: int) -> ScheduleRecord | None:
    """The record of a schedule, if there is another one than that writing of it."""
    row = db.execute(f"SELECT {COLUMNS} FROM cano_schedule WHERE name=?", (name,)).fetchone()
    return None if row is None or row[1] == rev else _unpack(row)


def fire(db: apsw.Connection, run: NewRun, schedule: ScheduleRecord) -> RunRecord | ScheduleRecord:
    """Create a run, and write down that a schedule has fired it; or the record that is there instead."""
    return keep(db, schedule) or creation.create(db, run)


def _rows(db: apsw.Connection) -> Iterator[Any]:
    """All rows, each read by itself: behind one whose text is none the driver would give no more."""
    for (number,) in db.execute("SELECT rowid FROM cano_schedule ORDER BY name").fetchall():
        try:
            yield db.execute(f"SELECT {COLUMNS} FROM cano_schedule WHERE rowid=?", (number,)).fetchone()
        except statements.NO_ROW:
            yield f"number {number}", 0, b"", None


def _pack(schedule: ScheduleRecord) -> bytes:
    """A record as it is kept.

    Raises:
        ValueError: one of its times is none, and would not come back.
    """
    packed = _to_json(schedule)
    if _schedule(packed) != schedule:
        raise ValueError(f"a time is infinite or no number, in {schedule}")
    return packed


def _unpack(row: Any) -> ScheduleRecord:
    name, rev, body, crc = row
    try:
        check_that(crc32(body) == crc)
        schedule = _schedule(body)
        check_that((schedule.name, schedule.rev) == (name, rev))
    except UNREADABLE as error:
        raise JournalError(
            f"schedule {name!r} can't be read: {error}. Its row was changed by something else. Remove it from the table "
            "cano_schedule to have it begin anew."
        ) from error
    return schedule
