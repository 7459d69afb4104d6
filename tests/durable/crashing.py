"""Runs whose process dies at a chosen write, and what must hold of them however often that happens."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar, final

import attrs
import trio
from trio.testing import MockClock

from cano_trio import JournalError, JournalUnavailable, RunContext, RunStatus
from cano_trio._engine.kept import read_done, read_place
from cano_trio.journals import (
    Commit,
    ForwardingJournal,
    Journal,
    LogRow,
    MemoryJournal,
    SqliteJournal,
    StoredRun,
)

T = TypeVar("T")

How: TypeAlias = Literal["before", "after", "told failed", "away"]
"""Whether the process dies before a write, or after it; or lives on, and is told that a write failed which did not, or that
nothing can be written for now."""

HOWS: tuple[How, ...] = ("before", "after", "told failed", "away")

READS = {"load", "history", "runs", "schedules"}
"""The calls of a journal that write nothing."""

DOWNTIME = 2.0
"""Virtual seconds between the death of a process and the next one."""


class Crash(BaseException):
    """The end of a process: whatever it would do from now on does not happen."""


@attrs.frozen
class Fault:
    """What happens at the n-th write of a process."""

    at: int
    how: How


class Store(Protocol):
    """What outlives a process."""

    def open(self) -> Journal:
        """The journal of a new process."""
        ...

    def clock(self) -> MockClock:
        """The clock that it goes by."""
        ...

    def crash(self) -> bool:
        """Keep it as it is now, whatever the present process does to it; tells whether that may close its journal."""
        ...


@final
class InMemory:
    """A store in memory."""

    def __init__(self) -> None:
        self._journal = MemoryJournal()

    def open(self) -> Journal:
        return self._journal

    def clock(self) -> MockClock:
        return MockClock(autojump_threshold=0)

    def crash(self) -> bool:
        return False


@final
class InFile:
    """A store in a SQLite file, of which a crash keeps a copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._crashes = 0

    @property
    def path(self) -> Path:
        """The present file."""
        return self._folder / f"{self._crashes}.db"

    def open(self) -> Journal:
        return SqliteJournal(self.path)

    def clock(self) -> MockClock:
        # It must not jump while a thread writes.
        return MockClock(rate=100)

    def crash(self) -> bool:
        old = self.path
        self._crashes += 1
        for ending in ("", "-wal"):
            if (file := old.with_name(old.name + ending)).exists():
                shutil.copyfile(file, self.path.with_name(self.path.name + ending))
        return True


@attrs.frozen
class Effect:
    """A call of the user's code, as the world outside saw it."""

    life: int
    kind: str
    state: str
    key: str
    forward_key: str | None


@final
class World:
    """All that a crash does not undo: the store, and what user code has done."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.effects: list[Effect] = []
        self.finished: set[str] = set()
        """The keys of all work that is written down as done."""
        self.writes: list[int] = []
        """How many writes each process has made or tried."""
        self.crashes = 0
        self.time = 0.0
        """When the next process begins, in virtual seconds."""
        self.process: CrashingJournal
        self.ends: list[BaseException | None] = []
        """How each process that did not crash has ended."""

    def act(self, kind: str, state: str, key: str, forward_key: str | None = None) -> None:
        """User code is called."""
        self.process.check()
        assert not self.is_finished(key), f"{kind} {state} of {key} was done already"
        self.effects.append(Effect(len(self.writes), kind, state, key, forward_key))

    def is_finished(self, key: str) -> bool:
        """Whether some work, or what it is a part of, was written down as done."""
        if key.endswith("/undo"):
            return key in self.finished
        return any(key == done or key.startswith(f"{done}/") for done in self.finished)

    def keys(self, kind: str) -> list[str]:
        """The keys of all calls of a kind, in order."""
        return [effect.key for effect in self.effects if effect.kind == kind]


_world: ContextVar[World] = ContextVar("world")


def act(ctx: RunContext, kind: str = "work") -> None:
    """Note a call of the user's code in the present world."""
    _world.get().act(kind, ctx.state.name, ctx.idempotency_key, ctx.forward_key)


