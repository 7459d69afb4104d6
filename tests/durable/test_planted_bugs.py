"""The model and the deaths see what they are for: each bug that is planted in the engine is caught by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cano_trio import CanoError, RunContext
from cano_trio._engine import conduct, placing, unwritten, writing
from cano_trio._engine.commits import Commits
from cano_trio._engine.resume import Revival
from cano_trio._engine.run import Run
from cano_trio._engine.run_journal import RunJournal
from cano_trio.journals import Commit, MemoryJournal
from cano_trio.testing import ScenarioFailed, explore_crashes
from tests.durable.crashing import scenario
from tests.durable.oracle import writes
from tests.durable.scenes import SCENES
from tests.durable.scripted import How
from tests.durable.test_oracle import EVERYTHING, HOWS, check_effects, live

Plant = Callable[[pytest.MonkeyPatch], None]


def nothing(name: str) -> Plant:
    """A write that is forgotten."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(RunJournal, name, getattr(unwritten.Unwritten, name))

    return plant


def changed(**changes: Any) -> Plant:
    """All commits are made without a part."""
    return lambda patch: change_commits(patch, lambda commit: replace(commit, **changes))


def in_rows(**changes: Any) -> Plant:
    """All rows of the log are written without a part, or with a wrong one."""

    def wrong(row: Any) -> Any:
        return replace(row, **{name: change(row) for name, change in changes.items()})

    return lambda patch: change_commits(patch, lambda commit: replace(commit, log=tuple(map(wrong, commit.log))))


def change_commits(patch: pytest.MonkeyPatch, change: Callable[[Commit], Commit]) -> None:
    """Have commits changed on their way to the journal, be it alone or with those of a run whose child this one is."""
    commit, end_inside = Commits.commit, Commits.end_inside
    patch.setattr(Commits, "commit", lambda self, one, begun=(): commit(self, change(one), begun))
    patch.setattr(Commits, "end_inside", lambda self, one, begun: end_inside(self, change(one), begun))


