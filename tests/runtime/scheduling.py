"""A small runtime for tests of schedules: it carries runs out with `Workflow.run`, as one process among others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, Literal

import attrs
import trio

from cano_trio import (
    NotOwner,
    Run,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunReleased,
    RunStatus,
    Schedule,
    TaskConfig,
    Workflow,
)
from cano_trio._clock import EPOCH, now
from cano_trio._journal.forwarding import ForwardingJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import NewRun, RunRecord
from cano_trio._journal.schedule_record import ScheduleRecord
from cano_trio._runtime.firing import Firing
from cano_trio._runtime.scheduler import Scheduler


class Step(Enum):
    WORK = 1
    DONE = 2


@attrs.define
class World:
    """What the tasks of runs do, and what they have done; it outlives processes.

    Args:
        takes: how long a run takes, in seconds, by its number.
        fails: the numbers of the runs that fail.
    """

    takes: Callable[[int], float] = lambda _: 0.0
    fails: frozenset[int] = frozenset()
    begun: list[str] = attrs.Factory(list)
    times: list[float] = attrs.Factory(list)
    """When each run has begun, in seconds of the virtual clock."""
    going_on: int = 0
    most: int = 0
    """How many runs went on at the same time."""

    @property
    def instants(self) -> list[str]:
        """For which instants there were runs, by the time of day."""
        return [run_id.split("@")[1].removeprefix("2030-01-01T") for run_id in self.begun]

    def workflow(self, name: str = "plain", **options: Any) -> Workflow[Step, None]:
        """A workflow whose runs take their time."""
        options = {"defaults": TaskConfig.minimal(), **options}
        workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name=name, **options)

        @workflow.task(Step.WORK)
        async def work() -> Literal[Step.DONE]:
            number = len(self.times)
            self.times.append(trio.current_time())
            self.going_on += 1
            self.most = max(self.most, self.going_on)
            try:
                await trio.sleep(self.takes(number))
            finally:
                self.going_on -= 1
            if number in self.fails:
                raise ValueError("no")
            return Step.DONE

        return workflow


class Refused(Exception):
    """Another process was faster."""

    def __init__(self, there: ScheduleRecord) -> None:
        self.there = there


class Firings(ForwardingJournal):
    """A journal for one run, which is created together with its firing."""

    def __init__(self, inner: Journal, record: ScheduleRecord) -> None:
        super().__init__(inner)
        self._record = record

    async def create(self, run: NewRun, /) -> RunRecord:
        answer = await self.inner.fire(run, self._record)
        if isinstance(answer, ScheduleRecord):
            raise Refused(answer)
        return answer


@attrs.define(eq=False)
class Held:
    """A run that goes on here."""

    id: str
    run: Run[Any, Any] | None = None
    over: trio.Event = attrs.Factory(trio.Event)
    error: BaseException | None = None

    async def wait(self) -> None:
        await self.over.wait()
        if isinstance(self.error, Exception):
            raise self.error
        if self.error is not None:
            raise RunReleased(self.id)

    def cancel(self, reason: str | None = None) -> None:
        assert self.run is not None
        self.run.cancel(reason)

    async def carry_out(self, call: Callable[..., Any], *, task_status: trio.TaskStatus[Run[Any, Any]]) -> None:
        """Run, or go on with it; how it ends is for those who wait."""
        has_begun = False

        class Begun:
            def started(_, run: Run[Any, Any]) -> None:  # noqa: N805
                nonlocal has_begun
                self.run, has_begun = run, True
                task_status.started(run)

        try:
            await call(task_status=Begun())
        except BaseException as error:
            self.error = error
            if not has_begun or not isinstance(error, Exception):
                raise
        finally:
            self.over.set()


@attrs.define(eq=False)
class Elsewhere:
    """A run of another process, which is looked at now and then."""

    id: str
    process: Process
    asked: list[str] = attrs.Factory(list)

    async def wait(self) -> None:
        assert self.process.journal is not None
        while True:
            position = (await self.process.journal.load(self.id)).record.position
            if position.status is RunStatus.COMPLETED:
                return
            if position.status is RunStatus.CANCELLED:
                raise RunCancelled(position.reason)
            if position.status.ended:
                raise RunFailed(self.id, position.status.value, position.reason)
            await trio.sleep(10)

    def cancel(self, reason: str | None = None) -> None:
        self.process.asked_elsewhere.append(self.id)


@attrs.define(eq=False)
class Process:
    """A process: it starts runs, goes on with those of dead processes, and fires schedules."""

    world: World
    journal: Journal | None
    nursery: trio.Nursery
    limit: trio.Semaphore
    held: dict[str, Held] = attrs.Factory(dict)
    asked_elsewhere: list[str] = attrs.Factory(list)
    firings: list[Firing] = attrs.Factory(list)
    scheduler: Scheduler[Held | Elsewhere] = attrs.field(init=False)

    async def start(self, firing: Firing, /) -> Held | ScheduleRecord:
        """Start a run."""
        await self.limit.acquire()
        self.firings.append(firing)
        held = Held(firing.run_id)
        workflow: Any = firing.schedule.workflow
        journal = None if self.journal is None else Firings(self.journal, firing.record)
        data = () if workflow.data is None else (firing.data,)
        call = partial(workflow.run, *data, run_id=firing.run_id, journal=journal)
        try:
            await self.nursery.start(held.carry_out, call)
        except Refused as refused:
            self.limit.release()
            return refused.there
        except BaseException:
            self.limit.release()
            raise
        self.world.begun.append(firing.run_id)
        self.held[firing.run_id] = held
        self.nursery.start_soon(self._release, held)
        return held

    async def _release(self, held: Held) -> None:
        await held.over.wait()
        self.limit.release()

    async def get(self, _: Schedule[Any], run_id: str, /) -> Held | Elsewhere:
        """A run of this process, or of another."""
        if run_id in self.held:
            return self.held[run_id]
        if self.journal is None:
            raise RunNotFound(run_id)
        await self.journal.load(run_id)
        return Elsewhere(run_id, self)

    async def recover(self, workflows: Iterable[Workflow[Any, Any]]) -> None:
        """Go on with the runs that nobody holds."""
        assert self.journal is not None
        for workflow in workflows:
            for record in await self.journal.runs(workflow=workflow.name):
                if not record.position.status.ended:
                    await self._take_over(workflow, record.run_id, self.journal)

    async def _take_over(self, workflow: Workflow[Any, Any], run_id: str, journal: Journal) -> None:
        held = Held(run_id)
        try:
            await self.nursery.start(held.carry_out, partial(workflow.resume, run_id, journal=journal))
        except NotOwner:
            return  # another process holds it
        self.held[run_id] = held


@asynccontextmanager
async def open_process(
    world: World,
    schedules: Iterable[Schedule[Any]] = (),
    journal: Journal | None = None,
    *,
    limit: int = 1000,
    **options: Any,
) -> AsyncGenerator[Process]:
    """A process that fires schedules; at the end it fires no more, and waits for its runs as `open_runtime` does."""
    schedules = tuple(schedules)
    async with AsyncExitStack() as stack:
        if journal is not None:
            await stack.enter_async_context(journal)
        nursery = await stack.enter_async_context(trio.open_nursery())
        process = Process(world, journal, nursery, trio.Semaphore(limit))
        process.scheduler = Scheduler(process, journal, schedules, **options)
        if journal is not None:
            workflows: dict[Any, None] = {schedule.workflow: None for schedule in schedules}
            await process.recover(workflows)
        await nursery.start(process.scheduler.run)
        try:
            yield process
        finally:
            process.scheduler.stop()


async def die(process: Process) -> None:
    """End a process as a release at shutdown does: what it was at goes on elsewhere."""
    process.nursery.cancel_scope.cancel(reason="the process ends")
    await trio.sleep_forever()


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.set_by = timedelta()

    def __call__(self) -> datetime:
        return now() + self.set_by


def time_of(seconds: float) -> datetime:
    """The wall-clock instant after so many virtual seconds."""
    return EPOCH + timedelta(seconds=seconds)
