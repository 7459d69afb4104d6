"""What a process begins that may have lost its run: nothing, before the journal has shown that it has not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from math import inf
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    BatchResults,
    CloseReason,
    LeaseLost,
    Pending,
    Retry,
    RunStatus,
    Split,
    Window,
    Workflow,
)
from cano_trio.journals import ForwardingJournal, MemoryJournal


class Step(Enum):
    WORK = auto()
    MORE = auto()
    MOST = auto()
    FAIL = auto()
    JOIN = auto()
    DONE = auto()


class Unheard(ForwardingJournal):
    """A journal that was last heard of half a lease before some instant, and is not sure of its runs before it is renewed.

    Args:
        since: the instant, in seconds.
        renewed_with: the number of the commit with which its lease is renewed.
    """

    def __init__(self, since: float, renewed_with: int = 0) -> None:
        super().__init__(MemoryJournal())
        self.since = since
        self.renewed_with = renewed_with
        self.commits: list[float] = []

    def holds(self, owner: str, /) -> bool:
        return super().holds(owner) and trio.current_time() < self.since

    async def commit(self, commit: Any, /) -> int:
        self.commits.append(trio.current_time())
        rev = await super().commit(commit)
        if len(self.commits) == self.renewed_with:
            self.since = inf
        return rev


@dataclass
class Begun:
    """When what has begun."""

    at: list[float] = field(default_factory=list)

    async def second(self) -> int:
        """A second of work."""
        self.at.append(trio.current_time())
        await trio.sleep(1)
        return 1


def branches(work: Workflow[Step, None], begun: Begun) -> None:
    split = Split.all(dict.fromkeys("abcde", begun.second), Step.JOIN, bulkhead=1)
    work.register_split(Step.WORK, split)


def items(work: Workflow[Step, None], begun: Begun, *, record: bool) -> None:
    @work.batch(Step.WORK, record_items=record)
    async def item(number: int) -> int:
        return await begun.second()

    @item.load
    async def load() -> list[int]:
        return [*range(5)]

    @item.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.JOIN]:
        return Step.JOIN


def recorded(work: Workflow[Step, None], begun: Begun) -> None:
    items(work, begun, record=True)


def unrecorded(work: Workflow[Step, None], begun: Begun) -> None:
    items(work, begun, record=False)


def stream(work: Workflow[Step, None], begun: Begun) -> None:
    @work.stream(Step.WORK, window=Window(count=5))
    async def item(number: int) -> tuple[int, int]:
        return await begun.second(), number

    @item.open
    async def numbers(cursor: int | None) -> AsyncIterator[int]:
        for number in range(cursor or 0, 5):
            yield number

    @item.flush_window
    async def flush(outputs: list[int]) -> None: ...

    @item.on_close
    async def close(reason: CloseReason) -> Literal[Step.JOIN]:
        return Step.JOIN


def attempts(work: Workflow[Step, None], begun: Begun) -> None:
    @work.task(Step.WORK, retry=Retry.fixed(9, delay=0))
    async def fail() -> Literal[Step.JOIN]:
        await begun.second()
        if len(begun.at) < 5:
            raise OSError("down")
        return Step.JOIN


def looks(work: Workflow[Step, None], begun: Begun) -> None:
    @work.poll(Step.WORK)
    async def look() -> Pending | Literal[Step.JOIN]:
        await begun.second()
        return Pending(delay=0) if len(begun.at) < 5 else Step.JOIN


def compensations(work: Workflow[Step, None], begun: Begun) -> None:
    for state, following in ((Step.WORK, Step.MORE), (Step.MORE, Step.MOST), (Step.MOST, Step.FAIL)):
        _add_booking(work, state, following, begun)

    @work.task(Step.FAIL, retry=Retry.none())
    async def fail() -> Literal[Step.DONE]:
        raise OSError("down")


def _add_booking(work: Workflow[Step, None], state: Step, following: Step, begun: Begun) -> None:
    async def book() -> Any:
        return following, 1

    book.__annotations__["return"] = tuple[Literal[following], int]  # type: ignore[valid-type]
    task = work.compensatable(state, compensate_retry=Retry.none())(book)

    @task.compensate
    async def undo(receipt: int) -> None:
        await begun.second()
        raise TypeError("stays")


MODELS = [branches, recorded, unrecorded, stream, attempts, looks]


def workflow(model: Any, begun: Begun) -> Workflow[Step, None]:
    """A workflow of a model, which begins something each second."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="w")
    model(work, begun)
    if model is not compensations:

        @work.task(Step.JOIN)
        async def join() -> Literal[Step.DONE]:
            return Step.DONE

    return work


