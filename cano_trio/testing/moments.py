"""Watches the steps of a scenario: cancels it at one of them, and stops what would go on for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import trio
from trio.abc import Instrument
from trio.lowlevel import Task

MOST_TURNS: Final = 200_000
"""Turns of trio's loop after which a process that goes on hangs."""


LAST_TURNS: Final = 20_000
"""Turns that a process has, once it is cancelled, to come to its end."""

_LOOKS: Final = 50
"""Turns after which it is looked at how things stand."""


@final
class TurnLimit(Instrument):
    """Stops a process that makes too many turns of trio's loop, and drops one that is stopped and goes on.

    Args:
        scope: what is cancelled.
        drop: ends the trio run where it stands.
    """

    def __init__(self, scope: trio.CancelScope, drop: Callable[[], object]) -> None:
        self._scope = scope
        self._drop = drop
        self.most = self._left = MOST_TURNS
        self._last = LAST_TURNS

    @property
    def is_spent(self) -> bool:
        """It made too many."""
        return self._left < 0

    def before_io_wait(self, timeout: float) -> None:
        """A turn is over."""
        del timeout
        self._left -= 1
        if self._left % _LOOKS == 0:
            self._look()

    def _look(self) -> None:
        if self._scope.cancel_called:
            self._last -= _LOOKS
            if self._last < 0:
                self._drop()
        elif self._left <= 0:
            self._left = -1
            self._scope.cancel()


@final
class Moments(Instrument):
    """Counts the moments of a task and of all below it, and does something at one of them.

    A moment is just before a task goes on, when the next checkpoint of it raises what was done; or just after it has begun to
    wait, when what it waits in must let go.

    Args:
        root: the task.
        counts: whether a moment counts.
        stop: is called at the moment.
        at: which moment, counted from 0.
    """

    def __init__(self, root: Task, counts: Callable[[], bool], stop: Callable[[], object], at: int) -> None:
        self._root = root
        self._counts = counts
        self._stop = stop
        self._at = at
        self.passed: int = 0
        """How many there were."""

    def before_task_step(self, task: Task) -> None:
        """The task is about to go on."""
        self._pass(task)

    def after_task_step(self, task: Task) -> None:
        """The task waits, or has ended."""
        self._pass(task)

    def _pass(self, task: Task) -> None:
        if self._is_ours(task) and self._counts():
            self.passed += 1
            if self.passed == self._at + 1:
                self._stop()

    def _is_ours(self, task: Task | None) -> bool:
        while task is not None and task is not self._root:
            task = None if task.parent_nursery is None else task.parent_nursery.parent_task
        return task is not None
