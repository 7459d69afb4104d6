"""What a task wants to happen together with its transition does so exactly once, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Literal

import apsw
import pytest
import trio

from cano_trio import (
    BranchResults,
    DefinitionError,
    DuplicateRun,
    Retry,
    RunContext,
    RunNotFound,
    RunStatus,
    Split,
    StatementFailed,
    Workflow,
)
from cano_trio.journals import Journal, MemoryJournal, SqliteJournal


class Step(Enum):
    """The states of all workflows here."""

    WORK = auto()
    LATER = auto()
    DONE = auto()
    WRONG = auto()


Next = Literal[Step.DONE]


@dataclass
class Count:
    """A run's data."""

    number: int = 0


@dataclass
class Note:
    """A message."""

    text: str


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """A fresh, open journal of each kind."""
    journal = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "runs.db")
    async with journal:
        yield journal


def receiver() -> Workflow[Step, Count]:
    """A workflow that waits for two notes."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="receiver", data=Count)

    @workflow.receive(Step.WORK)
    async def first(note: Note, count: Count) -> Literal[Step.LATER]:
        count.number += len(note.text)
        return Step.LATER

    @workflow.receive(Step.LATER)
    async def second(note: Note, count: Count) -> Next:
        count.number += 10 * len(note.text)
        return Step.DONE

    return workflow


async def begin_receiver(journal: Journal) -> None:
    """Begin a receiver, and leave it where it waits, as a process does that dies."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(receiver().run, Count(), run_id="receiver", journal=journal))
        with trio.fail_after(30):
            while not await is_there(journal):  # noqa: ASYNC110 -- a thread writes it down
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()


async def is_there(journal: Journal) -> bool:
    """Whether there is a receiver."""
    try:
        await journal.load("receiver")
    except RunNotFound:
        return False
    return True


async def test_what_is_started_and_sent_is_there_with_the_transition(journal: Journal) -> None:
    """A run that a task starts, and a message that the next sends to it, are carried out by whoever resumes it."""
    other = receiver()
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="sender")

    @workflow.task(Step.WORK)
    async def start(ctx: RunContext) -> Literal[Step.LATER]:
        assert ctx.start(other, Count(5), run_id="other") == "other"
        with pytest.raises(RunNotFound):
            await journal.load("other")
        return Step.LATER

    @workflow.task(Step.LATER)
    async def send(ctx: RunContext) -> Next:
        assert (await journal.load("other")).record.position.status is RunStatus.QUEUED
        ctx.send("other", Note("a"))
        ctx.send("other", Note("bb"))
        return Step.DONE

    await workflow.run(run_id="sender", journal=journal)
    result = await other.resume("other", journal=journal)
    assert (result.state, result.data) == (Step.DONE, Count(5 + 1 + 20))


async def test_an_attempt_that_fails_wants_nothing(journal: Journal) -> None:
    """What a failed attempt wanted is dropped with what it wrote; that of the next one happens once."""
    other = receiver()
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="sender")

    @workflow.task(Step.WORK, retry=Retry.fixed(1, delay=0))
    async def start(ctx: RunContext) -> Next:
        ctx.start(other, Count(), run_id=f"other-{ctx.attempt}")
        if ctx.attempt == 1:
            raise OSError
        return Step.DONE

    await workflow.run(run_id="sender", journal=journal)
    assert [run.run_id for run in await journal.runs(workflow="receiver")] == ["other-2"]


async def test_a_start_that_is_refused_is_the_states_failure(journal: Journal) -> None:
    """A run id that is taken fails the state, which its `on_error` leads on; nothing of the transition was written."""
    other = receiver()
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.WRONG], name="sender", data=Count)

    @workflow.task(Step.WORK, on_error={DuplicateRun: Step.WRONG})
    async def start(count: Count, ctx: RunContext) -> Next:
        count.number = 1
        ctx.start(other, Count(), run_id="new")
        ctx.start(other, Count(), run_id="sender")
        return Step.DONE

    result = await workflow.run(Count(), run_id="sender", journal=journal)
    assert (result.state, result.data) == (Step.WRONG, Count(0))
    assert [run.run_id for run in await journal.runs()] == ["sender"]