@final
class CrashingJournal(ForwardingJournal):
    """A journal whose process dies at one of its writes, or is told that it failed.

    Args:
        inner: the journal.
        world: what is told of all that is written.
        fault: what happens; None for nothing.
    """

    def __init__(self, inner: Journal, world: World, fault: Fault | None) -> None:
        super().__init__(inner)
        self._world = world
        self._fault = fault
        self._may_close = True
        self.writes = 0
        self.crashed = False

    def check(self) -> None:
        """See that the process lives."""
        if self.crashed:
            raise Crash

    @property
    def owner(self) -> str:
        self.check()
        return super().owner

    async def __aenter__(self) -> Self:
        self.check()
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        if self._may_close:
            await super().__aexit__(*exc_info)

    async def commit(self, commit: Commit, /) -> int:
        return await self._write(lambda: self.inner.commit(commit), [*finished(commit)])

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if method in READS:
            self.check()
            return await call()
        return await self._write(call)

    async def _write(self, write: Callable[[], Awaitable[T]], done: Collection[str] = ()) -> T:
        self.check()
        self.writes += 1
        how = self._fault.how if self._fault is not None and self._fault.at == self.writes else None
        if how == "before":
            self._crash()
        if how == "away":
            raise JournalUnavailable("here", "the disk is full")
        written = await write()
        self.check()  # it may have died meanwhile
        self._world.finished.update(done)
        if how == "after":
            self._crash()
        if how == "told failed":
            raise JournalError("the disk says that it failed")
        return written

    def _crash(self) -> None:
        self.crashed = True
        self._may_close = self._world.store.crash()
        raise Crash


def finished(commit: Commit) -> list[str]:
    """The keys of the work that a commit writes down as done."""
    run = commit.run_id
    keys = [f"{run}/{row.seq}{row.part}" for row in commit.log if row.kind == "finished"]
    keys += [f"{run}/{row.seq}{row.part}/undo" for row in commit.log if row.kind == "undone"]
    for outcome in commit.outcomes:
        if outcome.part.startswith("/c:"):
            keys += [f"{run}/{outcome.seq}/i:{done.at}" for done in read_done(outcome.body)]
        elif outcome.part:
            keys.append(f"{run}/{outcome.seq}{outcome.part}")
    for cursor in commit.cursors:
        if cursor.part == "/items":
            keys.append(f"{run}/{cursor.seq}/load")
        elif cursor.body.startswith(b"["):
            number = read_place(cursor.body).number
            keys += [f"{run}/{cursor.seq}/{kind}:{at}" for kind in "sw" for at in range(number)]
    return keys + [key for other in commit.along for key in finished(other)]


# -- a run through all its processes


@attrs.frozen(kw_only=True)
class Scene:
    """What a client does, again from its first line after each crash; and what is special about it.

    Args:
        name: its name.
        client: does it.
        again: kinds of user code that may be called as often as it takes.
        rolls_back: the run is undone in the end.
        fails: a compensation fails for good.
        nursery: it is run in a nursery, which puts what leaves it in groups.
        varies: which branches come to what depends on when a process dies.
    """

    name: str
    client: Callable[[Journal], Awaitable[object]]
    again: frozenset[str] = frozenset()
    rolls_back: bool = False
    fails: bool = False
    varies: bool = False
    nursery: bool = False


LONGEST = 86_400.0
"""Virtual seconds after which a run that goes on hangs."""


def live(scene: Scene, world: World, fault: Fault | None = None) -> bool:
    """One life of a process; tells whether it came to its end."""
    clock = world.store.clock()
    clock.jump(world.time)
    end: BaseException | None = None
    try:
        trio.run(visit, scene, world, fault, clock=clock)
    except BaseException as error:
        end = error
    process = world.process
    world.writes[-1] = process.writes
    world.time = clock.current_time()
    if process.crashed:
        world.crashes += 1
        world.time += DOWNTIME
        return False
    if isinstance(end, (AssertionError, trio.TooSlowError)) or (end is not None and not isinstance(end, Exception)):
        raise end
    world.ends.append(end)
    return True


async def visit(scene: Scene, world: World, fault: Fault | None = None) -> None:
    """What a process does."""
    process = world.process = CrashingJournal(world.store.open(), world, fault)
    world.writes.append(0)
    _world.set(world)
    with trio.fail_after(LONGEST):
        async with process:
            try:
                await scene.client(process)
            finally:
                with trio.CancelScope(shield=True):
                    await _check_released(process)


async def _check_released(process: CrashingJournal) -> None:
    """What no process goes on with, none holds: others could not do anything about it."""
    held = [record.run_id for record in await process.runs() if record.owner == process.owner]
    assert not held, f"nobody goes on with {held}, but they are held"


@attrs.frozen
class Written:
    """What is left of a run in the end."""

    stored: StoredRun
    history: tuple[LogRow, ...]


