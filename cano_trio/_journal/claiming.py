"""Which runs have something to do, though nobody carries them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .._observe.status import RunStatus
from .rows import Commit, Position, RunRecord

AT_WORK: Final = frozenset({RunStatus.RUNNING, RunStatus.ROLLING_BACK})
"""A run that stands so and has no owner has lost it."""

TAKEN_UP: Final = frozenset({*AT_WORK, RunStatus.QUEUED, RunStatus.WAITING})
"""How a run stands that may have something to do."""


def has_work(record: RunRecord, now: float, posted: int) -> bool:
    """Whether a run that nobody holds has something to do.

    Args:
        record: the run.
        now: what instant it is.
        posted: how many messages it was ever sent.
    """
    position = record.position
    if record.parent is not None or position.status not in TAKEN_UP:
        return False
    if position.status in AT_WORK:
        return True
    due = due_of(position)
    if position.status is RunStatus.QUEUED:
        return due is None or due <= now
    return posted > position.heard or (due is not None and due <= now)


def due_of(position: Position) -> float | None:
    """When a run that only waits has something to do, if nothing happens before: be it only that its time is over."""
    if position.status is RunStatus.QUEUED:
        return position.due_at
    if position.status is not RunStatus.WAITING:
        return None
    due_at, deadline_at = position.due_at, position.deadline_at
    if due_at is None or deadline_at is None:
        return deadline_at if due_at is None else due_at
    return min(due_at, deadline_at)


def calls(commit: Commit) -> bool:
    """Whether somebody may have something to do because of a commit, or one that goes along with it."""
    if commit.sends or commit.starts or (commit.release and not commit.position.status.ended):
        return True
    return bool(commit.along) and any(calls(other) for other in commit.along)


def first_first(records: Iterable[RunRecord], limit: int) -> tuple[RunRecord, ...]:
    """Those that come first: by priority, and then by how long they have had something to do."""

    def rank(record: RunRecord) -> tuple[int, float, int]:
        return -record.priority, due_of(record.position) or record.position.entered_at, record.number

    return tuple(sorted(records, key=rank)[:limit])
