"""Where a run stands."""

from __future__ import annotations

from enum import Enum
from typing import final


@final
class RunStatus(Enum):
    """Where a run stands, from the outside.

    >>> RunStatus.COMPLETED.ended, RunStatus.RUNNING.ended
    (True, False)
    """

    QUEUED = "queued"
    """Accepted, and not begun yet."""
    RUNNING = "running"
    """A task of it is at work."""
    WAITING = "waiting"
    """It waits for a time, a message or another run."""
    PAUSED = "paused"
    """An operator holds it."""
    ROLLING_BACK = "rolling_back"
    """It undoes what it did."""
    BLOCKED = "blocked"
    """It can't go on with this code; the reason says why."""
    COMPLETED = "completed"
    """It reached an exit state."""
    FAILED = "failed"
    """A task failed, and nothing was to be undone; it may be retried."""
    ROLLED_BACK = "rolled_back"
    """A task failed, and all that the run did was undone."""
    CANCELLED = "cancelled"
    """It was cancelled, and all that it did was undone."""
    ROLLBACK_FAILED = "rollback_failed"
    """Something could not be undone: it needs an operator."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the run by itself."""
        return self in _ENDED


_ENDED = frozenset(
    {
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.ROLLED_BACK,
        RunStatus.CANCELLED,
        RunStatus.ROLLBACK_FAILED,
    }
)
