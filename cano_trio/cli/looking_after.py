"""The subcommands that need a journal, and none of the code that its runs run."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import _clock
from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .._observe.status import RunStatus
from .answers import say
from .diagnosis import Diagnosis
from .listing import lines_of, record_document
from .options import checked_id, with_journal, with_run
from .removing import remove
from .report import json_text
from .showing import Shown
from .store import all_runs, answer_of, asked, latest, opened, stored
from .wording import word

if TYPE_CHECKING:
    from ..journals import SqliteJournal


@click.command("list")
@with_journal
@click.option("--workflow", metavar="NAME", help="Only runs of this workflow.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in RunStatus]),
    help="Only runs that stand so; may be given several times.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the latest N.")
@click.option("--all", "inner", is_flag=True, help="Also those that do a state's work of another run.")
def list_runs(
    file: Path,
    *,
    full: bool,
    as_json: bool,
    workflow: str | None,
    statuses: tuple[str, ...],
    limit: int | None,
    inner: bool,
) -> None:
    """List the runs of a journal, the latest last."""
    wanted = [RunStatus(status) for status in statuses] or None

    async def look(journal: Journal) -> tuple[list[RunRecord], float]:
        return await latest(journal, workflow, wanted, limit, inner=inner), _clock.timestamp()

    records, now = asked(opened(file), look, full=full)
    if as_json:
        say(json_text([record_document(record) for record in records]))
    else:
        for line in lines_of(records, now):
            say(line)


@click.command()
@with_run
@with_journal
def show(run_id: str, file: Path, *, full: bool, as_json: bool) -> None:
    """Show where a run is, since when and why, its data and history."""

    async def look(journal: SqliteJournal) -> Shown:
        return Shown(
            run=await stored(journal, run_id),
            history=await journal.history(run_id),
            children=await all_runs(journal, parent=run_id),
            dead=await journal.dead(),
            now=_clock.timestamp(),
        )

    shown = asked(opened(file), look, full=full)
    say(json_text(shown.document()) if as_json else "\n".join(shown.lines()))


@click.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True, callback=lambda context, parameter, given: [
    checked_id(context, parameter, run_id) for run_id in given
])  # fmt: skip
@with_journal
@click.option("--force", is_flag=True, help="Also runs that are not over: nothing of them is undone.")
def rm(run_ids: list[str], file: Path, *, full: bool, as_json: bool, force: bool) -> None:
    """Remove runs that are over, with all that is written of them."""
    removed: list[str] = []
    journal = opened(file)
    for run_id in run_ids:
        removed += asked(journal, partial(remove, run_id=run_id, force=force), full=full)
        if not as_json:
            say(f"removed {word(run_id)}")
    if as_json:
        say(json_text({"removed": removed}))


@click.command()
@with_journal
def doctor(file: Path, *, full: bool, as_json: bool) -> None:
    """Tell whether a journal is whole, and which runs need somebody.

    Exits with 1 if there is anything to be done.
    """
    diagnosis = Diagnosis(file, answer_of(opened(file).examine, full=full))
    say(json_text(diagnosis.document()) if as_json else "\n".join(diagnosis.lines()))
    if not diagnosis.is_well:
        sys.exit(1)
