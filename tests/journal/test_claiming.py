"""What a journal in a file tells those who take runs up, where a row is damaged or much has been forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from cano_trio import RunStatus
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Position
from cano_trio._journal.sqlite import statements
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import at, letter, new


async def ids(journal: Journal, now: float = 100.0, **wanted: Any) -> list[str]:
    """The ids of those that can be claimed, in their order."""
    return [record.run_id for record in await journal.claimable(now=now, **wanted)]


def standing(status: RunStatus, **parts: Any) -> Position:
    return replace(at(0, status), **parts)


async def test_a_damaged_row_hides_nobody(tmp_path: Path) -> None:
    """A run whose row can't be read is left out, and what stands behind it is found, however few are asked for."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for name, position in (("bad", at(0)), ("bad later", standing(RunStatus.WAITING, due_at=1.0))):
            await journal.create(replace(new(name), position=position, priority=9))
        await journal.create(new("a"))
        await journal.create(replace(new("b"), position=standing(RunStatus.WAITING, due_at=2.0)))
        db = apsw.Connection(str(tmp_path / "runs.db"))
        db.execute("UPDATE cano_place SET crc=crc+1 WHERE priority=9")
        db.close()
        assert await ids(journal, limit=1) == ["a"]
        assert await ids(journal, limit=5) == ["a", "b"]


async def test_who_comes_late_for_news_is_told_of_all_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where so much has been sent meanwhile that some is forgotten, whoever asks is told of all its runs that ever got a
    message; also if it had heard nothing before."""
    monkeypatch.setattr(statements, "NEWS_KEPT", 5)
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for run_id in ("mine", "quiet"):
            await journal.create(new(run_id, journal.owner))
        await journal.create(new("busy"))
        await journal.post(letter("mine"))
        for _ in range(20):
            await journal.post(letter("busy"))
        assert "mine" in (await journal.news()).runs
        assert "mine" in (await journal.news(1)).runs
        assert "quiet" not in (await journal.news(1)).runs
