"""What a runtime tells of its runs, and of itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import final

import attrs

from .. import _clock
from .._engine.run import Wait
from .._journal.rows import RunRecord
from .._observe.status import RunStatus
from .._resilience.waits import Waits, waits_of
from .actor import Actor

TOLD = 3
"""How many of the things that a run's tasks wait for are told."""


@final
@attrs.frozen(kw_only=True)
class RunInfo:
    """Where a run stands, and what it waits for.

    Args:
        run_id: the run.
        workflow: its workflow's name.
        version: the version of the workflow that wrote it.
        state: the name of the state it is in, or of the last it was in.
        status: where it stands.
        entered_at: when it came into the state; None if nobody has noted it.
        due_at: when it has something to do again, if it waits for a time.
        waits_for: what it waits for, in words; None if a task of it is at work, or if it is over.
        since: since when it waits for that.
        unblocked_by: what would end the wait, in words.
        reason: why it is paused, is blocked or was cancelled.
        error: what it failed with.
        labels: what it can be found by.
        priority: who comes first among those that wait for a slot; more is earlier.
        crashes: how many of its owners died in a row since its last commit.
        owner: the process that holds it, if one does.
        here: whether it is at work in this runtime.
    """

    run_id: str
    workflow: str
    version: int
    state: str
    status: RunStatus
    entered_at: datetime | None = None
    due_at: datetime | None = None
    waits_for: str | None = None
    since: datetime | None = None
    unblocked_by: str | None = None
    reason: str | None = None
    error: str | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    priority: int = 0
    crashes: int = 0
    owner: str | None = None
    here: bool = False

    def __str__(self) -> str:
        """One line."""
        told = f"{self.run_id} {self.status.value} {self.state}"
        if self.waits_for is not None:
            told += f": waits for {self.waits_for}"
        if self.since is not None:
            told += f" since {self.since:%Y-%m-%d %H:%M:%S}"
        if self.unblocked_by is not None:
            told += f"; {self.unblocked_by}"
        return told


@final
@attrs.frozen(kw_only=True)
class RuntimeStatistics:
    """What a runtime has done and holds at a moment.

    Args:
        at_work: runs that hold a slot here.
        waiting: of these, those that wait for a time, a message or another run.
        queued: callers of `start` who wait for a slot.
        started: runs that were started here so far.
        claimed: runs that were taken up here so far, with those that came back from the journal.
        unloaded: how often a run that only waited was let go to the journal.
        completed: runs that reached an exit here.
        failed: runs that ended here otherwise.
        released: runs that stopped here and go on elsewhere.
        restarted: how often a supervised run was begun again.
    """

    at_work: int
    waiting: int
    queued: int
    started: int
    claimed: int
    unloaded: int
    completed: int
    failed: int
    released: int
    restarted: int


def instant(timestamp: float | None) -> datetime | None:
    """Seconds since 1970 as an instant; None of one that no calendar has."""
    try:
        return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def told_by(record: RunRecord, *, known: bool = True) -> RunInfo:
    """What a run's record tells.

    Args:
        record: the run.
        known: its workflow, and its version, are known here.
    """
    position = record.position
    waits_for, unblocked_by = _wait_of(record, known=known)
    error = position.error
    return RunInfo(
        run_id=record.run_id,
        workflow=record.workflow,
        version=record.version,
        state=position.state,
        status=position.status,
        entered_at=instant(position.entered_at),
        due_at=instant(position.due_at),
        waits_for=waits_for,
        since=None if waits_for is None else instant(position.entered_at),
        unblocked_by=unblocked_by,
        reason=position.reason,
        error=None if error is None else f"{error.type}: {error.message}",
        labels=record.labels,
        priority=record.priority,
        crashes=record.crashes,
        owner=record.owner,
    )


def _wait_of(record: RunRecord, *, known: bool) -> tuple[str | None, str | None]:
    position = record.position
    if position.status.ended:
        return None, None
    if not known:
        return "code", f"no code here goes on with version {record.version} of workflow {record.workflow!r}"
    match position.status:
        case RunStatus.QUEUED:
            if position.due_at is not None and position.due_at > _clock.timestamp():
                return "its time to begin", _at(position.due_at)
            return "a slot", "it begins when another run has ended, or when a runtime has room for it"
        case RunStatus.WAITING:
            return position.reason or "something", _at(position.due_at)
        case RunStatus.PAUSED:
            return "an operator", "it goes on when it is resumed"
        case RunStatus.BLOCKED:
            return "an operator", position.reason
        case _ if record.owner is None:
            return "a runtime", "the next one that claims it goes on with it"
        case _:
            return None, None


def _at(due_at: float | None) -> str | None:
    due = instant(due_at)
    return None if due is None else f"due {due:%Y-%m-%d %H:%M:%S} UTC"


def told_here(actor: Actor) -> RunInfo:
    """What this process knows of a run that is at work in it."""
    run = actor.engine
    assert run is not None  # noqa: S101  (it is at work)
    position = run.journal.last
    wait = run.innermost.wait
    now = run.clock()
    wall = _clock.timestamp()
    notes: list[Waits | Wait] = (
        [wait] if wait is not None else [*waits_of(actor.task)] if actor.task is not None else []
    )
    waits_for = ", ".join(note.reason for note in notes[:TOLD]) or None
    if len(notes) > TOLD:
        waits_for = f"{waits_for} and {len(notes) - TOLD} more"
    if run.child is not None:
        inner = run.innermost
        waits_for = f"child {inner.workflow} in {inner.step.name}" + (f": {waits_for}" if waits_for else "")
    until = min((note.until for note in notes if note.until is not None), default=None)
    since = min((note.since for note in notes), default=None)
    unblocked_by = None if until is None else _at(wall + until - now)
    if actor.status is RunStatus.ROLLING_BACK:
        waits_for, unblocked_by = "its compensations", f"{len(run.done)} left to undo"
    elif actor.restart_at is not None:
        waits_for, unblocked_by = "its restart", _at(wall + max(actor.restart_at - now, 0))
    elif run.cancelled and not actor.over:
        waits_for, unblocked_by = "its task to give way", "it was cancelled, and is undone then"
    return RunInfo(
        run_id=actor.run_id,
        workflow=actor.workflow.name,
        version=actor.workflow.version,
        state=run.step.name,
        status=actor.status,
        entered_at=None if position is None else instant(position.entered_at),
        due_at=None if until is None else instant(wall + until - now),
        waits_for=waits_for,
        since=None if since is None else instant(wall + since - now),
        unblocked_by=unblocked_by,
        reason=run.reason,
        error=None if actor.failure is None else f"{type(actor.failure).__name__}: {actor.failure}",
        labels=actor.labels,
        priority=actor.priority,
        crashes=actor.crashes,
        here=not actor.over,
    )
