"""The runtime: what a trio service embeds to have its runs carried out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from enum import Enum
from typing import Any, final, overload

import trio
from typing_extensions import TypeVar

from .._define.health import HealthStatus
from .._define.schedule import Schedule
from .._engine.lifecycle import Resources
from .._errors import (
    RunNotFound,
)
from .._journal.protocol import Journal
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .actor import NO_LABELS
from .actors import OnUnhandled
from .carrier import only_carrier
from .groups import Group, open_group
from .handle import Run
from .hosting import OnExit, RuntimeHost
from .info import RunInfo, RuntimeStatistics
from .options import check_fires, check_schedule
from .restart import Restart
from .run_id import checked
from .schedules import Schedules
from .starting import started
from .supervision import Strategy
from .workflow import OnDuplicate, Workflow

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)


@asynccontextmanager
async def open_runtime(
    *,
    workflows: Iterable[Workflow[Any, Any]] = (),
    schedules: Iterable[Schedule[Any]] = (),
    journal: Journal | None = None,
    resources: Resources | None = None,
    observers: Sequence[Observer] = (),
    limit: int | None = None,
    claim: bool = True,
    unload_after: float = 60.0,
    stuck_after: float | None = None,
    on_exit: OnExit = "wait",
    grace: float = 10.0,
    on_unhandled: OnUnhandled = "log",
) -> AsyncGenerator[Runtime]:
    """Open a runtime: each run that is started in it is an actor in its nursery.

    With a journal it also takes up the unfinished runs of its workflows that no living process holds, at once and for as long
    as it is open: those of crashed processes, those that were released, those whose time has come or that got a message.

    Leaving the block stops claiming, firing and starting, and then waits for the runs that are at work here, as a nursery
    does. An error in the block, or a cancel from outside, stops them at once: those with a journal are released, as they are,
    and go on wherever they are claimed next; others are undone, each within its workflow's ``compensation_timeout``. The
    block's own exception leaves as it is.

    Args:
        workflows: those whose runs it carries out; each has a name of its own.
        schedules: what it fires by itself; their workflows are carried out, too. See also `Runtime.schedule`.
        journal: where runs are written down; opened for the block, if it is not open.
        resources: what tasks work with; opened for the block. Where it is not given, those of the workflows.
        observers: who is told of the events of all runs.
        limit: how many runs are at work at a time. Without a journal `start` waits for its turn; with one, runs wait there.
        claim: whether runs of the journal are carried out here. A tool that only looks or asks passes False: no resources
            are opened; what it starts waits in the journal for a runtime that claims it, and what it resumes, tries again
            or cancels goes on, or is undone, there.
        unload_after: seconds after which a run with a journal that only waits, for a time or a message, is let go to the
            journal; it comes back when it has something to do.
        stuck_after: seconds after which a run that is at work in one state is reported as `Stuck`, with its stack.
        on_exit: what leaving the block does: ``"wait"`` for the runs, or `Runtime.drain` them.
        grace: seconds that this may take.
        on_unhandled: what follows when a run fails and nobody waits for it: ``"log"`` at ERROR, by the logger
            ``cano_trio.unhandled``, or ``"raise"`` out of the runtime, which is stopped.

    Raises:
        DefinitionError: a workflow is wrong, does not find its resources, or two have one name.
        JournalError: the journal can't be written any more; all runs have stopped in place. Or another runtime carries out the
            runs of this very object: each needs one of its own, on the same store, unless it only looks.
        RunFailed: a run failed, nobody waited for it, and `on_unhandled` is ``"raise"``.
        SupervisorGaveUp: a run with a `Restart` of its own failed too often.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Workflow, open_runtime
    >>> Step = Enum("Step", "GREET DONE")
    >>> workflow = Workflow(Step, initial=Step.GREET, exits=[Step.DONE], name="greeter")
    >>> @workflow.receive(Step.GREET)
    ... async def greet(name: str) -> Literal[Step.DONE]:
    ...     print(f"hello {name}")
    ...     return Step.DONE
    >>> async def main():
    ...     async with open_runtime(workflows=[workflow]) as runtime:
    ...         run = await runtime.start(workflow, run_id="g1")
    ...         await run.send("world")
    ...         print((await run.wait()).state.name)
    >>> trio.run(main)
    hello world
    DONE
    """
    host = RuntimeHost(
        workflows=workflows, schedules=schedules, journal=journal, resources=resources, observers=observers, limit=limit, claim=claim,
        unload_after=unload_after, stuck_after=stuck_after, on_exit=on_exit, grace=grace, on_unhandled=on_unhandled,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        if journal is not None:
            await stack.enter_async_context(journal)
            if claim:
                stack.enter_context(only_carrier(journal))
        for own in host.resources_to_open():
            await stack.enter_async_context(own.opened())
        async with host.opened():
            yield Runtime(host)


@final
class Runtime:
    """Runs, each an actor in one nursery; see `open_runtime`, which alone makes one."""

    __slots__ = ("_host",)

    def __init__(self, host: Any, /) -> None:
        self._host: RuntimeHost = host

    # -- starting

    @overload
    async def start(
        self,
        workflow: Workflow[S, None],
        /,
        *,
        start: S | None = None,
        run_id: str | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        priority: int = 0,
        delay: float = 0.0,
        on_duplicate: OnDuplicate = "raise",
        restart: Restart | None = None,
    ) -> Run[S, None]: ...
    @overload
    async def start(
        self,
        workflow: Workflow[S, D],
        data: D,
        /,
        *,
        start: S | None = None,
        run_id: str | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        priority: int = 0,
        delay: float = 0.0,
        on_duplicate: OnDuplicate = "raise",
        restart: Restart | None = None,
    ) -> Run[S, D]: ...
    async def start(
        self,
        workflow: Workflow[S, Any],
        data: Any = None,
        /,
        *,
        start: S | None = None,
        run_id: str | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        priority: int = 0,
        delay: float = 0.0,
        on_duplicate: OnDuplicate = "raise",
        restart: Restart | None = None,
    ) -> Run[S, Any]:
        """Start a run; with a journal it is written down when this returns, and survives the process.

        Without a journal this waits until the runtime's `limit` allows one more; with one, the run waits in the journal.

        Args:
            workflow: its workflow, one of the runtime's.
            data: its data; the run works on a copy.
            start: where to begin, instead of at ``initial``.
            run_id: its id; made up if not given.
            labels: what it can be found by, in `runs`.
            priority: who comes first among those that wait for a slot; more is earlier.
            delay: seconds after which it begins.
            on_duplicate: what follows if there is a run of that id: ``"raise"`` fails with `DuplicateRun`, ``"attach"`` gives
                that run.
            restart: how often it is begun again when it fails; by default not at all. See `Restart` for what that is. When that
                is given up, a `SupervisorGaveUp` leaves `open_runtime`.

        Returns:
            Its handle. If this is cancelled, no run was started.

        Raises:
            DuplicateRun: there is or was a run of that id.
            WorkflowNotFound: the runtime does not know the workflow.
            DataTypeMismatch: the data are not of the workflow's type.
            ValueError: the delay is no number of seconds, 0 or more, or the priority no whole number.
            RuntimeClosed: the runtime takes on no more.
        """
        member = None if restart is None else self._host.alone(restart)
        actor = await started(
            self._host,
            workflow,
            data,
            member,
            start=start,
            run_id=run_id,
            labels=labels,
            priority=priority,
            delay=delay,
            on_duplicate=on_duplicate,
        )
        return Run(actor)

    def open_group(self, strategy: Strategy, /, *, restart: Restart) -> AbstractAsyncContextManager[Group]:
        """Open a group: runs that are started in it are supervised together, and it waits for them, as a nursery does.

        A run of it that fails is begun again, as `Restart` tells; and with it, by the strategy,

        - ``"one_for_one"``: no other,
        - ``"one_for_all"``: all others that are not over,
        - ``"rest_for_one"``: those that were started after it and are not over.

        The others are cancelled for that, and what they have done is undone; when all are down and the backoff has passed, they
        are begun again in the order of their starts. Runs that have reached an exit, that somebody has cancelled or that were
        released are not begun again. A run that is paused, blocked or let go to the journal is still one of the group.

        Leaving the block waits until all are over. An error in the block, or a cancel from outside, stops them at once, as in
        `open_runtime`: those with a journal are released, and go on wherever they are claimed next, be it in this runtime and
        by themselves; others are undone. The block's own exception leaves as it is.

        Args:
            strategy: who is begun again together.
            restart: how often, counted over all runs of the group.

        Raises:
            SupervisorGaveUp: there were too many failures; out of the block, whose runs are stopped.
            RuntimeClosed: the runtime takes on no more.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Restart, RunContext, Workflow, open_runtime
        >>> Step = Enum("Step", "POLL DONE")
        >>> workflow = Workflow(Step, initial=Step.POLL, exits=[Step.DONE])
        >>> failures = ["no network", "no network"]
        >>> @workflow.task(Step.POLL)
        ... async def poll(ctx: RunContext) -> Literal[Step.DONE]:
        ...     if failures:
        ...         raise TypeError(failures.pop())
        ...     print(ctx.run_id, "is done")
        ...     return Step.DONE
        >>> async def main():
        ...     async with open_runtime(workflows=[workflow]) as runtime:
        ...         async with runtime.open_group("one_for_one", restart=Restart(5, within=60)) as group:
        ...             await group.start(workflow, run_id="a")
        ...             await group.start(workflow, run_id="b")
        ...         return runtime.statistics().restarted
        >>> trio.run(main)  # doctest: +ELLIPSIS
        ... is done
        ... is done
        2
        """
        return open_group(self._host, strategy, restart)

    # -- schedules

    async def schedule(self, schedule: Schedule[Any], /) -> None:
        """Fire a schedule from now on; one that the journal knows goes on where it was left.

        Raises:
            DuplicateSchedule: there is one of that name.
            WorkflowNotFound: the runtime does not know its workflow.
            DefinitionError: its workflow is wrong.
            ValueError: the runtime carries no runs out: it was opened with ``claim=False``.
            RuntimeClosed: the runtime takes on no more.
        """
        check_schedule(schedule)
        self._host.check_open("schedule()")
        check_fires(carries=self._host.actors.carries)
        self._host.check_known(schedule.workflow)
        await (await self._host.scheduler()).add(schedule)

    async def trigger(self, name: str, data: object = None) -> Run[Any, Any]:
        """Fire a schedule now, also within a back-off (cano SCH-5, SCH-7).

        Args:
            name: the schedule.
            data: the run's data, instead of what the schedule would make.

        Returns:
            The run, as soon as it is written down. Where a run goes on, the schedule's ``overlap`` says whether that is
            refused, waits for its end, cancels it, or does not care.

        Raises:
            ScheduleNotFound: there is none of that name.
            ScheduleTripped: it has to be reset.
            SchedulePaused: it has to be resumed.
            ScheduleBusy: a run goes on.
            RuntimeClosed: the runtime takes on no more.
        """
        self._host.check_open("trigger()")
        return await (await self._host.scheduler()).trigger(name, data)

    @property
    def schedules(self) -> Schedules:
        """Its schedules: where they stand, and what can be done with them."""
        return Schedules(self._host.firing)

    # -- finding

    async def get(self, workflow: Workflow[S, D], run_id: str, /) -> Run[S, D]:
        """The handle of a run: of one that is at work here, or of any in the journal, finished ones among them.

        Args:
            workflow: its workflow, one of the runtime's.
            run_id: its id.

        Raises:
            RunNotFound: there is none.
            DefinitionError: it is one of another workflow.
        """
        return Run(await self._host.find(workflow, checked(run_id)))

    async def read(self, run_id: str, /) -> Any:
        """A run's data, as they were last committed, without loading it; None if its workflow has none.

        Raises:
            RunNotFound: there is none.
            WorkflowNotFound: it is one of a workflow that the runtime does not know.
        """
        actor = self._host.actors.at_work.get(run_id)
        if actor is not None and actor.engine is not None:
            await trio.lowlevel.checkpoint()
            return actor.engine.data()
        if self._host.stored is None:
            await trio.lowlevel.checkpoint()
            raise RunNotFound(run_id)
        return await self._host.stored.data(run_id)

    async def runs(
        self,
        *,
        workflow: Workflow[Any, Any] | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        limit: int = 1000,
    ) -> tuple[RunInfo, ...]:
        """Where runs stand, in the order of their start: those at work here, and with a journal all that are in it.

        A run of a child workflow is a part of the run that has started it, and not told of by itself.

        Args:
            workflow: only those of this workflow.
            status: only those that stand in one of these ways.
            labels: only those that have all of these.
            limit: how many at most.
        """
        if self._host.stored is None:
            await trio.lowlevel.checkpoint()
            told = [self._host.told(actor) for actor in self._host.actors.at_work.values() if actor.engine is not None]
            return tuple(
                info
                for info in told
                if (workflow is None or info.workflow == workflow.name)
                and (status is None or info.status in status)
                and labels.items() <= info.labels.items()
            )[:limit]
        name = None if workflow is None else workflow.name
        records = await self._host.stored.runs(workflow=name, status=status, labels=labels, limit=limit)
        return tuple(self._host.told_of(record) for record in records)

    async def explain(self, *, limit: int = 1000) -> tuple[RunInfo, ...]:
        """Of every run that is not over: what it waits for, since when, and what would unblock it.

        Args:
            limit: how many at most.
        """
        unfinished = [status for status in RunStatus if not status.ended]
        told = await self.runs(status=unfinished, limit=limit)
        # In the journal they have ended.
        return (*told, *(self._host.told(actor) for actor in self._host.down()))[:limit]

    def statistics(self) -> RuntimeStatistics:
        """What it has done, and holds at the moment."""
        at_work = self._host.actors.at_work.values()
        counts = self._host.actors.counts
        return RuntimeStatistics(
            at_work=len(at_work),
            waiting=sum(actor.status is RunStatus.WAITING for actor in at_work),
            queued=self._host.slots.waiting,
            started=counts.started,
            claimed=counts.claimed,
            unloaded=counts.unloaded,
            completed=counts.completed,
            failed=counts.failed,
            released=counts.released,
            restarted=counts.restarted,
        )

    async def health(self, *, timeout: float = 5.0) -> HealthStatus:
        """How its resources are, whether its journal can be read, and whether runs of it are blocked or stuck.

        Args:
            timeout: seconds that each resource may take to answer.
        """
        worst = HealthStatus.healthy()
        for own in {id(own): own for own in self._host.resources.values()}.values():
            status = await own.aggregate_health(timeout=timeout)
            worst = max(worst, status, key=lambda one: one.level)
        return await self._host.health() if worst.is_healthy else worst

    async def drain(self, grace: float = 10.0) -> bool:
        """Take on no more, let each run finish the state that it is in, and stop all that can go on elsewhere.

        Runs with a journal are released: they go on wherever they are claimed next, and those that only wait are released at
        once. Others are waited for. What is still at work when the time is over is stopped where it is: a run with a journal
        runs its present state again later; others are undone, each within its workflow's ``compensation_timeout``.

        Args:
            grace: seconds that they have; math.inf for as long as it takes.

        Returns:
            Whether that was enough: no run was stopped in the midst of a state.

        Raises:
            ValueError: the grace is no number of seconds, 0 or more; the runtime goes on.
        """
        return await self._host.drain(grace)

    def __repr__(self) -> str:
        """What it holds."""
        actors = self._host.actors
        return f"<Runtime {'closed ' * actors.closed}{len(actors.at_work)} at work>"
