"""Every journal, by the same name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.sqlite.journal import SqliteJournal


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """A fresh, open journal of each kind."""
    async with MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
async def other(journal: Journal, tmp_path: Path) -> AsyncIterator[Journal]:
    """The same runs as another process sees them."""
    async with beside(journal, tmp_path) as opened:
        yield opened


def beside(journal: Journal, folder: Path) -> MemoryJournal | SqliteJournal:
    """Another journal of the same runs."""
    return MemoryJournal(beside=journal) if isinstance(journal, MemoryJournal) else SqliteJournal(folder / "runs.db")
