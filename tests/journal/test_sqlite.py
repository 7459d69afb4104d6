"""What only a file can meet: strangers, other versions, full disks, other processes."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from threading import Event

import apsw
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from cano_trio import CanoError, DuplicateRun, JournalError, JournalUnavailable, LeaseLost, RunStatus
from cano_trio._journal.rows import Cursor, Outcome
from cano_trio._journal.sqlite.journal import SqliteJournal
from cano_trio._journal.sqlite.schema import APPLICATION_ID, STEPS, open_reader, open_writer
from tests.journal.faulty import FaultyDisk
from tests.journal.rows import at, fence_of, letter, new, step


async def test_a_file_keeps_what_it_was_told(tmp_path: Path) -> None:
    """P1: what one journal wrote, the next one reads, history and all; ids stay used."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        await journal.commit(step("a", fence))
        stored, history = await journal.load("a"), await journal.history("a")
        stored = replace(stored, record=replace(stored.record, owner=None))
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        assert (await journal.load("a"), await journal.history("a")) == (stored, history)
        with pytest.raises(DuplicateRun):
            await journal.create(new("a"))
    assert not (tmp_path / "runs.db-wal").exists()


def test_the_file_is_set_up_for_durability(tmp_path: Path) -> None:
    """WAL, FULL, our application id and version are set; the reader can't write."""
    path = str(tmp_path / "runs.db")
    db = open_writer(path, 1.0)
    pragmas = [db.pragma(name) for name in ("journal_mode", "synchronous", "application_id", "user_version")]
    assert pragmas == ["wal", 2, APPLICATION_ID, len(STEPS)]
    reader = open_reader(path, 1.0)
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM cano_run")
    reader.close()
    db.close()


async def test_another_programs_file_is_refused_untouched(tmp_path: Path) -> None:
    """A database of another program is refused by name, and not a byte of it changes."""
    path = tmp_path / "theirs.db"
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE theirs(x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="no journal of cano_trio"):
        async with SqliteJournal(path):
            pass
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file that is no SQLite database, or a folder that is not there, is a `JournalError`."""
    path = tmp_path / "text.db"
    path.write_text("not a database at all, but some text that is long enough" * 20)
    for wrong in (path, tmp_path / "missing" / "runs.db"):
        with pytest.raises(JournalError, match=wrong.name):
            async with SqliteJournal(wrong):
                pass


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A file of a newer version is refused, and says which one it has."""
    path = str(tmp_path / "runs.db")
    open_writer(path, 1.0, steps=(*STEPS, "CREATE TABLE cano_more(x)")).close()
    with pytest.raises(JournalError, match="version 2, and this cano_trio knows 1"):
        open_writer(path, 1.0)


async def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """An older file is copied aside, and then has the new version with all it held."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await journal.create(new("a"))
    open_writer(str(path), 1.0, steps=(*STEPS, "CREATE TABLE cano_more(x)")).close()
    db = apsw.Connection(str(path))
    assert (db.pragma("user_version"), db.execute("SELECT run_id FROM cano_run").get) == (2, "a")
    assert db.execute("SELECT count(*) FROM cano_more").get == 0
    db.close()
    async with SqliteJournal(f"{path}.v1.backup") as journal:
        assert (await journal.load("a")).record.run_id == "a"


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A step that fails leaves the file at its old version, without the steps before."""
    path = str(tmp_path / "runs.db")
    open_writer(path, 1.0).close()
    with pytest.raises(apsw.SQLError):
        open_writer(path, 1.0, steps=(*STEPS, "CREATE TABLE cano_more(x)", "NONSENSE"))
    db = open_writer(path, 1.0)
    assert db.pragma("user_version") == 1
    assert not db.table_exists("main", "cano_more")
    db.close()


async def test_a_cancel_does_not_withdraw_a_commit(tmp_path: Path) -> None:
    """A commit that was queued when its task is cancelled is on disk, and the task meets the cancel afterwards."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.commit, step("a", fence))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert (await journal.load("a")).record.rev == 1


async def test_two_journals_on_one_file(tmp_path: Path) -> None:
    """P4: of two journals one holds a run; when it is gone the other takes it over, and the first one's commit is lost."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as other:
        async with SqliteJournal(path) as journal:
            fence = (await journal.create(new("a", journal.owner))).fence
            assert await other.claim("a") is None
            await journal.commit(step("a", fence))
        taken = fence_of(await other.claim("a"))
        async with SqliteJournal(path) as journal:
            with pytest.raises(LeaseLost):
                await journal.commit(step("a", replace(fence, rev=1)))
        assert await other.commit(step("a", taken)) == 2


