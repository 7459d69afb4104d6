"""A run's rows in memory, and what a commit makes of them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from .._errors import LeaseLost
from .bounds import size_of
from .rows import Commit, Cursor, Fence, Message, Outcome, RunRecord, StoredRun

Place: TypeAlias = tuple[int, str]
K = TypeVar("K")
V = TypeVar("V")


class Kept(Struct, frozen=True, kw_only=True):
    """A run's rows but its log; a write makes a new one."""

    record: RunRecord
    data: bytes
    cursors: Mapping[Place, Cursor]
    outcomes: Mapping[Place, Outcome]
    messages: Mapping[int, Message]
    posted: int
    log_rows: int = 0
    log_size: int = 0
    visits: Mapping[str, int] = field(default_factory=dict)

    def stored(self) -> StoredRun:
        """All that resuming it needs."""
        return StoredRun(
            record=self.record,
            data=self.data,
            cursors=_in_order(self.cursors),
            outcomes=_in_order(self.outcomes),
            messages=_in_order(self.messages),
            visits=self.visits,
            posted=self.posted,
        )

    def after(self, commit: Commit) -> Kept:
        """A run after a commit."""
        record = self.record
        cursors = {place: row for place, row in self.cursors.items() if not _forgotten(row.seq, commit.forget_cursors)}
        outcomes = {
            place: row for place, row in self.outcomes.items() if not _forgotten(row.seq, commit.forget_outcomes)
        }
        cursors.update(((cursor.seq, cursor.part), cursor) for cursor in commit.cursors)
        outcomes.update(((outcome.seq, outcome.part), outcome) for outcome in commit.outcomes)
        record = replace(
            record,
            position=commit.position,
            version=record.version if commit.version is None else commit.version,
            rev=record.rev + 1,
            owner=None if commit.release else record.owner,
            crashes=0,
        )
        return replace(
            self,
            record=record,
            data=self.data if commit.data is None else commit.data,
            cursors=cursors,
            outcomes=outcomes,
            messages={number: row for number, row in self.messages.items() if number not in commit.consumed},
            log_rows=self.log_rows + len(commit.log),
            log_size=self.log_size + sum(map(size_of, commit.log)),
        )


def fenced(runs: MutableMapping[int, Kept], run_id: str, fence: Fence, seq: int | None = None) -> Kept:
    """The run, if the fence holds."""
    kept = runs.get(fence.run)
    if kept is None or kept.record.owner is None or kept.record.fence != fence:
        raise LeaseLost(run_id, fence.owner, seq)
    return kept


def _forgotten(seq: int, up_to: int | None) -> bool:
    return up_to is not None and seq <= up_to


def _in_order(rows: Mapping[K, V]) -> tuple[V, ...]:
    return tuple(row for _, row in sorted(rows.items(), key=lambda item: item[0]))  # type: ignore[arg-type, return-value]
