"""The schedules of a journal: where they stand, and how one is removed that no code has any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from .. import _clock
from .._errors import ScheduleBusy, ScheduleNotFound
from .._journal.protocol import Journal
from .._runtime.forgetting import forget_schedule
from .._runtime.schedule_status import ScheduleStatus, status_written
from .answers import say
from .listing import NOTE, names_of, table
from .options import VARIABLE, journal_option, with_json, with_traceback
from .refusal import Refused, did_you_mean
from .report import json_text
from .store import asked, opened
from .wording import count, cut, elapsed, flat, instant, printable, word

_HEAD: Final = ("SCHEDULE", "WORKFLOW", "FIRES", "STATE", "NEXT", "LAST", "RUNS", "WHY")

_with_journal = partial(journal_option, required=False, text="The SQLite file in which runs are written down.")


@click.group(invoke_without_command=True)
@_with_journal
@with_traceback
@with_json
@click.pass_context
def schedules(context: click.Context, file: Path | None, *, full: bool, as_json: bool) -> None:
    """List the schedules of a journal, with when each fires next.

    That is told from what is written down: a jitter, or a run that goes on, may put it off.
    """
    if context.invoked_subcommand is not None:
        return

    async def look(journal: Journal) -> tuple[list[ScheduleStatus], datetime]:
        now = _clock.now()
        return [status_written(record, now) for record in await journal.schedules()], now

    found, now = asked(opened(_named(file)), look, full=full)
    if as_json:
        say(json_text([_document(status) for status in found]))
        return
    for line in table(_HEAD, [_row(status, now) for status in found]):
        say(line)


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_with_journal
@with_traceback
@with_json
@click.pass_context
def rm(context: click.Context, names: Sequence[str], file: Path | None, *, full: bool, as_json: bool) -> None:
    """Remove what is written down of schedules that no code has any more.

    Nothing happens to their runs. A process that still fires one writes it down again.
    """
    given = context.parent.params if context.parent is not None else {}
    journal = opened(_named(file or given.get("file")))
    for name in names:
        asked(journal, partial(_forget, name=name), full=full or bool(given.get("full")))
        if not (as_json or given.get("as_json")):
            say(f"removed {word(name)}")
    if as_json or given.get("as_json"):
        say(json_text({"removed": names}))


def _named(file: Path | None) -> Path:
    if file is None:
        raise click.UsageError(f"Missing option '--journal' (env var: '{VARIABLE}').")
    return file


async def _forget(journal: Journal, name: str) -> None:
    try:
        await forget_schedule(journal, name)
    except ScheduleNotFound as error:
        raise Refused(f"the journal has no schedule {name!r}{did_you_mean(name, error.there, 'There are')}") from error
    except ScheduleBusy as error:
        raise Refused(flat(str(error))) from error


def _row(status: ScheduleStatus, now: datetime) -> tuple[str, ...]:
    name, workflow = names_of(status.name, status.workflow)
    return (
        name,
        workflow,
        printable(cut(flat(status.trigger), NOTE)),
        status.state.value + (", paused" if status.paused and status.state.value != "paused" else ""),
        _next(status.next_firing, now),
        _told(status.last_firing),
        f"{status.run_count:,}",
        printable(cut(_why(status), NOTE)),
    )


def _next(following: datetime | None, now: datetime) -> str:
    if following is None:
        return ""
    left = (following - now).total_seconds()
    return f"{_told(following)} ({f'in {elapsed(left)}' if left > 0 else 'at once'})"


def _told(moment: datetime | None) -> str:
    """An instant to the second, in UTC."""
    return "" if moment is None else f"{instant(moment.timestamp())[:19]}Z"


def _why(status: ScheduleStatus) -> str:
    """What its latest runs failed with, on one line; empty if they have not."""
    return f"{count(status.streak, 'failure')}: {flat(status.last_error or '')}" if status.streak else ""


def _document(status: ScheduleStatus) -> dict[str, Any]:
    """All that is known of a schedule, for JSON."""
    return {
        "name": status.name,
        "workflow": status.workflow,
        "trigger": status.trigger,
        "state": status.state.value,
        "paused": status.paused,
        "next_firing": _exact(status.next_firing),
        "last_firing": _exact(status.last_firing),
        "eligible_at": _exact(status.eligible_at),
        "runs": status.runs,
        "queued": status.queued,
        "run_count": status.run_count,
        "streak": status.streak,
        "last_error": status.last_error,
    }


def _exact(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment.timestamp())
