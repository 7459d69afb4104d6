"""How runs are created: many with as few statements as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import apsw

from ..._errors import DuplicateRun
from ..rows import NewRun, RunRecord, created
from .chunks import Rows, execute_rows
from .packed import indexed, pack_data, pack_fixed, pack_place, wakes_behind

USED: Final[Rows] = (
    "WITH new(run_id, hash) AS (VALUES ",
    "(?,?)",
    (
        ") SELECT run_id, status FROM new CROSS JOIN cano_removed USING (hash) UNION ALL SELECT run_id, coalesce(status, '?')"
        " FROM new CROSS JOIN cano_run USING (run_id) LEFT JOIN cano_place USING (number)"
    ),
)
NEXT_NUMBER: Final = "SELECT 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name='cano_run'), 0)"
INSERT_RUN: Final[Rows] = (
    (
        "INSERT INTO cano_run(number, run_id, workflow, parent, fixed, fixed_crc, version, version_check, posted, kept,"
        " visits_crc) VALUES "
    ),
    "(?,?,?,?,?,?,?,?,0,0,0)",
    "",
)
INSERT_PLACE: Final[Rows] = (
    (
        "INSERT INTO cano_place(number, owner, status, place, crc, due_at, settled_at, unfinished, priority, ready,"
        " epoch, rev, log_rows, log_bytes) VALUES "
    ),
    "(?,?,?,?,?,?,?,?,?,?,1,0,0,0)",
    "",
)
INSERT_DATA: Final[Rows] = ("INSERT INTO cano_data(run, data, crc) VALUES ", "(?,?,?)", "")
INSERT_LABEL: Final[Rows] = ("INSERT INTO cano_label(name, value, run) VALUES ", "(?,?,?)", "")


def create(db: apsw.Connection, run: NewRun) -> RunRecord:
    """Create a run.

    Raises:
        DuplicateRun: there is or was a run of that id.
    """
    if status := used(db, [run]).get(run.run_id):
        raise DuplicateRun(run.run_id, status)
    return insert(db, [run])[0]


def used(db: apsw.Connection, runs: Iterable[NewRun]) -> dict[str, str]:
    """Which ids of runs that are to be created are or were those of others, and where these stand or stood."""
    names = [part for run in runs for part in (run.run_id, hash_of(run.run_id))]
    return dict(execute_rows(db, USED, names))


def insert(db: apsw.Connection, runs: Sequence[NewRun]) -> list[RunRecord]:
    """Create runs whose ids are not used."""
    first = int(db.execute(NEXT_NUMBER).get)
    rows: list[Any] = []
    places: list[Any] = []
    data: list[Any] = []
    labels: list[Any] = []
    for number, run in enumerate(runs, first):
        position = run.position
        fixed = pack_fixed(run, number)
        rows += (number, run.run_id, run.workflow, run.parent, *fixed, run.version, ~run.version)
        place = pack_place(position, number, 1, 0)
        places += (number, run.owner, position.status.value, *place, *indexed(position), *_found_by(run))
        data += (number, *pack_data(run.data, number))
        for label in run.labels.items():
            labels += (*label, number)
    for statement, parameters in (
        (INSERT_RUN, rows),
        (INSERT_PLACE, places),
        (INSERT_DATA, data),
        (INSERT_LABEL, labels),
    ):
        execute_rows(db, statement, parameters)
    return [created(run, number) for number, run in enumerate(runs, first)]


def _found_by(run: NewRun) -> tuple[int, int | None]:
    """What a run is claimed by: how urgent it is, and that again once it is ready."""
    is_ready = run.owner is None and run.parent is None and wakes_behind(run.position) == -1
    return run.priority, run.priority if is_ready else None


def hash_of(run_id: str) -> bytes:
    """What is left of an id when its run is gone."""
    return blake2b(run_id.encode(), digest_size=16).digest()
