"""The runtime: what a trio service embeds to have its runs carried out."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import copy_context
from enum import Enum
from typing import Any, Literal, TypeAlias, final, overload

import trio
from typing_extensions import TypeVar

from .._define.definition import check_resources
from .._define.health import HealthStatus
from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._engine.run import Pause
from .._errors import (
    DefinitionError,
    DuplicateRun,
    RunAlreadyEnded,
    RunNotFound,
    RuntimeClosed,
    RuntimeNeeded,
    WorkflowNotFound,
)
from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .._observe.observer import Observer, check_observers
from .._observe.status import RunStatus
from .actor import NO_LABELS, Actor
from .actors import Actors, OnUnhandled
from .alone import send_to
from .handle import Run
from .info import RunInfo, RuntimeStatistics, told_here
from .recovery import Recovery
from .run_id import checked, made_up
from .slots import Slots
from .stored import Stored
from .stuck import StuckWatch
from .workflow import OnDuplicate, Workflow

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)

OnExit: TypeAlias = Literal["wait", "drain"]
"""What leaving the block does with the runs that are at work: wait for them, or let them go to the journal."""

TELLS_AFTER = 5.0
"""Seconds after which one who leaves is told what the runtime waits for."""

_log = logging.getLogger("cano_trio")


@asynccontextmanager
async def open_runtime(
    *,
    workflows: Iterable[Workflow[Any, Any]],
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
        journal: where runs are written down; opened for the block, if it is not open.
        resources: what tasks work with; opened for the block. Where it is not given, those of the workflows.
        observers: who is told of the events of all runs.
        limit: how many runs are at work at a time. Without a journal `start` waits for its turn; with one, runs wait there.
        claim: whether runs of the journal are taken up; a tool that only looks passes False.
        unload_after: seconds after which a run with a journal that only waits, for a time or a message, is let go to the
            journal; it comes back when it has something to do.
        stuck_after: seconds after which a run that is at work in one state is reported as `Stuck`, with its stack.
        on_exit: what leaving the block does: ``"wait"`` for the runs, or `Runtime.drain` them.
        grace: seconds that this may take.
        on_unhandled: what follows when a run fails and nobody waits for it: ``"log"`` at ERROR, or ``"raise"`` out of the
            runtime, which is stopped.

    Raises:
        DefinitionError: a workflow is wrong, does not find its resources, or two have one name.
        JournalError: the journal can't be written any more; all runs have stopped in place.
        RunFailed: a run failed, nobody waited for it, and `on_unhandled` is ``"raise"``.

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
    runtime = Runtime(
        workflows=workflows, journal=journal, resources=resources, observers=observers, limit=limit, claim=claim,
        unload_after=unload_after, stuck_after=stuck_after, on_exit=on_exit, grace=grace, on_unhandled=on_unhandled,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        if journal is not None:
            await stack.enter_async_context(journal)
        for own in runtime.resources():
            await stack.enter_async_context(own.opened())
        async with runtime.opened():
            yield runtime


@final
class Runtime:
    """Runs, each an actor in one nursery; see `open_runtime`, which alone makes one."""

    def __init__(
        self,
        *,
        workflows: Iterable[Workflow[Any, Any]],
        journal: Journal | None,
        resources: Resources | None,
        observers: Sequence[Observer],
        limit: int | None,
        claim: bool,
        unload_after: float,
        stuck_after: float | None,
        on_exit: OnExit,
        grace: float,
        on_unhandled: OnUnhandled,
    ) -> None:
        check_resources(resources)
        check_observers(observers)
        _check_choice("on_exit", on_exit, ("wait", "drain"))
        _check_choice("on_unhandled", on_unhandled, ("log", "raise"))
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit!r}: it takes a number of runs, at least 1, or None")
        self._workflows = _by_name(workflows)
        self._resources = {
            name: workflow.own_resources if resources is None else resources
            for name, workflow in self._workflows.items()
        }
        self._journal = journal
        self._on_exit = on_exit
        self._grace = grace
        self._slots = Slots(limit)
        self._actors = Actors(
            self,
            journal=journal,
            resources=self._resources,
            observers=observers,
            slots=self._slots,
            context=copy_context(),
            on_unhandled=on_unhandled,
        )
        self._actors.on_failure = self._fail
        self._stored: Stored | None = None
        self._recovery: Recovery | None = None
        if journal is not None:
            self._stored = Stored(journal, self._actors, self._workflows)
            self._recovery = Recovery(
                journal, self._actors, self._stored, self._workflows, claims=claim, unload_after=unload_after
            )
        self._watch = None if stuck_after is None else StuckWatch(self._actors, stuck_after)
        self._failures: list[BaseException] = []
        self._block = trio.CancelScope()
        """The block of `open_runtime`."""
        self._services: trio.Nursery

    # -- opening and leaving

    def resources(self) -> list[Resources]:
        """What is to be opened around it."""
        unique = {id(own): own for own in self._resources.values()}
        return [own for own in unique.values() if own.lives]

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Carry runs out for the block."""
        for name, workflow in self._workflows.items():
            program = Program.of(workflow, self._resources[name])
            if self._journal is not None:
                program.check_recordable(self._resources[name])
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as services:
                self._services = services
                async with trio.open_nursery() as nursery:
                    self._actors.nursery = nursery
                    self._serve(services)
                    try:
                        with self._block:
                            yield
                            await self._leave()
                    except BaseException as error:
                        failure = error
                    self._actors.closed = True
                    if failure is not None or self._failures:
                        self._actors.release_all()
                services.cancel_scope.cancel("the runtime is closed")
        except BaseExceptionGroup as group:
            if failure is None:
                failure = _only(group)
        finally:
            self._close()
        self._raise(failure)

    def _serve(self, services: trio.Nursery) -> None:
        if self._recovery is not None:
            services.start_soon(self._recovery.serve)
        if self._watch is not None:
            services.start_soon(self._watch.serve)

    async def _leave(self) -> None:
        """Do what is to be done when the block is left in peace."""
        if self._on_exit == "drain":
            await self.drain(self._grace)
            return
        self._actors.closed = True
        with trio.move_on_after(TELLS_AFTER):
            await self._actors.wait_left()
            return
        for actor in self._actors.at_work.values():
            _log.info("the runtime waits for %s", self._told(actor))
        await self._actors.wait_left()

    def _close(self) -> None:
        self._actors.closed = True
        for actor in self._actors.all_known():
            actor.let_go(None)

    def _fail(self, error: BaseException) -> None:
        """Stop everything, and raise an error."""
        self._failures.append(error)
        self._block.cancel("the runtime fails")

    def _raise(self, failure: BaseException | None) -> None:
        failures = self._failures
        if failure is not None:
            for other in failures:
                _log.error("the runtime failed, too, while its block did", exc_info=other)
            raise failure
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup("several things ended the runtime", failures)

    async def drain(self, grace: float = 10.0) -> None:
        """Take on no more, let each run finish the state that it is in, and stop all that can go on elsewhere.

        Runs with a journal are released: they go on wherever they are claimed next, and those that only wait are released at
        once. Others are waited for. What is still at work when the time is over is stopped where it is: a run with a journal
        runs its present state again later; others are undone, each within its workflow's ``compensation_timeout``.

        Args:
            grace: seconds that they have.
        """
        self._actors.closed = True
        self._actors.release_when_finished()
        with trio.move_on_after(grace):
            await self._actors.wait_left()
        self._actors.release_all()
        await self._actors.wait_left()

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

        Returns:
            Its handle. If this is cancelled, no run was started.

        Raises:
            DuplicateRun: there is or was a run of that id.
            WorkflowNotFound: the runtime does not know the workflow.
            DataTypeMismatch: the data are not of the workflow's type.
            RuntimeClosed: the runtime takes on no more.
        """
        self._check_open("start()")
        self._check_known(workflow)
        _check_choice("on_duplicate", on_duplicate, ("raise", "attach"))
        run_id = made_up(workflow.name) if run_id is None else checked(run_id)
        try:
            actor = await self._actors.start(
                workflow,
                data,
                start=workflow.initial if start is None else start,
                run_id=run_id,
                labels=_checked_labels(labels),
                priority=priority,
                delay=delay,
            )
        except DuplicateRun:
            if on_duplicate == "raise":
                raise
            return await self.get(workflow, run_id)
        return Run(actor)

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
        self._check_known(workflow)
        actor = self._actors.at_work.get(checked(run_id)) or self._actors.find(run_id)
        if actor is not None and (actor.engine is not None or self._stored is None):
            if actor.workflow is not workflow:
                raise DefinitionError.one(
                    "E29",
                    "workflow",
                    f"run {run_id!r} is one of workflow {actor.workflow.name!r}, and this is {workflow.name!r}",
                    hint="Ask for it with its own workflow.",
                )
            await trio.lowlevel.checkpoint()
            return Run(actor)
        if self._stored is None:
            await trio.lowlevel.checkpoint()
            raise RunNotFound(run_id)
        self._check_open("get()")
        return Run(await self._stored.find(workflow, run_id))

    async def read(self, run_id: str, /) -> Any:
        """A run's data, as they were last committed, without loading it; None if its workflow has none.

        Raises:
            RunNotFound: there is none.
            WorkflowNotFound: it is one of a workflow that the runtime does not know.
        """
        actor = self._actors.at_work.get(run_id)
        if actor is not None and actor.engine is not None:
            await trio.lowlevel.checkpoint()
            return actor.engine.data()
        if self._stored is None:
            await trio.lowlevel.checkpoint()
            raise RunNotFound(run_id)
        return await self._stored.data(run_id)

    async def runs(
        self,
        *,
        workflow: Workflow[Any, Any] | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        limit: int = 1000,
    ) -> tuple[RunInfo, ...]:
        """Where runs stand, in the order of their start: those at work here, and with a journal all that are in it.

        Args:
            workflow: only those of this workflow.
            status: only those that stand in one of these ways.
            labels: only those that have all of these.
            limit: how many at most.
        """
        if self._journal is None:
            await trio.lowlevel.checkpoint()
            told = [self._told(actor) for actor in self._actors.at_work.values() if actor.engine is not None]
            return tuple(
                info
                for info in told
                if (workflow is None or info.workflow == workflow.name)
                and (status is None or info.status in status)
                and labels.items() <= info.labels.items()
            )[:limit]
        records = await self._journal.runs(
            workflow=None if workflow is None else workflow.name, status=status, labels=labels, limit=limit
        )
        return tuple(self._told_of(record) for record in records)

    async def explain(self, *, limit: int = 1000) -> tuple[RunInfo, ...]:
        """Of every run that is not over: what it waits for, since when, and what would unblock it.

        Args:
            limit: how many at most.
        """
        unfinished = [status for status in RunStatus if not status.ended]
        return await self.runs(status=unfinished, limit=limit)

    def statistics(self) -> RuntimeStatistics:
        """What it has done, and holds at the moment."""
        at_work = self._actors.at_work.values()
        counts = self._actors.counts
        return RuntimeStatistics(
            at_work=len(at_work),
            waiting=sum(actor.status is RunStatus.WAITING for actor in at_work),
            queued=self._slots.waiting,
            started=counts.started,
            claimed=counts.claimed,
            unloaded=counts.unloaded,
            completed=counts.completed,
            failed=counts.failed,
            released=counts.released,
        )

    async def health(self, *, timeout: float = 5.0) -> HealthStatus:
        """How its resources are, and whether runs of it are blocked or stuck.

        Args:
            timeout: seconds that each resource may take to answer.
        """
        worst = HealthStatus.healthy()
        for own in {id(own): own for own in self._resources.values()}.values():
            status = await own.aggregate_health(timeout=timeout)
            worst = max(worst, status, key=lambda one: one.level)
        if worst.is_healthy and self._journal is not None:
            blocked = await self._journal.runs(status=[RunStatus.BLOCKED], limit=1)
            if blocked:
                worst = HealthStatus.degraded(f"run {blocked[0].run_id!r} is blocked: {blocked[0].position.reason}")
        return worst

    # -- what handles ask for

    @contextmanager
    def watching(self, actor: Actor, /) -> Iterator[None]:
        """Look, for the block, at what happens to a run that is not at work here."""
        actor.watchers += 1
        if actor.engine is None and self._recovery is not None:
            self._recovery.ring()
        try:
            yield
        finally:
            actor.watchers -= 1

    async def send(self, actor: Actor, message: object, key: str | None, /, *, require_waiting: bool) -> bool:
        """Send a run a message."""
        if actor.engine is not None and not (actor.over and actor.released):
            return await send_to(actor.engine, message, key, require_waiting=require_waiting)
        return await self._written(actor, "sent a message").send(actor, message, key, require_waiting=require_waiting)

    def cancel(self, actor: Actor, reason: str | None, /) -> None:
        """Have a run cancelled."""
        if actor.over:
            return
        if actor.engine is not None:
            actor.engine.cancel(reason)
            if actor.hurry is not None:
                actor.hurry.set()
            return
        self._actors.nursery.start_soon(self._written(actor, "cancelled").cancel, actor, reason)

    async def pause(self, actor: Actor, reason: str | None, /) -> None:
        """Have a run held."""
        stored = self._written(actor, "paused")
        await stored.settled(actor)
        run = actor.engine
        if run is None and not actor.over:
            await stored.pause(actor, reason)
            return
        if run is not None and not actor.over:
            run.paused = Pause(reason)
            run.leave_when_finished(actor.scope)
            while actor.engine is run and not actor.over and run.paused is not None:
                await actor.rung()
        if actor.over:
            raise RunAlreadyEnded(actor.run_id, actor.status.value, "can't be paused")

    async def go_on(self, actor: Actor, /, *, retry: bool) -> None:
        """Have a run go on."""
        self._check_open("resume()")
        stored = self._written(actor, "resumed")
        await stored.settled(actor)
        run = actor.engine
        if run is not None and not actor.over:
            run.stay()
            actor.ring()
            await trio.lowlevel.checkpoint()
            return
        await stored.go_on(actor, retry=retry)

    async def entered(self, actor: Actor, /) -> tuple[Enum, ...]:
        """The states that a run has entered, the present one last."""
        if actor.engine is not None or self._stored is None:
            return () if actor.engine is None else actor.engine.trail()
        return await self._stored.entered(actor)

    def _told(self, actor: Actor) -> RunInfo:
        return told_here(actor)

    def _told_of(self, record: RunRecord) -> RunInfo:
        actor = self._actors.at_work.get(record.run_id)
        if actor is not None and actor.engine is not None:
            return self._told(actor)
        assert self._stored is not None  # noqa: S101  (there is a record)
        return self._stored.told(record)

    def _written(self, actor: Actor, verb: str) -> Stored:
        if self._stored is None:
            raise RuntimeNeeded(actor.run_id, verb)
        self._check_open(verb)
        return self._stored

    def _check_open(self, what: str) -> None:
        if self._actors.closed:
            raise RuntimeClosed(what)

    def _check_known(self, workflow: Workflow[Any, Any]) -> None:
        if self._workflows.get(workflow.name) is not workflow:
            raise WorkflowNotFound(workflow.name, sorted(self._workflows))

    def __repr__(self) -> str:
        """What it holds."""
        closed = "closed " if self._actors.closed else ""
        return f"<Runtime {closed}{len(self._actors.at_work)} at work>"


def _by_name(workflows: Iterable[Workflow[Any, Any]]) -> dict[str, Workflow[Any, Any]]:
    known: dict[str, Workflow[Any, Any]] = {}
    for workflow in workflows:
        if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"workflows: {workflow!r} is no Workflow")
        if known.setdefault(workflow.name, workflow) is not workflow:
            raise DefinitionError.one(
                "E30",
                "open_runtime",
                f"two workflows are named {workflow.name!r}, and runs in a journal are found by that name",
                hint="Give each one its own: Workflow(..., name=...).",
            )
    return known


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The only exception in a group of groups, if there is but one."""
    only: BaseException = group
    while isinstance(only, BaseExceptionGroup) and len(only.exceptions) == 1:
        only = only.exceptions[0]
    return only


def _check_choice(name: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise ValueError(f"{name} is {given!r}: it takes {' or '.join(map(repr, choices))}")


def _checked_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in labels.items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"labels: {name!r}: {value!r} has to be a string and a string")
    return labels
