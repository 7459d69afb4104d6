"""Runs that are begun again when they fail: alone, or together with others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Literal, TypeAlias, final

import trio

from .._engine.run import Run as EngineRun
from .._errors import (
    DuplicateRun,
    JournalError,
    JournalUnavailable,
    LeaseLost,
    RestartCause,
    RunBlocked,
    SupervisorGaveUp,
)
from .._observe.status import RunStatus
from .actor import Actor, without
from .actors import Actors
from .restart import Restart

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who is begun again when one run of a group fails: it alone, all of them, or it and those that were started after it."""

STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")

_TOGETHER = "it is begun again together with another run, which has failed"

_log = logging.getLogger("cano_trio")

_FAILED = {RunStatus.FAILED, RunStatus.ROLLED_BACK, RunStatus.ROLLBACK_FAILED}
"""Where a run may stand that has failed."""

_BROUGHT_DOWN = _FAILED - {RunStatus.ROLLBACK_FAILED} | {RunStatus.CANCELLED}
"""Where a run may stand that was cancelled to be begun again."""

_OVER = {RunStatus.ROLLED_BACK, RunStatus.CANCELLED}
"""Where a run stands that nobody can go on with: another has to begin in its place."""


@final
class Incident:
    """That runs are brought down, and begun again in the order of their starts.

    Args:
        due: when they are to be, by trio's clock.
        members: those that are not back yet.
    """

    __slots__ = ("due", "members")

    def __init__(self, due: float, members: list[Member]) -> None:
        self.due = due
        self.members = members


@final
class Supervisor:
    """Has runs begun again that fail, as its policy says.

    Args:
        actors: the runs of its runtime.
        strategy: whom it begins again together.
        restart: how often.
        bring_down: has a run cancelled.
        on_giving_up: is told when it gives up.
    """

    def __init__(
        self,
        actors: Actors,
        strategy: Strategy,
        restart: Restart,
        bring_down: Callable[[Actor, str], object],
        on_giving_up: Callable[[SupervisorGaveUp], object],
    ) -> None:
        self.actors = actors
        self.bring_down = bring_down
        self.members: list[Member] = []
        """The runs, in the order of their starts; those that are over have left."""
        self.stops = False
        """None is begun again any more."""
        self._strategy: Strategy = strategy
        self._restart = restart
        self._on_giving_up = on_giving_up
        self._causes: list[RestartCause] = []
        """Those that still count."""
        self._bell = trio.Event()

    def ring(self) -> None:
        """Wake those who wait for something to happen to its runs."""
        self._bell.set()
        self._bell = trio.Event()

    async def rung(self) -> None:
        """Wait until something happens to its runs."""
        await self._bell.wait()

    # -- a run has failed

    def begins_again(self, member: Member, failure: Exception) -> bool:
        """Take note of a failure; tells whether the run is begun again."""
        actor, now = member.actor, trio.current_time()
        self._causes = [cause for cause in self._causes if now - cause.time <= self._restart.within]
        self._causes.append(RestartCause(run_id=actor.run_id, time=now, state=actor.state, error=failure))
        if actor.status is RunStatus.ROLLBACK_FAILED:
            self.give_up(member, "what it has done could not be undone in full, and needs an operator", failure)
            return False
        delay = self._restart.delay([cause.time for cause in self._causes])
        if delay is None:
            most, within = self._restart.max_restarts, self._restart.within
            self.give_up(member, f"more than {most:,} restart{'s' * (most != 1)} within {within:g} s", failure)
            return False
        _log.warning(
            "run %r is %s in %s, and is begun again in %.3g s",
            actor.run_id, actor.status.value, actor.state.name, delay, exc_info=failure,
        )  # fmt: skip
        incident = Incident(now + delay, self._together(member))
        for other in incident.members:
            other.join(incident)
        for other in [*incident.members]:
            if other is not member and not other.is_down:
                other.bring_down(_TOGETHER)
        self.ring()
        return True

    def _together(self, member: Member) -> list[Member]:
        match self._strategy:
            case "one_for_one":
                return [member]
            case "one_for_all":
                return [*self.members]
            case "rest_for_one":
                return self.members[self.members.index(member) :]

    def give_up(self, member: Member, why: str, failure: Exception) -> None:
        """Begin none again any more, and tell why."""
        error = SupervisorGaveUp(member.actor.run_id, why, self._causes)
        error.__cause__ = failure
        if self.stops:
            _log.error("%s", error, exc_info=failure)  # and that has been told already
            return
        self.stops = True
        self._on_giving_up(error)

    async def turn(self, member: Member) -> None:
        """Wait until it is a run's turn to be begun again, and take a slot for it."""
        slots = self.actors.slots
        while True:
            while (seconds := _left(member)) > 0:
                with trio.move_on_after(seconds):
                    await self.rung()
            await trio.lowlevel.checkpoint()  # who was begun again just now is to be a step ahead
            await slots.take(member.actor.priority)
            if _left(member) <= 0:
                return
            slots.give_back()  # another has failed meanwhile


