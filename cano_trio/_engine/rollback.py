"""How what a run has done is undone: last things first, each to its end, all of them within a bound (cano SAG-3)."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Any, Final, final

import msgspec
import trio

from .._errors import CompensationTimeout
from .._journal.codec import JsonCodec
from .._observe.events import CompensationFinished, CompensationSkipped, CompensationStarted
from .._observe.rollback import Outstanding, Rollback
from .attempt import attempt
from .run import Run
from .step import Step
from .unit import Unit


@final
class _InDoubt:
    """What stands for the receipt of an attempt that began and left none."""


IN_DOUBT: Final = _InDoubt()


@final
class Undo:
    """How the work of a compensatable is undone; bound once.

    Args:
        step: its step.
        codec: for its receipts.
        compensate: the unit that gets the receipt.
        in_doubt: the unit for work that left none. Both are given the entry.
    """

    __slots__ = ("codec", "compensate", "in_doubt", "step")

    def __init__(self, step: Step, codec: JsonCodec[Any], compensate: Unit, in_doubt: Unit | None) -> None:
        self.step = step
        self.codec = codec
        self.compensate = compensate
        self.in_doubt = in_doubt


@final
class Entry:
    """A piece of work of a run that can be undone, or that may have to be."""

    __slots__ = ("failure", "part", "receipt", "seq", "undo", "visit", "written")

    def __init__(self, undo: Undo, part: str, seq: int, visit: int) -> None:
        self.undo = undo
        self.visit = visit
        self.seq = seq
        self.part = part
        self.written = False
        """It is written down as it is."""
        self.receipt: Any = IN_DOUBT
        self.failure: Exception | None = None
        """What the latest attempt at its compensation failed with."""

    def settle(self, run: Run, receipt: object) -> None:
        """Take its receipt: what is undone first is what was done last.

        Raises:
            DataNotEncodable: the receipt can't be written down; the work is undone by the receipt as it is.
        """
        self.come_last(run)
        self.written = False
        self.receipt = _Live(receipt)
        self.receipt = self.undo.codec.pack(receipt)

    def come_last(self, run: Run) -> None:
        """Be what was done last, and is undone first."""
        if run.done[-1] is not self:  # mostly it is: nothing to move, in a list that may be long
            run.done.remove(self)
            run.done.append(self)

    def strike(self, run: Run) -> None:
        """Take it back: nothing was done."""
        if run.done[-1] is self:
            run.done.pop()
        else:
            run.done.remove(self)

    @property
    def in_doubt(self) -> bool:
        """Its attempts began, and left no receipt."""
        return self.receipt is IN_DOUBT

    @property
    def settled(self) -> bool:
        """It has left a receipt that can be written down."""
        return isinstance(self.receipt, bytes)

    @property
    def unit(self) -> Unit | None:
        """What undoes it, if anything does."""
        return self.undo.in_doubt if self.in_doubt else self.undo.compensate

    def taken(self) -> Any:
        """The receipt, as its compensation gets it: each attempt a copy of its own."""
        return self.receipt.value if isinstance(self.receipt, _Live) else self.undo.codec.unpack(self.receipt)

    def outstanding(self, run: Run) -> Outstanding:
        """What is needed to undo it by hand."""
        return Outstanding(
            state=self.undo.step.state,
            key=f"{run.key}/{self.seq}{self.part}",
            receipt=None if self.in_doubt else self.taken(),
            in_doubt=self.in_doubt,
        )


@final
class _Live(msgspec.Struct, frozen=True):
    """A receipt that could not be written down."""

    value: Any


def begun(run: Run, undo: Undo, part: str) -> Entry:
    """The entry of a piece of work of which an attempt begins: in doubt, until it leaves its receipt."""
    for entry in reversed(run.done):
        if not isinstance(entry, Entry) or entry.seq != run.seq:
            break
        if entry.part == part and entry.in_doubt:
            return entry
    new = Entry(undo, part, run.seq, run.visits[undo.step.index])
    run.done.append(new)
    return new


def entry_of(run: Run, part: str) -> Entry | None:
    """The entry of a part of the present state's work, if it has done anything."""
    for entry in reversed(run.done):
        if not isinstance(entry, Entry) or entry.seq != run.seq:
            break
        if entry.part == part:
            return entry
    return None


def in_doubt(run: Run) -> tuple[Enum, ...]:
    """The states of a run of whose work nobody knows whether it was done; those of its child workflows are not its own."""
    return tuple(entry.undo.step.state for entry in run.done if isinstance(entry, Entry) and entry.in_doubt)


async def roll_back(run: Run) -> Rollback:
    """Undo all that a run has done, last things first, within its `compensation_timeout`.

    A cancel from outside interrupts it only where it is written down, and can go on elsewhere.
    """
    begun_at = run.clock()
    undoing = _Undoing(begun_at + run.compensation_timeout, run.compensation_timeout)
    run.error = None  # that of the state where the run has stopped, not of those that are undone
    await undoing.back_through(run)
    return Rollback(
        undone=(*((state, None) for _, state in run.undone), *undoing.undone),
        failed=tuple(undoing.failed),
        left=tuple(undoing.left),
        in_doubt=tuple(undoing.in_doubt),
        outstanding=tuple(undoing.outstanding),
        elapsed=run.clock() - begun_at,
    )


