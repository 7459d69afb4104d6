"""Where a schedule stands, as one is told who asks."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from enum import Enum
from typing import final

import attrs

from .._define.trigger_text import trigger_of
from .._journal.schedule_record import ScheduleRecord
from .schedule_state import AnySchedule, expected_firing, instant_of, next_firing


@final
class ScheduleState(Enum):
    """What a schedule does at the moment.

    >>> from cano_trio import ScheduleState
    >>> [state.value for state in ScheduleState]
    ['idle', 'running', 'backing_off', 'tripped', 'paused']
    """

    IDLE = "idle"
    """It waits for its next instant, or to be triggered."""
    RUNNING = "running"
    """A run of it goes on."""
    BACKING_OFF = "backing_off"
    """A run has failed, and for some time nothing fires."""
    TRIPPED = "tripped"
    """Too many runs have failed in a row: nothing fires before it is reset."""
    PAUSED = "paused"
    """Nothing fires before it is resumed."""


@final
@attrs.frozen(kw_only=True)
class ScheduleStatus:
    """Where a schedule stands.

    Args:
        name: its name.
        workflow: the name of the workflow that it runs.
        trigger: when it fires, in words.
        state: what it does at the moment.
        paused: nothing fires before it is resumed, though a run may still go on.
        next_firing: the instant of its next firing; None while that depends on something else than the time: the end of a
            run, a reset, a trigger.
        last_firing: the instant of its latest firing.
        runs: the ids of the runs that go on, the oldest first.
        queued: how many firings wait for a run to be over.
        run_count: how many runs it has started.
        streak: how many failures there were in a row.
        last_error: what the latest of these was.
        eligible_at: before which nothing fires, after a failure.
    """

    name: str
    workflow: str
    trigger: str
    state: ScheduleState
    paused: bool
    next_firing: datetime | None
    last_firing: datetime | None
    runs: tuple[str, ...]
    queued: int
    run_count: int
    streak: int
    last_error: str | None
    eligible_at: datetime | None


def status_of(schedule: AnySchedule, record: ScheduleRecord, now: datetime) -> ScheduleStatus:
    """Where a schedule stands at an instant."""
    following = next_firing(schedule, record, now)
    told = _status(record, schedule.trigger.zone, following, now)
    return attrs.evolve(told, workflow=schedule.workflow.name, trigger=str(schedule.trigger))


def status_written(record: ScheduleRecord, now: datetime) -> ScheduleStatus:
    """Where a schedule stands at an instant, to who has not its code."""
    trigger = trigger_of(record.trigger)
    if trigger is None:
        return _status(record, UTC, None, now)
    return _status(record, trigger.zone, expected_firing(trigger, record, now), now)


def _status(record: ScheduleRecord, zone: tzinfo, following: datetime | None, now: datetime) -> ScheduleStatus:
    return ScheduleStatus(
        name=record.name,
        workflow=record.workflow,
        trigger=record.trigger,
        state=state_of(record, now),
        paused=record.paused,
        next_firing=None if following is None else following.astimezone(zone),
        last_firing=None if record.last is None else instant_of(record.last).astimezone(zone),
        runs=record.runs,
        queued=len(record.queued),
        run_count=record.run_count,
        streak=record.streak,
        last_error=record.error,
        eligible_at=None if record.eligible_at is None else instant_of(record.eligible_at).astimezone(zone),
    )


def state_of(record: ScheduleRecord, now: datetime) -> ScheduleState:
    """What a schedule does at an instant."""
    if record.runs:
        return ScheduleState.RUNNING
    if record.paused:
        return ScheduleState.PAUSED
    if record.tripped:
        return ScheduleState.TRIPPED
    if record.eligible_at is not None and instant_of(record.eligible_at) > now:
        return ScheduleState.BACKING_OFF
    return ScheduleState.IDLE
