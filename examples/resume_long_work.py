"""Long work that goes on at its cursor after its process was killed: steps through a table, and a stream from a file.

A thermometer's log is read as a stream, in windows of 100 lines; the cursor is the offset behind the last line, and is
written down with each window, together with what the window added to the data. Then the readings are smoothed in steps.
The process is killed in the middle of each; each time the next one goes on where the last cursor points, not at the
beginning, and no line is counted twice.

Run it: python examples/resume_long_work.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import trio

from cano_trio import CloseReason, More, Resources, Window, Workflow
from cano_trio.journals import SqliteJournal


class Step(Enum):
    """Where the work stands."""

    READ = auto()
    SMOOTH = auto()
    DONE = auto()


@dataclass
class Readings:
    """What was read, the sum of each day, and what was made of it."""

    lines: int = 0
    days: dict[str, int] = field(default_factory=dict)
    smooth: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """A line of the log, and the offset behind it."""

    text: str
    end: int


@dataclass
class Log:
    """Where the log is."""

    path: Path


@dataclass
class Accident:
    """Kills the process when it comes to a place."""

    place: str

    def may_happen(self, place: str) -> None:
        """Kill the process, if it is here."""
        if place == self.place:
            print(f"  killed at {place}")
            os.kill(os.getpid(), signal.SIGKILL)


workflow = Workflow(Step, initial=Step.READ, exits=[Step.DONE], name="thermometer", data=Readings)


@workflow.stream(Step.READ, window=Window(count=100))
async def parse(line: Line, accident: Accident) -> tuple[tuple[str, int], int]:
    """A day and its degrees, and where the next line begins."""
    day, degrees = line.text.split()
    accident.may_happen(f"offset {line.end}")
    return (day, int(degrees)), line.end


@parse.open
@asynccontextmanager
async def lines(offset: int | None, log: Log) -> AsyncGenerator[AsyncGenerator[Line]]:
    """The lines of the log from an offset on."""
    print(f"  reads from offset {offset or 0}")
    async with await trio.open_file(log.path, "rb") as file:
        await file.seek(offset or 0)

        async def each() -> AsyncGenerator[Line]:
            end = offset or 0
            async for text in file:
                end += len(text)
                yield Line(text.decode(), end)

        yield each()


@parse.flush_window
async def add(found: list[tuple[str, int]], readings: Readings) -> None:
    """Add up a window."""
    readings.lines += len(found)
    for day, degrees in found:
        readings.days[day] = readings.days.get(day, 0) + degrees


@parse.on_close
async def close(_: CloseReason) -> Literal[Step.SMOOTH]:
    """The log has been read."""
    return Step.SMOOTH


@workflow.stepped(Step.SMOOTH)
async def smooth(day: int | None, readings: Readings, accident: Accident) -> More[int] | Literal[Step.DONE]:
    """The mean of a day's sum and its neighbours'."""
    day = day or 0
    accident.may_happen(f"step {day + 1}")
    sums = list(readings.days.values())
    near = sums[max(0, day - 1) : day + 2]
    readings.smooth.append(round(sum(near) / len(near), 1))
    print(f"  step {day + 1}: {readings.smooth[-1]}")
    return More(day + 1) if day + 1 < len(sums) else Step.DONE


async def work(folder: Path, place: str) -> None:
    """Begin the work, or go on with it."""
    result = await workflow.run(
        Readings(),
        run_id="may",
        on_duplicate="attach",
        journal=SqliteJournal(folder / "work.db"),
        resources=Resources(log=Log(folder / "thermometer.log"), accident=Accident(place)),
    )
    print(f"{result.state.name}: {result.data.lines} lines, {result.data.smooth}")


def write_log(path: Path) -> None:
    """Five days of 120 readings each."""
    degrees = {"Mon": 11, "Tue": 14, "Wed": 12, "Thu": 15, "Fri": 18}
    path.write_text("".join(f"{day} {warm}\n" * 120 for day, warm in degrees.items()))


def main() -> None:
    """Be killed twice, and come to the end as a third process."""
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder, "thermometer.log"))
        for number, place in enumerate(["offset 1890", "step 3"], start=1):
            print(f"Process {number}:", flush=True)
            # Unbuffered: what is killed flushes nothing.
            subprocess.run([sys.executable, "-u", __file__, folder, place], check=False)  # noqa: S603
        print("Process 3:")
        trio.run(work, Path(folder), "")


if __name__ == "__main__":
    if sys.argv[1:]:
        trio.run(work, Path(sys.argv[1]), sys.argv[2])
    else:
        main()
