"""What is written down of a schedule, as a frozen value. Times are as in `rows`."""

from __future__ import annotations

from msgspec import Struct


class ScheduleRecord(Struct, frozen=True, kw_only=True):
    """A schedule as it stands: what it has fired, and what came of that.

    Args:
        name: its name.
        workflow: the name of the workflow that it runs.
        trigger: when it fires, as text; under another one it begins anew.
        since: when it was begun.
        passed: up to which instant all were fired or passed over.
        queued: instants up to there that wait for a run to be over.
        runs: the runs that it has started and of which it is not known what came of them.
        run_count: how many runs it has started.
        last: the latest instant for which it has started a run.
        started_at: when it has started a run for the last time.
        ended_at: when one of its runs was over for the last time.
        streak: how many failures there were in a row.
        eligible_at: before which nothing fires, after a failure.
        error: what the latest of the failures in a row was, as text.
        tripped: it fires nothing before it is reset: too many failures in a row.
        paused: it fires nothing before it is resumed.
        rev: how many times it was written; of one to be written, of which writing it was made.
    """

    name: str
    workflow: str
    trigger: str
    since: float
    passed: float
    queued: tuple[float, ...] = ()
    runs: tuple[str, ...] = ()
    run_count: int = 0
    last: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    streak: int = 0
    eligible_at: float | None = None
    error: str | None = None
    tripped: bool = False
    paused: bool = False
    rev: int = 0
