"""Every journal, by the same name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cano_trio._journal.forwarding import ForwardingJournal
from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.faulty import HastyDisk

HASTY = HastyDisk("hasty")


@pytest.fixture(params=["memory", "sqlite", "forwarding"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """A fresh, open journal of each kind."""
    made: dict[str, Callable[[], Journal]] = {
        "memory": MemoryJournal,
        "sqlite": lambda: on_hasty_disk(tmp_path),
        "forwarding": lambda: ForwardingJournal(MemoryJournal()),
    }
    async with made[request.param]() as opened:
        yield opened


def on_hasty_disk(folder: Path) -> SqliteJournal:
    """A journal that never syncs: what is on the disk after a power failure is another test's matter."""
    return SqliteJournal(folder / "runs.db", vfs=HASTY.name)
