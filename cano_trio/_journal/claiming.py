"""Which runs have something to do, though nobody carries them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .._observe.status import RunStatus
from .rows import RunRecord

AT_WORK: Final = frozenset({RunStatus.RUNNING, RunStatus.ROLLING_BACK})
"""A run that stands so and has no owner has lost it."""

TAKEN_UP: Final = frozenset({*AT_WORK, RunStatus.QUEUED, RunStatus.WAITING})
"""How a run stands that may have something to do."""


def has_work(record: RunRecord, now: float, posted: int) -> bool:
    """Whether a run that nobody holds has something to do.

    Args:
        record: the run.
        now: what instant it is.
        posted: the number of the last message in its inbox; 0 if it is empty.
    """
    position = record.position
    if record.parent is not None or position.status not in TAKEN_UP:
        return False
    if position.status in AT_WORK:
        return True
    due = due_of(record)
    if position.status is RunStatus.QUEUED:
        return due is None or due <= now
    return posted > position.heard or (due is not None and due <= now)


def due_of(record: RunRecord) -> float | None:
    """When a run has something to do, if nothing happens before: it, or whoever looks at its timeout."""
    position = record.position
    instants = [instant for instant in (position.due_at, position.deadline_at) if instant is not None]
    return min(instants, default=None)


def first_first(records: Iterable[RunRecord], limit: int) -> tuple[RunRecord, ...]:
    """Those that come first: by priority, and then by how long they have had something to do."""

    def rank(record: RunRecord) -> tuple[int, float, int]:
        return -record.priority, due_of(record) or record.position.entered_at, record.number

    return tuple(sorted(records, key=rank)[:limit])
