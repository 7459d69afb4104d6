"""Whatever a script does and wherever its process dies, the journal holds what a plain model of the promises says."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any, get_args

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import LeaseLost, RecordedFailure, RunAlreadyEnded, RunFailed, RunReleased, RunStatus
from cano_trio.journals import Journal, MemoryJournal, SqliteJournal
from tests.durable.oracle import BRANCHES, STEPS, Script, Step, Written, writes, writes_after
from tests.durable.scripted import Died, Dying, Go, How, Ledger, ScriptFailed, scripted

HOWS: tuple[How, ...] = get_args(How)
INSTRUCTIONS = ("TASK", "SAGA", "TIMER", "RECEIVE", "STEPS", "SPLIT", "CHILD")

EVERYTHING = (*INSTRUCTIONS, "RECEIVE", "SAGA", "FAIL")

scripts = st.lists(st.sampled_from((*INSTRUCTIONS, "FAIL")), max_size=5).map(
    lambda script: script[: script.index("FAIL") + 1] if "FAIL" in script else script
)
deaths = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(("before", "after", "told failed", "lost"))), max_size=3
)

Death = tuple[int, How]


def attempt_to_end(journal: Dying, script: Sequence[str], ledger: Ledger, now: float) -> float:
    """One process: it runs the script, or goes on with it, and a client sends what it waits for, as often as it takes.

    It begins at an instant, and the instant at which it ends is given.
    """
    workflow = scripted(ledger)
    clock = MockClock(autojump_threshold=0 if isinstance(journal.inner, MemoryJournal) else 0.02)
    clock.jump(now)
    ended = now

    async def client(nursery: trio.Nursery) -> None:
        run: Any = await nursery.start(
            partial(workflow.run, Script([*script]), run_id="r", journal=journal, on_duplicate="attach")
        )
        for number in range(script.count("RECEIVE")):
            try:
                await run.send(Go(number), key=f"go {number}")
            except (RunAlreadyEnded, RunReleased):
                return

    async def process() -> None:
        nonlocal ended
        async with journal:
            try:
                async with trio.open_nursery() as nursery:
                    await client(nursery)
            except* (ScriptFailed, RecordedFailure, RunFailed, LeaseLost):
                pass
            finally:
                ended = trio.current_time()

    try:
        trio.run(process, clock=clock)
    except BaseExceptionGroup as group:
        if group.split(Died)[1] is not None:
            raise
    except Died:
        pass
    return ended


def found(journal: Journal) -> Written | None:
    """What stands in the journal."""

    async def look() -> Written | None:
        async with journal:
            if not await journal.runs():
                return None
            stored, history = await journal.load("r"), await journal.history("r")
            position = stored.record.position
            if position.status.ended:  # and all that did its work
                assert all(run.position.status.ended for run in await journal.runs(parent="r"))
                assert not stored.cursors
                assert not stored.messages or "RECEIVE" not in [row.state for row in history]
            data = json.loads(stored.data)
            return Written(
                position.state,
                position.status,
                position.seq,
                (data["at"], data["steps"]),
                tuple(row.state for row in history if row.kind == "finished" and not row.part and row.next),
                tuple(row.seq for row in history if row.kind == "undone"),
            )

    return trio.run(look)


def live(script: Sequence[str], deaths: Sequence[Death], inner: Journal) -> tuple[Ledger, int, float]:
    """Live through some deaths, and then to the end; after each the journal is as the model says.

    Gives what the outside world saw, how many processes died, and at what instant it was over.
    """
    ledger = Ledger()
    every = writes(script)
    done = crashes = 0
    now = 0.0
    for at, how in (*deaths, (0, "before")):
        left = writes_after(every, done)
        journal = Dying(inner, at, how)
        now = attempt_to_end(journal, script, ledger, now)
        if done == len(every):
            break
        if journal.dead or journal.lost:
            crashes += 1
            reached = at - (how in {"before", "lost"})
            done = len(every) - len(left) + reached if done == 0 else _done_after(every, left, reached, done)
        else:
            done = len(every)
            assert journal.made == [_call(write) for write in left]
        expected = every[done - 1] if done else None
        actual = found(inner)
        assert actual == (expected and _comparable(expected))
    return ledger, crashes, now


def _done_after(every: Sequence[Written], left: Sequence[Written], reached: int, done: int) -> int:
    """How many of all writes are done, when so many of those that were left are."""
    claims = sum(write.by in {"claim", "claim child"} for write in left[:2])
    skipped = len(left) - claims - (len(every) - done)  # the child's claim, which came with the run's
    return done - skipped + max(reached - claims, 0) if reached > claims else done


def _call(write: Written) -> str:
    return {"child": "commit", "claim child": "claim"}.get(write.by, write.by)


def _comparable(write: Written) -> Written:
    return Written(write.state, write.status, write.seq, write.data, write.finished, write.undone)


def check_effects(script: Sequence[str], ledger: Ledger, crashes: int, ended: float) -> None:
    """Every piece of work began under one key, as often as processes died in it at most; and what was done was undone."""
    assert ended == pytest.approx(60 * script.count("TIMER"))
    for call in set(ledger.calls):
        assert ledger.calls.count(call) <= 1 + crashes, call
    assert len(set(ledger.keys("saga"))) == script.count("SAGA")
    assert len(set(ledger.keys("task"))) == script.count("TASK")
    assert len(set(ledger.keys("step"))) == (STEPS + 1) * script.count("STEPS")
    assert len({*ledger.keys("left"), *ledger.keys("right")}) == BRANCHES * script.count("SPLIT")
    assert len({what for what, _ in ledger.calls if what.startswith("go ")}) == script.count("RECEIVE")
    undone = [key.removesuffix("/undo") for key in dict.fromkeys(ledger.keys("undo"))]
    sagas = [*dict.fromkeys(ledger.keys("saga"))]
    assert undone == ([*reversed(sagas)] if "FAIL" in script else [])
    kinds = [what for what, _ in ledger.calls]
    if "undo" in kinds:
        assert set(kinds[kinds.index("undo") :]) == {"undo"}


@settings(max_examples=120)
@given(script=scripts, deaths=deaths)
def test_a_journal_in_memory_holds_what_the_promises_say(script: list[str], deaths: list[Death]) -> None:
    """P1 to P6 hold for every script and all deaths, compared with a plain model after each of them."""
    check_effects(script, *live(script, deaths, MemoryJournal()))


@settings(max_examples=12)
@given(script=scripts, deaths=deaths)
def test_a_journal_in_sqlite_holds_what_the_promises_say(script: list[str], deaths: list[Death]) -> None:
    """The same in a file."""
    with tempfile.TemporaryDirectory() as folder:
        check_effects(script, *live(script, deaths, SqliteJournal(f"{folder}/runs.db")))


@pytest.mark.slow
@settings(max_examples=500)
@given(script=scripts, deaths=deaths)
def test_many_scripts_and_deaths(script: list[str], deaths: list[Death]) -> None:
    """The same, searched for long."""
    check_effects(script, *live(script, deaths, MemoryJournal()))


@pytest.mark.parametrize("how", HOWS)
def test_every_write_of_a_script_with_everything(how: How) -> None:
    """A script with all instructions is resumed from a death at each of its writes, and ends as the model says."""
    for at in range(1, len(writes(EVERYTHING)) + 1):
        check_effects(EVERYTHING, *live(EVERYTHING, [(at, how)], MemoryJournal()))


def test_the_model_knows_every_state() -> None:
    """The model's script of all instructions goes through every state but the exit."""
    told = {write.state for write in writes(EVERYTHING)}
    assert told == {state.name for state in Step} - {"DONE"}
    assert writes(["TASK"])[-1].status is RunStatus.COMPLETED
