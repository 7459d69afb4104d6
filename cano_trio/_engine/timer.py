"""How a timer advances: ask how long, wait once, go on (cano TMR-1)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import trio

from .. import _clock
from .._define.blueprint import Plan
from .._define.checks import LARGEST
from .cycle import bind_cycle
from .run import Run
from .unit import Binder

LOOK_AGAIN = 30.0
"""Seconds after which a wait for an instant looks at the wall clock again, which may have been set meanwhile."""


def bind_timer(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt wait, sleep and after_wait together (cano TMR-4)."""
    ask = binder.unit(plan.methods["wait"])
    go_on = binder.unit(plan.methods["after_wait"], writes=True)

    parks = plan.node.config.limit is None  # else the attempt's timeout would begin anew with each process

    async def cycle(run: Run, number: int) -> Any:
        due_at = run.journal.due_at
        if due_at is not None and number == 1:
            await _sleep_until(run, datetime.fromtimestamp(due_at, UTC), parks=parks)
            await run.may_begin()
            return await go_on.once(run, number)
        due = await ask.once(run, number, part="/wait")
        # Here the due time becomes a fact: from now on the run waits for nothing else.
        if _is_instant(due):
            await run.journal.wait_until(due.timestamp(), "timer")
            await _sleep_until(run, due, parks=parks)
        elif _is_seconds(due):
            due_at = run.clock() + max(due, 0)
            if run.durable:
                await run.journal.wait_until(_clock.timestamp() + max(due, 0), "timer")
            await _sleep(run, due_at, parks=parks)
        else:
            raise TypeError(
                f"{ask.label} returned {due!r}. Return a finite number of seconds, or a timezone-aware datetime, such as "
                "datetime.now(timezone.utc) + timedelta(days=1)."
            )
        await run.may_begin()
        return await go_on.once(run, number)

    bind_cycle(step, plan, binder, cycle, writes=go_on.takes_draft)


def _is_instant(due: object) -> bool:
    """Whether it is a point in time; without a zone it is none."""
    return isinstance(due, datetime) and due.utcoffset() is not None


def _is_seconds(due: object) -> bool:
    return isinstance(due, (int, float)) and not isinstance(due, bool) and -LARGEST <= due <= LARGEST


async def _sleep(run: Run, until: float, *, parks: bool) -> None:
    run.wait_for("timer", max(until - run.clock(), 0), parks=parks)
    try:
        await trio.sleep_until(until)
    finally:
        run.wait_is_over()


async def _sleep_until(run: Run, due: datetime, *, parks: bool) -> None:
    """Sleep until the wall clock shows an instant; a checkpoint even if it has passed."""
    left = _clock.seconds_until(due)
    run.wait_for("timer", max(left, 0), parks=parks, due_at=due.timestamp())
    at_most = math.inf if _clock.is_virtual() else LOOK_AGAIN
    try:
        while left > 0:
            await trio.sleep(min(left, at_most))
            left = _clock.seconds_until(due)
    finally:
        run.wait_is_over()
    await trio.lowlevel.checkpoint()
