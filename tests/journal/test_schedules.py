"""What every journal keeps of schedules: which instant was fired is told once, whoever asks."""

from __future__ import annotations

import logging
from pathlib import Path

import apsw
import pytest
import trio
from msgspec.structs import replace

from cano_trio import DuplicateRun, JournalError
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import RunRecord
from cano_trio._journal.schedule_record import ScheduleRecord
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import new, schedule

FULL = ScheduleRecord(
    name="nightly",
    workflow="report",
    trigger="cron '0 3 * * *' in Europe/Berlin",
    since=1893456000.25,
    passed=1893456060.123456,
    queued=(1893456060.0, 1893456120.5),
    runs=("nightly@2030-01-01T00:00:00Z", "it's"),
    run_count=7,
    last=1893456060.123456,
    started_at=1893456061.0,
    ended_at=1893456062.0,
    streak=3,
    eligible_at=1893456063.0,
    error="ValueError: \U0001f40b\x00",
    tripped=True,
    paused=True,
)


async def test_every_field_comes_back(journal: Journal, other: Journal) -> None:
    """What is kept is found as it was, with the next rev, here and in another process; there is nothing before."""
    assert await journal.schedules() == ()
    assert await journal.keep_schedule(FULL) is None
    assert await journal.schedules() == await other.schedules() == (replace(FULL, rev=1),)


async def test_schedules_are_listed_by_name(journal: Journal) -> None:
    """Any text is a name, and each names its own schedule; one that has no UTF-8 form is refused alone."""
    names = ["b", "a", "B", "it's", "nul\x00", "\U0001f40b", "\uffff", ""]
    for name in names:
        assert await journal.keep_schedule(schedule(name)) is None
    with pytest.raises(UnicodeEncodeError):
        await journal.keep_schedule(schedule("\ud800"))
    assert [one.name for one in await journal.schedules()] == sorted(names)


async def test_a_stale_record_is_not_kept(journal: Journal, other: Journal) -> None:
    """Whoever writes of an older record than the one that is there is given that, and nothing is written."""
    first = schedule("s")
    assert await journal.keep_schedule(first) is None
    assert await other.keep_schedule(replace(first, rev=1, paused=True)) is None
    standing = replace(first, rev=2, paused=True)
    for rev in (0, 1, 3):
        assert await journal.keep_schedule(replace(first, rev=rev)) == standing
    assert await journal.schedules() == (standing,)
    assert await journal.keep_schedule(replace(standing, paused=False)) is None
    assert await other.schedules() == (replace(standing, paused=False, rev=3),)


async def test_one_that_is_gone_is_written_anew(journal: Journal) -> None:
    """A record of a journal that has none of that name any more takes its place."""
    assert await journal.keep_schedule(schedule("s", rev=5)) is None
    assert await journal.schedules() == (replace(schedule("s", rev=5), rev=6),)


async def test_one_that_is_removed_is_gone(journal: Journal, other: Journal) -> None:
    """Only by who knows its latest record, for any other is given that; then it is gone for all, and can be begun anew."""
    assert await journal.delete_schedule("s", 0) is None
    for name in ("s", "it's"):
        await journal.keep_schedule(schedule(name))
    await other.keep_schedule(schedule("s", rev=1))
    for rev in (0, 1, 3):
        assert await journal.delete_schedule("s", rev) == schedule("s", rev=2)
    await journal.create(new("s@1"))
    assert await journal.delete_schedule("s", 2) is None
    assert await journal.schedules() == await other.schedules() == (schedule("it's", rev=1),)
    assert [run.run_id for run in await other.runs()] == ["s@1"]
    assert await other.keep_schedule(schedule("s")) is None
    assert [one.rev for one in await journal.schedules()] == [1, 1]


async def test_a_run_and_its_firing_are_one(journal: Journal) -> None:
    """Both are written: the run is there, and the schedule has moved."""
    await journal.keep_schedule(schedule("s"))
    moved = replace(schedule("s", rev=1), runs=("s@1",))
    record = await journal.fire(new("s@1", journal.owner), moved)
    assert isinstance(record, RunRecord)
    assert record == (await journal.load("s@1")).record
    assert await journal.schedules() == (replace(moved, rev=2),)


async def test_an_instant_is_fired_once(journal: Journal, other: Journal) -> None:
    """Of processes that fire at once one does; the others are given the schedule as that has left it, and no run."""
    await journal.keep_schedule(schedule("s"))
    answers: list[RunRecord | ScheduleRecord] = []

    async def fire(process: Journal, run_id: str) -> None:
        answers.append(await process.fire(new(run_id, process.owner), replace(schedule("s", rev=1), runs=(run_id,))))

    async with trio.open_nursery() as nursery:
        for index in range(6):
            nursery.start_soon(fire, (journal, other)[index % 2], f"s@{index}")
    (fired,) = (answer for answer in answers if isinstance(answer, RunRecord))
    standing = replace(schedule("s", rev=1), runs=(fired.run_id,), rev=2)
    assert [answer for answer in answers if answer is not fired] == [standing] * 5
    assert [run.run_id for run in await journal.runs()] == [fired.run_id]


async def test_a_run_that_is_there_fires_nothing(journal: Journal) -> None:
    """P8: where the id of the run is used, also of one that was removed, the schedule stays as it was."""
    await journal.keep_schedule(schedule("s"))
    fence = (await journal.create(new("s@1", journal.owner))).fence
    for _ in range(2):
        with pytest.raises(DuplicateRun):
            await journal.fire(new("s@1"), schedule("s", rev=1))
        assert await journal.schedules() == (schedule("s", rev=1),)
        if await journal.runs():
            await journal.delete("s@1", fence)


async def test_a_schedule_that_was_never_begun_fires(journal: Journal) -> None:
    """The first firing may be what begins a schedule."""
    assert isinstance(await journal.fire(new("s@1"), schedule("s")), RunRecord)
    assert (await journal.schedules())[0].rev == 1


async def test_a_cancel_before_a_call_writes_nothing(journal: Journal) -> None:
    """A firing in a scope that is cancelled already is none."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.fire(new("s@1"), schedule("s"))
    assert scope.cancelled_caught
    assert (await journal.schedules(), await journal.runs()) == ((), ())


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
