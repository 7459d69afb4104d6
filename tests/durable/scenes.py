"""Workflows of every model, whose tasks note what they do in the present world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import trio

from cano_trio import (
    BatchResults,
    BranchResults,
    CloseReason,
    CompensatableTask,
    MessageError,
    More,
    Pending,
    Retry,
    RunAlreadyEnded,
    RunContext,
    RunReleased,
    Split,
    TaskConfig,
    Window,
    Workflow,
)
from cano_trio._journal.protocol import Journal
from tests.durable.crashing import Scene, act


class Step(Enum):
    A = auto()
    B = auto()
    C = auto()
    D = auto()
    DONE = auto()
    SORRY = auto()


@dataclass
class Notes:
    lines: list[str] = field(default_factory=list)


SCENES: dict[str, Scene] = {}


def new(name: str, **options: Any) -> Workflow[Step, Notes]:
    return Workflow(
        Step, initial=Step.A, exits=[Step.DONE, Step.SORRY], name=name, data=Notes,
        defaults=TaskConfig(retry=Retry.none()), **options,
    )  # fmt: skip


def scene(name: str, work: Workflow[Step, Notes], **options: Any) -> None:
    """Have a workflow run as a client would run it."""

    async def client(journal: Journal) -> object:
        return await work.run(Notes(), run_id="r", journal=journal, on_duplicate="attach")

    SCENES[name] = Scene(name=name, client=options.pop("client", client), **options)


def leads(work: Any, state: Enum, following: Enum, *, error: Exception | None = None, seconds: float = 0) -> None:
    """Add a task that writes a line, and goes on or fails."""

    async def task(notes: Notes, ctx: RunContext) -> Any:
        act(ctx)
        notes.lines.append(ctx.state.name)
        await trio.sleep(seconds)
        if error is not None:
            raise type(error)(*error.args)
        return following

    task.__annotations__["return"] = Literal[following]
    work.register(state, task)


def books(work: Any, state: Enum, following: Enum, *, stays: bool = False, seconds: float = 0) -> None:
    """Add a compensatable."""

    async def book(notes: Notes, ctx: RunContext) -> Any:
        act(ctx)
        notes.lines.append(ctx.state.name)
        await trio.sleep(seconds)
        return following, ctx.idempotency_key

    book.__annotations__["return"] = tuple[Literal[following], str]  # type: ignore[valid-type]
    task = work.compensatable(state)(book)

    @task.compensate
    async def undo(receipt: str, notes: Notes, ctx: RunContext) -> None:
        act(ctx, "undo")
        assert receipt == ctx.forward_key
        if stays:
            raise TypeError(f"{state.name} stays")
        notes.lines.append(f"undo {receipt}")

    @task.compensate_in_doubt
    async def in_doubt(notes: Notes, ctx: RunContext) -> None:
        act(ctx, "undo")
        notes.lines.append(f"in doubt {ctx.forward_key}")


def task_chain() -> None:
    work = new("tasks")
    leads(work, Step.A, Step.B)
    leads(work, Step.B, Step.C)
    leads(work, Step.C, Step.DONE)
    scene("tasks", work)


def router_chain() -> None:
    work = new("routers")
    leads(work, Step.A, Step.B)

    @work.router(Step.B)
    async def first(ctx: RunContext) -> Literal[Step.C]:
        return Step.C

    @work.router(Step.C)
    async def second(ctx: RunContext) -> Literal[Step.D]:
        return Step.D

    leads(work, Step.D, Step.DONE)
    scene("routers", work)


def router_ends() -> None:
    work = new("router ends")

    @work.router(Step.A)
    async def first() -> Literal[Step.B]:
        return Step.B

    leads(work, Step.B, Step.C)

    @work.router(Step.C)
    async def last() -> Literal[Step.DONE]:
        return Step.DONE

    scene("router ends", work)


def on_error() -> None:
    work = new("on_error")

    @work.task(Step.A, on_error={OSError: Step.B})
    async def fail(notes: Notes, ctx: RunContext) -> Literal[Step.DONE]:
        act(ctx)
        notes.lines.append("lost")
        raise OSError("down")

    @work.task(Step.B)
    async def tell(notes: Notes, ctx: RunContext) -> Literal[Step.C]:
        act(ctx)
        notes.lines.append("sorry" if ctx.error else "fine")
        return Step.C

    @work.task(Step.C)
    async def after(notes: Notes, ctx: RunContext) -> Literal[Step.DONE]:
        act(ctx)
        notes.lines.append("sorry" if ctx.error else "fine")
        return Step.DONE

    scene("on_error", work)


def failing() -> None:
    work = new("fails")
    leads(work, Step.A, Step.B)
    leads(work, Step.B, Step.DONE, error=OSError("down"))
    scene("fails", work)


def poll() -> None:
    work = new("poll")

    @work.poll(Step.A)
    async def look(notes: Notes, ctx: RunContext) -> Literal[Step.B] | Pending:
        act(ctx, "poll")
        if trio.current_time() < 3:
            return Pending(delay=1)
        notes.lines.append("there")
        return Step.B

    leads(work, Step.B, Step.DONE)
    scene("poll", work, again=frozenset({"poll"}))


def timer() -> None:
    work = new("timer")
    leads(work, Step.A, Step.B)

    @work.timer(Step.B)
    async def wait(ctx: RunContext) -> float:
        act(ctx, "wait")
        return 60

    @wait.after_wait
    async def after(notes: Notes, ctx: RunContext) -> Literal[Step.C]:
        act(ctx)
        notes.lines.append("waited")
        return Step.C

    leads(work, Step.C, Step.DONE)
    scene("timer", work)


def batch(*, record: bool) -> None:
    work = new(f"batch {record}")
    leads(work, Step.A, Step.B)

    @work.batch(Step.B, concurrency=2, record_items=record)
    async def double(item: int, ctx: RunContext) -> int:
        act(ctx, "item")
        await trio.sleep(0.1)
        if item == 3:
            raise ValueError("three")
        return 2 * item

    @double.load
    async def load(ctx: RunContext) -> list[int]:
        act(ctx, "load")
        return [1, 2, 3, 4, 5]

    @double.finish
    async def finish(results: BatchResults[int, int], notes: Notes, ctx: RunContext) -> Literal[Step.C]:
        act(ctx)
        notes.lines.append(f"{results.values} {len(results.failures)}")
        return Step.C

    leads(work, Step.C, Step.DONE)
    scene(f"batch {'recorded' if record else 'as a whole'}", work)


def stepped() -> None:
    work = new("stepped")
    leads(work, Step.A, Step.B)

    @work.stepped(Step.B)
    async def step(cursor: int | None, notes: Notes, ctx: RunContext) -> More[int] | Literal[Step.C]:
        act(ctx)
        number = cursor or 0
        notes.lines.append(f"step {number}")
        return Step.C if number == 3 else More(number + 1)

    leads(work, Step.C, Step.DONE)
    scene("stepped", work)


def stream(*, stops: bool = False) -> None:
    work = new(f"stream {stops}")
    leads(work, Step.A, Step.B)

    @work.stream(Step.B, window=Window(count=2))
    async def process(item: int, ctx: RunContext) -> tuple[int, int]:
        act(ctx, "item")
        return 10 * item, item

    @process.open
    async def numbers(cursor: int | None) -> AsyncIterator[int]:
        for number in range((cursor or 0) + 1, 8):
            yield number

    @process.flush_window
    async def flush(outputs: list[int], notes: Notes, ctx: RunContext) -> Literal[Step.D] | None:
        act(ctx, "flush")
        notes.lines.append(f"{outputs}")
        return Step.D if stops and 40 in outputs else None

    @process.on_close
    async def close(reason: CloseReason, notes: Notes, ctx: RunContext) -> Literal[Step.C]:
        act(ctx, "close")
        notes.lines.append(reason.name)
        return Step.C

    leads(work, Step.C, Step.DONE)
    leads(work, Step.D, Step.DONE)
    scene(f"stream {'stopped' if stops else 'to its end'}", work)


def saga(name: str, *, error: Exception | None = None, stays: bool = False) -> None:
    work = new(name)
    books(work, Step.A, Step.B)
    books(work, Step.B, Step.C, stays=stays)
    books(work, Step.C, Step.D)
    leads(work, Step.D, Step.DONE, error=error)
    scene(name, work, rolls_back=error is not None, fails=stays)


def receive() -> None:
    work = new("receive")

    takes(work, Step.A, Step.B)
    takes(work, Step.B, Step.C)
    leads(work, Step.C, Step.DONE)

    async def client(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(
                partial(work.run, Notes(), run_id="r", journal=journal, on_duplicate="attach")
            )
            with suppress(RunAlreadyEnded, RunReleased, MessageError):
                await run.send("one", key="1")
                await run.send("two", key="2")

    scene("receive", work, client=client)


def takes(work: Any, state: Step, following: Step) -> None:
    async def take(text: str, notes: Notes, ctx: RunContext) -> Any:
        act(ctx)
        notes.lines.append(text)
        return following

    take.__annotations__["return"] = Literal[following]
    work.receive(state)(take)


Make = Callable[[], None]

for make in (task_chain, router_chain, router_ends, on_error, failing, poll, timer, stepped, receive):
    make()
batch(record=True)
batch(record=False)
stream()
stream(stops=True)
saga("saga completes")
saga("saga fails", error=OSError("down"))
saga("saga stays", error=OSError("down"), stays=True)
