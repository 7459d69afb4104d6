"""A journal around another one: what a journal of your own is made of that only watches, counts or delays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Self, TypeVar

from .._observe.status import RunStatus
from .protocol import NO_LABELS, Journal
from .rows import Commit, Fence, Letter, LogRow, Message, NewRun, News, RunRecord, StoredRun
from .schedule_record import ScheduleRecord

T = TypeVar("T")


class ForwardingJournal:
    """A journal that has another one do all that it is asked for; derive from it what does more.

    Every call passes through `forward`: override that for what concerns all of them, and a method for what concerns one.
    An override keeps the promises of `Journal` where it passes on what `inner` returns and raises.

    Args:
        inner: the journal that keeps the runs; also an attribute.

    >>> from collections import Counter
    >>> import trio
    >>> from cano_trio.journals import ForwardingJournal, MemoryJournal
    >>> class CountingJournal(ForwardingJournal):
    ...     def __init__(self, inner):
    ...         super().__init__(inner)
    ...         self.calls = Counter()
    ...     async def forward(self, method, call):
    ...         self.calls[method] += 1
    ...         return await super().forward(method, call)
    >>> async def main():
    ...     async with CountingJournal(MemoryJournal()) as journal:
    ...         await journal.runs()
    ...         await journal.runs()
    ...         return dict(journal.calls)
    >>> trio.run(main)
    {'runs': 2}
    """

    def __init__(self, inner: Journal) -> None:
        self.inner = inner

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:  # noqa: ARG002  (for those that override it)
        """Pass a call on.

        Args:
            method: its name, such as ``"commit"``.
            call: has `inner` do it.

        Returns:
            What `inner` returned.
        """
        return await call()

    @property
    def owner(self) -> str:
        """Under which id runs are held by it."""
        return self.inner.owner

    def holds(self, owner: str, /) -> bool:
        """Whether the runs that are held under an owner are sure to be held still."""
        return self.inner.holds(owner)

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it, after the last of its users."""
        await self.inner.__aexit__(*exc_info)

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        return await self.forward("create", lambda: self.inner.create(run))

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run, and return its new ``rev``."""
        return await self.forward("commit", lambda: self.inner.commit(commit))

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs."""
        return await self.forward("load", lambda: self.inner.load(run_id))

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits."""
        return await self.forward("history", lambda: self.inner.history(run_id))

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
        """Runs in the order of their creation, a page at a time."""
        return await self.forward(
            "runs",
            lambda: self.inner.runs(
                workflow=workflow,
                status=status,
                labels=labels,
                parent=parent,
                due=due,
                after=after,
                before=before,
                limit=limit,
            ),
        )

    async def claimable(
        self, *, workflows: Collection[str] | None = None, now: float, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs that have something to do, and that no living process holds: first things first."""
        return await self.forward("claimable", lambda: self.inner.claimable(workflows=workflows, now=now, limit=limit))

    async def next_due(self, *, workflows: Collection[str] | None = None, now: float) -> float | None:
        """When after `now` the first run that nobody holds will have something to do, as far as it is known."""
        return await self.forward("next_due", lambda: self.inner.next_due(workflows=workflows, now=now))

    async def inbox(self, run_id: str, /, *, after: int = 0) -> tuple[Message, ...]:
        """The messages in a run's inbox, in the order in which they came."""
        return await self.forward("inbox", lambda: self.inner.inbox(run_id, after=after))

    async def news(self, seen: int = 0, /) -> News:
        """Which runs have got messages since."""
        return await self.forward("news", lambda: self.inner.news(seen))

    @property
    def changes(self) -> int:
        """A number that grows whenever a run may have become claimable, or got a message, or another process has written."""
        return self.inner.changes

    async def wait_changed(self, seen: int, /) -> None:
        """Wait until `changes` is another number than this; it is not forwarded, as it asks the journal for nothing."""
        await self.inner.wait_changed(seen)

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over for `owner`, unless another living process holds it."""
        return await self.forward("claim", lambda: self.inner.claim(run_id))

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox."""
        return await self.forward("post", lambda: self.inner.post(letter))

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used."""
        await self.forward("delete", lambda: self.inner.delete(run_id, fence))

    async def schedules(self) -> tuple[ScheduleRecord, ...]:
        """The schedules that were begun and not removed, by their names."""
        return await self.forward("schedules", self.inner.schedules)

    async def keep_schedule(self, schedule: ScheduleRecord, /) -> ScheduleRecord | None:
        """Write down where a schedule stands, unless somebody else has done so since."""
        return await self.forward("keep_schedule", lambda: self.inner.keep_schedule(schedule))

    async def delete_schedule(self, name: str, rev: int, /) -> ScheduleRecord | None:
        """Forget a schedule, unless something else has become of it since."""
        return await self.forward("delete_schedule", lambda: self.inner.delete_schedule(name, rev))

    async def fire(self, run: NewRun, schedule: ScheduleRecord, /) -> RunRecord | ScheduleRecord:
        """Create a run, and write down that a schedule has fired it: both, or neither."""
        return await self.forward("fire", lambda: self.inner.fire(run, schedule))
