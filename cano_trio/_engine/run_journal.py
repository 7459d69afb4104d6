"""What is written down of one run by the process that carries it out: each moment in one transaction, behind its fence."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, final

import trio
from msgspec.structs import replace
from typing_extensions import override

from .._clock import wall_clock
from .._errors import NotOwner, RunReleased
from .._journal import rows
from .._journal.protocol import Journal
from .._journal.rows import Commit, Cursor, LogRow, NewRun, Outcome, Position, RunRecord
from .._observe.status import RunStatus
from .commits import Commits
from .facts import entered, finished, queued, row_of, status_undone, stopped, verdict, with_work
from .kept import encode, stored_error
from .mailbox import Letter, Mailbox
from .program import Program
from .rollback import Entry
from .run import RELEASED, Run
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

    __slots__ = ("_lock", "_now", "_program", "_queued", "_rows")

    def __init__(self, journal: Journal, run: Run, program: Program) -> None:
        super().__init__(journal, run, program.workflow.version)
        self._program = program
        self._now = wall_clock()
        self._lock: trio.Lock | None = None
        self._queued: list[Outcome] = []
        self._rows: list[LogRow] = []

    # -- beginning

    def beginning(self, labels: Mapping[str, str], priority: int, queued_for: float | None) -> NewRun:
        """It as it begins; or as it is accepted, if it has to wait for so many seconds, and for whoever claims it then."""
        run = self.run
        now, timeout = self._now(), self._program.workflow.timeout
        position = entered(run.step, 0, now, None if timeout is None else now + timeout)
        waits = queued_for is not None and not position.status.ended
        self.position = queued(run.step, now, queued_for or 0.0) if waits else position
        return NewRun(
            run_id=run.key,
            workflow=run.workflow,
            version=self.version,
            position=self.position,
            data=b"" if run.packed is None else run.packed,
            # A child's is claimed behind that: else who is interrupted in between could not release it.
            owner=None if self.inside or waits or position.status.ended else self.journal.owner,
            labels=labels,
            priority=priority,
            parent=None if run.parent is None else run.parent.key,
        )

    @override
    async def begin(self, labels: Mapping[str, str], priority: int = 0, queued_for: float | None = None) -> None:
        run, new = self.run, self.beginning(labels, priority, queued_for)
        starter = None if run.parent is None else run.parent.journal
        if isinstance(starter, RunJournal):
            # The child's row alone would not show that this process still holds the run that starts it.
            beginning = starter.made(starter.position)
            await starter.commit(replace(beginning, starts=(*beginning.starts, new)))
            await self.reopen()
        else:
            record = await patiently(run, partial(created, self.journal), new)
            self.fence = record.fence if record.owner else None

    def go_on(self, record: RunRecord, data: bytes) -> None:
        """Take up a run that was claimed, with the data that are written down of it: its own may be newer."""
        self.take_up(record, data or None)
        self.stale = True

    async def write_anew(self, position: Position, **parts: Any) -> None:
        """Write down what going on with a run has changed: its status, and the form of what an older version wrote."""
        self.committed = None
        await self.commit(replace(self.made(position), version=self.version, **parts))

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
        self.stale = True

    async def give_back(self, position: Position) -> None:
        """Give a claimed run back, that can't go on."""
        self.committed = self.run.packed
        await self.commit(self.made(position, release=True))

    # -- going on

    @override
    async def confirm(self) -> None:
        async with self._turn():  # branches and items ask side by side
            if self.broken is not None:
                raise self.broken
            if not self.is_held:
                await self.show_fence()

    def _turn(self) -> trio.Lock:
        """That of the parts of a state which write side by side; most runs never need it."""
        if self._lock is None:
            self._lock = trio.Lock()
        return self._lock

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
        return max(begun_at + seconds - self._now(), 0)

    @override
    def finish(self, step: Step, following: Step, failure: Exception | None = None) -> Coroutine[Any, Any, None]:
        # It is no coroutine itself, so that none stands between the run and its commit: a wake-up goes through them all.
        run, ends = self.run, following.advance is None
        if not (step.counts or ends or following.counts):
            return super().finish(step, following)  # a chain of routers is one choice
        begun = self._begun() if run.done and step.counts else ()
        commit = self._finishing(step, following, failure, begun)
        run.rerun = False
        if ends and self.inside:
            self.end_inside(commit, begun)
            return super().finish(step, following)
        return self.commit(commit, begun)

    def _finishing(self, step: Step, following: Step, failure: Exception | None, begun: Sequence[Entry]) -> Commit:
        """The commit of a finished state."""
        run, now, ends = self.run, self._now(), following.advance is None
        position = entered(following, run.seq + step.counts, now, self.position.deadline_at)
        row = finished(self, step, following, now)
        if failure is not None:
            error = stored_error(failure)
            position, row = replace(position, error=error), replace(row, error=error)
        if run.letters:
            self._consume_letters()
        alone = ends and self.inside
        if not step.counts:
            return self.made(position, release=ends, alone=alone)
        log = with_work(self, row, begun) if begun else (row,)
        commit = self.made(position, log, release=ends, alone=alone)
        joined = run.joined
        if joined is not None:
            told = encode(verdict(step, joined, self.places.get("")))
            commit = replace(commit, outcomes=(Outcome(run.seq, "", told),))
        if self.stale or self.places or self.outcomes:
            # What the branches came to is for the next state.
            commit = replace(commit, forget_cursors=run.seq, forget_outcomes=run.seq - (joined is not None))
        return commit

    @override
    async def keep(self, place: bytes, part: str = "", *, anew: bool = False) -> None:
        seq = self.run.seq
        if self.run.letters:
            self._consume_letters()
        forgotten = seq if anew and self.outcomes else None
        cursors = (Cursor(seq, part, place),)
        await self.commit(replace(self.made(self.position), cursors=cursors, forget_outcomes=forgotten))
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
            self._rows.append(row_of(self, entry, self._now()))
            entry.written = True  # or the run is broken
            entry.come_last(self.run)  # what is undone first is what was written down last
        # What has finished is a fact, whatever is cut off meanwhile.
        with trio.CancelScope(shield=True):
            async with self._turn():
                if self.broken is not None:
                    raise self.broken
                queued, self._queued = self._queued, []
                rows, self._rows = self._rows, []
                if queued or rows:
                    commit = self.made(self.position, tuple(rows))
                    await self.commit(replace(commit, outcomes=tuple(queued)))
                    self.outcomes.update((outcome.part, outcome.body) for outcome in queued)

    @override
    async def wait_until(self, due_at: float, reason: str) -> None:
        waiting = replace(self.position, status=RunStatus.WAITING, due_at=due_at, reason=reason)
        await self.commit(self.made(waiting))
        self.run.rerun = False

    @override
    async def post(self, message: object, key: str | None) -> Letter | None:
        run = self.run
        kind = next((kind for kind in run.takes if isinstance(message, kind)), None)
        mailbox = None if run.released else run.mailbox()
        if kind is None or mailbox is None:
            mailbox = Mailbox(run.run_id, run.takes)
            mailbox.turn_away(RunReleased(run.run_id), RELEASED)  # it is sent to whoever goes on with the run
        await mailbox.reserve(message, key)
        assert kind is not None  # noqa: S101  (else it was refused)
        try:
            codec = self._program.message_codec(kind)
            body = codec.pack(message)
            letter = rows.Letter(
                run_id=run.key, kind=kind.__name__, body=body, key=key, sent_at=self._now(), version=self.version
            )
            number = await posted(self.journal, letter, mailbox.holds)
        except BaseException:
            mailbox.give_up()
            raise
        if number is None:
            mailbox.give_up()
            return None
        return mailbox.fill(Letter(codec.unpack(body), key, number, body), number, in_turn=run.hears)

    # -- leaving

    @override
    async def roll_back(self, error: BaseException) -> None:
        if self.position.status is RunStatus.ROLLING_BACK:
            return
        begun = self._begun()
        position = stopped(self, RunStatus.ROLLING_BACK, error)
        await self.commit(self.made(position, self._rows_of(begun, self._now())), begun)
        if self.run.child is not None:
            await self.run.child.journal.roll_back(error)

    @override
    async def undone(self, entry: Entry) -> None:
        await self.commit(self.made(self.position, (row_of(self, entry, self._now(), undone=True),)))

    @override
    def undone_at_last(self) -> None:
        if self.position.status is RunStatus.ROLLBACK_FAILED:
            self.position = replace(self.position, status=status_undone(self.position), ended_at=self._now())

    @override
    async def end(self, status: RunStatus, error: BaseException | None) -> None:
        if self.position.status.ended or self.ending is not None:
            return
        run, now = self.run, self._now()
        if run.child is not None:
            await run.child.journal.end(status, error)
            self.add_end(run.child.journal)
        begun = self._begun()
        position = replace(stopped(self, status, error), ended_at=now, due_at=None)
        commit = self.made(position, self._rows_of(begun, now), release=True, alone=self.inside)
        if self.inside:
            self.end_inside(commit, begun)
        else:
            await self.commit(commit, begun)

    @override
    async def release(self) -> None:
        self.forget_attempt()
        await self.commit(self.left_at(self._left()))

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
        due_at = wait.due_at if left is None or wait.due_at is not None else self._now() + left
        return replace(self.position, status=RunStatus.WAITING, due_at=due_at, reason=wait.reason, heard=wait.heard)

    def _consume_letters(self) -> None:
        self.consume(letter.number for letter in self.run.letters if letter.number is not None)

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
