"""Runs that a runtime takes up from a journal: after a crash, and when their time has come."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from time import perf_counter, time
from typing import Literal

import trio

from cano_trio import RunStatus, Workflow, open_runtime
from cano_trio.journals import Journal, NewRun, Position, SqliteJournal

from .folder import Measured, in_folder
from .measure import Case
from .resume import each

RUNS = 10_000
LOOK_AGAIN = 0.001
"""Seconds between two looks whether all are over."""


class Step(Enum):
    """The states."""

    WAIT = auto()
    DONE = auto()


workflow: Workflow[Step] = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE], name="left behind")


@workflow.timer(Step.WAIT)
async def wait() -> float:
    """Wait for no time: one that was to end in the past is over at once."""
    return 0.0


@wait.after_wait
async def after() -> Literal[Step.DONE]:
    """Be done."""
    return Step.DONE


def recovered(status: RunStatus) -> Measured:
    """Takes up so many runs that stand so, each to its end."""

    async def measured(folder: Path, times: int) -> float:
        async with SqliteJournal(folder / "runs.db") as journal:
            await _leave_behind(journal, times, status)
            begun = perf_counter()
            async with open_runtime(workflows=[workflow], journal=journal) as runtime:
                while runtime.statistics().completed < times:  # noqa: ASYNC110  (nobody tells of the last of so many)
                    await trio.sleep(LOOK_AGAIN)
            return (perf_counter() - begun) / times

    return measured


async def _leave_behind(journal: Journal, count: int, status: RunStatus) -> None:
    past = time() - 60
    position = Position(state="WAIT", status=status, seq=0, entered_at=past, due_at=past)

    async def create(name: str) -> None:
        await journal.create(NewRun(run_id=name, workflow=workflow.name, version=1, position=position, data=b""))

    await each(create, [f"run-{number}" for number in range(count)])


def cases() -> Sequence[Case]:
    """Of 10,000 runs: those that were at work, and those that wait for an instant that has passed."""
    return [
        Case(name="taken up: at work", clocked=in_folder(recovered(RunStatus.RUNNING)), times=RUNS, once=True),
        Case(name="taken up: due", clocked=in_folder(recovered(RunStatus.WAITING)), times=RUNS, reach=200, once=True),
    ]
