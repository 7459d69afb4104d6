"""A schedule that fires: its record as it is, and the task that acts on it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final, Generic, final

import attrs
import trio
from msgspec.structs import replace

from .._errors import (
    DuplicateRun,
    JournalError,
    RunNotFound,
    ScheduleBusy,
    ScheduleClosed,
    ScheduleNotFound,
    SchedulePaused,
    ScheduleTripped,
)
from .._journal.schedule_record import ScheduleRecord
from . import schedule_state as state
from .firing import Firing, H, Runs, judged, text_of
from .schedule_keeping import Keeping, patiently
from .schedule_state import AnySchedule, Fire, Move, Outcome, Wait
from .schedule_status import ScheduleStatus, status_of

_log = logging.getLogger("cano_trio")

FIRES_AGAIN: Final = "its schedule fires again"
"""Why ``overlap="cancel_previous"`` cancels a run."""


@attrs.define(eq=False, kw_only=True)
class Surroundings(Generic[H]):
    """What the schedules of one scheduler have in common.

    Args:
        runs: who carries runs out.
        keeping: where records are kept.
        now: tells the instant.
        longest_sleep: seconds after which to look at the clock again, which may have been set.
        live: the schedules by name, in the order in which they came.
        handles: the runs that are followed, by id, as far as they are found.
        following: the ids of all runs that are followed.
        is_open: schedules may fire.
        broken: what the journal has failed with.
    """

    runs: Runs[H]
    keeping: Keeping[H]
    now: Callable[[], datetime]
    longest_sleep: Callable[[], float]
    live: dict[str, LiveSchedule[H]] = attrs.Factory(dict)
    handles: dict[str, H] = attrs.Factory(dict)
    following: set[str] = attrs.Factory(set)
    is_open: bool = False
    broken: JournalError | None = None
    firing: trio.Nursery = attrs.field(init=False)
    """Ends as soon as nothing is to fire any more."""
    following_own: trio.Nursery = attrs.field(init=False)
    """Ends when it is known what came of the runs that were started here."""

    async def guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work; if the journal fails for good, that ends all of it."""
        try:
            await work()
        except JournalError as error:
            self.broken = self.broken or error
            self.following_own.cancel_scope.cancel(reason="the journal has failed")


