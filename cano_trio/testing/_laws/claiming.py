"""Those who take runs up are told which, and when, and who has got messages."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
import trio.testing
from msgspec.structs import replace

from ..._errors import RunNotFound
from ..._journal.claiming import has_work
from ..._journal.protocol import Journal
from ..._journal.rows import Commit, Position
from ..._observe.status import RunStatus
from .law import JournalFactory, claimed, holds, law, refused, same
from .rows import at, letter, new, step

SOON = 5.0
"""Seconds within which a change is told, also to another process."""


async def ids(journal: Journal, now: float = 100.0, **wanted: Any) -> list[str]:
    """The ids of those that can be claimed, in their order."""
    return [record.run_id for record in await journal.claimable(now=now, **wanted)]


def standing(status: RunStatus, **parts: Any) -> Position:
    return replace(at(0, status), **parts)


CLAIMABLE = {
    "queued": standing(RunStatus.QUEUED),
    "queued until now": standing(RunStatus.QUEUED, due_at=100.0),
    "running": standing(RunStatus.RUNNING),
    "running, with a time": standing(RunStatus.RUNNING, due_at=900.0, deadline_at=50.0),
    "rolling back": standing(RunStatus.ROLLING_BACK, due_at=900.0),
    "waiting until now": standing(RunStatus.WAITING, due_at=100.0),
    "waiting past its deadline": standing(RunStatus.WAITING, due_at=900.0, deadline_at=50.0),
}
LEFT_ALONE = {
    "queued until later": standing(RunStatus.QUEUED, due_at=100.5),
    "waiting until later": standing(RunStatus.WAITING, due_at=100.5),
    "waiting": standing(RunStatus.WAITING),
    "waiting until its deadline": standing(RunStatus.WAITING, deadline_at=101.0),
    "paused": standing(RunStatus.PAUSED, due_at=50.0, deadline_at=50.0),
    "blocked": standing(RunStatus.BLOCKED, due_at=50.0),
    **{status.value: standing(status, due_at=50.0) for status in RunStatus if status.ended},
}


@law
async def which_runs_can_be_claimed(journal: Journal) -> None:
    """Those that nobody holds and that have something to do: begin, go on, be undone, or meet an instant that has come."""
    for name, position in (CLAIMABLE | LEFT_ALONE).items():
        await journal.create(replace(new(name), position=position))
        await journal.create(replace(new(f"child {name}"), position=position, parent="p"))
        await journal.create(replace(new(f"held {name}", journal.owner), position=position))
    same(set(await ids(journal)), set(CLAIMABLE))
    same(
        set(await ids(journal, now=1000.0)) - set(CLAIMABLE),
        {"queued until later", "waiting until later", "waiting until its deadline"},
    )


@law
async def only_those_of_some_workflows(journal: Journal) -> None:
    """A process asks for the runs of the workflows that it knows; of no others it is told anything."""
    for name in ("census", "other", "it's"):
        await journal.create(replace(new(f"a {name}"), workflow=name))
        await journal.create(
            replace(new(f"b {name}"), workflow=name, position=standing(RunStatus.WAITING, due_at=200.0))
        )
    same(await ids(journal, workflows=["other", "it's"]), ["a other", "a it's"])
    same(await ids(journal, workflows=[]), [])
    same(await journal.next_due(workflows=["other"], now=100.0), 200.0)
    same(await journal.next_due(workflows=["none"], now=100.0), None)


@law
async def what_a_process_gives_back(journal: Journal, other: Journal) -> None:
    """A run that is given back can be claimed at once, by others and by who gave it, if it has something to do."""
    for held_as in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED):
        run_id = held_as.value
        fence = (await journal.create(new(run_id, journal.owner))).fence
        same((await ids(journal), await ids(other)), ([], []))
        await journal.commit(Commit(run_id=run_id, fence=fence, position=standing(held_as), release=True))
        expected = [run_id] if held_as in {RunStatus.QUEUED, RunStatus.RUNNING} else []
        same((await ids(journal), await ids(other)), (expected, expected))
        claimed(await other.claim(run_id))
        same((await ids(journal), await ids(other)), ([], []))


@law
async def a_message_makes_a_waiting_run_claimable(journal: Journal, other: Journal) -> None:
    """A run that waits, and nobody holds, can be claimed when it gets a message that it has not heard; no other can by one."""
    for status in (RunStatus.WAITING, RunStatus.PAUSED, RunStatus.BLOCKED, RunStatus.QUEUED):
        run_id = status.value
        fence = (await journal.create(new(run_id, journal.owner))).fence
        for _ in range(2):
            await other.post(letter(run_id))
        position = standing(status, heard=2, due_at=900.0)
        await journal.commit(Commit(run_id=run_id, fence=fence, position=position, release=True))
        same(await ids(journal), [])
        await other.post(letter(run_id, key="k"))
        expected = [run_id] if status is RunStatus.WAITING else []
        same((await ids(journal), await ids(other)), (expected, expected))
        claimed(await journal.claim(run_id))
        same(await ids(journal), [])


@law
async def a_message_that_comes_while_it_is_given_back(journal: Journal) -> None:
    """A run that is given back with fewer messages heard than there are can be claimed at once."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for _ in range(3):
        await journal.post(letter("a"))
    waits = standing(RunStatus.WAITING, heard=2)
    await journal.commit(Commit(run_id="a", fence=fence, position=waits, release=True, consumed=(1,)))
    same(await ids(journal), ["a"])


