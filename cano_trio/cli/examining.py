"""What is wrong with a journal: with its file, and with its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, final

import attrs

from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .._observe.status import RunStatus
from .listing import why
from .refusal import Refused
from .store import all_runs, check_file, count_rows, living_owners
from .wording import count, cut, flat, word

SHOWN = 50
"""Runs that are named, of each kind."""

DYING = 2
"""Processes that died in a row with a run, from which on it is told of."""


@final
@attrs.frozen(kw_only=True)
class Findings:
    """What an examination of a journal has found.

    Args:
        file: the journal.
        version: the version of its tables.
        damage: what SQLite says is broken.
        statuses: how many runs stand in each way.
        needy: runs that do not go on before somebody does something, and what.
        idle: unfinished runs that nobody carries out.
        unreadable: how many runs there are that can't be read.
    """

    file: Path
    version: int
    damage: tuple[str, ...]
    statuses: Mapping[RunStatus, int] = attrs.field(factory=dict)
    needy: Mapping[str, str] = attrs.field(factory=dict)
    idle: tuple[str, ...] = ()
    unreadable: int = 0

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to be done."""
        return not (self.damage or self.needy or self.unreadable)

    async def with_runs(self, journal: Journal) -> Findings:
        """These, with what there is to say of the runs."""
        statuses: Counter[RunStatus] = Counter()
        needy: dict[str, str] = {}
        idle: list[str] = []
        living, rows = living_owners(self.file), count_rows(self.file)
        for record in await all_runs(journal):
            if record.parent is None:
                statuses[record.position.status] += 1
                if need := _need(record):
                    needy[record.run_id] = need
                elif not record.position.status.ended and record.owner not in living:
                    idle.append(record.run_id)
        return attrs.evolve(
            self, statuses=statuses, needy=needy, idle=tuple(idle), unreadable=max(rows - statuses.total(), 0)
        )

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        yield f"{self.file}: journal of version {self.version}, {'damaged' if self.damage else 'whole'}"
        yield from (f"  {flat(line)}" for line in self.damage)
        if self.damage:
            yield "Copy the file, with those that begin with its name, before anything else writes to it."
            return
        counts = (f"{number:,} {status.value}" for status, number in self.statuses.items())
        yield f"{count(sum(self.statuses.values()), 'run')}{': ' if self.statuses else ''}{', '.join(counts)}"
        if self.unreadable:
            yield f"{count(self.unreadable, 'run')} can't be read: something else has changed the file"
        for run_id, need in list(self.needy.items())[:SHOWN]:
            yield f"{word(run_id)}: {need}"
        if (more := len(self.needy) - SHOWN) > 0:
            yield f"… {count(more, 'run')} more that need somebody"
        if self.idle:
            others = f" and {len(self.idle) - SHOWN:,} more" if len(self.idle) > SHOWN else ""
            yield f"carried out by nobody, and to be resumed: {', '.join(map(word, self.idle[:SHOWN]))}{others}"

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "journal": str(self.file),
            "ok": self.is_well,
            "version": self.version,
            "damage": self.damage,
            "statuses": {status.value: number for status, number in self.statuses.items()},
            "needy": self.needy,
            "idle": self.idle,
            "unreadable": self.unreadable,
        }


def examine(file: Path) -> Findings:
    """Have SQLite look through a journal's file, without writing to it.

    Raises:
        Refused: it is no journal, or can't be read.
    """
    import apsw  # noqa: PLC0415  (takes long to import)

    from .._journal.sqlite.schema import APPLICATION_ID, STEPS  # noqa: PLC0415  (so does what it imports)

    check_file(file)
    try:
        with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            if db.pragma("application_id") != APPLICATION_ID:
                raise Refused(f"{file} is no journal of cano_trio, but another program's database")
            version = int(db.pragma("user_version"))
            if version > len(STEPS):
                raise Refused(f"journal {file} has version {version}, and this cano_trio knows {len(STEPS)}")
            found = [str(line) for (line,) in db.execute("PRAGMA integrity_check")]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return Findings(file=file, version=0, damage=(str(error),))
    except apsw.Error as error:
        raise Refused(f"journal {file} can't be read: {error}") from error
    return Findings(file=file, version=version, damage=() if found == ["ok"] else tuple(found))


def _need(record: RunRecord) -> str:
    """What a run needs somebody for; empty if it goes on by itself, or is over."""
    told = cut(why(record.position), 200)
    match record.position.status:
        case RunStatus.BLOCKED:
            return f"blocked: {told}"
        case RunStatus.ROLLBACK_FAILED:
            return f"not all was undone: {told}. See `show`, and `retry --rollback`."
        case status if not status.ended and record.crashes >= DYING:
            return f"{record.crashes} processes in a row have died with it in {record.position.state}"
        case _:
            return ""
