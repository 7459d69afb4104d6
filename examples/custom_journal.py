"""A journal of your own: whatever has the methods of `Journal` is one, and `ForwardingJournal` has them all.

This one leaves the keeping to another journal, and writes a line into an audit log for each thing that it was asked for: who
wants to know what happened, and when, reads that. A run begins on it, is cut off, and is resumed; the log tells of both.

Run it: python examples/custom_journal.py
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import RunContext, Workflow
from cano_trio.journals import (
    Commit,
    Fence,
    ForwardingJournal,
    Journal,
    Letter,
    MemoryJournal,
    NewRun,
    RunRecord,
    StoredRun,
)


class AuditedJournal(ForwardingJournal):
    """A journal that tells what it is asked for.

    A line is written after the other journal has acknowledged what it tells of. After a crash the log may so lack the last
    line, and never holds one of something that did not happen.

    Args:
        inner: the journal that keeps the runs.
    """

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self.log: list[str] = []

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        record = await super().create(run)
        self.log.append(f"{run.run_id} is created in {run.position.state}")
        return record

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run."""
        rev = await super().commit(commit)
        finished = "".join(f"{row.state} is {row.kind}; " for row in commit.log)
        released = " and is released" if commit.release else ""
        position = commit.position
        self.log.append(
            f"{commit.run_id} rev {rev}: {finished}it is {position.status.value} in {position.state}{released}"
        )
        return rev

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over."""
        stored = await super().claim(run_id)
        self.log.append(f"{run_id} is {'held by another process' if stored is None else 'claimed'}")
        return stored

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox."""
        number = await super().post(letter)
        self.log.append(f"{letter.run_id} gets a {letter.kind}{' again' if number is None else ''}")
        return number

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run."""
        await super().delete(run_id, fence)
        self.log.append(f"{run_id} is removed")


class Step(Enum):
    """Where a letter stands."""

    WRITE = auto()
    SEND = auto()
    SENT = auto()


@dataclass
class Mail:
    """A letter."""

    to: str
    text: str = ""


workflow = Workflow(Step, initial=Step.WRITE, exits=[Step.SENT], name="mail", data=Mail)


@workflow.task(Step.WRITE)
async def write(mail: Mail) -> Literal[Step.SEND]:
    """Write it."""
    mail.text = f"Dear {mail.to}"
    return Step.SEND


@workflow.task(Step.SEND)
async def send(ctx: RunContext) -> Literal[Step.SENT]:
    """Send it; the line is dead at first."""
    if not ctx.rerun:
        await trio.sleep_forever()
    return Step.SENT


async def correspond() -> None:
    """Begin a run, cut it off, and resume it."""
    async with AuditedJournal(MemoryJournal()) as journal:
        with trio.move_on_after(0.1):
            await workflow.run(Mail("Ada"), run_id="mail-1", journal=journal)
        print("It was cut off. The log:")
        print(*(f"  {line}" for line in journal.log), sep="\n")
        journal.log.clear()
        result = await workflow.resume("mail-1", journal=journal)
        print(f"{result.state.name}: {result.data.text}. The log:")
        print(*(f"  {line}" for line in journal.log), sep="\n")


def main() -> None:
    """Correspond."""
    trio.run(correspond)


if __name__ == "__main__":
    main()
