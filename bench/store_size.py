"""How large a journal's file gets; it is looked at when the journal is closed, and all is in the one file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any, Literal

from cano_trio import More, RunContext, Workflow
from cano_trio.journals import SqliteJournal

from .folder import Measured, in_folder
from .measure import Case

HALF = 10_000


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


async def _written(workflow: Workflow[Step], file: Path) -> int:
    """The size of a journal with one run in it."""
    async with SqliteJournal(file) as journal:
        await workflow.run(run_id="run", journal=journal)
    return file.stat().st_size  # noqa: ASYNC240  (nobody waits)


async def transitions(folder: Path, times: int) -> float:
    """What one transition of a plain run adds to the file."""
    times = max(times, 100)  # fewer may find room in the pages that are there
    last = 1
    workflow: Workflow[Step] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @workflow.task(Step.WORK)
    async def work(ctx: RunContext) -> Literal[Step.WORK, Step.DONE]:
        return Step.WORK if ctx.visit < last else Step.DONE

    alone = await _written(workflow, folder / "one.db")
    last = times + 1
    return (await _written(workflow, folder / "more.db") - alone) / times


async def stepped(folder: Path, times: int) -> float:
    """The size of the file when stepped work has made so many steps."""
    workflow: Workflow[Step] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @workflow.stepped(Step.WORK)
    async def count(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        at = (cursor or 0) + 1
        return More(at) if at < times else Step.DONE

    return await _written(workflow, folder / "runs.db")


def cases() -> Sequence[Case]:
    """A plain run; and stepped work, whose file is no larger after twice the steps."""

    def case(name: str, measured: Measured, times: int, **rest: Any) -> Case:
        return Case(name=name, clocked=in_folder(measured), times=times, unit="bytes", once=True, **rest)

    found = [case("store size: of one transition", transitions, 1_000)]
    for half, big in [(HALF // 10, False), (HALF, True)]:
        first = f"store size: {half:,} steps"
        found += [
            case(first, stepped, half, big=big),
            case(f"store size: {2 * half:,} steps", stepped, 2 * half, baseline=first, reach_ratio=1.05, big=big),
        ]
    return found
