"""Two real processes that carry out the runs of one SQLite file; one is killed while runs are in flight."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
import trio

from cano_trio import RunStatus
from cano_trio._journal.codec import codec_for
from cano_trio.journals import LogRow, SqliteJournal, StoredRun
from tests.runtime import serving_program
from tests.runtime.desk import Job

RUNS = 24


class Program:
    """The program, which forks a process for each that is asked for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self, path: Path, number: int = 0) -> int:
        """A process that starts so many runs, and serves; its id."""
        return self._ask(f"start {path} {number}")

    def wait(self, process: int) -> int:
        """How a process ended."""
        return self._ask(f"wait {process}")

    def _ask(self, command: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    command = [sys.executable, "-m", serving_program.__name__]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield Program(process)


def effects(path: Path) -> list[str]:
    """The keys of all that had an effect, in its order."""
    file = Path(f"{path}.effects")
    return file.read_text().split() if file.exists() else []


def until(happened: Callable[[], bool]) -> None:
    """Look again and again, as another process can't tell us."""
    give_up = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def read(path: Path) -> list[tuple[StoredRun, tuple[LogRow, ...]]]:
    """What is written down, which must be sound."""

    async def main() -> list[tuple[StoredRun, tuple[LogRow, ...]]]:
        async with SqliteJournal(path) as journal:
            ids = [record.run_id for record in await journal.runs() if record.parent is None]
            return [(await journal.load(run_id), await journal.history(run_id)) for run_id in ids]

    db = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(10_000)  # who closes the file last holds it for a moment
    assert db.execute("PRAGMA integrity_check").get == "ok"
    db.close()
    return trio.run(main)


def finished(path: Path) -> set[str]:
    """The keys of all states that are finished."""
    return {
        f"{stored.record.run_id}/{row.seq}"
        for stored, history in read(path)
        for row in history
        if row.kind == "finished"
    }


def check_that_a_kill_loses_nothing(program: Program, path: Path, seed: int) -> None:
    """Kill one of two processes after some effects, and see what the other makes of it."""
    rng = random.Random(seed)
    first = program.start(path, RUNS)
    until(lambda: len(effects(path)) > 0)
    second = program.start(path)
    enough = rng.randint(5, 50)
    until(lambda: len(effects(path)) >= enough)
    os.kill(first, signal.SIGKILL)
    assert program.wait(first) == -signal.SIGKILL
    facts, before = finished(path), effects(path)
    assert program.wait(program.start(path, RUNS)) == 0  # some may not have been started
    assert program.wait(second) == 0
    after = effects(path)[len(before) :]
    assert [key for key in after if "/".join(key.split("/")[:2]) in facts] == []
    assert max(Counter(effects(path)).values()) <= 2
    assert set(effects(path)) == expected()
    stored = read(path)
    assert len(stored) == RUNS
    for run, history in stored:
        assert run.record.position.status is RunStatus.COMPLETED
        assert (run.messages, run.cursors, run.record.owner) == ((), (), None) or run.posted == 1
        whole = [row.seq for row in history if row.kind == "finished" and not row.part]
        assert whole == [*range(len(whole))]
        job: Job = codec_for(Job).unpack(run.data)
        assert job.at == len(job.plan)
        assert job.heard == ["yes"] * any(item.startswith(("ask", "call")) for item in job.plan)


def expected() -> set[str]:
    """The keys of all that is to have an effect."""
    keys: set[str] = set()
    for index in range(RUNS):
        for seq, item in enumerate(serving_program.PLANS[index % len(serving_program.PLANS)]):
            parts = ("/0", "/1") if item.startswith("call") else ("",)
            keys |= {f"r{index}/{seq}{part}" for part in parts}
    return keys


@pytest.mark.parametrize("seed", range(2))
def test_a_kill_loses_nothing(program: Program, tmp_path: Path, seed: int) -> None:
    """All runs finish in the process that lives; no finished state runs again, and each message is heard once."""
    check_that_a_kill_loses_nothing(program, tmp_path / "runs.db", seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_more_kills_lose_nothing(program: Program, tmp_path: Path, seed: int) -> None:
    """The same, many times."""
    check_that_a_kill_loses_nothing(program, tmp_path / "runs.db", seed)
