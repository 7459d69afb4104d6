"""A trio run in virtual time, the same each time, in which the clock never runs ahead of a thread."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock
from typing import Any, TypeVar, TypeVarTuple, final

import trio
from outcome import Outcome
from trio.abc import Instrument
from trio.testing import MockClock

from .._clock import monotonic
from .._journal.sqlite.jobs import unanswered
from .switches import StartThread, seeded, threads_started_by

T = TypeVar("T")
Args = TypeVarTuple("Args")

PATIENCE = 5.0
"""Real seconds for which trio's loop stands still for threads; one that takes longer may wait for a task of the loop."""

_GLANCE = 20e-6
_never = Event()


def run_virtual(async_fn: Callable[[*Args], Awaitable[T]], *args: *Args, seed: int | None = None) -> T:
    """Run trio in virtual time, the same way each time.

    The clock is a `trio.testing.MockClock` that jumps whenever all tasks wait, and the library's wall clock goes with it: it
    begins on 2030-01-01. The order of tasks, the jitter of retries and the module `random` go by the seed.

    **Threads** are threads still, but trio's loop stands still until all have answered: those of `trio.to_thread.run_sync`
    (and so of `trio.Path`, files and name look-ups) and those of a `SqliteJournal`. No virtual time passes for them, and
    which of them is faster makes no difference. Time passes while a thread waits for what it asks trio, by
    `trio.from_thread.run`. One that is at work for more than five real seconds is not waited for any longer: it may wait for
    what a task of the loop does. Threads, processes and sockets that are not trio's are not known here, and the clock does
    jump past them.

    Args:
        async_fn: what is run.
        args: its arguments.
        seed: by which order tasks run that could run in any; 0 if it is not given.

    Returns:
        What it returned.

    Raises:
        SchedulerNotSeedable: this version of trio can't do it.
        RuntimeError: a trio run is under way in this thread.

    >>> import trio
    >>> from cano_trio.testing import run_virtual
    >>> async def thirty_days():
    ...     begun = trio.current_time()
    ...     await trio.sleep(30 * 86_400)
    ...     return trio.current_time() - begun
    >>> run_virtual(thirty_days)
    2592000.0
    """
    return run_on(virtual_clock(), 0 if seed is None else seed, async_fn, *args)


def virtual_clock(time: float = 0.0) -> MockClock:
    """A clock that jumps, and begins at an instant."""
    clock = MockClock(autojump_threshold=0)
    clock.jump(time)
    return clock


def run_on(
    clock: MockClock,
    seed: int,
    async_fn: Callable[[*Args], Awaitable[T]],
    *args: *Args,
    instruments: Sequence[Instrument] = (),
) -> T:
    """Run trio as `run_virtual` does, by a clock that is given."""
    check_outside()
    watch = ThreadWatch()
    with seeded(seed), watch.watching():
        try:
            return trio.run(async_fn, *args, clock=clock, instruments=[watch, *instruments])
        except trio.TrioInternalError as error:
            if not isinstance(error.__cause__, Dropped):
                raise
        finally:
            vars(clock).pop("current_time", None)
    raise Dropped


@final
class Dropped(BaseException):
    """A trio run was dropped where it stood."""


def sweep() -> None:
    """Have the tasks of a run that was dropped be gone; what they say to that is heard by nobody."""
    heard = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings(action="ignore"):
            gc.collect()
    finally:
        sys.unraisablehook = heard


def drop(clock: MockClock) -> None:
    """Have the trio run that goes by a clock be dropped where it stands, since it does not end when it is cancelled.

    An instrument can't end it, nor can a task: what it raises is passed over, or caught. But trio's loop asks its clock each
    turn, and what the clock raises nobody catches.
    """

    def raises() -> float:
        raise Dropped

    vars(clock)["current_time"] = raises


@final
class ThreadWatch(Instrument):
    """Has trio's loop stand still while threads are at work.

    All that have answered by then have their tasks go on in one turn, in the order that the seed gives them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._started = 0
        self._answered = 0
        """How many of those that were started have put their answer where trio finds it."""
        self._asked = 0
        """How many questions to trio threads have begun to ask: they wait, and time may pass for that."""
        self._heard = 0
        """How many of these trio has begun to answer."""
        self._replied = 0
        """How many it has found the answer to."""
        self._returned = 0
        """How many have had their answer."""
        self._given_up: tuple[int, int] | None = None

    def before_io_wait(self, timeout: float) -> None:
        """The loop is about to wait, or to jump."""
        del timeout
        if self._started == self._answered and not unanswered():
            return
        if (self._started, self._answered) != self._given_up:
            if not self._await_answers():
                self._given_up = (self._started, self._answered)
            elif trio.lowlevel.current_statistics().run_sync_soon_queue_size:
                # Whether to jump was decided before this was asked; a loop that is woken does not.
                trio.lowlevel.current_trio_token().run_sync_soon(_nothing, idempotent=True)

    def _await_answers(self) -> bool:
        """Wait until no thread is at work: each has answered, or waits for an answer of trio's."""
        until = monotonic() + PATIENCE
        while monotonic() < until:
            if self._rests() and not unanswered():
                return True
            _never.wait(_GLANCE)
        return False

    def _rests(self) -> bool:
        """Whether no thread is at work, and trio knows of what they have asked, or has a task that is about to hear of it."""
        statistics = trio.lowlevel.current_statistics()
        at_work = self._started - self._answered - (self._asked - self._replied)
        if statistics.tasks_runnable:
            return at_work <= self._replied - self._returned
        return at_work == 0 and (self._asked == self._heard or statistics.run_sync_soon_queue_size > 0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Know of the threads that trio starts, and of what they ask trio."""
        functions = trio.from_thread.__dict__
        run, run_sync = trio.from_thread.run, trio.from_thread.run_sync

        async def heard(async_fn: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
            self._heard += 1
            try:
                return await async_fn(*args)
            finally:
                self._replied += 1

        def heard_sync(fn: Callable[[*Args], T], *args: *Args) -> T:
            self._heard += 1
            try:
                return fn(*args)
            finally:
                self._replied += 1

        def ask(async_fn: Any, *args: Any, trio_token: trio.lowlevel.TrioToken | None = None) -> Any:
            with self._question():
                return run(heard, async_fn, *args, trio_token=trio_token)

        def ask_sync(fn: Any, *args: Any, trio_token: trio.lowlevel.TrioToken | None = None) -> Any:
            with self._question():
                return run_sync(heard_sync, fn, *args, trio_token=trio_token)

        functions.update(run=ask, run_sync=ask_sync)
        try:
            with threads_started_by(self._counted):
                yield
        finally:
            functions.update(run=run, run_sync=run_sync)

    @contextmanager
    def _question(self) -> Iterator[None]:
        with self._lock:
            self._asked += 1
        try:
            yield
        finally:
            with self._lock:
                self._returned += 1

    def _counted(self, start: StartThread) -> StartThread:
        def start_counted(
            work: Callable[[], T], deliver: Callable[[Outcome[T]], object], name: str | None = None
        ) -> None:
            def delivered(result: Outcome[T]) -> None:
                try:
                    deliver(result)
                finally:
                    with self._lock:
                        self._answered += 1

            self._started += 1
            start(work, delivered, name)

        return start_counted


def _nothing() -> None:
    """What only wakes the loop."""


def check_outside() -> None:
    """See that no trio run is under way here.

    Raises:
        RuntimeError: one is.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "this runs trio by itself, and a trio run is under way already. Call it from a plain function, such as "
            "`def test_it()` in place of `async def test_it()`."
        )
