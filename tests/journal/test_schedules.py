"""What a journal in a file keeps of schedules, and what it does not believe."""

from __future__ import annotations

import logging
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from cano_trio import JournalError
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import new, schedule


async def test_what_would_not_come_back_is_not_kept(tmp_path: Path) -> None:
    """A time that JSON has no number for is refused, and its neighbours are not."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for wrong in ({"since": float("nan")}, {"ended_at": float("inf")}):
            with pytest.raises(ValueError, match=r"since|a time is infinite"):
                await journal.keep_schedule(replace(schedule("s"), **wrong))
        assert await journal.keep_schedule(schedule("s")) is None


async def test_a_damaged_row_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A row that something else changed is never believed: left out and logged once, refused by name, and found out."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        for name in ("a", "b", "c"):
            await journal.keep_schedule(schedule(name))
        db = apsw.Connection(str(path))
        db.execute("UPDATE cano_schedule SET body=cast(replace(body, 'census', 'cansus') AS BLOB) WHERE name='b'")
        db.execute("UPDATE cano_schedule SET name=cast(x'ff' AS TEXT) WHERE name='c'")
        with caplog.at_level(logging.ERROR):
            assert await journal.schedules() == await journal.schedules() == (replace(schedule("a"), rev=1),)
        assert [record.getMessage().split(" can't")[0] for record in caplog.records] == [
            "schedule 'b'",
            "schedule 'number 3'",
        ]
        with pytest.raises(JournalError, match=r"schedule 'b' can't be read.*Remove it from the table cano_schedule"):
            await journal.fire(new("b@1"), schedule("b"))
        assert await journal.runs() == ()
        found = await journal.examine()
        assert not found.is_whole
        assert [line.split(" can't")[0] for line in found.unreadable] == ["schedule 'b'", "schedule 'number 3'"]
        db.execute("DELETE FROM cano_schedule WHERE name='b'")
        db.close()
        assert await journal.keep_schedule(schedule("b")) is None
