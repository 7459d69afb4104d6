"""A scenario played once, through all its processes, to its end."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final, TypeAlias, final

import attrs
import trio
from trio.abc import Instrument
from trio.testing import MockClock

from .._engine.lifecycle import Resources
from .._errors import RunCancelled
from .._runtime.result import RunResult
from .cell import Cancel, CancelOf, Cell, Fault
from .effects import Effects
from .laboratory import Laboratory, Stage
from .moments import Moments, TurnLimit
from .storage import OpenJournal, storage
from .virtual import Dropped, check_outside, drop, run_on, sweep, virtual_clock

Scenario: TypeAlias = Callable[[Laboratory], Awaitable[Any]]
"""What a client does; see `Laboratory`."""

Check: TypeAlias = Callable[[Laboratory], object]
"""Asserts what must hold in the end; it may be async, and then look into ``lab.journal``."""

LONGEST: Final = 400 * 86_400.0
"""Virtual seconds after which a process that goes on hangs."""

MOST_LIVES: Final = 10
"""Processes after which a scenario that is not over will never be."""

DOWNTIME: Final = 2.0
"""Virtual seconds between the death of a process and the next one."""


_ANSWERS: dict[CancelOf, tuple[type[BaseException], ...]] = {
    "scenario": (),
    "run": (RunCancelled,),
    "interrupt": (KeyboardInterrupt,),
}
"""What may come out of a scenario because it was stopped."""


@final
class NeverEnds(AssertionError):
    """A scenario does not come to an end.

    >>> print(NeverEnds("the process still ran after 400 virtual days"))
    the process still ran after 400 virtual days
    """


@final
class NothingToTry(RuntimeError):
    """A scenario does nothing at which what is explored could happen: that it passes would say nothing.

    >>> print(NothingToTry("the scenario makes no write"))
    the scenario makes no write
    """


@final
class ScenarioVaries(RuntimeError):
    """A scenario does not do the same each time, with the same seed: nothing that is found of it could be found again.

    >>> print(ScenarioVaries("it made 7 writes, and then 8"))
    it made 7 writes, and then 8. Something in it goes by what no seed decides: sets, ids, uuid4, real time, real sockets.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. Something in it goes by what no seed decides: sets, ids, uuid4, real time, real sockets."
        )


@final
@attrs.frozen(kw_only=True)
class Played:
    """A scenario that was played.

    Args:
        cell: what happened to it.
        lab: its laboratory.
        error: what it failed with; None if it did not.
        writes: how many writes each of its processes has made.
        moments: how many moments there were at which it could be cancelled, if that was counted.
    """

    cell: Cell
    lab: Laboratory
    error: BaseException | None
    writes: tuple[int, ...]
    moments: int = 0


@final
@attrs.frozen(kw_only=True)
class Rules:
    """How a scenario is played and judged.

    Args:
        check: asserts what must hold in the end.
        open_journal: makes journals of files; None for a store in memory.
    """

    check: Check | None = None
    open_journal: OpenJournal | None = None
    effects: Effects = attrs.field(factory=Effects, init=False)
    """Those of whatever is played at the moment: tasks stay bound to them, and are not bound anew each time."""
    resources: Resources = attrs.field(
        default=attrs.Factory(lambda self: Resources(effects=self.effects), takes_self=True), init=False
    )
    """These effects."""


def play(
    scenario: Scenario, cell: Cell, rules: Rules, *, comes_again: bool = True, count: CancelOf | None = None
) -> Played:
    """Play a scenario to its end.

    Args:
        scenario: the scenario.
        cell: what happens to it.
        rules: how.
        comes_again: after it was cancelled, it is called again, by the next process.
        count: count the moments at which this could be cancelled.

    Raises:
        ScenarioVaries: it has not come to what should happen to it.
    """
    check_outside()
    with ExitStack() as stack:
        cancel = Cancel(count, -1) if count is not None else cell.cancel
        hands = cancel is not None and cancel.of == "run"
        stage = Stage(stack.enter_context(storage(rules.open_journal)), hands=hands)
        lab = Laboratory(stage, rules.effects, rules.resources)
        show = _Show(scenario, cell, rules, stage, lab, cancel, comes_again=comes_again)
        error: BaseException | None = None
        try:
            show.play()
        except ScenarioVaries:
            raise
        except BaseException as failure:
            if not _is_all(failure, _failures()):
                raise
            error = failure
        lab.effects = lab.effects.of()  # the next play forgets them
        return Played(cell=cell, lab=lab, error=error, writes=tuple(show.writes), moments=show.moments)