class Late:
    """A journal that writes each commit of a run when the next one comes, and acknowledges it before."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal
        self.late: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    async def commit(self, commit: Any) -> int:
        if self.late is not None:
            await self.journal.commit(self.late)
        self.late = commit
        if commit.position.status.ended:
            await self.journal.commit(commit)
        return 0


def acknowledged_early(patch: pytest.MonkeyPatch) -> None:
    """A commit counts before it is written: what comes between is lost."""
    make = Commits.__init__

    def make_late(self: Commits, journal: Any, run: Run, version: int) -> None:
        make(self, Late(journal), run, version)

    patch.setattr(Commits, "__init__", make_late)


def a_router_leaves_no_pointer(patch: pytest.MonkeyPatch) -> None:
    """The next state begins before its choice is written down."""
    finish = RunJournal.finish

    async def finish_others(self: RunJournal, step: Any, following: Any, failure: Any = None) -> None:
        if step.counts or following.advance is None:
            await finish(self, step, following, failure)

    patch.setattr(RunJournal, "finish", finish_others)


def a_rollback_turns_forward(patch: pytest.MonkeyPatch) -> None:
    """A resume takes a run that was being undone for one that runs."""
    take = Revival.run

    async def forward(self: Revival, *args: Any) -> Run:
        run = await take(self, *args)
        run.undoes, run.failure = False, None
        return run

    patch.setattr(Revival, "run", forward)


def a_lost_lease_compensates(patch: pytest.MonkeyPatch) -> None:
    """A run that another process has taken over is undone."""
    undone = conduct._undone

    async def left(run: Run, workflow: Any, error: BaseException) -> BaseException:
        run.durable = False
        run.journal = unwritten.UNWRITTEN
        return await undone(run, workflow, error)

    patch.setattr(conduct, "_left", left)


def nothing_is_read_back(patch: pytest.MonkeyPatch) -> None:
    """What was written but reported as failed counts as failed."""

    async def never(_: object, failure: Exception, _commit: object) -> None:
        raise failure

    patch.setattr(writing, "confirmed", never)


def a_timer_begins_anew(patch: pytest.MonkeyPatch) -> None:
    """A resumed timer sleeps for its whole time again."""
    patch.setattr(RunJournal, "due_at", property(lambda _: None))


def keys_have_a_random_part(patch: pytest.MonkeyPatch) -> None:
    """Each process has keys of its own."""
    key: Any = RunContext.idempotency_key
    patch.setattr(RunContext, "idempotency_key", property(lambda self: f"{key.fget(self)}#{id(self._run)}"))


def cursors_of_the_last_visit_are_taken(patch: pytest.MonkeyPatch) -> None:
    """What a visit leaves behind is not forgotten, and the next visit begins there."""
    changed(forget_cursors=None, forget_outcomes=None)(patch)
    hold = placing._hold_places

    def hold_all(reading: Any, run: Run, stored: Any, journal: Any) -> None:
        seq = stored.record.position.seq
        cursors = tuple(replace(row, seq=seq) for row in stored.cursors)
        outcomes = tuple(replace(row, seq=seq) for row in stored.outcomes)
        hold(reading, run, replace(stored, cursors=cursors, outcomes=outcomes), journal)

    patch.setattr(placing, "_hold_places", hold_all)


PLANTS: dict[str, Plant] = {
    "acknowledge before the commit": acknowledged_early,
    "forget the inbox delete": changed(consumed=()),
    "forget the data": changed(data=None),
    "forget the log": changed(log=()),
    "forget the end of a child": changed(along=()),
    "forget the cursor": nothing("keep"),
    "forget the outcome of a branch": nothing("keep_outcomes"),
    "forget that a rollback has begun": nothing("roll_back"),
    "forget what is undone": nothing("undone"),
    "forget the due time": nothing("wait_until"),
    "forget the end": nothing("end"),
    "forget the receipt": in_rows(receipt=lambda _: None),
    "swap sequences": in_rows(seq=lambda row: row.seq ^ 1),
    "run the next state before its choice is written": a_router_leaves_no_pointer,
    "go forward from a rollback": a_rollback_turns_forward,
    "compensate on a lost lease": a_lost_lease_compensates,
    "believe a failure without reading back": nothing_is_read_back,
    "keys with a random part": keys_have_a_random_part,
    "sleep anew": a_timer_begins_anew,
    "go on at an earlier visit's cursor": cursors_of_the_last_visit_are_taken,
}


def search() -> None:
    """Die at each write of the script with everything, in every way."""
    how: How
    for how in HOWS:
        for at in range(1, len(writes(EVERYTHING)) + 1):
            check_effects(EVERYTHING, *live(EVERYTHING, [(at, how)], MemoryJournal()))


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this bug in the engine, some death leaves what the model does not say."""
    plant(monkeypatch)
    with pytest.raises((AssertionError, CanoError, BaseExceptionGroup, KeyError)):
        search()


FOUND_IN = {
    "acknowledge before the commit": "tasks",
    "forget the inbox delete": "receive",
    "forget the data": "tasks",
    "forget the log": "saga fails",
    "forget the end of a child": "child undone",
    "forget the cursor": "split over",
    "forget the outcome of a branch": "split all",
    "forget that a rollback has begun": "saga fails",
    "forget what is undone": "saga fails",
    "forget the end": "saga fails",
    "forget the receipt": "saga fails",
    "swap sequences": "tasks",
    "go forward from a rollback": "saga fails",
    "compensate on a lost lease": "saga fails",
    "believe a failure without reading back": "tasks",
    "keys with a random part": "saga fails",
    "go on at an earlier visit's cursor": "split all",
}
"""In which scene the laboratory finds each; the others show in when things happen, or by which way, and not in how they end."""


@pytest.mark.parametrize("name", FOUND_IN)
def test_the_laboratory_finds_it_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this bug in the engine a scene fails, and the failure has a name."""
    PLANTS[name](monkeypatch)
    with pytest.raises(ScenarioFailed, match=r"^(crash:[a-z-]+:\d+,)?seed:0: "):
        explore_crashes(scenario(SCENES[FOUND_IN[name]]))
