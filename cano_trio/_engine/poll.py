"""How a poll advances: look, wait, and look again, all in one attempt (cano POL-6)."""

from __future__ import annotations

import math
from typing import Any, final

import attrs
import trio

from .._define.blueprint import Plan
from .._define.config import TaskConfig
from .._define.poll import Pending
from .._errors import PollTimeout
from .._observe.events import AttemptFailed, RetryScheduled
from .._observe.status import RunStatus
from .._resilience import Backoff, Retry
from .attempt import asked_delay, may_retry, without_this_frame
from .cycle import bind_cycle
from .kept import read_place
from .run import Run
from .unit import Binder, Unit


def bind_poll(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the whole loop."""
    config, knobs = plan.node.config, plan.node.knobs
    looked_again = TaskConfig(retry=Retry.none(), retry_on=config.retry_on)
    look = binder.unit(plan.methods["poll"], writes=True, config=looked_again)
    limit = math.inf if config.limit is None else config.limit

    async def cycle(run: Run, number: int) -> Any:
        looks = Looks(
            run, look, knobs["backoff"], knobs["max_errors"], knobs["error_backoff"], parks=config.limit is None
        )
        if number == 1:
            looks.turn = _turn(run)
        with trio.move_on_after(limit):
            return await looks.until_there(number)
        raise PollTimeout(look.label, limit, looks.made) from looks.failure

    # Whoever claims it looks at once: a wait that was not written down has to have an end nevertheless.
    step.status, step.reason, step.patience = RunStatus.WAITING, "poll", 0.0
    step.reads = lambda places, _: [read_place(body) for body in places.values()]
    # It bounds itself, since it alone knows what to say when the time is up.
    bind_cycle(step, plan, binder, cycle, writes=look.takes_draft, config=attrs.evolve(config, attempt_timeout=None))


def _turn(run: Run) -> int:
    """How many waits its backoff had told when its process let it go."""
    place = run.journal.places.get("")
    return 0 if place is None else read_place(place).number


@final
class Looks:
    """The looks of one attempt."""

    __slots__ = ("backoff", "error_backoff", "errors", "failure", "look", "made", "max_errors", "parks", "run", "turn")

    def __init__(
        self, run: Run, look: Unit, backoff: Backoff, max_errors: int, error_backoff: Backoff, *, parks: bool
    ) -> None:
        self.run = run
        self.parks = parks
        """It may be gone on with by another process: no attempt timeout would begin anew then."""
        self.look = look
        self.backoff = backoff
        self.max_errors = max_errors
        self.error_backoff = error_backoff
        self.made = 0
        self.turn = 0
        """How many waits the backoff has told since it began."""
        self.errors = 0
        """How many looks in a row have failed."""
        self.failure: Exception | None = None
        """What the last of them failed with."""

    async def until_there(self, number: int) -> Any:
        """Look until a state is named. Every wait is a checkpoint, be it of no length (cano G-POL-1)."""
        while True:
            self.made += 1
            try:
                result = await self.look.once(self.run, number)
            except Exception as failure:
                if not self._tolerates(failure):
                    raise
                delay = self._after_failure(failure)
            else:
                if not isinstance(result, Pending):
                    return result
                delay = self._after_pending(result)
            if self.run.letters:
                self.run.put_back_letters()
            # Outside `except`, so that a cancel during the wait does not carry the failure as its context.
            try:
                await trio.sleep(delay)
            finally:
                self.run.wait_is_over()
            if self.run.durable:
                await self.run.may_begin()

    def _after_pending(self, pending: Pending) -> float:
        if self.look.takes_draft:
            self.run.refuse_change(self.run.draft, self.look.label)
        self.errors, self.failure = 0, None
        if pending.reset:
            self.turn = 0
        delay = pending.delay
        if delay is None:
            self.turn += 1
            delay = self.backoff.delay(self.turn)
        self.run.wait_for("poll", delay, parks=self.parks, turn=self.turn)
        return delay

    def _tolerates(self, failure: Exception) -> bool:
        return self.errors < self.max_errors and may_retry(self.run, self.look, failure)

    def _after_failure(self, failure: Exception) -> float:
        self.errors += 1
        self.failure = without_this_frame(failure)
        delay = asked_delay(failure, self.error_backoff.delay(self.errors))
        if self.run.observers:
            look = f"{self.look.label}.poll"
            self.run.tell(AttemptFailed, look, self.errors, failure)
            self.run.tell(RetryScheduled, look, self.errors, delay, failure)
        return delay
