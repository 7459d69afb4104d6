"""The schedules of a runtime, for whoever looks after them."""

from __future__ import annotations

from typing import Any, final

from .._define.checks import check_reason
from .schedule_status import ScheduleStatus
from .scheduler import Scheduler


@final
class Schedules:
    """The schedules of a runtime: `Runtime.schedules`. A name that there is none of is a `ScheduleNotFound`.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Manual, Schedule, Workflow, open_runtime
    >>> Step = Enum("Step", "WORK DONE")
    >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="cleaning")
    >>> @workflow.task(Step.WORK)
    ... async def work() -> Literal[Step.DONE]:
    ...     return Step.DONE
    >>> async def main():
    ...     async with open_runtime(schedules=[Schedule("by hand", workflow, Manual())]) as runtime:
    ...         run = await runtime.trigger("by hand")
    ...         print((await run.wait()).state.name)
    ...         print([status.name for status in runtime.schedules.list()])
    >>> trio.run(main)
    DONE
    ['by hand']
    """

    __slots__ = ("_scheduler",)

    def __init__(self, scheduler: Any, /) -> None:
        self._scheduler: Scheduler[Any] = scheduler

    def status(self, name: str) -> ScheduleStatus:
        """Where a schedule stands, and when it fires next."""
        return self._scheduler.status(name)

    def list(self) -> tuple[ScheduleStatus, ...]:
        """Where all schedules stand, in the order in which they were added (cano SCH-17)."""
        return self._scheduler.list()

    async def pause(self, name: str) -> None:
        """Fire a schedule no more before it is resumed, in all processes; a run that goes on does."""
        await self._scheduler.pause(name)

    async def resume(self, name: str) -> None:
        """Fire a paused schedule again; what was due meanwhile is passed over."""
        await self._scheduler.resume(name)

    async def reset(self, name: str) -> None:
        """Set a schedule back to normal, as if none of its runs had failed (cano SCH-10)."""
        await self._scheduler.reset(name)

    async def cancel(self, name: str, reason: str | None = None) -> None:
        """Cancel the runs of a schedule that go on; later ones are fired as ever (cano SCH-11).

        Args:
            name: the schedule.
            reason: why, for people.
        """
        check_reason(reason)
        await self._scheduler.cancel(name, reason)

    def remove(self, name: str) -> None:
        """Fire a schedule no more in this process. A run that goes on does, and what came of it is noted.

        The journal keeps where it stands, for the next process that has it: see `forget`.
        """
        self._scheduler.remove(name)

    async def forget(self, name: str) -> None:
        """Remove what the journal keeps of a schedule that no code has any more; nothing happens to its runs.

        A process that still fires it writes it down again.

        Raises:
            ScheduleNotFound: the journal has none of that name.
            ScheduleBusy: a run of it goes on.
            ValueError: it is fired here: `remove` it first.
        """
        await self._scheduler.forget(name)
