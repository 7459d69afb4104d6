"""Real processes that are killed, frozen, and compete for a run, on a SQLite file; effects are counted in a file of their own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

from cano_trio._engine.kept import read_done, read_place
from cano_trio.journals import LogRow, SqliteJournal, StoredRun
from tests.durable import killed_program
from tests.durable.killed_program import COMPLETED, FAILED, LEASE_LOST, NOT_OWNER, RUN

ENDS = {"works": COMPLETED, "fails": FAILED}


class Program:
    """The program, which forks a process for each run."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self, mode: str, path: Path, lease: float = 15.0) -> int:
        """A process that begins the run, or goes on with it; its id."""
        return self._ask(f"start {mode} {path} {lease}")

    def wait(self, process: int) -> int:
        """How a process ended: its exit code, or the number of the signal, below zero."""
        return self._ask(f"wait {process}")

    def _ask(self, command: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    command = [sys.executable, "-m", killed_program.__name__]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield Program(process)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal, beside which the gate is open."""
    gate(tmp_path / "runs.db").touch()
    return tmp_path / "runs.db"


def gate(path: Path) -> Path:
    return Path(f"{path}.gate")


def effects(path: Path) -> list[str]:
    """The keys of all that had an effect, in its order."""
    file = Path(f"{path}.effects")
    return file.read_text().split() if file.exists() else []


def until(happened: Callable[[], bool]) -> None:
    """Look again and again, as another process can't tell us."""
    give_up = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.0005)


def read(path: Path) -> tuple[StoredRun, tuple[LogRow, ...]]:
    """What is written down, which must be sound."""

    async def main() -> tuple[StoredRun, tuple[LogRow, ...]]:
        async with SqliteJournal(path) as journal:
            return await journal.load(RUN), await journal.history(RUN)

    db = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(10_000)  # who closes the file last holds it for a moment
    assert db.execute("PRAGMA integrity_check").get == "ok"
    db.close()
    return trio.run(main)


def acknowledged(run: StoredRun, history: tuple[LogRow, ...]) -> set[str]:
    """The keys of all work that is a fact."""
    undone = {f"{RUN}/{row.seq}{row.part}/undo" for row in history if row.kind == "undone"}
    finished = {f"{RUN}/{row.seq}{row.part}" for row in history if row.kind == "finished"}
    came = {f"{RUN}/{outcome.seq}{outcome.part}" for outcome in run.outcomes if outcome.part.startswith("/b:")}
    chunks = [outcome for outcome in run.outcomes if outcome.part.startswith("/c:")]
    items = {f"{RUN}/{chunk.seq}/i:{done.at}" for chunk in chunks for done in read_done(chunk.body)}
    places = [(cursor.seq, read_place(cursor.body)) for cursor in run.cursors if not cursor.part]  # of stepped work
    steps = {f"{RUN}/{seq}/s:{step}" for seq, place in places for step in range(place.number)}
    return undone | finished | came | items | steps


def is_part_of(key: str, facts: set[str]) -> bool:
    """Whether work is a fact, or belongs to a state that is one."""
    return key in facts or (not key.endswith("/undo") and "/".join(key.split("/")[:2]) in facts)


def outline(run: StoredRun, history: tuple[LogRow, ...]) -> Any:
    """All of what a run came to that no crash may change."""
    rows = [(row.seq, row.part, row.kind, row.state, row.next, row.receipt, row.data) for row in history]
    position = run.record.position
    error = position.error and (position.error.type, position.error.message)
    return sorted(rows, key=lambda row: row[:3]), position.state, position.status, position.seq, error, run.data


def ledger(path: Path) -> list[object]:
    db = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(10_000)  # who closes the file last holds it for a moment
    try:
        return [key for (key,) in db.execute("SELECT key FROM ledger")]
    finally:
        db.close()


