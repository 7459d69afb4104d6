"""The runs that a runtime carries out: each in a task of its own, from its start or claim to its end or release."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from enum import Enum
from typing import Any, Literal, TypeAlias, final
from weakref import WeakValueDictionary

import trio
from msgspec.structs import replace

from .. import _clock
from .._define.data import check_data
from .._define.definition import Definition
from .._define.resources import Elsewhere
from .._engine.conduct import conduct
from .._engine.execute import check_start
from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._engine.resume import How, revive
from .._engine.run import Run as EngineRun
from .._engine.run import Wait
from .._engine.run_journal import RunJournal
from .._engine.writing import claimed
from .._errors import DuplicateRun, JournalError, LeaseLost, RunBlocked, RuntimeClosed
from .._journal.protocol import Journal
from .._journal.requests import CANCEL, PAUSE, reason_of, requested, requests_met
from .._journal.rows import Commit, NewRun, Position, StoredRun
from .._journal.schedule_record import ScheduleRecord
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .actor import Actor, Host
from .counts import Counts
from .slots import Slots

OnUnhandled: TypeAlias = Literal["log", "raise"]
"""What follows when a run fails for whose end nobody waits."""

Taking: TypeAlias = Callable[[Resources], Awaitable[EngineRun | None]]

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
        self.on_change: Callable[[], object] = _nothing
        """Is called when a slot may be free."""
        self.on_attached: Callable[[Actor], object] = _nothing
        """Is told of a run that is at work from now on."""
        self.on_parked: Callable[[Actor, Wait], object] = _nothing
        """Is told when a run begins to wait for what needs no process."""
        self.on_lost: Callable[[], object] = _nothing
        """Is called when one is not at work here any more of which somebody wants to hear."""
        self.on_failure: Callable[[BaseException], object] = _nothing
        """Is told of what ends the whole runtime."""
        self.left = trio.Event()

    # -- finding

    def find(self, run_id: str) -> Actor | None:
        """The run of an id, if it is known here."""
        return self._known.get(run_id)

    def known(self, run_id: str, workflow: Definition[Any, Any]) -> Actor:
        """The run of an id, made if it is not known yet."""
        actor = self._known.get(run_id)
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
        if run_id in self.at_work:
            raise DuplicateRun(run_id, self.at_work[run_id].status.value)
        actor = Actor(run_id, workflow, self._host)
        actor.labels, actor.priority = labels, priority
        packed = program.pack(data)
        if keep is not None:
            keep(actor, packed)
        if self.journal is None:
            await self._start_in_memory(actor, program, start, packed, delay)
        elif record is not None:
            other = await self._fire(actor, program, self.journal, start, packed, record)
            if other is not None:
                return other
        elif delay > 0 or not self.carries or not self.slots.take_nowait():
            await self._queue(actor, program, self.journal, start, packed, delay)
        else:
            await self._start_written(actor, program, start, packed)
        self._known[run_id] = actor
        self.counts.started += 1
        return actor

    async def _start_in_memory(self, actor: Actor, program: Program, start: Enum, packed: Any, delay: float) -> None:
        run = self.made(actor, program, start, packed)
        run.status = RunStatus.QUEUED
        actor.attach(run)
        self.at_work[actor.run_id] = actor
        if delay > 0:
            actor.hurry = trio.Event()
            self.spawn(self._carry_later, actor, run, delay)
            await trio.lowlevel.checkpoint()
            return
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self.slots.take(actor.priority)
        except BaseException:
            self._drop(actor)
            raise
        if self.closed:
            self.slots.give_back()
            self._drop(actor)
            raise RuntimeClosed(f"run {actor.run_id!r} was not started")
        self.spawn(self._carry, actor, run)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _start_written(self, actor: Actor, program: Program, start: Enum, packed: Any) -> None:
        self.at_work[actor.run_id] = actor
        try:
            run = await self.written(actor, program, start, packed)
        except BaseException:
            del self.at_work[actor.run_id]
            self.slots.give_back()
            raise
        self.begin(actor, run)

    async def _queue(
        self, actor: Actor, program: Program, journal: Journal, start: Enum, packed: Any, delay: float
    ) -> None:
        new = _queued(actor, program, start, packed, delay)
        await journal.create(new)
        actor.place(new.position, packed, program.codec)

    async def _fire(
        self, actor: Actor, program: Program, journal: Journal, start: Enum, packed: Any, record: ScheduleRecord
    ) -> ScheduleRecord | None:
        new = _queued(actor, program, start, packed, 0.0)
        result = await journal.fire(new, record)
        if isinstance(result, ScheduleRecord):
            return result
        actor.place(new.position, packed, program.codec)
        return None

    def made(self, actor: Actor, program: Program, start: Enum, packed: Any, run_id: str | None = None) -> EngineRun:
        """A run that has not begun; of another id than that by which it is known, if one is given."""
        run = program.run(
            start,
            packed,
            run_id=actor.run_id if run_id is None else run_id,
            observers=self.observers,
            resources=self.resources_of(actor.workflow),
        )
        run.scope = trio.CancelScope()
        return run

    async def written(
        self, actor: Actor, program: Program, start: Enum, packed: Any, run_id: str | None = None
    ) -> EngineRun:
        """The same, written down."""
        assert self.journal is not None  # noqa: S101  (who asks has looked)
        run = self.made(actor, program, start, packed, run_id)
        writing = RunJournal(self.journal, run, program)
        run.write_down(writing)
        run.hears = True
        await writing.begin(actor.labels, actor.priority)
        return run

    def begin(self, actor: Actor, run: EngineRun) -> None:
        """Have a run begin; its slot is taken already."""
        actor.attach(run)
        self.on_attached(actor)
        self.spawn(self._carry, actor, run)

    def rename(self, actor: Actor, run_id: str) -> None:
        """Know a run by another id: another one has begun in its place."""
        del self.at_work[actor.run_id]
        self._known.pop(actor.run_id, None)
        actor.run_id = run_id
        self.at_work[run_id] = self._known[run_id] = actor

    # -- taking up

    def take_up(
        self, actor: Actor, how: How = "resume", reason: str | None = None, done: Callable[[], object] | None = None
    ) -> None:
        """Claim a run of the journal and go on with it; its slot is taken already.

        Args:
            actor: the run.
            how: what for.
            reason: why it is cancelled.
            done: is called when it is claimed, or can't be.
        """
        self.at_work[actor.run_id] = actor
        self._known[actor.run_id] = actor
        self.spawn(self._carry_claimed, actor, how, reason, done or _nothing)

    async def _carry_claimed(self, actor: Actor, how: How, reason: str | None, done: Callable[[], object]) -> None:
        async def take(own: Resources) -> EngineRun | None:
            run = await self._claimed(actor, how, reason, own)
            tell()
            return run

        def tell() -> None:
            if pending:
                pending.pop()()

        pending = [done]
        try:
            await self._carry(actor, take)
        finally:
            tell()

    async def _claimed(self, actor: Actor, how: How, reason: str | None, own: Resources) -> EngineRun | None:
        journal = self.journal
        assert journal is not None  # noqa: S101  (else there would be nothing to claim)
        program = Program.of(actor.workflow, own)
        stored = await claimed(journal, actor.run_id)
        if stored is None:
            actor.ring()
            return None
        actor.labels, actor.priority = stored.record.labels, stored.record.priority
        actor.crashes = stored.record.crashes
        actor.place(stored.record.position, stored.data, program.codec)
        if not await self._goes_on(journal, stored, how, actor):
            return None
        asked = requested(stored.messages)
        if asked is not None and asked.letter.kind == CANCEL and how == "resume":
            how, reason = "cancel", reason_of(asked)
        try:
            run = await revive(
                program, journal, stored, how=how, resources=own, observers=self.observers, reason=reason
            )
        except RunBlocked as error:
            actor.place(
                replace_status(stored.record.position, RunStatus.BLOCKED, f"{error.reason}: {error.message}"),
                stored.data,
                program.codec,
            )
            raise
        run.scope = trio.CancelScope()
        run.hears = True
        self.counts.claimed += 1
        actor.attach(run)
        self.on_attached(actor)
        return run

    async def _goes_on(self, journal: Journal, stored: StoredRun, how: How, actor: Actor) -> bool:
        """Whether a claimed run is to be gone on with; if not, it is given back."""
        record = stored.record
        asked, status = requested(stored.messages), record.position.status
        consumed: list[int] = []
        # One that is held already is claimed by who wants it to go on; one that is undone can't be held.
        may_hold = how == "resume" and status not in {RunStatus.PAUSED, RunStatus.ROLLING_BACK}
        if status.ended and not _is_wanted(status, how):
            position = record.position
        elif may_hold and asked is not None and asked.letter.kind == PAUSE:
            position = replace_status(record.position, RunStatus.PAUSED, reason_of(asked))
            consumed = requests_met(stored.messages, cancelled=False)
        else:
            return True
        await journal.commit(
            Commit(run_id=record.run_id, fence=record.fence, position=position, consumed=tuple(consumed), release=True)
        )
        actor.place(position, stored.data, actor.codec)
        return False

    # -- carrying

    def spawn(self, carry: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Have a task of a run's."""
        # The context is that of the runtime: whoever starts a run is not to leave traces of its own in it.
        self._context.run(self.nursery.start_soon, carry, *args)

    async def _carry_later(self, actor: Actor, run: EngineRun, delay: float) -> None:
        assert actor.hurry is not None  # noqa: S101  (set by who starts this)
        try:
            with actor.scope:
                with trio.move_on_after(delay):
                    await actor.hurry.wait()
                await self.slots.take(actor.priority)
        except BaseException:
            self._drop(actor)
            raise
        if actor.scope.cancelled_caught:
            self._drop(actor)
            return
        actor.scope = trio.CancelScope()
        await self._carry(actor, run)

    def _drop(self, actor: Actor) -> None:
        """Forget a run that has not begun."""
        del self.at_work[actor.run_id]
        assert actor.engine is not None  # noqa: S101  (it is in memory, or nobody would wait for its time)
        actor.engine.stop(RunStatus.CANCELLED)
        actor.end(None)
        self.tell_left()

    async def _carry(self, actor: Actor, what: EngineRun | Taking) -> None:
        """Carry a run out, or take it up and do so, to its end or its release."""
        actor.task = trio.lowlevel.current_task()
        failure: Exception | None = None
        try:
            with actor.scope:
                try:
                    resources = self.resources_of(actor.workflow)
                    if resources.per_run:
                        async with resources.for_run() as own:
                            await self._conduct(actor, what, own)
                    else:
                        await self._conduct(actor, what, resources)
                except Exception as error:
                    failure = error
        finally:
            self._put_down(actor, failure)
            del failure, what  # they hold this frame by their tracebacks

    async def _conduct(self, actor: Actor, what: EngineRun | Taking, own: Resources) -> None:
        if isinstance(what, EngineRun):
            run: EngineRun | None = what
            what.resources = own
            what.status = RunStatus.RUNNING
        else:
            run = await what(own)
        if run is None:
            return
        if run.durable:
            run.on_parked = lambda wait: self.on_parked(actor, wait)
        await conduct(run, actor.workflow)

    def _put_down(self, actor: Actor, failure: Exception | None) -> None:
        """Take note that a run's task is over."""
        del self.at_work[actor.run_id]
        self.slots.give_back()
        run = actor.engine
        if run is None:
            self._not_taken_up(actor, failure)
        elif run.released:
            self._released(actor, run, failure)
        else:
            self._ended(actor, run, failure)
        self.on_change()
        self.tell_left()

    def tell_left(self) -> None:
        """Tell those who leave, if none is at work."""
        if not self.at_work:
            self.left.set()
            self.left = trio.Event()

    def _not_taken_up(self, actor: Actor, failure: Exception | None) -> None:
        actor.obstacle = failure
        actor.detach()
        if actor.watchers:
            self.on_lost()
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
        actor.detach()
        if isinstance(failure, JournalError):
            self._report_journal(actor, failure)
        if self.closed or (failure is not None and not isinstance(failure, LeaseLost)):
            actor.let_go(failure)
        elif actor.keeper is not None:
            actor.keeper.was_put_down(failure)

    def _ended(self, actor: Actor, run: EngineRun, failure: Exception | None) -> None:
        if actor.keeper is not None and actor.keeper.goes_on(failure):
            return
        unhandled = failure is not None and not actor.waiters
        if run.status is RunStatus.COMPLETED:
            self.counts.completed += 1
        else:
            self.counts.failed += 1
        actor.end(failure)
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
            elif actor.engine.status is RunStatus.QUEUED:
                actor.scope.cancel()

    async def wait_left(self) -> None:
        """Wait until none is at work."""
        while self.at_work:
            await self.left.wait()


def _queued(actor: Actor, program: Program, start: Enum, packed: Any, delay: float) -> NewRun:
    """A run that waits in the journal to be begun."""
    now = _clock.timestamp()
    position = Position(
        state=start.name,
        status=RunStatus.QUEUED,
        seq=0,
        entered_at=now,
        due_at=now + delay if delay > 0 else None,
    )
    return NewRun(
        run_id=actor.run_id,
        workflow=program.name,
        version=program.workflow.version,
        position=position,
        data=packed or b"",
        labels=actor.labels,
        priority=actor.priority,
    )


def _is_wanted(status: RunStatus, how: How) -> bool:
    """Whether a run that is over is taken up for this."""
    return how == "roll_back" or (how == "retry" and status is RunStatus.FAILED)


def replace_status(position: Position, status: RunStatus, reason: str | None) -> Position:
    """A position in which a run stands otherwise."""
    return replace(position, status=status, reason=reason)


def _nothing(*_: object) -> None:
    """What nobody wants to know."""
