"""A run is held by one process at a time."""

from __future__ import annotations

import trio
import trio.testing
from msgspec.structs import replace

from ..._errors import JournalError, LeaseLost
from ..._journal.protocol import Journal
from .law import JournalFactory, claimed, holds, law, refused, same
from .rows import new, step


@law
async def a_living_owner_keeps_its_run(journal: Journal, other: Journal) -> None:
    """Another process gets None for a run that is held; once it is given back, it gets it, and the old fence is lost."""
    fence = (await journal.create(new("a", journal.owner))).fence
    same(await other.claim("a"), None)
    same(await journal.commit(replace(step("a", fence), release=True)), 1)
    taken = await other.claim("a")
    same(claimed(taken).record.fence, replace(fence, owner=other.owner, epoch=2, rev=1))
    same(await journal.claim("a"), None)
    with refused(LeaseLost):
        await journal.commit(step("a", replace(fence, rev=1)))
    same(await other.commit(step("a", claimed(taken).record.fence)), 2)


@law
async def a_run_that_is_held_already_gets_a_new_fence(journal: Journal) -> None:
    """A claim of one's own run is no crash, and the fence before it is refused."""
    fence = (await journal.create(new("a", journal.owner))).fence
    again = claimed(await journal.claim("a"))
    same((again.record.crashes, again.record.epoch), (0, 2))
    with refused(LeaseLost):
        await journal.commit(step("a", fence))
    same(await journal.commit(step("a", again.record.fence)), 1)


@law
async def crashes_are_counted_until_a_commit(journal: Journal) -> None:
    """A claim from a dead owner counts; one of a run that was given back does not, and a commit begins anew."""
    await journal.create(new("a", owner="dead"))
    taken = claimed(await journal.claim("a"))
    same((taken.record.crashes, taken.record.epoch), (1, 2))
    await journal.commit(replace(step("a", taken.record.fence), release=True))
    record = (await journal.load("a")).record
    same((record.crashes, record.owner), (0, None))
    freed = claimed(await journal.claim("a"))
    same(freed.record.crashes, 0)


@law
async def leaving_gives_all_back(journal: Journal, beside: JournalFactory) -> None:
    """A process that leaves gives its runs back at once, uncounted; the others' stay."""
    await journal.create(new("c", journal.owner))
    async with beside() as leaving:
        left = leaving.owner
        for run_id in ("a", "b"):
            await leaving.create(new(run_id, leaving.owner))
    same([run.owner for run in await journal.runs()], [journal.owner, None, None])
    taken = claimed(await journal.claim("a"))
    same(taken.record.crashes, 0)
    async with leaving:
        holds(
            leaving.owner not in {left, journal.owner},
            f"it is opened again under an owner that was there: {leaving.owner}",
        )


@law
async def those_who_enter_share_it(journal: Journal, beside: JournalFactory) -> None:
    """Any number may enter, at once or one in another; all have one owner, and only the last to leave gives runs back."""
    shared = beside()
    owners: set[str] = set()
    entered, hold = trio.Event(), trio.Event()

    async def use() -> None:
        async with shared:
            owners.add(shared.owner)
            entered.set()
            await hold.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(use)
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with shared:
            await shared.create(new("a", shared.owner))
        await entered.wait()
        same((await journal.load("a")).record.owner, shared.owner)
        hold.set()
    same(len(owners), 1)
    same((await journal.load("a")).record.owner, None)
    with refused(JournalError):
        _ = shared.owner