def kill_again_and_again(program: Program, mode: str, path: Path, rng: random.Random) -> int:
    """Carry a run out, killing each process after a number of effects, until one comes to the end; the number of kills."""
    kills, facts = 0, set[str]()
    while True:
        before = effects(path)
        process = program.start(mode, path)
        enough = len(before) + rng.randint(1, 12)
        until(partial(has_come_to, path, enough, process))
        time.sleep(rng.uniform(0, 0.004))
        os.kill(process, signal.SIGKILL)
        code = program.wait(process)
        again = [key for key in effects(path)[len(before) :] if is_part_of(key, facts)]
        assert again == []
        if code != -signal.SIGKILL:
            assert code == ENDS[mode]
            return kills
        kills += 1
        facts = acknowledged(*read(path))


def has_come_to(path: Path, enough: int, process: int) -> bool:
    return len(effects(path)) >= enough or has_ended(process)


def has_ended(process: int) -> bool:
    """Whether a process is over, though nobody has waited for it."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def check_that_kills_change_nothing(program: Program, mode: str, path: Path, seed: int) -> int:
    """Compare a run that is killed with one that is not."""
    calm = path.with_name("calm.db")
    gate(calm).touch()
    assert program.wait(program.start(mode, calm)) == ENDS[mode]
    kills = kill_again_and_again(program, mode, path, random.Random(seed))
    assert outline(*read(path)) == outline(*read(calm))
    times = Counter(effects(path))
    assert times.keys() == set(effects(calm))
    assert max(times.values()) <= 1 + kills
    assert ledger(path) == [f"{RUN}/4"]  # exactly once
    _, history = read(path)
    done = [(row.seq, row.part) for row in history if row.kind == "finished" and row.receipt is not None]
    undone = [(row.seq, row.part) for row in history if row.kind == "undone"]
    assert undone == (done[::-1] if mode == "fails" else [])
    first = list(dict.fromkeys(key for key in effects(path) if key.endswith("/undo")))
    assert first == [f"{RUN}/{seq}{part}/undo" for seq, part in undone]
    return kills


@pytest.mark.parametrize("mode", ["works", "fails"])
@pytest.mark.parametrize("seed", range(2))
def test_kills_change_nothing(program: Program, path: Path, mode: str, seed: int) -> None:
    """However often a process is killed: nothing that is a fact happens again, and all ends as it does without kills."""
    assert check_that_kills_change_nothing(program, mode, path, seed) >= 2


def test_two_processes_want_one_run(program: Program, path: Path) -> None:
    """While one lives, another is told that it holds the run; when that was killed, the run goes on in the other at once."""
    gate(path).unlink()
    first = program.start("works", path)
    until(lambda: f"{RUN}/6" in effects(path))
    assert program.wait(program.start("works", path)) == NOT_OWNER
    assert effects(path)[-1] == f"{RUN}/6"
    os.kill(first, signal.SIGKILL)
    assert program.wait(first) == -signal.SIGKILL
    gate(path).touch()
    assert program.wait(program.start("works", path)) == COMPLETED
    assert effects(path)[-3:] == [f"{RUN}/6", f"{RUN}/6", f"{RUN}/7"]


@pytest.mark.parametrize("mode", ["works", "fails"])
def test_a_process_that_was_frozen_past_its_lease_writes_nothing(program: Program, path: Path, mode: str) -> None:
    """Frozen between two commits, it loses its run to another process; thawed, it stops: nothing written, nothing undone."""
    gate(path).unlink()
    frozen = program.start(mode, path, lease=1)
    until(lambda: f"{RUN}/6" in effects(path))
    os.kill(frozen, signal.SIGSTOP)
    assert program.wait(program.start(mode, path, lease=1)) == NOT_OWNER
    gate(path).touch()
    until(lambda: program.wait(program.start(mode, path, lease=1)) == ENDS[mode])
    ended, happened = read(path), effects(path)
    os.kill(frozen, signal.SIGCONT)
    assert program.wait(frozen) == LEASE_LOST
    assert (read(path), effects(path)) == (ended, happened)
    assert happened.count(f"{RUN}/6") == 2
    assert max(Counter(happened).values()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["works", "fails"])
@pytest.mark.parametrize("seed", range(100, 150))
def test_many_more_kills_change_nothing(program: Program, path: Path, mode: str, seed: int) -> None:
    """The same, hundreds of times."""
    check_that_kills_change_nothing(program, mode, path, seed)
