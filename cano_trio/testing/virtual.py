"""A trio run in virtual time, the same each time, in which the clock never runs ahead of a thread."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TypeVar, TypeVarTuple, final

import trio
from trio.abc import Instrument
from trio.testing import MockClock, active_thread_count

from .._clock import monotonic
from .._journal.sqlite.jobs import unanswered
from .seeding import seeded

T = TypeVar("T")
Args = TypeVarTuple("Args")

PATIENCE = 1.0
"""Real seconds for which trio's loop stands still for threads; a thread that takes longer may wait for a task of the loop."""

_GLANCE = 20e-6
_never = Event()


def run_virtual(async_fn: Callable[[*Args], Awaitable[T]], *args: *Args, seed: int | None = None) -> T:
    """Run trio in virtual time, the same way each time.

    The clock is a `trio.testing.MockClock` that jumps whenever all tasks wait, and the library's wall clock goes with it: it
    begins on 2030-01-01. The order of tasks, the jitter of retries and the module `random` go by the seed.

    **Threads** are threads still, but trio's loop stands still until all have answered: those of `trio.to_thread.run_sync`
    (and so of `trio.Path`, files and name look-ups) and those of a `SqliteJournal`. No virtual time passes for them, and
    which of them is faster makes no difference. One that is at work for more than a second, or waits for what a task of the
    loop does, is not waited for any longer; the clock then still does not jump before it has answered. Threads, processes and
    sockets of other libraries are not known here, and the clock does jump past them.

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
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "this runs trio by itself, and a trio run is under way already. Call it from a plain function, such as "
            "`def test_it()` in place of `async def test_it()`."
        )
    watch = ThreadWatch(clock)
    with seeded(seed), watch.told_of_questions():
        return trio.run(async_fn, *args, clock=clock, instruments=[watch, *instruments])


@final
class ThreadWatch(Instrument):
    """Has trio's loop stand still while threads are at work.

    All that have answered by then have their tasks go on in one turn, in the order that the seed gives them.

    Args:
        clock: the clock, which does not jump meanwhile.
    """

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self._gave_up = False
        self._asking = 0
        """How many threads wait for what they have asked trio to do; time may pass for that."""
        self._token: trio.lowlevel.TrioToken | None = None

    def before_io_wait(self, timeout: float) -> None:
        """The loop is about to wait, or to jump."""
        del timeout
        if self._at_work() or unanswered():
            if not self._gave_up:
                if not self._await_answers():
                    self._gave_up, self._clock.autojump_threshold = True, math.inf
                self._decide_anew()
        elif self._gave_up:
            self._gave_up, self._clock.autojump_threshold = False, 0
            self._decide_anew()

    @contextmanager
    def told_of_questions(self) -> Iterator[None]:
        """Know, inside, which threads wait for an async function that they have given to `trio.from_thread.run`."""
        run = trio.from_thread.run

        async def counted(async_fn: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
            self._asking += 1
            try:
                return await async_fn(*args)
            finally:
                self._asking -= 1

        def run_counted(
            async_fn: Callable[[*Args], Awaitable[T]],
            *args: *Args,
            trio_token: trio.lowlevel.TrioToken | None = None,
        ) -> T:
            return run(counted, async_fn, *args, trio_token=trio_token)

        trio.from_thread.run = run_counted  # type: ignore[assignment]  # its own type variables have other names
        try:
            yield
        finally:
            trio.from_thread.run = run

    def _at_work(self) -> int:
        return active_thread_count() - self._asking

    def _await_answers(self) -> bool:
        until = monotonic() + PATIENCE
        while monotonic() < until:
            if not unanswered() and _queued() >= self._at_work():
                return True
            _never.wait(_GLANCE)
        return False

    def _decide_anew(self) -> None:
        # How long to wait was decided before this was asked: a loop that is woken at once does not jump.
        if self._token is None:
            self._token = trio.lowlevel.current_trio_token()
        self._token.run_sync_soon(_nothing, idempotent=True)


def _queued() -> int:
    """How much waits to be done in trio's own thread: each thread that has answered, or asks for something, has put in one."""
    return trio.lowlevel.current_statistics().run_sync_soon_queue_size


def _nothing() -> None:
    """What only wakes the loop."""
