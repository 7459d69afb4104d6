"""Who may enter a journal, and what is left by those who never leave."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from cano_trio import JournalError, LeaseLost
from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import fence_of, new, step


@pytest.fixture(params=["memory", "sqlite"])
def closed(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """A journal of each kind that nobody has entered."""
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "runs.db", retention=None)


def test_a_run_that_crashed_leaves_its_journal_to_the_next(closed: Journal) -> None:
    """After a trio run that never left, the journal is entered anew, under a new owner that finds the old one dead."""

    async def first() -> None:
        await closed.__aenter__()
        await closed.create(new("a", closed.owner))

    async def second() -> None:
        with pytest.raises(JournalError, match="async with"):
            await closed.runs()
        async with closed:
            record = (await closed.load("a")).record
            assert record.owner not in {None, closed.owner}
            taken = await closed.claim("a")
            assert taken is not None
            assert taken.record.crashes == 1
            with pytest.raises(LeaseLost):
                await closed.commit(step("a", record.fence))
            await closed.commit(step("a", fence_of(taken)))

    trio.run(first)
    trio.run(second)


def test_a_journal_is_open_in_one_trio_run(closed: Journal) -> None:
    """A second trio run can't enter a journal that is open in another, and can when it is closed there."""

    async def enter() -> None:
        async with closed:
            await closed.runs()

    async def main() -> None:
        async with closed:
            with pytest.raises(JournalError, match="another trio run"):
                await trio.to_thread.run_sync(trio.run, enter)
        await trio.to_thread.run_sync(trio.run, enter)

    trio.run(main)
