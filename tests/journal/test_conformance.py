"""What every journal does: all of ours, and the one of an example, pass the kit that others are given."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from cano_trio.journals import ForwardingJournal, Journal, MemoryJournal
from cano_trio.testing import ConformanceCheck, FaultyJournal, JournalFactory, conformance_checks
from tests.journal.conftest import on_hasty_disk

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_journal.py"


def audited(journal: Journal) -> Journal:
    """The journal of the example."""
    made: dict[str, Any] = runpy.run_path(str(EXAMPLE))
    found: Journal = made["AuditedJournal"](journal)
    return found


AROUND: dict[str, Callable[[Journal], Journal]] = {
    "memory": lambda journal: journal,
    "forwarding": ForwardingJournal,
    "faulty": lambda journal: FaultyJournal(journal, seconds=0.01),
    "audited": audited,
}


@pytest.mark.parametrize("kind", AROUND)
@pytest.mark.parametrize("check", conformance_checks, ids=str)
async def test_a_journal_in_memory_does_it(check: ConformanceCheck, kind: str, autojump_clock: MockClock) -> None:
    """Each law of journals holds in memory, and around that journal."""
    store = MemoryJournal()
    await check(lambda: AROUND[kind](MemoryJournal(beside=store)))


@pytest.mark.parametrize("check", conformance_checks, ids=str)
async def test_a_journal_in_a_file_does_it(check: ConformanceCheck, tmp_path: Path) -> None:
    """Each law of journals holds in a SQLite file."""
    factory: JournalFactory = lambda: on_hasty_disk(tmp_path)  # noqa: E731
    await check(factory)
