"""The explorers find what is planted, name it, and play it again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Literal

import pytest
import trio

from cano_trio import RunCancelled, RunContext, RunStatus
from cano_trio.journals import SqliteJournal
from cano_trio.testing import (
    CancelOf,
    Check,
    Effects,
    Laboratory,
    NeverEnds,
    NothingToTry,
    Report,
    Scenario,
    ScenarioFailed,
    ScenarioVaries,
    explore,
    explore_cancellations,
    explore_crashes,
    explore_schedules,
    replay,
)
from tests.testing.scenes import Notes, Step, client, note, three_states

GOOD = client(three_states())


async def twice(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.C]:
    """A bug: its service is told once more after a crash."""
    effects.record("pay", ctx)
    await note(notes, ctx, effects)
    return Step.C


async def counts(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.C]:
    """A bug: what it notes is not the same after a crash."""
    effects.record("count", ctx)
    notes.lines.append(f"{len(effects.of('count'))}")
    return Step.C


def paid_once(lab: Laboratory) -> None:
    lab.effects.of("pay").once()


# -- crashes


def test_every_write_is_met_by_every_fault() -> None:
    """A run of three states makes four writes; two plays of it undisturbed, and three faults at each."""
    report = explore_crashes(GOOD)
    assert report.cells == 2 + 4 * 3
    assert report.lives == 2 + 4 * (2 + 2 + 1)
    assert report.failure is None


def test_the_other_explorations_of_crashes() -> None:
    """A slice, other kinds of faults, and pairs, in which each write of the second process is met, too."""
    assert explore_crashes(GOOD, every=3).cells == 2 + 4
    assert explore_crashes(GOOD, kinds=["before", "away"]).cells == 2 + 4 * 2
    # Where the first process dies before the run is there, the second makes four writes; else it asks, claims, and goes on.
    writes = [4, 5, 5, 4, 4, 3, 3, 1]
    assert explore_crashes(GOOD, pairs=True).cells == 2 + 4 * 3 + 3 * sum(writes)


def test_a_process_that_has_nothing_left_to_write_is_not_met() -> None:
    """Where a client that comes again finds all done, a pair has no second crash."""

    async def scenario(lab: Laboratory) -> None:
        if lab.life > 1:
            async with lab.journal as journal:
                if any(run.position.status is RunStatus.COMPLETED for run in await journal.runs()):
                    return
        await lab.run(three_states(), Notes(), run_id="r")

    singles = 2 + 4 * 3
    assert explore_crashes(scenario).cells == singles
    assert explore_crashes(scenario, pairs=True).cells == singles + 3 * (4 + 5 + 5 + 4 + 4 + 3 + 3)


def test_an_effect_made_again_after_a_crash_is_found() -> None:
    """The task's own commit is the first write at which its process must not die: the third, as the run's creation is the first."""
    with pytest.raises(ScenarioFailed) as caught:
        explore_crashes(client(three_states(B=twice)), check=paid_once)
    assert caught.value.name == "crash:before:3,seed:0"
    assert caught.value.report.failure == "crash:before:3,seed:0"
    assert isinstance(caught.value.__cause__, AssertionError)
    text = str(caught.value)
    assert text.startswith(
        "crash:before:3,seed:0: AssertionError: pay: 2 in place of 1\n  life 1  pay  r B 1.1  key r/1\n"
    )
    assert 'replay(scenario, "crash:before:3,seed:0", ...)' in text
    assert "  life 1     2.000 s   3 commit r: finished B, running in C   <-- crash before it" in text
    assert "  >   B  (twice)\n  >     --> C" in text


def test_without_a_check_the_uncrashed_outcome_is_the_oracle() -> None:
    """What is returned after a crash has to be what is returned without."""
    with pytest.raises(ScenarioFailed, match=r"^crash:before:3,seed:0: AssertionError: it returned \['A', '2', 'C'\]"):
        explore_crashes(client(three_states(B=counts)))


def test_what_fails_by_two_crashes_only_is_named_by_both() -> None:
    """A bug that shows when a task is begun for the third time takes a pair, and the pair is the simplest."""

    async def thrice(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.C]:
        effects.record("pay", ctx)
        if len(effects.of("pay")) == 3:
            notes.lines.append("three")
        return Step.C

    scenario = client(three_states(B=thrice))
    explore_crashes(scenario)
    with pytest.raises(ScenarioFailed) as caught:
        explore_crashes(scenario, pairs=True)
    # The first write of the second process asks for the run, the second claims it, the third finishes B.
    assert caught.value.name == "crash:before:3,crash:before:3,seed:0"
    assert str(replay(scenario, caught.value.name).error) == str(caught.value.__cause__)


@pytest.mark.parametrize("every, seed", [(3, 0), (1, 5), (3, 5)])
def test_what_is_found_is_made_as_simple_as_it_gets(every: int, seed: int) -> None:
    """A slice meets the bug at a later write, and another seed in another order: its name is of the first write, and of seed 0."""

    async def mails(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
        effects.record("mail", ctx)
        return Step.DONE

    with pytest.raises(ScenarioFailed) as caught:
        explore_crashes(
            client(three_states(B=twice, C=mails)),
            check=lambda lab: lab.effects.at_most_once_per_key(),
            kinds=["before"],
            every=every,
            seed=seed,
        )
    assert caught.value.name == "crash:before:3,seed:0"


def test_a_dead_process_does_nothing_more() -> None:
    """What its tasks do in `finally`, or beside the one that met the crash, reaches neither effects, records nor the journal."""

    async def scenario(lab: Laboratory) -> None:
        async def beside() -> None:
            try:
                await trio.sleep_forever()
            finally:
                lab.effects.record("late")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beside)
                await lab.run(three_states(), Notes(), run_id="r")
                nursery.cancel_scope.cancel()
        finally:
            lab.record(lab.life)

    def check(lab: Laboratory) -> None:
        assert [one.life for one in lab.effects.of("late")] == [lab.life]
        assert lab.records == (lab.life,)
        assert {run.life for run in lab.log if "crash" in str(run)} <= {1}

    assert explore_crashes(scenario, check=check, kinds=["before", "after"]).cells == 10


def test_a_check_may_look_into_the_journal() -> None:
    """An async check finds the runs as they are in the end."""

    async def check(lab: Laboratory) -> None:
        record = (await lab.journal.load("r")).record
        assert record.position.status.value == "completed"
        assert len(await lab.journal.history("r")) == 3

    assert explore_crashes(GOOD, check=check).failure is None


def test_journals_in_files_crash_too() -> None:
    """Each process opens a SQLite file as the last one left it at its death."""
    report = explore_crashes(GOOD, journal=lambda folder: SqliteJournal(folder / "runs.db"))
    assert (report.cells, report.failure) == (14, None)
    with pytest.raises(ScenarioFailed) as caught:
        explore_crashes(
            client(three_states(B=twice)), check=paid_once, journal=lambda folder: SqliteJournal(folder / "runs.db")
        )
    assert caught.value.name == "crash:before:3,seed:0"


# -- cancellations


async def forgets(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.C]:
    """A bug: a cancel between the two leaves the door open."""
    effects.record("open", ctx)
    await note(notes, ctx, effects)
    effects.record("close", ctx)
    return Step.C


def closed(lab: Laboratory) -> None:
    lab.effects.balanced("open", "close")


@pytest.mark.parametrize(
    "of, pattern",
    [
        ("scenario", r"^cancel:\d+,seed:0: "),
        ("run", r"^cancel:run:\d+,seed:0: "),
        ("interrupt", r"^cancel:interrupt:\d+,seed:0: "),
    ],
)
def test_a_cancel_at_a_bad_step_is_found(of: CancelOf, pattern: str) -> None:
    """However it is cancelled: while the task sleeps, the door is open."""
    scenario = client(three_states(B=forgets), durable=False)
    with pytest.raises(ScenarioFailed, match=pattern) as caught:
        explore_cancellations(scenario, check=closed, of=of)
    assert str(replay(scenario, caught.value.name, check=closed).error) == str(caught.value.__cause__)


def test_a_durable_scenario_comes_again_after_a_cancel() -> None:
    """It is called again, goes on with the run, and returns what it returns uncancelled."""
    report = explore_cancellations(GOOD)
    assert report.cells > 20
    assert report.lives > report.cells + 20
    with pytest.raises(ScenarioFailed, match=r"^cancel:\d+,seed:0: AssertionError: it returned \['A', '2', 'C'\]"):
        explore_cancellations(client(three_states(B=counts_slowly)))


async def counts_slowly(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.C]:
    effects.record("count", ctx)
    await trio.sleep(1)
    notes.lines.append(f"{len(effects.of('count'))}")
    return Step.C


def test_a_cancelled_run_answers_its_client() -> None:
    """`RunCancelled` is an answer, which a scenario may take; one that lets it out is cancelled."""
    seen: set[tuple[bool, object]] = set()

    async def scenario(lab: Laboratory) -> str:
        try:
            await lab.run(three_states(), Notes())
        except RunCancelled:
            return "cancelled"
        return "done"

    explore_cancellations(scenario, of="run", check=lambda lab: seen.add((lab.cancelled, lab.outcome)))
    assert seen == {(False, "cancelled"), (False, "done")}
    seen.clear()
    explore_cancellations(GOOD, of="run", check=lambda lab: seen.add((lab.cancelled, bool(lab.outcome))))
    assert seen == {(True, False), (False, True)}


# -- schedules


async def races(lab: Laboratory) -> list[int]:
    """A bug: three tasks, and the order in which they come."""
    order: list[int] = []

    async def come(number: int) -> None:
        await trio.sleep(1)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(come, number)
    return order


def test_an_order_of_tasks_that_matters_is_found() -> None:
    """One of fifty orders gives another outcome, and its seed names it."""
    with pytest.raises(ScenarioFailed, match=r"^seed:\d+: AssertionError: it returned \[") as caught:
        explore_schedules(races)
    again = replay(races, caught.value.name)
    assert str(again.error) == str(caught.value.__cause__)
    assert explore_schedules(races, check=print).cells == 51


# -- all of it


def test_explore_does_all_three() -> None:
    """Orders, crashes and cancellations in one report, with what of the workflow was met."""
    report = explore(GOOD, seeds=range(5))
    cancelled = explore_cancellations(GOOD)
    assert report.cells == 2 + 4 + 12 + (cancelled.cells - 2)
    (coverage,) = report.coverage
    assert (coverage.workflow, len(coverage.states), coverage.missing_states) == ("three", 4, (Step.NEVER,))
    assert coverage.missing_edges == ((Step.A, Step.NEVER),)
    assert str(report).endswith("\n  three: 4 of 5 states, 3 of 4 edges; never NEVER, A -> NEVER")


@pytest.mark.parametrize(
    "tasks, check, name",
    [({"B": twice}, paid_once, "crash:before:3,seed:0"), ({"B": counts}, None, "crash:before:3,seed:0")],
)
def test_explore_finds_what_is_planted(tasks: Any, check: Any, name: str) -> None:
    """It names what it finds as the explorer of that does."""
    with pytest.raises(ScenarioFailed) as caught:
        explore(client(three_states(**tasks)), check=check, seeds=[0])
    assert caught.value.name == name


# -- replay


def test_a_replay_tells_all() -> None:
    """The same error, every event of every life, the effects, and the picture with the way lit."""
    scenario = client(three_states(B=twice))
    again = replay(scenario, "crash:before:3,seed:0", check=paid_once)
    assert str(again.error).startswith("pay: 2 in place of 1")
    assert [type(event).__name__ for event in again.events][:4] == [
        "RunStarted",
        "StateEntered",
        "Committed",
        "TaskSucceeded",
    ]
    assert [effect.life for effect in again.effects if effect.name == "pay"] == [1, 2]
    assert again.picture.splitlines()[:4] == ["three", "> * A  (a)", ">     --> B", "      --> NEVER"]
    assert "life 2     4.000 s  RunResumed r B seq=1" in str(again)
    fine = replay(scenario, "crash:after:3,seed:0", check=paid_once)
    assert (fine.error, fine.outcome) == (None, ["A", "B", "C"])


@pytest.mark.parametrize(
    "name", ["", "crash", "crash:soon:1", "crash:before:x", "cancel:-1", "seed", "seed:1;cancel:2"]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """The error shows the names that there are."""
    with pytest.raises(ValueError, match="is no name of a cell: there are crash:before:3, "):
        replay(GOOD, name)


@pytest.mark.parametrize("name", ["crash:before:99", "crash:reported-failed:1,crash:after:1", "cancel:9999"])
def test_a_cell_that_is_not_there_is_refused(name: str) -> None:
    """A write, a process or a step that the scenario does not come to is told, and nothing is passed off as tried."""
    with pytest.raises(ScenarioVaries, match=r"^(crash|cancel):"):
        replay(GOOD, name)


# -- scenarios that are no good


def test_a_scenario_that_fails_by_itself_is_named_by_its_seed() -> None:
    """No fault is needed, and its own error is the cause."""

    async def scenario(lab: Laboratory) -> None:
        await lab.run(three_states(), Notes())
        raise KeyError("oops")

    with pytest.raises(ScenarioFailed, match=r"^seed:0: KeyError: 'oops'") as caught:
        explore_crashes(scenario)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_scenario_that_varies_is_refused() -> None:
    """Another number of writes, or another outcome, with the same seed."""
    numbers = count()

    async def writes_more(lab: Laboratory) -> None:
        for _ in range(next(numbers)):
            await lab.run(three_states(), Notes())

    with pytest.raises(ScenarioVaries, match="with seed 0 it made 0 writes, and then 4"):
        explore_crashes(writes_more)

    async def returns_other(lab: Laboratory) -> object:
        return next(numbers)

    with pytest.raises(ScenarioVaries, match=r"with seed 0 it returned \d+, and then \d+"):
        explore_crashes(returns_other)


def test_a_scenario_that_waits_for_ever_is_a_failure() -> None:
    """A deadlock after a crash ends in 400 virtual days, and has a name."""

    async def scenario(lab: Laboratory) -> None:
        await lab.run(three_states(), Notes(), run_id="r")
        if lab.life == 2:
            await trio.sleep_forever()

    with pytest.raises(
        ScenarioFailed, match=r"^crash:before:1,seed:0: NeverEnds: the process still ran after"
    ) as caught:
        explore_crashes(scenario)
    assert isinstance(caught.value.__cause__, NeverEnds)


def test_a_scenario_that_makes_no_progress_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes round and round while no time passes is stopped, too."""
    monkeypatch.setattr("cano_trio.testing.moments.MOST_TURNS", 1_000)

    async def scenario(lab: Laboratory) -> None:
        while lab.life:
            await trio.lowlevel.checkpoint()

    with pytest.raises(
        ScenarioFailed, match=r"^seed:0: NeverEnds: the process took 1000 turns of trio's loop"
    ) as caught:
        explore_schedules(scenario)
    assert isinstance(caught.value.__cause__, NeverEnds)


