"""The runs that schedules start, carried out by a runtime."""

from __future__ import annotations

from typing import Any, cast, final

from .._journal.schedule_record import ScheduleRecord
from .actors import Actors
from .firing import Firing
from .handle import Run
from .schedule_state import AnySchedule
from .stored import Stored


@final
class ScheduledRuns:
    """Starts and finds them for a `Scheduler`.

    Args:
        actors: the runs of the runtime.
        stored: what knows those in its journal; None without one.
    """

    def __init__(self, actors: Actors, stored: Stored | None) -> None:
        self._actors = actors
        self._stored = stored

    async def start(self, firing: Firing, /) -> Run[Any, Any] | ScheduleRecord:
        """Start a run; or tell what somebody else has made of the schedule."""
        schedule = firing.schedule
        workflow = schedule.workflow
        started = await self._actors.start(
            workflow,
            firing.data,
            start=workflow.initial,
            run_id=firing.run_id,
            labels=schedule.labels,
            priority=schedule.priority,
            delay=0.0,
            record=firing.record if self._stored is not None else None,
        )
        return started if isinstance(started, ScheduleRecord) else Run(started)

    async def get(self, schedule: AnySchedule, run_id: str, /) -> Run[Any, Any]:
        """A run that was started before."""
        actor = self._actors.find(run_id)
        if actor is None:
            actor = await cast("Stored", self._stored).find(schedule.workflow, run_id)
        return Run(actor)
