"""The runs of a journal that are not over, and what each waits for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import attrs
import click
import trio

from .. import _clock
from .._journal.rows import RunRecord
from .._observe.status import RunStatus
from .answers import say
from .listing import NOTE, names_of, record_document, table
from .options import with_journal
from .report import json_text
from .showing import told_of
from .signals import heard
from .store import answer_of, latest, opened
from .wording import cut, elapsed, flat, printable

if TYPE_CHECKING:
    from ..journals import SqliteJournal

SHOWN: Final = 50
"""Runs that are shown where nobody says how many."""

HEAD: Final = ("RUN", "WORKFLOW", "STATUS", "STATE", "FOR", "WAITS FOR")

_ORDER: Final = (
    RunStatus.ROLLING_BACK, RunStatus.RUNNING, RunStatus.BLOCKED, RunStatus.PAUSED, RunStatus.QUEUED, RunStatus.WAITING,
)  # fmt: skip
"""Those at work first, then those that need somebody; those that only wait may be many."""


@final
@attrs.frozen(kw_only=True)
class Look:
    """What there was to see at a moment.

    Args:
        records: the runs.
        more: there are others.
        dead: the processes that are gone, and still hold runs.
        now: the wall clock, in seconds since 1970.
    """

    records: Sequence[RunRecord]
    more: bool
    dead: frozenset[str]
    now: float

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each run, below `HEAD`."""
        return [self._row(record) for record in self.records]

    def documents(self) -> list[dict[str, Any]]:
        """A document for each run, for JSON."""
        told = [(record, told_of(record, self.dead)) for record in self.records]
        return [
            {**record_document(record), "waits_for": info.waits_for, "unblocked_by": info.unblocked_by}
            for record, info in told
        ]

    def _row(self, record: RunRecord) -> tuple[str, ...]:
        info = told_of(record, self.dead)
        names = names_of(record.run_id, record.workflow, info.status.value, info.state)
        waits = "; ".join(filter(None, (info.waits_for, info.unblocked_by)))
        since = elapsed(max(self.now - record.position.entered_at, 0))
        return (*names, since, printable(cut(flat(waits), NOTE)))


async def look(journal: SqliteJournal, workflow: str | None, limit: int) -> Look:
    """Look at a journal, for so many runs at most."""
    found: list[RunRecord] = []
    for status in _ORDER:
        if (left := limit + 1 - len(found)) > 0:
            found += await latest(journal, workflow, [status], left, inner=False)
    return Look(records=found[:limit], more=len(found) > limit, dead=await journal.dead(), now=_clock.timestamp())


@click.command()
@with_journal
@click.option("--workflow", metavar="NAME", help="Only runs of this workflow.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many runs at most; else as many as fit.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, metavar="SECONDS",
    help="Between two looks.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Look once; also where stdout is no terminal, and with --json.")
def top(
    file: Path, *, full: bool, as_json: bool, workflow: str | None, limit: int | None, interval: float, once: bool
) -> None:
    """Watch the runs of a journal that are not over, and what they wait for."""
    journal = opened(file)
    draw = None if once or as_json else _drawing()

    async def main() -> Look | None:
        async with journal:
            if draw is None:
                return await look(journal, workflow, limit or SHOWN)
            with trio.CancelScope() as scope, heard([signal.SIGINT], scope.cancel), draw(str(file)) as drawn:
                while True:
                    drawn.show(await look(journal, workflow, limit or drawn.room))
                    await trio.sleep(interval)
        return None

    seen = answer_of(main, full=full)
    if seen is not None:
        _say(seen, as_json=as_json)


def _say(seen: Look, *, as_json: bool) -> None:
    if as_json:
        say(json_text(seen.documents()))
        return
    for line in table(HEAD, seen.rows()):
        say(line)
    if seen.more:
        say("… and others: --limit N shows more", err=True)


def _drawing() -> Callable[[str], Any] | None:
    """What draws on the terminal, if there is one."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "") in {"dumb", "unknown"}:
        return None
    try:
        from .top_live import Drawing  # noqa: PLC0415  (rich takes longer to import than all the rest)
    except ImportError:  # click without rich: half of the extra is installed
        return None
    return Drawing
