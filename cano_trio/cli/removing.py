"""Runs that are taken out of a journal."""

from __future__ import annotations

from .._errors import NotOwner
from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .refusal import Refused
from .store import all_runs, stored


async def remove(journal: Journal, run_id: str, *, force: bool) -> list[str]:
    """Remove a run with those of child workflows that it started.

    Args:
        journal: the journal.
        run_id: the run.
        force: even if it is not over.

    Returns:
        The ids of what was removed.

    Raises:
        Refused: it is not over, or does a state's work of another run, or there is none.
        NotOwner: a living process holds it.
    """
    record = (await stored(journal, run_id)).record
    status = record.position.status
    if record.parent is not None:
        raise Refused(f"run {run_id!r} does a state's work of run {record.parent!r}: remove that one")
    if not status.ended and not force:
        raise Refused(f"run {run_id!r} is not over but {status.value}: cancel it first, or remove it with --force")
    family = await _claimed(journal, run_id)
    for one in reversed(family):  # the run itself last: a crash leaves nothing that nobody would find again
        await journal.delete(one.run_id, one.fence)
    return [one.run_id for one in family]


async def _claimed(journal: Journal, run_id: str) -> list[RunRecord]:
    """A run and those inside it, held by nobody else, each before its own."""
    found = await journal.claim(run_id)
    if found is None:
        raise NotOwner(run_id, (await journal.load(run_id)).record.owner)
    family = [found.record]
    for child in await all_runs(journal, parent=run_id):
        family += await _claimed(journal, child.run_id)
    return family
