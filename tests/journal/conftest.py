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
    if request.param == "memory":
        async with MemoryJournal() as memory:
            yield memory
    else:
        async with SqliteJournal(tmp_path / "runs.db") as sqlite:
            yield sqlite
