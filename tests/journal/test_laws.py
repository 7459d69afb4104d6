"""The journal in SQLite does what the one in memory does, whatever is asked of them.

A longer search: ``python -m pytest -m slow -o faulthandler_timeout=0 tests/journal/test_laws.py``.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from cano_trio import CanoError, RunStatus
from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Commit, Cursor, Fence, Outcome, RunRecord, StoredRun
from cano_trio._journal.schedule_record import ScheduleRecord
from tests.journal.conftest import on_hasty_disk
from tests.journal.rows import at, finished, letter, new, schedule

IDS = ("a", "b", "c", "d", "e", "it's")
OWNERS = ("one", "two")

ids = st.sampled_from(IDS)
owners = st.sampled_from(OWNERS)
small = st.integers(0, 2)
parts = st.sampled_from(("", "/b:left", "/i:0"))
bodies = st.binary(max_size=3)


class Ask(Struct, frozen=True):
    """One call: its name, which process makes it, the run it is about, and how far its fence is off."""

    name: str
    run_id: str
    owner: str
    status: int
    off: tuple[int, int]
    also: tuple[str, ...]
    cursors: tuple[tuple[int, str, bytes], ...]
    outcomes: tuple[tuple[int, str, bytes], ...]
    forget: tuple[int | None, int | None]
    data: bytes | None
    release: bool
    dead: bool
    key: str | None
    consumed: tuple[int, ...]
    sends: tuple[str, ...]


def ask(name: str, **changed: Any) -> Ask:
    """A plain call, but for what is changed."""
    plainly = Ask(
        name=name,
        run_id="a",
        owner="one",
        status=1,
        off=(0, 0),
        also=(),
        cursors=(),
        outcomes=(),
        forget=(None, None),
        data=b"",
        release=False,
        dead=False,
        key=None,
        consumed=(),
        sends=(),
    )
    return replace(plainly, **changed)


TOUR = [
    *(ask("commit"), ask("claim"), ask("delete"), ask("post")),  # refused: there is none
    *(ask("create"), ask("create")),  # the second is refused
    *(ask("post", key="k"), ask("post", key="k"), ask("claim", owner="two")),
    *(ask("commit"), ask("commit", off=(1, 0)), ask("commit", also=("b",), sends=("b",), consumed=(1,))),
    *(ask("reopen"), ask("claim", owner="two"), ask("claim"), ask("delete", off=(0, 1)), ask("delete"), ask("create")),
    *(ask("create", run_id="c", dead=True), ask("claim", run_id="c"), ask("commit", run_id="c", status=6)),
    *(ask("post", run_id="c"), ask("delete", run_id="c")),
    *(
        ask("fire", run_id="d"),
        ask("fire", run_id="d"),
        ask("keep"),
        ask("keep", off=(1, 0)),
    ),  # the run is there; it is stale
    *(ask("fire", run_id="e", off=(1, 0)), ask("fire", run_id="e", owner="two")),
]
"""Each call once granted and once refused."""

kept = st.lists(st.tuples(small, parts, bodies), max_size=2).map(tuple)
near = st.sampled_from((0, 0, 0, 0, 1, -1))  # mostly right, so that most commits are written
asks = st.builds(
    Ask,
    name=st.sampled_from(
        ("create", "commit", "commit", "commit", "claim", "claim", "post", "reopen", "delete", "fire", "keep")
    ),
    run_id=ids,
    owner=owners,
    status=st.sampled_from((1, 1, 1, 0, 2, 4, 6)),
    off=st.tuples(near, near),
    also=st.lists(ids, max_size=2).map(tuple),
    cursors=kept,
    outcomes=kept,
    forget=st.tuples(st.none() | small, st.none() | small),
    data=st.none() | bodies,
    release=st.booleans(),
    dead=st.booleans(),
    key=st.none() | st.sampled_from(("k", "l")),
    consumed=st.lists(st.integers(1, 4), max_size=2).map(tuple),
    sends=st.lists(ids, max_size=2).map(tuple),
)


@attrs.define
class Processes:
    """Two processes' views of the same runs."""

    journals: dict[str, Journal]
    names: dict[str, str] = attrs.Factory(dict)  # of owners, so that they can be compared

    async def enter(self, name: str) -> None:
        journal = self.journals[name]
        await journal.__aenter__()
        self.names[journal.owner] = f"{name} {len(self.names)}"

    async def reopen(self, name: str) -> None:
        await self.journals[name].__aexit__()
        await self.enter(name)

    def plain(self, value: Any) -> Any:
        """A value without what journals need not have in common: their numbers, and ids of owners."""
        if isinstance(value, RunRecord):
            return replace(value, number=0, owner=self.names.get(value.owner or "", value.owner))
        if isinstance(value, StoredRun):
            return replace(value, record=self.plain(value.record))
        if isinstance(value, tuple):
            return tuple(self.plain(part) for part in value)
        if isinstance(value, str):
            for owner, name in self.names.items():
                value = value.replace(owner, name)
        return value

    async def told(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What came of a call."""
        try:
            said = await call()
        except CanoError as error:
            said = type(error).__name__, str(error)
        return self.plain(said)


async def fence(journal: Journal, run_id: str, off: tuple[int, int] = (0, 0)) -> Fence:
    """The fence of a run, perhaps a wrong one."""
    try:
        record = (await journal.load(run_id)).record
    except LookupError:
        return Fence(10_000, "gone", 1, 0)
    return Fence(record.number, record.owner or "nobody", record.epoch + off[0], record.rev + off[1])


async def commit_of(journal: Journal, asked: Ask) -> Commit:
    """The commit that is asked for; runs that are there go along, others are started."""
    there = {record.run_id for record in await journal.runs()}
    along = [name for name in asked.also if name in there]
    mine = await fence(journal, asked.run_id, asked.off)
    return Commit(
        run_id=asked.run_id,
        fence=mine,
        position=at(mine.rev + 1, list(RunStatus)[asked.status]),
        data=asked.data,
        log=(finished(mine.rev),),
        cursors=tuple(Cursor(*row) for row in asked.cursors),
        outcomes=tuple(Outcome(*row) for row in asked.outcomes),
        forget_cursors=asked.forget[0],
        forget_outcomes=asked.forget[1],
        release=asked.release,
        version=asked.status,
        consumed=asked.consumed,
        sends=tuple(letter(run_id, key=asked.key) for run_id in asked.sends),
        starts=tuple(new(name, journal.owner) for name in asked.also if name not in there),
        along=tuple([Commit(run_id=n, fence=await fence(journal, n), position=at(9)) for n in along]),
    )


async def schedule_of(journal: Journal, asked: Ask) -> ScheduleRecord:
    """Where the only schedule is to stand, perhaps as of an older record."""
    rev = max((one.rev for one in await journal.schedules()), default=0) + asked.off[0]
    return replace(schedule("s", rev), runs=(asked.run_id,), paused=asked.release)


async def carry_out(processes: Processes, asked: Ask) -> Any:
    """Do what is asked."""
    journal = processes.journals[asked.owner]
    if asked.name == "reopen":
        return await processes.reopen(asked.owner)
    if asked.name == "create":
        run = new(asked.run_id, "dead" if asked.dead else journal.owner, asked.data or b"")
        return await processes.told(lambda: journal.create(run))
    if asked.name == "commit":
        commit = await commit_of(journal, asked)
        return await processes.told(lambda: journal.commit(commit))
    if asked.name == "claim":
        return await processes.told(lambda: journal.claim(asked.run_id))
    if asked.name == "post":
        return await processes.told(lambda: journal.post(letter(asked.run_id, asked.data or b"", asked.key)))
    if asked.name in {"fire", "keep"}:
        stands = await schedule_of(journal, asked)
        run = new(asked.run_id, journal.owner)
        return await processes.told(
            lambda: journal.fire(run, stands) if asked.name == "fire" else journal.keep_schedule(stands)
        )
    mine = await fence(journal, asked.run_id, asked.off)
    return await processes.told(lambda: journal.delete(asked.run_id, mine))


async def all_of(processes: Processes) -> Any:
    """All that a journal holds."""
    journal = processes.journals["one"]
    found = [await processes.told(journal.runs), await processes.told(journal.schedules)]
    for run_id in IDS:
        found += [await processes.told(lambda name=run_id: journal.load(name))]  # type: ignore[misc]
        found += [await processes.told(lambda name=run_id: journal.history(name))]  # type: ignore[misc]
    return found


@asynccontextmanager
async def processes_of(*journals: Journal) -> AsyncIterator[Processes]:
    """Journals of the same runs, entered."""
    processes = Processes(dict(zip(OWNERS, journals, strict=True)))
    for name in OWNERS:
        await processes.enter(name)
    try:
        yield processes
    finally:
        for journal in journals:
            await journal.__aexit__()


async def compare(script: list[Ask], seen: set[tuple[str, bool]]) -> None:
    """Ask both the same, and compare every answer and all that they hold after it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        first = MemoryJournal()
        memory = await stack.enter_async_context(processes_of(first, MemoryJournal(beside=first)))
        sqlite = await stack.enter_async_context(processes_of(on_hasty_disk(folder), on_hasty_disk(folder)))
        for asked in script:
            expected = await carry_out(memory, asked)
            assert await carry_out(sqlite, asked) == expected, asked
            assert await all_of(sqlite) == await all_of(memory), asked
            refused = isinstance(expected, ScheduleRecord) or (
                isinstance(expected, tuple) and isinstance(expected[0], str)
            )
            seen.add((asked.name, not refused))


@pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_sqlite_does_what_memory_does(examples: int) -> None:
    """For any script of calls, right and wrong, both journals answer and hold the same; each call was granted and refused."""
    seen: set[tuple[str, bool]] = set()

    @settings(max_examples=examples)
    @example(TOUR)
    @given(st.lists(asks, max_size=25))
    def search(script: list[Ask]) -> None:
        trio.run(compare, script, seen)

    search()
    granted = {name for name, good in seen if good}
    refused = {name for name, good in seen if not good}
    assert granted >= {"create", "commit", "claim", "post", "reopen", "delete", "fire", "keep"}
    assert refused >= {"create", "commit", "claim", "post", "delete", "fire", "keep"}
