"""A plain model of the promises: what stands in the journal after each write of a run, told without trio and without SQL.

A run of `scripted` does what its script says, one instruction after the other. `writes` tells of an uncrashed run what each
of its writes leaves behind; `writes_after` what is left to be written by who resumes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Literal

from cano_trio import RunStatus


class Step(Enum):
    """The states of the scripted workflow."""

    NEXT = auto()
    TASK = auto()
    SAGA = auto()
    TIMER = auto()
    RECEIVE = auto()
    STEPS = auto()
    SPLIT = auto()
    JOIN = auto()
    CHILD = auto()
    FAIL = auto()
    DONE = auto()


Instruction = Literal["TASK", "SAGA", "TIMER", "RECEIVE", "STEPS", "SPLIT", "CHILD", "FAIL"]

STEPS = 3
BRANCHES = 2
CHILD_STATES = 2


@dataclass
class Script:
    """A run's data."""

    todo: list[str]
    at: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Written:
    """What stands in the journal of a run.

    Args:
        state: the state it is in.
        status: where it stands.
        seq: how many states it has finished.
        data: how many instructions and steps are done.
        finished: the states that are finished, in order.
        undone: the visits whose work is undone, in order.
        by: what has written it.
    """

    state: str
    status: RunStatus
    seq: int
    data: tuple[int, int] = (0, 0)
    finished: tuple[str, ...] = ()
    undone: tuple[int, ...] = ()
    by: str = "commit"


@dataclass
class Model:
    """A run, as the promises have it."""

    script: Sequence[str]
    now: Written = field(default_factory=lambda: Written("NEXT", RunStatus.RUNNING, 0, by="create"))
    sagas: list[int] = field(default_factory=list)

    def writes(self) -> Iterator[Written]:
        """What each write leaves behind, up to the end of the run."""
        yield self.now
        for instruction in self.script:
            yield self._point(instruction)
            if instruction == "FAIL":
                yield from self._failed()
                return
            yield from self._inside(instruction)
            yield self._finished("JOIN" if instruction == "SPLIT" else "NEXT", done=instruction != "SPLIT")
            if instruction == "SPLIT":
                yield self._finished("NEXT", done=True)
        yield self._point("DONE")

    def _put(self, **changes: object) -> Written:
        self.now = replace(self.now, by="commit", **changes)  # type: ignore[arg-type]  # what each of them is, `Written` tells
        return self.now

    def _point(self, state: str) -> Written:
        """A router has chosen (P2: the next state never begins under another choice)."""
        status = {"RECEIVE": RunStatus.WAITING, "DONE": RunStatus.COMPLETED}.get(state, RunStatus.RUNNING)
        return self._put(state=state, status=status)

    def _inside(self, instruction: str) -> Iterator[Written]:
        """What is written while a state's work goes on."""
        at, steps = self.now.data
        if instruction == "TIMER":
            yield self._put(status=RunStatus.WAITING)
        elif instruction == "STEPS":
            for done in range(1, STEPS + 1):
                yield self._put(data=(at, steps + done))
        elif instruction == "SPLIT":
            for _ in range(BRANCHES):
                yield self._put()
        elif instruction == "CHILD":
            yield self._put()
            yield replace(self.now, by="claim child")
            # The last of its states ends together with the state of this run.
            for _ in range(CHILD_STATES - 1):
                yield replace(self.now, by="child")
        elif instruction == "SAGA":
            self.sagas.append(self.now.seq)

    def _finished(self, following: str, *, done: bool) -> Written:
        """A state is finished, with its data (P3)."""
        now = self.now
        at, steps = now.data
        return self._put(
            state=following,
            status=RunStatus.RUNNING,
            seq=now.seq + 1,
            data=(at + done, steps),
            finished=(*now.finished, now.state),
        )

    def _failed(self) -> Iterator[Written]:
        """A failure is undone, last things first, and never turns forward again (P6)."""
        if self.sagas:
            yield self._put(status=RunStatus.ROLLING_BACK)
            for seq in reversed(self.sagas):
                yield self._put(undone=(*self.now.undone, seq))
        yield self._put(status=RunStatus.ROLLED_BACK if self.sagas else RunStatus.FAILED)


def writes(script: Sequence[str]) -> list[Written]:
    """What each write of an uncrashed run leaves behind."""
    return [*Model(script).writes()]


def writes_after(all_writes: Sequence[Written], done: int) -> list[Written]:
    """What is left to be written by who resumes a run of which so many writes are done; a claim comes first."""
    if done == 0:
        return [*all_writes]
    last, rest = all_writes[done - 1], [*all_writes[done:]]
    claims = [replace(last, by="claim")]
    begun = last.state == "CHILD" and last is not first_in(all_writes, last)
    if begun:
        claims.append(replace(last, by="claim child"))
        rest = [write for at, write in enumerate(rest) if at or write.by != "claim child"]
    return [*claims, *rest]


def first_in(all_writes: Sequence[Written], write: Written) -> Written:
    """The write by which a run came into the visit in which another leaves it."""
    return next(one for one in all_writes if (one.state, one.seq) == (write.state, write.seq))
