"""How commits are written, with as few statements as there can be: all runs' transitions go through here."""

# ruff: noqa: S608 -- what is put into a statement is a list of columns, or of tables, from these modules

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, cast
from zlib import crc32

import apsw

from ..._errors import LeaseLost
from ..bounds import Cut, is_too_much, may_be_too_much, size_of
from ..rows import Commit
from .packed import (
    CHECK_OF,
    KEPT,
    LOG,
    indexed,
    pack_kept,
    pack_log,
    pack_position,
    pack_visits,
    reading,
    unpack_visits,
)

INSERT_LOG: Final = (
    f"WITH new({LOG}, id, run, prior) AS (VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    (
        f") INSERT INTO cano_log({LOG}, id, run, prior) SELECT {LOG}, id, run,"
        " coalesce(prior, (SELECT last_log FROM cano_run WHERE number=run)) FROM new"
    ),
)
NEW: Final = (
    "status, position, position_crc, version, data, data_crc, last_log, log_rows, log_bytes, number, owner, epoch, rev"
)
SET: Final = (
    f"UPDATE cano_run SET rev=new.rev+1, crashes=0, epoch_check={CHECK_OF.format(epoch='new.epoch', crashes=0)}, status=new.status, position=new.position,"
    " position_crc=new.position_crc, version=coalesce(new.version,cano_run.version),"
    " version_check=coalesce(~new.version,cano_run.version_check), data=coalesce(new.data,cano_run.data),"
    " data_crc=coalesce(new.data_crc,cano_run.data_crc), last_log=coalesce(new.last_log,cano_run.last_log),"
    " log_rows=cano_run.log_rows+new.log_rows, log_bytes=cano_run.log_bytes+new.log_bytes"
)
FENCED: Final = (
    " FROM new WHERE cano_run.number=new.number AND cano_run.owner=new.owner AND cano_run.epoch=new.epoch"
    " AND cano_run.rev=new.rev"
)
GO_ON: Final = (
    f"WITH new({NEW}) AS (VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    f") {SET}{FENCED} AND cano_run.unfinished AND cano_run.due_at IS NULL",
)
"""A run that goes on stays where it is in the indexes; to touch them would take as long again."""

TURN: Final = (
    f"WITH new({NEW}, due_at, settled_at, unfinished, release) AS (VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    (
        f") {SET}, due_at=new.due_at, settled_at=new.settled_at, unfinished=new.unfinished,"
        f" owner=iif(new.release,NULL,cano_run.owner){FENCED}"
    ),
)
"""A run that begins or ends to wait, is over, or is given back."""

CHUNKS: Final = (64, 8, 1)
"""How many rows one statement writes: SQLite's driver lets the interpreter go at every step, and beside a busy loop it
gets it back late."""

CHAIN: Final = (
    "WITH RECURSIVE chain(id) AS (SELECT last_log FROM cano_run WHERE number=?1 UNION ALL"
    " SELECT prior FROM cano_log JOIN chain USING(id) WHERE prior<id)"
)
"""The rows of a run. Each is older than the one that knows it, or a damaged one could lead round in a circle."""
WEIGHED: Final = (
    f"{CHAIN} SELECT id, receipt IS NOT NULL, seq, state, kind, part, coalesce(length(receipt),0)"
    "+coalesce(length(messages),0)+coalesce(length(data),0) FROM cano_log JOIN chain USING(id) WHERE run=?1 ORDER BY id DESC"
)
COUNT_KEPT: Final = (
    "UPDATE cano_run SET kept=(SELECT count(*) FROM cano_cursor WHERE run=cano_run.number)"
    "+(SELECT count(*) FROM cano_outcome WHERE run=cano_run.number)+(SELECT count(*) FROM cano_inbox WHERE run=cano_run.number) WHERE number=?"
)
"""A row that its index has lost is found out by there being fewer."""


def goes_on(one: Commit) -> bool:
    """Whether a run only goes on by a commit: it neither waits for a time, nor is it over or given back."""
    position = one.position
    return position.due_at is None and not one.release and not position.status.ended


