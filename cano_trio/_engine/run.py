"""One run: where it is, what it holds, and how it tells of itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from enum import Enum
from functools import partial
from typing import Any, final

import trio
from msgspec.structs import replace

from .._define.branch_results import BranchResults
from .._define.context import Outbox, Receiving, RunContext
from .._errors import DataNotWritable, RunAlreadyEnded, RunReleased
from .._journal.codec import Codec
from .._journal.difference import difference
from .._observe.events import Event, Progress, Published, Waiting
from .._observe.observer import Observer, tell
from .._observe.status import RunStatus
from .lifecycle import Resources
from .mailbox import Kinds, Letter, Mailbox
from .step import Step
from .unwritten import UNWRITTEN, Unwritten

KEPT = 1000
"""States of the path that are kept."""

at_work: ContextVar[tuple[int, ...]] = ContextVar("cano_trio.at_work", default=())
"""The numbers of the runs that the present task is at work for, the outermost first; child tasks inherit them."""

RELEASED = "it was released, and goes on where it is claimed next"

NO_OUTBOX = Outbox(durable=False)
"""That of all runs without a journal: it takes nothing."""

_TAKES_MESSAGES = (RunStatus.RUNNING, RunStatus.QUEUED)

_numbers = itertools.count(1)


@final
class Wait:
    """What a run waits for.

    Args:
        reason: what for, in words.
        since: when it began, by trio's clock.
        until: when it is over at the latest, if that is known.
        parks: it can go on without the process.
        due_at: the instant at which it is over by the clock on the wall, if it is that which it waits for.
        seq: the visit in which it waits.
        turn: how many waits a backoff has told up to this one, if it was a backoff that told how long.
    """

    __slots__ = ("due_at", "heard", "parks", "reason", "seq", "since", "turn", "until")

    def __init__(
        self,
        reason: str,
        since: float,
        until: float | None,
        parks: bool,  # noqa: FBT001
        due_at: float | None,
        seq: int,
        turn: int | None,
    ) -> None:
        self.reason = reason
        self.since = since
        self.until = until
        self.parks = parks
        self.due_at = due_at
        self.seq = seq
        self.turn = turn
        self.heard = 0
        """The number of the last message that was there when it was broken off: those that come later are not for it."""


@final
class Pause:
    """That an operator holds a run.

    Args:
        reason: why.
        numbers: those of the messages which ask for it, from other processes.
    """

    __slots__ = ("numbers", "reason")

    def __init__(self, reason: str | None, numbers: tuple[int, ...]) -> None:
        self.reason = reason
        self.numbers = numbers


@final
class Run:
    """The state of one run. The drive loop moves it; tasks see it only through their `RunContext`."""

    __slots__ = (
        "_mailbox",
        "attempts",
        "cancelled",
        "child",
        "clock",
        "codec",
        "compensation_timeout",
        "done",
        "draft",
        "durable",
        "elapsed",
        "error",
        "failure",
        "hears",
        "intakes",
        "joined",
        "journal",
        "key",
        "leaving",
        "letters",
        "limit",
        "lineage",
        "mistake",
        "observers",
        "on_parked",
        "outbox",
        "packed",
        "parent",
        "parked",
        "path",
        "paused",
        "reason",
        "released",
        "rerun",
        "resources",
        "run_id",
        "scope",
        "seq",
        "started",
        "status",
        "step",
        "takes",
        "undoes",
        "undone",
        "visits",
        "wait",
        "workflow",
    )  # fmt: skip

    def __init__(
        self,
        workflow: str,
        run_id: str,
        start: Step,
        *,
        size: int,
        limit: int | None,
        codec: Codec[Any] | None,
        packed: Any,
        observers: Sequence[Observer],
        resources: Resources,
        takes: Kinds,
        compensation_timeout: float,
        parent: Run | None = None,
    ) -> None:
        self.workflow = workflow
        self.run_id = run_id
        outer = at_work.get() if parent is None else parent.lineage  # it may be made before its parent is at work
        self.lineage: tuple[int, ...] = (*outer, next(_numbers))
        """The numbers of the runs whose tasks run it, the outermost first, and its own."""
        self.parent = parent
        """The run whose state's work it does, as long as it does it."""
        self.key: str = run_id if parent is None else f"{parent.key}/{parent.seq}"
        """What its idempotency keys begin with."""
        self.journal: Unwritten = UNWRITTEN
        """Where it is written down."""
        self.durable = False
        """It is written down, and outlives its process."""
        self.child: Run | None = None
        """The child workflow's run that does the present state's work."""
        self.outbox: Outbox | None = None
        """What the present attempt wants to happen together with the transition."""
        self.failure: BaseException | None = None
        """Why it is to be undone from the start on: it was being undone when its process ended."""
        self.undoes = False
        """It is to be undone, whatever its workflow says of failures."""
        self.undone: list[tuple[float, Enum]] = []
        """What was undone of it in processes that are gone, first things first: when, and the state."""
        self.released = False
        """It goes on elsewhere."""
        self.rerun = False
        """The present state's work may have begun before, in a process that is gone."""
        self.leaving: trio.CancelScope | None = None if parent is None else parent.leaving
        """What is cancelled as soon as a state is finished, for the run to go on elsewhere."""
        self.wait: Wait | None = None
        """What it waits for at the moment."""
        self.hears = False
        """Somebody passes on to it what others send."""
        self.on_parked: Callable[[Wait], object] | None = None
        """Is told when it begins to wait for what needs no process."""
        self.paused: Pause | None = None
        """By whom it is to be held, when it is released."""
        self.parked: Wait | None = None
        """For what it waits that needs no process, and is released therefore."""
        self.scope: trio.CancelScope | None = None
        """What a cancel or a timeout ends; None where neither can come."""
        self.cancelled = False
        """Its handle has cancelled it."""
        self.reason: str | None = None
        """Why it was cancelled."""
        self.done: list[Any] = []
        """What it has done that can be undone: entries for `roll_back`, and child runs that have done something."""
        self.compensation_timeout = compensation_timeout
        """Seconds that undoing may take."""
        self.step = start
        self.limit = limit
        """After how many transitions it fails."""
        self.codec: Any = codec
        self.packed = packed
        """The data as the last finished state left them."""
        self.draft: Any = None
        """The copy that the present attempt works on."""
        self.observers: list[Observer] = list(observers) if parent is None else parent.observers
        self.resources = resources
        """As this run sees them: with those that were made for it alone."""
        self.takes = takes
        """The kinds of the messages that its states take."""
        self.letters: tuple[Letter, ...] = ()
        """The messages that the present state has taken: they leave the mailbox when it is finished."""
        self.intakes = 0
        """How many contexts could receive messages; only the latest can."""
        self._mailbox: Mailbox | None = None
        self.status = RunStatus.RUNNING
        self.path: list[Enum] = []
        """The last states it entered; a deque would weigh 760 bytes in every parked run."""
        self.visits = [0] * size
        self.error: BaseException | None = None
        """The failure that led to the present state by an `on_error`."""
        self.mistake: Exception | None = None
        """What no `on_error` leads anywhere: what a `retry_on` of the user's raised, or a branch that can't be undone."""
        self.joined: BranchResults[Any] | None = None
        """What the branches came to that led to the present state."""
        self.attempts = 1
        """The number of the present state's latest attempt."""
        self.seq: int = 0
        """How many states it has finished, not counting routers."""
        self.clock = trio.lowlevel.current_clock().current_time
        self.started = self.clock()
        self.elapsed = 0.0
        """Seconds that it took; set when it ends."""

    def write_down(self, journal: Unwritten) -> None:
        """Be written down from here on."""
        self.journal = journal
        self.durable = journal.durable

    def cancel(self, reason: str | None = None) -> None:
        """Stop it and undo what it has done, as soon as no held attempt is in flight; the first reason stands."""
        assert self.scope is not None  # noqa: S101  (who has its handle has asked for one)
        if not self.cancelled:
            self.cancelled, self.reason = True, reason
            self.scope.cancel()

    def is_cancelled(self) -> bool:
        """Whether what stops it is its handle, or a timeout, be it of a run whose child it is; not something from outside."""
        run: Run | None = self
        while run is not None:
            if run.cancelled or (run.scope is not None and run.scope.cancel_called):
                return True
            run = run.parent
        return False

    def trail(self) -> tuple[Enum, ...]:
        """The latest states it has entered."""
        return tuple(self.path[-KEPT:])

    def tell(self, kind: type[Event], *what: Any) -> None:
        """Tell the observers; ask `run.observers` first, so that nothing is built for nobody."""
        tell(self.observers, kind(self.run_id, self.workflow, self.step.state, self.clock(), *what))

    def blame(self, mistake: Exception) -> None:
        """Take note of a mistake in its workflow, which is one in those whose child that is, too."""
        run: Run | None = self
        while run is not None:
            run.mistake, run = mistake, run.parent

    def report_progress(self, done: int, total: int | None, /) -> None:
        """Tell the observers how far the present task is."""
        if self.observers:
            self.tell(Progress, done, total)

    def publish(self, value: object, /) -> None:
        """Tell the observers what the present task wants to be told."""
        if self.observers:
            self.tell(Published, value)

    def wait_for(
        self,
        reason: str,
        seconds: float | None = None,
        *,
        parks: bool = False,
        due_at: float | None = None,
        turn: int | None = None,
    ) -> None:
        """Take note of what the run waits for, and how long if that is known; `wait_is_over` ends it.

        Args:
            reason: what it waits for.
            seconds: how long at most.
            parks: the wait can go on without the process.
            due_at: the instant by the clock on the wall, if it waits for that.
            turn: how many waits its backoff has told, if it has one.
        """
        now = self.clock()
        self.wait = Wait(reason, now, None if seconds is None else now + seconds, parks, due_at, self.seq, turn)
        if self.observers:
            self.tell(Waiting, reason, seconds)
        root = self.root
        if parks and self.leaving is not None:  # it was asked to leave before it began to wait
            root.park(self.leaving)
        elif parks and root.on_parked is not None:
            root.on_parked(self.wait)

    def wait_is_over(self) -> None:
        """It waits for nothing any more."""
        self.wait = None

    @property
    def root(self) -> Run:
        """The outermost of the runs whose state's work it does; itself, if it is no child's."""
        run = self
        while run.parent is not None:
            run = run.parent
        return run

    @property
    def innermost(self) -> Run:
        """The run of a child workflow that does the present state's work, or that of its child; else itself."""
        run = self
        while run.child is not None:
            run = run.child
        return run

    def park(self, scope: trio.CancelScope) -> None:
        """Cancel a scope for the run to be released, if it still waits for what needs no process."""
        waiting = self.innermost
        wait = waiting.wait
        if wait is not None and wait.parks:
            self.parked = waiting.parked = wait
            wait.heard = self.mailbox().heard
            scope.cancel()

    def pause(self, scope: trio.CancelScope, reason: str | None, *numbers: int) -> None:
        """Cancel a scope as soon as the present state is finished, for the run to be held; the last reason stands.

        Args:
            scope: what is cancelled.
            reason: why.
            numbers: those of the messages which ask for it, if other processes do.
        """
        earlier = () if self.paused is None else self.paused.numbers
        self.paused = Pause(reason, (*earlier, *numbers))
        self.leave_when_finished(scope)

    def stay(self) -> None:
        """Neither be paused nor leave, if it has not done so yet."""
        if self.paused is not None:
            self.journal.consume(self.paused.numbers)
        self.paused = None
        run: Run | None = self
        while run is not None:
            run.leaving, run = None, run.child

    def leave_when_finished(self, scope: trio.CancelScope) -> None:
        """Cancel a scope as soon as the present state is finished, or at once if that is only waited for."""
        run: Run | None = self
        while run is not None:
            run.leaving, run = scope, run.child
        self.park(scope)

    async def may_begin(self) -> None:
        """Wait until something new may begin: an attempt, a branch, an item, a look, a compensation.

        A process that has been frozen, or can't write, may have lost the run to another one. Half a lease after it was last
        heard of it begins nothing more, before the journal has shown that the run is its own. A state needs no such look:
        what was written down before it has shown it.

        Raises:
            JournalError: it is not, or that can't be found out: the run stops in place.
        """
        if not self.journal.is_held:
            await self.journal.confirm()

    def mailbox(self) -> Mailbox:
        """Its mailbox, made when it is first needed.

        Raises:
            RunAlreadyEnded: it takes no more messages.
        """
        if self.parent is not None:
            return self.parent.mailbox()
        if self.released:
            raise RunReleased(self.run_id)
        if self.status not in _TAKES_MESSAGES:
            raise RunAlreadyEnded(self.run_id, self.status.value)
        if self._mailbox is None:
            self._mailbox = Mailbox(self.run_id, self.takes)
        return self._mailbox

    def remove_letters(self) -> None:
        """Take the messages that the finished work had taken out of the mailbox."""
        letters, self.letters = self.letters, ()
        for letter in letters:
            self.mailbox().remove(letter)

    def put_back_letters(self) -> None:
        """Let the next attempt find the messages that this one has received."""
        received = [letter for letter in self.letters if not letter.kept]
        self.letters = tuple(letter for letter in self.letters if letter.kept)
        self.mailbox().put_back(received)

    def stop(self, status: RunStatus) -> None:
        """Go on to no other state, and take no more messages."""
        self.status = status
        if self._mailbox is not None:
            self._mailbox.close(status.value)
            self._mailbox, self.letters = None, ()
        elif self.parent is not None and self.letters:
            # A child that failed: its parent's state is the one that is finished, if an `on_error` leads it anywhere.
            self.parent.letters, self.letters = (*self.parent.letters, *self.letters), ()

    def leave(self) -> None:
        """Stop here, and let it go on elsewhere."""
        self.released = True
        self.elapsed = self.clock() - self.started
        self.error = self.mistake = None  # they hold the drive loop's frame by their traceback, and it holds the run
        if self._mailbox is not None:
            self._mailbox.turn_away(RunReleased(self.run_id), RELEASED)
            self._mailbox, self.letters = None, ()

    def context(self, attempt: int, part: str, outbox: Outbox | None = None) -> RunContext:
        """The context of an attempt at a part of the present state; one that may write is given an outbox."""
        step = self.step
        rerun = self.rerun or attempt > 1
        return RunContext(self, step.state, self.visits[step.index], attempt, self.seq, self.error, rerun, part, outbox)

    def writing_context(self, attempt: int, part: str) -> RunContext:
        """The context of an attempt whose work is committed: what it wants to happen with that takes the last one's place."""
        outbox = self.outbox = Outbox(durable=True) if self.durable else None
        return self.context(attempt, part, NO_OUTBOX if outbox is None else outbox)

    def receiving_context(self, attempt: int, part: str, intake: Receiving) -> RunContext[Any]:
        """The context of an attempt that may receive messages, too."""
        return replace(self.writing_context(attempt, part), _intake=intake)

    def data(self) -> Any:
        """A copy of the data as the last finished state left them."""
        return None if self.codec is None else self.codec.unpack(self.packed)

    def reader(self) -> Callable[[], Any] | None:
        """What gives a copy of these data, and does not hold the run; None if its workflow has none."""
        return None if self.codec is None else partial(self.codec.unpack, self.packed)

    def keep_draft(self) -> None:
        """Make what the finished attempt wrote the run's data."""
        self.packed = self.codec.pack(self.draft)

    def refuse_change(self, copy: Any, label: str) -> None:
        """Refuse a change to data that were given for reading; unnoticed where they are deep copies, which may not compare.

        Raises:
            DataNotWritable: with the field that was changed.
        """
        if isinstance(self.packed, bytes) and (
            where := difference(self.codec.unpack(self.packed), copy, type(copy).__name__)
        ):
            raise DataNotWritable(label, where)
