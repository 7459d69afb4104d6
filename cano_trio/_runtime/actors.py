"""The runs that a runtime carries out: each in a task of its own, from its start or claim to its end or release."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import Context
from enum import Enum
from functools import partial
from typing import Any, Literal, TypeAlias, cast, final
from weakref import WeakValueDictionary

import trio

from .._define.data import check_data
from .._define.definition import Definition
from .._define.resources import Elsewhere
from .._engine.conduct import conduct
from .._engine.execute import check_start
from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._engine.resume import How
from .._engine.run import Run as EngineRun
from .._engine.run import Wait
from .._engine.run_journal import RunJournal
from .._errors import DuplicateRun, JournalError, JournalUnavailable, RunBlocked, RuntimeClosed
from .._journal.protocol import Journal
from .._journal.schedule_record import ScheduleRecord
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .actor import Actor, Host
from .counts import Counts
from .slots import Slots
from .taking import Taking

OnUnhandled: TypeAlias = Literal["log", "raise"]
"""What follows when a run fails for whose end nobody waits."""

_log = logging.getLogger("cano_trio")
_unhandled = logging.getLogger("cano_trio.unhandled")


@final
class Actors:
    """The runs of a runtime.

    Args:
        host: the runtime.
        journal: where they are written down.
        resources: what their tasks work with, by the names of their workflows.
        observers: who is told of the events of all of them.
        slots: of those at work.
        context: that in which their tasks run.
        on_unhandled: what follows when one fails for whose end nobody waits.
        carries: whether any are carried out here; else they wait in the journal for a runtime that does.
    """

    def __init__(
        self,
        host: Host,
        *,
        journal: Journal | None,
        resources: Mapping[str, Resources],
        observers: Sequence[Observer],
        slots: Slots,
        context: Context,
        on_unhandled: OnUnhandled,
        carries: bool,
    ) -> None:
        self._host = host
        self.journal = journal
        self._resources = resources
        self.observers = observers
        self.slots = slots
        self.counts = Counts()
        self.at_work: dict[str, Actor] = {}
        """Those that hold a slot, or will when their time has come, by id."""
        self.supervised: set[Actor] = set()
        """Those that are begun again when they fail: they are not forgotten while they wait in the journal."""
        self._known: WeakValueDictionary[str, Actor] = WeakValueDictionary()
        self._context = context
        self._on_unhandled = on_unhandled
        self.carries = carries
        self._elsewhere = Elsewhere()
        self.nursery: trio.Nursery
        self.closed = False
        """No more are started or taken up."""
        self.stops = False
        """All are stopped, as soon as they are where that can be: none is begun again."""
        self.on_put_down: Callable[[Actor], object] = _nothing
        """Is told of a run that is at work here no more: a slot may be free."""
        self.on_withdrawn: Callable[[], object] = _nothing
        """Is called when a run that was at work here was not carried out, and others may take it up."""
        self.on_obstacle: Callable[[Actor, How, str | None], object] = _nothing
        """Is told of a run that could not be taken up, for what, and why it was to be cancelled."""
        self.on_attached: Callable[[Actor], object] = _nothing
        """Is told of a run that is at work from now on."""
        self.on_parked: Callable[[Actor, Wait], object] = _nothing
        """Is told when a run begins to wait for what needs no process."""
        self.on_failure: Callable[[BaseException], object] = _nothing
        """Is told of what ends the whole runtime."""
        self.is_followed: Callable[[str], bool] = _never
        """Whether somebody sees to what becomes of a run, who need not wait for it yet."""
        self.left = trio.Event()

    # -- finding

    def find(self, run_id: str) -> Actor | None:
        """The run of an id, if it is known here."""
        return self._known.get(run_id)

    def known(self, run_id: str, workflow: Definition[Any, Any]) -> Actor:
        """The run of an id, made if it is not known yet."""
        actor = self.at_work.get(run_id) or self._known.get(run_id)
        if actor is None:
            actor = self._known[run_id] = Actor(run_id, workflow, self._host)
        elif actor.over:
            actor.reopen()
        return actor

    def resources_of(self, workflow: Definition[Any, Any]) -> Resources:
        """What the tasks of a workflow work with."""
        return self._resources[workflow.name]

    def program_of(self, workflow: Definition[Any, Any]) -> Program:
        """A workflow as it is run here, or as it is where it is run.

        Raises:
            DefinitionError: it is wrong, does not find its resources, or can't be written down where there is a journal.
        """
        resources = self.resources_of(workflow) if self.carries else self._elsewhere
        program = Program.of(workflow, resources)
        if self.journal is not None:
            program.check_recordable(resources)
        return program

    def watched(self) -> list[Actor]:
        """Those that somebody wants to hear of, and that are not at work here."""
        return [
            actor for actor in [*self._known.values()] if actor.watchers and actor.engine is None and not actor.over
        ]

    def all_known(self) -> list[Actor]:
        """All that are known here."""
        return [*self._known.values()]

    # -- starting

    async def start(
        self,
        workflow: Definition[Any, Any],
        data: Any,
        *,
        start: Enum,
        run_id: str,
        labels: Mapping[str, str],
        priority: int,
        delay: float,
        record: ScheduleRecord | None = None,
        keep: Callable[[Actor, Any], object] | None = None,
    ) -> Actor | ScheduleRecord:
        """Start a run; one with a journal is written down when this returns, and begins when there is a slot.

        If a schedule starts it, its `record` is written down with it. If another process has written one meanwhile, that is
        what this returns, and nothing was started. Who is to `keep` it is given it before, with its packed data.

        Raises:
            DuplicateRun: there is or was a run of that id.
            Exception: what is wrong with the call.
        """
        program = self.program_of(workflow)
        check_start(workflow, start)
        check_data(workflow.name, workflow.data, data)
        packed = program.pack(data)
        await trio.lowlevel.checkpoint_if_cancelled()
        if run_id in self.at_work:
            raise DuplicateRun(run_id, self.at_work[run_id].status.value)
        actor = Actor(run_id, workflow, self._host)
        actor.labels, actor.priority = labels, priority
        run = self._made(program, start, packed, run_id)
        self.at_work[run_id] = actor
        if keep is not None:
            keep(actor, packed)
        if self.journal is None:
            await self._start_in_memory(actor, run, delay)
        elif record is not None:
            other = await self._fire(actor, run, RunJournal(self.journal, run, program), record)
            if other is not None:
                return other
        else:
            await self._start_written(actor, run, RunJournal(self.journal, run, program), delay)
        self._known[run_id] = actor
        self.counts.started += 1
        return actor

    async def _start_in_memory(self, actor: Actor, run: EngineRun, delay: float) -> None:
        run.status = RunStatus.QUEUED
        actor.attach(run)
        if delay > 0:
            actor.hurry = trio.CancelScope()
            self.spawn(self._carry_later, actor, run, actor.hurry, delay)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        if not self.slots.take_nowait():
            actor.hurry = trio.CancelScope()
            try:
                await self._turn(actor, actor.hurry)
            except BaseException:
                self._drop(actor, run)
                raise
        if self.closed:
            self.slots.give_back()
            self._drop(actor, run)
            raise RuntimeClosed(f"run {actor.run_id!r} was not started")
        self.spawn(self._carry, actor, run)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _start_written(self, actor: Actor, run: EngineRun, writing: RunJournal, delay: float) -> None:
        run.write_down(writing)
        run.hears = True
        begins = delay <= 0 and self.carries and not self.slots.behind and self.slots.take_nowait()
        try:
            await writing.begin(actor.labels, actor.priority, queued_for=None if begins else delay)
        except BaseException:
            if begins:
                self.slots.give_back()
            self.withdraw(actor)
            raise
        if begins:
            self.begin(actor, run)
        else:
            self.slots.behind += self.carries and delay <= 0
            actor.place(writing.last, run.reader())
            self.withdraw(actor)

    async def _fire(
        self, actor: Actor, run: EngineRun, writing: RunJournal, record: ScheduleRecord
    ) -> ScheduleRecord | None:
        try:
            result = await writing.journal.fire(writing.beginning(actor.labels, actor.priority, 0.0), record)
            if isinstance(result, ScheduleRecord):
                return result
            actor.place(writing.last, run.reader())
            return None
        finally:
            self.withdraw(actor)

    def _made(self, program: Program, start: Enum, packed: Any, run_id: str) -> EngineRun:
        resources = self.resources_of(program.workflow) if self.carries else Resources()
        run = program.run(start, packed, run_id=run_id, observers=self.observers, resources=resources)
        run.scope = trio.CancelScope()
        return run

    async def another(self, actor: Actor, start: Enum, packed: Any, run_id: str) -> EngineRun:
        """A run that can begin in the place of one that is over; with a journal it is written down when this returns.

        Raises:
            DuplicateRun: the journal has a run of that id.
        """
        program = self.program_of(actor.workflow)
        run = self._made(program, start, packed, run_id)
        if self.journal is not None:
            run.write_down(RunJournal(self.journal, run, program))
            run.hears = True
            await run.journal.begin(actor.labels, actor.priority)
        return run

    def begin(self, actor: Actor, run: EngineRun) -> None:
        """Have a run begin; its slot is taken already."""
        actor.attach(run)
        self.on_attached(actor)
        self.spawn(self._carry, actor, run)

    def rename(self, actor: Actor, run_id: str) -> None:
        """Know a run by another id: another one begins in its place."""
        del self.at_work[actor.run_id]
        self._known.pop(actor.run_id, None)
        actor.run_id = run_id
        self.at_work[run_id] = self._known[run_id] = actor

    @contextmanager
    def kept(self, actor: Actor) -> Iterator[None]:
        """Have nobody take a run up, for the block, that is not at work here."""
        self.at_work[actor.run_id] = actor
        try:
            yield
        finally:
            self.withdraw(actor)

    def withdraw(self, actor: Actor) -> None:
        """Have a run not be at work any more that was not carried out yet."""
        del self.at_work[actor.run_id]
        actor.scope = trio.CancelScope()
        actor.ring()
        self.on_withdrawn()
        self._tell_left()

    # -- taking up

    def take_up(
        self,
        actor: Actor,
        how: How = "resume",
        reason: str | None = None,
        only_if: Collection[RunStatus] | None = None,
        done: Callable[[], object] | None = None,
    ) -> None:
        """Claim a run of the journal and go on with it; its slot is taken already.

        Args:
            actor: the run.
            how: what for.
            reason: why it is cancelled.
            only_if: how it has to stand when it is claimed; by default so that it makes sense what it is taken up for.
            done: is called when it is claimed, or can't be.
        """
        assert self.journal is not None  # noqa: S101  (else there would be nothing to claim)
        taking = Taking(actor, self.program_of(actor.workflow), self.journal, how, reason, only_if, done)
        self.at_work[actor.run_id] = actor
        actor.obstacle = None
        self.spawn(self._carry, actor, taking)

    # -- carrying

    def spawn(self, carry: Callable[..., Awaitable[None]], actor: Actor, *args: Any) -> None:
        """Have a task that looks after a run."""
        name = f"run {actor.run_id!r} of {actor.workflow.name}"
        # The context is that of the runtime: whoever starts a run is not to leave traces of its own in it.
        self._context.run(partial(self.nursery.start_soon, carry, actor, *args, name=name))

    async def _turn(self, actor: Actor, hurry: trio.CancelScope, delay: float = 0.0) -> None:
        """Wait until it is a run's turn to begin, with a slot. One that is cancelled before needs none: it does nothing but end."""
        with hurry:
            if delay > 0:
                await trio.sleep(delay)
            await self.slots.take(actor.priority)
        if hurry.cancelled_caught:
            self.slots.take_beyond()
        actor.hurry = None

    async def _carry_later(self, actor: Actor, run: EngineRun, hurry: trio.CancelScope, delay: float) -> None:
        begins = False
        try:
            with actor.scope:
                await self._turn(actor, hurry, delay)
                begins = True
        except BaseException:
            self._drop(actor, run)
            raise
        if actor.scope.cancel_called:
            if begins:
                self.slots.give_back()
            self._drop(actor, run)
            return
        actor.scope = trio.CancelScope()
        await self._carry(actor, run)

    def _drop(self, actor: Actor, run: EngineRun) -> None:
        """Forget a run in memory that has not begun."""
        run.stop(RunStatus.CANCELLED)
        actor.end(None)
        self.withdraw(actor)

    async def _carry(self, actor: Actor, what: EngineRun | Taking) -> None:
        """Carry a run out, or take it up and do so, to its end or its release."""
        actor.task = trio.lowlevel.current_task()
        failure: Exception | None = None
        try:
            with actor.scope:
                try:
                    if isinstance(what, EngineRun) or await what.claim():
                        resources = self.resources_of(actor.workflow)
                        if resources.per_run:
                            await self._set_up(actor, what, resources)
                        else:
                            await conduct(await self._begun(actor, what, resources), actor.workflow)
                except Exception as error:
                    failure = error
        finally:
            self._put_down(actor, what, failure)
            del failure, what  # they hold this frame by their tracebacks

    async def _set_up(self, actor: Actor, what: EngineRun | Taking, resources: Resources) -> None:
        """Conduct it with what it has of its own."""
        async with AsyncExitStack() as stack:
            try:
                own = await stack.enter_async_context(resources.for_run())
            except BaseException as error:
                failure = error
            else:
                await conduct(await self._begun(actor, what, own), actor.workflow)
                return
        try:
            await self._not_set_up(actor, what, failure)
        finally:
            del failure

    async def _not_set_up(self, actor: Actor, what: EngineRun | Taking, failure: BaseException) -> None:
        """Have a run that is written down be blocked, since that may pass; and one in memory fail."""
        if self.journal is None:
            assert isinstance(what, EngineRun)  # noqa: S101  (there is nothing to be taken up)
            what.failure = failure
            await conduct(await self._begun(actor, what, what.resources), actor.workflow)
        if isinstance(what, EngineRun):
            actor.detach()
            what = Taking(actor, self.program_of(actor.workflow), cast("Journal", self.journal))
        raise await what.not_set_up(failure)

    async def _begun(self, actor: Actor, what: EngineRun | Taking, own: Resources) -> EngineRun:
        """The run at work, with what it works with."""
        if isinstance(what, EngineRun):
            run = what
            run.resources = own
            run.status = RunStatus.RUNNING
        else:
            run = await what.revived(own, self.observers)
            run.scope = trio.CancelScope()
            run.hears = True
            self.counts.claimed += 1
            actor.attach(run)
            self.on_attached(actor)
        if run.durable:
            run.on_parked = lambda wait: self.on_parked(actor, wait)
        return run

    def _put_down(self, actor: Actor, what: EngineRun | Taking, failure: Exception | None) -> None:
        """Take note that a run's task is over."""
        del self.at_work[actor.run_id]
        self.slots.give_back()
        run = actor.engine
        if run is None:
            self._not_taken_up(actor, what, failure)
        elif run.released:
            self._released(actor, run, failure)
        else:
            self._ended(actor, run, failure)
        self.on_put_down(actor)
        self._tell_left()

    def _tell_left(self) -> None:
        if not self.at_work:
            self.left.set()
            self.left = trio.Event()

    def _not_taken_up(self, actor: Actor, what: EngineRun | Taking, failure: Exception | None) -> None:
        actor.obstacle = failure
        actor.detach()
        if failure is not None and isinstance(what, Taking):
            self.on_obstacle(actor, what.how, what.reason)
        if actor.keeper is not None:
            actor.keeper.was_put_down(failure)
        if isinstance(failure, RunBlocked):
            _log.warning("%s", failure)
        elif isinstance(failure, JournalError):
            self._report_journal(actor, failure)
        elif failure is not None:
            _log.error("run %r could not be taken up", actor.run_id, exc_info=failure)

    def _report_journal(self, actor: Actor, failure: JournalError) -> None:
        if type(failure) is JournalError:
            self.on_failure(failure)
        else:
            _log.error("run %r stops here: %s", actor.run_id, failure)

    def _released(self, actor: Actor, run: EngineRun, failure: Exception | None) -> None:
        if run.parked is not None:
            self.counts.unloaded += 1
        else:
            self.counts.released += 1
        broken = run.journal.broken if failure is None else failure
        actor.detach()
        if isinstance(broken, JournalError):
            self._report_journal(actor, broken)
        if self.closed or type(broken) is JournalError:
            actor.let_go(broken)
        elif isinstance(broken, JournalUnavailable):  # it is held here still, and nobody carries it out
            actor.obstacle = broken
            self.on_obstacle(actor, "cancel" if run.cancelled else "resume", run.reason)
        elif run.cancelled and actor.status is not RunStatus.ROLLING_BACK:  # since it was being let go
            self._host.bring_down(actor, run.reason)
        if actor.keeper is not None:
            actor.keeper.was_put_down(broken)

    def _ended(self, actor: Actor, run: EngineRun, failure: Exception | None) -> None:
        if actor.keeper is not None and actor.keeper.goes_on(failure):
            return
        unhandled = failure is not None and not actor.waiters and not self.is_followed(actor.run_id)
        if run.status is RunStatus.COMPLETED:
            self.counts.completed += 1
        else:
            self.counts.failed += 1
        actor.end(failure)
        actor.part()
        if unhandled and run.status is not RunStatus.CANCELLED:
            self._report(actor, failure)

    def _report(self, actor: Actor, failure: Exception | None) -> None:
        if self._on_unhandled == "log":
            _unhandled.error(
                "run %r is %s, and nobody waits for it", actor.run_id, actor.status.value, exc_info=failure
            )
            return
        try:
            actor.result()
        except Exception as error:
            self.on_failure(error)

    # -- leaving

    def release_all(self) -> None:
        """Have all that are at work stop at once: those with a journal are released, others undone."""
        self.stops = True
        for actor in [*self.at_work.values()]:
            actor.scope.cancel()

    def release_when_finished(self) -> None:
        """Have those with a journal released as soon as their present state is finished."""
        self.stops = True
        for actor in [*self.at_work.values()]:
            if actor.engine is None or actor.restart_at is not None:
                actor.scope.cancel()  # it is only just taken up, or to begin later
            elif actor.engine.durable:
                actor.engine.leave_when_finished(actor.scope)
            elif actor.hurry is not None:  # it waits to begin
                actor.scope.cancel()

    async def wait_left(self) -> None:
        """Wait until none is at work."""
        while self.at_work:
            await self.left.wait()


def _never(_: str) -> bool:
    """Nobody does."""
    return False


def _nothing(*_: object) -> None:
    """What nobody wants to know."""
