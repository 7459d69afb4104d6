"""What tasks wait for, so that it can be told; a task that waits for nothing costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Self, final

import trio
from trio.lowlevel import Task, current_task

_waits: Final[dict[Task, Waits]] = {}


@final
class Waits:
    """A block in which the present task waits.

    Args:
        reason: what for, in words; or what tells it when it is asked.
        until: when the wait is over at the latest, by trio's clock, if that is known.
    """

    __slots__ = ("_outer", "_reason", "since", "until")

    def __init__(self, reason: str | Callable[[], str], until: float | None = None) -> None:
        self._reason = reason
        self.since = trio.current_time()
        self.until = until
        self._outer: Waits | None = None

    @property
    def reason(self) -> str:
        """What for, in words."""
        return self._reason if isinstance(self._reason, str) else self._reason()

    def __enter__(self) -> Self:
        """The wait begins."""
        task = current_task()
        self._outer = _waits.get(task)
        _waits[task] = self
        return self

    def __exit__(self, *_: object) -> None:
        """It is over."""
        task = current_task()
        if self._outer is None:
            _waits.pop(task, None)
        else:
            _waits[task] = self._outer


def waits_of(task: Task) -> Iterator[Waits]:
    """What a task waits for, and then the tasks in its nurseries."""
    if task in _waits:
        yield _waits[task]
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from waits_of(child)
