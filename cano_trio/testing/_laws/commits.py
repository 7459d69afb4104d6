"""A commit happens as a whole or not at all, and only behind the one before it."""

from __future__ import annotations

import trio
import trio.testing
from msgspec.structs import replace

from ..._errors import DuplicateRun, LeaseLost, RunNotFound
from ..._journal.protocol import Journal
from ..._journal.rows import Commit, Cursor, Outcome, StoredError
from ..._observe.status import RunStatus
from .law import law, refused, same
from .rows import at, finished, new, step


@law
async def commits_follow_one_another(journal: Journal) -> None:
    """Each commit moves the run and adds its row to the history; the new rev is the next fence's."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for seq in range(3):
        same(await journal.commit(step("a", fence)), seq + 1)
        fence = replace(fence, rev=seq + 1)
    stored = await journal.load("a")
    same((stored.record.position, stored.data, stored.record.fence), (at(3), b"2", fence))
    same(await journal.history("a"), (finished(0), finished(1), finished(2)))


@law
async def every_field_of_a_log_row_comes_back(journal: Journal) -> None:
    """A row's receipt, messages, data, kind, part, version and error are kept."""
    error = StoredError(type="Declined", message="no")
    fence = (await journal.create(new("a", journal.owner))).fence
    row = replace(
        finished(0),
        next=None,
        kind="undone",
        part="/b:left",
        attempts=4,
        receipt=b"r",
        messages=b"\x00",
        data=b"",
        version=3,
        error=error,
    )
    doubtful = replace(finished(0), kind="in doubt")
    await journal.commit(replace(step("a", fence), log=(row, finished(0), doubtful)))
    same(await journal.history("a"), (row, finished(0), doubtful))


@law
async def a_stale_fence_is_refused(journal: Journal) -> None:
    """A commit with an older rev, another owner or another epoch raises `LeaseLost` and changes nothing."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.commit(step("a", fence))
    before = await journal.load("a")
    good = replace(fence, rev=1)
    for stale in (fence, replace(good, owner="two"), replace(good, epoch=2), replace(good, run=good.run + 1)):
        with refused(LeaseLost) as caught:
            await journal.commit(step("a", stale))
        same((caught.value.run_id, caught.value.owner), ("a", stale.owner))
    same(await journal.load("a"), before)
    same(len(await journal.history("a")), 1)


@law
async def data_stay_where_a_commit_has_none(journal: Journal) -> None:
    """A commit without data moves the run, and leaves the data."""
    fence = (await journal.create(new("a", journal.owner, data=b"kept"))).fence
    await journal.commit(Commit(run_id="a", fence=fence, position=at(1)))
    same((await journal.load("a")).data, b"kept")


@law
async def cursors_are_overwritten_and_forgotten(journal: Journal) -> None:
    """A cursor takes the place of the last of its visit and part; forgetting takes those of visits up to one."""
    fence = (await journal.create(new("a", journal.owner))).fence
    first = Commit(
        run_id="a",
        fence=fence,
        position=at(0),
        cursors=(Cursor(0, "", b"1"), Cursor(0, "/b:l", b"2"), Cursor(1, "", b"3")),
    )
    await journal.commit(first)
    await journal.commit(replace(first, fence=replace(fence, rev=1), cursors=(Cursor(0, "", b"4"),)))
    same((await journal.load("a")).cursors, (Cursor(0, "", b"4"), Cursor(0, "/b:l", b"2"), Cursor(1, "", b"3")))
    await journal.commit(replace(first, fence=replace(fence, rev=2), forget_cursors=0, cursors=(Cursor(0, "x", b"5"),)))
    same((await journal.load("a")).cursors, (Cursor(0, "x", b"5"), Cursor(1, "", b"3")))


@law
async def outcomes_outlive_cursors(journal: Journal) -> None:
    """Forgetting the cursors of a split leaves its outcomes until they are forgotten themselves."""
    fence = (await journal.create(new("a", journal.owner))).fence
    outcome = Outcome(0, "/b:left", b"won")
    commit = Commit(run_id="a", fence=fence, position=at(0), cursors=(Cursor(0, "", b""),), outcomes=(outcome,))
    await journal.commit(commit)
    gone = Commit(run_id="a", fence=replace(fence, rev=1), position=at(1), forget_cursors=0)
    await journal.commit(gone)
    stored = await journal.load("a")
    same((stored.cursors, stored.outcomes), ((), (outcome,)))
    await journal.commit(replace(gone, fence=replace(fence, rev=2), forget_cursors=None, forget_outcomes=0))
    same((await journal.load("a")).outcomes, ())


@law
async def runs_start_with_a_commit_or_not_at_all(journal: Journal) -> None:
    """A commit that starts a run whose id is used writes nothing, neither its own part nor the other runs."""
    fence = (await journal.create(new("a", journal.owner))).fence
    with refused(DuplicateRun):
        await journal.commit(replace(step("a", fence), starts=(new("child"), new("a"))))
    same((await journal.load("a")).record.rev, 0)
    same(await journal.history("a"), ())
    with refused(RunNotFound):
        await journal.load("child")
    await journal.commit(replace(step("a", fence), starts=(new("child", journal.owner),)))
    same((await journal.load("child")).record.owner, journal.owner)


@law
async def commits_go_along_or_not_at_all(journal: Journal) -> None:
    """A parent's and a child's commit happen together: where one's fence fails, neither is written."""
    parent = (await journal.create(new("parent", journal.owner))).fence
    child = (await journal.create(new("child", journal.owner))).fence
    lost = replace(step("parent", parent), along=(step("child", replace(child, epoch=9)),))
    with refused(LeaseLost) as caught:
        await journal.commit(lost)
    same(caught.value.run_id, "child")
    same([run.rev for run in await journal.runs()], [0, 0])
    await journal.commit(replace(lost, along=(step("child", child),)))
    same([run.rev for run in await journal.runs()], [1, 1])


