"""Runs that a process has left behind: going on with them, and listing them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from pathlib import Path
from time import perf_counter, time
from typing import Literal

import trio

from cano_trio import RunStatus, Workflow
from cano_trio.journals import Journal, NewRun, Position, SqliteJournal

from .folder import Measured, in_folder
from .measure import Case

AT_ONCE = 1_000
"""How many are created, or go on, at the same time."""


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


workflow: Workflow[Step] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="left behind")


@workflow.task(Step.WORK)
async def work() -> Literal[Step.DONE]:
    """Be done."""
    return Step.DONE


async def _leave_behind(journal: Journal, count: int) -> list[str]:
    """Write down so many unfinished runs, which nobody holds."""
    names = [f"run-{number}" for number in range(count)]

    async def create(name: str) -> None:
        position = Position(state="WORK", status=RunStatus.RUNNING, seq=0, entered_at=time())
        await journal.create(NewRun(run_id=name, workflow=workflow.name, version=1, position=position, data=b""))

    await each(create, names)
    return names


async def each(function: Callable[[str], Awaitable[object]], names: Sequence[str]) -> None:
    """Call a function with each name, for so many at once."""
    rest = iter(names)

    async def work_off() -> None:
        for name in rest:
            await function(name)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(work_off)


async def resumed(folder: Path, times: int) -> float:
    """Go on with so many runs, each to its end one transition later."""
    async with SqliteJournal(folder / "runs.db") as journal:
        names = await _leave_behind(journal, times)
        begun = perf_counter()
        await each(lambda name: workflow.resume(name, journal=journal), names)
        return (perf_counter() - begun) / times


async def listed(folder: Path, times: int) -> float:
    """List so many runs, in pages of the usual size."""
    async with SqliteJournal(folder / "runs.db") as journal:
        await _leave_behind(journal, times)
        begun = perf_counter()
        last = 0
        while page := await journal.runs(after=last):
            last = page[-1].number
        return (perf_counter() - begun) / times


def cases() -> Sequence[Case]:
    """Going on with 1,000 runs, and listing 10,000; on demand 100,000 of each."""

    def case(name: str, measured: Measured, times: int, *, big: bool = False, reach: float | None = None) -> Case:
        return Case(name=f"{name} {times:,}", clocked=in_folder(measured), times=times, reach=reach, once=big, big=big)

    return [
        case("resumed run: of", resumed, 1_000),
        case("resumed run: of", resumed, 100_000, big=True),
        case("listed run: of", listed, 10_000, reach=2),
        case("listed run: of", listed, 100_000, big=True, reach=2),
    ]
