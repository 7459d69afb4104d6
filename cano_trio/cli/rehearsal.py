"""Whether code can go on with the unfinished runs of a journal: they are taken up as if, and nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self, final

import attrs
from msgspec.structs import replace

from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._engine.resume import Revival
from .._errors import RunBlocked, RunNotFound
from .._journal.protocol import NO_LABELS, Journal
from .._journal.rows import Commit, Fence, Letter, LogRow, NewRun, RunRecord, StoredRun
from .._observe.status import RunStatus
from .._runtime.workflow import Workflow
from .store import UNFINISHED, all_runs


@final
@attrs.frozen
class Rehearsed:
    """What came of taking runs up as if.

    Args:
        runs: how many there are.
        blocked: what stands in the way of those that can't go on, by their ids.
    """

    runs: int
    blocked: Mapping[str, str]


async def rehearse(journal: Journal, workflow: Workflow[Any, Any], resources: Resources) -> Rehearsed:
    """Take up all unfinished runs of a workflow as if.

    Args:
        journal: where they are written down.
        workflow: their workflow.
        resources: what its tasks work with.
    """
    program = Program.of(workflow, resources)
    rehearsal = Rehearsal(journal)
    runs, blocked = 0, {}
    for record in await all_runs(journal, workflow=program.name, status=UNFINISHED):
        if record.parent is not None:
            continue
        runs += 1
        try:
            stored = await rehearsal.claim(record.run_id)
            await Revival(program, rehearsal, stored, "resume").run(resources, (), None, None)
        except RunBlocked as error:
            blocked[record.run_id] = f"{error.reason}: {error.message}"
        except RunNotFound:  # it has been removed meanwhile
            runs -= 1
    return Rehearsed(runs, blocked)


@final
class Rehearsal:
    """A journal as it would be: it takes what it is told, and writes nothing.

    Args:
        journal: what it reads from, which is open.
    """

    owner = "nobody"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __aenter__(self) -> Self:
        """It is open as long as the other."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""

    async def load(self, run_id: str, /) -> StoredRun:
        """A run."""
        return await self._journal.load(run_id)

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run."""
        return await self._journal.history(run_id)

    async def runs(
        self,
        *,
        workflow: str | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        parent: str | None = None,
        due: float | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> tuple[RunRecord, ...]:
        """Runs, a page at a time."""
        return await self._journal.runs(
            workflow=workflow, status=status, labels=labels, parent=parent, due=due, after=after, limit=limit
        )

    async def claim(self, run_id: str, /) -> StoredRun:
        """A run as if it were held, whoever holds it."""
        stored = await self.load(run_id)
        return replace(stored, record=replace(stored.record, owner=self.owner))

    async def commit(self, commit: Commit, /) -> int:
        """Write nothing."""
        return commit.fence.rev + 1

    async def create(self, _: NewRun, /) -> RunRecord:
        """Nothing begins."""
        raise AssertionError("unreachable: nothing begins while a run is taken up")

    async def post(self, _: Letter, /) -> int | None:
        """Nothing is sent."""
        raise AssertionError("unreachable: nothing is sent while a run is taken up")

    async def delete(self, _: str, __: Fence, /) -> None:
        """Nothing is removed."""
        raise AssertionError("unreachable: nothing is removed while a run is taken up")
