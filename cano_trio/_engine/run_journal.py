"""What is written down of one run by the process that carries it out: each fact in one transaction, behind its fence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, final

import trio
from msgspec.structs import replace
from typing_extensions import override

from .. import _clock
from .._define.branch_results import BranchResults
from .._errors import (
    DuplicateRun,
    JournalError,
    JournalUnavailable,
    LeaseLost,
    NotOwner,
    RunAlreadyEnded,
    RunNotFound,
    StatementFailed,
)
from .._journal import rows
from .._journal.protocol import Journal
from .._journal.rows import Commit, Cursor, Fence, LogRow, NewRun, Outcome, Position, RunRecord, StoredRun
from .._observe.events import Committed
from .._observe.status import RunStatus
from .._resilience import Backoff
from .kept import Verdict, encode, read_chosen, stored_error
from .mailbox import Letter, Mailbox
from .program import Program
from .rollback import Entry
from .run import Run
from .step import Step
from .unwritten import Unwritten

T = TypeVar("T")
V = TypeVar("V")

STORE_PATIENCE: Final = 30.0
"""Seconds for which a run waits for a journal that can't write for now."""

_BACKOFF = Backoff(base=0.05, maximum=2.0)

_REFUSALS = (StatementFailed, DuplicateRun, RunNotFound, RunAlreadyEnded)
"""What is wrong with what a task asked to happen together with its transition: a failure of the state, not of the journal."""


async def claimed(journal: Journal, run_id: str) -> StoredRun | None:
    """Claim a run; where nobody has told whether that was written, it is claimed once more, which does no harm."""
    try:
        return await journal.claim(run_id)
    except (JournalUnavailable, *_REFUSALS):
        raise
    except JournalError:
        return await journal.claim(run_id)


