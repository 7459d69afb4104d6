"""Runs of five steps that a runtime starts, one after the other, and whose end is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import trio

from cano_trio import Run, Runtime, Workflow, open_runtime
from cano_trio.journals import Journal, SqliteJournal

from .folder import in_folder
from .measure import Case, in_trio
from .ring import Ring, bare_loop
from .runs import together

RUNS = 10_000
WRITTEN = 1_000
BARE = "started run: loop by hand"
STARTERS = 1_000
"""How many start runs at once, where each start waits for the disk."""


def cases() -> Sequence[Case]:
    """`Workflow.orchestrate` in one nursery, and `Runtime.start` with `Run.wait`, beside `bare_loop` in one nursery."""
    workflow: Workflow[Any] = Ring().workflow

    async def in_runtime(times: int) -> None:
        async with open_runtime(workflows=[workflow]) as runtime:
            runs = [await runtime.start(workflow) for _ in range(times)]
            for run in runs:
                await run.wait()

    async def written(folder: Path, times: int) -> float:
        async with SqliteJournal(folder / "runs.db") as journal:
            begun = perf_counter()
            await _start_all(workflow, journal, times)
            return (perf_counter() - begun) / times

    return [
        Case(name=BARE, clocked=in_trio(together(bare_loop, Ring().table)), times=RUNS),
        Case(
            name="started run: orchestrate",
            clocked=in_trio(together(workflow.orchestrate)),
            times=RUNS,
            baseline=BARE,
            reach_ratio=1.9,
        ),
        Case(name="started run: runtime", clocked=in_trio(in_runtime), times=RUNS, baseline=BARE, reach=33),
        Case(name="started run: runtime, SQLite", clocked=in_folder(written), times=WRITTEN, baseline=BARE),
    ]


async def _start_all(workflow: Workflow[Any], journal: Journal, times: int) -> None:
    async with open_runtime(workflows=[workflow], journal=journal) as runtime, trio.open_nursery() as nursery:
        numbers = iter(range(times))
        for _ in range(min(STARTERS, times)):
            nursery.start_soon(_start_some, runtime, workflow, numbers)


async def _start_some(runtime: Runtime, workflow: Workflow[Any], numbers: Any) -> None:
    runs: list[Run[Any, Any]] = [await runtime.start(workflow) for _ in numbers]
    for run in runs:
        await run.wait()
