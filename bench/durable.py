"""Runs that are written down: how many transitions reach the disk, beside what the disk itself can do."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any, Literal, cast, final

import apsw
import trio
from trio.lowlevel import Abort, Task, current_task, current_trio_token, reschedule, wait_task_rescheduled

from cano_trio import RunContext, Workflow
from cano_trio._journal.acknowledgement import ACKNOWLEDGED
from cano_trio._journal.rows import created
from cano_trio.journals import Commit, Journal, NewRun, RunRecord, SqliteJournal

from .folder import Measured, in_folder
from .measure import Case, Clocked

SYNC = "disk: one sync"
ROW = "disk: commit of one row, FULL"
BUSY_SECONDS = 0.0001
"""How long busy work keeps the thread between two passes through the scheduler."""


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


@final
class Walk:
    """A workflow whose task does nothing, a number of times in each run, and runs of it at once."""

    def __init__(self) -> None:
        self.rows = 1
        self.workflow: Workflow[Step] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

        @self.workflow.task(Step.WORK)
        async def work(ctx: RunContext) -> Literal[Step.WORK, Step.DONE]:
            return Step.WORK if ctx.visit < self.rows else Step.DONE

    async def together(self, journal: Journal, runs: int, rows: int) -> float:
        """Seconds that so many runs take, each with so many transitions, from their creation to their end."""
        self.rows = rows
        begun = perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(runs):
                nursery.start_soon(lambda name: self.workflow.run(run_id=name, journal=journal), f"run-{number}")
        return perf_counter() - begun


@final
class Watched:
    """A journal that takes the time of each commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.seconds: list[float] = []

    async def __aenter__(self) -> Watched:
        """Open it."""
        await self._journal.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close it."""
        await self._journal.__aexit__(*exception)

    def __getattr__(self, name: str) -> Any:
        """All else is the journal's own."""
        return getattr(self._journal, name)

    async def commit(self, commit: Commit, /) -> int:
        """Commit, and note how long that took."""
        begun = perf_counter()
        rev = await self._journal.commit(commit)
        self.seconds.append(perf_counter() - begun)
        return rev


@final
class Acknowledging:
    """A journal that writes nothing, and acknowledges at once all that came meanwhile: what is left is the engine's own."""

    owner = "nobody"
    changes = 0

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: list[Task] = []
        self._token = current_trio_token()

    async def __aenter__(self) -> Acknowledging:
        """It is open."""
        return self

    async def __aexit__(self, *exception: object) -> None:
        """There is nothing to close."""

    async def wait_changed(self, seen: int, /) -> None:  # noqa: ARG002
        """Nothing changes but by the runs themselves."""
        await trio.sleep_forever()

    async def create(self, run: NewRun, /) -> RunRecord:
        """Nothing is created."""
        return created(run, next(self._numbers))

    async def commit(self, commit: Commit, /) -> int:
        """Park like one that waits for a disk."""
        if not self._waiting:
            self._token.run_sync_soon(self._acknowledge)
        self._waiting.append(current_task())
        await wait_task_rescheduled(lambda _: Abort.FAILED)
        return commit.fence.rev + 1

    def _acknowledge(self) -> None:
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            reschedule(task, ACKNOWLEDGED)


def unwritten(walk: Walk, runs: int) -> Clocked:
    """What the engine itself takes for one transition, with its passes through the scheduler."""

    async def measured(times: int) -> float:
        rows = times // runs
        return await walk.together(cast("Journal", Acknowledging()), runs, rows) / (runs * rows)

    return lambda times: trio.run(measured, max(runs, times))


def transitions(walk: Walk, runs: int) -> Measured:
    """What one transition takes, where so many runs make them at once, or fewer if there are not to be so many."""

    async def measured(folder: Path, times: int) -> float:
        begun = min(runs, times)
        rows = times // begun
        async with SqliteJournal(folder / "runs.db") as journal:
            return await walk.together(journal, begun, rows) / (begun * rows)

    return measured


def latency(walk: Walk, runs: int, percent: int) -> Measured:
    """The time within which so many of a hundred commits are acknowledged."""

    async def measured(folder: Path, times: int) -> float:
        async with Watched(SqliteJournal(folder / "runs.db")) as journal:
            begun = min(runs, times)
            await walk.together(cast("Journal", journal), begun, max(2, times // begun))
        return quantiles(journal.seconds, n=100, method="inclusive")[percent - 1]

    return measured


def beside_busy_work(measured: Measured) -> Measured:
    """The same while another task burns the thread."""

    async def busy() -> None:
        while True:
            end = perf_counter() + BUSY_SECONDS
            while perf_counter() < end:
                pass
            await trio.lowlevel.checkpoint()

    async def beside(folder: Path, times: int) -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(busy)
            one = await measured(folder, times)
            nursery.cancel_scope.cancel()
        return one

    return beside


async def sync(folder: Path, times: int) -> float:
    """One page more of a file, brought to disk."""
    file = os.open(folder / "file", os.O_WRONLY | os.O_CREAT)
    try:
        begun = perf_counter()
        for number in range(times):
            os.pwrite(file, bytes(4096), number * 4096)
            os.fsync(file)
        return (perf_counter() - begun) / times
    finally:
        os.close(file)


async def row(folder: Path, times: int) -> float:
    """One row more of a table, brought to disk: what each transition would take at least if it had a sync of its own."""
    db = apsw.Connection(str(folder / "rows.db"))
    try:
        db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL").fetchall()
        db.execute("CREATE TABLE log(id INTEGER PRIMARY KEY, state TEXT, body BLOB)")
        begun = perf_counter()
        for _ in range(times):
            db.execute("INSERT INTO log(state, body) VALUES (?,?)", ("WORK", bytes(100)))
        return (perf_counter() - begun) / times
    finally:
        db.close()


def cases() -> Sequence[Case]:
    """The disk's own sync and commit; runs at once, each in its process's one journal; and how long their commits take."""
    walk = Walk()

    def case(name: str, measured: Measured, times: int, baseline: str | None = ROW, **reach: Any) -> Case:
        return Case(name=name, clocked=in_folder(measured), times=times, baseline=baseline, **reach)

    def at_once(runs: int, times: int, **reach: Any) -> Case:
        return case(f"durable transition: {runs:,} at once", transitions(walk, runs), times, **reach)

    quiet = "durable transition: 1,000 at once"
    fast: dict[str, Any] = {"reach": 16.7, "reach_ratio": 0.1, "note": "a sync for each would take 1.00x"}
    long_runs = transitions(walk, 1_000)
    return [
        case(SYNC, sync, 100, None),
        case(ROW, row, 100, None),
        at_once(1, 100, reach_added=120),
        at_once(10, 1_000),
        at_once(100, 2_000),
        at_once(1_000, 10_000, **fast),
        Case(
            name="durable transition: 1,000 at once, nothing written",
            clocked=unwritten(walk, 1_000),
            times=50_000,
            reach=12,
            note="a journal that acknowledges at once: the engine's part, and a pass through trio's scheduler",
        ),
        case("durable transition: 1,000 at once, 600 each", long_runs, 600_000, big=True, **fast),
        case(
            "durable transition: 1,000 at once, busy thread",
            beside_busy_work(long_runs),
            5_000,
            quiet,
            big=True,
            note="another task burns the thread in pieces of 0.1 ms, and the interpreter changes threads at each row",
        ),
        *(
            case(f"durable commit: {runs:,} at once, p{percent}", latency(walk, runs, percent), times, None)
            for runs, times in [(1, 100), (100, 2_000), (1_000, 5_000)]
            for percent in (50, 99)
        ),
    ]