def still_done(run: Run) -> list[Enum]:
    """The states of what a rollback that was broken off has not come to, last things first."""
    states: list[Enum] = []
    for entry in reversed(run.done):
        states += still_done(entry) if isinstance(entry, Run) else [entry.undo.step.state]
    return states


async def undo_branches(run: Run, kept: Collection[str]) -> None:
    """Undo those branches of the present state without which it goes on: they failed halfway, or came too late.

    Args:
        run: the run.
        kept: the parts of the branches that it goes on with.

    Raises:
        Exception: what a compensation failed with; it is tried again when the run is rolled back.
    """
    # What has no `compensate_in_doubt` can't be dealt with now; a rollback will name it.
    superfluous = [
        entry
        for entry in run.done
        if isinstance(entry, Entry) and entry.seq == run.seq and entry.part not in kept and entry.unit is not None
    ]
    undoing = _Undoing(run.clock() + run.compensation_timeout, run.compensation_timeout)
    for entry in reversed(superfluous):
        failed = len(undoing.outstanding)
        await undoing.undo(run, entry)
        if len(undoing.outstanding) == failed:
            run.done.remove(entry)
    try:
        if undoing.failed or undoing.left:
            late = CompensationTimeout(run.step.label, run.compensation_timeout)
            run.mistake = (
                undoing.failed[0][1] if undoing.failed else late
            )  # no `on_error` may lead past what still stands
            raise run.mistake
    finally:
        del undoing  # the failure in it holds this frame by its traceback


@final
class _Undoing:
    """A rollback on its way."""

    def __init__(self, deadline: float, limit: float) -> None:
        self.deadline = deadline
        self.limit = limit
        self.undone: list[tuple[Enum, object]] = []
        self.failed: list[tuple[Enum, Exception]] = []
        self.left: list[Enum] = []
        self.in_doubt: list[Enum] = []
        self.outstanding: list[Outstanding] = []

    async def back_through(self, run: Run) -> None:
        """Undo what a run has done, and where it ran a child workflow, what that did."""
        place = run.step, run.seq, run.visits[:]
        try:
            while run.done:
                entry = run.done[-1]
                if isinstance(entry, Run):
                    await self._back_through_child(run, entry)
                else:
                    run.step, run.seq = entry.undo.step, entry.seq
                    run.visits[run.step.index] = entry.visit
                    await self.undo(run, entry)
                run.done.pop()  # only now: of a rollback that is broken off, the rest stays in the list
        finally:
            run.step, run.seq, run.visits = place

    async def _back_through_child(self, run: Run, child: Run) -> None:
        """Undo what a child workflow did; a journal that fails it stops the run that has started it, too."""
        child.parent = run
        stuck = self._stuck()
        try:
            await child.journal.reopen()
            await self.back_through(child)
            if child is not run.child:  # else it ends together with the run
                if self._stuck() == stuck:
                    child.journal.undone_at_last()
                run.journal.add_release(child.journal)
        finally:
            child.parent = None

    def _stuck(self) -> int:
        """How much could not be undone so far."""
        return len(self.failed) + len(self.left)

    async def undo(self, run: Run, entry: Entry) -> None:
        """Undo one piece of work, or note why not."""
        state = run.step.state
        unit = entry.unit
        if unit is None:
            self.in_doubt.append(state)
            self._leave(run, entry, "in doubt")
        elif run.clock() >= self.deadline:
            self.left.append(state)
            self._leave(run, entry, "no time")
        else:
            await run.may_begin()
            if run.observers:
                run.tell(CompensationStarted, unit.label, entry.in_doubt)
            result, failure = await _compensated(run, unit, entry, self.deadline, self.limit)
            if failure is None:
                await run.journal.undone(entry)
                self.undone.append((state, result))
            else:
                self.failed.append((state, failure))
                self.outstanding.append(entry.outstanding(run))
            if run.observers:
                run.tell(CompensationFinished, unit.label, failure)

    def _leave(self, run: Run, entry: Entry, reason: str) -> None:
        self.outstanding.append(entry.outstanding(run))
        if run.observers:
            run.tell(CompensationSkipped, run.step.label, reason)


async def _compensated(
    run: Run, unit: Unit, entry: Entry, deadline: float, limit: float
) -> tuple[object, Exception | None]:
    """What a compensation returned, or failed with.

    It is no method: the frame of one, which its failure holds, would hold the list in which the failure stands.
    """
    try:
        # What is written down goes on elsewhere when this process has to leave.
        with trio.CancelScope(deadline=deadline, shield=not run.durable):
            # The run's own count is that of the state that failed.
            result = await attempt(run, unit, (entry, *unit.args), f"{entry.part}/undo", made=[1])
            if unit.takes_draft:
                run.keep_draft()
            return result, None
        return None, _cut_off(unit, limit, entry.failure)
    except Exception as error:  # outside the scope, which makes one of a group of errors and its own cancels
        return None, error
    finally:
        entry.failure = None


def _cut_off(unit: Unit, limit: float, failure: Exception | None) -> CompensationTimeout:
    timeout = CompensationTimeout(unit.label, limit)
    timeout.__cause__ = failure
    return timeout
