"""What is written down of a run's moments: where it stands, and what of it is finished, begun or undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from .._define.branch_results import BranchResults
from .._errors import RunCancelled
from .._journal.rows import LogRow, Position
from .._observe.status import RunStatus
from .commits import Commits
from .kept import Verdict, read_chosen, stored_error
from .mailbox import Letter
from .rollback import Entry
from .step import Step


def entered(step: Step, seq: int, now: float, deadline_at: float | None) -> Position:
    """The entry of a state.

    Args:
        step: that of the state.
        seq: how many states came before it.
        now: when the run came into it.
        deadline_at: when the whole run is to be over.
    """
    position = Position(
        state=step.name, status=step.status, seq=seq, entered_at=now, deadline_at=deadline_at, reason=step.reason
    )
    if step.patience is not None:
        return replace(position, due_at=now + step.patience)
    if step.advance is None:
        return replace(position, ended_at=now)
    return position


def queued(step: Step, now: float, seconds: float) -> Position:
    """That a run is to begin in a state.

    Args:
        step: that of the state.
        now: when it was accepted.
        seconds: how long after that it begins; 0 if only somebody has to claim it.
    """
    due_at = now + seconds if seconds else None
    return Position(state=step.name, status=RunStatus.QUEUED, seq=0, entered_at=now, due_at=due_at)


def stopped(last: Commits, status: RunStatus, error: BaseException | None) -> Position:
    """The state in which the run has stopped, and why."""
    position = last.position
    known = position.error if error is None else stored_error(error)
    return replace(position, status=status, reason=last.run.reason, error=known)


def status_undone(position: Position) -> RunStatus:
    """How a run has ended that is undone in full."""
    return RunStatus.CANCELLED if was_cancelled(position) else RunStatus.ROLLED_BACK


def was_cancelled(position: Position) -> bool:
    """Whether what a run is undone for is its cancel."""
    return position.error is None or position.error.type == RunCancelled.__name__


def finished(last: Commits, step: Step, following: Step, now: float) -> LogRow:
    """The row of a finished state, without what it has done that can be undone.

    Args:
        last: the run's commits so far.
        step: that of the state.
        following: that of the next one.
        now: when it was finished.
    """
    run = last.run
    row = LogRow(
        seq=run.seq,
        state=step.name,
        next=following.name,
        attempts=run.attempts,
        entered_at=last.position.entered_at,
        finished_at=now,
        data=last.left_data(),
        version=last.version,
    )
    return row if not run.letters else replace(row, messages=_consumed(run.letters))


def with_work(last: Commits, row: LogRow, begun: Iterable[Entry]) -> tuple[LogRow, ...]:
    """The row of a finished state behind those of the work in it; what the state itself has done stands in its own row."""
    own = next((entry for entry in begun if not entry.part and entry.settled), None)
    if own is not None:
        row = replace(row, receipt=own.receipt)
    return (*(row_of(last, entry, row.finished_at) for entry in begun if entry is not own), row)


def _consumed(letters: Sequence[Letter]) -> bytes | None:
    """The messages that a state has taken: one as it is, several as an array of them."""
    bodies = [letter.body for letter in letters if letter.body is not None]
    if len(bodies) > 1:
        return b"[" + b",".join(bodies) + b"]"
    return bodies[0] if bodies else None


def row_of(last: Commits, entry: Entry, now: float, *, undone: bool = False) -> LogRow:
    """The row of a piece of work that was begun, or undone."""
    return LogRow(
        seq=entry.seq,
        state=entry.undo.step.state.name,
        next=None,
        kind="undone" if undone else "finished" if entry.settled else "in doubt",
        part=entry.part,
        attempts=last.run.attempts,
        entered_at=last.position.entered_at,
        finished_at=now,
        receipt=entry.receipt if entry.settled and not undone else None,
        data=last.new_data() if undone else None,
        version=last.version,
    )


def verdict(step: Step, joined: BranchResults[Any], chosen: bytes | None) -> Verdict:
    """That a split is over.

    Args:
        step: that of its state.
        joined: what its branches came to.
        chosen: the branches that it decided on, as they were written down.
    """
    return Verdict(
        state=step.state.name, names=joined.names, over=None if chosen is None else read_chosen(chosen).branch
    )
