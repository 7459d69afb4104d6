"""Runs of a journal that are not at work in this runtime: what is known of them, and what can be done with them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, Final, final

import trio
from msgspec.structs import replace

from .. import _clock
from .._define.definition import Definition
from .._engine.execute import check_workflow
from .._engine.kept import recorded_failure
from .._engine.lifecycle import Resources
from .._engine.mailbox import check_key
from .._engine.reading import Reading
from .._engine.resume import How, Revival, revive
from .._engine.writing import claimed
from .._errors import (
    JournalError,
    JournalUnavailable,
    MessageNotAwaited,
    MessageRejected,
    RunAlreadyEnded,
    RunBlocked,
    RunNotFound,
    RuntimeClosed,
    WorkflowNotFound,
)
from .._journal import rows
from .._journal.protocol import Journal
from .._journal.requests import CANCEL, PAUSE, request
from .._journal.rows import Commit, RunRecord, StoredRun
from .._observe.status import RunStatus
from .actor import Actor
from .actors import Actors
from .info import RunInfo, told_by

AWAY: Final = 1.0
"""Seconds after which a journal that was away is asked again."""

_log = logging.getLogger("cano_trio")


@final
class Stored:
    """The journal's side of a runtime.

    Args:
        journal: the journal.
        actors: the runs that are at work here.
        workflows: those that are known here, by name.
    """

    def __init__(self, journal: Journal, actors: Actors, workflows: Mapping[str, Definition[Any, Any]]) -> None:
        self.journal = journal
        self._actors = actors
        self._workflows = workflows

    # -- what is known

    async def find(self, workflow: Definition[Any, Any], run_id: str) -> Actor:
        """The run of an id.

        Raises:
            RunNotFound: there is none.
            DefinitionError: it is one of another workflow.
        """
        stored: StoredRun | None = None
        while stored is None or self._is_unsettled(run_id):
            if self._is_unsettled(run_id):  # it may not be written down yet
                await self.settled(self._actors.at_work[run_id])
            stored = await self.journal.load(run_id)
        check_workflow(workflow, stored.record)
        actor = self._actors.known(run_id, workflow)
        if actor.engine is None:
            await self._note(actor, stored)
        return actor

    async def runs(
        self,
        *,
        workflow: str | None,
        status: Collection[RunStatus] | None,
        labels: Mapping[str, str],
        limit: int,
    ) -> list[RunRecord]:
        """The first of the runs that fit, in the order of their start; those of child workflows are not among them."""
        found: list[RunRecord] = []
        page: tuple[RunRecord, ...] | None = None
        while page is None or (page and len(found) < limit):
            after = page[-1].number if page else 0
            page = await self.journal.runs(workflow=workflow, status=status, labels=labels, after=after, limit=limit)
            found += [record for record in page if record.parent is None]
        return found[:limit]

    async def refresh(self, actor: Actor) -> None:
        """Look at what has become of a run."""
        stored = await self.journal.load(actor.run_id)
        # Of one that is being taken up, what was read is old.
        if actor.engine is None and not actor.over and not self._is_unsettled(actor.run_id):
            await self._note(actor, stored)

    async def _note(self, actor: Actor, stored: StoredRun) -> None:
        if actor.restart_at is not None:
            return  # it has ended, and that is not its end
        record = stored.record
        program = self._actors.program_of(actor.workflow)
        actor.labels, actor.priority, actor.crashes = record.labels, record.priority, record.crashes
        status = record.position.status
        if status is RunStatus.COMPLETED:
            run = await Revival(program, self.journal, stored, "resume").over(Resources())
            if actor.engine is None and not actor.over:
                actor.engine = run
                actor.end(None)
            return
        actor.place(record.position, partial(Reading(program, record).unpacked, stored.data))
        if status.ended:
            error = record.position.error
            actor.end(None if error is None else recorded_failure(error))

    async def entered(self, actor: Actor) -> tuple[Enum, ...]:
        """The states that a run has entered."""
        history = await self.journal.history(actor.run_id)
        record = (await self.journal.load(actor.run_id)).record
        names = [row.state for row in history if row.kind == "finished" and not row.part]
        if record.position.status is not RunStatus.QUEUED:
            names.append(record.position.state)
        states = (actor.workflow.state_named(name) for name in names)
        return tuple(state for state in states if state is not None)

    async def info(self, run_id: str) -> RunInfo:
        """Where a run stands."""
        return self.told(await self._record(run_id))

    def told(self, record: RunRecord) -> RunInfo:
        """What a record tells."""
        workflow = self._workflows.get(record.workflow)
        return told_by(record, known=workflow is not None and workflow.accepts_version(record.version))

    async def whereabouts(self, actor: Actor) -> str:
        """Where a run is that is not at work here, in words."""
        record = await self._record(actor.run_id)
        if record.owner is not None:
            return f"process {record.owner} carries it out"
        return f"it is {record.position.status.value}, and in the journal"

    async def data(self, run_id: str) -> Any:
        """A run's last committed data."""
        stored = await self.journal.load(run_id)
        workflow = self._workflows.get(stored.record.workflow)
        if workflow is None:
            raise WorkflowNotFound(stored.record.workflow, sorted(self._workflows))
        return Reading(self._actors.program_of(workflow), stored.record).unpacked(stored.data)

    async def _record(self, run_id: str) -> RunRecord:
        return (await self.journal.load(run_id)).record

    # -- what can be done

    async def send(self, actor: Actor, message: object, key: str | None, *, require_waiting: bool) -> bool:
        """Put a message into a run's inbox."""
        check_key(key)
        program = self._actors.program_of(actor.workflow)
        kind = next((kind for kind in program.takes if isinstance(message, kind)), None)
        if kind is None:
            raise MessageRejected(actor.run_id, type(message).__name__, [kind.__name__ for kind in program.takes])
        if require_waiting and not _awaits(await self._record(actor.run_id), kind.__name__):
            raise MessageNotAwaited(actor.run_id, type(message).__name__)
        letter = rows.Letter(
            run_id=actor.run_id,
            kind=kind.__name__,
            body=program.message_codec(kind).pack(message),
            key=key,
            sent_at=_clock.timestamp(),
            version=actor.workflow.version,
        )
        return await self.journal.post(letter) is not None

    async def cancel(self, actor: Actor, reason: str | None) -> None:
        """Have a run cancelled: here, if nobody holds it; else by who does. A journal that is away is waited for."""
        cancelled = False
        while not cancelled and not actor.over:
            await self.settled(actor)
            if actor.engine is not None:
                actor.engine.cancel(reason)
                return
            try:
                cancelled = await self._cancelled(actor, reason)
            except RunNotFound:
                return
            except RuntimeClosed:
                continue  # while it waited for a slot: whoever claims it next is asked
            except JournalUnavailable:
                if self._actors.closed:
                    _log.error("run %r is not cancelled: the journal can't be written for now", actor.run_id)
                    return
                await trio.sleep(AWAY)
            except JournalError as error:
                self._actors.on_failure(error)
                return

    async def _cancelled(self, actor: Actor, reason: str | None) -> bool:
        record = await self._record(actor.run_id)
        if record.position.status.ended:
            return True
        if self._is_held(actor, record) or not self._actors.carries or self._actors.closed:
            with suppress(RunAlreadyEnded):  # there is nothing to be cancelled any more
                await self._ask(actor, CANCEL, reason)
                await self._have_claimed(record)
            return True
        has_begun = record.position.status is not RunStatus.QUEUED
        cancelled = await self._taken_up(actor, "cancel", reason, needs_slot=has_begun)
        if isinstance(actor.obstacle, RunBlocked):  # by this code it can't be undone; whoever goes on with it does so
            await self._ask(actor, CANCEL, reason)
        return cancelled

    async def pause(self, actor: Actor, reason: str | None) -> None:
        """Have a run held that is not at work here."""
        with self._actors.kept(actor):
            stored = await self._claimed_if_free(actor)
            if stored is not None:
                await self._hold(actor, stored, reason)
                return
        await self._ask(actor, PAUSE, reason)
        with actor.host.watching(actor):
            while actor.status is not RunStatus.PAUSED and not actor.over:
                await actor.rung()
        actor.check_not_over("can't be paused")

    async def _hold(self, actor: Actor, stored: StoredRun, reason: str | None) -> None:
        position = stored.record.position
        may_pause = not position.status.ended and position.status is not RunStatus.ROLLING_BACK
        if may_pause:
            due_at = None if position.status is RunStatus.QUEUED else position.due_at
            position = replace(position, status=RunStatus.PAUSED, reason=reason, due_at=due_at)
        await self._give_back(stored, position)
        await self._note(actor, replace(stored, record=replace(stored.record, position=position)))
        if not may_pause:
            raise RunAlreadyEnded(actor.run_id, position.status.value, "can't be paused")

    async def go_on(self, actor: Actor, *, retry: bool) -> None:
        """Have a run go on that is paused, blocked or has failed."""
        taken_up = False
        while not taken_up:
            status = (await self._record(actor.run_id)).position.status
            if retry and status not in {RunStatus.FAILED, RunStatus.BLOCKED}:
                raise RunAlreadyEnded(actor.run_id, status.value, "can't be tried again")
            if not retry and status.ended:
                raise RunAlreadyEnded(actor.run_id, status.value, "can't be resumed")
            if not retry and status not in {RunStatus.PAUSED, RunStatus.BLOCKED}:
                return
            if not self._actors.carries:
                await self._leave_to_others(actor, "retry" if retry else "resume")
                return
            taken_up = await self._taken_up(actor, "retry" if retry else "resume")
        if actor.obstacle is not None:
            raise copy.copy(actor.obstacle)

    async def _taken_up(self, actor: Actor, how: How, reason: str | None = None, *, needs_slot: bool = True) -> bool:
        """Take a run up as soon as there is a slot; tells whether it was, or can't be: somebody else may have been quicker.

        Raises:
            RuntimeClosed: the runtime takes on no more.
        """
        if needs_slot:
            await self._actors.slots.take(actor.priority)
        else:
            self._actors.slots.take_beyond()
        if self._actors.closed or actor.run_id in self._actors.at_work:
            self._actors.slots.give_back()
            await self.settled(actor)
            if self._actors.closed:
                raise RuntimeClosed(f"run {actor.run_id!r} was not taken up")
            return False
        if actor.over:
            actor.reopen()
        self._actors.take_up(actor, how, reason)
        await self.settled(actor)
        return actor.engine is not None or actor.obstacle is not None

    async def _leave_to_others(self, actor: Actor, how: How) -> None:
        """Have a run go on wherever it is claimed next."""
        stored = await claimed(self.journal, actor.run_id)
        if stored is not None:
            program = self._actors.program_of(actor.workflow)
            run = await revive(program, self.journal, stored, how=how, resources=Resources(), observers=())
            await run.journal.release()
        if actor.over:
            actor.reopen()
        await self.refresh(actor)

    async def _have_claimed(self, record: RunRecord) -> None:
        """Have somebody look what a run was sent, though it is one that nobody takes up by itself."""
        if record.position.status not in {RunStatus.QUEUED, RunStatus.PAUSED, RunStatus.BLOCKED}:
            return
        stored = await claimed(self.journal, record.run_id)
        if stored is not None:
            await self._give_back(stored, replace(stored.record.position, status=RunStatus.RUNNING, reason=None))

    async def settled(self, actor: Actor) -> None:
        """Wait until a run that is being taken up is at work, or is not."""
        while actor.engine is None and self._actors.at_work.get(actor.run_id) is actor:
            await actor.rung()

    def _is_unsettled(self, run_id: str) -> bool:
        """Whether a run is being started or taken up."""
        actor = self._actors.at_work.get(run_id)
        return actor is not None and actor.engine is None

    async def _give_back(self, stored: StoredRun, position: rows.Position) -> None:
        record = stored.record
        with trio.CancelScope(shield=True):  # what is claimed must not be forgotten
            await self.journal.commit(Commit(run_id=record.run_id, fence=record.fence, position=position, release=True))

    async def _claimed_if_free(self, actor: Actor) -> StoredRun | None:
        """A run, claimed, unless it is carried out elsewhere."""
        if self._is_held_beside(actor, await self._record(actor.run_id)):
            return None
        return await claimed(self.journal, actor.run_id)

    def _is_held(self, actor: Actor, record: RunRecord) -> bool:
        """Whether another process holds it, or somebody beside this runtime."""
        is_free = record.owner in {None, self.journal.owner}
        return not is_free or self._is_held_beside(actor, record)

    def _is_held_beside(self, actor: Actor, record: RunRecord) -> bool:
        """Whether it is carried out in this process, with this very journal, but not here: by a task, or by another runtime.

        What could not be given back, since the journal was away, is held as well, and yet nobody carries it out.
        """
        return record.owner == self.journal.owner and actor.obstacle is None

    async def _ask(self, actor: Actor, kind: str, reason: str | None) -> None:
        await self.journal.post(request(actor.run_id, kind, reason, sent_at=_clock.timestamp()))


def _awaits(record: RunRecord, kind: str) -> bool:
    position = record.position
    reason = position.reason or ""
    return position.status is RunStatus.WAITING and kind in reason.removeprefix("message ").split(" | ")
