"""What stands behind a runtime: its parts, their life from opening to leaving, and what handles ask of it."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from enum import Enum
from typing import Any, Literal, TypeAlias, TypeVar, final

import trio

from .._define.checks import check_count, check_wait
from .._define.definition import Definition, check_resources
from .._define.health import HealthStatus
from .._define.question import Question
from .._define.schedule import Schedule
from .._engine.asking import ask
from .._engine.lifecycle import Resources
from .._engine.parting import parted
from .._errors import (
    DefinitionError,
    JournalError,
    JournalUnavailable,
    NotAtWork,
    RunAlreadyEnded,
    RunNotFound,
    RuntimeClosed,
    RuntimeNeeded,
    SupervisorGaveUp,
    WorkflowNotFound,
)
from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .._observe.observer import Observer, check_observers
from .._observe.status import RunStatus
from .actor import Actor
from .actors import Actors, OnUnhandled
from .alone import send_to
from .handle import Run
from .info import RunInfo, told_here
from .member import Member
from .options import by_name, check_choice, check_fires, check_schedule
from .recovery import Recovery
from .restart import Restart
from .resumable import own_resources
from .scheduled_runs import ScheduledRuns
from .scheduler import Scheduler
from .slots import Slots
from .stored import Stored
from .stuck import StuckWatch
from .supervision import Strategy, Supervisor
from .workflow import Workflow

R = TypeVar("R")

OnExit: TypeAlias = Literal["wait", "drain"]
"""What leaving the block does with the runs that are at work: wait for them, or let them go to the journal."""

TELLS_AFTER = 5.0
"""Seconds after which one who leaves is told what the runtime waits for."""

_log = logging.getLogger("cano_trio")


@final
class RuntimeHost:
    """The parts of a runtime; see `open_runtime` for the arguments."""

    def __init__(
        self,
        *,
        workflows: Iterable[Workflow[Any, Any]],
        schedules: Iterable[Schedule[Any]],
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
        check_choice("on_exit", on_exit, ("wait", "drain"))
        check_choice("on_unhandled", on_unhandled, ("log", "raise"))
        if limit is not None:
            check_count("limit", limit, least=1)
        check_wait("grace", grace)
        if unload_after != math.inf:
            check_wait("unload_after", unload_after)
        carries = claim or journal is None
        first = tuple(schedules)
        for schedule in first:
            check_schedule(schedule)
        if first:
            check_fires(carries=carries)
        self.workflows = by_name([*workflows, *dict.fromkeys(schedule.workflow for schedule in first)])
        self.resources = {
            name: own_resources(workflow) if resources is None else resources
            for name, workflow in self.workflows.items()
            if carries
        }
        self.journal = journal
        self._on_exit = on_exit
        self._grace = grace
        self.slots = Slots(limit)
        self.actors = Actors(
            self,
            journal=journal,
            resources=self.resources,
            observers=observers,
            slots=self.slots,
            context=copy_context(),
            on_unhandled=on_unhandled,
            carries=carries,
        )
        self.actors.on_failure = self._fail
        self.stored: Stored | None = None
        self._recovery: Recovery | None = None
        if journal is not None:
            self.stored = Stored(journal, self.actors, self.workflows)
            self._recovery = Recovery(
                journal, self.actors, self.stored, self.workflows, claims=claim, unload_after=unload_after
            )
        self.firing: Scheduler[Run[Any, Any]] = Scheduler(ScheduledRuns(self.actors, self.stored), journal, first)
        """What fires its schedules, once it has any."""
        self.actors.is_followed = self.firing.follows
        if self._recovery is not None:
            self._recovery.on_news = self.firing.notice
        self._has_schedules = bool(first)
        self._fires: trio.Event | None = None
        """Set when no schedule fires any more, and it is known what came of their runs."""
        self._watch = None if stuck_after is None else StuckWatch(self.actors, stuck_after)
        self._failures: list[BaseException] = []
        self._block = trio.CancelScope()
        """The block of `open_runtime`."""
        self._services: trio.Nursery

    # -- opening and leaving

    def resources_to_open(self) -> list[Resources]:
        """What is to be opened around it."""
        unique = {id(own): own for own in self.resources.values()}
        return [own for own in unique.values() if own.lives]

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Carry runs out for the block."""
        for workflow in self.workflows.values():
            self.actors.program_of(workflow)
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as services:
                self._services = services
                async with trio.open_nursery() as nursery:
                    self.actors.nursery = nursery
                    self._serve(services)
                    if self._has_schedules:
                        await self.scheduler()
                    try:
                        with self._block:
                            yield
                            await self._leave()
                    except BaseException as error:
                        failure = error
                    self._take_on_no_more()
                    if failure is not None or self._failures:
                        self.actors.release_all()
                        with trio.CancelScope(
                            shield=True
                        ):  # some are only being written down, and not in the nursery yet
                            await self.actors.wait_left()
                self._close()
                if self._fires is not None:
                    await self._fires.wait()
                services.cancel_scope.cancel("the runtime is closed")
        except BaseException as error:
            failure = _both(failure, error)
        finally:
            self._close()
        self._raise(failure)

    def _serve(self, services: trio.Nursery) -> None:
        if self._recovery is not None:
            services.start_soon(self._recovery.serve)
        if self._watch is not None:
            services.start_soon(self._watch.serve)

    async def scheduler(self) -> Scheduler[Run[Any, Any]]:
        """What fires its schedules, at work."""
        if self._fires is None:
            self._fires = trio.Event()
            await self._services.start(self._fire)
        return self.firing

    async def _fire(self, *, task_status: trio.TaskStatus[None]) -> None:
        assert self._fires is not None  # noqa: S101  (set by who starts this)
        try:
            await self.firing.run(task_status=task_status)
        except JournalError as error:
            self._fail(error)
        finally:
            self._fires.set()

    def _take_on_no_more(self) -> None:
        self.actors.closed = True
        self.firing.stop()

    async def _leave(self) -> None:
        """Do what is to be done when the block is left in peace."""
        if self._on_exit == "drain":
            await self.drain(self._grace)
            return
        self._take_on_no_more()
        with trio.move_on_after(TELLS_AFTER):
            await self.actors.wait_left()
            return
        for actor in self.actors.at_work.values():
            _log.info("the runtime waits for %s", self.told(actor))
        await self.actors.wait_left()

    def _close(self) -> None:
        self._take_on_no_more()
        for actor in self.actors.all_known():
            actor.let_go(None)

    def _fail(self, error: BaseException) -> None:
        """Stop everything, and raise an error; a journal that fails does so for all runs, and once is enough."""
        if not any(isinstance(known, JournalError) and isinstance(error, JournalError) for known in self._failures):
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

    async def drain(self, grace: float = 10.0) -> bool:
        """See `Runtime.drain`."""
        if grace != math.inf:
            check_wait("grace", grace)
        self._take_on_no_more()
        self.actors.release_when_finished()
        with trio.move_on_after(grace) as patience:
            await self.actors.wait_left()
        self.actors.release_all()
        await self.actors.wait_left()
        return not patience.cancelled_caught

    # -- finding, and having looked after

    async def find(self, workflow: Workflow[Any, Any], run_id: str) -> Actor:
        """See `Runtime.get`."""
        self.check_known(workflow)
        actor = self.actors.at_work.get(run_id) or self.actors.find(run_id)
        if actor is not None and (actor.engine is not None or self.stored is None):
            if actor.workflow is not workflow:
                raise DefinitionError.one(
                    "E29",
                    "workflow",
                    f"run {run_id!r} is one of workflow {actor.workflow.name!r}, and this is {workflow.name!r}",
                    hint="Ask for it with its own workflow.",
                )
            await trio.lowlevel.checkpoint()
            return actor
        if self.stored is None:
            await trio.lowlevel.checkpoint()
            raise RunNotFound(run_id)
        self.check_open("get()")
        return await self.stored.find(workflow, run_id)

    def supervisor(
        self, strategy: Strategy, restart: Restart, on_giving_up: Callable[[SupervisorGaveUp], object]
    ) -> Supervisor:
        """A supervisor of its runs.

        Raises:
            TypeError: what it is given is no policy.
            ValueError: this runtime carries no runs out.
        """
        if not isinstance(restart, Restart):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"restart is {restart!r}: it takes a Restart, such as Restart(5, within=60)")
        if not self.actors.carries:
            raise ValueError(
                "restart: this runtime carries no runs out, and runs are supervised where they are. Open it with claim=True."
            )
        return Supervisor(self.actors, strategy, restart, self.bring_down, on_giving_up)

    def alone(self, restart: Restart) -> Member:
        """What is to look after a run by itself; if it gives up, the runtime fails."""
        return Member(self.supervisor("one_for_one", restart, self._fail))

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
        if actor.restart_at is not None:
            await actor.back()
        if not actor.released:
            actor.check_not_over("takes no more messages")
        if actor.engine is not None:
            return await send_to(actor.engine, message, key, require_waiting=require_waiting)
        return await self._written(actor, "sent a message").send(actor, message, key, require_waiting=require_waiting)

    async def ask(self, actor: Actor, question: Question[R], /) -> R:
        """Ask a run."""
        await actor.back()
        if self.stored is not None:
            await self.stored.settled(actor)
        if actor.engine is not None and not actor.released:
            return await ask(actor.engine, question)
        if actor.status.ended:
            raise RunAlreadyEnded(actor.run_id, actor.status.value)
        if actor.released or self.stored is None:
            raise NotAtWork(actor.run_id, "it was released")
        raise NotAtWork(actor.run_id, await self.stored.whereabouts(actor))

    def cancel(self, actor: Actor, reason: str | None, /) -> None:
        """Have a run cancelled."""
        if actor.over or (actor.keeper is not None and actor.keeper.call_off(reason)):
            return
        self.bring_down(actor, reason)

    def bring_down(self, actor: Actor, reason: str | None, /) -> None:
        """Have a run cancelled, which may be begun again then."""
        if actor.engine is not None:
            actor.engine.cancel(reason)
            if actor.hurry is not None:
                actor.hurry.cancel()
            return
        self.actors.nursery.start_soon(self._written(actor, "cancelled").cancel, actor, reason)

    async def pause(self, actor: Actor, reason: str | None, /) -> None:
        """Have a run held."""
        while True:
            stored = self._written(actor, "paused")
            await actor.back()
            await stored.settled(actor)
            actor.check_not_over("can't be paused")
            run = actor.engine
            if run is None:
                await stored.pause(actor, reason)
                return
            run.pause(actor.scope, reason)
            while actor.engine is run and not actor.over and run.paused is not None:
                await actor.rung()
            # It may be that it was let go for another reason, just before.
            if actor.status is RunStatus.PAUSED or (actor.engine is run and not actor.over):
                return

    async def go_on(self, actor: Actor, /, *, retry: bool) -> None:
        """Have a run go on."""
        stored = self._written(actor, "tried again" if retry else "resumed")
        await actor.back()
        await stored.settled(actor)
        while (run := actor.engine) is not None and not actor.over:
            if not actor.scope.cancel_called:
                run.stay()
                actor.ring()
                await trio.lowlevel.checkpoint()
                return
            await actor.rung()  # it is let go already
        await stored.go_on(actor, retry=retry)

    async def entered(self, actor: Actor, /) -> tuple[Enum, ...]:
        """The states that a run has entered, the present one last."""
        if actor.engine is not None or self.stored is None:
            return () if actor.engine is None else actor.engine.trail()
        return await self.stored.entered(actor)

    def told(self, actor: Actor) -> RunInfo:
        """What is known of a run that is at work here."""
        return told_here(actor)

    def down(self) -> list[Actor]:
        """Those that wait to be begun again, and whose end is in the journal."""
        if self.journal is None:
            return []
        return [actor for actor in self.actors.at_work.values() if actor.restart_at is not None and actor.engine]

    def told_of(self, record: RunRecord) -> RunInfo:
        """What a record tells, or who carries the run out."""
        actor = self.actors.at_work.get(record.run_id)
        if actor is not None and actor.engine is not None:
            return self.told(actor)
        assert self.stored is not None  # noqa: S101  (there is a record)
        return self.stored.told(record)

    async def health(self) -> HealthStatus:
        """How its journal and its runs are."""
        if self._watch is not None and (stuck := self._watch.stuck()):
            return HealthStatus.degraded(f"run {stuck[0].run_id!r} is stuck in {stuck[0].state.name}")
        if self.journal is None:
            return HealthStatus.healthy()
        try:
            blocked = await self.journal.runs(status=[RunStatus.BLOCKED], limit=1)
        except JournalUnavailable as error:
            return HealthStatus.degraded(str(error))
        except JournalError as error:
            return HealthStatus.unhealthy(str(error))
        if blocked:
            return HealthStatus.degraded(f"run {blocked[0].run_id!r} is blocked: {blocked[0].position.reason}")
        return HealthStatus.healthy()

    def _written(self, actor: Actor, verb: str) -> Stored:
        if self.stored is None:
            raise RuntimeNeeded(actor.run_id, verb)
        self.check_open(f"run {actor.run_id!r} can't be {verb}")
        return self.stored

    def check_open(self, what: str) -> None:
        """See that it takes on more.

        Raises:
            RuntimeClosed: it does not.
        """
        if self.actors.closed:
            raise RuntimeClosed(what)

    def check_known(self, workflow: Definition[Any, Any]) -> None:
        """See that it carries out the runs of a workflow.

        Raises:
            TypeError: it is none.
            WorkflowNotFound: it does not.
        """
        if self.workflows.get(getattr(workflow, "name", "")) is not workflow:
            if not isinstance(workflow, Definition):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{workflow!r} is no Workflow")
            raise WorkflowNotFound(workflow.name, sorted(self.workflows))


def _both(failure: BaseException | None, error: BaseException) -> BaseException:
    """What comes out of a block and of the tasks behind it; a cancel is nothing of its own beside what has brought it about."""
    _, other = parted(error)
    if other is None:
        return error if failure is None else failure
    while isinstance(other, BaseExceptionGroup) and len(other.exceptions) == 1:
        other = other.exceptions[0]
    if failure is None or parted(failure)[1] is None:
        return other
    return BaseExceptionGroup("the block of a runtime failed, and so did what it carries out", [failure, other])