@law
async def the_runs_of_a_process_that_is_gone(journal: Journal, beside: JournalFactory) -> None:
    """What a process held that was closed can be claimed: what runs, and what waits for a time that has come or a message."""
    async with beside() as gone:
        for name, position in (CLAIMABLE | LEFT_ALONE).items():
            if position.status is not RunStatus.QUEUED:
                await gone.create(replace(new(name, gone.owner), position=position))
        await gone.create(replace(new("called", gone.owner), position=standing(RunStatus.WAITING)))
        await journal.post(letter("called"))
        same(await ids(journal), [])
    expected = {name for name, position in CLAIMABLE.items() if position.status is not RunStatus.QUEUED}
    same(set(await ids(journal)), {*expected, "called"})


@law
async def the_most_urgent_come_first(journal: Journal) -> None:
    """By priority, and of equal ones those first that have had something to do for longest; also where only few are asked for."""
    rng = random.Random(1)
    ranks: dict[str, tuple[int, float]] = {}
    for number in range(60):
        priority, due = rng.randint(-2, 2), float(rng.randint(1, 99))
        kind = (RunStatus.QUEUED, RunStatus.WAITING)[number % 2]
        position = standing(kind, due_at=due)
        await journal.create(replace(new(f"r{number}"), position=position, priority=priority))
        ranks[f"r{number}"] = (-priority, due)
    found = await ids(journal)
    same(len(found), 60)
    same([ranks[run_id] for run_id in found], sorted(ranks.values()))
    for limit in (1, 7, 59):
        same([ranks[run_id] for run_id in await ids(journal, limit=limit)], sorted(ranks.values())[:limit])


@law
async def those_that_only_seemed_to_have_something_to_do(journal: Journal, beside: JournalFactory) -> None:
    """A run that had heard all its messages when its process ended does not stand before those that have something to do."""
    async with beside() as gone:
        for number in range(3):
            run_id = f"heard {number}"
            fence = (await gone.create(replace(new(run_id, gone.owner), priority=5))).fence
            await gone.post(letter(run_id))
            await gone.commit(Commit(run_id=run_id, fence=fence, position=standing(RunStatus.WAITING, heard=1)))
    await journal.create(new("a"))
    same(await ids(journal, limit=1), ["a"])


@law
async def when_the_next_one_has_something_to_do(journal: Journal) -> None:
    """The first instant behind now at which a run that nobody holds is due, by its time or its deadline; None if there is none."""
    same(await journal.next_due(now=100.0), None)
    for name, position in (CLAIMABLE | LEFT_ALONE).items():
        await journal.create(replace(new(name), position=position))
        await journal.create(replace(new(f"held {name}", journal.owner), position=position))
    instants = (99.0, 100.0, 100.5, 101.0)
    for now, following in zip(instants, (*instants[1:], None), strict=True):
        same(await journal.next_due(now=now), following)


@law
async def the_inbox_is_read_from_a_number_on(journal: Journal) -> None:
    """Messages come in their order, only those behind a number, whoever holds the run."""
    await journal.create(new("a", journal.owner))
    for number in range(5):
        await journal.post(letter("a", b"%d" % number))
    found = [[message.number for message in await journal.inbox("a", after=after)] for after in (0, 3, 5, 9)]
    same(found, [[1, 2, 3, 4, 5], [4, 5], [], []])
    same((await journal.inbox("a", after=4))[0].letter, letter("a", b"4"))
    with refused(RunNotFound):
        await journal.inbox("missing")