async def lost(work: Workflow[Step, None], journal: Unheard) -> None:
    """Run it until another process has claimed it."""
    with pytest.RaisesGroup(LeaseLost):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(work.run, run_id="r", journal=journal))
            await trio.sleep(1.25)
            taken = await journal.claim("r")
    assert await journal.load("r") == taken


@pytest.mark.parametrize("model", [*MODELS, compensations])
async def test_nothing_begins_for_a_run_that_is_lost(autojump_clock: MockClock, model: Any) -> None:
    """Another process has claimed the run: what is at work comes to its end, and nothing new is begun."""
    begun = Begun()
    async with Unheard(since=1.5) as journal:
        await lost(workflow(model, begun), journal)
    assert begun.at == [0, 1]
    assert trio.current_time() <= 2


@pytest.mark.parametrize("model", MODELS)
async def test_what_is_still_held_goes_on(autojump_clock: MockClock, model: Any) -> None:
    """Nobody has claimed it: a commit of nothing else shows so before each beginning, and nothing is lost by it."""
    begun = Begun()
    async with Unheard(since=1.5) as journal:
        result = await workflow(model, begun).run(run_id="r", journal=journal)
        assert (result.state, (await journal.load("r")).record.position.status) == (Step.DONE, RunStatus.COMPLETED)
        assert {2, 3, 4} <= set(journal.commits)
    assert begun.at == [0, 1, 2, 3, 4]


async def test_branches_ask_once_together(autojump_clock: MockClock) -> None:
    """Branches that are to begin at the same time are shown by one commit that the run is still held."""
    begun = Begun()
    work = Workflow(Step, initial=Step.MORE, exits=[Step.DONE], name="w")

    @work.task(Step.MORE)
    async def wait() -> Literal[Step.WORK]:
        await trio.sleep(1)
        return Step.WORK

    work.register_split(Step.WORK, Split.all(dict.fromkeys("abcde", begun.second), Step.JOIN))

    @work.task(Step.JOIN)
    async def join() -> Literal[Step.DONE]:
        return Step.DONE

    async with Unheard(since=0.5, renewed_with=2) as journal:
        await work.run(run_id="r", journal=journal)
        assert journal.commits.count(1) == 2  # the transition, and that


def timer(work: Workflow[Step, None], called: list[str]) -> None:
    @work.timer(Step.WORK)
    async def wait() -> float:
        return 5

    @wait.after_wait
    async def after() -> Literal[Step.DONE]:
        called.append("after")
        return Step.DONE


def receive(work: Workflow[Step, None], called: list[str]) -> None:
    @work.receive(Step.WORK, timeout=5)
    async def take(message: str) -> Literal[Step.DONE]:
        return Step.DONE

    @take.on_timeout
    async def late() -> Literal[Step.DONE]:
        called.append("late")
        return Step.DONE


@pytest.mark.parametrize("model", [timer, receive])
async def test_what_has_waited_long_asks_first(autojump_clock: MockClock, model: Any) -> None:
    """What follows a timer or a message is not begun for a run that is lost."""
    called: list[str] = []
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="w")
    model(work, called)
    async with Unheard(since=0) as journal:
        await lost(work, journal)
    assert called == []
