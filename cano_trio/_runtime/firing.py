"""What a scheduler asks of whoever carries its runs out."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeVar, final

import attrs

from .._engine.kept import stored_error
from .._errors import JournalError, RunCancelled, RunFailed, RunNotFound, RunReleased
from .._journal.schedule_record import ScheduleRecord
from .._observe.status import RunStatus
from .schedule_state import AnySchedule, Outcome


class Handle(Protocol):
    """A run that a schedule has started, wherever it goes on."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    async def wait(self) -> object:
        """Wait until it is over.

        Raises:
            RunCancelled: it was cancelled, and what it did is undone.
            RunReleased: it does not go on in this process.
            Exception: it has failed.
        """
        ...

    def cancel(self, reason: str | None = None) -> object:
        """Cancel it; one that is over, or cancelled already, is left as it is."""
        ...


H = TypeVar("H", bound=Handle)
H_co = TypeVar("H_co", bound=Handle, covariant=True)


@final
@attrs.frozen(kw_only=True)
class Firing:
    """A run that a schedule wants started.

    Args:
        schedule: the schedule; its workflow, labels and priority are the run's.
        run_id: the run's id.
        instant: what it is started for, as the trigger's clocks show it.
        data: the run's data.
        record: where the schedule stands as soon as the run does: for `Journal.fire`, as it is.
    """

    schedule: AnySchedule
    run_id: str
    instant: datetime
    data: object
    record: ScheduleRecord


class Runs(Protocol[H_co]):
    """Who carries runs out."""

    async def start(self, firing: Firing, /) -> H_co | ScheduleRecord:
        """Start a run; returns as soon as it is written down, as `open_runtime`'s own ``start`` does.

        With a journal the run is created by `Journal.fire`, and by nothing else.

        Returns:
            The run; or what `Journal.fire` has returned instead of one, and there is none.

        Raises:
            DuplicateRun: there is or was a run of that id.
            Exception: it can't be started, and nothing has happened.
        """
        ...

    async def get(self, schedule: AnySchedule, run_id: str, /) -> H_co:
        """A run that was started before, perhaps by another process, and may be over.

        Raises:
            RunNotFound: there is none any more.
        """
        ...


def judged(error: Exception) -> Outcome | None:
    """What a run came to that has ended with an error; None if nobody knows yet, for it goes on elsewhere."""
    if isinstance(error, RunFailed) and error.status == RunStatus.CANCELLED.value:
        return "cancelled"
    if isinstance(error, (RunCancelled, RunNotFound)):  # of one that was removed nobody can tell any more
        return "cancelled"
    if isinstance(error, (RunReleased, JournalError)):
        return None
    return "failed"


def text_of(error: Exception) -> str:
    """What a schedule keeps of an error: its type and what it says, in a form that can be written down."""
    stored = stored_error(error)
    return f"{stored.type}: {stored.message}" if stored.message else stored.type
