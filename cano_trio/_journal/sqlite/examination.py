"""What is wrong with a journal, for whoever looks after it."""

# ruff: noqa: S608 -- what is put into a statement is a list of tables from these modules

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

import apsw
import attrs

from ..._errors import JournalError, RunNotFound
from ..._observe.status import RunStatus
from ..rows import RunRecord
from . import schedules, statements
from .packed import RUNS, indexed
from .schema import refuse_strangers

AT_WORK: Final = frozenset({RunStatus.RUNNING, RunStatus.ROLLING_BACK})

NEEDY: Final = frozenset({RunStatus.BLOCKED, RunStatus.ROLLBACK_FAILED})

DYING: Final = 2
"""Processes that died in a row with a run, from which on somebody should look after it."""

DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, apsw.IOError)
"""What SQLite raises of a file that is damaged; all else that it raises says only that it can't be read now."""


@final
@attrs.frozen(kw_only=True)
class Examination:
    """What was found in a journal.

    Of its runs those are told of that do no state's work of another: what is wrong with the others shows in these.

    Args:
        path: its file.
        schema: the version of its tables; 0 if it can't be read.
        sqlite: the version of SQLite.
        size: the file's size, in bytes.
        wal_size: the size of what is not in the file yet, in bytes.
        integrity: what SQLite finds wrong with the file; nothing if it is whole.
        unreadable: which runs and schedules can't be read, and why; runs inside others, too.
        runs: how many runs stand in each way.
        dead: the processes that are gone and still hold runs.
        needy: runs that do not go on before somebody does something: blocked, not undone, or with which processes die.
        idle: the other unfinished runs that no living process holds: to be resumed.
        stuck: runs that were at work for long, and whom no living process holds.
    """

    path: str
    schema: int
    sqlite: str
    size: int
    wal_size: int
    integrity: tuple[str, ...]
    unreadable: tuple[str, ...]
    runs: Mapping[RunStatus, int]
    dead: tuple[str, ...]
    needy: tuple[RunRecord, ...]
    idle: tuple[RunRecord, ...]
    stuck: tuple[RunRecord, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing in it is damaged."""
        return not (self.integrity or self.unreadable)


def examine(
    db: apsw.Connection, path: str, dead_in: Callable[[apsw.Connection], frozenset[str]], since: float
) -> Examination:
    """Look through a journal, at one moment.

    Args:
        db: a connection, inside a transaction.
        path: its file.
        dead_in: tells which processes are gone and still hold runs.
        since: a run that came into its state after this instant is not stuck.

    Raises:
        JournalError: it is another program's, or newer than this library.
        apsw.Error: it can't be read.
    """
    schema, integrity = _integrity(db, path)
    records, unreadable = _read_all(db)
    dead = _dead(db, dead_in)
    outermost = [record for record in records if record.parent is None]
    needy = [record for record in outermost if _needs_somebody(record)]
    left = [record for record in outermost if record.owner is None or record.owner in dead]
    counts = Counter(record.position.status for record in outermost)
    return Examination(
        path=path,
        schema=schema,
        sqlite=apsw.sqlite_lib_version(),
        size=_size(path),
        wal_size=_size(f"{path}-wal"),
        integrity=integrity,
        unreadable=unreadable,
        runs={status: counts[status] for status in RunStatus if counts[status]},
        dead=tuple(sorted(dead)),
        needy=tuple(needy),
        idle=tuple(record for record in left if not (record.position.status.ended or _needs_somebody(record))),
        stuck=tuple(record for record in left if _is_at_work_since(record, since)),
    )


def _integrity(db: apsw.Connection, path: str) -> tuple[int, tuple[str, ...]]:
    """The version of the tables, and what SQLite finds wrong with the file."""
    try:
        refuse_strangers(db, path)
        found = tuple(str(line) for (line,) in db.execute("PRAGMA integrity_check"))
        return int(db.pragma("user_version")), () if found == ("ok",) else found
    except DAMAGE as error:
        return 0, (str(error),)


def _dead(db: apsw.Connection, dead_in: Callable[[apsw.Connection], frozenset[str]]) -> frozenset[str]:
    try:
        return dead_in(db)
    except DAMAGE:  # it is told of elsewhere
        return frozenset()


def _read_all(db: apsw.Connection) -> tuple[list[RunRecord], tuple[str, ...]]:
    """All that can be read of runs; and what can't, of them and of all their rows."""
    wrong: list[str] = []
    records: list[RunRecord] = []
    try:
        found, unreadable = statements.runs(db, statements.ALL)
        labels = set(db.execute("SELECT name, value, run FROM cano_label"))
    except apsw.Error as error:
        return records, (str(error),)
    wrong += map(str, unreadable)
    for record in found:
        records.append(record)
        if not _is_found(db, record, labels):
            wrong.append(f"run {record.run_id!r} is not found by what is known of it")
        try:
            statements.load(db, record.run_id)
            statements.history(db, record.run_id)
        except RunNotFound:
            wrong.append(f"run {record.run_id!r} is there, but is not found by its name")
        except (JournalError, apsw.Error) as error:
            wrong.append(str(error))
    _, damaged = schedules.schedules(db)
    return records, (*wrong, *map(str, damaged))


def _is_found(db: apsw.Connection, record: RunRecord, labels: set[Any]) -> bool:
    """Whether the columns by which runs are found say the same as the run."""
    wanted = f"SELECT workflow, parent, due_at, settled_at, unfinished FROM {RUNS} WHERE number=?"
    said = db.execute(wanted, (record.number,)).fetchone()
    labelled = {(name, value, record.number) for name, value in record.labels.items()}
    return said == (record.workflow, record.parent, *indexed(record.position)) and labelled <= labels


def _needs_somebody(record: RunRecord) -> bool:
    status = record.position.status
    return status in NEEDY or (not status.ended and record.crashes >= DYING)


def _is_at_work_since(record: RunRecord, since: float) -> bool:
    return record.position.status in AT_WORK and record.position.entered_at <= since


def _size(path: str) -> int:
    with suppress(FileNotFoundError):
        return Path(path).stat().st_size
    return 0
