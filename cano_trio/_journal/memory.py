"""A journal that lives as long as the process: for tests, and as the measure for the others."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import MutableMapping
from itertools import count, islice
from typing import Self, TypeAlias, final

import attrs
from msgspec import Struct
from msgspec.structs import replace
from trio.lowlevel import checkpoint

from .._errors import DuplicateRun, LeaseLost, RunNotFound
from .._observe.status import RunStatus
from .rows import Commit, Cursor, Fence, LogRow, NewRun, Outcome, RunRecord, StoredRun

Place: TypeAlias = tuple[int, str]


class _Kept(Struct, frozen=True, kw_only=True):
    """A run's rows but its log; a write makes a new one."""

    record: RunRecord
    data: bytes
    cursors: dict[Place, Cursor]
    outcomes: dict[Place, Outcome]

    def stored(self) -> StoredRun:
        cursors = tuple(self.cursors[place] for place in sorted(self.cursors))
        outcomes = tuple(self.outcomes[place] for place in sorted(self.outcomes))
        return StoredRun(record=self.record, data=self.data, cursors=cursors, outcomes=outcomes)


@attrs.define
class _Transaction:
    """What one transaction has changed so far; nobody sees it before it is whole."""

    runs: ChainMap[int, _Kept]
    numbers: ChainMap[str, int]
    log: list[tuple[int, LogRow]] = attrs.Factory(list)


@final
class MemoryJournal:
    """Runs in memory. It outlives `trio.run`, so a test can crash one and resume in the next.

    >>> import trio
    >>> async def main():
    ...     async with MemoryJournal() as journal:
    ...         return await journal.runs()
    >>> trio.run(main)
    ()
    """

    def __init__(self) -> None:
        self._count = count(1)
        self._runs: dict[int, _Kept] = {}
        self._numbers: dict[str, int] = {}
        self._logs: dict[int, list[LogRow]] = {}
        self._removed: dict[str, str] = {}
        self._leases: dict[str, float | None] = {}

    async def __aenter__(self) -> Self:
        """Itself."""
        await checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing: it can be entered again."""

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        await checkpoint()
        transaction = self._begin()
        record = self._create(transaction, run)
        self._end(transaction)
        return record

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run, and return its new ``rev``."""
        await checkpoint()
        transaction = self._begin()
        self._commit(transaction, commit)
        self._end(transaction)
        return commit.fence.rev + 1

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs."""
        await checkpoint()
        return self._found(run_id).stored()

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits."""
        await checkpoint()
        return tuple(self._logs.get(self._found(run_id).record.number, ()))

    async def runs(
        self, *, workflow: str | None = None, status: RunStatus | None = None, after: int = 0, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs in the order of their creation, a page at a time."""
        await checkpoint()
        found = (
            kept.record
            for number, kept in sorted(self._runs.items())
            if number > after
            and workflow in {None, kept.record.workflow}
            and status in {None, kept.record.position.status}
        )
        return tuple(islice(found, limit))

    async def renew(self, owner: str, /, *, until: float) -> None:
        """Begin the lease of an owner, or extend it."""
        await checkpoint()
        if self._leases.get(owner, until) is None:
            raise LeaseLost(None, owner)
        self._leases[owner] = until

    async def claim(self, run_id: str, owner: str, /, *, now: float) -> StoredRun | None:
        """Take a run over, unless another living process holds it."""
        await checkpoint()
        kept = self._found(run_id)
        record = kept.record
        crashes = record.crashes
        if record.owner is not None and record.owner != owner:
            if (self._leases.get(record.owner) or now) > now:
                return None
            self._leases[record.owner] = None
            crashes += 1
        record = replace(record, owner=owner, epoch=record.epoch + 1, crashes=crashes)
        self._runs[record.number] = kept = replace(kept, record=record)
        return kept.stored()

    async def release(self, owner: str, /) -> None:
        """Give back all runs of an owner, and end its lease."""
        await checkpoint()
        self._leases.pop(owner, None)
        for number, kept in self._runs.items():
            if kept.record.owner == owner:
                self._runs[number] = replace(kept, record=replace(kept.record, owner=None))

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used."""
        await checkpoint()
        kept = _fenced(self._runs, run_id, fence)
        self._removed[run_id] = kept.record.position.status.value
        del self._runs[fence.run], self._numbers[run_id]
        self._logs.pop(fence.run, None)

    def _found(self, run_id: str) -> _Kept:
        if (number := self._numbers.get(run_id)) is None:
            raise RunNotFound(run_id)
        return self._runs[number]

    def _begin(self) -> _Transaction:
        return _Transaction(ChainMap({}, self._runs), ChainMap({}, self._numbers))

    def _end(self, transaction: _Transaction) -> None:
        self._runs.update(transaction.runs.maps[0])
        self._numbers.update(transaction.numbers.maps[0])
        for number, row in transaction.log:
            self._logs.setdefault(number, []).append(row)

    def _create(self, transaction: _Transaction, run: NewRun) -> RunRecord:
        run.run_id.encode()  # a lone surrogate can't be written down
        if (there := transaction.numbers.get(run.run_id)) is not None:
            raise DuplicateRun(run.run_id, transaction.runs[there].record.position.status.value)
        if (status := self._removed.get(run.run_id)) is not None:
            raise DuplicateRun(run.run_id, status)
        record = created(run, next(self._count))
        transaction.runs[record.number] = _Kept(record=record, data=run.data, cursors={}, outcomes={})
        transaction.numbers[run.run_id] = record.number
        return record

    def _commit(self, transaction: _Transaction, commit: Commit) -> None:
        kept = _fenced(transaction.runs, commit.run_id, commit.fence, commit.position.seq)
        transaction.runs[commit.fence.run] = _after(kept, commit)
        transaction.log += [(commit.fence.run, row) for row in commit.log]
        for run in commit.starts:
            self._create(transaction, run)
        for other in commit.along:
            self._commit(transaction, other)


def created(run: NewRun, number: int) -> RunRecord:
    """The record of a run that was just created."""
    return RunRecord(
        number=number,
        run_id=run.run_id,
        workflow=run.workflow,
        version=run.version,
        position=run.position,
        labels=dict(run.labels),
        priority=run.priority,
        parent=run.parent,
        owner=run.owner,
        epoch=1,
        rev=0,
        crashes=0,
    )


def _fenced(runs: MutableMapping[int, _Kept], run_id: str, fence: Fence, seq: int | None = None) -> _Kept:
    """The run, if the fence holds."""
    kept = runs.get(fence.run)
    if kept is None or kept.record.owner is None or kept.record.fence != fence:
        raise LeaseLost(run_id, fence.owner, seq)
    return kept


def _after(kept: _Kept, commit: Commit) -> _Kept:
    """A run after a commit."""
    record = kept.record
    owner = None if commit.release else record.owner
    cursors = {place: row for place, row in kept.cursors.items() if not _forgotten(row.seq, commit.forget_cursors)}
    outcomes = {place: row for place, row in kept.outcomes.items() if not _forgotten(row.seq, commit.forget_outcomes)}
    cursors.update(((cursor.seq, cursor.part), cursor) for cursor in commit.cursors)
    outcomes.update(((outcome.seq, outcome.part), outcome) for outcome in commit.outcomes)
    return _Kept(
        record=replace(record, position=commit.position, rev=record.rev + 1, owner=owner, crashes=0),
        data=kept.data if commit.data is None else commit.data,
        cursors=cursors,
        outcomes=outcomes,
    )


def _forgotten(seq: int, up_to: int | None) -> bool:
    return up_to is not None and seq <= up_to
