"""Whether code can go on with the unfinished runs of a journal: they are taken up as if, and nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, final

import attrs
from msgspec.structs import replace

from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._engine.resume import Revival
from .._errors import RunBlocked, RunNotFound
from .._journal.forwarding import ForwardingJournal
from .._journal.protocol import Journal
from .._journal.rows import Commit, StoredRun
from .._runtime.workflow import Workflow
from .store import UNFINISHED, all_runs

T = TypeVar("T")

READS: Final = frozenset({"load", "history", "runs"})
"""What is asked of the journal while runs are taken up as if."""


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
class Rehearsal(ForwardingJournal):
    """A journal as it would be: it takes what it is told, and writes nothing."""

    @property
    def owner(self) -> str:
        """Nobody holds what is taken up as if."""
        return "nobody"

    async def claim(self, run_id: str, /) -> StoredRun:
        """A run as if it were held, whoever holds it."""
        stored = await self.load(run_id)
        return replace(stored, record=replace(stored.record, owner=self.owner))

    async def commit(self, commit: Commit, /) -> int:
        """Write nothing."""
        return commit.fence.rev + 1

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        """Read; nothing else is asked for while a run is taken up."""
        if method not in READS:
            raise AssertionError(f"unreachable: nothing is asked to {method} while a run is taken up")
        return await super().forward(method, call)
