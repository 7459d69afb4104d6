"""A process that is killed with SIGKILL, and what it had been told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal import killed


@pytest.mark.parametrize("lines", [1, 37, 400])
async def test_what_was_acknowledged_is_there(tmp_path: Path, lines: int) -> None:
    """P1: after SIGKILL every acknowledged commit is there, each history is dense, and the runs can be claimed at once."""
    path = tmp_path / "runs.db"
    acknowledged = kill_after(lines, path)
    assert acknowledged
    async with SqliteJournal(path) as journal:
        for run_id, rev in acknowledged.items():
            taken = await journal.claim(run_id)  # the lease would last; the lock is free
            assert taken is not None
            assert taken.record.rev >= rev
            assert taken.record.crashes == 1
            history = await journal.history(run_id)
            assert [row.seq for row in history] == list(range(taken.record.rev))
            assert taken.data == b"%d" % (taken.record.rev - 1)


def kill_after(lines: int, path: Path) -> dict[str, int]:
    """Kill the program after it wrote that many lines; the last rev that each of its runs was told."""
    command = [sys.executable, "-m", killed.__name__, str(path), "7"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += [line for line in process.stdout if line.endswith("\n")]
    return {run_id: int(rev) for run_id, rev in (line.split() for line in told)}
