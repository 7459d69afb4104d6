"""What every journal tells those who take runs up: which can be claimed, when the next one can, and who has got messages."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from cano_trio import RunNotFound, RunStatus
from cano_trio._journal.claiming import has_work
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Commit, Position
from cano_trio._journal.sqlite import statements
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.conftest import beside
from tests.journal.rows import at, fence_of, letter, new, step


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


async def test_which_runs_can_be_claimed(journal: Journal) -> None:
    """Those that nobody holds and that have something to do: begin, go on, be undone, or meet an instant that has come."""
    for name, position in (CLAIMABLE | LEFT_ALONE).items():
        await journal.create(replace(new(name), position=position))
        await journal.create(replace(new(f"child {name}"), position=position, parent="p"))
        await journal.create(replace(new(f"held {name}", journal.owner), position=position))
    assert set(await ids(journal)) == set(CLAIMABLE)
    assert set(await ids(journal, now=1000.0)) - set(CLAIMABLE) == {
        "queued until later", "waiting until later", "waiting until its deadline"
    }  # fmt: skip


async def test_only_those_of_some_workflows(journal: Journal) -> None:
    """A process asks for the runs of the workflows that it knows; of no others it is told anything."""
    for name in ("census", "other", "it's"):
        await journal.create(replace(new(f"a {name}"), workflow=name))
        await journal.create(
            replace(new(f"b {name}"), workflow=name, position=standing(RunStatus.WAITING, due_at=200.0))
        )
    assert await ids(journal, workflows=["other", "it's"]) == ["a other", "a it's"]
    assert await ids(journal, workflows=[]) == []
    assert await journal.next_due(workflows=["other"], now=100.0) == 200.0
    assert await journal.next_due(workflows=["none"], now=100.0) is None


@pytest.mark.parametrize("held_as", [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED])
async def test_what_a_process_gives_back(journal: Journal, other: Journal, held_as: RunStatus) -> None:
    """A run that is given back can be claimed at once, by others and by who gave it, if it has something to do."""
    fence = (await journal.create(new("a", journal.owner))).fence
    assert await ids(journal) == await ids(other) == []
    await journal.commit(Commit(run_id="a", fence=fence, position=standing(held_as), release=True))
    expected = ["a"] if held_as in {RunStatus.QUEUED, RunStatus.RUNNING} else []
    assert await ids(journal) == await ids(other) == expected
    await other.claim("a")
    assert await ids(journal) == await ids(other) == []


@pytest.mark.parametrize("status", [RunStatus.WAITING, RunStatus.PAUSED, RunStatus.BLOCKED, RunStatus.QUEUED])
async def test_a_message_makes_a_waiting_run_claimable(journal: Journal, other: Journal, status: RunStatus) -> None:
    """A run that waits, and nobody holds, can be claimed when it gets a message; one that is held, blocked or queued for
    later can't, nor by one that it had heard before."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for _ in range(2):
        await other.post(letter("a"))
    position = standing(status, heard=2, due_at=900.0)
    await journal.commit(Commit(run_id="a", fence=fence, position=position, release=True))
    assert await ids(journal) == []
    await other.post(letter("a", key="k"))
    assert await ids(journal) == await ids(other) == (["a"] if status is RunStatus.WAITING else [])
    await journal.claim("a")
    assert await ids(journal) == []


