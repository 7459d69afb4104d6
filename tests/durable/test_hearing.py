"""A run that its caller carries out alone hears what comes by its journal, as one of a runtime does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import Run, RunCancelled, RunContext, RunReleased, RunStatus, Workflow, open_runtime
from cano_trio.journals import Journal, MemoryJournal, SqliteJournal


class Step(Enum):
    """The states."""

    TELL = auto()
    HEAR = auto()
    WORK = auto()
    DONE = auto()


@dataclass
class Word:
    """A message."""

    text: str


def listener(heard: list[str]) -> Workflow[Step]:
    """A workflow that takes one message, and then works for an hour."""
    workflow: Workflow[Step] = Workflow(Step, initial=Step.HEAR, exits=[Step.DONE, Step.TELL], name="listener")

    @workflow.receive(Step.HEAR)
    async def hear(word: Word) -> Literal[Step.WORK]:
        heard.append(word.text)
        return Step.WORK

    @workflow.task(Step.WORK)
    async def work() -> Literal[Step.DONE]:
        await trio.sleep(3600)
        return Step.DONE

    return workflow


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """A journal of each kind."""
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "runs.db")


async def test_it_hears_what_another_run_sends() -> None:
    """A message that another run sends with its transition comes to one that waits for it."""
    heard: list[str] = []
    workflow = listener(heard)
    teller: Workflow[Step] = Workflow(Step, initial=Step.TELL, exits=[Step.DONE], name="teller")

    @teller.task(Step.TELL)
    async def tell(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.send("listener", Word("hello"))
        return Step.DONE

    async with MemoryJournal() as journal, trio.open_nursery() as nursery:
        run: Run[Step] = await nursery.start(partial(workflow.run, run_id="listener", journal=journal))
        await teller.run(journal=journal)
        assert await run.wait_state(Step.WORK) is Step.WORK
        nursery.cancel_scope.cancel()
    assert heard == ["hello"]


async def test_it_hears_itself(autojump_clock: MockClock) -> None:
    """A message that a run sends itself is there for its next state."""
    heard: list[str] = []
    workflow: Workflow[Step] = Workflow(Step, initial=Step.TELL, exits=[Step.DONE], name="both")

    @workflow.task(Step.TELL)
    async def tell(ctx: RunContext) -> Literal[Step.HEAR]:
        ctx.send(ctx.run_id, Word("me"))
        return Step.HEAR

    @workflow.receive(Step.HEAR)
    async def hear(word: Word) -> Literal[Step.DONE]:
        heard.append(word.text)
        return Step.DONE

    async with MemoryJournal() as journal:
        assert (await workflow.run(journal=journal)).state is Step.DONE
    assert heard == ["me"]


async def test_it_is_cancelled_by_another_process(journal: Journal, tmp_path: Path) -> None:
    """One who looks at the journal from elsewhere has it cancelled, in the middle of its work."""
    workflow = listener([])
    beside: Journal = (
        MemoryJournal(beside=journal) if isinstance(journal, MemoryJournal) else SqliteJournal(tmp_path / "runs.db")
    )
    async with journal, beside:
        with pytest.RaisesGroup(pytest.RaisesExc(RunCancelled, match="nobody needs it")):
            async with trio.open_nursery() as nursery:
                mine: Run[Step] = await nursery.start(partial(workflow.run, run_id="r", journal=journal))
                async with open_runtime(workflows=[workflow], journal=beside, claim=False) as runtime:
                    run = await runtime.get(workflow, "r")
                    await run.send(Word("go"))
                    await mine.wait_state(Step.WORK)
                    run.cancel("nobody needs it")
                    with pytest.raises(RunCancelled, match="nobody needs it"):
                        await run.wait()
        assert (await journal.load("r")).record.position.status is RunStatus.CANCELLED


async def test_it_is_paused_by_another_process() -> None:
    """One who pauses it from elsewhere ends the call with a `RunReleased`; it stays where it was."""
    workflow = listener([])
    journal = MemoryJournal()
    async with journal, MemoryJournal(beside=journal) as beside:
        with pytest.RaisesGroup(RunReleased):
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(workflow.run, run_id="r", journal=journal))
                async with open_runtime(workflows=[workflow], journal=beside, claim=False) as runtime:
                    await (await runtime.get(workflow, "r")).pause("holidays")
        position = (await journal.load("r")).record.position
        assert (position.status, position.reason, position.state) == (RunStatus.PAUSED, "holidays", "HEAR")
