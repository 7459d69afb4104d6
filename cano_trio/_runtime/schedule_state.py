"""What becomes of a schedule: pure functions of its record, which read no clock and start nothing.

A record goes from one firing to the next: `decide` says what is to happen, and `fired`, `over` and the others make of a record
the one after it. Whoever carries it out writes each of them down before it counts.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, final

import attrs
from msgspec.structs import replace

from .._define.schedule import AnyTrigger, Schedule
from .._define.trigger import Every, Manual
from .._journal.schedule_record import ScheduleRecord

AnySchedule: TypeAlias = Schedule[Any]

Outcome: TypeAlias = Literal["succeeded", "cancelled", "failed"]
"""What a run came to, as far as its schedule is concerned."""

GRACE: Final = timedelta(seconds=60)
"""How late an instant may be and still be fired as if it were on time: a restart, or a machine that was busy, is no misfire."""

SMALLEST: Final = timedelta(microseconds=1)


@final
@attrs.frozen
class Fire:
    """Start a run for an instant."""

    instant: datetime


@final
@attrs.frozen
class Move:
    """Start nothing, write the record down as it is here, and decide again.

    Args:
        record: what it becomes.
        why: why instants are passed over, for people; empty if none are.
    """

    record: ScheduleRecord
    why: str = ""


@final
@attrs.frozen
class Wait:
    """Nothing is to be done before an instant, or before something changes.

    Args:
        until: the instant; None if none comes by itself.
        cancels: the runs that go on are to be cancelled.
    """

    until: datetime | None
    cancels: bool = False


Decision: TypeAlias = Fire | Move | Wait


# -- what is to happen


def decide(schedule: AnySchedule, record: ScheduleRecord, now: datetime) -> Decision:
    """What is to happen next.

    Args:
        schedule: the schedule.
        record: where it stands.
        now: the instant at which this is asked.
    """
    trigger = schedule.trigger
    if record.paused or record.tripped or isinstance(trigger, Manual):
        return Wait(None)
    if isinstance(trigger, Every) and not trigger.fixed_rate:
        return _after_delay(schedule, trigger, record, now)
    if record.queued and (not record.runs or schedule.overlap == "allow"):
        return _from_queue(record, now)
    return _on_time(schedule, record, now)


def _after_delay(schedule: AnySchedule, trigger: Every, record: ScheduleRecord, now: datetime) -> Decision:
    """With a fixed delay there is one instant to come, and it depends on the end of the last run (cano SCH-3)."""
    instant = _delayed(trigger, record)
    if instant is None:
        return Wait(None)
    due = instant + put_off(schedule, instant)
    return Wait(due) if due > now else Fire(instant)


def _delayed(trigger: Every, record: ScheduleRecord) -> datetime | None:
    if record.runs:
        return None
    since = instant_of(record.since)
    if record.ended_at is not None:
        instant = trigger.after(instant_of(record.ended_at))
    else:
        instant = since if trigger.start is None else max(since, trigger.start)
    if instant is None or record.eligible_at is None:
        return instant
    return max(instant, instant_of(record.eligible_at))


def _from_queue(record: ScheduleRecord, now: datetime) -> Decision:
    eligible_at = None if record.eligible_at is None else instant_of(record.eligible_at)
    if eligible_at is not None and eligible_at > now:
        return Wait(eligible_at)
    return Fire(instant_of(record.queued[0]))


def _on_time(schedule: AnySchedule, record: ScheduleRecord, now: datetime) -> Decision:
    """Where instants are given, the next one is fired, passed over or kept, depending on how late it is and what goes on."""
    trigger = schedule.trigger
    passed = _passed(record)
    instant = trigger.after(passed)
    cancels = bool(record.queued) and schedule.overlap == "cancel_previous"
    due = None if instant is None else instant + put_off(schedule, instant)
    if instant is None or due is None or due > now:
        return Wait(due, cancels)
    missed_until = now - GRACE - timedelta(seconds=trigger.jitter) - SMALLEST
    if is_missed := instant <= missed_until:
        last = trigger.latest(passed, missed_until) or instant
        if schedule.misfire == "skip":
            return Move(_passed_over(record, last), "they were missed")
        if schedule.misfire == "run_once" and last > instant:
            return Move(_passed_over(record, last - SMALLEST), "they were missed, and a later one is fired for all")
    if not record.runs or schedule.overlap == "allow":
        return Fire(instant)
    if is_missed or (record.started_at is not None and due < instant_of(record.started_at)):
        return Wait(None, cancels)  # it did not come while that run went on, and so has its turn when that is over
    return _overlapping(schedule, record, instant)


def _overlapping(schedule: AnySchedule, record: ScheduleRecord, instant: datetime) -> Move:
    """What becomes of an instant at which a run goes on."""
    passed = _passed_over(record, instant)
    if schedule.overlap == "cancel_previous":
        return Move(replace(passed, queued=(instant.timestamp(),)))
    if schedule.overlap == "queue" and len(record.queued) < schedule.queue_limit:
        return Move(replace(passed, queued=(*record.queued, instant.timestamp())))
    more = ", and the queue is full" if schedule.overlap == "queue" else ""
    return Move(passed, f"run {record.runs[-1]!r} goes on{more}")


def _passed(record: ScheduleRecord) -> datetime:
    """Up to which instant none is fired any more; those within a back-off are passed over (cano SCH-4)."""
    passed = instant_of(record.passed)
    if record.eligible_at is None:
        return passed
    return max(passed, instant_of(record.eligible_at) - SMALLEST)


def next_firing(schedule: AnySchedule, record: ScheduleRecord, now: datetime) -> datetime | None:
    """When it fires next, as far as is known: None while that depends on something else than the time."""
    decision = decide(schedule, record, now)
    while isinstance(decision, Move):
        decision = decide(schedule, decision.record, now)
    return decision.instant if isinstance(decision, Fire) else decision.until


def expected_firing(trigger: AnyTrigger, record: ScheduleRecord, now: datetime) -> datetime | None:
    """When it fires next, as far as its record tells by itself: its jitter, and what it does with overlaps, only its code knows.

    Args:
        trigger: its trigger, as its record tells it.
        record: where it stands.
        now: the instant at which this is asked.
    """
    if record.paused or record.tripped:
        return None
    if isinstance(trigger, Every) and not trigger.fixed_rate:
        return _delayed(trigger, record)
    return trigger.after(max(_passed(record), now - GRACE - SMALLEST))


def put_off(schedule: AnySchedule, instant: datetime) -> timedelta:
    """By how much jitter puts a firing off: the same in every process, and however often it is asked."""
    jitter = schedule.trigger.jitter
    if not jitter:
        return timedelta()
    return timedelta(seconds=random.Random(f"{schedule.name}@{instant.timestamp()}").uniform(0, jitter))


# -- what has happened


def begun(schedule: AnySchedule, now: datetime) -> ScheduleRecord:
    """The record of a schedule that was never there before."""
    at = now.timestamp()
    return ScheduleRecord(
        name=schedule.name, workflow=schedule.workflow.name, trigger=str(schedule.trigger), since=at, passed=at
    )


def taken_up(schedule: AnySchedule, record: ScheduleRecord, now: datetime) -> ScheduleRecord:
    """A record of an earlier process, for the schedule as it is now.

    If its trigger is another one, no instant of that was ever missed: it begins anew.
    """
    at = now.timestamp()
    if record.trigger != str(schedule.trigger):
        record = replace(record, trigger=str(schedule.trigger), since=at, passed=at, queued=())
    return replace(as_of(schedule, record, now), workflow=schedule.workflow.name)


def as_of(schedule: AnySchedule, record: ScheduleRecord, now: datetime) -> ScheduleRecord:
    """A record as far as it can be true now: if the clock was set back since it was written, it tells of a future.

    No run has ended there, and no back-off lasts longer than it ever could.
    """
    at = now.timestamp()
    longest = at + schedule.backoff.maximum
    return replace(
        record,
        since=min(record.since, at),
        ended_at=None if record.ended_at is None else min(record.ended_at, at),
        eligible_at=None if record.eligible_at is None else min(record.eligible_at, longest),
    )


def fired(record: ScheduleRecord, instant: datetime, run_id: str, now: datetime) -> ScheduleRecord:
    """After a run was started for an instant, from the queue or of its own time."""
    return _started(_done_with(record, instant), instant, run_id, now)


def triggered(record: ScheduleRecord, now: datetime, run_id: str) -> ScheduleRecord:
    """After a run was started because somebody asked for it; no instant is passed over by that."""
    return _started(record, now, run_id, now)


def fired_before(record: ScheduleRecord, instant: datetime, now: datetime) -> ScheduleRecord:
    """After it was found that the run of an instant was there already: that is over, as far as is known."""
    return replace(_done_with(record, instant), ended_at=now.timestamp())


def not_started(
    schedule: AnySchedule, record: ScheduleRecord, instant: datetime, now: datetime, error: str
) -> ScheduleRecord:
    """After no run could be started for an instant: it counts as one that has failed."""
    record = replace(_done_with(record, instant), ended_at=now.timestamp())
    return _after_failure(schedule, record, now, error)


def withdrawn(record: ScheduleRecord, run_id: str, before: ScheduleRecord) -> ScheduleRecord:
    """After a run that was noted as started was not: as if it had never been.

    Args:
        record: where the schedule stands.
        run_id: the run.
        before: where the schedule stood when that was to be started.
    """
    if run_id not in record.runs:
        return record
    return replace(
        record,
        runs=_without(record.runs, run_id),
        run_count=before.run_count,
        last=before.last,
        started_at=before.started_at,
    )


def over(
    schedule: AnySchedule, record: ScheduleRecord, run_id: str, outcome: Outcome, now: datetime, error: str = ""
) -> ScheduleRecord:
    """After a run was over (cano SCH-8).

    Args:
        schedule: its schedule.
        record: where that stands; returned as it is, if the run is counted already.
        run_id: the run.
        outcome: what it came to.
        now: when.
        error: what it failed with.
    """
    if run_id not in record.runs:
        return record
    record = replace(record, runs=_without(record.runs, run_id), ended_at=now.timestamp())
    if outcome == "failed":
        return _after_failure(schedule, record, now, error)
    if outcome == "cancelled":
        return record
    # What came within a back-off until now stays passed over.
    record = _passed_over(record, min(_passed(record), now))
    return replace(record, streak=0, eligible_at=None, error=None)


def paused(record: ScheduleRecord) -> ScheduleRecord:
    """After it was paused; what goes on goes on."""
    return replace(record, paused=True)


def resumed(record: ScheduleRecord, now: datetime) -> ScheduleRecord:
    """After it was resumed: what was not fired meanwhile is passed over."""
    return replace(_passed_over(record, now), paused=False) if record.paused else record


def reset(record: ScheduleRecord, now: datetime) -> ScheduleRecord:
    """After it was set back to normal; a run that goes on does, and counts from there on (cano SCH-10).

    What a clock that was wrong has passed over in the future is to come again; what was fired there is a run, and is not.
    """
    at = now.timestamp()
    held = record.tripped or record.eligible_at is not None
    return replace(
        record,
        passed=at if held else min(record.passed, at),
        streak=0,
        eligible_at=None,
        error=None,
        tripped=False,
    )


def shifted(record: ScheduleRecord, seconds: float) -> ScheduleRecord:
    """After the clock was set: what is counted from an end is as long as before."""
    return replace(
        record,
        since=record.since + seconds,
        ended_at=None if record.ended_at is None else record.ended_at + seconds,
        eligible_at=None if record.eligible_at is None else record.eligible_at + seconds,
    )


def _after_failure(schedule: AnySchedule, record: ScheduleRecord, now: datetime, error: str) -> ScheduleRecord:
    streak = record.streak + 1
    record = replace(record, streak=streak, error=error)
    if schedule.trip_after is not None and streak >= schedule.trip_after:
        return replace(record, tripped=True, eligible_at=None, queued=())
    return replace(record, eligible_at=now.timestamp() + schedule.backoff.delay(streak))


def _started(record: ScheduleRecord, instant: datetime, run_id: str, now: datetime) -> ScheduleRecord:
    return replace(
        record,
        runs=(*record.runs, run_id),
        run_count=record.run_count + 1,
        last=instant.timestamp(),
        started_at=now.timestamp(),
    )


def _done_with(record: ScheduleRecord, instant: datetime) -> ScheduleRecord:
    at = instant.timestamp()
    return replace(_passed_over(record, instant), queued=tuple(one for one in record.queued if one != at))


def _passed_over(record: ScheduleRecord, instant: datetime) -> ScheduleRecord:
    return replace(record, passed=max(record.passed, instant.timestamp()))


def _without(runs: tuple[str, ...], run_id: str) -> tuple[str, ...]:
    return tuple(one for one in runs if one != run_id)


# -- how things are called


def instant_of(seconds: float) -> datetime:
    """An instant that was written down, exact to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC)


def run_id_of(schedule: AnySchedule, instant: datetime) -> str:
    """What the run of an instant is called.

    >>> from datetime import datetime, timezone
    >>> from enum import Enum
    >>> from cano_trio import Manual, Schedule, Workflow
    >>> Step = Enum("Step", "WORK DONE")
    >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    >>> run_id_of(Schedule("nightly", workflow, Manual()), datetime(2030, 1, 1, 3, tzinfo=timezone.utc))
    'nightly@2030-01-01T03:00:00Z'
    """
    return f"{schedule.name}@{instant.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
