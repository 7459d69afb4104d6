"""Which instant of a schedule was fired is told once, whoever asks."""

from __future__ import annotations

import trio
import trio.testing
from msgspec.structs import replace

from ..._errors import DuplicateRun
from ..._journal.protocol import Journal
from ..._journal.rows import RunRecord
from ..._journal.schedule_record import ScheduleRecord
from .law import holds, law, refused, same
from .rows import new, schedule

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


@law
async def every_field_comes_back(journal: Journal, other: Journal) -> None:
    """What is kept is found as it was, with the next rev, here and in another process; there is nothing before."""
    same(await journal.schedules(), ())
    same(await journal.keep_schedule(FULL), None)
    same(await journal.schedules(), (replace(FULL, rev=1),))
    same(await other.schedules(), (replace(FULL, rev=1),))


@law
async def schedules_are_listed_by_name(journal: Journal) -> None:
    """Any text is a name, and each names its own schedule; one that has no UTF-8 form is refused alone."""
    names = ["b", "a", "B", "it's", "nul\x00", "\U0001f40b", "\uffff", ""]
    for name in names:
        same(await journal.keep_schedule(schedule(name)), None)
    with refused(UnicodeEncodeError):
        await journal.keep_schedule(schedule("\ud800"))
    same([one.name for one in await journal.schedules()], sorted(names))


@law
async def a_stale_record_is_not_kept(journal: Journal, other: Journal) -> None:
    """Whoever writes of an older record than the one that is there is given that, and nothing is written."""
    first = schedule("s")
    same(await journal.keep_schedule(first), None)
    same(await other.keep_schedule(replace(first, rev=1, paused=True)), None)
    standing = replace(first, rev=2, paused=True)
    for rev in (0, 1, 3):
        same(await journal.keep_schedule(replace(first, rev=rev)), standing)
    same(await journal.schedules(), (standing,))
    same(await journal.keep_schedule(replace(standing, paused=False)), None)
    same(await other.schedules(), (replace(standing, paused=False, rev=3),))


@law
async def one_that_is_gone_is_written_anew(journal: Journal) -> None:
    """A record of a journal that has none of that name any more takes its place."""
    same(await journal.keep_schedule(schedule("s", rev=5)), None)
    same(await journal.schedules(), (replace(schedule("s", rev=5), rev=6),))


@law
async def one_that_is_removed_is_gone(journal: Journal, other: Journal) -> None:
    """Only by who knows its latest record, for any other is given that; then it is gone for all, and can be begun anew."""
    same(await journal.delete_schedule("s", 0), None)
    for name in ("s", "it's"):
        await journal.keep_schedule(schedule(name))
    await other.keep_schedule(schedule("s", rev=1))
    for rev in (0, 1, 3):
        same(await journal.delete_schedule("s", rev), schedule("s", rev=2))
    await journal.create(new("s@1"))
    same(await journal.delete_schedule("s", 2), None)
    same(await journal.schedules(), (schedule("it's", rev=1),))
    same(await other.schedules(), (schedule("it's", rev=1),))
    same([run.run_id for run in await other.runs()], ["s@1"])
    same(await other.keep_schedule(schedule("s")), None)
    same([one.rev for one in await journal.schedules()], [1, 1])


@law
async def a_run_and_its_firing_are_one(journal: Journal) -> None:
    """Both are written: the run is there, and the schedule has moved."""
    await journal.keep_schedule(schedule("s"))
    moved = replace(schedule("s", rev=1), runs=("s@1",))
    record = await journal.fire(new("s@1", journal.owner), moved)
    same(record, (await journal.load("s@1")).record)
    same(await journal.schedules(), (replace(moved, rev=2),))


@law
async def an_instant_is_fired_once(journal: Journal, other: Journal) -> None:
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
    same([answer for answer in answers if answer is not fired], [standing] * 5)
    same([run.run_id for run in await journal.runs()], [fired.run_id])


@law
async def a_run_that_is_there_fires_nothing(journal: Journal) -> None:
    """Where the id of the run is used, also of one that was removed, the schedule stays as it was."""
    await journal.keep_schedule(schedule("s"))
    fence = (await journal.create(new("s@1", journal.owner))).fence
    for _ in range(2):
        with refused(DuplicateRun):
            await journal.fire(new("s@1"), schedule("s", rev=1))
        same(await journal.schedules(), (schedule("s", rev=1),))
        if await journal.runs():
            await journal.delete("s@1", fence)


@law
async def a_schedule_that_was_never_begun_fires(journal: Journal) -> None:
    """The first firing may be what begins a schedule."""
    fired = await journal.fire(new("s@1"), schedule("s"))
    holds(isinstance(fired, RunRecord), f"it does not fire, and gives {fired}")
    same((await journal.schedules())[0].rev, 1)


@law
async def a_cancel_before_a_firing_writes_nothing(journal: Journal) -> None:
    """A firing in a scope that is cancelled already is none."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.fire(new("s@1"), schedule("s"))
    holds(scope.cancelled_caught, "the call does not notice the cancel")
    same((await journal.schedules(), await journal.runs()), ((), ()))