def write(db: apsw.Connection, commits: Sequence[Commit], statement: tuple[str, str, str] = TURN) -> None:
    """Write commits of different runs, without what goes along; `GO_ON` only for those that go on.

    Raises:
        LeaseLost: the fence of one of them does not hold; if there are several, the error may name another. Or, with
            `GO_ON`, a run stood where it could not just go on.
    """
    first = (db.execute("SELECT max(id) FROM cano_log").get or 0) + 1
    rows, updates, large = _parameters(commits, first, turn=statement is TURN)
    _write_rows(db, INSERT_LOG, rows)
    before = db.total_changes()
    _write_rows(db, statement, updates)
    if db.total_changes() - before != len(commits):
        lost = commits[0]
        raise LeaseLost(lost.run_id, lost.fence.owner, lost.position.seq)
    touching = [one for one in commits if _touches_kept(one)]
    for sql, parameters in _kept(touching):
        if parameters:
            db.executemany(sql, parameters)
    for one in large:
        trim(db, one)


def _write_rows(db: apsw.Connection, statement: tuple[str, str, str], parameters: Sequence[Any]) -> None:
    """Write rows in large chunks first, so that there are few statements, and few different ones."""
    width = statement[1].count("?")
    begun = 0
    for size in CHUNKS:
        while (end := begun + size * width) <= len(parameters):
            db.execute(_of_rows(statement, size), parameters[begun:end])
            begun = end


@cache
def _of_rows(statement: tuple[str, str, str], count: int) -> str:
    """A statement for that many rows, of its beginning, what stands for a row, and its end."""
    head, row, tail = statement
    return f"{head}{','.join([row] * count)}{tail}"


def _parameters(commits: Sequence[Commit], first: int, *, turn: bool) -> tuple[list[Any], list[Any], list[Commit]]:
    """The parameters of the log rows and of the runs, one after the other, and whose history may be too long.

    Each row of the log knows the one before it of its run: an index by run would halve the speed of writing.
    """
    rows: list[Any] = []
    updates: list[Any] = []
    large = []
    this = first
    for one in commits:
        fence, position, data = one.fence, one.position, one.data
        number, rev = fence.run, fence.rev
        last = None
        size = 0
        for row in one.log:
            rows += pack_log(row, number)
            rows += (this, number, last)
            size += size_of(row)
            last = this
            this += 1
        updates += (position.status._value_, *pack_position(position, number, rev + 1))
        updates += (one.version, data, None if data is None else crc32(data), last, len(one.log), size)
        updates += (number, fence.owner, fence.epoch, rev)
        if turn:
            updates += (*indexed(position), one.release)
        if may_be_too_much(one, size):
            large.append(one)
    return rows, updates, large


def _touches_kept(one: Commit) -> bool:
    kept = one.cursors or one.outcomes or one.consumed
    return bool(kept) or one.forget_cursors is not None or one.forget_outcomes is not None


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


def trim(db: apsw.Connection, one: Commit) -> None:
    """Cut a run's history, if it is far too long."""
    run = one.fence.run
    rows, size, *visits = db.execute(
        "SELECT log_rows, log_bytes, visits, visits_crc FROM cano_run WHERE number=?", (run,)
    ).fetchall()[0]
    if not is_too_much(int(rows or 0), int(size or 0)):
        return
    cut = Cut(one.position.status)
    gone: list[tuple[int]] = []
    links: list[tuple[int | None, int]] = []
    last = None
    is_linked = True
    with reading(one.run_id):
        for number, receipt, *row in cast("list[Any]", db.execute(WEIGHED, (run,)).fetchall()):
            if not cut.keeps_one_of(*row, receipt=bool(receipt)):
                gone.append((number,))
                is_linked = False
                continue
            if last is not None and not is_linked:
                links.append((number, last))
            last, is_linked = number, True
        counted = Counter(unpack_visits(*visits)) + Counter(cut.visits)
    if last is not None and not is_linked:
        links.append((None, last))
    db.executemany("DELETE FROM cano_log WHERE id=?", gone)
    db.executemany("UPDATE cano_log SET prior=? WHERE id=?", links)
    changed = "UPDATE cano_run SET log_rows=?, log_bytes=?, visits=?, visits_crc=? WHERE number=?"
    db.execute(changed, (cut.rows, cut.size, *pack_visits(counted), run))
