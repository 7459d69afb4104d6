"""What is written down of one run by the process that carries it out: each moment in one transaction, behind its fence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, final

import trio
from msgspec.structs import replace
from typing_extensions import override

from .. import _clock
from .._errors import NotOwner
from .._journal import rows
from .._journal.protocol import Journal
from .._journal.rows import Cursor, LogRow, NewRun, Outcome, Position, RunRecord
from .._observe.status import RunStatus
from .commits import Commits
from .facts import entered, finished, row_of, stopped, verdict
from .kept import encode
from .mailbox import Letter, Mailbox
from .program import Program
from .rollback import Entry
from .run import Run
from .step import Step
from .writing import broken, claimed, created, patiently, posted


@final
class RunJournal(Commits):
    """A run's side of a journal.

    Args:
        journal: the journal.
        run: the run.
        program: its workflow, bound.
    """

    __slots__ = ("_lock", "_program", "_queued", "_rows", "_stale", "outcomes", "places")

    def __init__(self, journal: Journal, run: Run, program: Program) -> None:
        super().__init__(journal, run, program.workflow.version)
        self._program = program
        self.places: dict[str, bytes] = {}
        self.outcomes: dict[str, bytes] = {}
        self._stale = False
        """There are places or outcomes of earlier visits."""
        self._lock = trio.Lock()
        self._queued: list[Outcome] = []
        self._rows: list[LogRow] = []

    # -- beginning

    @override
    async def begin(self, labels: Mapping[str, str], priority: int = 0) -> None:
        run = self.run
        now, timeout = _clock.timestamp(), self._program.workflow.timeout
        self.position = entered(run.step, 0, now, None if timeout is None else now + timeout, None)
        new = NewRun(
            run_id=run.key,
            workflow=run.workflow,
            version=self.version,
            position=self.position,
            data=b"" if run.packed is None else run.packed,
            # A child's is claimed behind that: else who is interrupted in between could not release it.
            owner=None if self.inside or self.position.status.ended else self.journal.owner,
            labels=labels,
            priority=priority,
            parent=None if run.parent is None else run.parent.key,
        )
        starter = None if run.parent is None else run.parent.journal
        if isinstance(starter, RunJournal):
            # The child's row alone would not show that this process still holds the run that starts it.
            await starter.commit(starter.position, starts=(new,))
            await self.reopen()
        else:
            record = await patiently(run, partial(created, self.journal), new)
            self.fence = record.fence if record.owner else None

    def go_on(self, record: RunRecord) -> None:
        """Take up a run that was claimed."""
        self.take_up(record, self.run.packed)
        self._stale = True

    async def write_anew(self, position: Position, cursors: Sequence[Cursor], outcomes: Sequence[Outcome]) -> None:
        """Write down what going on with a run has changed: its status, and the form of what an older version wrote."""
        self._committed = None
        await self.commit(position, cursors=tuple(cursors), outcomes=tuple(outcomes), version=self.version)

    @override
    async def begin_child(self, run: Run, program: Program) -> None:
        run.write_down(RunJournal(self.journal, run, program))
        await run.journal.begin({})

    @override
    async def reopen(self) -> None:
        stored = await patiently(self.run, partial(claimed, self.journal), self.run.key)
        if stored is None:
            raise broken(self.run, NotOwner(self.run.key, None))
        self.take_up(stored.record, stored.data or None)
        self._stale = True

    async def give_back(self, position: Position) -> None:
        """Give a claimed run back, that can't go on."""
        self._committed = self.run.packed
        await self.commit(position, release=True)

    # -- going on

    @property
    @override
    def last(self) -> Position:
        return self.position

    @property
    @override
    def due_at(self) -> float | None:
        return self.position.due_at

    @override
    def left_of(self, seconds: float | None, since: float | None = None) -> float | None:
        if seconds is None or not self.run.rerun:
            return seconds
        begun_at = self.position.entered_at if since is None else max(since, self.position.entered_at)
        return max(begun_at + seconds - _clock.timestamp(), 0)

    @override
    async def finish(self, step: Step, following: Step, failure: Exception | None = None) -> None:
        run = self.run
        ends = following.advance is None
        if not step.counts and not ends and not following.counts:
            return  # a chain of routers is one choice
        counts = step.counts
        now = _clock.timestamp()
        position = entered(following, run.seq + counts, now, self.position.deadline_at, failure)
        begun = self._begun() if counts else []
        joined = run.joined if counts else None
        if run.letter is not None and run.letter.number is not None:
            self.consume([run.letter.number])
        parts: dict[str, Any] = {}
        if counts:
            parts["log"] = finished(self, step, following, now, failure, begun)
            if self._stale or self.places or self.outcomes:
                parts["forget_cursors"] = run.seq
                # What the branches came to is for the next state.
                parts["forget_outcomes"] = run.seq - (joined is not None)
            if joined is not None:
                told = encode(verdict(step, joined, self.places.get("")))
                parts["outcomes"] = (Outcome(run.seq, "", told),)
        if ends and self.inside:
            self.end_inside(position, **parts)
        else:
            await self.commit(position, release=ends, **parts)
        _mark_written(begun)
        if counts:
            self._stale = joined is not None
        self.places, self.outcomes = {}, {}
        run.rerun = False

    @override
    async def keep(self, place: bytes, part: str = "", *, anew: bool = False) -> None:
        seq = self.run.seq
        await self.commit(
            self.position,
            cursors=(Cursor(seq, part, place),),
            forget_outcomes=seq if anew and self.outcomes else None,
        )
        self.places[part] = place
        self.run.rerun = False
        if anew:
            self.outcomes = {}

    @override
    async def keep_outcomes(self, outcomes: Iterable[tuple[str, bytes]], entry: Any = None) -> None:
        """Those that come while others are written are written together with the next."""
        seq = self.run.seq
        self._queued += [Outcome(seq, part, body) for part, body in outcomes]
        if entry is not None and not entry.written:
            self._rows.append(row_of(self, entry, _clock.timestamp()))
            entry.written = True  # or the run is broken
            entry.come_last(self.run)  # what is undone first is what was written down last
        # What has finished is a fact, whatever is cut off meanwhile.
        with trio.CancelScope(shield=True):
            async with self._lock:
                if self.broken is not None:
                    raise self.broken
                queued, self._queued = self._queued, []
                rows, self._rows = self._rows, []
                if queued or rows:
                    await self.commit(self.position, outcomes=tuple(queued), log=tuple(rows))
                    self.outcomes.update((outcome.part, outcome.body) for outcome in queued)

    @override
    async def wait_until(self, due_at: float, reason: str) -> None:
        await self.commit(replace(self.position, status=RunStatus.WAITING, due_at=due_at, reason=reason))
        self.run.rerun = False

    @override
    async def send(self, message: object, key: str | None) -> bool:
        run = self.run
        kind = next((kind for kind in run.takes if isinstance(message, kind)), None)
        mailbox = None if run.released else run.mailbox()
        if kind is None or mailbox is None:
            mailbox = Mailbox(run.run_id, run.takes)  # nobody reads it here: it is sent to whoever goes on with the run
        await mailbox.reserve(message, key)
        assert kind is not None  # noqa: S101  (else it was refused)
        try:
            codec = self._program.message_codec(kind)
            body = codec.pack(message)
            letter = rows.Letter(
                run_id=run.key, kind=kind.__name__, body=body, key=key, sent_at=_clock.timestamp(), version=self.version
            )
            number = await posted(self.journal, letter, mailbox.holds)
        except BaseException:
            mailbox.give_up()
            raise
        if number is None:
            mailbox.give_up()
        else:
            mailbox.fill(Letter(codec.unpack(body), key, number, body), number, in_turn=run.hears)
        return number is not None

    # -- leaving

    @override
    async def roll_back(self, error: BaseException) -> None:
        if self.position.status is RunStatus.ROLLING_BACK:
            return
        begun = self._begun()
        await self.commit(stopped(self, RunStatus.ROLLING_BACK, error), log=self._rows_of(begun, _clock.timestamp()))
        _mark_written(begun)
        if self.run.child is not None:
            await self.run.child.journal.roll_back(error)

    @override
    async def undone(self, entry: Entry) -> None:
        await self.commit(self.position, log=(row_of(self, entry, _clock.timestamp(), undone=True),))

    @override
    async def end(self, status: RunStatus, error: BaseException | None) -> None:
        if self.position.status.ended or self.ending is not None:
            return
        run, now = self.run, _clock.timestamp()
        if run.child is not None:
            await run.child.journal.end(status, error)
            self.add_end(run.child.journal)
        position = replace(stopped(self, status, error), ended_at=now, due_at=None)
        begun = self._begun()
        log = self._rows_of(begun, now)
        if not self.inside:
            await self.commit(position, log=log, release=True)
        else:
            self.end_inside(position, log=log)
        _mark_written(begun)

    @override
    async def release(self) -> None:
        self.forget_attempt()
        await self.commit(self._left(), release=True)

    def _left(self) -> Position:
        """The state in which the run is released, with what it is claimed for again."""
        pause, wait = self.run.paused, self.run.parked
        if self.position.status is RunStatus.ROLLING_BACK:  # it never turns forward again, whoever wanted to hold it
            return self.position
        if pause is not None:
            self.consume(pause.numbers)
            return replace(self.position, status=RunStatus.PAUSED, reason=pause.reason)
        if wait is None:
            return self.position
        left = None if wait.until is None else wait.until - self.run.clock()
        due_at = wait.due_at if left is None or wait.due_at is not None else _clock.timestamp() + left
        return replace(self.position, status=RunStatus.WAITING, due_at=due_at, reason=wait.reason, heard=wait.heard)

    def _begun(self) -> list[Entry]:
        """What was begun in the present state and is not written down yet, first things first."""
        run = self.run
        begun: list[Entry] = []
        for entry in reversed(run.done):
            if not isinstance(entry, Entry) or entry.seq != run.seq:
                break
            if not entry.written:
                begun.append(entry)
        begun.reverse()
        return begun

    def _rows_of(self, begun: Iterable[Entry], now: float) -> tuple[LogRow, ...]:
        return tuple(row_of(self, entry, now) for entry in begun)


def _mark_written(begun: Iterable[Entry]) -> None:
    for entry in begun:
        entry.written = True
