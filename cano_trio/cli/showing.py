"""One run of a journal: where it is, since when, why it waits, what it holds, and what it came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import attrs
import msgspec
from msgspec.structs import replace

from .._journal.rows import LogRow, RunRecord, StoredRun
from .._runtime.info import RunInfo, told_by
from .listing import record_document, why
from .wording import count, cut, elapsed, flat, instant, word

HISTORY = 20
"""Finished states that are shown; JSON has them all."""

DATA = 10_000
"""Characters of the data that are shown; JSON has them all."""


@attrs.frozen(kw_only=True)
class Shown:
    """What there is to show of a run.

    Args:
        run: the run.
        history: its finished states.
        children: the runs of child workflows that it started.
        dead: the processes that are gone, and still hold runs.
        now: the wall clock, in seconds since 1970.
    """

    run: StoredRun
    history: Sequence[LogRow]
    children: Sequence[RunRecord]
    dead: Collection[str]
    now: float

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        for name, value in self._facts():
            yield f"{name:<9} {word(value)}"
        yield from _headed("data", _data_lines(self.run.data))
        yield from _headed("history", self._history())
        yield from _headed("failure" if self._has_failed else "led here by", self._failure())

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            **record_document(self.run.record),
            "held": self._is_held(self.run.record.owner),
            "waits_for": self._told.waits_for,
            "unblocked_by": self._told.unblocked_by,
            "data": _raw(self.run.data),
            "messages": [_message(message.letter) for message in self.run.messages],
            "children": [child.run_id for child in self.children],
            "history": [_row(row) for row in self.history],
        }

    @property
    def _has_failed(self) -> bool:
        status = self.run.record.position.status
        return status.ended or status.value == "rolling_back"

    def _facts(self) -> Iterator[tuple[str, str]]:
        record = self.run.record
        yield "run", record.run_id
        yield "workflow", f"{record.workflow}, version {record.version}"
        yield from self._standing()
        if record.crashes:
            yield "crashes", f"{count(record.crashes, 'process')} died with it since its last commit"
        if record.parent is not None:
            yield "parent", record.parent
        if record.labels:
            yield "labels", ", ".join(f"{name}={value}" for name, value in record.labels.items())
        if self.run.messages:
            yield "messages", ", ".join(message.letter.kind for message in self.run.messages)
        for child in self.children:
            reason = why(child.position)
            where = f"{child.position.status.value} in {child.position.state}"
            yield "child", f"{child.run_id}: {where}{reason and f', {reason}'}"

    def _standing(self) -> Iterator[tuple[str, str]]:
        """Where it stands, and why it does not go on."""
        position, told = self.run.record.position, self._told
        since = position.entered_at if position.ended_at is None else position.ended_at
        yield "status", f"{position.status.value} in {position.state} since {self._ago(since)}"
        if position.reason and position.reason != told.waits_for:
            yield "why", flat(position.reason)
        if told.waits_for is not None:
            yield "waits", self._wait()
        if position.due_at is not None:
            yield "due", self._until(position.due_at)
        if position.deadline_at is not None and not position.status.ended:
            yield "deadline", self._until(position.deadline_at)
        yield "owner", self._owner()
        if told.waits_for is None and not position.status.ended:
            yield "stack", "known to that process only, which tells it by `serve --stuck-after SECONDS`"

    @property
    def _told(self) -> RunInfo:
        return told_of(self.run.record, self.dead)

    def _wait(self) -> str:
        """What it waits for, and what would end that where it stands nowhere else."""
        told, position = self._told, self.run.record.position
        stands = position.due_at is not None or told.unblocked_by == position.reason
        more = None if stands else told.unblocked_by
        return flat(f"for {told.waits_for}{f': {more}' if more else ''}")

    def _owner(self) -> str:
        owner = self.run.record.owner
        if owner is None:
            return "nobody"
        return f"process {owner}" if self._is_held(owner) else f"process {owner}, which is gone: it can be resumed"

    def _is_held(self, owner: str | None) -> bool:
        return owner is not None and owner not in self.dead

    def _ago(self, since: float) -> str:
        return f"{instant(since)}, {elapsed(max(self.now - since, 0))} ago"

    def _until(self, then: float) -> str:
        left = then - self.now
        return f"{instant(then)}, {f'in {elapsed(left)}' if left > 0 else f'{elapsed(-left)} ago'}"

    def _history(self) -> Iterator[str]:
        if (earlier := len(self.history) - HISTORY) > 0:
            yield f"… {earlier:,} earlier"
        for row in self.history[-HISTORY:]:
            what = f"{row.state}{row.part}" + ("" if row.next is None else f" > {row.next}")
            told = [instant(row.finished_at), elapsed(max(row.finished_at - row.entered_at, 0))]
            told += [count(row.attempts, "attempt")] if row.attempts > 1 else []
            told += [row.kind] if row.kind != "finished" else []
            told += [f"{row.error.type}: {cut(flat(row.error.message), 60)}"] if row.error is not None else []
            yield f"{row.seq:>3} {word(what)}: {', '.join(told)}"

    def _failure(self) -> Iterator[str]:
        error = self.run.record.position.error
        if error is None:
            return
        yield flat(f"{error.type}: {error.message}")
        for text in (error.traceback,) if error.traceback else error.notes:
            yield from text.splitlines()


def told_of(record: RunRecord, dead: Collection[str]) -> RunInfo:
    """What a record tells; who is dead carries nothing out.

    Args:
        record: the run's record.
        dead: the processes that are gone.
    """
    return told_by(replace(record, owner=None) if record.owner in dead else record)


def _headed(head: str, lines: Iterator[str]) -> Iterator[str]:
    """Lines under a head; nothing if there are none."""
    for at, line in enumerate(lines):
        if at == 0:
            yield head
        yield f"  {line}"


def _data_lines(data: bytes) -> Iterator[str]:
    if not data:
        return
    raw = _raw(data)
    text = msgspec.json.format(bytes(raw), indent=2).decode() if isinstance(raw, msgspec.Raw) else raw
    yield from text[:DATA].splitlines()
    if len(text) > DATA:
        yield f"… {len(text) - DATA:,} characters more: --json has them"


def _raw(data: bytes) -> Any:
    """What was packed as JSON; as text if somebody has made something else of it."""
    if not data:
        return None
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return data.decode(errors="backslashreplace")
    return msgspec.Raw(data)


def _message(letter: Any) -> dict[str, Any]:
    return {"type": letter.kind, "key": letter.key, "sent_at": instant(letter.sent_at), "body": _raw(letter.body)}


def _row(row: LogRow) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "state": row.state,
        "part": row.part,
        "next": row.next,
        "kind": row.kind,
        "attempts": row.attempts,
        "entered_at": instant(row.entered_at),
        "finished_at": instant(row.finished_at),
        "receipt": _raw(row.receipt or b""),
        "messages": _raw(row.messages or b""),
        "version": row.version,
        "error": row.error,
    }
