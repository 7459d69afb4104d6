"""Scenarios, run with everything that can go wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Final, cast, final, get_args

from .._clock import monotonic
from .cell import Cancel, CancelOf, Cell, Fault, How
from .picture import Coverage, Met, met
from .play import Check, NothingToTry, Played, Rules, Scenario, ScenarioVaries, comparable, play
from .report import Replay, Report, ScenarioFailed, told
from .storage import OpenJournal

KINDS: Final[tuple[How, ...]] = ("before", "after", "reported-failed")
"""What happens at writes, by default."""

DEATHS: Final = frozenset({"before", "after"})
"""Of these a process dies."""


def explore_crashes(
    scenario: Scenario,
    *,
    check: Check | None = None,
    pairs: bool = False,
    kinds: Collection[How] = KINDS,
    journal: OpenJournal | None = None,
    every: int = 1,
    seed: int = 0,
) -> Report:
    """Run a scenario again and again, and each time have its process die at another write to the journal.

    The first time nothing happens; what the scenario returns then, it has to return each time. The process dies just before a
    write, or just after it; or it lives, and is told that the write failed, which was made. Then the scenario is called again,
    by another process, which finds what the journal holds.

    Args:
        scenario: the scenario; see `Laboratory`.
        check: asserts instead, each time at the end, what must hold of the laboratory: of its ``outcome``, its ``effects``; if
            it is async, of its ``journal``. It is for what need not be the same each time.
        pairs: have the next process die, too, at each of its writes.
        kinds: what happens at a write: ``"before"``, ``"after"``, ``"reported-failed"``, and ``"away"``: nothing can be
            written for now, which it is told.
        journal: makes the journal of a process in a folder; by default journals are in memory.
        every: try but every so manieth; what fails is then still made as simple as it gets.
        seed: the order of tasks.

    Returns:
        What was tried.

    Raises:
        ScenarioFailed: it failed, or did not return the same.
        NothingToTry: it makes no write.
        ScenarioVaries: it does not do the same each time.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> from cano_trio import RunContext, Workflow
    >>> from cano_trio.testing import Effects, explore_crashes
    >>> Step = Enum("Step", "PAY DONE")
    >>> workflow = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="orders")
    >>> @workflow.task(Step.PAY)
    ... async def pay(ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
    ...     effects.record("charge", ctx)  # whatever was charged before
    ...     return Step.DONE
    >>> async def scenario(lab):
    ...     await lab.run(workflow, run_id="order-1")
    >>> explore_crashes(scenario, check=lambda lab: lab.effects.of("charge").once())
    Traceback (most recent call last):
    cano_trio.testing.ScenarioFailed: crash:before:2,seed:0: AssertionError: charge: 2 in place of 1
      life 1  charge  order-1 PAY 1.1  key order-1/0
      life 2  charge  order-1 PAY 1.1  key order-1/0
    ...
    """
    kinds = [cast("How", kinds)] if isinstance(kinds, str) else kinds
    _check_known("kinds", kinds, How)
    _check_every(every)
    search = _Search(scenario, Rules(check=check, open_journal=journal), seed)
    writes = search.begin()
    if not writes:
        raise NothingToTry(
            "the scenario makes no write at which its process could die: have it call `lab.run`, or pass journal=lab.journal"
        )
    for at, cell in enumerate(_crashes(search, writes, kinds, pairs=pairs)):
        if at % every == 0:
            search.try_(cell)
    return search.report()


def explore_cancellations(
    scenario: Scenario,
    *,
    check: Check | None = None,
    of: CancelOf = "scenario",
    journal: OpenJournal | None = None,
    every: int = 1,
    seed: int = 0,
) -> Report:
    """Run a scenario again and again, and each time cancel it at another step.

    A step is each time that trio goes on with one of its tasks, or one begins to wait. A scenario that writes to the journal is
    then called again, as by a service that was stopped and is started anew; what it returns in the end has to be what it
    returns uncancelled. One that does not is over, ``lab.cancelled`` is true, and only a `check` can say what must hold.

    Args:
        scenario: the scenario; see `Laboratory`.
        check: asserts instead what must hold in the end, as in `explore_crashes`.
        of: what is cancelled: the ``"scenario"`` from outside, as by a deadline; all of it, by an ``"interrupt"``, that is a
            Ctrl-C; or each ``"run"`` that it has begun by `Laboratory.run`, as by `Run.cancel`. Then it is not called again: `RunCancelled` is its answer, and a scenario
            that lets it out is over, with ``lab.cancelled``.
        journal: as in `explore_crashes`.
        every: try but every so manieth step.
        seed: the order of tasks.

    Returns:
        What was tried.

    Raises:
        ScenarioFailed: it failed, or did not return the same.
        NothingToTry: it has no such step.
        ScenarioVaries: it does not do the same each time.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import RunContext, Workflow
    >>> from cano_trio.testing import Effects, explore_cancellations
    >>> Step = Enum("Step", "LOCK DONE")
    >>> workflow = Workflow(Step, initial=Step.LOCK, exits=[Step.DONE], name="doors")
    >>> @workflow.task(Step.LOCK)
    ... async def lock(ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
    ...     effects.record("lock", ctx)
    ...     await trio.sleep(1)
    ...     effects.record("unlock", ctx)  # not if it is cancelled
    ...     return Step.DONE
    >>> async def scenario(lab):
    ...     await lab.run(workflow, durable=False)
    >>> explore_cancellations(scenario, check=lambda lab: lab.effects.balanced("lock", "unlock"))
    Traceback (most recent call last):
    cano_trio.testing.ScenarioFailed: cancel:2,seed:0: AssertionError: effects: lock without unlock
      life 1  lock  doors-1 LOCK 1.1  key doors-1/0
    ...
    """
    search = _Search(scenario, Rules(check=check, open_journal=journal), seed)
    _check_known("of", [of], CancelOf)
    _check_every(every)
    search.begin()
    moments = search.moments(of)
    if not moments and of == "run":
        raise NothingToTry('the scenario begins no run by `lab.run`, and of="run" cancels these: cancel the "scenario"')
    if not moments:
        raise NothingToTry("the scenario never waits, so that there is no step at which it could be cancelled")
    for at in range(0, moments, every):
        search.try_(Cell(seed, cancel=Cancel(of, at)))
    return search.report()


def explore_schedules(
    scenario: Scenario,
    seeds: Iterable[int] = range(50),
    *,
    check: Check | None = None,
    journal: OpenJournal | None = None,
) -> Report:
    """Run a scenario again and again, each time with tasks in another order.

    Args:
        scenario: the scenario; see `Laboratory`.
        seeds: the orders.
        check: asserts what must hold in the end, in place of its returning the same each time.
        journal: as in `explore_crashes`.

    Returns:
        What was tried.

    Raises:
        ScenarioFailed: it failed, or did not return the same.
        ScenarioVaries: it does not do the same each time with the same seed.

    >>> import trio
    >>> from cano_trio.testing import explore_schedules
    >>> async def scenario(lab):
    ...     order = []
    ...     async def arrive(name):
    ...         order.append(name)
    ...     async with trio.open_nursery() as nursery:
    ...         nursery.start_soon(arrive, "first")
    ...         nursery.start_soon(arrive, "second")
    ...     return order
    >>> explore_schedules(scenario)
    Traceback (most recent call last):
    cano_trio.testing.ScenarioFailed: seed:1: AssertionError: it returned ['first', 'second'], and with nothing in its way ['second', 'first']
    ...
    """
    search = _Search(scenario, Rules(check=check, open_journal=journal), 0)
    search.begin()
    for seed in seeds:
        search.try_(Cell(seed))
    return search.report()


def explore(
    scenario: Scenario,
    *,
    check: Check | None = None,
    pairs: bool = False,
    seeds: Iterable[int] = range(50),
    journal: OpenJournal | None = None,
) -> Report:
    """Run a scenario under many schedules, every crash and every cancellation: all that the other explorers do.

    Args:
        scenario: the scenario; see `Laboratory`.
        check: asserts what must hold in the end, as in `explore_crashes`.
        pairs: have the next process die, too.
        seeds: the orders of tasks to try.
        journal: as in `explore_crashes`.

    Returns:
        What was tried, in one report.

    Raises:
        ScenarioFailed: it failed, or did not return the same.
        ScenarioVaries: it does not do the same each time with the same seed.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> from cano_trio import Workflow
    >>> from cano_trio.testing import explore
    >>> Step = Enum("Step", "GREET DONE FAILED")
    >>> workflow = Workflow(Step, initial=Step.GREET, exits=[Step.DONE, Step.FAILED], name="greeter")
    >>> @workflow.task(Step.GREET)
    ... async def greet() -> Literal[Step.DONE, Step.FAILED]:
    ...     return Step.DONE
    >>> async def scenario(lab):
    ...     return (await lab.run(workflow)).state
    >>> print(explore(scenario).coverage[0])
    greeter: 2 of 3 states, 1 of 2 edges; never FAILED, GREET -> FAILED
    """
    search = _Search(scenario, Rules(check=check, open_journal=journal), 0)
    writes = search.begin()
    for seed in seeds:
        search.try_(Cell(seed))
    for cell in _crashes(search, writes, KINDS, pairs=pairs):
        search.try_(cell)
    for at in range(search.moments("scenario")):
        search.try_(Cell(cancel=Cancel("scenario", at)))
    return search.report()


def replay(scenario: Scenario, name: str, *, check: Check | None = None, journal: OpenJournal | None = None) -> Replay:
    """Run one cell again, and tell all that happens in it.

    Args:
        scenario: the scenario.
        name: the cell, as a `ScenarioFailed` names it.
        check: that which the explorer was given.
        journal: that which the explorer was given.

    Returns:
        Its log, effects and picture, and what it failed with; ``print`` it.

    Raises:
        ValueError: there is no such name.
        ScenarioVaries: the scenario has no such write, or step.

    >>> async def scenario(lab):
    ...     lab.record("hello")
    ...     lab.effects.record("greet", to="mo")
    ...     return 1 / 0
    >>> print(replay(scenario, "seed:3"))
    seed:3: ZeroDivisionError: division by zero
    <BLANKLINE>
    log
      life 1     0.000 s  recorded 'hello'
      life 1     0.000 s  greet  to='mo'
    <BLANKLINE>
    effects
      life 1  greet  to='mo'
    """
    cell = Cell.named(name)
    is_schedule = cell == Cell(cell.seed)
    search = _Search(scenario, Rules(check=check, open_journal=journal), 0 if is_schedule else cell.seed)
    if not is_schedule or (check is None and cell.seed):
        with suppress(ScenarioFailed):  # then it is not compared with anything
            search.begin()
    played = search.play(cell)
    return Replay.of(played, search.judged(played))


def _check_known(option: str, given: Collection[str], known: object) -> None:
    if unknown := set(given) - set(get_args(known)):
        raise ValueError(f"{option} has {sorted(unknown)}: there are {', '.join(get_args(known))}")


def _check_every(every: int) -> None:
    if every < 1:
        raise ValueError(f"every is {every}: it takes 1 for all, 2 for every second one, and so on")


def _crashes(search: _Search, writes: int, kinds: Collection[How], *, pairs: bool) -> Iterator[Cell]:
    """All single crashes, and then those in which the next process dies, too."""
    seed = search.seed
    singles = [Cell(seed, (Fault(how, at),)) for at in range(1, writes + 1) for how in kinds]
    yield from singles
    if not pairs:
        return
    for single in singles:
        if single.faults[0].how in DEATHS:
            search.try_(single)  # unless it was tried
            later = sum(search.writes[single][1:2])  # none, where nothing was left to be written
            yield from (Cell(seed, (*single.faults, Fault(how, at))) for at in range(1, later + 1) for how in kinds)


@final
class _Search:
    """Cells that are tried one by one, until one fails.

    Args:
        scenario: the scenario.
        rules: how it is played.
        seed: the order of tasks in which nothing else happens to it, for comparison.
    """

    def __init__(self, scenario: Scenario, rules: Rules, seed: int) -> None:
        self.scenario = scenario
        self.rules = rules
        self.seed = seed
        self.writes: dict[Cell, tuple[int, ...]] = {}
        """How many writes the processes of each cell have made that did not fail."""
        self._expected: object = None
        self._is_durable = True
        """It writes to the journal: who is cancelled, comes again."""
        self._begun = monotonic()
        self._cells = 0
        self._lives = 0
        self._met: dict[str, Met] = {}
        self._workflows: dict[str, object] = {}

    def begin(self) -> int:
        """Play it undisturbed, twice; tells how many writes it makes.

        Raises:
            ScenarioFailed: it fails by itself.
            ScenarioVaries: it was not the same.
        """
        first, again = (self._play(Cell(self.seed)) for _ in range(2))
        if first.error is not None:
            raise self._failed(first, first.error) from first.error
        self._expected = comparable(first.lab.outcome)
        for what in _differences(first, again, self.rules):
            raise ScenarioVaries(what)
        self.writes[first.cell] = first.writes
        self._is_durable = first.writes[0] > 0
        return first.writes[0]

    def try_(self, cell: Cell) -> None:
        """Try a cell; one that has passed is not tried again.

        Raises:
            ScenarioFailed: it fails; named for the simplest that fails as well.
        """
        if cell in self.writes:
            return
        played = self._play(cell)
        error = self.judged(played)
        if error is None:
            self.writes[cell] = played.writes
            return
        played, error = self._simplest(played, error)
        raise self._failed(played, error) from error

    def judged(self, played: Played) -> BaseException | None:
        """What is wrong with how a cell ended."""
        if played.error is not None or self.rules.check is not None or played.lab.cancelled:
            return played.error
        outcome = comparable(played.lab.outcome)
        if outcome == self._expected:
            return None
        return AssertionError(f"it returned {outcome!r}, and with nothing in its way {self._expected!r}")

    def moments(self, of: CancelOf) -> int:
        """At how many moments this could be cancelled."""
        return play(self.scenario, Cell(self.seed), self.rules, count=of).moments

    def report(self, failure: str | None = None) -> Report:
        """What was tried so far."""
        return Report(
            cells=self._cells,
            lives=self._lives,
            seconds=monotonic() - self._begun,
            coverage=tuple(Coverage.of(name, self._workflows.get(name), was) for name, was in self._met.items()),
            failure=failure,
        )

    def play(self, cell: Cell) -> Played:
        """Play a cell."""
        return play(self.scenario, cell, self.rules, comes_again=self._is_durable)

    def _play(self, cell: Cell) -> Played:
        played = self.play(cell)
        self._cells += 1
        self._lives += played.lab.life
        self._workflows |= played.lab.workflows
        for name, was in met(played.lab.events).items():
            self._met.setdefault(name, Met()).add(was)
        return played

    def _simplest(self, played: Played, error: BaseException) -> tuple[Played, BaseException]:
        for cell in played.cell.simpler():
            if cell in self.writes:
                continue
            try:
                simpler = self._play(cell)
            except ScenarioVaries:
                continue  # there is no such write, or step
            if (failure := self.judged(simpler)) is not None:
                return self._simplest(simpler, failure)
            self.writes[cell] = simpler.writes
        return played, error

    def _failed(self, played: Played, error: BaseException) -> ScenarioFailed:
        name = str(played.cell)
        return ScenarioFailed(name, told(played, error), self.report(name))


def _differences(first: Played, again: Played, rules: Rules) -> Iterator[str]:
    """What tells two plays of the same cell apart."""
    if first.writes != again.writes:
        yield f"with seed {first.cell.seed} it made {first.writes[0]} writes, and then {again.writes[0]}"
    for one, other in zip(map(str, first.lab.writes), map(str, again.lab.writes), strict=False):
        if one != other:
            yield f"with seed {first.cell.seed} it wrote {one.strip()!r}, and then {other.strip()!r}"
    if again.error is not None:
        yield f"with seed {first.cell.seed} it passed, and then failed with {again.error!r}"
    outcome, other_outcome = comparable(first.lab.outcome), comparable(again.lab.outcome)
    if rules.check is None and outcome != other_outcome:
        yield f"with seed {first.cell.seed} it returned {outcome!r}, and then {other_outcome!r}"
