"""A journal's file, as the command uses it: opened for one question at a time."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from .._errors import JournalError, RunNotFound
from .._journal.protocol import Journal
from .._journal.rows import RunRecord, StoredRun
from .._observe.status import RunStatus
from .._runtime.workflow import Workflow
from .answers import refuse
from .refusal import Refused, did_you_mean, no_file

if TYPE_CHECKING:
    from ..journals import SqliteJournal

T = TypeVar("T")
J = TypeVar("J", bound=Journal)

UNFINISHED = tuple(status for status in RunStatus if not status.ended)

PAGE = 1000
"""Runs that are read at once."""

_SQLITE = b"SQLite format 3\0"


def opened(file: Path, *, new: bool = False) -> SqliteJournal:
    """The journal in a file.

    Args:
        file: the file.
        new: it is made if there is none.

    Raises:
        Refused: there is no such file, or it is no database.
    """
    from ..journals import SqliteJournal  # noqa: PLC0415  (SQLite takes long to import)

    if new and not file.exists():
        if not file.parent.is_dir():
            raise Refused(f"there is no directory {file.parent} for the journal")
    else:
        check_file(file)
    return SqliteJournal(file)


def check_file(file: Path) -> None:
    """See that a file is there, and may be a journal.

    Raises:
        Refused: it is not.
    """
    if not file.is_file():
        raise no_file(file)
    if not _may_be_journal(file):
        raise Refused(f"{file} is no journal: name another file")


def _may_be_journal(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(_SQLITE)) in {_SQLITE, b""}
    except OSError as error:
        raise Refused(f"{file} can't be read: {error.strerror}") from error


def asked(journal: J, ask: Callable[[J], Awaitable[T]], *, full: bool) -> T:
    """What a journal answers while it is open; where it refuses, the command does."""

    async def main() -> T:
        async with journal:
            return await ask(journal)

    return answer_of(main, full=full)


def answer_of(ask: Callable[[], Awaitable[T]], *, full: bool) -> T:
    """What is answered in a trio run of its own; where a journal refuses, the command does."""
    try:
        return trio.run(ask)
    except (JournalError, OSError) as error:
        refuse(error, str(error), full=full)


async def all_runs(journal: Journal, **wanted: Any) -> list[RunRecord]:
    """All runs of a journal that are wanted, in the order of their creation."""
    found: list[RunRecord] = []
    after = 0
    while page := await journal.runs(after=after, limit=PAGE, **wanted):
        found += page
        after = page[-1].number
    return found


async def latest(
    journal: Journal, workflow: str | None, status: Collection[RunStatus] | None, limit: int | None, *, inner: bool
) -> list[RunRecord]:
    """The latest runs of a journal, the latest last.

    Args:
        journal: the journal.
        workflow: only those of this workflow.
        status: only those that stand in one of these ways.
        limit: how many at most.
        inner: those of child workflows, too.
    """
    found: list[RunRecord] = []
    before = sys.maxsize
    while limit is None or len(found) < limit:
        page = await journal.runs(workflow=workflow, status=status, before=before, limit=PAGE)
        if not page:
            break
        found[:0] = [record for record in page if inner or record.parent is None]
        before = page[0].number
    return found if limit is None else found[-limit:]


async def stored(journal: Journal, run_id: str) -> StoredRun:
    """A run of a journal.

    Raises:
        Refused: there is none.
    """
    with suppress(RunNotFound):
        return await journal.load(run_id)
    known = [record.run_id for record in await latest(journal, None, None, PAGE, inner=False)]
    hint = did_you_mean(run_id, known) or ". See `cano-trio list`."
    raise Refused(f"the journal has no run {run_id!r}{hint}")


async def stored_of(journal: Journal, run_id: str, workflow: Workflow[Any, Any]) -> StoredRun:
    """A run of a journal that is to be taken up with a workflow.

    Raises:
        Refused: there is none, or it is one of another workflow, or of a child workflow.
    """
    found = await stored(journal, run_id)
    record = found.record
    if record.parent is not None:
        raise Refused(f"run {run_id!r} does a state's work of run {record.parent!r}: name that one")
    if record.workflow != workflow.name:
        raise Refused(f"run {run_id!r} is one of workflow {record.workflow!r}, and this is {workflow.name!r}")
    return found