async def test_a_held_file_is_waited_for_and_told(tmp_path: Path) -> None:
    """While another process holds the file's write lock nothing is written, which may be tried again and then works."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path, patience=0.05) as journal:
        blocker = apsw.Connection(str(path))
        blocker.set_busy_timeout(10_000)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="locked"):
            await journal.create(new("a"))
        blocker.execute("ROLLBACK")
        blocker.close()
        await journal.create(new("a"))


async def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    """A commit that finds the disk full writes nothing, and succeeds as soon as there is room."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        full = replace(step("a", fence), cursors=(Cursor(0, "", b"x" * 2_000_000),))
        db = journal._open.writer._db
        pages = db.pragma("max_page_count")
        db.pragma("max_page_count", db.pragma("page_count") + 10)
        with pytest.raises(JournalUnavailable, match="full"):
            await journal.commit(full)
        assert (await journal.load("a")).record.rev == 0
        db.pragma("max_page_count", pages)
        assert await journal.commit(full) == 1


async def test_what_is_refused_is_let_go(tmp_path: Path) -> None:
    """An error that a task was told of is gone when the task has dropped it, whether it was asked to write or to read."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        await journal.create(new("a"))
        for ask in (lambda: journal.create(new("a")), lambda: journal.load("b")):
            with pytest.raises(CanoError) as caught:
                await ask()
            error = weakref.ref(caught.value)
            del caught
            await trio.lowlevel.checkpoint()  # trio itself holds what the latest step began with
            gc.collect()
            assert error() is None


async def test_two_commits_of_a_run_at_once(tmp_path: Path) -> None:
    """Two commits of one run that wait for the same transaction are written one after the other, and both are in its history."""
    writing = Event()
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal._open.writer.do, lambda _: writing.wait())
            for rev in range(2):
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(journal.commit, step("a", replace(fence, rev=rev)))
            await trio.testing.wait_all_tasks_blocked()
            writing.set()
        assert [row.seq for row in await journal.history("a")] == [0, 1]


async def test_only_the_name_of_a_removed_run_is_left(tmp_path: Path) -> None:
    """A run that is removed leaves no row behind in any table but that of the names that are used."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        fence = (await journal.create(replace(new("a", journal.owner), labels={"team": "x"}))).fence
        await journal.post(letter("a", key="k"))
        await journal.commit(
            replace(step("a", fence), cursors=(Cursor(1, "", b"c"),), outcomes=(Outcome(1, "", b"o"),))
        )
        await journal.delete("a", replace(fence, rev=1))
        db = apsw.Connection(str(path))
        tables = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
        left = {table for table in tables if db.execute(f"SELECT 1 FROM {table}").get}
        db.close()
        assert left == {"cano_owner", "cano_removed", "sqlite_sequence"}


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    """A call before the journal is opened, or after it is closed, names the fix; it can be opened again."""
    journal = SqliteJournal(tmp_path / "runs.db")
    for _ in range(2):
        with pytest.raises(JournalError, match="async with"):
            await journal.runs()
        async with journal:
            await journal.runs()


@pytest.mark.parametrize("fails", ["write", "sync"])
async def test_a_failing_disk_ends_the_journal(tmp_path: Path, fails: str) -> None:
    """A write or sync that fails ends the journal: that commit and all later ones raise; what was acknowledged is there.

    The outcome of the failed one is unknown until the file is opened again; then it is either whole or not there at all.
    """
    disk = FaultyDisk(f"faulty {fails}")
    async with SqliteJournal(tmp_path / "runs.db", vfs=disk.name) as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        await journal.commit(step("a", fence))
        disk.fails = fails
        for _ in range(2):
            with pytest.raises(JournalError, match="is used no more") as caught:
                await journal.commit(step("a", replace(fence, rev=1)))
            assert not isinstance(caught.value, JournalUnavailable)
            assert isinstance(caught.value.__cause__, apsw.IOError)
            disk.fails = None  # a disk that comes back is not trusted
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        rev = (await journal.load("a")).record.rev
        assert rev in {1, 2}
        assert len(await journal.history("a")) == rev


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    """P1: between a commit's call and its return the disk is told to sync."""
    disk = FaultyDisk("counting")
    async with SqliteJournal(tmp_path / "runs.db", vfs=disk.name) as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        for rev in range(3):
            disk.calls.clear()
            await journal.commit(step("a", replace(fence, rev=rev)))
            assert disk.calls[-1] == "sync"


