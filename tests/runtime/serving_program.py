"""A program whose processes carry runs out together, on one SQLite file, and are killed: it forks one for each that is asked for.

Commands come on stdin, one a line: ``start PATH NUMBER`` answers with the id of a process that starts so many runs, and serves
until there is nothing left to do; ``wait PID`` with how that process ended.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import trio

from cano_trio import (
    DuplicateRun,
    Resources,
    RunAlreadyEnded,
    RunContext,
    RunNotFound,
    RunStatus,
    Runtime,
    open_runtime,
)
from cano_trio.journals import SqliteJournal
from tests.runtime.desk import Job, Note, World, desk

PLANS = (
    ("book", "work 0.03", "nap 0.2", "work 0.03"),
    ("work 0.03", "ask", "book", "work 0.03"),
    ("nap 0.3", "work 0.05", "work 0.05"),
    ("work 0.02", "call 0.1", "book"),
)

UNFINISHED = [status for status in RunStatus if not status.ended]


class Outside(World):
    """A file to which each effect appends a line."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = os.open(f"{path}.effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def act(self, ctx: RunContext) -> None:
        os.write(self.file, f"{ctx.idempotency_key}\n".encode())


async def serve(path: Path, number: int) -> None:
    """Start so many runs, tell each what it may wait for, and serve until all runs are over."""
    resources = Resources(world=Outside(path))
    journal = SqliteJournal(path)
    async with open_runtime(workflows=[desk], journal=journal, resources=resources, unload_after=0.05) as runtime:
        async with trio.open_nursery() as nursery:
            for index in range(number):
                nursery.start_soon(begin, runtime, index)
        while unfinished := await runtime.runs(status=UNFINISHED):
            for told in unfinished:
                await remind(runtime, told.run_id)
            await trio.sleep(0.02)


async def begin(runtime: Runtime, index: int) -> None:
    """Start a run, unless a process before has."""
    job = Job([*PLANS[index % len(PLANS)]])
    with contextlib.suppress(DuplicateRun):
        await runtime.start(desk, job, start=job.step, run_id=f"r{index}")


async def remind(runtime: Runtime, run_id: str) -> None:
    """Send what every process sends: it is to be heard once."""
    with contextlib.suppress(RunAlreadyEnded, RunNotFound):
        await (await runtime.get(desk, run_id)).send(Note(), key="only once")


def main() -> None:
    """Do what stdin says."""
    for line in sys.stdin:
        match line.split():
            case ["start", path, number]:
                if (child := os.fork()) == 0:
                    be_a_process(Path(path), int(number))
                print(child, flush=True)  # noqa: T201
            case ["wait", child_id]:
                _, status = os.waitpid(int(child_id), 0)
                print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
            case _:
                raise ValueError(line)


def be_a_process(path: Path, number: int) -> None:
    """Be one of the processes."""
    code = 70
    try:
        trio.run(serve, path, number)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
