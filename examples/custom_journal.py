"""A journal of your own: whatever has the methods of `Journal` is one.

This one leaves the keeping to another journal, and writes a line into an audit log for each thing that it was asked for: who
wants to know what happened, and when, reads that. A run begins on it, is cut off, and is resumed; the log tells of both.

Run it: python examples/custom_journal.py
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, Self

import trio

from cano_trio import RunContext, RunStatus, Workflow
from cano_trio.journals import (
    Commit,
    Fence,
    Journal,
    Letter,
    LogRow,
    MemoryJournal,
    NewRun,
    RunRecord,
    StoredRun,
)


class AuditedJournal:
    """A journal that tells what it is asked for.

    A line is written after the other journal has acknowledged what it tells of. After a crash the log may so lack the last
    line, and never holds one of something that did not happen.

    Args:
        keeper: the journal that keeps the runs.
    """

    def __init__(self, keeper: Journal) -> None:
        self.keeper = keeper
        self.log: list[str] = []

    @property
    def owner(self) -> str:
        """Under which id runs are held."""
        return self.keeper.owner

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.keeper.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close it."""
        await self.keeper.__aexit__(*exc_info)

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        record = await self.keeper.create(run)
        self.log.append(f"{run.run_id} is created in {run.position.state}")
        return record

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run."""
        rev = await self.keeper.commit(commit)
        finished = "".join(f"{row.state} is {row.kind}; " for row in commit.log)
        released = " and is released" if commit.release else ""
        position = commit.position
        self.log.append(
            f"{commit.run_id} rev {rev}: {finished}it is {position.status.value} in {position.state}{released}"
        )
        return rev

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over."""
        stored = await self.keeper.claim(run_id)
        self.log.append(f"{run_id} is {'held by another process' if stored is None else 'claimed'}")
        return stored

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox."""
        number = await self.keeper.post(letter)
        self.log.append(f"{letter.run_id} gets a {letter.kind}{' again' if number is None else ''}")
        return number

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run."""
        await self.keeper.delete(run_id, fence)
        self.log.append(f"{run_id} is removed")

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs."""
        return await self.keeper.load(run_id)

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run."""
        return await self.keeper.history(run_id)

    async def runs(
        self,
        *,
        workflow: str | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] | None = None,
        parent: str | None = None,
        due: float | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> tuple[RunRecord, ...]:
        """Runs, a page at a time."""
        return await self.keeper.runs(
            workflow=workflow, status=status, labels=labels or {}, parent=parent, due=due, after=after, limit=limit
        )


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
