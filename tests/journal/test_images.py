"""What a power failure may leave on the disk: writes that were not synced are torn, dropped, or done out of order.

The default suite looks at some of the images; all of them: ``python -m pytest -m slow tests/journal/test_images.py``.
"""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest
import trio
from msgspec.structs import replace

from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.faulty import RecordedDisk, hasty
from tests.journal.rows import letter, new, step

RUNS = 4
COMMITS = 12


async def work(path: Path, disk: RecordedDisk) -> list[tuple[int, str, int]]:
    """Write to a journal on a recorded disk; which rev of which run was acknowledged after how many things were done."""
    acknowledged = []

    async def run(journal: SqliteJournal, run_id: str) -> None:
        fence = (await journal.create(new(run_id, journal.owner, data=b"-1"))).fence
        for rev in range(COMMITS):
            acknowledged.append((len(disk.done), run_id, rev))
            await journal.post(letter(run_id, b"x" * 500, key=f"k{rev}"))
            await journal.commit(replace(step(run_id, replace(fence, rev=rev)), consumed=(rev + 1,)))
        acknowledged.append((len(disk.done), run_id, COMMITS))

    async with SqliteJournal(path, vfs=disk.name) as journal:
        journal._open.writer._db.execute("PRAGMA wal_autocheckpoint=20").fetchall()  # checkpoints, too, fail half done
        async with trio.open_nursery() as nursery:
            for index in range(RUNS):
                nursery.start_soon(run, journal, f"r{index}")
    return acknowledged


async def check(folder: Path, image: dict[str, bytes], promised: dict[str, int]) -> None:
    """Open what is left of the disk: it is whole, and holds all that was acknowledged."""
    folder.mkdir()  # noqa: ASYNC240
    for name, content in image.items():
        (folder / name).write_bytes(content)
    async with hasty(folder / "runs.db") as journal:
        found = await journal.examine()
        assert found.is_whole, found
        revs = {run.run_id: run.rev for run in await journal.runs()}
        for run_id, rev in promised.items():
            assert revs[run_id] >= rev
        for run_id, rev in revs.items():
            assert [row.seq for row in await journal.history(run_id)] == list(range(rev))
            stored = await journal.load(run_id)
            assert stored.data == b"%d" % (rev - 1)
            assert [message.number for message in stored.messages] in ([], [rev + 1])


def promised_at(acknowledged: list[tuple[int, str, int]], point: int) -> dict[str, int]:
    """What was acknowledged by then of each run."""
    return {run_id: rev for done, run_id, rev in acknowledged if done <= point}


async def look_at(tmp_path: Path, part: int, parts: int) -> int:
    """Look at the images after every so-manieth thing that was done; how many they were."""
    disk = RecordedDisk(f"recorded {tmp_path}")
    acknowledged = await work(tmp_path / "runs.db", disk)
    rng = random.Random(part)
    count = 0
    for point in range(part, len(disk.done) + 1, parts):
        for image in disk.images(point, rng):
            await check(tmp_path / f"image{count}", image, promised_at(acknowledged, point))
            count += 1
    return count


async def test_no_acknowledged_commit_is_lost(tmp_path: Path) -> None:
    """P1: whatever a power failure leaves can be opened, is whole, and holds every commit that was acknowledged."""
    assert await look_at(tmp_path, 7, 30) > 20


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
async def test_no_acknowledged_commit_is_lost_at_any_point(tmp_path: Path, part: int) -> None:
    """The same, after every single write and sync."""
    assert await look_at(tmp_path, part, 20) > 50


async def test_the_recorded_disk_knows_what_is_there(tmp_path: Path) -> None:
    """The image of all that was done is what the files hold: the other images differ by what they leave out."""
    disk = RecordedDisk("recorded whole")
    await work(tmp_path / "runs.db", disk)
    image = next(disk.images(len(disk.done), random.Random(1)))
    assert image["runs.db"] == (tmp_path / "runs.db").read_bytes()


def test_without_syncs_commits_are_lost(tmp_path: Path) -> None:
    """The test of the test: with `synchronous=OFF` some image has lost what was acknowledged."""
    disk = RecordedDisk("recorded without syncs")
    db = apsw.Connection(str(tmp_path / "plain.db"), vfs=disk.name)
    db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE t(x)").fetchall()
    db.execute("INSERT INTO t VALUES (1)")
    point = len(disk.done)
    db.close()
    dropped = list(disk.images(point, random.Random(1)))[1]
    assert dropped.get("plain.db-wal", b"") == b""
