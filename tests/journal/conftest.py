"""Every journal, by the same name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal


@pytest.fixture(params=["memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """A fresh, open journal of each kind."""
    async with MemoryJournal() as opened:
        yield opened
