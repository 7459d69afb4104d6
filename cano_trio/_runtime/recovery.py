"""What goes on behind the runs of a journal: taking up those that nobody holds, passing on messages, letting sleepers go."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, final

import trio

from .. import _clock
from .._define.definition import Definition
from .._engine.mailbox import Letter
from .._engine.run import Wait
from .._errors import JournalError, JournalUnavailable, RunNotFound
from .._journal.codec import codec_for
from .._journal.protocol import Journal
from .._journal.requests import CANCEL, is_request, reason_of
from .._journal.rows import Message, RunRecord
from .._observe.events import Committed, Event
from .._observe.status import RunStatus
from .actor import Actor
from .actors import Actors
from .stored import Stored

PAGE: Final = 1000
"""How many runs are claimed at a time."""

LOOK_AGAIN: Final = 1.0
"""Seconds of a real clock after which somebody looks for runs of processes that have died: they tell nobody."""

TOGETHER: Final = 0.005
"""Seconds of a real clock for which changes are gathered before anybody looks."""

POISONED: Final = 2
"""How many processes may die in a row with a run before it is taken up only by itself."""

_log = logging.getLogger("cano_trio")


@final
class Recovery:
    """Keeps the runs of a journal going.

    Args:
        journal: the journal.
        actors: the runs that are at work here.
        stored: what knows those that are not.
        workflows: those whose runs are taken up, by name.
        claims: whether any are.
    """

    def __init__(
        self,
        journal: Journal,
        actors: Actors,
        stored: Stored,
        workflows: Mapping[str, Definition[Any, Any]],
        *,
        claims: bool,
        unload_after: float,
    ) -> None:
        self._journal = journal
        self._actors = actors
        self._stored = stored
        self._workflows = workflows
        self._claims = claims
        self._unload_after = unload_after
        self._bell = trio.Event()
        self._heard = 0
        self._late: set[str] = set()
        """Those that were sent something while they were taken up."""
        self._unfit: set[str] = set()
        """Those of versions with which this code does not go on."""
        self._tries_blocked = True
        """Those that are blocked are still to be tried once more."""
        self._poisoned: Actor | None = None
        """The one with which several processes have died, and that has not committed since."""
        self._parked: deque[tuple[float, Actor, Wait]] = deque()
        self._parking = trio.Event()
        self.on_news: Callable[[], object] = _nothing
        """Is called when others may have written to the journal."""
        actors.on_change = self._note_slot
        actors.on_attached = self._note_attached
        actors.on_parked = self._note_parked
        actors.on_lost = self.ring

    async def serve(self) -> None:
        """Look after the journal's runs for as long as the runtime is open."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._unload)
            await self._sweep_for_ever()

    def ring(self) -> None:
        """There may be something to do."""
        self._bell.set()

    async def _listen(self) -> None:
        while True:
            seen = self._journal.changes
            self.ring()
            self.on_news()
            await self._journal.wait_changed(seen)

    async def _sweep_for_ever(self) -> None:
        turn = 0
        while True:
            self._bell = trio.Event()
            try:
                until = await self._sweep()
                turn = 0
            except JournalUnavailable as error:
                turn += 1
                until = _clock.timestamp() + min(0.05 * 2**turn, 5.0)
                _log.warning("the journal can't be read for now: %s", error)
            except JournalError as error:
                self._actors.on_failure(error)
                return
            left = math.inf if until is None else max(until - _clock.timestamp(), 0)
            at_most = math.inf if _clock.is_virtual() else LOOK_AGAIN
            with trio.move_on_after(min(left, at_most)):
                await self._bell.wait()
            if not _clock.is_virtual():
                await trio.sleep(TOGETHER)

    async def _sweep(self) -> float | None:
        """Do what there is to do; gives when there will be more."""
        await self._pass_on()
        for actor in self._actors.watched():
            await self._stored.refresh(actor)
        if not self._claims or self._actors.closed:
            return None
        await self._retry_blocked()
        while await self._claim_page():
            pass
        if self._actors.slots.free == 0:
            return None
        return await self._journal.next_due(workflows=self._workflows, now=_clock.timestamp())

    # -- taking up

    async def _claim_page(self) -> bool:
        """Take up the first runs that have something to do; tells whether there may be more, and room for them."""
        free = self._actors.slots.free
        room = PAGE if free is None else min(free, PAGE)
        if not room:
            return False
        at_work = self._actors.at_work
        limit = room + len(self._unfit)
        records = await self._journal.claimable(workflows=self._workflows, now=_clock.timestamp(), limit=limit)
        batch = _Batch()
        for record in records:
            if record.run_id not in at_work and self._is_fit(record) and not self._take_up(record, batch):
                break
        taken = batch.count
        await batch.wait()
        return bool(taken) and len(records) == limit

    def _is_fit(self, record: RunRecord) -> bool:
        """Whether this code goes on with it; it does not write that down, since a newer process may be coming."""
        if self._workflows[record.workflow].accepts_version(record.version):
            return True
        if record.run_id not in self._unfit:
            self._unfit.add(record.run_id)
            _log.warning(
                "run %r is left alone: no code here goes on with version %s of workflow %r",
                record.run_id, record.version, record.workflow,
            )  # fmt: skip
        return False

    def _take_up(self, record: RunRecord, batch: _Batch) -> bool:
        """Take a run up; tells whether there was a slot."""
        poisoned = record.crashes + 1 >= POISONED and record.owner is not None
        if poisoned and self._poisoned is not None:
            return True
        if self._actors.closed or not self._actors.slots.take_nowait():
            return False
        actor = self._actors.known(record.run_id, self._workflows[record.workflow])
        if poisoned:
            self._poisoned = actor
            actor.watch(_FirstCommit(self, actor))
            actor.endings.append(self.clear_lane)
        batch.count += 1
        self._actors.take_up(actor, done=batch.done)
        return True

    def clear_lane(self) -> None:
        """The run with which several processes have died goes on, or is over: the next one may."""
        self._poisoned = None
        self.ring()

    async def _retry_blocked(self) -> None:
        """Try those that were blocked once more: this code may be newer."""
        after = 0
        while self._tries_blocked:
            page = await self._journal.runs(status=[RunStatus.BLOCKED], after=after, limit=PAGE)
            batch = _Batch()
            for record in page:
                after = record.number
                if self._may_be_unblocked(record):
                    await self._actors.slots.take(record.priority)
                    batch.count += 1
                    actor = self._actors.known(record.run_id, self._workflows[record.workflow])
                    self._actors.take_up(actor, done=batch.done)
            await batch.wait()
            self._tries_blocked = len(page) == PAGE

    def _may_be_unblocked(self, record: RunRecord) -> bool:
        """Whether what blocks a run may be gone with the code that blocked it."""
        workflow = self._workflows.get(record.workflow)
        return (
            workflow is not None
            and record.parent is None
            and record.run_id not in self._actors.at_work
            and workflow.accepts_version(record.version)
            and not (record.position.reason or "").startswith("crash_loop")
        )

    # -- messages

    async def _pass_on(self) -> None:
        """Give the runs that are at work here what others have sent them."""
        news = await self._journal.news(self._heard)
        self._heard = news.seen
        late, self._late = self._late, set()
        for run_id in news.runs | late:
            actor = self._actors.at_work.get(run_id)
            run = None if actor is None else actor.engine
            if actor is None:
                continue
            if run is None:
                self._late.add(run_id)  # it is being taken up: what was sent meanwhile may have been missed
                continue
            if run.released or run.status is not RunStatus.RUNNING:
                continue
            try:
                messages = await self._journal.inbox(run_id, after=run.mailbox().heard)
            except RunNotFound:
                continue
            for message in messages:
                self._deliver(actor, message)

    def _deliver(self, actor: Actor, message: Message) -> None:
        run, letter = actor.engine, message.letter
        if run is None or run.released or run.status is not RunStatus.RUNNING:
            return
        if is_request(letter):
            reason = reason_of(message)
            if letter.kind == CANCEL:
                run.cancel(reason)
            else:
                run.pause(actor.scope, reason, message.number)
            run.mailbox().is_news(message.number)
            return
        kind = next((kind for kind in run.takes if kind.__name__ == letter.kind), None)
        if kind is None or letter.version != actor.workflow.version:
            _log.warning("run %r: a message of type %s waits for other code", run.run_id, letter.kind)
            return
        try:
            value: object = codec_for(kind).unpack(letter.body)
        except Exception:
            _log.exception("run %r: a message of type %s can't be read", run.run_id, letter.kind)
            return
        run.mailbox().deliver(Letter(value, letter.key, message.number, letter.body))

    # -- letting go

    def _note_slot(self) -> None:
        if self._actors.slots.limit is not None:
            self.ring()

    def _note_attached(self, actor: Actor) -> None:
        if actor.run_id in self._late:
            self.ring()

    def _note_parked(self, actor: Actor, wait: Wait) -> None:
        if wait.until is None or wait.until - wait.since > self._unload_after:
            self._parked.append((wait.since + self._unload_after, actor, wait))
            self._parking.set()

    async def _unload(self) -> None:
        """Let those go to the journal that have only waited for some time."""
        while True:
            while self._parked:
                due, actor, wait = self._parked.popleft()
                if due > trio.current_time():
                    await trio.sleep_until(due)
                run = actor.engine
                if run is not None and run.innermost.wait is wait and not run.released:
                    run.park(actor.scope)
            self._parking = trio.Event()
            await self._parking.wait()


def _nothing() -> None:
    """What nobody wants to know."""


@final
class _Batch:
    """Runs that are claimed together."""

    def __init__(self) -> None:
        self.count = 0
        self._empty = trio.Event()

    def done(self) -> None:
        """One of them is claimed, or can't be."""
        self.count -= 1
        if not self.count:
            self._empty.set()

    async def wait(self) -> None:
        """Wait until all of them are."""
        if self.count:
            await self._empty.wait()


@final
class _FirstCommit:
    """Clears the lane when a run has committed something."""

    def __init__(self, recovery: Recovery, actor: Actor) -> None:
        self._recovery = recovery
        self._actor = actor

    def on_event(self, event: Event, /) -> None:
        if isinstance(event, Committed):
            self._actor.unwatch(self)
            self._recovery.clear_lane()
