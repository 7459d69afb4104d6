"""What the engine asks of a journal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, Protocol, Self

from .._observe.status import RunStatus
from .rows import Commit, Fence, Letter, LogRow, Message, NewRun, News, RunRecord, StoredRun
from .schedule_record import ScheduleRecord

NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class Journal(Protocol):
    """Where runs are written down; used inside ``async with``, by any number of trio tasks.

    Each call is one transaction: what it returns from is on disk. A cancel before the call has begun means that nothing was
    written; once begun, the call is carried through, and its caller meets the cancel at its next checkpoint. A `commit` may
    be carried through even then: what it tells of has happened already.

    While it is open, it holds its runs under one `owner`: an id that no process had before, under a lease that the journal
    itself renews. The lease only says whether others may claim its runs; whether it may still write is said by the fence,
    which needs no clock.

    Besides what is listed, each call raises `JournalError` if the journal itself fails, and `JournalUnavailable` if it
    wrote nothing and may do so when asked again.
    """

    @property
    def owner(self) -> str:
        """Under which id runs are held by it; a new one each time it is opened, and after its lease was lost."""
        ...

    def holds(self, owner: str, /) -> bool:
        """Whether the runs that are held under an owner are sure to be held still, without a look at where they are kept.

        Not if it is another's, and not half a lease after the last renewal: somebody may be about to claim them, and nothing
        new is begun for them before a commit has shown that they are still held.
        """
        ...

    async def __aenter__(self) -> Self:
        """Open it; if it is open in this trio run, join those that use it."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """The last to leave closes it, after all that was asked of it is done, and gives back all runs that it holds."""

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
            RunNotFound: a run that a message is sent to is not there.
            RunAlreadyEnded: it is over.
            StatementFailed: SQL of the user's failed, or this journal knows none.
        """
        ...

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs.

        Raises:
            RunNotFound: there is none.
        """
        ...

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits: the latest 1,000, and those that may have to be undone.

        Raises:
            RunNotFound: there is none.
        """
        ...

    async def runs(
        self,
        *,
        workflow: str | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        parent: str | None = None,
        due: float | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 1000,
    ) -> tuple[RunRecord, ...]:
        """Runs in the order of their creation, a page at a time.

        Args:
            workflow: only those of this workflow.
            status: only those that stand in one of these ways.
            labels: only those that have all of these.
            parent: only those that this run started.
            due: only those that have something to do at this instant or before it.
            after: only those whose ``number`` is greater.
            before: only those whose ``number`` is less; the page is then the last of them, and no longer the first.
            limit: how many at most.
        """
        ...

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over for `owner`, unless another living process holds it.

        A process may claim a run that it holds itself: it gets a new fence, and the old one is refused from then on.

        Args:
            run_id: the run.

        Returns:
            The run with its new fence, or None if it is held.

        Raises:
            RunNotFound: there is none.
        """
        ...

    async def claimable(
        self, *, workflows: Collection[str] | None = None, now: float, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs that have something to do, and that no living process holds: first things first, a page at a time.

        These are those that are queued, run or are rolled back, those that wait for an instant that has come, and those
        that have got a message since they began to wait; but no run that does a state's work of another.

        Args:
            workflows: only those of these workflows.
            now: what instant it is.
            limit: how many at most: those with the highest `priority`, and of these those that are due for longest.
        """
        ...

    async def next_due(self, *, workflows: Collection[str] | None = None, now: float) -> float | None:
        """When after `now` the first run that nobody holds will have something to do, as far as it is known."""
        ...

    async def inbox(self, run_id: str, /, *, after: int = 0) -> tuple[Message, ...]:
        """The messages in a run's inbox, in the order in which they came.

        Args:
            run_id: the run.
            after: only those whose `number` is greater.

        Raises:
            RunNotFound: there is no such run.
        """
        ...

    async def news(self, seen: int = 0, /) -> News:
        """Which runs have got messages since.

        Args:
            seen: what the last answer told.
        """
        ...

    @property
    def changes(self) -> int:
        """A number that grows whenever a run may have become claimable, or got a message, or another process has written."""
        ...

    async def wait_changed(self, seen: int, /) -> None:
        """Wait until `changes` is another number than this."""
        ...

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox.

        Returns:
            Its number, or None if a message with its key is or was there.

        Raises:
            RunNotFound: there is no such run.
            RunAlreadyEnded: it takes no more messages.
        """
        ...

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used.

        Raises:
            LeaseLost: the fence does not hold.
        """
        ...

    async def schedules(self) -> tuple[ScheduleRecord, ...]:
        """The schedules that were begun and not removed, by their names."""
        ...

    async def keep_schedule(self, schedule: ScheduleRecord, /) -> ScheduleRecord | None:
        """Write down where a schedule stands, unless somebody else has done so since.

        Args:
            schedule: the schedule, with the ``rev`` of the record that it was made of; it is kept with the next one. 0 for
                one that is begun.

        Returns:
            None if it is written; or the record that is there instead, and nothing is written.
        """
        ...

    async def delete_schedule(self, name: str, rev: int, /) -> ScheduleRecord | None:
        """Forget a schedule, unless something else has become of it since; nothing happens to its runs.

        Args:
            name: the schedule.
            rev: the ``rev`` of the record because of which it is to be forgotten.

        Returns:
            None if there is none of that name any more; or the record that is there instead, and nothing is removed.
        """
        ...

    async def fire(self, run: NewRun, schedule: ScheduleRecord, /) -> RunRecord | ScheduleRecord:
        """Create a run, and write down that a schedule has fired it: both, or neither.

        Args:
            run: the run.
            schedule: where its schedule stands afterwards; as of `keep_schedule`.

        Returns:
            The run; or the record of the schedule that is there instead, and nothing is written: another process has fired,
            or something else has become of the schedule.

        Raises:
            DuplicateRun: there is or was a run of that id.
        """
        ...
