"""The file: its tables, how it is opened, and how an older one is brought up to date."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from threading import Event

import apsw

from ..._clock import monotonic
from ..._errors import JournalError
from . import schedules

APPLICATION_ID = 0x63616E6F  # "cano"

LARGEST = 64 * 1024 * 1024
"""What a row may hold, in bytes: far more than the codec lets through, and little enough to be read."""

STEPS = (
    """
    CREATE TABLE cano_run(
        number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL, parent TEXT,
        fixed BLOB NOT NULL, fixed_crc INTEGER NOT NULL, version INTEGER NOT NULL, version_check INTEGER NOT NULL,
        posted INTEGER NOT NULL, kept INTEGER NOT NULL, visits BLOB, visits_crc INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE cano_place(
        number INTEGER PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL, rev INTEGER NOT NULL, status TEXT NOT NULL,
        place BLOB NOT NULL, crc INTEGER NOT NULL, due_at REAL, settled_at REAL, unfinished INTEGER, ready INTEGER,
        priority INTEGER NOT NULL DEFAULT 0, last_log INTEGER, log_rows INTEGER NOT NULL, log_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE cano_data(run INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
    CREATE TABLE cano_log(
        id INTEGER PRIMARY KEY, prior INTEGER, run INTEGER NOT NULL, row BLOB NOT NULL, crc INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE cano_cursor(
        run INTEGER NOT NULL, seq INTEGER NOT NULL, part TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY(run, seq, part)
    ) STRICT;
    CREATE TABLE cano_outcome(
        run INTEGER NOT NULL, seq INTEGER NOT NULL, part TEXT NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY(run, seq, part)
    ) STRICT;
    CREATE TABLE cano_label(
        name TEXT NOT NULL, value TEXT NOT NULL, run INTEGER NOT NULL, PRIMARY KEY(name, value, run)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cano_inbox(
        run INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT, kind TEXT NOT NULL, body BLOB NOT NULL,
        sent_at REAL NOT NULL, version INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(run, number)
    ) STRICT;
    CREATE TABLE cano_key(
        run INTEGER NOT NULL, place INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY(run, place), UNIQUE(run, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cano_news(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL) STRICT;
    CREATE TABLE cano_owner(owner TEXT PRIMARY KEY, lease_until REAL, batches INTEGER NOT NULL) STRICT;
    CREATE TABLE cano_removed(hash BLOB PRIMARY KEY, status TEXT NOT NULL) STRICT;
    CREATE INDEX cano_run_parent ON cano_run(parent) WHERE parent IS NOT NULL;
    CREATE INDEX cano_place_owner ON cano_place(owner) WHERE owner IS NOT NULL;
    CREATE INDEX cano_place_unfinished ON cano_place(number) WHERE unfinished;
    CREATE INDEX cano_place_due ON cano_place(due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX cano_place_ready ON cano_place(ready DESC, number) WHERE ready IS NOT NULL;
    CREATE INDEX cano_place_settled ON cano_place(settled_at) WHERE settled_at IS NOT NULL;
    """
    + schedules.TABLE,
)
"""What makes a file of version n one of version n + 1, from nothing on.

A commit writes as little as can be: what it changes of a run stands in narrow rows, apart from what never changes, and from
the data, which it may leave as they are. The log has no index by run, which would halve the speed of writing: each row
knows the one before it.
"""


def open_writer(path: str, patience: float, *, vfs: str | None = None, steps: Sequence[str] = STEPS) -> apsw.Connection:
    """The connection that writes, to a file that is up to date.

    Args:
        path: the file; it is made if there is none.
        patience: how long to wait for another process, in seconds.
        vfs: SQLite's access to files; None for that of the system.
        steps: what makes a file of each version one of the next.

    Raises:
        JournalError: the file is none of ours, or is newer than this library.
        apsw.Error: it can't be opened.
    """
    if _loses_commits(apsw.sqlite_lib_version()):
        raise JournalError(
            f"SQLite {apsw.sqlite_lib_version()} can lose commits of two processes. Install apsw>=3.51.3."
        )
    db = apsw.Connection(path, vfs=vfs)
    try:
        db.set_busy_handler(patiently(patience))
        refuse_strangers(db, path, len(steps))  # before the pragmas, which would change its file
        db.execute(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA fullfsync=ON; PRAGMA mmap_size=0;"
            "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON"
        ).fetchall()
        _read_back(db, path)
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        _plan_once(db)
        db.limit(apsw.SQLITE_LIMIT_LENGTH, LARGEST)
        _bring_up_to_date(db, path, steps)
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: str, patience: float, *, vfs: str | None = None) -> apsw.Connection:
    """A second connection to a file that is open for writing."""
    db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    db.set_busy_handler(patiently(patience))
    _plan_once(db)
    db.limit(apsw.SQLITE_LIMIT_LENGTH, LARGEST)
    db.execute("PRAGMA query_only=ON; PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF").fetchall()
    return db


def _plan_once(db: apsw.Connection) -> None:
    """Have each statement planned only once: SQLite plans those anew, at every call, whose values might choose an index."""
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def patiently(patience: float) -> Callable[[int], bool]:
    """A busy handler: SQLite's own sleeps ever longer, and so is last in the line."""
    begun = monotonic()
    pause = Event()

    def wait(count: int) -> bool:
        nonlocal begun
        if count == 0:
            begun = monotonic()
        pause.wait(random.uniform(0, 0.002))
        return monotonic() - begun < patience

    return wait


def _loses_commits(version: str) -> bool:
    """Whether SQLite has the bug by which the writes of two connections can be lost when the WAL begins anew."""
    number = tuple(map(int, version.split(".")[:3]))
    return number < (3, 51, 3) and number[:2] not in {(3, 44), (3, 50)}


def refuse_strangers(db: apsw.Connection, path: str, version: int = len(STEPS)) -> None:
    """See that a file is a journal of ours, or empty.

    Raises:
        JournalError: it is another program's, or newer than this library.
        apsw.Error: it is no database, or is damaged.
    """
    mark = db.pragma("application_id")
    if mark != APPLICATION_ID and (mark or db.execute("SELECT count(*) FROM sqlite_schema").get):
        raise JournalError(f"{path} is no journal of cano_trio, but another program's database. Name another file.")
    if (found := db.pragma("user_version")) > version:
        raise JournalError(
            f"journal {path} has version {found}, and this cano_trio knows {version}. Install a newer one."
        )


def _read_back(db: apsw.Connection, path: str) -> None:
    """See that the file system and the build of SQLite let us have what durability needs."""
    found = db.pragma("journal_mode"), db.pragma("synchronous")
    if found != ("wal", 2):
        raise JournalError(f"journal {path} can't be made durable: journal_mode and synchronous are {found}.")


def _bring_up_to_date(db: apsw.Connection, path: str, steps: Sequence[str]) -> None:
    version = db.pragma("user_version")
    if version == len(steps):
        return
    if version:
        _back_up(db, f"{path}.v{version}.backup")
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[db.pragma("user_version") :]:  # another process may have been first
            db.execute(step).fetchall()
        db.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={len(steps)}").fetchall()
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _back_up(db: apsw.Connection, path: str) -> None:
    copy = apsw.Connection(path)
    try:
        with copy.backup("main", db, "main") as backup:
            backup.step()
    finally:
        copy.close()