@law
async def news_tell_who_has_got_messages_since(journal: Journal, other: Journal) -> None:
    """Each answer says which runs have got messages since the one before, by whomever: posted, or sent with a commit."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for run_id in ("b", "c"):
        await journal.create(new(run_id))
    first = await journal.news()
    same(first.runs, frozenset())
    await other.post(letter("b"))
    await journal.commit(replace(step("a", fence), sends=(letter("c"), letter("a"))))
    then = await journal.news(first.seen)
    same(then.runs, {"a", "b", "c"})
    same(await journal.news(then.seen), replace(then, runs=frozenset()))
    same((await other.news()).runs, {"a", "b", "c"})
    await other.post(letter("b", key="k"))
    await other.post(letter("b", key="k"))
    same((await journal.news(then.seen)).runs, {"b"})


@law
async def news_of_messages_along_with_another_runs_commit(journal: Journal) -> None:
    """Messages that are sent by a commit along with another one are told of, too."""
    fence = (await journal.create(new("a", journal.owner))).fence
    child = (await journal.create(new("child", journal.owner))).fence
    await journal.create(new("b"))
    seen, changes = (await journal.news()).seen, journal.changes
    along = replace(step("child", child), sends=(letter("b"),))
    await journal.commit(replace(step("a", fence), along=(along,)))
    same((await journal.news(seen)).runs, {"b"})
    holds(journal.changes > changes, "nobody is told of a change")


@law
async def changes_are_told(journal: Journal, other: Journal) -> None:
    """Whatever may give a run something to do wakes those who wait for changes: here, and in other processes."""
    await journal.create(new("b", journal.owner))
    for listener in (journal, other):
        for what in ("post", "create", "release", "sends", "along", "starts"):
            run_id, child_id, new_id = (f"{what}{listener is other:d}{part}" for part in ("", "/child", "/new"))
            fence = (await journal.create(new(run_id, journal.owner))).fence
            child = (await journal.create(new(child_id, journal.owner))).fence
            told = replace(step(child_id, child), sends=(letter("b"),))
            changes: dict[str, Callable[[], Awaitable[object]]] = {
                "post": partial(journal.post, letter("b")),
                "create": partial(journal.create, new(new_id)),
                "release": partial(journal.commit, Commit(run_id=run_id, fence=fence, position=at(1), release=True)),
                "sends": partial(journal.commit, replace(step(run_id, fence), sends=(letter("b"),))),
                "along": partial(journal.commit, replace(step(run_id, fence), along=(told,))),
                "starts": partial(journal.commit, replace(step(run_id, fence), starts=(new(new_id),))),
            }
            await _wakes(listener, changes[what], f"nobody is told of a {what}")


async def _wakes(listener: Journal, change: Callable[[], Awaitable[object]], otherwise: str) -> None:
    """A change wakes those who wait for it."""
    await _all_noticed(listener)
    seen = listener.changes
    woken = trio.Event()

    async def listen() -> None:
        await listener.wait_changed(seen)
        woken.set()

    with trio.move_on_after(SOON):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await change()
            await woken.wait()
    holds(woken.is_set(), otherwise)
    holds(listener.changes != seen, otherwise)


async def _all_noticed(journal: Journal) -> None:
    """Wait until what came before is noticed: another process may have written it."""
    while True:
        with trio.move_on_after(SOON / 25) as scope:
            await journal.wait_changed(journal.changes)
        if scope.cancelled_caught:
            return


@law
async def waiting_for_changes_can_be_cancelled(journal: Journal) -> None:
    """Whoever waits for changes may go away, and others go on waiting."""
    with trio.move_on_after(0.05):
        await journal.wait_changed(journal.changes)
    async with trio.open_nursery() as nursery:
        seen = journal.changes
        nursery.start_soon(journal.wait_changed, seen)
        nursery.start_soon(journal.wait_changed, seen)
        await journal.create(new("a"))
    await journal.wait_changed(seen)


@law
async def claimable_tells_all_that_have_work(journal: Journal) -> None:
    """What `claimable` tells is the rule of `has_work`, for every status, time and number of messages."""
    rng = random.Random(5)
    expected: set[str] = set()
    for number in range(200):
        run_id = f"r{number}"
        status = rng.choice([*RunStatus])
        position = standing(
            status, due_at=rng.choice([None, 50.0, 150.0]), deadline_at=rng.choice([None, 50.0, 150.0]),
            heard=rng.choice([0, 1, 2]),
        )  # fmt: skip
        fence = (await journal.create(new(run_id, journal.owner))).fence
        posted = rng.choice([0, 1, 2])
        for _ in range(posted):
            await journal.post(letter(run_id))
        await journal.commit(Commit(run_id=run_id, fence=fence, position=position, release=True))
        if has_work((await journal.load(run_id)).record, 100.0, posted):
            expected.add(run_id)
    same(set(await ids(journal)), expected)
    same(claimed(await journal.claim("r0")).record.owner, journal.owner)