@final
class LiveSchedule(Generic[H]):
    """A schedule that fires.

    Args:
        schedule: the schedule.
        around: what it shares with others.
        now: the present instant.
    """

    def __init__(self, schedule: AnySchedule, around: Surroundings[H], now: datetime) -> None:
        self.schedule = schedule
        self.record: ScheduleRecord = state.begun(schedule, now)
        self._around = around
        self._changed = trio.Event()
        self._turn = trio.Lock()
        self._line: list[object] = []
        self._scope = trio.CancelScope()
        self._why = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.schedule.name

    @property
    def status(self) -> ScheduleStatus:
        """Where it stands."""
        return status_of(self.schedule, self.record, self._around.now())

    # -- its record

    async def take_up(self, there: ScheduleRecord | None) -> None:
        """Go on from the record of an earlier process, or begin one."""
        now = self._around.now()
        if there is None:
            await self._keep(self.record)
        else:
            self.take(there)
        await self.change(lambda record: state.taken_up(self.schedule, record, now))

    async def change(self, change: Callable[[ScheduleRecord], ScheduleRecord]) -> bool:
        """Change its record: of the latest one, whoever has written that; tells whether there was anything to change."""
        while (changed := change(self.record)) != self.record:
            if await self._keep(changed):
                return True
        return False

    async def _keep(self, changed: ScheduleRecord) -> bool:
        """Write a record down; or go on from the one that is there instead."""
        there = await self._around.keeping.keep(changed)
        if there is None:
            self.catch_up(replace(changed, rev=changed.rev + 1))
        else:
            self.take(there)
        return there is None

    def take(self, record: ScheduleRecord) -> None:
        """Go on from a record that is written down."""
        self.record = state.as_of(self.schedule, record, self._around.now())
        self.wake()
        self.follow_all()

    def catch_up(self, record: ScheduleRecord | None) -> None:
        """Go on from a record, if it is a later one: who reads or writes may be overtaken."""
        if record is not None and record.rev > self.record.rev:
            self.take(record)

    def wake(self) -> None:
        """Something has changed: look again at what is to be done."""
        self._changed.set()
        self._changed = trio.Event()

    def shift(self, seconds: float) -> None:
        """The clock was set."""
        self.record = state.shifted(self.record, seconds)
        self.wake()

    # -- firing

    async def run(self) -> None:
        """Fire, until it is removed."""
        with self._scope:
            while True:
                changed = self._changed
                async with self._turn:
                    wait = await patiently(self._act)
                if wait is not None:
                    await self._sleep(wait.until, changed)

    def remove(self) -> None:
        """Fire no more; what goes on does."""
        self._scope.cancel(reason="the schedule is removed")
        self.wake()

    async def _act(self) -> Wait | None:
        """Do the next thing there is to do; or tell until when there is none."""
        now = self._around.now()
        match state.decide(self.schedule, self.record, now):
            case Wait() as wait:
                if wait.cancels:
                    await self.cancel(FIRES_AGAIN)
                return wait
            case Move(record, why):
                await self._move(record, why)
            case Fire(instant):
                await self._fire(instant, now)
        return None

    async def _sleep(self, until: datetime | None, changed: trio.Event) -> None:
        if until is None:
            await changed.wait()
            return
        seconds = (until - self._around.now()).total_seconds()
        with trio.move_on_after(max(0.0, min(seconds, self._around.longest_sleep()))):
            await changed.wait()

    async def _move(self, moved: ScheduleRecord, why: str) -> None:
        passed = state.instant_of(self.record.passed)
        if await self._keep(moved) and why not in {"", self._why}:  # of each run that is in the way one is told once
            self._why = why
            first = self.schedule.trigger.after(passed)
            _log.warning("schedule %s passes over what was due from %s on: %s", self.name, first, why)

    async def _fire(self, instant: datetime, now: datetime) -> None:
        run_id = state.run_id_of(self.schedule, instant)
        try:
            await self._start(run_id, instant, None, state.fired(self.record, instant, run_id, now))
        except DuplicateRun:
            _log.warning("schedule %s has fired %s before, and does not again", self.name, run_id)
            await self.change(lambda record: state.fired_before(record, instant, now))
        except JournalError:
            raise
        except Exception as error:
            text = text_of(error)
            _log.exception("schedule %s could not start %s", self.name, run_id)
            await self.change(lambda record: state.not_started(self.schedule, record, instant, now, text))

    async def _start(self, run_id: str, instant: datetime, data: object, record: ScheduleRecord) -> H | None:
        """Start a run; None if something else has become of the schedule meanwhile."""
        instant = instant.astimezone(self.schedule.trigger.zone)
        if data is None and self.schedule.data is not None:
            data = self.schedule.data(instant)
        firing = Firing(schedule=self.schedule, run_id=run_id, instant=instant, data=data, record=record)
        started = await self._started(firing)
        if isinstance(started, ScheduleRecord):
            self.take(started)
            return None
        if self._around.is_open:
            self._around.following_own.start_soon(self._around.guard, partial(self._follow, run_id, started))
        self.catch_up(replace(record, rev=record.rev + 1))
        self._why = ""
        return started

    async def _started(self, firing: Firing) -> H | ScheduleRecord:
        following = self._around.following
        following.add(firing.run_id)  # before it is there, so that nobody takes it for one of another process
        started: H | ScheduleRecord | None = None
        try:
            started = await self._around.keeping.start(firing)
        finally:
            if started is None:
                self.catch_up(self._around.keeping.known(self.name))
            if started is None or isinstance(started, ScheduleRecord):
                following.discard(firing.run_id)
        return started

    # -- what one may ask of it

    async def trigger(self, data: object) -> H:
        """Fire now, whatever the time; waits for its turn where the schedule queues."""
        self._check_open()
        # Or somebody would be refused for what another process has long undone.
        self.catch_up((await self._around.keeping.load()).get(self.name))
        place = object()
        self._line.append(place)
        try:
            return await self._in_turn(place, data)
        finally:
            self._line.remove(place)
            self.wake()

    async def _in_turn(self, place: object, data: object) -> H:
        is_accepted = False
        while True:
            changed = self._changed
            async with self._turn:
                self._check_may_fire()
                if self._line[0] is place and (not self.record.runs or self.schedule.overlap == "allow"):
                    if (started := await self._triggered(data)) is not None:
                        return started
                    continue
            if not is_accepted:
                self._check_may_wait(place)
                is_accepted = True
            if self.schedule.overlap == "cancel_previous":
                await self.cancel(FIRES_AGAIN)
            await changed.wait()

    async def _triggered(self, data: object) -> H | None:
        now = self._around.now()
        run_id = f"{state.run_id_of(self.schedule, now)}#{self.record.run_count + 1}"
        return await self._start(run_id, now, data, state.triggered(self.record, now, run_id))

    def _check_open(self) -> None:
        if not self._around.is_open:
            raise ScheduleClosed(self.name)

    def _check_may_fire(self) -> None:
        self._check_open()
        if self._around.live.get(self.name) is not self:
            raise ScheduleNotFound(self.name, list(self._around.live))
        if self.record.tripped:
            raise ScheduleTripped(self.name, self.record.streak, self.record.error)
        if self.record.paused:
            raise SchedulePaused(self.name)

    def _check_may_wait(self, place: object) -> None:
        """A run goes on: refuse another, unless it may wait for that."""
        if self.schedule.overlap == "skip":
            raise ScheduleBusy(self.name, self.record.runs)
        others = self._line.index(place) + len(self.record.queued)
        if self.schedule.overlap == "queue" and others >= self.schedule.queue_limit:
            raise ScheduleBusy(self.name, self.record.runs, others)

    async def cancel(self, reason: str | None) -> None:
        """Cancel the runs that go on."""
        for run_id in self.record.runs:
            handle = self._around.handles.get(run_id)
            try:
                (handle or await self._around.runs.get(self.schedule, run_id)).cancel(reason)
            except RunNotFound:
                continue  # it was removed

    # -- what becomes of its runs

    def follow_all(self) -> None:
        """Follow all runs that go on, also those of other processes."""
        for run_id in self.record.runs:
            if self._around.is_open and run_id not in self._around.following:
                self._around.following.add(run_id)
                self._around.firing.start_soon(self._around.guard, partial(self._follow, run_id, None))

    async def _follow(self, run_id: str, handle: H | None) -> None:
        try:
            outcome, text = await self._told(run_id, handle)
            if outcome is not None:
                # It may have been removed, and be there again.
                live = self._around.live.get(self.name, self)
                await live.count(run_id, outcome, text)
        finally:
            self._around.following.discard(run_id)

    async def _told(self, run_id: str, handle: H | None) -> tuple[Outcome | None, str]:
        """What came of a run, when it is over."""
        try:
            self._around.handles[run_id] = handle or await self._around.runs.get(self.schedule, run_id)
            await self._around.handles[run_id].wait()
        except Exception as error:
            return judged(error), text_of(error)
        finally:
            self._around.handles.pop(run_id, None)
        return "succeeded", ""

    async def count(self, run_id: str, outcome: Outcome, text: str) -> None:
        """Note what came of a run."""
        now = self._around.now()
        over = partial(self.change, lambda record: state.over(self.schedule, record, run_id, outcome, now, text))
        if await patiently(over) and outcome == "failed":
            follows = "it is tripped, and fires nothing before it is reset" if self.record.tripped else "it backs off"
            _log.error("run %s of schedule %s has failed, and %s: %s", run_id, self.name, follows, text)
