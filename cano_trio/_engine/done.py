"""What a run that is taken up has done that can be undone, what it may have done, and what of it is undone already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from operator import itemgetter
from typing import TypeAlias

from .._journal.rows import LogRow
from .reading import Reading, is_transition
from .rollback import Entry
from .run import Run
from .step import Step

Place: TypeAlias = tuple[int, str]
"""A visit, and the part of its work."""


def done_by(
    reading: Reading,
    run: Run,
    visits: Mapping[str, int],
    history: Sequence[LogRow],
    children: Mapping[int, Run],
    *,
    at_work: bool,
) -> list[Entry | Run]:
    """What is to be undone if the run is, first things first.

    Args:
        reading: how its rows are read.
        run: the run.
        visits: how often it was in each state before that history.
        history: the states that it has finished.
        children: the runs of child workflows that have done something, by visit.
        at_work: work of the present state may have begun, and left nothing that tells of it.

    Raises:
        RunBlocked: nothing in this code can undo some of it.
    """
    count = Counter(visits)
    standing: dict[Place, Entry | Run] = {}
    undone: set[Place] = set()
    for row in history:
        place = (row.seq, row.part)
        known = reading.known(row.state)
        if row.kind == "undone":
            standing.pop(place, None)
            undone.add(place)
        elif row.receipt is not None or row.kind == "in doubt":
            standing.pop(place, None)
            standing[place] = _entry(reading, row, count[row.state] + 1)
        elif row.seq in children and known is not None and known.child is not None:
            standing[place] = children[row.seq]
        count[row.state] += is_transition(row)
    if at_work:
        known_places = standing.keys() | undone | {(run.seq, part) for part in run.journal.outcomes}
        standing |= _begun(run, run.step, count[run.step.name] + 1, known_places)
    if run.seq in children and run.undoes:
        standing[run.seq, ""] = children[run.seq]
    return [*standing.values()]


def undone_of(reading: Reading, history: Sequence[LogRow], children: Mapping[int, Run]) -> list[tuple[float, Enum]]:
    """What a rollback has undone that was broken off: when, and the state, first things first.

    Args:
        reading: how its rows are read.
        history: the states that it has finished.
        children: the runs of child workflows that the rollback goes through, by visit.
    """
    by_visit: dict[int, list[tuple[float, Enum]]] = {seq: child.undone for seq, child in children.items()}
    own: dict[int, list[tuple[float, Enum]]] = {}
    for row in history:
        known = reading.known(row.state)
        if is_transition(row):
            own.pop(row.seq, None)  # a branch without which the run went on is no part of the rollback
        elif row.kind == "undone" and known is not None:
            own.setdefault(row.seq, []).append((row.finished_at, known.state))
    visits = sorted({*by_visit, *own}, reverse=True)
    found = [one for seq in visits for one in (*own.get(seq, ()), *by_visit.get(seq, ()))]
    return sorted(found, key=itemgetter(0))


def _begun(run: Run, step: Step, visit: int, known: set[Place]) -> dict[Place, Entry]:
    """Work of the present state of which nothing is known."""
    places = {(run.seq, part): undo for part, undo in step.undos.items()}
    return {place: Entry(undo, place[1], run.seq, visit) for place, undo in places.items() if place not in known}


def _entry(reading: Reading, row: LogRow, visit: int) -> Entry:
    undo = reading.step(row.state).undos.get(row.part)
    if undo is None:
        raise reading.blocked("state", f"what {row.state}{row.part} has done can be undone by nothing in this code.")
    entry = Entry(undo, row.part, row.seq, visit)
    entry.written = True
    if row.receipt is not None:
        receipt = reading.brought_up("receipt", row.receipt, row.version)
        reading.read("receipt", lambda: undo.codec.unpack_all(receipt))
        entry.receipt = receipt
    return entry
