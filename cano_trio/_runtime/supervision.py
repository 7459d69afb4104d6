"""Runs that are begun again when they fail: alone, or together with others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

import trio

from .._errors import RestartCause, SupervisorGaveUp
from .._observe.status import RunStatus
from .actor import Actor
from .actors import Actors
from .restart import Restart

if TYPE_CHECKING:
    from .member import Member

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who is begun again when one run of a group fails: it alone, all of them, or it and those that were started after it."""

STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")

TOGETHER: Final = "it is begun again together with another run, which has failed"
"""Why a run is brought down that has not failed itself."""

_log = logging.getLogger("cano_trio")


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
                other.bring_down(TOGETHER)
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
