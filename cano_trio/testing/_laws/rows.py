"""Rows to write down."""

from __future__ import annotations

from ..._journal.rows import Commit, Fence, Letter, LogRow, NewRun, Position
from ..._journal.schedule_record import ScheduleRecord
from ..._observe.status import RunStatus


def at(seq: int, status: RunStatus = RunStatus.RUNNING) -> Position:
    """A place in a run."""
    return Position(state=f"S{seq}", status=status, seq=seq, entered_at=float(seq))


def new(run_id: str, owner: str | None = None, data: bytes = b"{}") -> NewRun:
    """A run that begins."""
    return NewRun(run_id=run_id, workflow="census", version=1, position=at(0), data=data, owner=owner)


def finished(seq: int) -> LogRow:
    """A state that is finished."""
    return LogRow(seq=seq, state=f"S{seq}", next=f"S{seq + 1}", entered_at=float(seq), finished_at=seq + 0.5)


def step(run_id: str, fence: Fence) -> Commit:
    """The plainest commit of a transition."""
    seq = fence.rev
    return Commit(run_id=run_id, fence=fence, position=at(seq + 1), data=b"%d" % seq, log=(finished(seq),))


def letter(run_id: str, body: bytes = b"{}", key: str | None = None) -> Letter:
    """A message."""
    return Letter(run_id=run_id, kind="Approved", body=body, key=key, sent_at=1.5)


def schedule(name: str, rev: int = 0) -> ScheduleRecord:
    """A schedule that was written so many times."""
    return ScheduleRecord(name=name, workflow="census", trigger="every 60 s", since=0.5, passed=60.0, rev=rev)
