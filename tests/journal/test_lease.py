"""Who holds a run while processes live, freeze and die: all of them are real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread

import apsw
import pytest
import trio

from cano_trio import JournalError, JournalUnavailable, LeaseLost
from cano_trio._journal.sqlite.journal import SqliteJournal
from cano_trio._journal.sqlite.owners import OwnerLocks
from tests.journal.process import Process
from tests.journal.rows import fence_of, new, step

SHORT = 0.3


def locks(path: Path) -> list[Path]:
    """The lock files of a journal."""
    return list(Path(f"{path}.owners").iterdir())


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread or process."""
    with trio.fail_after(30):
        while not is_so():  # noqa: ASYNC110 -- in another thread
            await trio.sleep(0.005)


async def claimed(journal: SqliteJournal, run_id: str) -> None:
    """Ask for a run until it is given."""
    with trio.fail_after(30):
        while await journal.claim(run_id) is None:  # noqa: ASYNC110 -- in another process
            await trio.sleep(0.01)


async def test_a_living_process_keeps_its_run_past_its_lease(tmp_path: Path) -> None:
    """The writer renews a lease by itself: after many times its length the run is still held, and can be written."""
    path = tmp_path / "runs.db"
    with Process(path, SHORT) as process:
        owner = process.ask("create a")
        async with SqliteJournal(path) as journal:
            begun = trio.current_time()
            while trio.current_time() - begun < 3 * SHORT:
                assert await journal.claim("a") is None
                await trio.sleep(0.02)
            assert (await journal.load("a")).record.owner == owner
        assert process.ask("commit a") == "1"


async def test_a_killed_process_is_noticed_at_once(tmp_path: Path) -> None:
    """A run of a process that was killed can be claimed at once, however long its lease, and the crash is counted."""
    path = tmp_path / "runs.db"
    with Process(path, lease=1e6) as process:
        process.ask("create a")
        async with SqliteJournal(path) as journal:
            assert await journal.claim("a") is None
            process.kill()
            taken = await journal.claim("a")
            assert taken is not None
            assert taken.record.crashes == 1


async def test_a_process_frozen_between_commits(tmp_path: Path) -> None:
    """P4: one that is frozen past its lease loses its runs; thawed, it is refused, writes nothing, and has a new id."""
    path = tmp_path / "runs.db"
    with Process(path, SHORT) as process:
        owner = process.ask("create a")
        assert process.ask("commit a") == "1"
        process.freeze()
        async with SqliteJournal(path) as journal:
            await claimed(journal, "a")
            stored, history = await journal.load("a"), await journal.history("a")
            process.thaw()
            assert process.ask("commit a") == "LeaseLost"
            assert process.ask("commit a") == "LeaseLost"
            assert process.ask("claim a") == "held"
            assert (await journal.load("a"), await journal.history("a")) == (stored, history)
            assert await journal.commit(step("a", stored.record.fence)) == 2
        renewed = process.ask("claim a")
        assert renewed not in {owner, "held"}
        assert process.ask("commit a") == "3"


async def test_a_process_frozen_inside_a_commit(tmp_path: Path) -> None:
    """One that is frozen in the middle of a commit holds the file: others wait, say so, and go on when it does."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path, patience=0.1) as journal:
        fence = (await journal.create(new("b", journal.owner))).fence
        with Process(path) as process:
            process.ask("create a")
            process.begin("freeze a")
            await trio.to_thread.run_sync(process.wait_frozen)
            with pytest.raises(JournalUnavailable, match="locked"):
                await journal.commit(step("b", fence))
            assert (await journal.load("b")).record.rev == 0
            process.thaw()
            assert process.answer() == "1"
            assert await journal.commit(step("b", fence)) == 1
            assert process.ask("commit a") == "2"


async def test_who_was_not_heard_of_lately_is_not_sure(tmp_path: Path) -> None:
    """Half a lease after its last renewal a journal holds nothing for sure; as soon as it can write again, it does."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path, lease=0.4, patience=0.01) as journal:
        assert journal.holds(journal.owner)
        assert not journal.holds("another")
        db = apsw.Connection(str(path))
        db.execute("BEGIN IMMEDIATE")  # as a process does that is frozen in the middle of a commit
        await until(lambda: not journal.holds(journal.owner))
        db.execute("ROLLBACK")
        db.close()
        await until(lambda: journal.holds(journal.owner))


async def test_of_two_resumers_one_wins(tmp_path: Path) -> None:
    """Two processes that claim a dead one's run at the same time: one gets it, the other hears that it is held."""
    path = tmp_path / "runs.db"
    with Process(path) as dead, Process(path) as one, Process(path) as other:
        dead.ask("create a")
        dead.kill()
        for process in (one, other):
            process.begin("claim a")
        answers = [one.answer(), other.answer()]
        assert answers.count("held") == 1
        winner = other if answers[0] == "held" else one
        assert winner.ask("commit a") == "1"


async def test_a_lost_lease_is_begun_under_another_id(tmp_path: Path) -> None:
    """A journal whose lease was taken from it goes on under a new id: new runs are held, the old ones are refused."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path, lease=0.1) as journal, SqliteJournal(path) as other:
        lost = journal.owner
        fence = (await journal.create(new("a", lost))).fence
        for file in locks(path):  # what nobody should do
            file.unlink()
        await claimed(other, "a")
        await until(lambda: journal.owner != lost)
        with pytest.raises(LeaseLost):
            await journal.commit(step("a", fence))
        await journal.create(new("b", journal.owner))
        assert await other.claim("b") is None
    async with SqliteJournal(path) as journal:
        assert [run.owner for run in await journal.runs()] == [None, None]


async def test_what_the_dead_leave_is_swept(tmp_path: Path) -> None:
    """Lock files and leases of dead processes go when a journal is opened; those of the living stay."""
    path = tmp_path / "runs.db"
    with Process(path) as living, Process(path) as dead:
        for process in (living, dead):
            process.ask(f"create {id(process)}")
        dead.kill()
        assert len(locks(path)) == 2
        async with SqliteJournal(path) as journal:
            assert len(locks(path)) == 2
            assert await journal.claim(str(id(living))) is None
            assert await journal.claim(str(id(dead))) is not None
        assert len(locks(path)) == 1


def test_a_lock_is_never_swept_away_from_one_who_takes_it(tmp_path: Path) -> None:
    """While one thread sweeps without end, each lock that another takes is seen as held by all."""
    folder = tmp_path / "owners"
    folder.mkdir()
    is_over = False

    def sweep() -> None:
        sweeper = OwnerLocks(folder)
        while not is_over:
            sweeper.sweep()

    thread = Thread(target=sweep)
    thread.start()
    try:
        for index in range(300):
            mine = OwnerLocks(folder)
            mine.hold(f"o{index}")
            assert not OwnerLocks(folder).is_dead(f"o{index}")
            mine.drop(f"o{index}")
            assert OwnerLocks(folder).is_dead(f"o{index}")
    finally:
        is_over = True
        thread.join()


async def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    """Where the lock files can't be, the journal can't be opened, and says why."""
    path = tmp_path / "runs.db"
    (tmp_path / "runs.db.owners").write_text("in the way")
    with pytest.raises(JournalError, match="lock of this process can't be held"):
        async with SqliteJournal(path):
            pass


async def test_a_run_without_an_owner_is_claimed_by_whoever_asks(tmp_path: Path) -> None:
    """Both of two journals in one process behave as processes: what one gave back the other takes."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as one, SqliteJournal(path) as other:
        await one.create(new("a"))
        assert one.owner != other.owner
        fence_of(await one.claim("a"))
        assert await other.claim("a") is None
