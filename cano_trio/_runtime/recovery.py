"""What goes on behind the runs of a journal: taking up those that nobody holds, passing on messages, letting sleepers go."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, final
from weakref import ReferenceType, ref

import trio

from .. import _clock
from .._define.definition import Definition
from .._engine.hearing import pass_on
from .._engine.resume import How
from .._engine.run import Wait
from .._errors import JournalError, JournalUnavailable, RunBlocked, RunNotFound
from .._journal.protocol import Journal
from .._journal.rows import RunRecord
from .._observe.events import Committed, Event
from .._observe.status import RunStatus
from .actor import Actor
from .actors import Actors
from .stored import Stored
from .taking import BY_ITSELF

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
        """Those that were sent something, and are still to be given it."""
        self._unfit: set[str] = set()
        """Those with which this code does not go on."""
        self._again: dict[str, tuple[float, Actor, How, str | None]] = {}
        """Those to be taken up at an instant, and not before, since the journal could not be written when they last were."""
        self._passed_over = 0
        """How many of those that came first when somebody looked last were not taken up."""
        self._blocked_after: int | None = 0
        """Behind which number those that are blocked are still to be tried once more."""
        self._poisoned: Actor | None = None
        """The one with which several processes have died, and that has not committed since."""
        self._parked: deque[tuple[float, ReferenceType[Actor], Wait]] = deque()
        self._parking = trio.Event()
        self.on_news: Callable[[], object] = _nothing
        """Is called when others may have written to the journal."""
        actors.on_put_down = self._note_put_down
        actors.on_withdrawn = self.ring
        actors.on_obstacle = self._note_obstacle
        actors.on_attached = self._note_attached
        actors.on_parked = self._note_parked

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
            try:
                await self._journal.wait_changed(seen)
            except JournalUnavailable:
                await trio.sleep(LOOK_AGAIN)

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
            await self._look_at(actor)
        if not self._claims or self._actors.closed:
            return None
        again = self._try_again()
        await self._retry_blocked()
        slots = self._actors.slots
        behind = slots.behind
        while await self._claim_page():
            pass
        if slots.free == 0:
            slots.behind = max(slots.behind, 1)
            return again
        if slots.behind == behind:
            slots.behind = 0
        due = await self._journal.next_due(workflows=self._workflows, now=_clock.timestamp())
        return min((instant for instant in (due, again) if instant is not None), default=None)

    async def _look_at(self, actor: Actor) -> None:
        """Look what has become of a run that somebody waits for; one that is gone, or can't be read, is waited for no more."""
        try:
            await self._stored.refresh(actor)
        except (RunNotFound, RunBlocked) as error:
            actor.let_go(error)

    # -- taking up

    async def _claim_page(self) -> bool:
        """Take up the first runs that have something to do; tells whether there may be more, and room for them."""
        room = self._room()
        if not room:
            return False
        limit = room + self._passed_over
        records = await self._journal.claimable(workflows=self._workflows, now=_clock.timestamp(), limit=limit)
        batch = _Batch()
        passed_over = 0
        for record in records:
            if record.run_id in self._actors.at_work or not self._is_fit(record) or not self._is_its_turn(record):
                passed_over += 1
            elif not self._take_up(record, batch, BY_ITSELF):
                break
        # Those that are passed over must not hide those behind them.
        goes_on = len(records) == limit and (batch.count > 0 or passed_over > self._passed_over)
        self._passed_over = passed_over
        await batch.wait()
        return goes_on

    def _room(self) -> int:
        free = self._actors.slots.free
        return PAGE if free is None else min(free, PAGE)

    def _is_fit(self, record: RunRecord) -> bool:
        """Whether this code goes on with it; it does not write that down, since a newer process may be coming."""
        if record.run_id in self._unfit or record.run_id in self._again:
            return False
        if self._workflows[record.workflow].accepts_version(record.version):
            return True
        self._unfit.add(record.run_id)
        _log.warning(
            "run %r is left alone: no code here goes on with version %s of workflow %r",
            record.run_id, record.version, record.workflow,
        )  # fmt: skip
        return False

    def _is_its_turn(self, record: RunRecord) -> bool:
        """Whether the lane is free, if that is where it belongs."""
        return self._poisoned is None or not _is_poisoned(record)

    def _take_up(self, record: RunRecord, batch: _Batch, only_if: Collection[RunStatus]) -> bool:
        """Take a run up; tells whether there was a slot."""
        if self._actors.closed or not self._actors.slots.take_nowait():
            return False
        actor = self._actors.known(record.run_id, self._workflows[record.workflow])
        if _is_poisoned(record):
            self._poisoned = actor
            actor.watch(_FirstCommit(self, actor))
        batch.count += 1
        self._actors.take_up(actor, only_if=only_if, done=batch.done)
        return True

    def _try_again(self) -> float | None:
        """Take those up whose time has come; gives when that of the next one comes."""
        now = _clock.timestamp()
        for due, actor, how, reason in tuple(self._again.values()):
            if due <= now and actor.run_id not in self._actors.at_work and self._actors.slots.take_nowait():
                del self._again[actor.run_id]
                self._actors.take_up(actor, how, reason, BY_ITSELF if how == "resume" else None)
        return min((due for due, *_ in self._again.values() if due > now), default=None)

    def clear_lane(self, actor: Actor) -> None:
        """If it is the run with which several processes have died: it goes on, or is put down, and the next one may."""
        if self._poisoned is actor:
            self._poisoned = None
            self.ring()

    async def _retry_blocked(self) -> None:
        """Try those that were blocked once more, as far as there is room: this code may be newer."""
        while self._blocked_after is not None and (room := self._room()):
            page = await self._journal.runs(status=[RunStatus.BLOCKED], after=self._blocked_after, limit=room)
            batch = _Batch()
            for record in page:
                if self._may_be_unblocked(record) and not self._take_up(record, batch, {RunStatus.BLOCKED}):
                    break
                self._blocked_after = record.number
            else:
                if len(page) < room:
                    self._blocked_after = None
            await batch.wait()

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
        self._late |= news.runs
        self._heard = news.seen
        for run_id in tuple(self._late):
            actor = self._actors.at_work.get(run_id)
            if actor is None:
                self._late.discard(run_id)
            elif actor.engine is not None:  # else it is being taken up, and what is sent meanwhile may be missed
                await pass_on(self._journal, actor.engine, self._actors.program_of(actor.workflow), actor.scope)
                self._late.discard(run_id)

    # -- letting go

    def _note_put_down(self, actor: Actor) -> None:
        self.clear_lane(actor)
        if self._actors.slots.limit is not None or actor.watchers:
            self.ring()

    def _note_obstacle(self, actor: Actor, how: How, reason: str | None) -> None:
        if isinstance(actor.obstacle, JournalUnavailable):
            self._again[actor.run_id] = _clock.timestamp() + LOOK_AGAIN, actor, how, reason
            self.ring()
        else:
            self._unfit.add(actor.run_id)

    def _note_attached(self, actor: Actor) -> None:
        self._unfit.discard(actor.run_id)
        self._again.pop(actor.run_id, None)
        if actor.run_id in self._late:
            self.ring()

    def _note_parked(self, actor: Actor, wait: Wait) -> None:
        if wait.until is None or wait.until - wait.since > self._unload_after:
            self._parked.append((wait.since + self._unload_after, ref(actor), wait))
            self._parking.set()

    async def _unload(self) -> None:
        """Let those go to the journal that have only waited for some time."""
        while True:
            while self._parked:
                if self._parked[0][0] > trio.current_time():
                    await trio.sleep_until(self._parked[0][0])
                _, found, wait = self._parked.popleft()
                _let_go(found(), wait)
            self._parking = trio.Event()
            await self._parking.wait()


def _is_poisoned(record: RunRecord) -> bool:
    """Whether several processes have died with a run, if nobody has taken it up behind the last."""
    return record.crashes + 1 >= POISONED and record.owner is not None


def _let_go(actor: Actor | None, wait: Wait) -> None:
    """Let a run go to the journal, if it is still at that wait."""
    run = None if actor is None else actor.engine
    if actor is not None and run is not None and run.innermost.wait is wait and not run.released:
        run.park(actor.scope)


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
            self._recovery.clear_lane(self._actor)
