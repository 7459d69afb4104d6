"""Scenes in the laboratory: a client's runs whose processes end at any moment, and what must hold however often they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeAlias

import attrs
import trio

from cano_trio import JournalError, RunContext, RunStatus
from cano_trio._engine.kept import read_done, read_place
from cano_trio.journals import Commit, Journal, LogRow, StoredRun
from cano_trio.testing import Effect, Laboratory, Scenario, Write

End: TypeAlias = dict[str, tuple[object, ...]]
"""How runs have ended, by their ids."""

UNDOING = {RunStatus.ROLLING_BACK, RunStatus.ROLLED_BACK, RunStatus.ROLLBACK_FAILED, RunStatus.CANCELLED}

_lab: ContextVar[Laboratory] = ContextVar("lab")


def act(ctx: RunContext, kind: str = "work") -> None:
    """Note a call of the user's code in the present laboratory."""
    _lab.get().effects.record(kind, ctx)


@attrs.frozen(kw_only=True)
class Scene:
    """What a client does, again from its first line in each process; and what is special about it.

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


def scenario(scene: Scene, *, is_released: bool = False, told: Callable[[Exception], object] = repr) -> Scenario:
    """A scene as a scenario, which returns how its runs have ended; and all that must hold, does hold.

    Args:
        scene: the scene.
        is_released: its processes do not die: they are stopped, and release what they hold.
        told: is told what the client's call fails with.
    """

    async def play(lab: Laboratory) -> End:
        _lab.set(lab)
        async with lab.journal as journal:
            if is_released and lab.life > 1:
                await _check_as_it_was(scene, journal)
            try:
                await _call(scene, journal, told)
            finally:
                with trio.CancelScope(shield=True):
                    await _check_released(journal)
            runs = await left(journal)
            check(scene, lab, runs, deaths(lab) + (is_released and lab.life > 1))
            await _check_over(scene, lab, journal)
        return outline(end_of(runs)) if scene.varies else end_of(runs)

    return play


async def _call(scene: Scene, journal: Journal, told: Callable[[Exception], object]) -> None:
    """Do what the client does; a failure that has ended its run is an answer."""
    try:
        await scene.client(journal)
    except Exception as error:
        runs = await journal.runs()
        if not runs or not all(run.position.status.ended for run in runs):
            raise
        told(error)


async def _check_released(journal: Journal) -> None:
    """What no process goes on with, none holds: others could not do anything about it."""
    held = [record.run_id for record in await journal.runs() if record.owner == journal.owner]
    assert not held, f"nobody goes on with {held}, but they are held"


async def _check_as_it_was(scene: Scene, journal: Journal) -> None:
    """A process that was stopped has let go of its runs, and has undone nothing for that."""
    for key, one in (await left(journal)).items():
        assert one.stored.record.owner is None, f"{key} was not released"
        if not scene.rolls_back and "led on" not in scene.name and not scene.varies:
            assert one.stored.record.position.status not in UNDOING
            assert all(row.kind == "finished" for row in one.history)


async def _check_over(scene: Scene, lab: Laboratory, journal: Journal) -> None:
    """A run that is over does not go on, though its client asks for it."""
    before = len(lab.effects)
    try:
        await scene.client(journal)
    except JournalError:
        raise
    except Exception:  # how it has ended
        pass
    assert len(lab.effects) == before, f"a run that is over went on: {lab.effects}"


@attrs.frozen
class Written:
    """What is left of a run in the end."""

    stored: StoredRun
    history: tuple[LogRow, ...]


async def left(journal: Journal) -> dict[str, Written]:
    """All that is written down."""
    ids = [record.run_id for record in await journal.runs()]
    return {key: Written(await journal.load(key), await journal.history(key)) for key in ids}


def end_of(runs: dict[str, Written]) -> End:
    """What must be the same with crashes and without."""
    return {
        key: (
            one.stored.record.position.status.value,
            one.stored.record.position.state,
            one.stored.data,
            getattr(one.stored.record.position.error, "type", None),
            sorted((row.seq, row.part, row.state, str(row.next), row.kind, row.data or b"") for row in one.history),
        )
        for key, one in runs.items()
    }


def outline(end: End) -> End:
    """How and where runs ended."""
    return {key: one[:2] for key, one in end.items()}


def deaths(lab: Laboratory) -> int:
    """How many processes have died."""
    return sum(write.fault is not None and write.fault.how in {"before", "after"} for write in lab.writes)


def check(scene: Scene, lab: Laboratory, runs: dict[str, Written], ends: int) -> None:
    """What must hold in the end, where so many processes have come to theirs before."""
    for key, one in runs.items():
        _check_run(scene, key, one)
    _check_finished(lab)
    starts = Counter((effect.name, effect.key) for effect in lab.effects if effect.name not in scene.again)
    for (kind, key), count in starts.items():
        assert count <= 1 + ends, f"{kind} of {key} began {count} times"
    kinds = [effect.name for effect in lab.effects]
    if scene.rolls_back and "undo" in kinds:
        assert set(kinds[kinds.index("undo") :]) == {"undo"}, "work went on behind its undoing"


def _check_finished(lab: Laboratory) -> None:
    """What was written down as done is not done again."""
    finished: set[str] = set()
    for entry in lab.log:
        match entry.what:
            case Effect(name=name, key=key):
                assert not _is_finished(key, finished), f"{name} of {key} was done already"
            case Write(subject=Commit() as commit, fault=fault) if fault is None or fault.how in {
                "after",
                "reported-failed",
            }:
                finished.update(finished_by(commit))


def _is_finished(key: str, finished: set[str]) -> bool:
    """Whether some work, or what it is a part of, was written down as done."""
    if key.endswith("/undo"):
        return key in finished
    parts = key.split("/")
    return any("/".join(parts[:length]) in finished for length in range(1, len(parts) + 1))


def finished_by(commit: Commit) -> list[str]:
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
    return keys + [key for other in commit.along for key in finished_by(other)]


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
