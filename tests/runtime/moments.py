"""Something that happens to runs at every single moment of their lives: whatever it meets there, nothing may be lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import final

import trio
from trio.abc import Instrument
from trio.lowlevel import Task

from tests.runtime.desk import process


@final
class Moment(Instrument):
    """One moment of a block: just before a task goes on, be it whose it may.

    Args:
        number: which one, counted from 1.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self._act: Callable[[], object] | None = None

    @contextmanager
    def of_block(self, act: Callable[[], object]) -> Iterator[None]:
        """Do something at that moment of the block, if it has so many."""
        self._act = act
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)
            self._act = None

    @property
    def has_come(self) -> bool:
        """It was one of the block's."""
        return self._left <= 0

    def before_task_step(self, task: Task) -> None:
        """A task goes on."""
        self._left -= 1
        if not self._left and self._act is not None:
            self._act()


def at_every_moment(play: Callable[[Moment], Awaitable[None]], every: int = 1) -> int:
    """Play something again and again, each time with a later moment, until that comes no more; gives how often.

    Args:
        play: what is played; in a trio run of its own, in virtual time.
        every: only at every so many moments.
    """
    for number in count(1, every):
        moment = Moment(number)
        try:
            process(play, moment)
        except BaseException as error:
            error.add_note(f"at moment {number}")
            raise
        if not moment.has_come:
            return number
    raise AssertionError("unreachable: the count has no end")
