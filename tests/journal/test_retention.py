"""What becomes of runs that are over."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing
from msgspec.structs import replace

from cano_trio import DuplicateRun, RunStatus
from cano_trio._clock import now
from cano_trio._journal.rows import NewRun, Position
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import new

DAY = 86_400.0


def over(run_id: str, status: RunStatus, days: float, parent: str | None = None) -> NewRun:
    """A run that ended so many days ago."""
    ended = now().timestamp() - days * DAY
    position = Position(state="END", status=status, seq=1, entered_at=ended, ended_at=ended)
    return replace(new(run_id), position=position, parent=parent, labels={"of": run_id})


async def left(journal: SqliteJournal, count: int) -> set[str]:
    """The runs that are there, as soon as they are so many: the writer removes them in a thread of its own."""
    while len(found := await journal.runs()) > count:
        await trio.lowlevel.checkpoint()
    return {run.run_id for run in found}


async def test_settled_runs_are_removed_in_time(tmp_path: Path) -> None:
    """Runs that are completed, rolled back or cancelled go after `retention`; their ids stay used, with their status."""
    async with SqliteJournal(tmp_path / "runs.db", retention=None) as journal:
        for status in RunStatus:
            for days in (29, 31):
                await journal.create(over(f"{status.value} {days}", status, days))
    gone = {f"{status} 31" for status in ("completed", "rolled_back", "cancelled")}
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        everything = {f"{status.value} {days}" for status in RunStatus for days in (29, 31)}
        assert await left(journal, len(everything) - 3) == everything - gone
        for run_id in gone:
            with pytest.raises(DuplicateRun, match=run_id.split()[0]):
                await journal.create(new(run_id))
            assert await journal.runs(labels={"of": run_id}) == ()


async def test_a_living_parent_keeps_its_children(tmp_path: Path) -> None:
    """A child that is over stays as long as its parent lives, and goes as others do when it is over or gone."""
    async with SqliteJournal(tmp_path / "runs.db", retention=None) as journal:
        await journal.create(new("living"))
        await journal.create(over("failed", RunStatus.FAILED, 31))
        for parent in ("living", "failed", "gone"):
            await journal.create(over(f"of {parent}", RunStatus.COMPLETED, 31, parent))
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        assert await left(journal, 3) == {"living", "failed", "of living"}


async def test_many_are_removed_a_few_at_a_time(tmp_path: Path) -> None:
    """Two hundred old runs go one small transaction after the other, and what is asked meanwhile is answered."""
    async with SqliteJournal(tmp_path / "runs.db", retention=None) as journal, trio.open_nursery() as nursery:
        for index in range(200):
            nursery.start_soon(journal.create, over(f"r{index}", RunStatus.COMPLETED, 2))
    async with SqliteJournal(tmp_path / "runs.db", retention=DAY) as journal:
        await journal.create(new("a", journal.owner))
        assert await left(journal, 1) == {"a"}


async def test_time_is_that_of_the_run(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Under a virtual clock a run is as old as that clock says."""
    async with SqliteJournal(tmp_path / "runs.db", retention=DAY) as journal:
        await journal.create(over("a", RunStatus.COMPLETED, 0))
        await trio.sleep(DAY + 1)
    async with SqliteJournal(tmp_path / "runs.db", retention=DAY) as journal:
        assert await left(journal, 0) == set()
