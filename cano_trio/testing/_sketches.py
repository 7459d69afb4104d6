"""Workflows by a sketch: for each state what model works there, and where it leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, Self, TypeVar, final

import attrs
import trio

from .._define.batch import BatchResults
from .._define.config import TaskConfig
from .._define.context import RunContext
from .._define.poll import Pending
from .._define.split import Split
from .._define.stepped import More
from .._define.stream import CloseReason, Window
from .._resilience import Retry
from .._runtime.workflow import Workflow

F = TypeVar("F", bound=Callable[..., Any])

RETRY: Final = Retry.fixed(2, delay=1.0)
"""How a failed attempt of a sketched task is tried again."""


@dataclass
class Trail:
    """The data of a sketched workflow: what its tasks have done.

    Args:
        done: the names of the states whose work was done, in order.
        undone: those whose work was undone, in order.
        heard: the texts of the messages that came in time.
    """

    done: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)


@dataclass
class Nudge:
    """The message that the receiving states of sketched workflows take.

    Args:
        text: what it says.
    """

    text: str = ""


@final
@attrs.frozen(kw_only=True)
class StateSketch:
    """What a state of a sketched workflow does.

    Args:
        model: the name of the model that works there, such as ``task``.
        targets: where it may lead.
        goes: which of these it goes to.
        failures: how many attempts fail before one succeeds, for models that try again; 3 are too many.
        failed: where it leads when they are.
        seconds: how long it takes, waits, or sleeps between two looks.
    """

    model: str
    targets: Sequence[Any]
    goes: Any
    failures: int = 0
    failed: Any = None
    seconds: float = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """The options of a task that tries again."""
        config = TaskConfig(retry=RETRY)
        return {"config": config} if self.failed is None else {"config": config, "on_error": {Exception: self.failed}}

    def leading(self, function: F, *also: Any, pairs_with: Any = None) -> F:
        """Annotate a function with the states that it may return, and with what `also`."""
        states: Any = Literal[tuple(self.targets)]
        returns = states if pairs_with is None else tuple[states, pairs_with]
        for other in also:
            returns |= other
        function.__annotations__["return"] = returns
        return function

    def attempt(self, ctx: RunContext) -> None:
        """Fail, if this attempt is to."""
        if ctx.attempt <= self.failures:
            raise OSError(f"{ctx.state.name} fails at attempt {ctx.attempt}, as it was sketched")


def sketched(sketches: Mapping[Any, StateSketch], exits: Sequence[Any], name: str) -> Workflow[Any, Trail]:
    """The workflow of a sketch; it begins in the first state.

    Args:
        sketches: what its states do.
        exits: where it ends.
        name: its name.
    """
    initial = next(iter(sketches))
    workflow = Workflow(type(initial), initial=initial, exits=exits, name=name, data=Trail)
    for state, sketch in sketches.items():
        MODELS[sketch.model](workflow, state, sketch)
    return workflow


Sketched = Workflow[Any, Trail]


def _task(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def work(trail: Trail, ctx: RunContext) -> Any:
        await trio.sleep(sketch.seconds)
        sketch.attempt(ctx)
        trail.done.append(state.name)
        return sketch.goes

    workflow.task(state, **sketch.options)(sketch.leading(work))


def _router(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def route() -> Any:
        return sketch.goes

    workflow.router(state)(sketch.leading(route))


def _poll(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    looks = Counter[str]()

    async def poll(trail: Trail, ctx: RunContext) -> Any:
        looks[ctx.idempotency_key] += 1
        if looks[ctx.idempotency_key] < 3:
            return Pending(delay=sketch.seconds)
        trail.done.append(state.name)
        return sketch.goes

    workflow.poll(state)(sketch.leading(poll, Pending))


def _timer(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def wait() -> float:
        return sketch.seconds

    async def after_wait(trail: Trail) -> Any:
        trail.done.append(state.name)
        return sketch.goes

    workflow.timer(state)(wait).after_wait(sketch.leading(after_wait))


def _batch(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def item(number: int) -> int:
        await trio.sleep(sketch.seconds)
        return number * number

    async def load(ctx: RunContext) -> list[int]:
        sketch.attempt(ctx)
        return [1, 2, 3]

    async def finish(results: BatchResults[int, int], trail: Trail) -> Any:
        trail.done.append(f"{state.name}={sum(results.values)}")
        return sketch.goes

    batch = workflow.batch(state, concurrency=2, **sketch.options)(item)
    batch.load(load)
    batch.finish(sketch.leading(finish))


def _stepped(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def step(cursor: int | None, trail: Trail, ctx: RunContext) -> Any:
        await trio.sleep(sketch.seconds)
        sketch.attempt(ctx)
        if (at := cursor or 0) < 2:
            return More(at + 1)
        trail.done.append(state.name)
        return sketch.goes

    workflow.stepped(state, **sketch.options)(sketch.leading(step, More[int]))


@final
class _Numbers:
    """The numbers up to 3, one after the other."""

    def __init__(self, first: int, seconds: float) -> None:
        self._next = first
        self._seconds = seconds

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        await trio.sleep(self._seconds)
        if self._next == 3:
            raise StopAsyncIteration
        self._next += 1
        return self._next - 1


def _stream(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def process_item(item: int) -> tuple[int, int]:
        return item, item + 1

    def source(cursor: int | None) -> AsyncIterator[int]:
        return _Numbers(cursor or 0, sketch.seconds)

    async def flush_window(outputs: list[int], trail: Trail) -> None:
        trail.done.append(f"{state.name}+{sum(outputs)}")

    async def on_close(reason: CloseReason, trail: Trail) -> Any:
        if reason is CloseReason.EXHAUSTED:
            trail.done.append(state.name)
        return sketch.goes

    stream = workflow.stream(state, window=Window(count=2))(process_item)
    stream.open(source)
    stream.flush_window(flush_window)
    stream.on_close(sketch.leading(on_close))


def _compensatable(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def book(trail: Trail, ctx: RunContext) -> Any:
        sketch.attempt(ctx)
        trail.done.append(state.name)
        return sketch.goes, state.name

    async def undo(receipt: str, trail: Trail) -> None:
        trail.undone.append(receipt)

    booked = workflow.compensatable(state, **sketch.options)(sketch.leading(book, pairs_with=str))
    booked.compensate(undo)


def _receive(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def on_message(message: Nudge, trail: Trail) -> Any:
        trail.heard.append(message.text)
        return sketch.goes

    async def on_timeout(trail: Trail) -> Any:
        trail.done.append(state.name)
        return sketch.goes

    hears = workflow.receive(state, timeout=sketch.seconds + 1)(sketch.leading(on_message))
    hears.on_timeout(sketch.leading(on_timeout))


def _split(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    async def left() -> str:
        await trio.sleep(sketch.seconds)
        return "left"

    async def right() -> str:
        return "right"

    workflow.register_split(state, Split.all([left, right], sketch.goes, timeout=1000))


class Inner(Enum):
    """The states of a child of a sketched workflow."""

    WORK = 1
    DONE = 2


def _child(workflow: Sketched, state: Any, sketch: StateSketch) -> None:
    inner = StateSketch(model="task", targets=[Inner.DONE], goes=Inner.DONE, failures=min(sketch.failures, 2))
    child = sketched({Inner.WORK: inner}, [Inner.DONE], f"{workflow.name}-{state.name}")
    workflow.register_child(state, child, {Inner.DONE: sketch.goes})


MODELS: Final[Mapping[str, Callable[[Sketched, Any, StateSketch], None]]] = {
    "task": _task,
    "router": _router,
    "poll": _poll,
    "timer": _timer,
    "batch": _batch,
    "stepped": _stepped,
    "stream": _stream,
    "compensatable": _compensatable,
    "receive": _receive,
    "split": _split,
    "child": _child,
}
"""How a state is made of a sketch, by the model."""

TRIES_AGAIN: Final = frozenset({"task", "batch", "stepped", "compensatable"})
"""The models whose failed attempts are tried again here."""

LEADS_ONE_WAY: Final = frozenset({"split", "child"})
"""The models that lead to one state only here."""
