"""A workflow whose runs do what their data say, and the world in which they do it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal, NoReturn, TypeVar, final

import trio
from trio.testing import MockClock

from cano_trio import Pending, Resources, Retry, Run, RunContext, Runtime, Workflow, open_runtime
from cano_trio.journals import ForwardingJournal, Journal

T = TypeVar("T")


class Step(Enum):
    WORK = auto()
    ASK = auto()
    NAP = auto()
    LOOK = auto()
    CALL = auto()
    TURN = auto()
    BOOK = auto()
    FAIL = auto()
    DONE = auto()


@dataclass
class Note:
    """A message."""

    text: str = "yes"


@dataclass
class Other:
    """A message of another kind."""

    text: str = "no"


@dataclass
class Job:
    """What a run does, one after the other, such as ``work 3``: at work for three seconds; and what it has heard so far."""

    plan: list[str]
    at: int = 0
    heard: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The figure of what it does now."""
        return float((*self.plan[self.at].split(), "1")[1])

    @property
    def step(self) -> Step:
        """What it does now."""
        return Step[self.plan[self.at].split()[0].upper()] if self.at < len(self.plan) else Step.DONE

    def turn(self) -> Step:
        """Have done it."""
        self.at += 1
        return self.step


class World:
    """All that runs have done, as the world outside sees it."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        """The keys of all work that began."""
        self.last = 0.0
        """When the last of it began."""
        self.looks: Counter[str] = Counter()

    def act(self, ctx: RunContext) -> None:
        """Some work begins."""
        self.effects.append(ctx.idempotency_key)
        self.last = trio.current_time()

    def began(self, key: str) -> int:
        """How often a piece of work has begun."""
        return self.effects.count(key)


desk = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="desk", data=Job)


@desk.task(Step.WORK, retry=Retry.none())
async def work(job: Job, world: World, ctx: RunContext) -> Step:
    world.act(ctx)
    await trio.sleep(job.seconds)
    return job.turn()


@desk.receive(Step.ASK)
async def ask(note: Note, job: Job, world: World, ctx: RunContext) -> Step:
    world.act(ctx)
    job.heard.append(note.text)
    return job.turn()


@desk.timer(Step.NAP)
async def nap(job: Job) -> float:
    return job.seconds


@nap.after_wait
async def wake_up(job: Job, world: World, ctx: RunContext) -> Step:
    world.act(ctx)
    return job.turn()


@desk.poll(Step.LOOK)
async def look(job: Job, world: World, ctx: RunContext) -> Step | Pending:
    """Look a number of times, a hundred seconds apart."""
    world.looks[ctx.idempotency_key] += 1
    if world.looks[ctx.idempotency_key] < job.seconds:
        return Pending(delay=100)
    return job.turn()


@desk.compensatable(Step.BOOK)
async def book(job: Job, world: World, ctx: RunContext) -> tuple[Step, str]:
    world.act(ctx)
    return job.turn(), ctx.idempotency_key


@book.compensate
async def unbook(receipt: str, world: World, ctx: RunContext) -> None:
    assert receipt == ctx.forward_key
    world.act(ctx)


@desk.task(Step.FAIL, retry=Retry.none())
async def fail(job: Job, world: World, ctx: RunContext) -> Step:
    """Fail, when it is tried first."""
    world.act(ctx)
    if world.began(ctx.idempotency_key) == 1:
        raise OSError("it can't be done")
    return job.turn()


class Inner(Enum):
    NAP = auto()
    ASK = auto()
    DONE = auto()


inner = Workflow(Inner, initial=Inner.NAP, exits=[Inner.DONE], name="inner", data=Job)


@inner.timer(Inner.NAP)
async def doze(job: Job) -> float:
    return job.seconds


@doze.after_wait
async def get_up(world: World, ctx: RunContext) -> Literal[Inner.ASK]:
    world.act(ctx)
    return Inner.ASK


@inner.receive(Inner.ASK)
async def hear(note: Note, job: Job, world: World, ctx: RunContext) -> Literal[Inner.DONE]:
    world.act(ctx)
    job.heard.append(note.text)
    job.turn()
    return Inner.DONE


desk.register_child(Step.CALL, inner, {Inner.DONE: Step.TURN})


@desk.router(Step.TURN)
async def turn(job: Job) -> Step:
    return job.step


def opened(world: World, **options: Any) -> AbstractAsyncContextManager[Runtime]:
    """A runtime that carries out these runs in a world."""
    return open_runtime(workflows=[desk], resources=Resources(world=world), **options)


async def begin(runtime: Runtime, *plan: str, **options: Any) -> Run[Step, Job]:
    """Start a run that does these things."""
    job = Job([*plan])
    return await runtime.start(desk, job, start=job.step, **options)


LONGEST = 1e6
"""Virtual seconds after which a process that goes on has lost its way."""


def process(main: Callable[..., Awaitable[T]], *args: Any, at: float = 0.0) -> T:
    """What a process does, from a virtual instant on."""

    async def bounded() -> T:
        with trio.fail_after(LONGEST):
            return await main(*args)
        raise AssertionError

    clock = MockClock(autojump_threshold=0)
    clock.jump(at)
    return trio.run(bounded, clock=clock)


class Crash(BaseException):
    """The end of a process: whatever it would do from now on does not happen."""


@final
class Mortal(ForwardingJournal):
    """A journal whose process may die: nothing is written from then on, and nothing given back."""

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self.is_dead = False

    def die(self) -> NoReturn:
        """Die now."""
        self.is_dead = True
        raise Crash

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if self.is_dead:
            raise Crash
        return await super().forward(method, call)

    async def __aexit__(self, *exc_info: object) -> None:
        if not self.is_dead:
            await super().__aexit__(*exc_info)


def crashed(journal: Journal, main: Callable[[Mortal], Awaitable[object]], at: float = 0.0) -> None:
    """What a process does until its journal dies."""

    async def until_the_end(mortal: Mortal) -> None:
        async with mortal:
            await main(mortal)

    mortal = Mortal(journal)
    with suppress(Crash, BaseExceptionGroup):
        process(until_the_end, mortal, at=at)
    assert mortal.is_dead