async def test_waiting_commits_share_a_sync(tmp_path: Path) -> None:
    """A hundred commits at once take a few syncs, not a hundred."""
    disk = FaultyDisk("sharing")
    async with SqliteJournal(tmp_path / "runs.db", vfs=disk.name) as journal:
        fences = [(await journal.create(new(f"r{index}", journal.owner))).fence for index in range(100)]
        disk.calls.clear()
        async with trio.open_nursery() as nursery:
            for index, fence in enumerate(fences):
                nursery.start_soon(journal.commit, step(f"r{index}", fence))
        assert 1 <= disk.calls.count("sync") <= 20


async def test_runs_that_are_created_at_once(tmp_path: Path) -> None:
    """Of runs that wait for the same transaction those are created whose ids are new, each id once; the others are told."""
    told: list[str] = []
    writing = Event()

    async def create(run_id: str) -> None:
        try:
            told.append((await journal.create(new(run_id))).run_id)
        except DuplicateRun as error:
            told.append(f"{error.run_id} {error.status}")

    async with SqliteJournal(tmp_path / "runs.db") as journal:
        await journal.create(replace(new("there"), position=at(0, RunStatus.WAITING)))
        fence = (await journal.create(new("gone", journal.owner))).fence
        await journal.delete("gone", fence)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal._open.writer.do, lambda _: writing.wait())
            for run_id in ("there", "a", "gone", "b", "a"):
                nursery.start_soon(create, run_id)
            await trio.testing.wait_all_tasks_blocked()
            writing.set()
        assert sorted(told) == ["a", "a running", "b", "gone running", "there waiting"]
        assert sorted(run.run_id for run in await journal.runs()) == ["a", "b", "there"]
        assert (await journal.examine()).is_whole


async def test_what_is_refused_harms_no_neighbour(tmp_path: Path) -> None:
    """One commit and one run that are refused leave all others of their transaction written and created."""
    refused: list[str] = []
    writing = Event()

    async def ask(name: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except (LeaseLost, UnicodeEncodeError):
            refused.append(name)

    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fences = [(await journal.create(new(f"r{index}", journal.owner))).fence for index in range(5)]
        stale = replace(fences[2], epoch=9)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal._open.writer.do, lambda _: writing.wait())
            for index, fence in enumerate([*fences[:2], stale, *fences[3:]]):
                nursery.start_soon(ask, f"commit {index}", partial(journal.commit, step(f"r{index}", fence)))
            for name in ("new", "\udcff"):
                nursery.start_soon(ask, f"create {name}", partial(journal.create, new(name)))
            await trio.testing.wait_all_tasks_blocked()
            writing.set()
        assert sorted(refused) == ["commit 2", "create \udcff"]
        assert {run.run_id: run.rev for run in await journal.runs()} == {
            **{f"r{index}": int(index != 2) for index in range(5)},
            "new": 0,
        }


async def test_a_batch_is_bounded(tmp_path: Path) -> None:
    """Commits of more than 4 MB together are not kept for one transaction, however many wait."""
    disk = FaultyDisk("bounded")
    async with SqliteJournal(tmp_path / "runs.db", vfs=disk.name) as journal:
        fences = [(await journal.create(new(f"r{index}", journal.owner))).fence for index in range(12)]
        disk.calls.clear()
        async with trio.open_nursery() as nursery:
            for index, fence in enumerate(fences):
                nursery.start_soon(journal.commit, replace(step(f"r{index}", fence), data=b"x" * 1_000_000))
        assert disk.calls.count("sync") >= 3


async def test_a_due_time_that_is_none(tmp_path: Path) -> None:
    """A due time that is no number, by which no index would find the run, is refused; nothing is written."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        with pytest.raises(ValueError, match="infinite or no number"):
            await journal.commit(replace(step("a", fence), position=replace(at(1), due_at=math.nan)))
        assert (await journal.examine()).is_whole
        assert (await journal.load("a")).record.rev == 0
