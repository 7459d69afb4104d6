"""Where a run stands that is taken up, and what it goes on with: its data, its path, its cursors and its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import _clock
from .._journal.protocol import Journal
from .._journal.requests import is_request
from .._journal.rows import LogRow, Message, StoredRun
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .join import results_of
from .kept import read_verdict, recorded_failure
from .lifecycle import Resources
from .mailbox import Letter
from .reading import Reading, is_transition
from .run import KEPT, Run
from .run_journal import RunJournal


def placed(
    reading: Reading,
    stored: StoredRun,
    journal: Journal,
    history: Sequence[LogRow],
    resources: Resources,
    observers: Sequence[Observer],
    parent: Run | None,
) -> Run:
    """The run in its state, with its data and its past.

    Args:
        reading: how its rows are read.
        stored: what is written down of it.
        journal: where.
        history: the states that it has finished.
        resources: what its tasks work with.
        observers: who is told of its events.
        parent: the run whose state's work it does.

    Raises:
        RunBlocked: this code can't read it.
    """
    record, program = stored.record, reading.program
    position = record.position
    step = reading.step(position.state)
    packed = reading.renewed_data(stored.data)
    run = program.run(
        step.state, packed, run_id=record.run_id if parent is None else parent.run_id, observers=observers,
        resources=resources, parent=parent,
    )  # fmt: skip
    run.seq = position.seq
    run.rerun = position.status is not RunStatus.QUEUED
    _retrace(reading, run, stored.visits, history)
    _remember(reading, run, stored, history)
    _hold_places(reading, run, stored, journal)
    run.started += _begun_at(stored, history, program.workflow.timeout) - _clock.timestamp()
    return run


def _begun_at(stored: StoredRun, history: Sequence[LogRow], timeout: float | None) -> float:
    """When the run began, by the clock on the wall; what its deadline says of that counts, if it has one."""
    position, now = stored.record.position, _clock.timestamp()
    if timeout is not None:
        return now if position.deadline_at is None else position.deadline_at - timeout
    return min(history[0].entered_at if history else position.entered_at, now)


def take_messages(reading: Reading, run: Run, stored: StoredRun) -> None:
    """Fill its mailbox with what is in its inbox.

    Args:
        reading: how its rows are read.
        run: the run.
        stored: the run, with what is in its inbox.

    Raises:
        RunBlocked: this code can't read them.
    """
    if stored.posted:
        letters = [letter_of(reading, run, message) for message in stored.messages if not is_request(message.letter)]
        run.mailbox().restore(letters, stored.posted)


def _retrace(reading: Reading, run: Run, visits: Mapping[str, int], history: Sequence[LogRow]) -> None:
    """The states that it came by, and how often."""
    steps = [reading.known(row.state) for row in history if is_transition(row)]
    run.path = [known.state for known in steps if known is not None][-KEPT:]
    for name, count in visits.items():
        if (known := reading.known(name)) is not None:
            run.visits[known.index] += count
    for known in steps:
        if known is not None:
            run.visits[known.index] += 1


def _remember(reading: Reading, run: Run, stored: StoredRun, history: Sequence[LogRow]) -> None:
    """What led to the state: a failure, or the branches of a split."""
    position = stored.record.position
    last = next((row for row in reversed(history) if is_transition(row)), None)
    if last is not None and last.error is not None and last.next == position.state:
        run.error = recorded_failure(last.error)
    elif position.error is not None and position.status in {RunStatus.RUNNING, RunStatus.WAITING}:
        run.error = recorded_failure(position.error)
    outcomes = {row.part: row.body for row in stored.outcomes if row.seq == position.seq - 1}
    if "" in outcomes:
        run.joined = reading.read("outcome", lambda: _joined(reading, outcomes))


def _joined(reading: Reading, outcomes: Mapping[str, bytes]) -> Any:
    verdict = read_verdict(outcomes[""])
    codecs = reading.step(verdict.state).branch_codecs
    if verdict.over is not None:
        codecs = dict.fromkeys(verdict.names, codecs[verdict.over])
    brought = {part: reading.outcome(part, body) for part, body in outcomes.items() if part}
    return results_of(verdict.names, brought, codecs)


def _hold_places(reading: Reading, run: Run, stored: StoredRun, journal: Journal) -> None:
    """How far the work of the present state has come."""
    writing = RunJournal(journal, run, reading.program)
    if stored.record.owner is not None:
        writing.go_on(stored.record, stored.data)
    run.write_down(writing)
    step, seq = run.step, run.seq
    writing.places = {row.part: reading.place(step, row.body) for row in stored.cursors if row.seq == seq}
    writing.outcomes = {row.part: reading.outcome(row.part, row.body) for row in stored.outcomes if row.seq == seq}
    if step.reads is not None and (writing.places or writing.outcomes):
        reads = step.reads
        reading.read("work so far", lambda: reads(writing.places, writing.outcomes))


def letter_of(reading: Reading, run: Run, message: Message) -> Letter:
    """A message in a run's inbox, as its states take it.

    Raises:
        RunBlocked: this code can't read it.
    """
    letter = message.letter
    kind = next((kind for kind in run.takes if kind.__name__ == letter.kind), None)
    if kind is None:
        raise reading.blocked("data", f"it has got a message of type {letter.kind}, which no state takes any more.")
    body = reading.brought_up("message", letter.body, letter.version)
    value = reading.read("message", lambda: reading.program.message_codec(kind).unpack_all(body))
    return Letter(value, letter.key, message.number, body)
