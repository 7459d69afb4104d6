"""What a task asks a thread to do, and how it is told what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import outcome
from msgspec import Struct
from trio.lowlevel import Abort, RunVar, Task, reschedule

from ..acknowledgement import ACKNOWLEDGED


class Job(Struct, eq=False, gc=False):
    """Something to do, and the task that waits for it; None if it waits no more."""

    task: Task | None
    result: outcome.Outcome[Any] | None = None


def acknowledge(jobs: Iterable[Job]) -> None:
    """Wake the tasks of jobs that are done; to be called in trio's own thread."""
    for job in jobs:
        result, job.result = job.result, None  # an error knows the frame that knows its job
        if job.task is not None:
            if result is None:
                reschedule(job.task, ACKNOWLEDGED)
            else:
                reschedule(job.task, result)


def never(_: object) -> Abort:
    """What a cancel finds that can't be withdrawn any more."""
    return Abort.FAILED


@final
class Tally:
    """How much a thread was asked for, and how much it has answered: each number is changed in one thread only."""

    __slots__ = ("answered", "asked")

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        if (tallies := _tallies.get(None)) is None:
            _tallies.set([self])
        else:
            tallies.append(self)


_tallies: RunVar[list[Tally] | None] = RunVar("what threads of journals are asked for")


def unanswered() -> bool:
    """Whether a journal of this trio run waits for a thread of its own."""
    tallies = _tallies.get(None)  # asked each turn of trio's loop, and mostly there is no such journal
    return tallies is not None and any(tally.asked != tally.answered for tally in tallies)
