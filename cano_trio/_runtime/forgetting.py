"""Removing what a journal keeps of a schedule that no code has any more."""

from __future__ import annotations

from collections.abc import Callable

from .._errors import RunNotFound, ScheduleBusy, ScheduleNotFound
from .._journal.protocol import Journal


def _nobody(_: str) -> bool:
    """Follows no run."""
    return False


async def forget_schedule(journal: Journal, name: str, *, is_followed: Callable[[str], bool] = _nobody) -> None:
    """Remove the record of a schedule; a process that still fires it writes it down again.

    Args:
        journal: where it is written down.
        name: the schedule.
        is_followed: whether somebody here has yet to note what became of a run.

    Raises:
        ScheduleNotFound: there is none of that name.
        ScheduleBusy: a run of it goes on, or what became of it is yet to be noted, which would write it down again.
    """
    is_there = True
    while is_there:
        records = {record.name: record for record in await journal.schedules()}
        if name not in records:
            raise ScheduleNotFound(name, [*records])
        record = records[name]
        going_on = [run_id for run_id in record.runs if is_followed(run_id) or await _goes_on(journal, run_id)]
        if going_on:
            raise ScheduleBusy(name, going_on, why="it would be written down again. Cancel it, or wait for it.")
        is_there = await journal.delete_schedule(name, record.rev) is not None


async def _goes_on(journal: Journal, run_id: str) -> bool:
    """Whether a run is not over: a record may tell of some that have ended while nobody had the schedule."""
    try:
        return not (await journal.load(run_id)).record.position.status.ended
    except RunNotFound:
        return False
