"""A cancel that comes while a state is being written down."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Any, Literal, Self

import pytest
import trio

from cano_trio import RunStatus, Workflow
from cano_trio.journals import Commit, Journal, MemoryJournal, SqliteJournal


class Step(Enum):
    """The states."""

    FIRST = auto()
    SECOND = auto()
    DONE = auto()


class Heeding:
    """A journal that begins no commit for who is cancelled, as it may."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def __aenter__(self) -> Self:
        await self.journal.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.journal.__aexit__(*exception)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    async def commit(self, commit: Commit, /) -> int:
        await trio.lowlevel.checkpoint_if_cancelled()
        return await self.journal.commit(commit)


@pytest.fixture(params=["memory", "sqlite", "heeding"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """Each of the journals, and one that hears a cancel."""
    journals: dict[str, Callable[[], Any]] = {
        "memory": MemoryJournal,
        "sqlite": lambda: SqliteJournal(tmp_path / "runs.db"),
        "heeding": lambda: Heeding(MemoryJournal()),
    }
    made: Journal = journals[request.param]()
    return made


async def test_a_state_that_finishes_under_a_cancel_is_written_down(journal: Journal) -> None:
    """The cancel is met behind the commit: the run is released in the next state, and the finished one never runs again."""
    scope = trio.CancelScope()
    ran: list[Step] = []
    workflow: Workflow[Step] = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE])

    @workflow.task(Step.FIRST)
    async def first() -> Literal[Step.SECOND]:
        ran.append(Step.FIRST)
        scope.cancel()
        return Step.SECOND

    @workflow.task(Step.SECOND)
    async def second() -> Literal[Step.DONE]:
        ran.append(Step.SECOND)
        return Step.DONE

    async with journal:
        with scope:
            await workflow.run(run_id="r", journal=journal)
        record = (await journal.load("r")).record
        assert scope.cancelled_caught
        assert (record.position.state, record.position.seq, record.owner) == ("SECOND", 1, None)
        await workflow.resume("r", journal=journal)
        assert [row.state for row in await journal.history("r")] == ["FIRST", "SECOND"]
    assert ran == [Step.FIRST, Step.SECOND]


async def test_the_last_state_that_finishes_under_a_cancel_ends_the_run(journal: Journal) -> None:
    """A run that has reached its exit is completed in the journal, whatever was cancelled meanwhile."""
    scope = trio.CancelScope()
    workflow: Workflow[Step] = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE])

    @workflow.task(Step.FIRST)
    async def first() -> Literal[Step.DONE]:
        scope.cancel()
        return Step.DONE

    async with journal:
        with scope:
            await workflow.run(run_id="r", journal=journal)
        assert (await journal.load("r")).record.position.status is RunStatus.COMPLETED
