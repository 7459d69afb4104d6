"""A Ctrl-C at any moment of any model leaves the run as a bare KeyboardInterrupt, and the run has been undone."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    BatchResults,
    BatchTask,
    CloseReason,
    CompensatableTask,
    Event,
    More,
    Pending,
    PollTask,
    ReceiveTask,
    RunEnded,
    RunStarted,
    RunStatus,
    Split,
    SteppedTask,
    StreamTask,
    TimerTask,
    Window,
    Workflow,
)
from tests.engine.stepping import interrupt_at_every_step


class Step(Enum):
    RESERVE = auto()
    WORK = auto()
    DONE = auto()


class Look(PollTask[Step]):
    looks = 0

    async def poll(self) -> Literal[Step.DONE] | Pending:
        await trio.sleep(1)
        self.looks += 1
        return Step.DONE if self.looks > 1 else Pending(delay=1)


class Cool(TimerTask[Step]):
    async def wait(self) -> float:
        await trio.sleep(1)
        return 1

    async def after_wait(self) -> Literal[Step.DONE]:
        await trio.sleep(1)
        return Step.DONE


class Sort(BatchTask[Step, int, int]):
    concurrency = 2

    async def load(self) -> list[int]:
        return [1, 2, 3]

    async def process_item(self, item: int, /) -> int:
        await trio.sleep(item)
        return item

    async def finish(self, results: BatchResults[int, int], /) -> Literal[Step.DONE]:
        return Step.DONE


class Walk(SteppedTask[Step, int]):
    async def step(self, cursor: int | None, /) -> More[int] | Literal[Step.DONE]:
        await trio.sleep(1)
        return Step.DONE if cursor else More(1)


class Read(StreamTask[Step, int, int, int]):
    window = Window(count=2)

    async def open(self, cursor: int | None) -> AsyncIterator[int]:
        for number in range(3):
            await trio.sleep(1)
            yield number

    async def process_item(self, item: int, /) -> tuple[int, int]:
        await trio.sleep(1)
        return item, item

    async def flush_window(self, outputs: list[int], /) -> None:
        await trio.sleep(1)

    async def on_close(self, reason: CloseReason, /) -> Literal[Step.DONE]:
        return Step.DONE


class Hear(ReceiveTask[Step, str]):
    timeout = 1

    async def on_message(self, message: str, /) -> Literal[Step.DONE]:
        return Step.DONE

    async def on_timeout(self) -> Literal[Step.DONE]:
        await trio.sleep(1)
        return Step.DONE


class Book(CompensatableTask[Step, str]):
    def __init__(self, books: list[str], name: str = "work", **options: float) -> None:
        self.books = books
        self.label = name
        vars(self).update(options)

    async def run(self) -> tuple[Literal[Step.DONE], str]:
        await trio.sleep(1)
        self.books.append(self.label)
        return Step.DONE, self.label

    async def compensate(self, receipt: str, /) -> None:
        await trio.sleep(1)
        self.books.remove(receipt)

    async def compensate_in_doubt(self) -> None:
        if self.label in self.books:
            self.books.remove(self.label)


def split(books: list[str], workflow: Workflow[Step]) -> None:
    """Branches that can be undone, and one that can't."""

    async def other() -> int:
        await trio.sleep(2)
        return 1

    workflow.register_split(Step.WORK, Split.all([Book(books, "a"), Book(books, "b"), other], Step.DONE))


def child(books: list[str], workflow: Workflow[Step]) -> None:
    """A workflow of the same states as the work."""
    inner = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="inner")
    inner.register(Step.WORK, Book(books))
    workflow.register_child(Step.WORK, inner, {Step.DONE: Step.DONE})


def task(make: Callable[[list[str]], Any]) -> Callable[[list[str], Workflow[Step]], None]:
    """A task object as the work."""
    return lambda books, workflow: workflow.register(Step.WORK, make(books))


MODELS: dict[str, Callable[[list[str], Workflow[Step]], None]] = {
    "poll": task(lambda _: Look()),
    "timer": task(lambda _: Cool()),
    "batch": task(lambda _: Sort()),
    "stepped": task(lambda _: Walk()),
    "stream": task(lambda _: Read()),
    "receive": task(lambda _: Hear()),
    "compensatable": task(Book),
    "held": task(lambda books: Book(books, hold=1, attempt_timeout=60)),
    "timed": task(lambda books: Book(books, attempt_timeout=5)),
    "split": split,
    "child": child,
}


class Shop:
    """A reservation, and then some work; keeps the books and what it is told."""

    def __init__(self, work: Callable[[list[str], Workflow[Step]], None]) -> None:
        self.books: list[str] = []
        self.events: list[Event] = []
        self.workflow = Workflow(Step, initial=Step.RESERVE, exits=[Step.DONE], name="shop")
        work(self.books, self.workflow)

        @self.workflow.compensatable(Step.RESERVE)
        async def reserve() -> tuple[Literal[Step.WORK], str]:
            self.books.append("place")
            return Step.WORK, "place"

        @reserve.compensate
        async def release(place: str) -> None:
            self.books.remove(place)

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)

    async def run(self) -> None:
        await self.workflow.run(observers=[self])

    def check(self) -> None:
        """It is done, or nothing of it is; and its end is told once, and last."""
        begun = [event for event in self.events if isinstance(event, RunStarted)]
        ended = [event for event in self.events if isinstance(event, RunEnded)]
        assert len(begun) == len(ended)
        assert self.events[-1:] == ended[-1:]
        if not ended or ended[-1].status is not RunStatus.COMPLETED:
            assert self.books == []


@pytest.mark.parametrize("model", MODELS)
def test_an_interrupt_at_every_step(model: str, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever a Ctrl-C finds a run, also while it waits for others of its tasks, it leaves alone, and nothing is left."""
    caplog.set_level(logging.CRITICAL)
    assert interrupt_at_every_step(lambda: Shop(MODELS[model]), Shop.run, Shop.check) > 3


@trio.lowlevel.enable_ki_protection
def press() -> None:
    """Ctrl-C; protected, the task that presses does not get it itself."""
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_does_not_wait_for_a_source_to_open() -> None:
    """A Ctrl-C while a stream opens its source drops that at once, as a cancel does."""
    ended_at: list[float] = []

    class Slow(Read):
        async def open(self, cursor: int | None) -> AsyncIterator[int]:  # type: ignore[override]
            press()
            try:
                await trio.sleep(20)
            finally:
                ended_at.append(trio.current_time())
            raise AssertionError

    shop = Shop(task(lambda _: Slow()))
    with pytest.raises(KeyboardInterrupt):
        trio.run(shop.run, clock=MockClock(autojump_threshold=0))
    shop.check()
    assert ended_at == [0]
