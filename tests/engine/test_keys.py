"""Idempotency keys: no two pieces of work of a run share one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum, auto
from typing import Literal

from trio.testing import MockClock

from cano_trio import BatchResults, CloseReason, RunContext, Window, Workflow


class Step(Enum):
    BATCH = auto()
    TIMER = auto()
    STREAM = auto()
    DONE = auto()


async def test_every_method_that_may_have_an_effect_has_its_own_key(autojump_clock: MockClock) -> None:  # noqa: C901  (one method after another)
    """A service that drops a second call with the same key drops nothing that was meant; the one that ends a state has its key."""
    keys: dict[str, str] = {}
    work = Workflow(Step, initial=Step.BATCH, exits=[Step.DONE])

    @work.batch(Step.BATCH)
    async def item(number: int, ctx: RunContext) -> int:
        keys[f"item {number}"] = ctx.idempotency_key
        return number

    @item.load
    async def load(ctx: RunContext) -> list[int]:
        keys["load"] = ctx.idempotency_key
        return [0, 1]

    @item.finish
    async def finish(results: BatchResults[int, int], ctx: RunContext) -> Literal[Step.TIMER]:
        keys["finish"] = ctx.idempotency_key
        return Step.TIMER

    @work.timer(Step.TIMER)
    async def wait(ctx: RunContext) -> float:
        keys["wait"] = ctx.idempotency_key
        return 60

    @wait.after_wait
    async def wake(ctx: RunContext) -> Literal[Step.STREAM]:
        keys["after_wait"] = ctx.idempotency_key
        return Step.STREAM

    @work.stream(Step.STREAM, window=Window(count=1), on_item_error="dead_letter")
    async def take(number: int) -> tuple[int, int]:
        if number:
            raise TypeError(number)
        return number, number

    @take.open
    async def source(cursor: int | None, ctx: RunContext) -> AsyncIterator[int]:
        keys["open"] = ctx.idempotency_key
        yield 0
        yield 1

    @take.dead_letter
    async def bury(number: int, error: Exception, ctx: RunContext) -> None:
        keys["dead_letter"] = ctx.idempotency_key

    @take.flush_window
    async def flush(outputs: list[int], ctx: RunContext) -> None:
        keys["flush_window"] = ctx.idempotency_key

    @take.on_close
    async def close(reason: CloseReason, ctx: RunContext) -> Literal[Step.DONE]:
        keys["on_close"] = ctx.idempotency_key
        return Step.DONE

    await work.run(run_id="r")
    assert keys == {
        "load": "r/0/load",
        "item 0": "r/0/i:0",
        "item 1": "r/0/i:1",
        "finish": "r/0",
        "wait": "r/1/wait",
        "after_wait": "r/1",
        "open": "r/2/open",
        "flush_window": "r/2/w:0",
        "dead_letter": "r/2/w:1/i:0/dead_letter",
        "on_close": "r/2",
    }
