"""One state of a run, carried out again from what was written down of it; ``cano-trio test-case`` writes tests that do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Generic, TypeAlias, final

import attrs
import msgspec
import trio
from msgspec.structs import replace
from trio.testing import MockClock
from typing_extensions import TypeVar

from .. import _clock
from .._engine.lifecycle import Resources
from .._errors import LeaseLost
from .._journal.forwarding import ForwardingJournal
from .._journal.memory import MemoryJournal
from .._journal.protocol import Journal
from .._journal.rows import Commit, Cursor, Letter, LogRow, NewRun, Outcome, Position, StoredError
from .._observe.status import RunStatus
from .._runtime.workflow import Workflow

S = TypeVar("S", bound=Enum)
S_co = TypeVar("S_co", bound=Enum, covariant=True)

Plain: TypeAlias = Any
"""What JSON can say, in plain values: dicts, lists, texts, numbers, booleans and None."""

LONGEST = 366 * 86_400.0
"""Virtual seconds that a state may take."""


@final
@attrs.frozen(kw_only=True)
class ReplayedState(Generic[S_co]):
    """What a state came to.

    Args:
        next_state: where the run goes; None if it failed there.
        data: the run's data after it, as plain values; None if the workflow has none.
        failure: the name of the class and the text of what the task failed with, also where an ``on_error`` leads on from
            it; None if it did not fail.
        sent: the messages that it sends to other runs, each with the run's id, the name of its class and its plain values.
    """

    next_state: S_co | None
    data: Plain = None
    failure: tuple[str, str] | None = None
    sent: tuple[tuple[str, str, Plain], ...] = ()


def replay_state(
    workflow: Workflow[S, Any],
    state: S,
    data: Plain = None,
    /,
    *,
    run_id: str = "replayed",
    seq: int = 0,
    visit: int = 1,
    version: int | None = None,
    cursors: Mapping[str, Plain] | None = None,
    outcomes: Mapping[str, Plain] | None = None,
    joined: Mapping[str, Plain] | None = None,
    messages: Sequence[tuple[str, Plain]] = (),
    led_here_by: tuple[str, str] | None = None,
    resources: Resources | None = None,
) -> ReplayedState[S]:
    """Carry out one state of a run, and nothing after it, in virtual time and a journal of its own.

    The task runs as after a crash: under the same idempotency key, with the same data and messages, and from the same cursor.
    What it would have the journal do for others, it does not: messages are not sent, runs not started, SQL not carried out.

    Args:
        workflow: the workflow.
        state: the state.
        data: the run's data when it came there, as plain values.
        run_id: its id.
        seq: how many states came before it.
        visit: how often the run had been there, counted from 1.
        version: the workflow's version that wrote all this; by default today's.
        cursors: how far the state had come, by part, as a journal keeps it.
        outcomes: what its branches or items had come to, by part, as a journal keeps it.
        joined: likewise those of the split before it, which it joins.
        messages: what was in its inbox: each with the name of its class and its plain values.
        led_here_by: the name of the class and the text of the failure that led to the state.
        resources: what tasks work with, instead of the workflow's own.

    Raises:
        AssertionError: the state does not come to an end.
        DefinitionError: the workflow is wrong, or does not find its resources.
        RunBlocked: today's code can't read what was written down.

    >>> from dataclasses import dataclass
    >>> from enum import Enum
    >>> from typing import Literal
    >>> from cano_trio import Workflow
    >>> from cano_trio.testing import replay_state
    >>> Step = Enum("Step", "COUNT SEND DONE")
    >>> @dataclass
    ... class Text:
    ...     content: str
    ...     words: int = 0
    >>> workflow = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE], data=Text)
    >>> @workflow.task(Step.COUNT)
    ... async def count(text: Text) -> Literal[Step.SEND]:
    ...     text.words = len(text.content.split())
    ...     return Step.SEND
    >>> @workflow.task(Step.SEND)
    ... async def send() -> Literal[Step.DONE]:
    ...     raise AssertionError("never called")
    >>> replayed = replay_state(workflow, Step.COUNT, {"content": "to be or not"})
    >>> replayed.next_state, replayed.data
    (<Step.SEND: 2>, {'content': 'to be or not', 'words': 4})
    """
    cursors, outcomes, joined = cursors or {}, outcomes or {}, joined or {}
    past = _Past(
        run_id=run_id,
        state=state.name,
        seq=seq,
        history=tuple(_history(workflow, state, seq, visit, led_here_by)),
        version=workflow.version if version is None else version,
        data=b"" if workflow.data is None else msgspec.json.encode(data),
        cursors=tuple(Cursor(seq, part, msgspec.json.encode(body)) for part, body in cursors.items()),
        outcomes=(
            *(Outcome(seq - 1, part, msgspec.json.encode(body)) for part, body in joined.items()),
            *(Outcome(seq, part, msgspec.json.encode(body)) for part, body in outcomes.items()),
        ),
        messages=tuple(messages),
    )
    commit = trio.run(_carried_out, workflow, past, resources, clock=MockClock(autojump_threshold=0))
    return _result(workflow, past, commit)


@attrs.frozen(kw_only=True)
class _Past:
    """What is written down of the run."""

    run_id: str
    state: str
    seq: int
    history: tuple[LogRow, ...]
    version: int
    data: bytes
    cursors: tuple[Cursor, ...]
    outcomes: tuple[Outcome, ...]
    messages: tuple[tuple[str, Plain], ...]

    async def write_down(self, workflow: Workflow[Any, Any], journal: Journal) -> None:
        """Have a journal in which the run stands in the state, and nobody holds it."""
        position = Position(state=self.state, status=RunStatus.RUNNING, seq=self.seq, entered_at=_clock.timestamp())
        new = NewRun(
            run_id=self.run_id, workflow=workflow.name, version=self.version, position=position, data=self.data,
            owner=journal.owner,
        )  # fmt: skip
        fence = (await journal.create(new)).fence
        for kind, body in self.messages:
            sent_at = _clock.timestamp()
            await journal.post(Letter(run_id=self.run_id, kind=kind, body=msgspec.json.encode(body), sent_at=sent_at))
        await journal.commit(
            Commit(
                run_id=self.run_id, fence=fence, position=position, log=self.history, cursors=self.cursors,
                outcomes=self.outcomes, release=True,
            )
        )  # fmt: skip


def _history(
    workflow: Workflow[S, Any], state: S, seq: int, visit: int, led_here_by: tuple[str, str] | None
) -> Iterator[LogRow]:
    """States that came before, as many as did: of these only their number counts, and how often it was this one."""
    others = [other for other in workflow.blueprint() if other is not state]
    if not 1 <= visit <= seq + 1 or (visit <= seq and not others):
        raise ValueError(f"visit is {visit}, of {seq} states before it: count the visits from 1")
    now = 0.0
    for number in range(seq):
        earlier = state if number < visit - 1 else others[0]
        error = StoredError(type=led_here_by[0], message=led_here_by[1]) if led_here_by and number == seq - 1 else None
        yield LogRow(
            seq=number, state=earlier.name, next=state.name, entered_at=now, finished_at=now, version=workflow.version,
            error=error,
        )  # fmt: skip


async def _carried_out(workflow: Workflow[Any, Any], past: _Past, resources: Resources | None) -> Commit:
    """The commit with which the state is finished, or the run has failed."""
    async with MemoryJournal() as journal:
        await past.write_down(workflow, journal)
        stopping = _OneState(journal, past)
        failure: Exception | None = None
        try:
            with trio.move_on_after(LONGEST):
                await workflow.resume(past.run_id, journal=stopping, resources=resources)
        except Exception as error:
            failure = error
    if stopping.last is not None:
        return stopping.last
    raise failure or AssertionError(f"{past.state} does not come to an end: a message may be missing")


def _result(workflow: Workflow[S, Any], past: _Past, commit: Commit) -> ReplayedState[S]:
    position = commit.position
    error = position.error or next((row.error for row in commit.log if row.error is not None), None)
    failed = position.state == past.state and position.seq == past.seq
    left = next((row.data for row in commit.log if row.seq == past.seq and row.data is not None), None)
    packed = past.data if left is None or failed else left
    return ReplayedState(
        next_state=None if failed else workflow.state_named(position.state),
        data=msgspec.json.decode(packed) if packed else None,
        failure=None if error is None else (error.type, error.message),
        sent=tuple((letter.run_id, letter.kind, msgspec.json.decode(letter.body)) for letter in commit.sends),
    )


@final
class _OneState(ForwardingJournal):
    """A journal that writes nothing that comes after a state, and says that the run is another's then: so it stops in place."""

    def __init__(self, inner: Journal, past: _Past) -> None:
        super().__init__(inner)
        self._past = past
        self.last: Commit | None = None
        """The commit that ends the state."""

    async def commit(self, commit: Commit, /) -> int:
        """Write it, if it does not end the state."""
        position = commit.position
        within = position.state == self._past.state and position.seq == self._past.seq
        failed = position.status.ended or position.status is RunStatus.ROLLING_BACK
        if commit.run_id != self._past.run_id or (within and not failed):
            return await self.inner.commit(replace(commit, sends=(), statements=()))
        self.last = commit
        await trio.lowlevel.checkpoint()
        raise LeaseLost(commit.run_id, self.owner, position.seq)
