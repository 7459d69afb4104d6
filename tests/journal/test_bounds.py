"""How much is kept of a run that never ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
from msgspec.structs import replace

from cano_trio import RunStatus
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Commit, Fence, LogRow
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import at, finished, new


async def go_through(
    journal: Journal,
    fence: Fence,
    visits: range,
    row: Callable[[int], LogRow] = finished,
    status: RunStatus = RunStatus.RUNNING,
) -> Fence:
    """Go through states, 32 a commit, and return the fence after it."""
    for first in visits[::32]:
        log = tuple(row(seq) for seq in range(first, min(first + 32, visits.stop)))
        await journal.commit(Commit(run_id="a", fence=fence, position=at(first, status), log=log))
        fence = replace(fence, rev=fence.rev + 1)
    return fence


async def test_an_endless_run_keeps_its_latest_rows(journal: Journal) -> None:
    """Of 4,000 transitions the latest 1,000 and more are kept in order; the others are counted by their states, exactly."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await go_through(journal, fence, range(4000), lambda seq: replace(finished(seq), state=f"S{seq % 2}"))
    history = await journal.history("a")
    assert 1000 <= len(history) <= 2100
    assert [row.seq for row in history] == list(range(4000 - len(history), 4000))
    visits = Counter((await journal.load("a")).visits)
    assert visits + Counter(row.state for row in history) == {"S0": 2000, "S1": 2000}


async def test_parts_are_not_counted_as_visits(journal: Journal) -> None:
    """Rows of branches, of compensations and of work in doubt are cut, and are no visits of their state."""
    fence = (await journal.create(new("a", journal.owner))).fence
    changes: tuple[dict[str, Any], ...] = ({"part": "/b:left"}, {"kind": "undone"}, {"kind": "in doubt"}, {})
    await go_through(journal, fence, range(4000), lambda seq: replace(finished(seq), state="S", **changes[seq % 4]))
    history = await journal.history("a")
    whole = [row for row in history if not row.part and row.kind == "finished"]
    assert (await journal.load("a")).visits["S"] + len(whole) == 1000


async def test_an_endless_run_keeps_a_megabyte(journal: Journal) -> None:
    """However large its rows, a run keeps about a megabyte of them, and always the latest."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for rev, size in enumerate([*[100_000] * 40, 5_000_000, 5_000_000]):
        row = replace(finished(rev), data=b"x" * size)
        await journal.commit(Commit(run_id="a", fence=replace(fence, rev=rev), position=at(rev), log=(row,)))
        history = await journal.history("a")
        assert history[-1] == row
        assert sum(len(row.data or b"") for row in history) <= max(2_200_000, size)
        assert sum((await journal.load("a")).visits.values()) + len(history) == rev + 1


async def test_what_may_have_to_be_undone_is_kept(journal: Journal) -> None:
    """A receipt stays while it may be needed: until it is undone, or its run has come to a good end; a failed one keeps it."""

    def row(seq: int) -> LogRow:
        if seq == 5:
            return replace(finished(1), kind="undone")
        return replace(finished(seq), receipt=b"r" if seq < 3 else None)

    async def receipts() -> list[int]:
        return [row.seq for row in await journal.history("a") if row.receipt]

    fence = (await journal.create(new("a", journal.owner))).fence
    fence = await go_through(journal, fence, range(4000), row)
    assert await receipts() == [0, 2]
    fence = await go_through(journal, fence, range(4000, 6000), status=RunStatus.FAILED)
    assert await receipts() == [0, 2]
    await go_through(journal, fence, range(6000, 8000), status=RunStatus.COMPLETED)
    assert await receipts() == []
    assert sum((await journal.load("a")).visits.values()) + len(await journal.history("a")) == 7999


async def test_the_file_of_an_endless_run_stays_flat(tmp_path: Path) -> None:
    """After 4,000 transitions a file grows no more."""
    path = tmp_path / "runs.db"
    pages = []
    async with SqliteJournal(path) as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        for first in range(0, 12_000, 4000):
            fence = await go_through(
                journal, fence, range(first, first + 4000), lambda seq: replace(finished(seq), state=f"S{seq % 3}")
            )
            db = apsw.Connection(str(path))
            pages.append(db.pragma("page_count"))
            db.close()
    assert max(pages) <= pages[0] + 2
