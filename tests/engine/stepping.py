"""Work stopped at every single step that trio makes of it: what does it leave behind, wherever the stop finds it?"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar, final

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
    for moment in count():
        try:
            if not trio.run(_cancel_at, moment, make, work, check, clock=MockClock(autojump_threshold=0)):
                return moment
        except BaseException as error:
            error.add_note(f"cancelled at moment {moment}")
            raise
    raise AssertionError("unreachable: the count has no end")


async def _cancel_at(
    moment: int,
    make: Callable[[], World],
    work: Callable[[World], Awaitable[object]],
    check: Callable[[World], object],
) -> bool:
    """Do the work once; whether the cancel came before its end."""
    world = make()
    living = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(LONGEST), trio.CancelScope() as scope:
        if not moment:
            scope.cancel()
        stopper = Stopper(trio.lowlevel.current_task(), scope.cancel, moment)
        trio.lowlevel.add_instrument(stopper)
        try:
            await work(world)
        finally:
            trio.lowlevel.remove_instrument(stopper)
    left = trio.lowlevel.current_statistics().tasks_living - living
    assert not left, f"{left} tasks outlived the work"
    check(world)
    return scope.cancel_called


def interrupt_at_every_step(
    make: Callable[[], World],
    work: Callable[[World], Awaitable[object]],
    check: Callable[[World], object] = lambda _: None,
) -> int:
    """As `cancel_at_every_step`, but it is a Ctrl-C that comes, and that is to come out as nothing but a KeyboardInterrupt.

    Returns:
        The number of moments at which it came.
    """
    for moment in count(1):
        try:
            if not trio.run(_interrupt_at, moment, make, work, check, clock=MockClock(autojump_threshold=0)):
                return moment - 1
        except BaseException as error:
            error.add_note(f"interrupted at moment {moment}")
            raise
    raise AssertionError("unreachable: the count has no end")


async def _interrupt_at(
    moment: int,
    make: Callable[[], World],
    work: Callable[[World], Awaitable[object]],
    check: Callable[[World], object],
) -> bool:
    """Do the work once; whether the interrupt came before its end."""
    world = make()
    living = trio.lowlevel.current_statistics().tasks_living
    # Trio gives it to the main task of its run, which this is, at its next checkpoint: and it may not be that of the work.
    stopper = Stopper(trio.lowlevel.current_task(), lambda: signal.raise_signal(signal.SIGINT), moment)
    trio.lowlevel.add_instrument(stopper)
    try:
        try:
            await work(world)
        finally:
            trio.lowlevel.remove_instrument(stopper)
        if stopper.has_stopped:
            await trio.lowlevel.checkpoint()
    except KeyboardInterrupt:
        assert stopper.has_stopped
    left = trio.lowlevel.current_statistics().tasks_living - living
    assert not left, f"{left} tasks outlived the work"
    check(world)
    return stopper.has_stopped
