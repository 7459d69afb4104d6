"""The journal in SQLite does what the one in memory does, whatever is asked of them."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from cano_trio import CanoError, RunStatus
from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Commit, Cursor, Fence, NewRun, Outcome, RunRecord, StoredRun
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import at, finished, new

IDS = ("a", "b", "c", "it's")
OWNERS = ("one", "two", "three")

ids = st.sampled_from(IDS)
owners = st.sampled_from(OWNERS)
small = st.integers(0, 2)
parts = st.sampled_from(("", "/b:left", "/i:0"))
bodies = st.binary(max_size=3)


class Ask(Struct, frozen=True):
    """One call: its name, the run or owner it is about, and how far its fence is off."""

    name: str
    run_id: str
    owner: str
    time: int
    off: tuple[int, int]
    also: tuple[str, ...]
    cursors: tuple[tuple[int, str, bytes], ...]
    outcomes: tuple[tuple[int, str, bytes], ...]
    forget: tuple[int | None, int | None]
    data: bytes | None
    release: bool


def ask(name: str, **changed: Any) -> Ask:
    """A plain call, but for what is changed."""
    plainly = Ask(name, "a", "one", 0, (0, 0), (), (), (), (None, None), b"", release=False)
    return replace(plainly, **changed)


TOUR = [
    *(ask("commit"), ask("claim"), ask("delete")),  # refused: there is none
    *(ask("create", release=True), ask("create")),  # the second is refused
    *(ask("renew", time=3), ask("commit"), ask("commit", off=(1, 0)), ask("commit", also=("b",))),
    *(ask("claim", owner="two"), ask("claim", owner="two", time=5), ask("renew", time=5), ask("release")),
    *(ask("delete", off=(0, 1)), ask("delete"), ask("create")),
]
"""Each call once granted and once refused."""

kept = st.lists(st.tuples(small, parts, bodies), max_size=2).map(tuple)
near = st.sampled_from((0, 0, 0, 0, 1, -1))  # mostly right, so that most commits are written
asks = st.builds(
    Ask,
    name=st.sampled_from(("create", "commit", "commit", "commit", "claim", "claim", "renew", "release", "delete")),
    run_id=ids,
    owner=owners,
    time=st.integers(0, 5),
    off=st.tuples(near, near),
    also=st.lists(ids, max_size=2).map(tuple),
    cursors=kept,
    outcomes=kept,
    forget=st.tuples(st.none() | small, st.none() | small),
    data=st.none() | bodies,
    release=st.booleans(),
)


async def told(call: Callable[[], Awaitable[Any]]) -> Any:
    """What came of a call, comparable between journals: they need not give the same numbers."""
    try:
        said = await call()
    except CanoError as error:
        return type(error).__name__, str(error)
    return plain(said)


def plain(value: Any) -> Any:
    """A value without the journal's own numbers."""
    if isinstance(value, RunRecord):
        return replace(value, number=0)
    if isinstance(value, StoredRun):
        return replace(value, record=plain(value.record))
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    return value


async def fence(journal: Journal, run_id: str, off: tuple[int, int] = (0, 0)) -> Fence:
    """The fence of a run, perhaps a wrong one."""
    try:
        record = (await journal.load(run_id)).record
    except LookupError:
        return Fence(10_000, "one", 1, 0)
    return Fence(record.number, record.owner or "one", record.epoch + off[0], record.rev + off[1])


async def commit_of(journal: Journal, asked: Ask) -> Commit:
    """The commit that is asked for; runs that are there go along, others are started."""
    there = {record.run_id for record in await journal.runs()}
    along = [name for name in asked.also if name in there]
    mine = await fence(journal, asked.run_id, asked.off)
    return Commit(
        run_id=asked.run_id,
        fence=mine,
        position=at(mine.rev + 1, list(RunStatus)[asked.time]),
        data=asked.data,
        log=(finished(mine.rev),),
        cursors=tuple(Cursor(*row) for row in asked.cursors),
        outcomes=tuple(Outcome(*row) for row in asked.outcomes),
        forget_cursors=asked.forget[0],
        forget_outcomes=asked.forget[1],
        release=asked.release,
        starts=tuple(new(name, asked.owner) for name in asked.also if name not in there),
        along=tuple([Commit(run_id=n, fence=await fence(journal, n), position=at(9)) for n in along]),
    )


async def carry_out(journal: Journal, asked: Ask) -> Any:
    """Do what is asked."""
    now = float(asked.time)
    if asked.name == "create":
        run: NewRun = new(asked.run_id, asked.owner if asked.release else None, asked.data or b"")
        return await told(lambda: journal.create(run))
    if asked.name == "commit":
        commit = await commit_of(journal, asked)
        return await told(lambda: journal.commit(commit))
    if asked.name == "claim":
        return await told(lambda: journal.claim(asked.run_id, asked.owner, now=now))
    if asked.name == "renew":
        return await told(lambda: journal.renew(asked.owner, until=now))
    if asked.name == "release":
        return await told(lambda: journal.release(asked.owner))
    mine = await fence(journal, asked.run_id, asked.off)
    return await told(lambda: journal.delete(asked.run_id, mine))


async def all_of(journal: Journal) -> Any:
    """All that a journal holds."""
    found = [await told(journal.runs)]
    for run_id in IDS:
        found += [await told(lambda name=run_id: journal.load(name))]  # type: ignore[misc]
        found += [await told(lambda name=run_id: journal.history(name))]  # type: ignore[misc]
    return found


async def compare(script: list[Ask], seen: set[tuple[str, bool]]) -> None:
    """Ask both the same, and compare every answer and all that they hold after it."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        memory = await stack.enter_async_context(MemoryJournal())
        sqlite = await stack.enter_async_context(SqliteJournal(f"{folder}/runs.db"))
        for asked in script:
            expected = await carry_out(memory, asked)
            assert await carry_out(sqlite, asked) == expected, asked
            assert await all_of(sqlite) == await all_of(memory), asked
            seen.add((asked.name, not (isinstance(expected, tuple) and isinstance(expected[0], str))))


def test_sqlite_does_what_memory_does() -> None:
    """For any script of calls, right and wrong, both journals answer and hold the same; each call was granted and refused."""
    seen: set[tuple[str, bool]] = set()

    @settings(max_examples=50)
    @example(TOUR)
    @given(st.lists(asks, max_size=25))
    def search(script: list[Ask]) -> None:
        trio.run(compare, script, seen)

    search()
    granted = {name for name, good in seen if good}
    refused = {name for name, good in seen if not good}
    assert granted >= {"create", "commit", "claim", "renew", "release", "delete"}
    assert refused >= {"create", "commit", "claim", "renew", "delete"}
