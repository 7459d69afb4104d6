"""What is wrong with a journal, for whoever looks after it."""

# ruff: noqa: S608 -- what is put into a statement is a list of tables from these modules

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

import apsw
import attrs

from ..._errors import JournalError, RunNotFound
from ..._observe.status import RunStatus
from ..rows import RunRecord
from . import statements
from .packed import RUNS, indexed

AT_WORK: Final = frozenset({RunStatus.RUNNING, RunStatus.ROLLING_BACK})


@final
@attrs.frozen(kw_only=True)
class Examination:
    """What was found in a journal.

    Args:
        path: its file.
        schema: the version of its tables.
        sqlite: the version of SQLite.
        size: the file's size, in bytes.
        wal_size: the size of what is not in the file yet, in bytes.
        integrity: what SQLite finds wrong with the file; nothing if it is whole.
        unreadable: which runs can't be read, and why.
        runs: how many runs stand in each way.
        dead: the processes that are gone and still hold runs.
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
    stuck: tuple[RunRecord, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing in it is damaged."""
        return not (self.integrity or self.unreadable)


def examine(db: apsw.Connection, path: str, dead: frozenset[str], since: float) -> Examination:
    """Look through a journal, at one moment.

    Args:
        db: a connection, inside a transaction.
        path: its file.
        dead: the processes that are gone and still hold runs.
        since: a run that came into its state after this instant is not stuck.
    """
    integrity = _integrity(db)
    records, unreadable = _read_all(db)
    counts = dict.fromkeys(RunStatus, 0)
    for record in records:
        counts[record.position.status] += 1
    return Examination(
        path=path,
        schema=db.pragma("user_version"),
        sqlite=apsw.sqlite_lib_version(),
        size=_size(path),
        wal_size=_size(f"{path}-wal"),
        integrity=integrity,
        unreadable=unreadable,
        runs={status: count for status, count in counts.items() if count},
        dead=tuple(sorted(dead)),
        stuck=tuple(record for record in records if _is_stuck(record, dead, since)),
    )


def _integrity(db: apsw.Connection) -> tuple[str, ...]:
    try:
        found = tuple(str(line) for (line,) in db.execute("PRAGMA integrity_check"))
    except apsw.Error as error:
        return (str(error),)
    return () if found == ("ok",) else found


def _read_all(db: apsw.Connection) -> tuple[list[RunRecord], tuple[str, ...]]:
    """All that can be read of runs; and what can't, of them and of all their rows."""
    wrong: list[str] = []
    records: list[RunRecord] = []
    try:
        found, unreadable = statements.runs(db, statements.ALL)
    except apsw.Error as error:
        return records, (str(error),)
    wrong += map(str, unreadable)
    labels = set(db.execute("SELECT name, value, run FROM cano_label"))
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
    return records, tuple(wrong)


def _is_found(db: apsw.Connection, record: RunRecord, labels: set[Any]) -> bool:
    """Whether the columns by which runs are found say the same as the run."""
    wanted = f"SELECT workflow, parent, due_at, settled_at, unfinished FROM {RUNS} WHERE number=?"
    said = db.execute(wanted, (record.number,)).fetchone()
    labelled = {(name, value, record.number) for name, value in record.labels.items()}
    return said == (record.workflow, record.parent, *indexed(record.position)) and labelled <= labels


def _is_stuck(record: RunRecord, dead: frozenset[str], since: float) -> bool:
    position = record.position
    is_held = record.owner is not None and record.owner not in dead
    return position.status in AT_WORK and not is_held and position.entered_at <= since


def _size(path: str) -> int:
    with suppress(FileNotFoundError):
        return Path(path).stat().st_size
    return 0
