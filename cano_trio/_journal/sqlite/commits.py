"""How commits are written, with as few statements as there can be: all runs' transitions go through here."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns, or of tables, from these modules

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import apsw

from ..._errors import LeaseLost
from ..._observe.status import RunStatus
from ..bounds import Cut, is_too_much, may_be_too_much, size_of
from ..claiming import due_of
from ..rows import Commit
from .chunks import Rows, execute_rows
from .packed import (
    KEPT,
    indexed,
    pack_data,
    pack_kept,
    pack_log,
    pack_place,
    pack_visits,
    reading,
    unpack_log,
    unpack_visits,
    wakes_behind,
)

INSERT_LOG: Final[Rows] = (
    "WITH new(id, run, prior, row, crc) AS (VALUES ",
    "(?,?,?,?,?)",
    (
        ") INSERT INTO cano_log(id, run, prior, row, crc) SELECT id, run,"
        " coalesce(prior, (SELECT last_log FROM cano_place WHERE number=run)), row, crc FROM new"
    ),
)
"""Each row of the log knows the one before it of its run: an index by run would halve the speed of writing."""

NEW: Final = "number, owner, epoch, rev, status, place, crc, last_log, log_rows, log_bytes, due_at"
SET: Final = (
    "SET rev=excluded.rev+1, status=excluded.status, place=excluded.place, crc=excluded.crc, due_at=excluded.due_at,"
    " last_log=coalesce(excluded.last_log,cano_place.last_log), log_rows=cano_place.log_rows+excluded.log_rows,"
    " log_bytes=cano_place.log_bytes+excluded.log_bytes"
)
FENCED: Final = "cano_place.owner=excluded.owner AND cano_place.epoch=excluded.epoch AND cano_place.rev=excluded.rev"
GO_ON: Final[Rows] = (
    f"INSERT INTO cano_place({NEW}) VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?)",
    f" ON CONFLICT(number) DO UPDATE {SET} WHERE {FENCED} AND cano_place.unfinished",
)
"""A run that was and is unfinished stays where it is in most of the indexes. Its row is there, so that the insert is an
update: SQLite goes through an update of many rows twice, and through this once."""

TURN: Final[Rows] = (
    f"WITH excluded({NEW}, settled_at, unfinished, release, wakes_behind) AS (VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    (
        f") UPDATE cano_place {SET}, settled_at=excluded.settled_at, unfinished=excluded.unfinished,"
        f" owner=iif(excluded.release,NULL,cano_place.owner),"
        f" ready=iif(excluded.release AND (SELECT parent IS NULL AND posted>excluded.wakes_behind FROM cano_run"
        f" WHERE cano_run.number=excluded.number), priority, NULL) FROM excluded"
        f" WHERE cano_place.number=excluded.number AND {FENCED}"
    ),
)
"""A run that is over, is taken up again after it was, or is given back."""

SET_DATA: Final[Rows] = ("INSERT OR REPLACE INTO cano_data(run, data, crc) VALUES ", "(?,?,?)", "")

CHAIN: Final = (
    "WITH RECURSIVE chain(id) AS (SELECT last_log FROM cano_place WHERE number=?1 UNION ALL"
    " SELECT prior FROM cano_log JOIN chain USING(id) WHERE prior<id)"
)
"""The rows of a run. Each is older than the one that knows it, or a damaged one could lead round in a circle."""
HISTORY: Final = f"{CHAIN} SELECT id, row, crc FROM cano_log WHERE id IN chain AND run=?1 ORDER BY id"
COUNT_KEPT: Final = (
    "UPDATE cano_run SET kept=(SELECT count(*) FROM cano_cursor WHERE run=cano_run.number)"
    "+(SELECT count(*) FROM cano_outcome WHERE run=cano_run.number)+(SELECT count(*) FROM cano_inbox WHERE run=cano_run.number) WHERE number=?"
)
"""A row that its index has lost is found out by there being fewer."""


def goes_on(one: Commit) -> bool:
    """Whether a run is unfinished after a commit, and not given back."""
    status = one.position.status
    return not one.release and (status is RunStatus.RUNNING or not status.ended)  # the first is nearly always so


def write(db: apsw.Connection, commits: Sequence[Commit], statement: Rows = TURN) -> None:
    """Write commits of different runs, without what goes along; `GO_ON` only for those that go on.

    Raises:
        LeaseLost: the fence of one of them does not hold; if there are several, the error may name another. Or, with
            `GO_ON`, a run was over.
    """
    first = (db.execute("SELECT max(id) FROM cano_log").get or 0) + 1
    rows, places, data, large = _parameters(commits, first, turn=statement is TURN)
    execute_rows(db, INSERT_LOG, rows)
    db.set_last_insert_rowid(0)
    before = db.total_changes()
    execute_rows(db, statement, places)
    if db.total_changes() - before != len(commits) or db.last_insert_rowid():  # a run that is gone would be put there
        lost = commits[0]
        raise LeaseLost(lost.run_id, lost.fence.owner, lost.position.seq)
    execute_rows(db, SET_DATA, data)
    if touching := [one for one in commits if _touches_kept(one)]:
        for sql, parameters in _kept(touching):
            if parameters:
                db.executemany(sql, parameters)
    for one in large:
        trim(db, one)


def _parameters(
    commits: Sequence[Commit], first: int, *, turn: bool
) -> tuple[list[Any], list[Any], list[Any], list[Commit]]:
    """The parameters of the log rows, of the places and of the data, one after the other; and whose history may be too long."""
    rows: list[Any] = []
    places: list[Any] = []
    changed: list[Any] = []
    large = []
    this = first
    for one in commits:
        fence, position, data = one.fence, one.position, one.data
        number, epoch, rev = fence.run, fence.epoch, fence.rev
        last = None
        size = 0
        for row in one.log:
            rows += pack_log(row, this, number, last)
            size += size_of(row)
            last = this
            this += 1
        status, count = position.status._value_, len(one.log)
        place, crc = pack_place(position, number, epoch, rev + 1)
        places += (number, fence.owner, epoch, rev, status, place, crc, last, count, size, due_of(position))
        if turn:
            places += (*indexed(position)[1:], one.release, wakes_behind(position))
        if data is not None:
            changed += (number, *pack_data(data, number))
        if may_be_too_much(one, size):
            large.append(one)
    return rows, places, changed, large


def _touches_kept(one: Commit) -> bool:
    kept = one.cursors or one.outcomes or one.consumed
    is_any_forgotten = one.forget_cursors is not None or one.forget_outcomes is not None
    return bool(kept) or is_any_forgotten or one.version is not None


def _kept(commits: Sequence[Commit]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """What is forgotten and kept beside the runs, as statements with their parameters."""
    for table, forget in (("cano_cursor", "forget_cursors"), ("cano_outcome", "forget_outcomes")):
        gone = [(c.fence.run, getattr(c, forget)) for c in commits if getattr(c, forget) is not None]
        yield f"DELETE FROM {table} WHERE run=? AND seq<=?", gone
    for table, kept in (("cano_cursor", "cursors"), ("cano_outcome", "outcomes")):
        new = [pack_kept(row, c.fence.run) for c in commits for row in getattr(c, kept)]
        yield f"INSERT OR REPLACE INTO {table}(run, {KEPT}) VALUES (?,?,?,?,?)", new
    consumed = [(c.fence.run, number) for c in commits for number in c.consumed]
    yield "DELETE FROM cano_inbox WHERE run=? AND number=?", consumed
    yield COUNT_KEPT, [(c.fence.run,) for c in commits]
    versions = [(c.version, ~c.version, c.fence.run) for c in commits if c.version is not None]
    yield "UPDATE cano_run SET version=?, version_check=? WHERE number=?", versions


def trim(db: apsw.Connection, one: Commit) -> None:
    """Cut a run's history, if it is far too long."""
    run = one.fence.run
    size = db.execute("SELECT log_rows, log_bytes FROM cano_place WHERE number=?", (run,)).fetchone()
    if not is_too_much(*cast("tuple[int, int]", size)):
        return
    cut = Cut(one.position.status)
    gone: list[tuple[int]] = []
    links: list[tuple[int | None, int]] = []
    last = None
    is_linked = True
    with reading(one.run_id):
        for number, row, crc in reversed(cast("list[Any]", db.execute(HISTORY, (run,)).fetchall())):
            if not cut.keeps(unpack_log(row, crc, run)):
                gone.append((number,))
                is_linked = False
                continue
            if last is not None and not is_linked:
                links.append((number, last))
            last, is_linked = number, True
        visits = db.execute("SELECT visits, visits_crc FROM cano_run WHERE number=?", (run,)).fetchone()
        counted = Counter(unpack_visits(*cast("Any", visits))) + Counter(cut.visits)
    if last is not None and not is_linked:
        links.append((None, last))
    db.executemany("DELETE FROM cano_log WHERE id=?", gone)
    db.executemany("UPDATE cano_log SET prior=? WHERE id=?", links)
    db.execute("UPDATE cano_place SET log_rows=?, log_bytes=? WHERE number=?", (cut.rows, cut.size, run))
    db.execute("UPDATE cano_run SET visits=?, visits_crc=? WHERE number=?", (*pack_visits(counted), run))
