"""How a compensatable advances: each attempt is held against a cancel until its receipt is kept (cano SAG-15)."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import attrs
import trio
from msgspec.structs import replace

from .._define.blueprint import Plan
from .._define.compensatable import kept_type
from .._define.config import TaskConfig
from .._journal.codec import JsonCodec
from .attempt import attempt
from .layers import Call, timed
from .rollback import Entry, Undo, begun
from .run import Run
from .unit import Binder

HOLD = 30.0
"""Seconds for which a cancel waits for an attempt, where neither the task nor its timeout says."""


def bind_compensatable(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the work, and remember how it is undone."""
    config, knobs, methods = plan.node.config, plan.node.knobs, plan.methods
    undoing = TaskConfig(
        retry=knobs["compensate_retry"],
        retry_on=config.retry_on,
        attempt_timeout=config.attempt_timeout if knobs["compensate_timeout"] is None else knobs["compensate_timeout"],
    )
    compensate, in_doubt = methods["compensate"], methods.get("compensate_in_doubt")
    undo = Undo(
        step,
        JsonCodec(kept_type(methods["run"]), "receipt"),
        binder.unit(replace(compensate, function=_taking(compensate.function)), writes=True, config=undoing),
        None if in_doubt is None else binder.unit(in_doubt, writes=True, config=undoing),
    )
    step.unit = binder.unit(
        methods["run"],
        writes=True,
        config=attrs.evolve(config, attempt_timeout=None),
        choosers=plan.plain,
        label=plan.node.name,
        around=lambda call: held(
            recorded(call, undo), knobs["hold"] or config.limit or HOLD, config.limit, plan.node.name
        ),
    )
    step.args = step.unit.args
    step.writes = step.unit.takes_draft
    step.advance = attempt


def _taking(compensate: Call) -> Call:
    """The compensation given a receipt of its own at each attempt: what a failed one did to it, the next must not see."""

    async def call(entry: Entry, *args: object, **named: object) -> Any:
        return await compensate(entry.taken(), *args, **named)

    return call


def recorded(call: Call, undo: Undo) -> Call:
    """The call of which the run remembers that it began, and the receipt it gave; it gives the state alone."""

    async def kept(run: Run, part: str, *args: object) -> Any:
        entry = begun(run, undo, part)
        result: Any = await call(*args)
        # Here the work becomes a fact: its receipt is kept with no checkpoint between.
        if isinstance(result, Enum):  # a bare state, which may be a tuple itself: nothing was done
            entry.strike(run)
        elif isinstance(result, tuple) and len(result) == 2:  # pyright: ignore[reportUnknownArgumentType]
            state, receipt = result  # pyright: ignore[reportUnknownVariableType]
            entry.settle(run, receipt)
            return state  # pyright: ignore[reportUnknownVariableType]
        return result

    return kept


def held(call: Call, seconds: float, limit: float | None, label: str) -> Call:
    """The call under its attempt timeout, shielded from every cancel until so many seconds after one has come.

    Its receipt must be kept inside: what is on its way out of a nursery is lost where that is cancelled or interrupted.
    """
    limit = math.inf if limit is None else limit
    if limit <= seconds:  # it ends as soon by itself, and nobody has to watch for a cancel
        return timed(call, limit, label, shield=True)
    return watched(call if math.isinf(limit) else timed(call, limit, label), seconds)


def watched(call: Call, seconds: float) -> Call:
    """The call, shielded until so many seconds after a cancel has come; only a task outside the shield can feel that."""

    async def within(*args: object) -> Any:
        result: Any = None
        failure: BaseException | None = None
        scope = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_loosen, scope, seconds)
            try:
                with scope:
                    result = await call(*args)
            except BaseException as error:  # the nursery would make a group of it
                failure = error
            nursery.cancel_scope.cancel()
        try:
            if failure is not None:
                raise failure
            if scope.cancelled_caught:
                await trio.lowlevel.checkpoint()  # the cancel that was waited for
            return result
        finally:
            del failure

    return within


async def _loosen(scope: trio.CancelScope, seconds: float) -> None:
    """Once a cancel has come, give the shielded call so many seconds more."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        scope.deadline = min(scope.deadline, trio.current_time() + seconds)
