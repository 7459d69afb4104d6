"""What an examination of a journal has found, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import attrs

from .._journal.rows import RunRecord
from .._observe.status import RunStatus
from .listing import why
from .wording import count, cut, flat, word

if TYPE_CHECKING:
    from .._journal.sqlite.examination import Examination  # SQLite takes long to import

SHOWN = 50
"""Runs that are named, of each kind."""


@final
@attrs.frozen
class Diagnosis:
    """What there is to tell of a journal.

    Args:
        file: the journal, as the user calls it.
        found: what was found in it.
    """

    file: Path
    found: Examination

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to be done."""
        return self.found.is_whole and not self.found.needy

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        found = self.found
        yield f"{self.file}: journal of version {found.schema}, {'damaged' if found.integrity else 'whole'}"
        if found.integrity:
            yield from (f"  {flat(line)}" for line in found.integrity)
            yield "Copy the file, with those that begin with its name, before anything else writes to it."
            return
        counts = (f"{number:,} {status.value}" for status, number in found.runs.items())
        yield f"{count(sum(found.runs.values()), 'run')}{': ' if found.runs else ''}{', '.join(counts)}"
        yield from _listed([flat(line) for line in found.unreadable], "that can't be read")
        yield from _listed([f"{word(run.run_id)}: {need(run)}" for run in found.needy], "that need somebody")
        if found.idle:
            names = ", ".join(word(run.run_id) for run in found.idle[:SHOWN])
            others = f" and {len(found.idle) - SHOWN:,} more" if len(found.idle) > SHOWN else ""
            yield f"carried out by nobody, and to be resumed: {names}{others}"

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        found = self.found
        return {
            "journal": str(self.file),
            "ok": self.is_well,
            "version": found.schema,
            "sqlite": found.sqlite,
            "size": found.size,
            "wal_size": found.wal_size,
            "damage": found.integrity,
            "unreadable": found.unreadable,
            "statuses": {status.value: number for status, number in found.runs.items()},
            "needy": {run.run_id: need(run) for run in found.needy},
            "idle": [run.run_id for run in found.idle],
            "dead": found.dead,
        }


def need(run: RunRecord) -> str:
    """What a run needs somebody for."""
    told = cut(why(run.position), 200)
    match run.position.status:
        case RunStatus.BLOCKED:
            return f"blocked: {told}"
        case RunStatus.ROLLBACK_FAILED:
            return f"not all was undone: {told}. See `show`, and `retry --rollback`."
        case _:
            return f"{run.crashes} processes in a row have died with it in {run.position.state}"


def _listed(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:SHOWN]
    if (more := len(lines) - SHOWN) > 0:
        yield f"… {count(more, 'run')} more {what}"
