"""Workflows of every model, whose tasks note what they do in the present world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
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
    JournalError,
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
    E = auto()
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

    async def undo(receipt: str, notes: Notes, ctx: RunContext) -> None:
        act(ctx, "undo")
        assert receipt == ctx.forward_key
        if stays:
            raise TypeError(f"{state.name} stays")
        notes.lines.append(f"undo {receipt}")

    async def in_doubt(notes: Notes, ctx: RunContext) -> None:
        act(ctx, "undo")
        notes.lines.append(f"in doubt {ctx.forward_key}")

    task.compensate(undo)
    task.compensate_in_doubt(in_doubt)


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

    scene("receive", work, client=sending(work), nursery=True)


def task_receives() -> None:
    """A task that receives two messages, a step that receives one each time, and a child's task that receives another."""
    within = inner("inner whose task receives")

    @within.task(Inner.A)
    async def take(notes: Notes, ctx: RunContext[str]) -> Literal[Inner.GOOD]:
        act(ctx)
        notes.lines.append(await ctx.receive())
        return Inner.GOOD

    work = new("task receives")

    @work.task(Step.A, retry=Retry.fixed(1, delay=1))
    async def take_two(notes: Notes, ctx: RunContext[str]) -> Literal[Step.B]:
        notes.lines += [await ctx.receive(), await ctx.receive(str)]
        if ctx.attempt == 1 and not ctx.rerun:
            raise OSError
        act(ctx)
        return Step.B

    work.register_child(Step.B, within, ROUTES)

    @work.stepped(Step.C)
    async def step(cursor: int | None, notes: Notes, ctx: RunContext[str]) -> More[int] | Literal[Step.DONE]:
        act(ctx)
        notes.lines.append(f"{await ctx.receive()} at {cursor}")
        return More(1) if cursor is None else Step.DONE

    scene("task receives", work, client=sending(work, 5), nursery=True)


def sending(work: Workflow[Step, Notes], count: int = 2) -> Callable[[Journal], Awaitable[None]]:
    """A client that sends some messages, and again when its process has died."""

    async def client(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(work.run, Notes(), run_id="r", journal=journal, on_duplicate="attach"))
            for number in range(1, count + 1):
                await send(run, f"message {number}", str(number))

    return client


async def send(run: Any, text: str, key: str) -> None:
    """Send a message until it is known to have come."""
    while True:
        with suppress(RunAlreadyEnded, RunReleased):
            try:
                await run.send(text, key=key)
            except JournalError:
                continue
        return


def takes(work: Any, state: Enum, following: Enum) -> None:
    async def take(text: str, notes: Notes, ctx: RunContext) -> Any:
        act(ctx)
        notes.lines.append(text)
        return following

    take.__annotations__["return"] = Literal[following]
    work.receive(state)(take)


def branch(name: str, seconds: float, *, error: Exception | None = None) -> Any:
    """A branch that takes some seconds, and gives its name or fails."""

    async def run(ctx: RunContext) -> str:
        act(ctx, "branch")
        await trio.sleep(seconds)
        if error is not None:
            raise type(error)(*error.args)
        return name.upper()

    return run


class Book(CompensatableTask[Step, str]):
    """A branch that can be undone."""

    retry = Retry.none()

    def __init__(self, seconds: float, *, error: Exception | None = None) -> None:
        self.seconds = seconds
        self.error = error

    async def run(self, ctx: RunContext) -> tuple[Literal[Step.DONE], str]:
        act(ctx, "branch")
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise type(self.error)(*self.error.args)
        return Step.DONE, ctx.idempotency_key

    async def compensate(self, receipt: str, ctx: RunContext) -> None:
        act(ctx, "undo")
        assert receipt == ctx.forward_key

    async def compensate_in_doubt(self, ctx: RunContext) -> None:
        act(ctx, "undo")


def joins(work: Any, state: Step, following: Step) -> None:
    """Add a state that writes down what branches came to."""

    async def join(results: BranchResults[Any], notes: Notes, ctx: RunContext) -> Any:
        act(ctx)
        notes.lines.append(f"{dict(results.successes)} {sorted(results.failures)} {sorted(results.missing)}")
        return following

    join.__annotations__["return"] = Literal[following]
    work.register(state, join)


def split(name: str, joined: Split[Any], *, error: Exception | None = None, **options: Any) -> None:
    """A split, a router, the join state, and a state that goes on or fails."""
    work = new(name)
    on_error = options.pop("on_error", {})
    leads(work, Step.A, Step.B)
    work.register_split(Step.B, joined, on_error=on_error)

    @work.router(Step.E)
    async def route() -> Literal[Step.C]:
        return Step.C

    joins(work, Step.C, Step.D)
    leads(work, Step.D, Step.DONE, error=error)
    scene(name, work, **options)


