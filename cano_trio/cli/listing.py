"""The runs of a journal as lines, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .._journal.rows import Position, RunRecord
from .wording import cut, elapsed, flat, instant, printable, shortened, word

NOTE = 60
"""Characters of a line about why a run is where it is."""

NAME = 48
"""Characters of a run's id, and of other names; JSON has them all."""

_HEAD = ("RUN", "WORKFLOW", "STATUS", "STATE", "FOR", "WHY")


def lines_of(records: Sequence[RunRecord], now: float) -> Iterator[str]:
    """A line for each run under a head; none if there are no runs.

    Args:
        records: the runs.
        now: the wall clock, in seconds since 1970.
    """
    yield from table(_HEAD, [_row(record, now) for record in records])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    r"""A line for each row under a head; none if there are no rows.

    >>> print(*table(["RUN", "FOR"], [["order-7", "2 s"]]), sep="\n")
    RUN      FOR
    order-7  2 s
    """
    lines = [head, *rows] if rows else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _row(record: RunRecord, now: float) -> tuple[str, ...]:
    position = record.position
    since = position.entered_at if position.ended_at is None else position.ended_at
    names = names_of(record.run_id, record.workflow, position.status.value, position.state)
    return (*names, elapsed(max(now - since, 0)), printable(cut(why(position), NOTE)))


def names_of(*names: str) -> Iterator[str]:
    """Names as they stand in a table: one that is too long would push all else out of sight.

    >>> [*names_of("a", 100 * "b")]
    ['a', 'bbbbbbbbbbbbbbbbbbbbbbbb…bbbbbbbbbbbbbbbbbbbbbbb']
    """
    # Made printable before they are measured: what stands for a control character is longer.
    return (shortened(word(name), NAME) for name in names)


def why(position: Position) -> str:
    """Why a run is where it is, on one line; empty if there is nothing to say."""
    error = position.error
    failed = error is not None and (position.status.ended or position.reason is None)
    return flat(f"{error.type}: {error.message}" if error is not None and failed else position.reason or "")


def record_document(record: RunRecord) -> dict[str, Any]:
    """All that is known of a run but its data, for JSON."""
    position = record.position
    return {
        "run_id": record.run_id,
        "workflow": record.workflow,
        "version": record.version,
        "status": position.status.value,
        "state": position.state,
        "seq": position.seq,
        "entered_at": instant(position.entered_at),
        "due_at": _instant(position.due_at),
        "deadline_at": _instant(position.deadline_at),
        "ended_at": _instant(position.ended_at),
        "reason": position.reason,
        "error": position.error,
        "labels": record.labels,
        "priority": record.priority,
        "parent": record.parent,
        "owner": record.owner,
        "crashes": record.crashes,
    }


def _instant(value: float | None) -> str | None:
    return None if value is None else instant(value)
