"""How much of a run's history is kept: a run that never ends stays as small as one that does."""

from __future__ import annotations

from typing import Final, final

import attrs

from .._observe.status import RunStatus
from .rows import Commit, LogRow

ROWS_KEPT: Final = 1000
BYTES_KEPT: Final = 1024 * 1024

ROWS_BETWEEN: Final = 1024
MANY_BYTES: Final = 16 * 1024

SETTLED: Final = frozenset({RunStatus.COMPLETED, RunStatus.ROLLED_BACK, RunStatus.CANCELLED})
"""Where a run stands with which nobody has anything to do any more; a failed one may be retried."""


def size_of(row: LogRow) -> int:
    """How much a row weighs, in bytes of its bodies."""
    size = 0 if row.data is None else len(row.data)
    if row.receipt is not None:
        size += len(row.receipt)
    if row.messages is not None:
        size += len(row.messages)
    return size


def may_be_too_much(commit: Commit, size: int) -> bool:
    """Whether it is time to look at a run's history: from time to time, and whenever much is added.

    Args:
        commit: what was just written.
        size: how much its log rows weigh together.
    """
    rows = len(commit.log)
    every = ROWS_BETWEEN if rows < 2 else max(1, ROWS_BETWEEN // rows)
    return size > MANY_BYTES or (commit.fence.rev + 1) % every == 0


def is_too_much(rows: int, size: int) -> bool:
    """Whether a history is to be cut; that is worth its while only if it is far too long."""
    return rows > ROWS_KEPT + ROWS_BETWEEN // 2 or size > 2 * BYTES_KEPT


@final
@attrs.define
class Cut:
    """Which rows of a history stay: it is asked of each, the latest first.

    Args:
        status: where the run stands.
    """

    status: RunStatus
    rows: int = 0
    size: int = 0
    visits: dict[str, int] = attrs.Factory(dict)
    _undone: set[tuple[int, str]] = attrs.Factory(set)
    _full: bool = False

    def keeps(self, row: LogRow) -> bool:
        """Whether a row stays; one that does not is counted in `visits`, if it is of a whole state."""
        work, size = (row.seq, row.part), size_of(row)
        if row.kind == "undone":
            self._undone.add(work)
        self._full = self._full or self.rows == ROWS_KEPT or (self.rows > 0 and self.size + size > BYTES_KEPT)
        if not self._full:
            self.rows += 1
            self.size += size
            return True
        if row.receipt is not None and self.status not in SETTLED and work not in self._undone:
            return True
        if row.kind == "finished" and not row.part:
            self.visits[row.state] = self.visits.get(row.state, 0) + 1
        return False
