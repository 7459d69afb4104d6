"""Which runs have something to do and which have got messages, as a journal's file tells."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns from these modules

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Any, Final

import apsw
import msgspec

from ..._errors import RunNotFound
from ..claiming import first_first, has_work
from ..rows import Message, News, RunRecord
from .lease import Lease
from .packed import LETTER, RECORD, RUNS, UNREADABLE, reading, unpack_message, unpack_record

_UNHELD: Final = "(owner IS NULL OR owner IN (SELECT value FROM json_each(?)))"
_OF: Final = "parent IS NULL AND workflow IN (SELECT value FROM json_each(?))"
_READY: Final = f"SELECT {RECORD}, posted FROM {RUNS} WHERE ready IS NOT NULL AND {_OF} ORDER BY ready DESC, number"
_DUE: Final = (
    f"SELECT number FROM {RUNS} WHERE due_at<=? AND unfinished AND {_UNHELD} AND {_OF} ORDER BY priority DESC, due_at"
)
_ONE: Final = f"SELECT {RECORD}, posted FROM {RUNS} WHERE number=?"
_ORPHANS: Final = (
    f"SELECT {RECORD}, posted FROM {RUNS} WHERE owner IN (SELECT value FROM json_each(?)) AND unfinished AND {_OF}"
)
_NEXT: Final = (
    f"SELECT due_at FROM {RUNS} WHERE due_at>? AND unfinished AND {_UNHELD} AND {_OF} ORDER BY due_at LIMIT 1"
)


def claimable(
    db: apsw.Connection, lease: Lease, workflows: Collection[str] | None, now: float, limit: int
) -> tuple[RunRecord, ...]:
    """Runs that have something to do, and that no living process holds."""
    names = _names(db, workflows)
    dead = _json(sorted(lease.dead(db)))
    due = (db.execute(_ONE, number).fetchone() for number in db.execute(_DUE, (now, dead, names)))
    # As many as are asked for can't be left to SQLite: there may be some that can't be read, or have nothing to do.
    found = (
        islice(_readable(db.execute(_READY, (names,)), now), limit),
        islice(_readable(due, now), limit),
        _readable(db.execute(_ORPHANS, (dead, names)), now),
    )
    return first_first({record.number: record for record in chain(*found)}.values(), limit)


def next_due(db: apsw.Connection, lease: Lease, workflows: Collection[str] | None, now: float) -> float | None:
    """When the first run that nobody holds will have something to do."""
    found: float | None = db.execute(_NEXT, (now, _json(sorted(lease.dead(db))), _names(db, workflows))).get
    return found


def inbox(db: apsw.Connection, run_id: str, after: int) -> tuple[Message, ...]:
    """The messages in a run's inbox."""
    run = db.execute("SELECT number FROM cano_run WHERE run_id=?", (run_id,)).get
    if run is None:
        raise RunNotFound(run_id)
    rows = db.execute(f"SELECT number, {LETTER} FROM cano_inbox WHERE run=? AND number>? ORDER BY number", (run, after))
    with reading(run_id):
        return tuple(unpack_message(row, run_id) for row in rows)


def news(db: apsw.Connection, lease: Lease, seen: int) -> News:
    """Which runs have got messages since."""
    bounds: list[Any] = db.execute("SELECT min(id), max(id) FROM cano_news").fetchall()
    first, last = bounds[0]
    if last is None or last <= seen:
        return News(seen, frozenset())
    if first > seen + 1:
        rows = db.execute(f"SELECT run_id FROM {RUNS} WHERE owner=? AND posted>0", (lease.owner,))
    else:
        rows = db.execute("SELECT DISTINCT run_id FROM cano_news JOIN cano_run ON number=run WHERE id>?", (seen,))
    return News(last, frozenset(run_id for (run_id,) in rows))


def _readable(rows: Iterator[Any], now: float) -> Iterator[RunRecord]:
    for *columns, posted in rows:
        try:
            record = unpack_record(columns)
        except UNREADABLE:  # whoever lists or examines the runs is told of it
            continue
        if has_work(record, now, posted):
            yield record


def _names(db: apsw.Connection, workflows: Collection[str] | None) -> str:
    if workflows is not None:
        return _json(sorted(workflows))
    return _json([name for (name,) in db.execute("SELECT DISTINCT workflow FROM cano_run")])


def _json(names: list[str]) -> str:
    return msgspec.json.encode(names).decode()
