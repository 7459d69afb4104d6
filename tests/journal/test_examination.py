"""What `SqliteJournal.examine` tells of a journal."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from cano_trio import JournalError, RunStatus
from cano_trio._journal.rows import Cursor
from cano_trio._journal.sqlite.journal import SqliteJournal
from cano_trio._journal.sqlite.schema import STEPS
from tests.journal.process import Process
from tests.journal.rows import at, letter, new, step


async def test_a_whole_journal(tmp_path: Path) -> None:
    """A journal that is whole says so, with its versions, sizes, and how many runs stand how."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await journal.create(new("a", journal.owner))
        for index in range(3):
            await journal.create(replace(new(f"r{index}"), position=at(0, RunStatus.WAITING)))
        found = await journal.examine()
        assert (found.path, found.schema, found.sqlite) == (str(path), len(STEPS), apsw.sqlite_lib_version())
        assert found.is_whole
        assert (found.integrity, found.unreadable, found.dead, found.stuck) == ((), (), (), ())
        assert found.runs == {RunStatus.RUNNING: 1, RunStatus.WAITING: 3}
        assert (found.size, found.wal_size) == (path.stat().st_size, Path(f"{path}-wal").stat().st_size)  # noqa: ASYNC240


async def test_who_is_stuck(tmp_path: Path) -> None:
    """A run that was at work for long is stuck if nobody or a dead process holds it; one that waits or is held is not."""
    async with SqliteJournal(tmp_path / "runs.db") as journal, SqliteJournal(tmp_path / "runs.db") as other:
        await journal.create(new("held here", journal.owner))
        await journal.create(new("held there", other.owner))
        await journal.create(new("dead", owner="dead"))
        await journal.create(new("nobody"))
        await journal.create(replace(new("undoing"), position=at(0, RunStatus.ROLLING_BACK)))
        await journal.create(replace(new("waits"), position=at(0, RunStatus.WAITING)))
        await journal.create(replace(new("over"), position=at(0, RunStatus.COMPLETED)))
        found = await journal.examine()
        assert found.dead == ("dead",)
        assert [run.run_id for run in found.stuck] == ["dead", "nobody", "undoing"]
        assert [run.run_id for run in found.idle] == ["dead", "nobody", "undoing", "waits"]
        assert await journal.dead() == {"dead"}
        assert (await journal.examine(stuck_after=1e12)).stuck == ()


async def test_who_needs_somebody(tmp_path: Path) -> None:
    """Runs that are blocked, that could not be undone, and with which processes die in a row; a run inside another is part of it."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for status in (RunStatus.BLOCKED, RunStatus.ROLLBACK_FAILED, RunStatus.FAILED, RunStatus.RUNNING):
            await journal.create(replace(new(status.value), position=at(0, status)))
            await journal.create(replace(new(f"in {status.value}"), position=at(0, status), parent=status.value))
    for _ in range(3):
        die(tmp_path / "runs.db", "running")
    found = await SqliteJournal(tmp_path / "runs.db").examine()
    assert [run.run_id for run in found.needy] == ["blocked", "rollback_failed", "running"]
    assert found.needy[-1].crashes == 2
    assert found.idle == ()
    assert sum(found.runs.values()) == 4


async def test_a_journal_need_not_be_open(tmp_path: Path) -> None:
    """Nothing is written by an examination, neither of a journal that somebody uses nor of one that nobody does."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await journal.create(new("a", journal.owner))
        used = await SqliteJournal(path).examine(stuck_after=0)
        assert (used.dead, used.idle, used.stuck) == ((), (), ())
    die(path, "a")
    before = path.read_bytes(), Path(f"{path}-wal").read_bytes()  # noqa: ASYNC240
    left = await SqliteJournal(path).examine(stuck_after=0)
    assert (len(left.dead), [run.run_id for run in left.idle]) == (1, ["a"])
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before  # noqa: ASYNC240


async def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    """Another program's database is no damaged journal: an examination fails; a file that is no database is damaged."""
    db = apsw.Connection(str(tmp_path / "other.db"))
    db.execute("CREATE TABLE other(x)")
    db.close()
    with pytest.raises(JournalError, match="another program's database"):
        await SqliteJournal(tmp_path / "other.db").examine()
    with pytest.raises(JournalError, match="can't be read"):
        await SqliteJournal(tmp_path / "none.db").examine()
    (tmp_path / "torn.db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    found = await SqliteJournal(tmp_path / "torn.db").examine()
    assert (found.schema, found.is_whole, found.integrity) == (0, False, ("file is not a database",))


def die(path: Path, run_id: str) -> None:
    """Have a process claim a run and die with it."""
    with Process(path) as process:
        assert process.ask(f"claim {run_id}") not in {"held", "RunNotFound"}


async def test_damage_is_told_by_run(tmp_path: Path) -> None:
    """A row of whatever table that something else changed is told with its run; the others count as before."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        for run_id in ("log", "cursor", "inbox", "data", "record", "whole"):
            fence = (await journal.create(new(run_id, journal.owner))).fence
            await journal.commit(replace(step(run_id, fence), cursors=(Cursor(1, "", b"c"),)))
            await journal.post(letter(run_id))
        db = apsw.Connection(str(path))
        for table, change in {
            "log": "row=x'00'",
            "cursor": "part='x'",
            "inbox": "kind='x'",
            "data": "data=x'00'",
        }.items():
            changed = f"UPDATE cano_{table} SET {change} WHERE run=(SELECT number FROM cano_run WHERE run_id=?)"
            db.execute(changed, (table,))
        db.execute(
            "UPDATE cano_place SET status='gone' WHERE number=(SELECT number FROM cano_run WHERE run_id='record')"
        )
        db.close()
        found = await journal.examine()
        assert not found.is_whole
        assert found.integrity == ()
        assert [line.split("'")[1] for line in found.unreadable] == ["record", "log", "cursor", "inbox", "data"]
        assert found.runs == {RunStatus.RUNNING: 5}


async def test_a_page_that_is_damaged(tmp_path: Path) -> None:
    """A damaged page of an index is told by SQLite's own check, and by the run that is not found through it."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await journal.create(new("a" * 50))
    db = apsw.Connection(str(path))
    root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name='sqlite_autoindex_cano_run_1'").get
    db.close()
    content = bytearray(path.read_bytes())
    where = content.index(b"a" * 50, (int(root) - 1) * 4096)
    content[where] = ord("b")
    path.write_bytes(content)
    async with SqliteJournal(path) as journal:
        found = await journal.examine()
        assert found.integrity
        assert [line for line in found.unreadable if "not found by its name" in line]
