"""A batch whose processes die soon, each of them: as long as one item is finished in each life, it comes to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from itertools import pairwise
from typing import Literal, TypeVar

import pytest
import trio
from trio.testing import MockClock

from cano_trio import BatchResults, RunBlocked, Workflow
from cano_trio.journals import Commit, ForwardingJournal, MemoryJournal

T = TypeVar("T")


class Step(Enum):
    WORK = auto()
    DONE = auto()


class Death(BaseException):
    """The end of a process."""


class Mortal(ForwardingJournal):
    """A journal whose process dies at some instant: it writes nothing more, and gives nothing back."""

    def __init__(self, inner: MemoryJournal, dies_at: float) -> None:
        super().__init__(inner)
        self.dies_at = dies_at

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if trio.current_time() >= self.dies_at:
            raise Death
        return await super().forward(method, call)

    async def __aexit__(self, *exc_info: object) -> None:
        """The process is gone first."""


def workflow(calls: list[int], seconds: float, items: int) -> Workflow[Step, None]:
    """A batch of so many items, of which each takes so many seconds."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="w")

    @work.batch(Step.WORK)
    async def item(number: int) -> int:
        calls.append(number)
        await trio.sleep(seconds)
        return number

    @item.load
    async def load() -> list[int]:
        return [*range(items)]

    @item.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        assert results.values == [*range(items)]
        return Step.DONE

    return work


def lives(work: Workflow[Step, None], seconds: float) -> int:
    """How many processes it takes, each of which lives so long."""
    store = MemoryJournal()

    async def live() -> None:
        journal = Mortal(store, trio.current_time() + seconds)
        with trio.move_on_after(seconds):
            await work.run(run_id="r", journal=journal, on_duplicate="attach")
            return
        raise Death

    for number in range(1, 100):
        try:
            trio.run(live, clock=MockClock(autojump_threshold=0))
        except BaseException as error:
            if _is_death(error):
                continue
            raise
        return number
    raise AssertionError("it never ends")


def _is_death(error: BaseException) -> bool:
    return isinstance(error, Death) or (isinstance(error, BaseExceptionGroup) and all(map(_is_death, error.exceptions)))


@pytest.mark.parametrize("seconds", [0.005, 0.015, 0.03, 0.045])
def test_each_life_makes_progress(seconds: float) -> None:
    """From the second life on what it has finished is written down at once, so that none of them is in vain."""
    calls: list[int] = []
    assert lives(workflow(calls, seconds / 2.5, items=10), seconds) <= 11
    assert max(map(calls.count, range(10))) <= 4


def test_a_life_too_short_for_one_item_is_a_crash_loop() -> None:
    """Where no life finishes an item, nothing goes on, and after five of them the run is blocked."""
    with pytest.raises(RunBlocked, match="crash_loop"):
        lives(workflow([], 1, items=2), 0.5)


class Chunks(ForwardingJournal):
    """Notes when outcomes are written."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.at: list[float] = []

    async def commit(self, commit: Commit, /) -> int:
        if commit.outcomes:
            self.at.append(round(trio.current_time(), 3))
        return await super().commit(commit)


async def test_a_batch_is_written_down_in_chunks(autojump_clock: MockClock) -> None:
    """What goes on in another process is written down at once and then ever more seldom, up to each 50 ms as in the first."""
    calls: list[int] = []
    work = workflow(calls, 0.011, items=100)
    async with Chunks() as journal:
        with trio.move_on_after(0.195):
            await work.run(run_id="r", journal=journal)
        assert (journal.at, len(calls)) == ([0.061, 0.116, 0.171], 18)
        journal.at.clear()
        begun = trio.current_time()
        await work.resume("r", journal=journal)
        after = [round(at - begun, 3) for at in journal.at]
        assert after[:6] == [0.011, 0.023, 0.036, 0.051, 0.07, 0.108]
        assert {round(later - at, 3) for at, later in pairwise(after[6:])} == {0.055}
