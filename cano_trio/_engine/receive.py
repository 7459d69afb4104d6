"""How a receive advances: take the message that is there or wait for one, then attempt what is done with it."""

from __future__ import annotations

import math
from typing import Any

import trio

from .. import _clock
from .._define.blueprint import Plan
from .._define.compatible import bare, name_of
from .._define.edges import members
from .._observe.status import RunStatus
from .attempt import attempt
from .mailbox import Kinds, Letter
from .run import Run
from .unit import Binder, Unit


def bind_receive(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step wait outside of all attempts, for at most its timeout from being entered."""

    def unit(name: str) -> Unit:
        return binder.unit(plan.methods[name], writes=True, config=plan.node.config, choosers=plan.plain)

    kinds: Kinds = tuple(bare(hint) for hint in members(plan.methods["on_message"].own[0]))
    reason = f"message {' | '.join(map(name_of, kinds))}"
    timeout: float | None = plan.node.knobs["timeout"]
    seconds = math.inf if timeout is None else timeout
    on_message = unit("on_message")
    on_timeout = None if timeout is None else unit("on_timeout")
    writes = any(it is not None and it.takes_draft for it in (on_message, on_timeout))

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        if writes:
            run.draft = run.data()  # of the two, the one that is called may not take the data
        due_at = run.journal.due_at
        left = seconds if due_at is None else max(due_at - _clock.timestamp(), 0)
        letter = await _awaited(run, kinds, reason, left)
        await run.may_begin()
        if letter is not None:
            letter.kept = True  # each attempt gets this one
            run.letters = (letter,)  # the drive loop removes it from the mailbox when the state is finished
            return await attempt(run, on_message, (letter.message, *on_message.args))
        if on_timeout is None:
            raise AssertionError("unreachable: without a timeout it waits for ever")
        return await attempt(run, on_timeout, on_timeout.args)

    step.status, step.reason, step.patience = RunStatus.WAITING, reason, timeout
    step.writes = writes
    step.advance = advance


async def _awaited(run: Run, kinds: Kinds, reason: str, seconds: float) -> Letter | None:
    """The first letter of these kinds; None if there is none in time."""
    mailbox = run.mailbox()
    if letter := mailbox.take_nowait(kinds):
        return letter
    run.wait_for(reason, None if math.isinf(seconds) else seconds, parks=True)
    try:
        if math.isinf(seconds):  # most wait like this, and a scope is a tenth of what a waiting run weighs
            return await mailbox.take(kinds)
        with trio.CancelScope(deadline=run.clock() + seconds):
            return await mailbox.take(kinds)
    finally:
        run.wait_is_over()
    # Whoever sends at this very instant may run after the deadline in the same pass, and the message is to win.
    await trio.lowlevel.checkpoint()
    return mailbox.take_nowait(kinds)