async def test_a_message_to_nobody_is_the_states_failure(journal: Journal) -> None:
    """A message to a run that is not there fails the state, and with it the run, which can be tried again."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="sender")

    @workflow.task(Step.WORK)
    async def send(ctx: RunContext) -> Next:
        ctx.send("receiver", Note("a"))
        return Step.DONE

    with pytest.raises(RunNotFound):
        await workflow.run(run_id="sender", journal=journal)
    assert (await journal.load("sender")).record.position.status is RunStatus.FAILED
    await begin_receiver(journal)
    assert (await workflow.retry("sender", journal=journal)).state is Step.DONE
    assert [message.letter.key for message in (await journal.load("receiver")).messages] == ["sender/0/m:0"]


async def test_without_a_journal_nothing_can_be_asked_for() -> None:
    """A run without a journal refuses what no transition of it would make happen."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="sender")

    @workflow.task(Step.WORK)
    async def send(ctx: RunContext) -> Next:
        ctx.send("receiver", Note("a"))
        return Step.DONE

    with pytest.raises(DefinitionError, match="E28 WORK"):
        await workflow.orchestrate()


async def test_a_part_that_may_run_many_times_asks_for_nothing(journal: Journal) -> None:
    """A branch speaks by what it returns: it can't ask for what happens with a transition."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="sender")

    async def branch(ctx: RunContext) -> str:
        ctx.sql("SELECT 1")
        return ""

    workflow.register_split(Step.WORK, Split.any([branch], Step.LATER))

    @workflow.task(Step.LATER)
    async def join(results: BranchResults[str]) -> Next:
        return Step.DONE

    with pytest.raises(Exception, match="any of 1 branches") as caught:
        await workflow.run(run_id="sender", journal=journal)
    assert isinstance(caught.value.__cause__, DefinitionError)


async def test_sql_happens_with_the_transition(tmp_path: Path) -> None:
    """Rows of the user's are there when the state is finished, and not when it failed; wrong SQL fails the state."""
    path = tmp_path / "runs.db"
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.WRONG], name="sql")

    @workflow.task(Step.WORK, retry=Retry.fixed(1, delay=0))
    async def insert(ctx: RunContext) -> Literal[Step.LATER]:
        ctx.sql("CREATE TABLE IF NOT EXISTS sales(key TEXT PRIMARY KEY, price INTEGER)")
        ctx.sql("INSERT INTO sales VALUES (?, ?)", (ctx.idempotency_key, ctx.attempt))
        if ctx.attempt == 1:
            raise OSError
        return Step.LATER

    @workflow.task(Step.LATER, on_error={StatementFailed: Step.WRONG})
    async def again(ctx: RunContext) -> Next:
        ctx.sql("INSERT INTO sales VALUES (:key, 9)", {"key": "fresh"})
        ctx.sql("INSERT INTO sales VALUES ('sql/0', 9)")
        return Step.DONE

    async with SqliteJournal(path) as journal:
        assert (await workflow.run(run_id="sql", journal=journal)).state is Step.WRONG
    assert apsw.Connection(str(path)).execute("SELECT * FROM sales").fetchall() == [("sql/0", 2)]


async def test_a_journal_without_sql_says_so() -> None:
    """A journal that knows no SQL fails the state that asks for it."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="sql")

    @workflow.task(Step.WORK)
    async def insert(ctx: RunContext) -> Next:
        ctx.sql("SELECT 1")
        return Step.DONE

    with pytest.raises(StatementFailed, match="SqliteJournal"):
        await workflow.run(run_id="sql", journal=MemoryJournal())