def split_over() -> None:
    work = new("split over")
    leads(work, Step.A, Step.B)

    @work.branch
    async def double(item: int, ctx: RunContext) -> int:
        act(ctx, "branch")
        await trio.sleep(item)
        return 2 * item

    @work.split(Step.B)
    async def plan(notes: Notes, ctx: RunContext) -> Split[Literal[Step.C]]:
        act(ctx, "split")
        notes.lines.append("planned")
        return Split.over(double, [1, 2, 3], Step.C, bulkhead=2)

    joins(work, Step.C, Step.DONE)
    scene("split over", work)


def split_to_exit() -> None:
    work = new("split to an exit")
    work.register_split(Step.A, Split.all({"a": branch("a", 1), "b": branch("b", 2)}, Step.DONE))
    scene("split to an exit", work)


def two_splits() -> None:
    work = new("two splits")
    work.register_split(Step.A, Split.all({"a": branch("a", 1), "b": branch("b", 2)}, Step.B))
    work.register_split(Step.B, Split.all({"c": branch("c", 1), "d": branch("d", 2)}, Step.C))
    joins(work, Step.C, Step.DONE)
    scene("two splits", work)


class Inner(Enum):
    A = auto()
    B = auto()
    C = auto()
    GOOD = auto()
    BAD = auto()


class Innermost(Enum):
    A = auto()
    GOOD = auto()


def inner(name: str, **options: Any) -> Workflow[Inner, Notes]:
    return Workflow(
        Inner, initial=Inner.A, exits=[Inner.GOOD, Inner.BAD], name=name, data=Notes,
        defaults=TaskConfig(retry=Retry.none()), **options,
    )  # fmt: skip


ROUTES = {Inner.GOOD: Step.C, Inner.BAD: Step.SORRY}


def child(
    name: str,
    *,
    fails_inside: bool = False,
    fails_after: bool = False,
    on_error: Any = None,
    deep: bool = False,
    stays: bool = False,
) -> None:
    """A state that books, a child that books, and a state that goes on or fails."""
    within = inner(f"inner {name}")
    books(within, Inner.A, Inner.B)
    if deep:
        innermost = Workflow(
            Innermost, initial=Innermost.A, exits=[Innermost.GOOD], name=f"innermost {name}", data=Notes,
            defaults=TaskConfig(retry=Retry.none()),
        )  # fmt: skip
        books(innermost, Innermost.A, Innermost.GOOD, stays=stays)
        within.register_child(Inner.B, innermost, {Innermost.GOOD: Inner.C})
    else:
        books(within, Inner.B, Inner.C, stays=stays)
    leads(within, Inner.C, Inner.GOOD, error=OSError("inside") if fails_inside else None)
    work = new(name)
    books(work, Step.A, Step.B)
    work.register_child(Step.B, within, ROUTES, on_error=on_error or {})
    leads(work, Step.C, Step.D)
    leads(work, Step.D, Step.DONE, error=OSError("after") if fails_after else None)
    rolls_back = on_error is None and (fails_after or fails_inside)
    scene(name, work, rolls_back=rolls_back, fails=stays)


def child_with_messages() -> None:
    within = inner("inner that receives")
    takes(within, Inner.A, Inner.B)
    leads(within, Inner.B, Inner.GOOD)
    work = new("child with messages")
    leads(work, Step.A, Step.B)
    work.register_child(Step.B, within, ROUTES)
    takes(work, Step.C, Step.DONE)
    scene("child with messages", work, client=sending(work), nursery=True)


@dataclass
class Sum:
    of: list[int]
    total: int = 0


def child_of_its_own_data() -> None:
    within = Workflow(
        Inner, initial=Inner.A, exits=[Inner.GOOD, Inner.BAD], name="sums", data=Sum,
        defaults=TaskConfig(retry=Retry.none()),
    )  # fmt: skip

    @within.task(Inner.A)
    async def add(it: Sum, ctx: RunContext) -> Literal[Inner.GOOD]:
        act(ctx)
        it.total = sum(it.of)
        return Inner.GOOD

    def given(notes: Notes) -> Sum:
        return Sum([len(line) for line in notes.lines])

    def taken(it: Sum, notes: Notes) -> None:
        notes.lines.append(f"sum {it.total}")

    work = new("child of its own data")
    leads(work, Step.A, Step.B)
    work.register_child(Step.B, within, ROUTES, data=given, result=taken)
    leads(work, Step.C, Step.DONE)
    scene("child of its own data", work)


def timeout() -> None:
    work = new("timeout", timeout=50)
    books(work, Step.A, Step.B, seconds=1)
    books(work, Step.B, Step.C, seconds=1)
    leads(work, Step.C, Step.DONE, seconds=1000)
    scene("timeout", work, rolls_back=True)


async def until_in(run: Any, state: Step) -> None:
    """Look whether a run has come to a state until it has."""
    while run.state is not state:  # noqa: ASYNC110  (nothing tells)
        await trio.sleep(1)