@final
class _Show:
    def __init__(
        self,
        scenario: Scenario,
        cell: Cell,
        rules: Rules,
        stage: Stage,
        lab: Laboratory,
        cancel: Cancel | None,
        *,
        comes_again: bool,
    ) -> None:
        self._scenario = scenario
        self._cell = cell
        self._rules = rules
        self._stage = stage
        self._lab = lab
        self._cancel = cancel
        self._comes_again = comes_again
        self._time = 0.0
        self.writes: list[int] = []
        self.moments = 0

    def play(self) -> None:
        """One process after the other."""
        faults = iter(self._cell.faults)
        for _ in range(MOST_LIVES):
            fault = next(faults, None)
            if self._live(fault):
                if (left := next(faults, None)) is not None:
                    raise ScenarioVaries(f"{self._cell} names a crash, {left}, of a process that never begins")
                return
            self._cancel = None
        raise NeverEnds(f"the scenario is not over after {MOST_LIVES} processes")

    def _live(self, fault: Fault | None) -> bool:
        """One process; tells whether it was the last one."""
        clock = virtual_clock(self._time)
        over, error, earlier = False, None, self._lab.life
        try:
            over = run_on(clock, self._cell.seed, self._process, clock, fault)
        except KeyboardInterrupt:
            raise
        except Dropped:
            self._stage.let_go()
            sweep()
            raise NeverEnds(
                f"the process {'died' if self._stage.process.is_dead else 'was cancelled'}, and goes on: something in it "
                "catches Cancelled or BaseException and does not raise it again, or waits in a shield"
            ) from None
        except BaseException as failure:
            error = failure
        if error is not None and self._lab.life == earlier:
            raise error  # there is no journal for it
        process = self._stage.process
        self.writes.append(process.writes)
        self._time = clock.current_time() + DOWNTIME
        if process.is_dead:
            return False
        if fault is not None and process.writes < fault.at:
            what = f"{self._cell}: process {self._lab.life} has no write {fault.at}, it made {process.writes}"
            raise ScenarioVaries(what) from error
        if process.has_failed and isinstance(error, Exception) and not isinstance(error, AssertionError):
            return False  # the client was told that the journal fails, and comes again
        if error is not None:
            raise error
        return over

    async def _process(self, clock: MockClock, fault: Fault | None) -> bool:
        """What a process does; tells whether none has to come after it."""
        scope = trio.CancelScope(deadline=trio.current_time() + LONGEST)
        turns = TurnLimit(scope, partial(drop, clock))
        process = self._stage.begin(fault, scope)
        over = not self._comes_again
        with scope, _watched(turns):
            over = await self._visit(scope) or over
        if process.is_dead:
            return False
        if turns.is_spent:
            raise NeverEnds(
                f"the process took {turns.most} turns of trio's loop and is not over: it goes round and round"
            )
        if trio.current_time() >= scope.deadline:
            raise NeverEnds(
                f"the process still ran after {LONGEST / 86_400:.0f} virtual days: what it waits for never comes"
            )
        if over:
            await self._check(clock)
        return over

    async def _visit(self, scope: trio.CancelScope) -> bool:
        """Call the scenario; tells whether it came to an end, and was not stopped from outside."""
        lab = self._lab
        lab.outcome, lab.cancelled = None, False
        if self._cancel is None:
            lab.outcome = await self._scenario(lab)
            return True
        of, at = self._cancel.of, self._cancel.at
        stops: dict[CancelOf, Callable[[], object]] = {
            "scenario": scope.cancel,
            "run": self._cancel_runs,
            "interrupt": partial(signal.raise_signal, signal.SIGINT),
        }
        counts = (lambda: bool(self._stage.runs)) if of == "run" else lambda: True
        moments = Moments(trio.lowlevel.current_task(), counts, stops[of], at)
        lab.cancelled = True
        try:
            with _watched(moments):
                lab.outcome = await self._scenario(lab)
            lab.cancelled = False
            if of == "interrupt" and moments.passed > at:
                await trio.lowlevel.checkpoint()  # where it comes, if nobody has met it
        except BaseException as error:
            if not _is_all(error, _ANSWERS[of]):
                raise
        finally:
            self.moments = moments.passed
        if at >= moments.passed:
            raise ScenarioVaries(f"{self._cell}: there are but {moments.passed} moments")
        return of == "run" or not lab.cancelled

    def _cancel_runs(self) -> None:
        for run in self._stage.runs:
            run.cancel("the laboratory cancels it")

    async def _check(self, clock: MockClock) -> None:
        lab = self._lab
        if self._rules.check is None:
            return
        found = self._rules.check(lab)
        if inspect.isawaitable(found):
            with trio.move_on_after(LONGEST) as scope, _watched(TurnLimit(scope, partial(drop, clock))):
                async with lab.journal:
                    found = await found
            if scope.cancelled_caught:
                raise NeverEnds("the check does not come to an end")
        if found is False:
            raise AssertionError("the check returned False")


@contextmanager
def _watched(instrument: Instrument) -> Iterator[None]:
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)


def _failures() -> tuple[type[BaseException], ...]:
    """What a scenario or a check may fail with: also ``sys.exit``, and `pytest.fail`, but not `pytest.skip` or a Ctrl-C."""
    failed = getattr(getattr(sys.modules.get("pytest"), "fail", None), "Exception", None)
    return (Exception, SystemExit) if failed is None else (Exception, SystemExit, failed)


def _is_all(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether it is an error of these kinds, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(kinds)[1] is None
    return isinstance(error, kinds)


def comparable(outcome: object) -> object:
    """What must be the same however often the process dies: of a `RunResult` not the path, and not the time it took."""
    if isinstance(outcome, RunResult):
        return (outcome.run_id, outcome.state, outcome.data, outcome.in_doubt)
    return outcome
