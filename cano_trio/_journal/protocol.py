"""What the engine asks of a journal."""

from __future__ import annotations

from typing import Protocol, Self

from .._observe.status import RunStatus
from .rows import Commit, Fence, LogRow, NewRun, RunRecord, StoredRun


class Journal(Protocol):
    """Where runs are written down; used inside ``async with``, by any number of trio tasks.

    Each call is one transaction: what it returns from is on disk. A cancel before the call has begun means that nothing was
    written; once begun, the call is carried through, and its caller meets the cancel at its next checkpoint.

    An owner is a process, under an id that no process had before it. It holds a lease that it has to renew. The lease only
    says whether others may claim its runs; whether it may still write is said by the fence, which needs no clock.

    Besides what is listed, each call raises `JournalError` if the journal itself fails, and `JournalUnavailable` if it
    wrote nothing and may do so when asked again.
    """

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it, after all that was asked of it is done."""

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run.

        Raises:
            DuplicateRun: there is or was a run of that id.
        """
        ...

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run, and return its new ``rev``.

        Raises:
            LeaseLost: another process has claimed the run, or the commit was made from an older one.
            DuplicateRun: one of the runs to start is there already.
        """
        ...

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs.

        Raises:
            RunNotFound: there is none.
        """
        ...

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits.

        Raises:
            RunNotFound: there is none.
        """
        ...

    async def runs(
        self, *, workflow: str | None = None, status: RunStatus | None = None, after: int = 0, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs in the order of their creation, a page at a time.

        Args:
            workflow: only those of this workflow.
            status: only those that stand so.
            after: only those whose ``number`` is greater.
            limit: how many at most.
        """
        ...

    async def renew(self, owner: str, /, *, until: float) -> None:
        """Begin the lease of an owner, or extend it. Without one, others may claim its runs at once.

        Args:
            owner: the process.
            until: when the lease lapses, in seconds of the host's monotonic clock.

        Raises:
            LeaseLost: it had lapsed, and another process has taken a run over meanwhile: come back under another id.
        """

    async def claim(self, run_id: str, owner: str, /, *, now: float) -> StoredRun | None:
        """Take a run over, unless another living process holds it.

        A process may claim a run that it holds itself: it gets a new fence, and the old one is refused from then on.

        Args:
            run_id: the run.
            owner: the process that wants it.
            now: the instant, in seconds of the host's monotonic clock.

        Returns:
            The run with its new fence, or None if it is held.

        Raises:
            RunNotFound: there is none.
        """
        ...

    async def release(self, owner: str, /) -> None:
        """Give back all runs of an owner, and end its lease."""

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used.

        Raises:
            LeaseLost: the fence does not hold.
        """
