"""How a compensatable advances: each attempt is held against a cancel until its receipt is kept (cano SAG-15)."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, final

import attrs
import trio
from msgspec.structs import replace
from trio.lowlevel import Abort, Task, current_task, enable_ki_protection, reschedule, wait_task_rescheduled

from .._define.blueprint import Plan
from .._define.compensatable import kept_type
from .._define.config import TaskConfig
from .._define.method import Method
from .._journal.codec import JsonCodec
from .attempt import attempt
from .layers import Call, timed
from .parting import bared
from .rollback import Entry, Undo, begun
from .run import Run
from .unit import Binder, Unit

HOLD = 30.0
"""Seconds for which a cancel waits for an attempt, where neither the task nor its timeout says."""


def bind_compensatable(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the work, and remember how it is undone."""
    step.unit = compensatable_unit(step, plan, binder, plan.node.name)
    step.args = step.unit.args
    step.writes = step.unit.takes_draft
    step.advance = attempt


def compensatable_unit(step: Any, plan: Plan[Any], binder: Binder, label: str, part: str = "") -> Unit:
    """The unit of work that can be undone: of a state, or of a part of it, a branch, which may only read the run's data."""
    branch = bool(part)
    config, knobs, methods = plan.node.config, plan.node.knobs, plan.methods
    undoing = TaskConfig(
        retry=knobs["compensate_retry"],
        retry_on=config.retry_on,
        attempt_timeout=config.attempt_timeout if knobs["compensate_timeout"] is None else knobs["compensate_timeout"],
    )
    compensate, in_doubt = methods["compensate"], methods.get("compensate_in_doubt")
    undo = step.undos[part] = Undo(
        step,
        JsonCodec(kept_type(methods["run"]), "receipt"),
        _unit(binder, compensate, _taking(compensate.function), undoing),
        None if in_doubt is None else _unit(binder, in_doubt, _in_doubt(in_doubt.function), undoing),
    )
    return binder.unit(
        methods["run"],
        writes=not branch,
        config=attrs.evolve(config, attempt_timeout=None),
        choosers=plan.plain,
        label=label,
        around=lambda call: held(
            recorded(paired(call, label) if branch else call, undo),
            knobs["hold"] or config.limit or HOLD,
            config.limit,
            label,
        ),
    )


def _unit(binder: Binder, method: Method, call: Call, config: TaskConfig) -> Unit:
    """The unit of a compensation, which is given the entry of what it undoes."""
    taking_entry = replace(method, function=call, own=(Entry,))
    return binder.unit(taking_entry, writes=True, config=config, around=_noting)


def _taking(compensate: Call) -> Call:
    """The compensation given a receipt of its own at each attempt: what a failed one did to it, the next must not see."""

    async def call(entry: Entry, *args: object, **named: object) -> Any:
        return await compensate(entry.taken(), *args, **named)

    return call


def _in_doubt(compensate: Call) -> Call:
    async def call(_: Entry, *args: object, **named: object) -> Any:
        return await compensate(*args, **named)

    return call


def _noting(call: Call) -> Call:
    """The call with its failure noted, which is not to be lost when time runs out before the next attempt."""

    async def noted(_run: Run, _part: str, entry: Entry, *args: object) -> Any:
        try:
            return await call(entry, *args)
        except Exception as error:
            entry.failure = error
            raise

    return noted


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


def paired(call: Call, label: str) -> Call:
    """The call of a branch, whose result no edge is asked about: what is neither a pair nor a state is a mistake."""

    async def checked(*args: object) -> Any:
        result: Any = await call(*args)
        if isinstance(result, Enum) or (isinstance(result, tuple) and len(result) == 2):  # pyright: ignore[reportUnknownArgumentType]
            return result
        raise TypeError(
            f"{label} returned {result!r}. Return a pair of the result and the receipt, or a bare state where nothing was done."
        )

    return checked


def held(call: Call, seconds: float, limit: float | None, label: str) -> Call:
    """The call under its attempt timeout, shielded from every cancel until so many seconds after one has come.

    Its receipt must be kept inside: what is on its way out of a nursery is lost where that is cancelled or interrupted.
    """
    limit = math.inf if limit is None else limit
    watching = watched(call if math.isinf(limit) else timed(call, limit, label), seconds)
    if limit > seconds:
        return watching
    shielded = timed(call, limit, label, shield=True)

    async def within(run: Run, *args: object) -> Any:
        # It ends as soon by itself, and nobody has to watch for a cancel; unless it could go on elsewhere.
        return await (watching if run.durable else shielded)(run, *args)

    return within


def watched(call: Call, seconds: float) -> Call:
    """The call, shielded until so many seconds after a cancel has come.

    A durable run that is stopped from outside goes on elsewhere with the same key: that interrupts it at once.
    """

    async def within(run: Run, *args: object) -> Any:
        result: Any = None
        failure: BaseException | None = None
        watch = Watch(run, seconds)
        try:
            async with trio.open_nursery() as nursery:
                try:
                    nursery.start_soon(watch.stand)
                    with watch.scope:
                        result = await call(run, *args)
                except BaseException as error:  # the nursery would make a group of it
                    failure = error
                finally:
                    watch.end()
        except BaseExceptionGroup as group:  # a Ctrl-C, which came while the nursery was closed
            failure = bared(group)
        try:
            if failure is not None:
                raise failure
            if watch.scope.cancelled_caught:
                await trio.lowlevel.checkpoint()  # the cancel that was waited for
            return result
        finally:
            del failure

    return within


@final
class Watch:
    """Stands beside a shielded call, since only a task outside the shield feels a cancel.

    It is never interrupted itself, but called when the call is over: that is half as dear as cancelling a sleeping task.
    """

    __slots__ = ("_over", "_run", "_seconds", "_task", "scope")

    def __init__(self, run: Run, seconds: float) -> None:
        self._run = run
        self.scope = trio.CancelScope(shield=True)
        """What shields the call."""
        self._seconds = seconds
        self._task: Task | None = None
        self._over = False

    async def stand(self) -> None:
        """Wait for the end of the call, and for a cancel meanwhile."""
        if not self._over:
            self._task = current_task()
            await wait_task_rescheduled(self._loosen)

    def _loosen(self, _: object) -> Abort:
        """A cancel has come: give the call so many seconds more."""
        more = 0 if self._run.durable and not self._run.is_cancelled() else self._seconds
        self.scope.deadline = trio.current_time() + more
        return Abort.FAILED

    @enable_ki_protection
    def end(self) -> None:
        """The call is over."""
        self._over = True
        if self._task is not None:
            reschedule(self._task)