async def test_a_message_that_comes_while_it_is_given_back(journal: Journal) -> None:
    """A run that is given back with fewer messages heard than there are can be claimed at once."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for _ in range(3):
        await journal.post(letter("a"))
    waits = standing(RunStatus.WAITING, heard=2)
    await journal.commit(Commit(run_id="a", fence=fence, position=waits, release=True, consumed=(1,)))
    assert await ids(journal) == ["a"]


async def test_the_runs_of_a_process_that_is_gone(journal: Journal, tmp_path: Path) -> None:
    """What a process held that was closed can be claimed: what runs, and what waits for a time that has come or a message."""
    async with beside(journal, tmp_path) as gone:
        for name, position in (CLAIMABLE | LEFT_ALONE).items():
            if position.status is not RunStatus.QUEUED:
                await gone.create(replace(new(name, gone.owner), position=position))
        await gone.create(replace(new("called", gone.owner), position=standing(RunStatus.WAITING)))
        await journal.post(letter("called"))
        assert await ids(journal) == []
    expected = {name for name, position in CLAIMABLE.items() if position.status is not RunStatus.QUEUED}
    assert set(await ids(journal)) == {*expected, "called"}


async def test_the_most_urgent_come_first(journal: Journal) -> None:
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
    assert len(found) == 60
    assert [ranks[run_id] for run_id in found] == sorted(ranks.values())
    for limit in (1, 7, 59):
        assert [ranks[run_id] for run_id in await ids(journal, limit=limit)] == sorted(ranks.values())[:limit]


async def test_those_that_only_seemed_to_have_something_to_do(journal: Journal, tmp_path: Path) -> None:
    """A run that had heard all its messages when its process ended does not stand before those that have something to do."""
    async with beside(journal, tmp_path) as gone:
        for number in range(3):
            run_id = f"heard {number}"
            fence = (await gone.create(replace(new(run_id, gone.owner), priority=5))).fence
            await gone.post(letter(run_id))
            await gone.commit(Commit(run_id=run_id, fence=fence, position=standing(RunStatus.WAITING, heard=1)))
    await journal.create(new("a"))
    assert await ids(journal, limit=1) == ["a"]


async def test_a_damaged_row_hides_nobody(tmp_path: Path) -> None:
    """A run whose row can't be read is left out, and what stands behind it is found, however few are asked for."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for name, position in (("bad", at(0)), ("bad later", standing(RunStatus.WAITING, due_at=1.0))):
            await journal.create(replace(new(name), position=position, priority=9))
        await journal.create(new("a"))
        await journal.create(replace(new("b"), position=standing(RunStatus.WAITING, due_at=2.0)))
        db = apsw.Connection(str(tmp_path / "runs.db"))
        db.execute("UPDATE cano_place SET crc=crc+1 WHERE priority=9")
        db.close()
        assert await ids(journal, limit=1) == ["a"]
        assert await ids(journal, limit=5) == ["a", "b"]


async def test_when_the_next_one_has_something_to_do(journal: Journal) -> None:
    """The first instant behind now at which a run that nobody holds is due, by its time or its deadline; None if there is none."""
    assert await journal.next_due(now=100.0) is None
    for name, position in (CLAIMABLE | LEFT_ALONE).items():
        await journal.create(replace(new(name), position=position))
        await journal.create(replace(new(f"held {name}", journal.owner), position=position))
    instants = [100.0, 100.5, 101.0, None]
    assert await journal.next_due(now=99.0) == instants[0]
    for now, following in pairwise(instants):
        assert now is not None
        assert await journal.next_due(now=now) == following


async def test_the_inbox_is_read_from_a_number_on(journal: Journal) -> None:
    """Messages come in their order, only those behind a number, whoever holds the run."""
    await journal.create(new("a", journal.owner))
    for number in range(5):
        await journal.post(letter("a", b"%d" % number))
    found = [[message.number for message in await journal.inbox("a", after=after)] for after in (0, 3, 5, 9)]
    assert found == [[1, 2, 3, 4, 5], [4, 5], [], []]
    assert (await journal.inbox("a", after=4))[0].letter == letter("a", b"4")
    with pytest.raises(RunNotFound):
        await journal.inbox("missing")