@law
async def a_commit_may_change_the_version(journal: Journal) -> None:
    """The version of a run is that of the workflow that wrote its data last."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.commit(replace(step("a", fence), version=2))
    await journal.commit(step("a", replace(fence, rev=1)))
    same((await journal.load("a")).record.version, 2)


@law
async def a_run_that_was_over_can_go_on(journal: Journal) -> None:
    """A failed run that is retried is listed as unfinished again, alone or beside others in one batch."""
    fences = {}
    for run_id in ("a", "b", "c"):
        failed = replace(new(run_id, journal.owner), position=at(0, RunStatus.FAILED))
        fences[run_id] = (await journal.create(failed)).fence
    same(await journal.runs(status=[RunStatus.RUNNING]), ())
    async with trio.open_nursery() as nursery:
        for run_id, fence in fences.items():
            nursery.start_soon(journal.commit, step(run_id, fence))
    same([run.run_id for run in await journal.runs(status=[RunStatus.RUNNING])], ["a", "b", "c"])
    await journal.commit(
        Commit(run_id="a", fence=replace(fences["a"], rev=1), position=at(2, RunStatus.COMPLETED), release=True)
    )
    same([run.run_id for run in await journal.runs(status=[RunStatus.RUNNING])], ["b", "c"])


@law
async def many_tasks_write_at_once(journal: Journal) -> None:
    """A hundred runs of ten transitions, all at once: each history is dense and in order; a lost fence fails alone."""
    refused: list[str] = []

    async def run(run_id: str) -> None:
        fence = (await journal.create(new(run_id, journal.owner))).fence
        for _ in range(10):
            try:
                await journal.commit(step(run_id, replace(fence, epoch=fence.epoch + 1)))
            except LeaseLost:
                refused.append(run_id)
            fence = replace(fence, rev=await journal.commit(step(run_id, fence)))

    async with trio.open_nursery() as nursery:
        for index in range(100):
            nursery.start_soon(run, f"r{index}")
    same(len(refused), 1000)
    for record in await journal.runs():
        same(record.rev, 10)
        same([row.seq for row in await journal.history(record.run_id)], list(range(10)))
