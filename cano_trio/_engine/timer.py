"""How a timer advances: ask how long, wait once, go on (cano TMR-1)."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import trio

from .. import _clock
from .._define.blueprint import Plan
from .cycle import bind_cycle
from .run import Run
from .unit import Binder

LOOK_AGAIN = 30.0
"""Seconds after which a wait for an instant looks at the wall clock again, which may have been set meanwhile."""


def bind_timer(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt wait, sleep and after_wait together (cano TMR-4)."""
    ask = binder.unit(plan.methods["wait"])
    go_on = binder.unit(plan.methods["after_wait"], writes=True)

    async def cycle(run: Run, number: int) -> Any:
        due = await ask.once(run, number)
        if isinstance(due, datetime):
            await sleep_until_instant(run, due)
        elif isinstance(due, (int, float)) and not isinstance(due, bool) and not math.isnan(due):
            run.wait_for("timer", max(due, 0))
            await trio.sleep(max(due, 0))
        else:
            raise TypeError(f"{ask.label} returned {due!r}. Return seconds, or a timezone-aware datetime.")
        return await go_on.once(run, number)

    bind_cycle(step, plan, binder, cycle, writes=go_on.takes_draft)


async def sleep_until_instant(run: Run, due: datetime) -> None:
    """Sleep until the wall clock shows an instant; a checkpoint even if it has passed."""
    left = _clock.seconds_until(due)
    run.wait_for("timer", max(left, 0))
    at_most = math.inf if _clock.is_virtual() else LOOK_AGAIN
    while left > 0:
        await trio.sleep(min(left, at_most))
        left = _clock.seconds_until(due)
    await trio.lowlevel.checkpoint()
