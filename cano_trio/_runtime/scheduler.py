"""Fires schedules as their instants come, for a runtime that carries out their runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, final

import trio

from .. import _clock
from .._define.schedule import Schedule
from .._errors import DuplicateSchedule, JournalUnavailable, ScheduleClosed, ScheduleNotFound
from .._journal.protocol import Journal
from .firing import H, Runs
from .forgetting import forget_schedule
from .live_schedule import LiveSchedule, Surroundings
from .schedule_keeping import Kept, Unkept, patiently
from .schedule_state import AnySchedule, paused, reset, resumed
from .schedule_status import ScheduleStatus

_log = logging.getLogger("cano_trio")

LONGEST_SLEEP: Final = 30.0
"""Seconds after which a real clock is looked at again: it may have been set."""

NOTICEABLE: Final = 1.0
"""Seconds by which a clock has to be set to be noticed: what corrects it bit by bit is none of our business."""


def _longest_sleep() -> float:
    return math.inf if _clock.is_virtual() else LONGEST_SLEEP


@final
class Scheduler(Generic[H]):
    """Fires schedules.

    It runs as a task of the runtime's, beside the runs: ``await nursery.start(scheduler.run)``. When the runtime is left, `stop`
    ends all firing at once, and `run` returns as soon as it is written down what came of the runs that were started here.

    What an instant names is the wall clock's affair, and how long something takes is not. If that clock is set forward, the
    instants that it leaps over are missed, and `misfire` decides; if it is set back, those that were fired are not fired
    again. Delays and back-offs are as long as before; they go by the clock of trio, which stands still while a machine is asleep.

    Args:
        runs: who carries runs out.
        journal: where schedules are written down, which is open; None for in memory.
        schedules: what it fires from the beginning.
        now: tells the wall-clock instant.
        longest_sleep: tells after how many seconds to look at the clock again.

    Raises:
        DuplicateSchedule: two schedules have the same name.
        DefinitionError: a workflow is wrong.
    """

    def __init__(
        self,
        runs: Runs[H],
        journal: Journal | None = None,
        schedules: Iterable[Schedule[Any]] = (),
        *,
        now: Callable[[], datetime] = _clock.now,
        longest_sleep: Callable[[], float] = _longest_sleep,
    ) -> None:
        self._now = now
        self._journal = journal
        self._ahead: float | None = None
        self._news = trio.Event()
        self._around: Surroundings[H] = Surroundings(
            runs=runs,
            keeping=Unkept(runs) if journal is None else Kept(journal, runs),
            now=self._look,
            longest_sleep=longest_sleep,
        )
        self._first = tuple(schedules)
        names: set[str] = set()
        for schedule in self._first:
            if schedule.name in names:
                raise DuplicateSchedule(schedule.name)
            names.add(schedule.name)
            schedule.workflow.validate()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fire, until it is stopped; ready when all schedules are taken up from the journal.

        Raises:
            JournalError: the journal has failed for good.
        """
        around = self._around
        async with trio.open_nursery() as around.following_own:
            async with trio.open_nursery() as around.firing:
                around.is_open = True
                await around.guard(partial(self._begin, task_status))
            around.is_open = False
        if around.broken is not None:
            raise around.broken

    def stop(self) -> None:
        """Fire nothing any more; what is triggered is refused."""
        around = self._around
        if around.is_open:
            around.is_open = False
            around.firing.cancel_scope.cancel(reason="the scheduler is stopped")
            for live in around.live.values():
                live.wake()

    # -- what it fires

    async def add(self, schedule: Schedule[Any]) -> None:
        """Fire a schedule from now on; one that the journal knows goes on where it was left.

        Raises:
            DuplicateSchedule: there is one of that name.
            DefinitionError: its workflow is wrong.
            ScheduleClosed: the runtime is not open.
        """
        self._check_open(schedule.name)
        if schedule.name in self._around.live:
            raise DuplicateSchedule(schedule.name)
        schedule.workflow.validate()
        live = self._put(schedule)
        try:
            await live.take_up((await self._around.keeping.load()).get(schedule.name))
        except BaseException:
            self._around.live.pop(schedule.name, None)
            raise
        self._check_open(schedule.name)  # it may have been stopped meanwhile
        self._around.firing.start_soon(self._around.guard, live.run)

    def remove(self, name: str) -> None:
        """Fire a schedule no more. A run that goes on does, and what came of it is noted.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        live = self._found(name)
        del self._around.live[name]
        live.remove()

    async def forget(self, name: str) -> None:
        """Remove what the journal keeps of a schedule that is fired here no more.

        Raises:
            ScheduleNotFound: there is none of that name.
            ScheduleBusy: a run of it goes on.
            ValueError: it is fired here.
        """
        if name in self._around.live:
            raise ValueError(f"schedule {name!r} is fired here: it would be written down again. Remove it first.")
        if self._journal is None:
            raise ScheduleNotFound(name)
        await forget_schedule(self._journal, name, is_followed=self.follows)

    async def pause(self, name: str) -> None:
        """Fire a schedule no more before it is resumed, in all processes; a run that goes on does.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        await self._found(name).change(paused)

    async def resume(self, name: str) -> None:
        """Fire a paused schedule again; what was due meanwhile is passed over.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        live, now = self._found(name), self._look()
        await live.change(lambda record: resumed(record, now))

    async def reset(self, name: str) -> None:
        """Set a schedule back to normal, as if none of its runs had failed (cano SCH-10).

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        live, now = self._found(name), self._look()
        await live.change(lambda record: reset(record, now))

    async def cancel(self, name: str, reason: str | None = None) -> None:
        """Cancel the runs of a schedule that go on; later ones are fired as ever (cano SCH-11).

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        await self._found(name).cancel(reason)

    async def trigger(self, name: str, data: object = None) -> H:
        """Fire a schedule now, also within a back-off (cano SCH-5, SCH-7).

        Args:
            name: the schedule.
            data: the run's data, instead of what the schedule would make.

        Returns:
            The run, as soon as it is written down. Where a run goes on, its ``overlap`` says whether that is refused, waits
            for its end, cancels it, or does not care.

        Raises:
            ScheduleNotFound: there is none of that name.
            ScheduleTripped: it has to be reset.
            SchedulePaused: it has to be resumed.
            ScheduleBusy: a run goes on.
            ScheduleClosed: the runtime is not open.
            Exception: what making the data, or starting the run, has raised.
        """
        return await self._found(name).trigger(data)

    def status(self, name: str) -> ScheduleStatus:
        """Where a schedule stands.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        return self._found(name).status

    def list(self) -> tuple[ScheduleStatus, ...]:
        """Where all schedules stand, in the order in which they were added (cano SCH-17)."""
        return tuple(live.status for live in self._around.live.values())

    def follows(self, run_id: str) -> bool:
        """Whether it is one of its schedules' runs, and it will say what became of it."""
        return run_id in self._around.following

    def notice(self) -> None:
        """Another process has written to the journal: look at what it has made of the schedules."""
        self._news.set()

    # -- inside

    async def _begin(self, task_status: trio.TaskStatus[None]) -> None:
        records = await patiently(self._around.keeping.load)
        lives = [self._put(schedule) for schedule in self._first]
        for live in lives:
            await patiently(partial(live.take_up, records.get(live.name)))
        for work in (self._watch, *(live.run for live in lives)):
            self._around.firing.start_soon(self._around.guard, work)
        task_status.started()

    def _put(self, schedule: AnySchedule) -> LiveSchedule[H]:
        live = LiveSchedule(schedule, self._around, self._look())
        self._around.live[schedule.name] = live
        return live

    def _check_open(self, name: str) -> None:
        if not self._around.is_open:
            raise ScheduleClosed(name)

    def _found(self, name: str) -> LiveSchedule[H]:
        if (live := self._around.live.get(name)) is None:
            raise ScheduleNotFound(name, list(self._around.live))
        return live

    def _look(self) -> datetime:
        """The present instant; if the clock was set since the last look, all schedules are told."""
        now = self._now()
        ahead = now.timestamp() - trio.current_time()
        moved = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if abs(moved) > NOTICEABLE:
            _log.warning("the clock was set by %+.1f s", moved)
            for live in self._around.live.values():
                live.shift(moved)
        return now

    async def _watch(self) -> None:
        """Take over what other processes make of the schedules."""
        while True:
            with trio.move_on_after(math.inf if self._journal is None else self._around.longest_sleep()):
                await self._news.wait()
            self._news = trio.Event()
            self._look()
            try:
                records = await self._around.keeping.load()
            except JournalUnavailable:
                continue  # the next look may find more
            for live in self._around.live.values():
                live.catch_up(records.get(live.name))
                live.follow_all()