def cancelled() -> None:
    work = new("cancelled")
    books(work, Step.A, Step.B)
    books(work, Step.B, Step.C)
    leads(work, Step.C, Step.DONE, seconds=100)

    async def client(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(work.run, Notes(), run_id="r", journal=journal, on_duplicate="attach"))
            await until_in(run, Step.C)
            await trio.sleep(1)
            run.cancel("nobody needs it")

    scene("cancelled", work, rolls_back=True, client=client, nursery=True)


def cancelled_in_child() -> None:
    within = inner("inner that waits")
    books(within, Inner.A, Inner.B)
    leads(within, Inner.B, Inner.GOOD, seconds=100)
    work = new("cancelled in a child")
    books(work, Step.A, Step.B)
    work.register_child(Step.B, within, ROUTES)
    leads(work, Step.C, Step.DONE)

    async def client(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(work.run, Notes(), run_id="r", journal=journal, on_duplicate="attach"))
            await until_in(run, Step.B)
            await trio.sleep(20)
            run.cancel("nobody needs it")

    scene("cancelled in a child", work, rolls_back=True, client=client, nursery=True)


def patience() -> None:
    """A receive that gets nothing in time."""
    work = new("patience")

    async def take(text: str, notes: Notes, ctx: RunContext) -> Literal[Step.B]:
        raise AssertionError

    receiving: Any = work.receive(Step.A, timeout=60)(take)

    async def late(notes: Notes, ctx: RunContext) -> Literal[Step.B]:
        act(ctx)
        notes.lines.append("nobody came")
        return Step.B

    receiving.on_timeout(late)

    leads(work, Step.B, Step.DONE)
    scene("patience", work)


def mixed() -> None:
    """Some of everything, visited twice, that fails in the end."""
    within = inner("inner of mixed")
    books(within, Inner.A, Inner.B)
    within.register_split(Inner.B, Split.all({"a": Book(1), "b": Book(2)}, Inner.C), on_error={})
    leads(within, Inner.C, Inner.GOOD)
    work = new("mixed")
    books(work, Step.A, Step.B)
    work.register_child(Step.B, within, ROUTES)

    @work.stepped(Step.C)
    async def step(cursor: int | None, notes: Notes, ctx: RunContext) -> More[int] | Literal[Step.D]:
        act(ctx)
        notes.lines.append(f"step {cursor}")
        return Step.D if cursor == 2 else More((cursor or 0) + 1)

    @work.router(Step.D)
    async def again(notes: Notes) -> Literal[Step.A, Step.E]:
        return Step.A if notes.lines.count("A") < 3 else Step.E

    leads(work, Step.E, Step.DONE, error=OSError("in the end"))
    scene("mixed", work, rolls_back=True)


for make in (
    task_chain, router_chain, router_ends, on_error, failing, poll, timer, stepped, receive, task_receives, patience, split_over,
    split_to_exit, two_splits, timeout, cancelled, cancelled_in_child, mixed, child_with_messages, child_of_its_own_data,
):  # fmt: skip
    make()
batch(record=True)
batch(record=False)
stream()
stream(stops=True)
saga("saga completes")
saga("saga fails", error=OSError("down"))
saga("saga stays", error=OSError("down"), stays=True)

DOWN = OSError("down")
split("split all", Split.all({"a": branch("a", 1), "b": branch("b", 2), "c": branch("c", 3)}, Step.E))
split("split any", Split.any({"a": branch("a", 1), "b": branch("b", 20), "c": branch("c", 30)}, Step.E))
split(
    "split quorum",
    Split.quorum({"a": branch("a", 1), "b": branch("b", 2, error=DOWN), "c": branch("c", 3)}, 2, Step.E),
)
split(
    "split by deadline",
    Split.by_deadline({"a": branch("a", 1), "b": branch("b", 5), "c": branch("c", 900)}, Step.E, timeout=60),
)
split(
    "split fails",
    Split.all({"a": branch("a", 1), "b": branch("b", 2, error=DOWN), "c": branch("c", 3)}, Step.E),
    on_error={Exception: Step.D},
)
split("books all", Split.all({"a": Book(1), "b": Book(2)}, Step.E))
split("books all, fails", Split.all({"a": Book(1), "b": Book(2)}, Step.E), error=DOWN, rolls_back=True)
split("books any", Split.any({"a": Book(1), "b": Book(20)}, Step.E), varies=True)
split(
    "books in vain",
    Split.all({"a": Book(1), "b": Book(2, error=DOWN)}, Step.E),
    on_error={Exception: Step.D},
    varies=True,
)
child("child completes")
child("child fails", fails_inside=True)
child("child fails, led on", fails_inside=True, on_error={OSError: Step.D})
child("child fails, led on, all undone", fails_inside=True, on_error={OSError: Step.D}, fails_after=True)
child("child undone", fails_after=True)
child("child stays", fails_after=True, stays=True)
child("deep child completes", deep=True)
child("deep child undone", fails_after=True, deep=True)
child("deep child fails", fails_inside=True, deep=True)
child("deep child fails, led on", fails_inside=True, deep=True, on_error={OSError: Step.D})