async def test_news_tell_who_has_got_messages_since(journal: Journal, other: Journal) -> None:
    """Each answer says which runs have got messages since the one before, by whomever: posted, or sent with a commit."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for run_id in ("b", "c"):
        await journal.create(new(run_id))
    first = await journal.news()
    assert first.runs == frozenset()
    await other.post(letter("b"))
    await journal.commit(replace(step("a", fence), sends=(letter("c"), letter("a"))))
    then = await journal.news(first.seen)
    assert then.runs == {"a", "b", "c"}
    assert await journal.news(then.seen) == replace(then, runs=frozenset())
    assert (await other.news()).runs == {"a", "b", "c"}
    await other.post(letter("b", key="k"))
    await other.post(letter("b", key="k"))
    assert (await journal.news(then.seen)).runs == {"b"}


async def test_news_of_messages_along_with_another_runs_commit(journal: Journal) -> None:
    """Messages that are sent by a commit along with another one are told of, too."""
    fence = (await journal.create(new("a", journal.owner))).fence
    child = (await journal.create(new("child", journal.owner))).fence
    await journal.create(new("b"))
    seen, changes = (await journal.news()).seen, journal.changes
    along = replace(step("child", child), sends=(letter("b"),))
    await journal.commit(replace(step("a", fence), along=(along,)))
    assert (await journal.news(seen)).runs == {"b"}
    assert journal.changes > changes


async def test_who_comes_late_for_news_is_told_of_all_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where so much has been sent meanwhile that some is forgotten, whoever asks is told of all its runs that ever got a
    message; also if it had heard nothing before."""
    monkeypatch.setattr(statements, "NEWS_KEPT", 5)
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for run_id in ("mine", "quiet"):
            await journal.create(new(run_id, journal.owner))
        await journal.create(new("busy"))
        await journal.post(letter("mine"))
        for _ in range(20):
            await journal.post(letter("busy"))
        assert "mine" in (await journal.news()).runs
        assert "mine" in (await journal.news(1)).runs
        assert "quiet" not in (await journal.news(1)).runs


@pytest.mark.parametrize("what", ["post", "create", "release", "sends", "along", "starts"])
@pytest.mark.parametrize("who", ["itself", "another"])
async def test_changes_are_told(journal: Journal, other: Journal, what: str, who: str) -> None:
    """Whatever may give a run something to do wakes those who wait for changes: here, and in other processes."""
    fence = (await journal.create(new("a", journal.owner))).fence
    child = (await journal.create(new("child", journal.owner))).fence
    await journal.create(new("b", journal.owner))
    listener = journal if who == "itself" else other
    seen = listener.changes
    woken = trio.Event()

    async def listen() -> None:
        await listener.wait_changed(seen)
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.sleep(0.2 if isinstance(listener, SqliteJournal) else 0)
        if listener.changes == seen:  # what came before may only just have been noticed
            assert not woken.is_set()
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "post": partial(journal.post, letter("b")),
            "create": partial(journal.create, new("c")),
            "release": partial(journal.commit, Commit(run_id="a", fence=fence, position=at(1), release=True)),
            "sends": partial(journal.commit, replace(step("a", fence), sends=(letter("b"),))),
            "along": partial(
                journal.commit, replace(step("a", fence), along=(replace(step("child", child), sends=(letter("b"),)),))
            ),
            "starts": partial(journal.commit, replace(step("a", fence), starts=(new("c"),))),
        }
        before = listener.changes
        await changes[what]()
        with trio.fail_after(5):
            await listener.wait_changed(before)
            await woken.wait()


async def test_waiting_for_changes_can_be_cancelled(journal: Journal) -> None:
    """Whoever waits for changes may go away, and others go on waiting."""
    with trio.move_on_after(0.05):
        await journal.wait_changed(journal.changes)
    async with trio.open_nursery() as nursery:
        seen = journal.changes
        nursery.start_soon(journal.wait_changed, seen)
        nursery.start_soon(journal.wait_changed, seen)
        await journal.create(new("a"))
    await journal.wait_changed(seen)


async def test_a_claim_is_what_claimable_told(journal: Journal) -> None:
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
    assert set(await ids(journal)) == expected
    assert fence_of(await journal.claim("r0")).owner == journal.owner