async def _catches_all(lab: Laboratory) -> None:
    finished = False
    while not finished:
        with suppress(BaseException):
            await lab.run(three_states(), Notes(), run_id="r")
            finished = True


async def _catches_cancels(_: Laboratory) -> None:
    while True:
        with suppress(trio.Cancelled):
            await trio.sleep(86_400)


async def _waits_in_a_shield(lab: Laboratory) -> None:
    try:
        await lab.run(three_states(), Notes(), run_id="r")
    except trio.Cancelled:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


@pytest.mark.parametrize(
    "explorer, scenario, expected",
    [
        (explore_crashes, _catches_all, "crash:before:1,seed:0: NeverEnds: the process died, and goes on: "),
        (explore_cancellations, _waits_in_a_shield, "cancel:"),
        (explore_schedules, _catches_cancels, "seed:0: NeverEnds: the process was cancelled, and goes on: "),
    ],
)
def test_who_can_not_be_stopped_is_dropped(
    explorer: Callable[[Scenario], Report], scenario: Scenario, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that catches what stops it, or waits in a shield, neither hangs the search nor passes."""
    monkeypatch.setattr("cano_trio.testing.moments.LAST_TURNS", 500)
    with pytest.raises(ScenarioFailed) as caught:
        explorer(scenario)
    assert str(caught.value).startswith(expected)
    assert "catches Cancelled or BaseException" in str(caught.value)
    assert isinstance(replay(scenario, caught.value.name).error, NeverEnds)
    assert explore_crashes(GOOD).failure is None


def test_unknown_kinds_of_faults_are_refused() -> None:
    """The error lists those that there are."""
    with pytest.raises(ValueError, match="kinds has \\['softly'\\]: there are before, after, reported-failed, away"):
        explore_crashes(GOOD, kinds=["softly"])  # type: ignore[list-item]


def test_an_explorer_is_refused_inside_a_trio_run() -> None:
    """An async test is told to be a plain one."""

    async def main() -> None:
        await trio.lowlevel.checkpoint()
        explore_crashes(GOOD)

    with pytest.raises(RuntimeError, match="in place of `async def test_it"):
        trio.run(main)


# -- what would pass without being tried


async def _looks_on(lab: Laboratory) -> int:
    await trio.lowlevel.checkpoint()
    return len(lab.effects)


def test_a_scenario_with_nothing_to_try_is_refused() -> None:
    """No write to crash at, no run or step to cancel: a pass would say nothing."""
    with pytest.raises(NothingToTry, match=r"pass journal=lab\.journal"):
        explore_crashes(_looks_on)
    with pytest.raises(NothingToTry, match=r"begins no run by `lab\.run`"):
        explore_cancellations(_looks_on, of="run")
    assert explore(_looks_on).failure is None


def test_what_can_not_make_a_journal_is_told() -> None:
    """Its own error is the cause, and not one of the laboratory's."""
    with pytest.raises(ScenarioFailed, match="'int' object is not callable"):
        explore_crashes(GOOD, journal=7)  # type: ignore[arg-type]


def test_options_that_would_try_nothing_are_refused() -> None:
    """An unknown target of cancels, and a slice of nothing, say what there is; a single kind may be a text."""
    with pytest.raises(ValueError, match=r"of has \['runs'\]: there are scenario, run, interrupt"):
        explore_cancellations(GOOD, of="runs")  # type: ignore[arg-type]
    for slices in (explore_crashes, explore_cancellations):
        with pytest.raises(ValueError, match="every is 0"):
            slices(GOOD, every=0)
    assert explore_crashes(GOOD, kinds="before").cells == 2 + 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    ["crash:before:0", "seed:0,seed:1", "cancel:1,cancel:run:2", "seed:--1", "crash:after:\u0663", "cancel:interrupt"],
)
def test_names_of_no_cell_are_refused(name: str) -> None:
    """Nothing else is played in place of what was meant."""
    with pytest.raises(ValueError, match=r"is no name of a cell|twice"):
        replay(GOOD, name)


def _fails(lab: Laboratory) -> None:
    if lab.life > 1:
        pytest.fail("it came again")


def _exits(lab: Laboratory) -> None:
    if lab.life > 1:
        sys.exit("it came again")


def _is_false(lab: Laboratory) -> bool:
    return lab.life == 1


async def _never_says(lab: Laboratory) -> None:
    if lab.life > 1:
        await trio.sleep_forever()


@pytest.mark.parametrize(
    "check, expected",
    [
        (_fails, "Failed: it came again"),
        (_exits, "SystemExit: it came again"),
        (_is_false, "AssertionError: the check returned False"),
        (_never_says, "NeverEnds: the check does not come to an end"),
    ],
)
def test_however_a_check_fails_the_cell_is_named(check: Check, expected: str) -> None:
    """By pytest.fail, by leaving, by returning False, or by never saying anything."""
    with pytest.raises(ScenarioFailed) as caught:
        explore_crashes(GOOD, check=check)
    assert str(caught.value).startswith(f"crash:before:1,seed:0: {expected}")


def test_a_check_may_skip_its_test() -> None:
    """That is for pytest, and no failure."""
    with pytest.raises(pytest.skip.Exception):
        explore_crashes(GOOD, check=lambda _: pytest.skip("not here"))
