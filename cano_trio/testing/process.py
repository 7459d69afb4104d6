"""The journal of a process that may die at any of its writes: nothing that it does after that reaches the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Self, TypeVar, final

import attrs
import trio

from .._errors import JournalError, JournalUnavailable
from .._journal.forwarding import ForwardingJournal
from .._journal.protocol import Journal
from .._journal.rows import Commit, Fence, Letter, NewRun, RunRecord, StoredRun
from .._journal.schedule_record import ScheduleRecord
from .cell import Fault

T = TypeVar("T")

WRITES: Final = frozenset({"create", "commit", "claim", "post", "delete", "keep_schedule", "fire"})
"""The calls of a journal that change something durable."""


@final
class Crash(BaseException):
    """The end of a process: whatever it would do from now on does not happen.

    It is raised by the journal at whose write the process dies, and by all that it asks of its laboratory afterwards.

    >>> issubclass(Crash, Exception)  # or else tasks would be tried again
    False
    """


@final
@attrs.frozen
class Write:
    """A write that a process has made, or tried.

    Args:
        number: its number in its process, counted from 1.
        method: the journal's method.
        subject: what was written.
        fault: what happened at it.

    >>> print(Write(12, "claim", "order-1"))
    12 claim order-1
    """

    number: int
    method: str
    subject: object
    fault: Fault | None = None

    def __str__(self) -> str:
        line = f"{self.number:2} {self.method} {_told(self.subject)}"
        return line if self.fault is None else f"{line}   <-- {_FAULTS[self.fault.how]}"


_FAULTS = {
    "before": "crash before it",
    "after": "crash after it",
    "reported-failed": "made, and reported as failed",
    "away": "the journal is away",
}


def _told(subject: object) -> str:
    if isinstance(subject, Commit):
        position = subject.position
        rows = [f"{row.kind} {row.state}{row.part}" for row in subject.log]
        rows += [f"outcome {row.part}" for row in subject.outcomes if row.part]
        rows += ["cursor"] * bool(subject.cursors)
        return f"{subject.run_id}: {', '.join([*rows, f'{position.status.value} in {position.state}'])}"
    if isinstance(subject, NewRun):
        return f"{subject.run_id}: at {subject.position.state}"
    if isinstance(subject, Letter):
        return f"{subject.run_id}: {subject.kind}"
    if isinstance(subject, ScheduleRecord):
        return subject.name
    return str(subject)


@final
class ProcessJournal(ForwardingJournal):
    """The journal of one process.

    Args:
        inner: where it is written.
        fault: what happens at one of its writes; None for nothing.
        wrote: is told of each write.
        died: is told of the death; answers whether the journal may be closed in spite of it.
    """

    def __init__(
        self, inner: Journal, fault: Fault | None, wrote: Callable[[Write], object], died: Callable[[], bool]
    ) -> None:
        super().__init__(inner)
        self._fault = fault
        self._wrote = wrote
        self._died = died
        self._may_close = True
        self._subject: object = ""
        self.writes: int = 0
        self.is_dead: bool = False
        self.has_failed: bool = False
        """A write of it was reported as failed."""

    def check(self) -> None:
        """See that the process lives.

        Raises:
            Crash: it does not.
        """
        if self.is_dead:
            raise Crash

    def die(self) -> None:
        """End the process.

        Raises:
            Crash: always.
        """
        self.is_dead = True
        self._may_close = self._died()
        raise Crash

    @property
    def owner(self) -> str:
        """Under which id runs are held by it."""
        self.check()
        return super().owner

    async def __aenter__(self) -> Self:
        """Open it."""
        await self._refuse_the_dead()
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it, unless the process is dead."""
        if self._may_close:
            await super().__aexit__(*exc_info)

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        """Pass a call on, if the process is alive."""
        await self._refuse_the_dead()
        if method in WRITES:
            return await self._write(method, self._subject, call)
        answer = await call()
        self.check()  # it may have died meanwhile
        return answer

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        self._subject = run
        return await super().create(run)

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run."""
        self._subject = commit
        return await super().commit(commit)

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over."""
        self._subject = run_id
        return await super().claim(run_id)

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox."""
        self._subject = letter
        return await super().post(letter)

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run."""
        self._subject = run_id
        await super().delete(run_id, fence)

    async def keep_schedule(self, schedule: ScheduleRecord, /) -> ScheduleRecord | None:
        """Write down where a schedule stands."""
        self._subject = schedule
        return await super().keep_schedule(schedule)

    async def fire(self, run: NewRun, schedule: ScheduleRecord, /) -> RunRecord | ScheduleRecord:
        """Create the run of a schedule."""
        self._subject = run
        return await super().fire(run, schedule)

    async def _refuse_the_dead(self) -> None:
        if self.is_dead:
            await trio.lowlevel.cancel_shielded_checkpoint()  # who tries again whatever comes would stop trio's loop
            raise Crash

    async def _write(self, method: str, subject: object, write: Callable[[], Awaitable[T]]) -> T:
        self.writes += 1
        fault = self._fault if self._fault is not None and self._fault.at == self.writes else None
        self._wrote(Write(self.writes, method, subject, fault))
        how = None if fault is None else fault.how
        if how == "before":
            self.die()
        if how == "away":
            self.has_failed = True
            raise JournalUnavailable("the laboratory", "nothing can be written for now")
        written = await write()
        self.check()  # it may have died meanwhile
        if how == "after":
            self.die()
        if how == "reported-failed":
            self.has_failed = True
            raise JournalError("the laboratory reports this write as failed, and it was made")
        return written
