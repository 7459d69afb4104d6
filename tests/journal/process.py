"""A process with a journal of its own, which does what it reads from its input, one line at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trio
from msgspec.structs import replace

from cano_trio import CanoError
from cano_trio._journal.rows import Fence
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.faulty import FaultyDisk
from tests.journal.rows import new, step


class Process:
    """Another process on a journal.

    Args:
        path: the journal's file.
        lease: how long its lease lasts, in seconds.
    """

    def __init__(self, path: Path, lease: float = 15.0) -> None:
        command = [sys.executable, "-m", __name__, str(path), str(lease)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[2])
        assert self.answer() == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def begin(self, line: str) -> None:
        """Ask something, without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """The next answer."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        """Ask something, and return the answer."""
        self.begin(line)
        return self.answer()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        self.wait_frozen()

    def wait_frozen(self) -> None:
        """Wait until it has stopped, by whoever's signal."""
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


async def serve(path: str, lease: float) -> None:
    disk = FreezingDisk("freezing")
    fences: dict[str, Fence] = {}
    async with SqliteJournal(path, lease=lease, vfs=disk.name) as journal:
        os.write(1, b"ready\n")
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            verb, run_id = line.split()
            try:
                said = await do(journal, disk, fences, verb, run_id)
            except CanoError as error:
                said = type(error).__name__
            os.write(1, f"{said}\n".encode())


async def do(journal: SqliteJournal, disk: FreezingDisk, fences: dict[str, Fence], verb: str, run_id: str) -> Any:
    """Do one thing, as an engine would: with the fence that it knows of."""
    if verb == "create":
        fences[run_id] = (await journal.create(new(run_id, journal.owner))).fence
        return journal.owner
    if verb == "claim":
        if (taken := await journal.claim(run_id)) is None:
            return "held"
        fences[run_id] = taken.record.fence
        return journal.owner
    disk.freezes = verb == "freeze"
    rev = await journal.commit(step(run_id, fences[run_id]))
    fences[run_id] = replace(fences[run_id], rev=rev)
    return rev


class FreezingDisk(FaultyDisk):
    """A disk that stops its process in the middle of a commit."""

    freezes = False

    def meet(self, call: str) -> None:
        if self.freezes and call == "sync":
            self.freezes = False
            signal.pthread_kill(
                threading.get_ident(), signal.SIGSTOP
            )  # sent to the process, it may stop a little later


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], float(sys.argv[2]))