def _left(member: Member) -> float:
    """Seconds until it is a run's turn, as far as is known."""
    incident = member.incident
    assert incident is not None  # noqa: S101  (else it would not wait)
    if incident.members[0] is not member or not all(other.is_down for other in incident.members):
        return float("inf")
    return incident.due - trio.current_time()


@final
class Member:
    """A run that is supervised; the `Keeper` of its actor.

    Args:
        supervisor: its supervisor.
    """

    __slots__ = (
        "_called_off",
        "_failure",
        "_first_id",
        "_joined",
        "_packed",
        "_reason",
        "_retries",
        "_start",
        "_times",
        "actor",
        "incident",
        "is_down",
        "supervisor",
    )

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.actor: Actor
        self.incident: Incident | None = None
        """What it is brought down and begun again for."""
        self.is_down = False
        """It has failed or was brought down, and waits to be begun again."""
        self._called_off = False
        self._reason: str | None = None
        """Why it was called off."""
        self._retries = False
        """It goes on when it is begun again; else another begins in its place."""
        self._joined = False
        self._failure: Exception | None = None
        self._start: Enum
        self._packed: Any = None
        self._first_id = ""
        self._times = 1
        """How many runs have begun in its place, itself among them."""

    def keep(self, actor: Actor, start: Enum, packed: Any) -> None:
        """Look after a run.

        Args:
            actor: the run.
            start: where it begins, if it is begun anew.
            packed: the data that it begins with then.
        """
        self.actor, self._start, self._packed, self._first_id = actor, start, packed, actor.run_id
        actor.keeper = self

    def enter(self) -> None:
        """Be one of the supervisor's runs from here on, if it is not yet: it has been started."""
        actor = self.actor
        if actor.over:
            actor.keeper = None
        if self._joined or actor.over:
            return
        self._joined = True
        self.supervisor.members.append(self)
        self.supervisor.actors.supervised.add(actor)
        actor.waiters += 1
        actor.endings += (self._leave,)

    def _leave(self) -> None:
        """It is over, or nothing more of it is heard here."""
        actor, supervisor = self.actor, self.supervisor
        actor.keeper = None
        if self in supervisor.members:
            supervisor.members.remove(self)
            supervisor.actors.supervised.discard(actor)
            actor.endings = without(actor.endings, self._leave)
            actor.waiters -= 1
        self._leave_incident()

    # -- what happens to it

    def goes_on(self, failure: Exception | None) -> bool:
        """Whether the run goes on, though it has just ended."""
        self.enter()
        actor, supervisor = self.actor, self.supervisor
        if failure is None or self._called_off or supervisor.stops or supervisor.actors.stops:
            return False
        run, status = actor.engine, actor.status
        if self.incident is not None and status in _BROUGHT_DOWN:
            if status is not RunStatus.CANCELLED:
                _log.warning("run %r is %s while it is brought down", actor.run_id, status.value, exc_info=failure)
        elif status not in _FAILED or not supervisor.begins_again(self, failure):
            return False
        self._retries = run is not None and run.durable and status not in _OVER
        self._be_down(failure)
        return True

    def was_put_down(self, failure: Exception | None) -> None:
        """The run is not at work here any more, and goes on elsewhere or later."""
        actor, supervisor = self.actor, self.supervisor
        if supervisor.stops or isinstance(failure, LeaseLost):
            actor.restart_at = None
            self._leave()
        elif isinstance(failure, JournalUnavailable):
            return  # it is taken up as soon as the journal can be written
        returns, actor.restart_at = actor.restart_at is not None, None
        if failure is None:
            return
        if self.incident is not None:
            self._leave()  # it can't be fetched, and the others are not to wait for it
        elif returns and not isinstance(failure, RunBlocked):
            supervisor.give_up(self, "it could not be taken up again", failure)

    def bring_down(self, why: str) -> None:
        """Have it cancelled, to be begun again."""
        if self.actor.engine is None and self.supervisor.actors.closed:
            self._leave()  # it is in the journal, and goes on elsewhere
        else:
            self.supervisor.bring_down(self.actor, why)

    def call_off(self, reason: str | None) -> bool:
        """Somebody has cancelled the run: it is not begun again. Tells whether it was down."""
        self._called_off, self._reason = True, reason
        if self.is_down:
            self.actor.scope.cancel()
            return True
        self._leave_incident()
        return False

    def stop(self) -> None:
        """Stop at once: a run with a journal is released, another one is undone."""
        if self.supervisor.actors.at_work.get(self.actor.run_id) is self.actor:
            self.actor.scope.cancel()
        else:
            self._leave()

    # -- being down

    def join(self, incident: Incident) -> None:
        """Be brought down and begun again for this."""
        self._leave_incident()
        self.incident = incident
        self.actor.watchers += 1  # its end is to be heard of, wherever that is
        if self.is_down:
            self.actor.restart_at = incident.due

    def _leave_incident(self) -> None:
        incident, self.incident = self.incident, None
        if incident is not None:
            incident.members.remove(self)
            self.actor.watchers -= 1
        self.supervisor.ring()

    def _be_down(self, failure: Exception) -> None:
        actor, actors = self.actor, self.supervisor.actors
        assert self.incident is not None  # noqa: S101  (it is begun again for that)
        self.is_down = True
        self._failure = failure
        actor.restart_at = self.incident.due
        actor.scope = trio.CancelScope()
        actors.at_work[actor.run_id] = actor
        actor.ring()
        self.supervisor.ring()
        actors.spawn(self._come_back, actor)

    async def _come_back(self, actor: Actor) -> None:
        """Be begun again when it is time, unless that is called off."""
        try:
            with actor.scope as scope:
                await self.supervisor.turn(self)
                await self._begin()
            if scope.cancelled_caught:
                _log.warning("run %r is not begun again: that was called off", actor.run_id)
        except Exception as error:
            if type(error) is JournalError:
                self.supervisor.actors.on_failure(error)
            else:
                self.supervisor.give_up(self, "it could not be begun again", error)
        finally:
            if self.is_down:
                self._stay_down()

    def _stay_down(self) -> None:
        """Its failure was its end."""
        self.is_down = False
        self.actor.end(self._failure)
        self.supervisor.actors.withdraw(self.actor)

    def _be_back(self) -> None:
        self.is_down = False
        self._failure = None
        self._leave_incident()
        self.supervisor.actors.counts.restarted += 1

    # -- beginning again

    async def _begin(self) -> None:
        """Be begun again; the slot is taken already."""
        actor, actors = self.actor, self.supervisor.actors
        if self._retries:
            actor.detach()
            actors.take_up(actor, "retry")
            self._be_back()
            return
        incident = self.incident
        try:
            run = await self._begun_anew()
        except BaseException:
            actors.slots.give_back()
            raise
        # What has come while it was written down comes to the run.
        stopped, actor.scope = actor.scope.cancel_called, trio.CancelScope()
        if self._called_off:
            run.cancel(self._reason)
        elif stopped:
            actor.scope.cancel()
        actors.begin(actor, run)
        if self.incident is incident:
            self._be_back()
        else:
            self.is_down = False
            self.bring_down(_TOGETHER)

    async def _begun_anew(self) -> EngineRun:
        actor, actors = self.actor, self.supervisor.actors
        if actors.journal is None:
            return await actors.another(actor, self._start, self._packed, actor.run_id)
        while True:
            self._times += 1
            run_id = f"{self._first_id}~{self._times}"
            with suppress(DuplicateRun):
                run = await actors.another(actor, self._start, self._packed, run_id)
                actors.rename(actor, run_id)
                return run
