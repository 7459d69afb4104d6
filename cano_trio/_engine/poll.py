"""How a poll advances: look, wait, and look again, all in one attempt (cano POL-6)."""

from __future__ import annotations

from typing import Any

import trio

from .._define.blueprint import Plan
from .._define.poll import Pending
from .._resilience import Backoff, matcher
from .attempt import asked_delay
from .cycle import bind_cycle
from .run import Run
from .unit import Binder


def bind_poll(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the whole loop."""
    node = plan.node
    look = binder.unit(plan.methods["poll"], writes=True)
    backoff: Backoff = node.knobs["backoff"]
    error_backoff: Backoff = node.knobs["error_backoff"]
    max_errors: int = node.knobs["max_errors"]
    tolerable = matcher(node.config.retry_on)

    async def cycle(run: Run, number: int) -> Any:
        turn = errors = 0
        while True:
            failure: Exception | None = None
            result: Any = None
            try:
                result = await look.once(run, number)
            except Exception as error:
                if errors >= max_errors or not tolerable(error):
                    raise
                failure = error
            if failure is not None:
                errors += 1
                delay = asked_delay(failure, error_backoff.delay(errors))
                run.wait_for(f"poll after {type(failure).__name__}", delay)
                del failure
            elif isinstance(result, Pending):
                if look.takes_draft:
                    run.refuse_change(run.draft, look.label)
                errors = 0
                turn = 1 if result.reset else turn + 1
                delay = backoff.delay(turn) if result.delay is None else result.delay
                run.wait_for("poll", delay)
            else:
                return result
            await trio.sleep(delay)

    bind_cycle(step, plan, binder, cycle, writes=look.takes_draft)
