"""Work stopped at every single step that trio makes of it: what does it leave behind, wherever the stop finds it?"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeAlias, TypeVar, final

import trio
from trio.abc import Instrument
from trio.lowlevel import Task
from trio.testing import MockClock

World = TypeVar("World")

LONGEST = 86_400.0
"""Virtual seconds after which work that goes on has lost its cancel."""


@final
class Stopper(Instrument):
    """Stops work at one moment: just before a task of it goes on, or just after it has begun to wait.

    Before a step the stop meets work that is about to go on: the step is made, and its next checkpoint raises. After one
    it meets work that waits, and what it waits in must let go.

    Args:
        root: the task that does the work.
        stop: stops it.
        moment: which moment, counted from 1.
    """

    def __init__(self, root: Task, stop: Callable[[], object], moment: int) -> None:
        self._root = root
        self._stop = stop
        self._left = moment

    def before_task_step(self, task: Task) -> None:
        """The task is about to go on."""
        self._pass(task)

    def after_task_step(self, task: Task) -> None:
        """The task waits, or has ended."""
        self._pass(task)

    def _pass(self, task: Task) -> None:
        if self._is_ours(task):
            self._left -= 1
            if not self._left:
                self._stop()

    @property
    def has_stopped(self) -> bool:
        """The moment has come."""
        return self._left <= 0

    def _is_ours(self, task: Task | None) -> bool:
        """Whether it is the task that does the work, or was begun in a nursery below it."""
        while task is not None and task is not self._root:
            task = None if task.parent_nursery is None else task.parent_nursery.parent_task
        return task is not None


def cancel_at_every_step(
    make: Callable[[], World],
    work: Callable[[World], Awaitable[object]],
    check: Callable[[World], object] = lambda _: None,
) -> int:
    """Do work again and again, cancelled before it begins and then each time one moment later, until it is done first.

    Each time is a trio run of its own in virtual time, in which all three are called. Besides what `check` asserts, no task
    may outlive the work, and the cancel must arrive as nothing but a cancel: it is no failure, and no group.

    Args:
        make: makes what the work needs, anew for each time, such as a task object, a limiter and a list of effects.
        work: runs a workflow in that world.
        check: asserts, after each time, that nothing is left over in that world.

    Returns:
        The number of moments at which it was cancelled.
    """
    return _stop_at_every_step(_cancelled, make, work, check, first=0)


def interrupt_at_every_step(
    make: Callable[[], World],
    work: Callable[[World], Awaitable[object]],
    check: Callable[[World], object] = lambda _: None,
) -> int:
    """As `cancel_at_every_step`, but it is a Ctrl-C that comes, and that is to come out as nothing but a KeyboardInterrupt.

    Returns:
        The number of moments at which it came.
    """
    return _stop_at_every_step(_interrupted, make, work, check, first=1)


Stopped: TypeAlias = Callable[[Callable[[], Awaitable[object]], int], Awaitable[bool]]
"""Does work that is stopped at a moment; tells whether that came before its end."""


def _stop_at_every_step(
    stopped: Stopped,
    make: Callable[[], World],
    work: Callable[[World], Awaitable[object]],
    check: Callable[[World], object],
    *,
    first: int,
) -> int:
    async def once(moment: int) -> bool:
        world = make()
        living = trio.lowlevel.current_statistics().tasks_living
        has_stopped = await stopped(lambda: work(world), moment)
        left = trio.lowlevel.current_statistics().tasks_living - living
        assert not left, f"{left} tasks outlived the work"
        check(world)
        return has_stopped

    for moment in count(first):
        try:
            if not trio.run(once, moment, clock=MockClock(autojump_threshold=0)):
                return moment - first
        except BaseException as error:
            error.add_note(f"stopped at moment {moment}")
            raise
    raise AssertionError("unreachable: the count has no end")


async def _cancelled(work: Callable[[], Awaitable[object]], moment: int) -> bool:
    with trio.fail_after(LONGEST), trio.CancelScope() as scope:
        if not moment:
            scope.cancel()
        with _stepped(Stopper(trio.lowlevel.current_task(), scope.cancel, moment)):
            await work()
    return scope.cancel_called


async def _interrupted(work: Callable[[], Awaitable[object]], moment: int) -> bool:
    # Trio gives it to the main task of its run, which this is, at its next checkpoint: and it may not be that of the work.
    stopper = Stopper(trio.lowlevel.current_task(), lambda: signal.raise_signal(signal.SIGINT), moment)
    try:
        with _stepped(stopper):
            await work()
        if stopper.has_stopped:
            await trio.lowlevel.checkpoint()
    except KeyboardInterrupt:
        assert stopper.has_stopped
    return stopper.has_stopped


@contextmanager
def _stepped(stopper: Stopper) -> Iterator[None]:
    trio.lowlevel.add_instrument(stopper)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(stopper)
