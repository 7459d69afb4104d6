"""Tasks and batches cancelled at every step: nothing they held stays behind. The other models stand with their own tests."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import attrs
import trio

from cano_trio import BatchResults, CircuitBreaker, CircuitPolicy, RateLimiter, Retry, Workflow
from tests.engine.stepping import cancel_at_every_step


class Step(Enum):
    CALL = auto()
    WORK = auto()
    DONE = auto()


@attrs.define
class World:
    """What a run takes from others for a while."""

    capacity: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(2))
    breaker: CircuitBreaker = attrs.field(
        factory=lambda: CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=1))
    )
    limiter: RateLimiter = attrs.field(factory=lambda: RateLimiter(2, per=1))
    calls: int = 0
    at_work: int = 0


def workflow(world: World) -> Workflow[Step]:
    """A call that fails first, opens its breaker and waits for it; then items, of which some fail."""
    made = Workflow(Step, initial=Step.CALL, exits=[Step.DONE])

    @made.task(
        Step.CALL, breaker=world.breaker, on_open="wait", limiter=world.limiter, attempt_timeout=5,
        retry=Retry.fixed(3, delay=0.5),
    )  # fmt: skip
    async def call() -> Literal[Step.WORK]:
        world.calls += 1
        await trio.sleep(0.2)
        if world.calls == 1:
            raise OSError("busy")
        return Step.WORK

    @made.batch(Step.WORK, concurrency=world.capacity, item_retry=Retry.fixed(1, delay=0.1))
    async def item(number: int) -> int:
        world.at_work += 1
        try:
            await trio.sleep(0.1 * number)
            if number % 2:
                raise OSError(number)
            return number
        finally:
            world.at_work -= 1

    @item.load
    async def numbers() -> list[int]:
        await trio.sleep(0.1)
        return [3, 1, 2, 4]

    @item.finish
    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        await trio.sleep(0.1)
        return Step.DONE

    return made


def nothing_is_held(world: World) -> None:
    """No token, no item at work, and no permit: a half-open breaker whose trial was cut off lets the next one try."""
    assert world.capacity.borrowed_tokens == 0
    assert world.at_work == 0
    assert world.breaker.statistics().trials_in_flight == 0
    assert world.breaker.statistics().waiting == 0
    assert world.limiter.statistics().waiting == 0


def test_a_task_and_a_batch_leave_nothing_behind() -> None:
    """Wherever a cancel finds them, no limiter's token, no breaker's permit and no item at work is left."""
    assert cancel_at_every_step(World, lambda world: workflow(world).run(), nothing_is_held) > 40
