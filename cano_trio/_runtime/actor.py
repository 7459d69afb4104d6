"""A run as this process knows it: at work here, waiting in the journal, held by another process, or over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import Any, Protocol, TypeVar, final

import trio

from .._define.definition import Definition
from .._define.question import Question
from .._engine.failure import share_context
from .._engine.run import Run as EngineRun
from .._engine.unwritten import UNWRITTEN
from .._errors import RunAlreadyEnded, RunCancelled, RunError, RunFailed, RunReleased
from .._journal.rows import Position
from .._observe.events import Event, StateEntered
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .result import RunResult, result_of

R = TypeVar("R")
T = TypeVar("T")

NO_LABELS: Mapping[str, str] = {}


class Host(Protocol):
    """Who carries a run out, and does with it what its handle asks for."""

    def watching(self, actor: Actor, /) -> AbstractContextManager[None]:
        """Look, for the block, at what happens to a run that is not at work here."""
        ...

    async def send(self, actor: Actor, message: object, key: str | None, /, *, require_waiting: bool) -> bool:
        """Send it a message."""
        ...

    async def ask(self, actor: Actor, question: Question[R], /) -> R:
        """Ask it, and wait for the reply."""
        ...

    def cancel(self, actor: Actor, reason: str | None, /) -> None:
        """Have it cancelled."""
        ...

    def bring_down(self, actor: Actor, reason: str | None, /) -> None:
        """Have it cancelled, though it may be begun again then."""
        ...

    async def pause(self, actor: Actor, reason: str | None, /) -> None:
        """Have it held."""
        ...

    async def go_on(self, actor: Actor, /, *, retry: bool) -> None:
        """Have it go on."""
        ...

    async def entered(self, actor: Actor, /) -> tuple[Enum, ...]:
        """The states that it has entered, the present one last."""
        ...


class Keeper(Protocol):
    """Who has a run begun again when it fails."""

    def goes_on(self, failure: Exception | None, /) -> bool:
        """Whether it goes on, though it has just ended."""
        ...

    def was_put_down(self, failure: Exception | None, /) -> None:
        """It is not at work here any more, and goes on elsewhere or later."""
        ...

    def call_off(self, reason: str | None, /) -> bool:
        """Somebody cancels it: it is not begun again. Tells whether it only waited for that."""
        ...


@final
class Actor:
    """One run.

    Args:
        run_id: its id.
        workflow: its workflow.
        host: who carries it out.
    """

    __slots__ = (
        "__weakref__",
        "_bell",
        "crashes",
        "endings",
        "engine",
        "failure",
        "host",
        "hurry",
        "keeper",
        "labels",
        "observers",
        "obstacle",
        "over",
        "position",
        "priority",
        "reader",
        "released",
        "restart_at",
        "run_id",
        "scope",
        "task",
        "waiters",
        "watchers",
        "workflow",
    )  # fmt: skip

    def __init__(self, run_id: str, workflow: Definition[Any, Any], host: Host) -> None:
        self.run_id = run_id
        self.workflow = workflow
        self.host = host
        self.labels: Mapping[str, str] = NO_LABELS
        self.priority = 0
        self.engine: EngineRun | None = None
        """The run at work here; or as it was when it ended here."""
        self.scope = trio.CancelScope()
        """What releases it."""
        self.task: trio.lowlevel.Task | None = None
        """What carries it out."""
        self.hurry: trio.CancelScope | None = None
        """What ends its wait to begin."""
        self.position: Position | None = None
        """Where it stood when it was last heard of, if it is not at work here."""
        self.reader: Callable[[], Any] | None = None
        """What gives its data then."""
        self.crashes = 0
        """How many of its owners had died in a row when it was taken up."""
        self.failure: BaseException | None = None
        """Why it has not reached an exit."""
        self.obstacle: Exception | None = None
        """Why it could not be taken up."""
        self.over = False
        """Nothing more of it will be heard here."""
        self.released = False
        """It goes on, but not here."""
        self.keeper: Keeper | None = None
        """Who has it begun again when it fails."""
        self.restart_at: float | None = None
        """When it is begun again, by trio's clock, if it has ended and that is to be."""
        self.waiters = 0
        """How many wait for its end."""
        self.watchers = 0
        """How many want to know what happens to it."""
        self.observers: tuple[Observer, ...] = ()
        """Who is told of its events, besides those of all runs."""
        self.endings: tuple[Callable[[], object], ...] = ()
        """What is called when it is over."""
        self._bell: trio.Event | None = None

    # -- where it is

    @property
    def status(self) -> RunStatus:
        """Where it stands, as far as is known here."""
        run = self.engine
        if self.restart_at is not None:
            return RunStatus.WAITING
        if run is None:
            return RunStatus.QUEUED if self.position is None else self.position.status
        if run.status is RunStatus.RUNNING and run.innermost.wait is not None:
            return RunStatus.WAITING
        return run.status

    @property
    def state(self) -> Enum:
        """The state it is in, as far as is known here."""
        if self.engine is not None:
            return self.engine.step.state
        assert self.position is not None  # noqa: S101  (a run that is not at work was read from a journal)
        state: Enum | None = self.workflow.state_named(self.position.state)
        return self.workflow.initial if state is None else state

    @property
    def attempts(self) -> int:
        """The number of the present attempt."""
        return 1 if self.engine is None else self.engine.attempts

    def data(self) -> Any:
        """Its data as they were last committed, as far as is known here."""
        if self.engine is not None:
            return self.engine.data()
        return None if self.reader is None else self.reader()

    def check_heard(self) -> None:
        """See that it can still be heard of.

        Raises:
            RunReleased: it goes on, but not here.
        """
        if self.released:
            raise self._error() from self.failure

    def check_not_over(self, what: str) -> None:
        """See that something can still happen to it.

        Args:
            what: what can't, if it is over.

        Raises:
            RunAlreadyEnded: it is over.
            RunReleased: it goes on, but not here.
        """
        self.check_heard()
        if self.over:
            raise RunAlreadyEnded(self.run_id, self.status.value, what)

    # -- what happens to it

    def attach(self, run: EngineRun) -> None:
        """Be at work here."""
        run.observers += self.observers
        self.engine = run
        self.released = False
        self.obstacle = self.restart_at = None
        self.ring()

    def detach(self) -> None:
        """Be at work here no more: go on elsewhere, or later."""
        run = self.engine
        if run is not None:
            self.part()
            self.reader = run.reader()
            self.engine = None
        self.scope = trio.CancelScope()
        self.task = None
        self.ring()

    def part(self) -> None:
        """Take apart what would hold each other in memory: this, the run at work, and what was written down of it."""
        run = self.engine
        if run is not None and run.journal is not UNWRITTEN:
            self.position = run.journal.last
            run.on_parked = None
            run.journal = UNWRITTEN

    def place(self, position: Position, reader: Callable[[], Any] | None) -> None:
        """Take note of where it stands, and what gives its data, of one that is not at work here."""
        self.position, self.reader = position, reader
        self.ring()

    def end(self, failure: BaseException | None) -> None:
        """Take note of its end."""
        self.failure = failure
        self.over = True
        self.task = self.restart_at = None
        self.ring()
        for told in self.endings:
            told()

    def reopen(self) -> None:
        """Be heard of again."""
        self.over = self.released = False
        self.failure = self.obstacle = None
        self.detach()

    def let_go(self, cause: BaseException | None) -> None:
        """Nothing more of it will be heard here, though it is not over."""
        if not self.over:
            self.released = True
            self.end(cause)

    def ring(self) -> None:
        """Wake those who want to know what happens to it."""
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    async def back(self) -> None:
        """Wait until it is begun again, if it waits for that."""
        while self.restart_at is not None:
            await self.rung()

    async def rung(self) -> None:
        """Wait until something happens to it."""
        await self.next_ring().wait()

    def next_ring(self) -> trio.Event:
        """What is set as soon as something happens to it: for who looks at it in the journal, which takes time."""
        if self._bell is None:
            self._bell = trio.Event()
        return self._bell

    # -- waiting for it

    async def wait(self) -> RunResult[Any, Any]:
        """Wait for its end.

        Raises:
            RunError: it has not reached an exit; each caller gets an error of its own, from the failure.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self.over:
            self.waiters += 1
            try:
                with self.host.watching(self):
                    while not self.over:
                        await self.rung()
            finally:
                self.waiters -= 1
        await trio.lowlevel.cancel_shielded_checkpoint()
        return self.result()

    def result(self) -> RunResult[Any, Any]:
        """What it came to.

        Raises:
            RunError: it has not reached an exit.
        """
        if self.engine is not None and self.engine.status is RunStatus.COMPLETED:
            return result_of(self.engine)
        raise self._error() from self.failure

    def _error(self) -> RunError:
        error = self._own_error()
        if self.failure is not None:
            share_context(error, self.failure)
        return error

    def _own_error(self) -> RunError:
        if self.released:
            return RunReleased(self.run_id)
        status = self.status
        if status is RunStatus.CANCELLED:
            return RunCancelled(self.reason)
        why = None if self.failure is None else f"{type(self.failure).__name__}: {self.failure}"
        return RunFailed(self.run_id, status.value, why, _HINTS.get(status, ""))

    @property
    def reason(self) -> str | None:
        """Why it was cancelled, is paused or is blocked."""
        if self.engine is not None:
            return self.engine.reason
        return None if self.position is None else self.position.reason

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Be rung, for the block, at each state that it enters."""
        ringer = _Ringer(self)
        self.watch(ringer)
        try:
            with self.host.watching(self):
                yield
        finally:
            self.unwatch(ringer)

    def watch(self, observer: Observer) -> None:
        """Have somebody told of its events, wherever it goes on in this process."""
        self.observers += (observer,)
        if self.engine is not None and not self.over:
            self.engine.observers.append(observer)

    def unwatch(self, observer: Observer) -> None:
        """Have them told no more."""
        self.observers = without(self.observers, observer)
        if self.engine is not None and observer in self.engine.observers:
            self.engine.observers.remove(observer)


def without(all_: tuple[T, ...], one: T) -> tuple[T, ...]:
    """All but one, if that is among them."""
    return tuple(other for other in all_ if other != one)


_HINTS = {
    RunStatus.FAILED: "If it has a journal, it can be tried again from the state it failed in: await run.retry().",
    RunStatus.ROLLBACK_FAILED: "What is left needs an operator: workflow.retry_rollback(...), behind the cause is removed.",
}


@final
class _Ringer:
    """Rings at each state."""

    __slots__ = ("_actor",)

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def on_event(self, event: Event, /) -> None:
        if type(event) is StateEntered:
            self._actor.ring()
