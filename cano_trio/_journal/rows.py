"""What is written down of a run, as frozen values.

Times are wall-clock instants, in seconds since 1970 in UTC, so that they mean the same in another process. Bytes are what a
codec packed; no row says of which Python type they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from .._observe.status import RunStatus


class StoredError(Struct, frozen=True, gc=False, kw_only=True):
    """A failure as it is written down: to be read by people, never to be raised again.

    Args:
        type: the name of the exception's class.
        message: what it said.
        traceback: where it was raised, as text.
        notes: its ``__notes__``.
        kinds: the classes that an ``on_error`` catches it by, each as ``module:name``.
    """

    type: str
    message: str
    traceback: str = ""
    notes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


class Position(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """Where a run stands: the entry of its current state. Each commit writes it as a whole.

    Args:
        state: the name of the state it is in.
        status: where it stands, from the outside.
        seq: how many states came before this one.
        entered_at: when it came into the state.
        due_at: when it has something to do again, if it waits for a time.
        deadline_at: when the whole run is to be over, if it has a timeout.
        ended_at: when it was over.
        reason: why it waits, is blocked, or was cancelled.
        error: what it failed with, or what led to its state by an ``on_error``.
        heard: the number of the last message in its inbox that it has looked at, if it waits for one that comes later.
    """

    state: str
    status: RunStatus
    seq: int
    entered_at: float
    due_at: float | None = None
    deadline_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None
    error: StoredError | None = None
    heard: int = 0


class NewRun(Struct, frozen=True, kw_only=True):
    """A run to be created.

    Args:
        run_id: its name, never used again.
        workflow: its workflow's name.
        version: its workflow's version.
        position: where it begins.
        data: its packed data.
        owner: the process that carries it out from the start, if one does.
        labels: what it can be found by.
        priority: who comes first among those that wait for a slot; more is earlier.
        parent: the run that started it.
    """

    run_id: str
    workflow: str
    version: int
    position: Position
    data: bytes
    owner: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    parent: str | None = None


class Fence(Struct, frozen=True, gc=False):
    """What a writer believes of a run; its write is refused where that is no longer so.

    Args:
        run: the journal's number of the run.
        owner: the process that holds the run.
        epoch: how many times the run was claimed.
        rev: how many commits the run has seen.
    """

    run: int
    owner: str
    epoch: int
    rev: int


class RunRecord(Struct, frozen=True, gc=False, kw_only=True):
    """All that is known of a run but its data.

    Args:
        number: the journal's number of the run, used only once.
        run_id: its name.
        workflow: its workflow's name.
        version: its workflow's version.
        position: where it stands.
        labels: what it can be found by.
        priority: who comes first among those that wait for a slot; more is earlier.
        parent: the run that started it.
        owner: the process that holds it, if one does.
        epoch: how many times it was claimed.
        rev: how many commits it has seen.
        crashes: how many of its owners died in a row since its last commit.
    """

    number: int
    run_id: str
    workflow: str
    version: int
    position: Position
    labels: Mapping[str, str]
    priority: int
    parent: str | None
    owner: str | None
    epoch: int
    rev: int
    crashes: int

    @property
    def fence(self) -> Fence:
        """What its owner has to show at the next write.

        Raises:
            ValueError: nobody holds the run.
        """
        if self.owner is None:
            raise ValueError(f"nobody holds run {self.run_id!r}. Claim it first.")
        return Fence(self.number, self.owner, self.epoch, self.rev)


class LogRow(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """A state that is finished, one whose work was undone, or one of whose work nobody knows. It is never written again.

    Args:
        seq: the visit: how many states came before it.
        state: the state's name.
        next: the state after it; None at the end.
        kind: whether it was finished or undone, or had begun and left no receipt when its run was rolled back.
        part: the branch, where a part of a state has a row of its own.
        attempts: how many it took.
        entered_at: when the run came into it.
        finished_at: when it was done.
        receipt: the packed output of a compensatable, for its compensation.
        messages: the packed message it consumed; of several, an array of them.
        data: the run's packed data after it; None if it left them as they were.
        version: that of the workflow that wrote it.
        error: the failure by which an ``on_error`` led on.
    """

    seq: int
    state: str
    next: str | None
    kind: Literal["finished", "undone", "in doubt"] = "finished"
    part: str = ""
    attempts: int = 1
    entered_at: float
    finished_at: float
    receipt: bytes | None = None
    messages: bytes | None = None
    data: bytes | None = None
    version: int = 1
    error: StoredError | None = None


class Cursor(Struct, frozen=True, gc=False):
    """How far a state has come; each one takes the place of the last of its visit and part.

    Args:
        seq: the visit.
        part: the branch or the like; empty for the state itself.
        body: the packed cursor.
    """

    seq: int
    part: str
    body: bytes


class Outcome(Struct, frozen=True, gc=False):
    """What a branch, or a chunk of a batch's items, came to.

    Args:
        seq: the visit.
        part: the branch or the chunk.
        body: the packed outcome.
    """

    seq: int
    part: str
    body: bytes


class Letter(Struct, frozen=True, gc=False, kw_only=True):
    """A message on its way to a run.

    Args:
        run_id: the run.
        kind: the name of its type, by which the receiving workflow knows it.
        body: the packed message.
        key: what it would be known by if it were sent again; a run remembers its latest 10,000.
        sent_at: when it was sent.
        version: that of the workflow that wrote it.
    """

    run_id: str
    kind: str
    body: bytes
    key: str | None = None
    sent_at: float
    version: int = 1


class Message(Struct, frozen=True, gc=False, kw_only=True):
    """A message in a run's inbox.

    Args:
        number: its place in the inbox: 1 for the first, and never used again.
        letter: the message.
    """

    number: int
    letter: Letter


class News(Struct, frozen=True):
    """Which runs have got messages.

    Args:
        seen: what to ask the journal with next.
        runs: the ids of the runs.
    """

    seen: int
    runs: frozenset[str]


class Statement(Struct, frozen=True):
    """A statement in the journal's own SQL, of the user's.

    Args:
        text: the statement.
        parameters: what its question marks or names stand for.
    """

    text: str
    parameters: tuple[Any, ...] | Mapping[str, Any] = ()


class Commit(Struct, frozen=True, gc=False, kw_only=True):
    """All that one transaction changes of a run: it happens as a whole, or not at all.

    Args:
        run_id: the run, for errors.
        fence: what its writer believes of it.
        position: where it stands afterwards.
        data: its packed data afterwards; None leaves them as they are.
        log: states that are finished.
        cursors: cursors to keep, each in the place of the last of its visit and part.
        outcomes: outcomes to keep, likewise.
        forget_cursors: forget the cursors of visits up to this one.
        forget_outcomes: forget the outcomes of visits up to this one.
        release: give the run back, so that whoever wants can claim it.
        version: that of the workflow that wrote the run's data; None leaves it as it is.
        consumed: the numbers of the messages that leave its inbox.
        statements: SQL that happens together with it.
        sends: messages to other runs that happen together with it.
        starts: runs that are created with it.
        along: commits of other runs that happen together with it.
    """

    run_id: str
    fence: Fence
    position: Position
    data: bytes | None = None
    log: tuple[LogRow, ...] = ()
    cursors: tuple[Cursor, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    forget_cursors: int | None = None
    forget_outcomes: int | None = None
    release: bool = False
    version: int | None = None
    consumed: tuple[int, ...] = ()
    statements: tuple[Statement, ...] = ()
    sends: tuple[Letter, ...] = ()
    starts: tuple[NewRun, ...] = ()
    along: tuple[Commit, ...] = ()


class StoredRun(Struct, frozen=True, kw_only=True):
    """All that resuming a run needs, read at one moment.

    Args:
        record: the run.
        data: its packed data.
        cursors: how far its states have come, by visit and part.
        outcomes: what branches and chunks came to, by visit and part.
        messages: what is in its inbox, in the order in which it came.
        visits: how many finished rows of each whole state its history no longer has.
        posted: how many messages it was ever sent.
    """

    record: RunRecord
    data: bytes
    cursors: tuple[Cursor, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    messages: tuple[Message, ...] = ()
    visits: Mapping[str, int] = field(default_factory=dict)
    posted: int = 0


def created(run: NewRun, number: int) -> RunRecord:
    """The record of a run that was just created."""
    return RunRecord(
        number=number,
        run_id=run.run_id,
        workflow=run.workflow,
        version=run.version,
        position=run.position,
        labels=dict(run.labels),
        priority=run.priority,
        parent=run.parent,
        owner=run.owner,
        epoch=1,
        rev=0,
        crashes=0,
    )