def left(world: World) -> dict[str, Written]:
    """All that is written down."""

    async def read() -> dict[str, Written]:
        async with world.store.open() as journal:
            ids = [record.run_id for record in await journal.runs()]
            return {key: Written(await journal.load(key), await journal.history(key)) for key in ids}

    return trio.run(read)


def played(scene: Scene, store: Store, faults: Sequence[Fault] = ()) -> World:
    """The world after a scene in which processes met these faults, one each, and the last one none."""
    world = World(store)
    for fault in faults:
        live(scene, world, fault)
    for _ in range(4):
        live(scene, world)
        if any(one.stored.record.position.status.ended for one in left(world).values()):
            break
    return world


def end_of(world: World) -> dict[str, tuple[object, ...]]:
    """What must be the same with crashes and without."""
    return {
        key: (
            one.stored.record.position.status.value,
            one.stored.record.position.state,
            one.stored.data,
            getattr(one.stored.record.position.error, "type", None),
            sorted((row.seq, row.part, row.state, str(row.next), row.kind, row.data or b"") for row in one.history),
        )
        for key, one in left(world).items()
    }


def outline(end: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """How and where runs ended."""
    return {key: one[:2] for key, one in end.items()}


def check(scene: Scene, world: World) -> None:
    """What must hold of every world."""
    for key, one in left(world).items():
        _check_run(scene, key, one)
    starts = Counter((effect.kind, effect.key) for effect in world.effects if effect.kind not in scene.again)
    for (kind, key), count in starts.items():
        assert count <= 1 + world.crashes, f"{kind} of {key} began {count} times"
    undone = [at for at, effect in enumerate(world.effects) if effect.kind == "undo"]
    if scene.rolls_back and undone:
        assert all(effect.kind == "undo" for effect in world.effects[undone[0] :]), "work went on behind its undoing"
    before = len(world.effects)
    live(scene, world)
    assert len(world.effects) == before, f"a run that is over went on: {world.effects[before:]}"


def _check_run(scene: Scene, key: str, one: Written) -> None:
    record = one.stored.record
    assert record.position.status.ended, f"{key} is {record.position.status}"
    whole = [row.seq for row in one.history if row.kind == "finished" and not row.part and row.next is not None]
    assert whole == [*range(len(whole))], f"{key} has the finished states {whole}"
    places = Counter((row.seq, row.part, row.kind) for row in one.history)
    assert set(places.values()) <= {1}, f"{key} was written down twice: {places}"
    if record.position.status is RunStatus.COMPLETED:
        assert not one.stored.cursors
        assert not one.stored.outcomes
        assert not one.stored.messages
    standing: list[tuple[int, str]] = []
    for row in one.history:
        if row.receipt is not None:
            standing.append((row.seq, row.part))
        elif row.kind == "undone" and (row.seq, row.part) in standing:
            assert scene.fails or standing[-1] == (row.seq, row.part), f"{key} was undone in another order"
            standing.remove((row.seq, row.part))
    if record.position.status in {RunStatus.ROLLED_BACK, RunStatus.CANCELLED}:
        assert not standing, f"{key} left {standing}"


def cells(scene: Scene, make: Callable[[], Store], *, twice: bool = False) -> Any:
    """All faults of a scene, one by one; or two by two, the second in the process that goes on."""
    plain = played(scene, make())
    for at in range(1, plain.writes[0] + 1):
        for how in HOWS:
            first = Fault(at, how)
            yield (first,)
            if twice and how in {"before", "after"}:
                once = played(scene, make(), [first])
                for again in range(1, once.writes[1] + 1):
                    for second in HOWS:
                        yield (first, Fault(again, second))


def break_everywhere(
    scene: Scene,
    make: Callable[[], Store],
    *,
    twice: bool = False,
    every: int = 1,
) -> int:
    """Play a scene with every fault, and check each time what must hold; gives the number of cells."""
    plain = played(scene, make())
    assert plain.writes[0] > 1, f"{scene.name} did not begin: {plain.ends}"
    expected = end_of(plain)
    check(scene, plain)
    number = 0
    for at, faults in enumerate(cells(scene, make, twice=twice)):
        if at % every:
            continue
        try:
            world = played(scene, make(), faults)
            end = end_of(world)
            assert (outline(end) == outline(expected)) if scene.varies else (end == expected)
            check(scene, world)
        except BaseException as error:
            error.add_note(f"{scene.name}: {faults}")
            raise
        number += 1
    return number