@final
class RunJournal(Unwritten):
    """A run's side of a journal.

    Args:
        journal: the journal.
        run: the run.
        program: its workflow, bound; the version is told of everything that is written.
    """

    __slots__ = (
        "_along",
        "_committed",
        "_consumed",
        "_ended",
        "_ending",
        "_fence",
        "_inside",
        "_lock",
        "_new",
        "_program",
        "_queued",
        "_rows",
        "_stale",
        "broken",
        "deadline_at",
        "journal",
        "outcomes",
        "places",
        "position",
        "run",
        "version",
    )  # fmt: skip

    durable = True

    def __init__(self, journal: Journal, run: Run, program: Program) -> None:
        workflow = program.workflow
        self.journal = journal
        self.run = run
        self.version = workflow.version
        self._program = program
        self.deadline_at = None if workflow.timeout is None else _clock.timestamp() + workflow.timeout
        """When the whole run is to be over."""
        self._inside = run.parent is not None
        self.broken: JournalError | None = None
        self.places: dict[str, bytes] = {}
        self.outcomes: dict[str, bytes] = {}
        self.position: Position
        """As it was last written."""
        self._fence: Fence | None = None
        self._committed: Any = run.packed
        """The data as they were last written."""
        self._stale = False
        """There are places or outcomes of earlier visits."""
        self._lock = trio.Lock()
        self._queued: list[Outcome] = []
        self._rows: list[LogRow] = []
        self._consumed: list[int] = []
        self._along: list[Commit] = []
        """What happens to other runs together with this one's next commit."""
        self._ended: list[RunJournal] = []
        """The children whose end is written together with this run's next transition."""
        self._ending: Commit | None = None
        """Of a child: its end, as the run that started it writes it down."""
        self._new: list[Entry] = []
        """What the present commit writes down for the first time."""

    # -- beginning

    @override
    async def begin(self, labels: Mapping[str, str], priority: int = 0) -> None:
        run = self.run
        self.position = self._entered(run.step, 0, None)
        new = NewRun(
            run_id=run.key,
            workflow=run.workflow,
            version=self.version,
            position=self.position,
            data=self._data(),
            # A child's is claimed behind that: else who is interrupted in between could not release it.
            owner=None if self._inside or self.position.status.ended else self.journal.owner,
            labels=labels,
            priority=priority,
            parent=None if run.parent is None else run.parent.key,
        )
        starter = None if run.parent is None else run.parent.journal
        if isinstance(starter, RunJournal):
            # The child's row alone would not show that this process still holds the run that starts it.
            await starter._start_child(new)  # noqa: SLF001  (of our own class)
            await self.reopen()
        else:
            record = await self._patiently(self._created, new)
            self._fence = record.fence if record.owner else None

    def go_on(self, record: RunRecord) -> None:
        """Take up a run that was claimed."""
        self._fence = record.fence
        self.position = record.position
        self.deadline_at = record.position.deadline_at
        self._stale = True

    async def write_anew(self, position: Position, cursors: Sequence[Cursor], outcomes: Sequence[Outcome]) -> None:
        """Write down what going on with a run has changed: its status, and the form of what an older version wrote."""
        self.deadline_at = position.deadline_at
        self._committed = None
        await self._commit(position, cursors=tuple(cursors), outcomes=tuple(outcomes), version=self.version)

    @override
    async def begin_child(self, run: Run, program: Program) -> None:
        run.write_down(RunJournal(self.journal, run, program))
        await run.journal.begin({})

    async def _start_child(self, new: NewRun) -> None:
        await self._commit(self.position, starts=(new,))

    @override
    async def reopen(self) -> None:
        stored = await self._patiently(partial(claimed, self.journal), self.run.key)
        if stored is None:
            raise self._break(NotOwner(self.run.key, None))
        self.go_on(stored.record)
        self._ending = None
        self._committed = stored.data or None

    async def _created(self, new: NewRun) -> RunRecord:
        try:
            return await self.journal.create(new)
        except (JournalUnavailable, DuplicateRun):
            raise
        except JournalError:
            # It may have been written all the same: then it is there, and ours.
            with trio.CancelScope(shield=True):
                record = (await self.journal.load(new.run_id)).record
            if record.owner == new.owner and record.rev == 0 and record.position == new.position:
                return record
            raise

    async def give_back(self, position: Position) -> None:
        """Give a claimed run back, that can't go on."""
        self._committed = self.run.packed
        await self._commit(position, release=True)

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
        position = self._entered(following, run.seq + counts, failure)
        joined = counts and run.joined is not None
        self._take_letter()
        parts: dict[str, Any] = {"log": self._finished(step, following, failure, position.entered_at) if counts else ()}
        if counts and (self._stale or self.places or self.outcomes):
            parts["forget_cursors"] = run.seq
            # What the branches came to is for the next state.
            parts["forget_outcomes"] = run.seq - joined
        if counts and run.joined is not None:
            parts["outcomes"] = (Outcome(run.seq, "", encode(self._verdict(step, run.joined))),)
        if ends and self._inside:
            self._leave_to_parent(position, **parts)
        else:
            await self._commit(position, release=ends, **parts)
        if counts:
            self._stale = joined
        self.places, self.outcomes = {}, {}
        run.rerun = False

    @override
    async def keep(self, place: bytes, part: str = "", *, anew: bool = False) -> None:
        seq = self.run.seq
        await self._commit(
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
            self._rows.append(self._row_of(entry, _clock.timestamp()))
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
                    await self._commit(self.position, outcomes=tuple(queued), log=tuple(rows))
                    self.outcomes.update((outcome.part, outcome.body) for outcome in queued)

    @override
    async def wait_until(self, due_at: float, reason: str) -> None:
        await self._commit(replace(self.position, status=RunStatus.WAITING, due_at=due_at, reason=reason))
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
            number = await self._posted(letter, mailbox)
        except BaseException:
            mailbox.give_up()
            raise
        if number is None:
            mailbox.give_up()
        else:
            mailbox.fill(Letter(codec.unpack(body), key, number, body))
        return number is not None

    async def _posted(self, letter: rows.Letter, mailbox: Mailbox) -> int | None:
        try:
            return await self.journal.post(letter)
        except (JournalUnavailable, *_REFUSALS):
            raise
        except JournalError as error:
            failure = error
        # It may have been written all the same: then it is there, and nobody has been given it.
        for message in (await self.journal.load(letter.run_id)).messages:
            if message.letter == letter and not mailbox.holds(message.number):
                return message.number
        raise failure

    # -- leaving

    @override
    async def roll_back(self, error: BaseException) -> None:
        if self.position.status is RunStatus.ROLLING_BACK:
            return
        position = self._stopped(RunStatus.ROLLING_BACK, error)
        await self._commit(position, log=self._new_rows(_clock.timestamp()))
        if self.run.child is not None:
            await self.run.child.journal.roll_back(error)

    @override
    async def undone(self, entry: Entry) -> None:
        row = self._row_of(entry, _clock.timestamp(), undone=True)
        await self._commit(self.position, log=(row,))

    @override
    async def end(self, status: RunStatus, error: BaseException | None) -> None:
        if self.position.status.ended or self._ending is not None:
            return
        run, now = self.run, _clock.timestamp()
        if run.child is not None:
            await run.child.journal.end(status, error)
            self.add_end(run.child.journal)
        position = replace(self._stopped(status, error), ended_at=now, due_at=None)
        log = self._new_rows(now)
        if not self._inside:
            await self._commit(position, log=log, release=True)
        else:
            self._leave_to_parent(position, log=log)

    @override
    async def release(self) -> None:
        self._forget_attempt()
        await self._commit(self._left(), release=True)

    def _left(self) -> Position:
        """The state in which the run is released, with what it is claimed for again."""
        pause, wait = self.run.paused, self.run.parked
        if pause is not None:
            if pause.number is not None:
                self._consumed.append(pause.number)
            return replace(self.position, status=RunStatus.PAUSED, reason=pause.reason)
        if wait is None:
            return self.position
        left = None if wait.until is None else wait.until - self.run.clock()
        return replace(
            self.position,
            status=RunStatus.WAITING,
            due_at=None if left is None else _clock.timestamp() + left,
            reason=wait.reason,
            heard=self.run.mailbox().heard,
        )

    @override
    def release_inside(self) -> Sequence[Commit]:
        if self.broken is not None or self._fence is None:
            return ()
        self._forget_attempt()
        return (self._made(self.position, alone=True, release=True),)

    def _forget_attempt(self) -> None:
        """Let go of what the attempt in flight has done; and have a child released, too, that is or was at work for it."""
        self.run.packed = self._committed
        self.run.outbox = None
        self._consumed = []
        self._ending = None
        children = [child.run for child in self._ended]
        self._ended = []
        if self.run.child is not None and self.run.child not in children:
            children.append(self.run.child)
        for child in children:
            self.add_release(child.journal)

    @override
    def add_end(self, child: Unwritten) -> None:
        if isinstance(child, RunJournal) and child._ending is not None:  # noqa: SLF001  (of our own class)
            self._ended.append(child)

    @override
    def add_release(self, child: Unwritten) -> None:
        self._along += child.release_inside()

    def _leave_to_parent(self, position: Position, **parts: Any) -> None:
        """Have the run that has started this one write down its end."""
        self._ending = self._made(position, release=True, alone=True, **parts)
        self.run.outbox = None
        self._mark_new()

    # -- what is written

    def _entered(self, step: Step, seq: int, failure: Exception | None) -> Position:
        """The entry of a state."""
        now = _clock.timestamp()
        ends = step.advance is None
        return Position(
            state=step.name,
            status=RunStatus.COMPLETED if ends else step.status,
            seq=seq,
            entered_at=now,
            due_at=None if step.patience is None else now + step.patience,
            deadline_at=self.deadline_at,
            ended_at=now if ends else None,
            reason=step.reason,
            error=None if failure is None else stored_error(failure),
        )

    def _stopped(self, status: RunStatus, error: BaseException | None) -> Position:
        """The state in which the run has stopped, and why."""
        known = self.position.error if error is None else stored_error(error)
        return replace(self.position, status=status, reason=self.run.reason, error=known)

    def _finished(
        self, step: Step, following: Step, failure: Exception | None, finished_at: float
    ) -> tuple[LogRow, ...]:
        run = self.run
        rows = self._new_rows(finished_at) if run.done else ()
        # What the state itself has done stands in its own row.
        own = next((row for row in rows if not row.part and row.receipt is not None), None)
        row = LogRow(
            seq=run.seq,
            state=step.name,
            next=following.name,
            attempts=run.attempts,
            entered_at=self.position.entered_at,
            finished_at=finished_at,
            receipt=None if own is None else own.receipt,
            messages=None if run.letter is None else run.letter.body,
            data=run.packed if self._has_new_data() else None,
            version=self.version,
            error=None if failure is None else stored_error(failure),
        )
        return (*(other for other in rows if other is not own), row)

    def _new_rows(self, now: float) -> tuple[LogRow, ...]:
        """The rows of what was begun in the present state and is not written down yet, first things first."""
        run = self.run
        self._new = []
        for entry in reversed(run.done):
            if not isinstance(entry, Entry) or entry.seq != run.seq:
                break
            if not entry.written:
                self._new.append(entry)
        return tuple(self._row_of(entry, now) for entry in reversed(self._new))

    def _mark_new(self) -> None:
        for entry in self._new:
            entry.written = True
        self._new = []

    def _verdict(self, step: Step, joined: BranchResults[Any]) -> Verdict:
        chosen = self.places.get("")
        return Verdict(
            state=step.state.name, names=joined.names, over=None if chosen is None else read_chosen(chosen).branch
        )

    def _row_of(self, entry: Entry, now: float, *, undone: bool = False) -> LogRow:
        return LogRow(
            seq=entry.seq,
            state=entry.undo.step.state.name,
            next=None,
            kind="undone" if undone else "finished" if entry.settled else "in doubt",
            part=entry.part,
            attempts=self.run.attempts,
            entered_at=self.position.entered_at,
            finished_at=now,
            receipt=entry.receipt if entry.settled and not undone else None,
            data=self.run.packed if undone and self._has_new_data() else None,
            version=self.version,
        )

    def _take_letter(self) -> None:
        """Have the message that the finished state had taken leave the inbox, which is that of the outermost run."""
        letter = self.run.letter
        if letter is not None and letter.number is not None:
            self._root()._consumed.append(letter.number)  # noqa: SLF001  (of our own class)

    def _has_new_data(self) -> bool:
        packed = self.run.packed
        return packed is not self._committed and packed != self._committed

    def _data(self) -> bytes:
        packed = self.run.packed
        return b"" if packed is None else packed

    def _made(self, position: Position, *, alone: bool = False, **parts: Any) -> Commit:
        """A commit of all that has come together; one that is not written `alone` lets messages go from the outermost run's inbox."""
        outbox = self.run.outbox
        if outbox is not None:
            parts["statements"] = tuple(outbox.statements)
            parts["sends"] = tuple(outbox.sends)
            parts["starts"] = (*parts.get("starts", ()), *outbox.starts)
        along = [*self._along, *(child._ending for child in self._ended if child._ending is not None)]  # noqa: SLF001
        root = None if alone else self._root_with_news()
        if root is not None:
            along.append(root._made(root.position))  # noqa: SLF001  (of our own class)
        assert self._fence is not None  # noqa: S101  (whoever writes has begun or claimed the run)
        return Commit(
            run_id=self.run.key,
            fence=self._fence,
            position=position,
            data=self._data() if self._has_new_data() else None,
            consumed=tuple(self._consumed),
            along=tuple(along),
            **parts,
        )

    def _root(self) -> RunJournal:
        """The journal's side of the outermost run."""
        run = self.run
        while run.parent is not None:
            run = run.parent
        assert isinstance(run.journal, RunJournal)  # noqa: S101  (a durable run stands in a durable one)
        return run.journal

    def _root_with_news(self) -> RunJournal | None:
        """That of the outermost run, if that is another and has messages to let go."""
        if not self._inside:
            return None
        root = self._root()
        return root if root._consumed else None  # noqa: SLF001  (of our own class)

    # -- writing

    async def _commit(self, position: Position, **parts: Any) -> None:
        commit = self._made(position, **parts)
        try:
            await self._patiently(self._written, commit)
        except _REFUSALS:
            # Nothing of it was written, and what asked for it is to blame: the state has failed.
            self.run.packed = self._committed
            self.run.outbox = None
            self._new = []
            self._root()._consumed = []  # noqa: SLF001  (of our own class)
            raise
        root = self._root_with_news()
        if root is not None:
            root._note(root.position)  # noqa: SLF001  (of our own class)
        self._note(position)
        self._mark_new()
        run = self.run
        if run.observers:
            run.tell(Committed, commit.fence.rev + 1)

    def _note(self, position: Position) -> None:
        """Take note of what was written."""
        fence = self._fence
        assert fence is not None  # noqa: S101  (it has just been shown)
        self._fence = Fence(fence.run, fence.owner, fence.epoch, fence.rev + 1)
        self.position = position
        self._committed = self.run.packed
        self._along = []
        for child in self._ended:
            child._fence = None  # noqa: SLF001  (it is written down as given back)
        self._ended = []
        self._consumed = []
        self.run.outbox = None

    async def _written(self, commit: Commit) -> None:
        try:
            await self.journal.commit(commit)
        except (JournalUnavailable, LeaseLost, *_REFUSALS):
            raise
        except JournalError as error:
            failure = error
        else:
            return
        # Nobody has told whether it was written: the run's row does.
        if not await self._is_written(commit, failure):
            raise failure

    async def _is_written(self, commit: Commit, error: JournalError) -> bool:
        try:
            with trio.CancelScope(shield=True):
                record = (await self.journal.load(commit.run_id)).record
        except JournalError:
            raise error from None
        fence = commit.fence
        if (record.epoch, record.rev) == (fence.epoch, fence.rev + 1):
            return True
        if record.owner != fence.owner or record.epoch != fence.epoch:
            raise LeaseLost(commit.run_id, fence.owner, commit.position.seq) from error
        return False

    async def _patiently(self, write: Callable[[V], Awaitable[T]], what: V) -> T:
        """Write, as often as it takes while the journal can't for now; nothing but a wait between two tries is cancelled.

        Raises:
            JournalError: it can't, or can't for too long: the run stops in place.
        """
        run = self.run
        patience = run.clock() + STORE_PATIENCE
        turn = 0
        cancelled = False
        while True:
            try:
                # A scope around every write would cost as much as all else that is done here for it.
                if not cancelled:
                    return await write(what)
                with trio.CancelScope(shield=True):
                    return await write(what)
            except trio.Cancelled:
                cancelled = True  # before it had begun, as a journal promises: nothing was written
                continue
            except JournalUnavailable as error:
                if run.clock() >= patience:
                    raise self._break(error) from None
            except _REFUSALS:
                raise
            except JournalError as error:
                raise self._break(error) from None
            turn += 1
            delay = _BACKOFF.delay(turn)
            run.wait_for("store", delay)
            await trio.sleep(delay)
            run.wait_is_over()

    def _break(self, error: JournalError) -> JournalError:
        """Write nothing any more, in this run and in those whose child it is."""
        run: Run | None = self.run
        while run is not None:
            run.mistake = error
            if isinstance(run.journal, RunJournal):
                run.journal.broken = run.journal.broken or error
            run = run.parent
        return error
