"""A run that is supervised: what happens to it when it fails, is brought down, and is begun again."""

from __future__ import annotations

import logging
from contextlib import suppress
from enum import Enum
from typing import Any, final

import trio

from .._engine.run import Run as EngineRun
from .._errors import DuplicateRun, JournalError, JournalUnavailable, LeaseLost, RunBlocked
from .._observe.status import RunStatus
from .actor import Actor, without
from .supervision import TOGETHER, Incident, Supervisor

_log = logging.getLogger("cano_trio")

_FAILED = {RunStatus.FAILED, RunStatus.ROLLED_BACK, RunStatus.ROLLBACK_FAILED}
"""Where a run may stand that has failed."""

_BROUGHT_DOWN = _FAILED - {RunStatus.ROLLBACK_FAILED} | {RunStatus.CANCELLED}
"""Where a run may stand that was cancelled to be begun again."""

_OVER = {RunStatus.ROLLED_BACK, RunStatus.CANCELLED}
"""Where a run stands that nobody can go on with: another has to begin in its place."""


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
            self.bring_down(TOGETHER)

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
