"""The token bucket, and what all limiters with one budget share: taking, and saying how it stands."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from cano_trio import LimiterStatistics, RateLimited, RateLimiter, WindowedRateLimiter
from cano_trio._resilience import Limiter


async def test_a_bucket_starts_full(autojump_clock: MockClock) -> None:
    """RAT-1: `burst` calls pass at once, and no more."""
    limiter = RateLimiter(10, burst=7)
    assert [limiter.take() for _ in range(7)] == [0] * 7
    assert limiter.take() == 0.1


@pytest.mark.parametrize("rate, capacity", [(10, 10), (0.25, 1), (1, 1)])
def test_a_bucket_holds_its_rate_by_default(rate: float, capacity: float) -> None:
    """RAT-1: but one token at least, or no call could ever pass."""
    assert RateLimiter(rate).capacity == capacity


async def test_tokens_come_back_evenly(autojump_clock: MockClock) -> None:
    """RAT-1: fractions are kept, and the bucket never holds more than its capacity."""
    limiter = RateLimiter(4, per=2, burst=3)
    limiter.acquire_nowait(3)
    await trio.sleep(0.25)
    assert limiter.statistics().available == 0.5
    assert limiter.take() == 0.25
    await trio.sleep(0.25)
    assert limiter.take() == 0
    await trio.sleep(1000)
    assert limiter.statistics().available == 3


async def test_a_call_takes_what_it_costs(autojump_clock: MockClock) -> None:
    """RAT-2: more than is there is refused without taking; what is there may be taken to the last."""
    limiter = RateLimiter(1, burst=5)
    limiter.acquire_nowait(2.5)
    with pytest.raises(RateLimited):
        limiter.acquire_nowait(3)
    assert limiter.statistics().available == 2.5
    limiter.acquire_nowait(2.5)
    assert limiter.statistics().available == 0


@pytest.mark.parametrize("limiter", [RateLimiter(1), WindowedRateLimiter(1, 60)], ids=["bucket", "window"])
async def test_a_cost_of_nothing_always_passes(autojump_clock: MockClock, limiter: RateLimiter) -> None:
    """RAT-2: also with an empty budget, and takes nothing; acquire stays a checkpoint."""
    limiter.acquire_nowait()
    before = limiter.statistics()
    assert limiter.take(0) == limiter.available_in(0) == 0
    limiter.acquire_nowait(0)
    with assert_checkpoints():
        await limiter.acquire(0)
    limiter.reserve_nowait(0).refund()
    assert limiter.statistics() == before
    assert trio.current_time() == 0


@pytest.mark.parametrize("limiter", [RateLimiter(1, burst=5), WindowedRateLimiter(5, 60)], ids=["bucket", "window"])
@pytest.mark.parametrize(
    "cost", [5.000001, 10**400, math.inf, math.nan, -1, -math.inf, None, "", "1", [], 1j], ids=repr
)
async def test_a_cost_that_can_never_pass_is_refused(
    autojump_clock: MockClock, limiter: RateLimiter, cost: Any
) -> None:
    """G-RAT-1: by every method, with a ValueError (cano waits for ever), and nothing is taken."""
    for method in (limiter.take, limiter.available_in, limiter.acquire_nowait, limiter.reserve_nowait):
        with pytest.raises(ValueError, match=r"can never pass\. Pass a number from 0 to its capacity, 5"):
            method(cost)
    for wait in (limiter.acquire, limiter.reserve):
        with pytest.raises(ValueError, match="'limiter': cost="):
            await wait(cost)
    assert limiter.statistics().acquired == limiter.statistics().waiting == 0


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"rate": 0}, "rate=0 won't do. Pass a finite number, above 0."),
        ({"rate": -1}, "rate=-1 won't do"),
        ({"rate": math.nan}, "rate=nan won't do"),
        ({"rate": math.inf}, "rate=inf won't do"),
        ({"rate": True}, "rate=True won't do"),
        ({"rate": "10"}, "rate='10' won't do"),
        ({"rate": 10**400}, "rate=1000"),
        ({"rate": 1, "per": 0}, "per=0 won't do. Pass a finite number, above 0, such as 1.0."),
        ({"rate": 1, "per": math.nan}, "per=nan won't do"),
        ({"rate": 1, "per": 10**400}, "per=1000"),
        ({"rate": 1, "burst": 0}, "burst=0 won't do. Pass a finite number, 1 or more."),
        ({"rate": 1, "burst": 0.5}, "burst=0.5 won't do"),
        ({"rate": 1, "burst": math.inf}, "burst=inf won't do"),
        ({"rate": 1, "burst": math.nan}, "burst=nan won't do"),
        ({"rate": 1, "burst": True}, "burst=True won't do"),
        ({"rate": 1, "burst": 10**400}, "burst=1000"),
        ({"rate": 5e-324}, "rate=5e-324 per=1.0 s is too slow to count. Pass a larger rate."),
        ({"rate": 1, "per": 10**300, "burst": 10**300}, "rate=1 per=1000"),
    ],
)
def test_a_bucket_out_of_bounds_is_refused(arguments: dict[str, Any], complaint: str) -> None:
    """RAT-1: no rate, no time, no room for a single token, or numbers that can't be reckoned with."""
    with pytest.raises(ValueError) as refusal:
        RateLimiter(**arguments)
    assert str(refusal.value).startswith(f"RateLimiter: {complaint}")


async def test_a_refusal_says_when(autojump_clock: MockClock) -> None:
    """RAT-2: `retry_after` is exactly when the same call passes, if nobody else comes."""
    limiter = RateLimiter(2, burst=4, name="mail")
    limiter.acquire_nowait(4)
    await trio.sleep(0.25)
    with pytest.raises(RateLimited) as refusal:
        limiter.acquire_nowait(3)
    assert (refusal.value.tier, refusal.value.retry_after) == ("mail", 1.25)
    assert str(refusal.value) == "rate limited by 'mail': try again after 1.25 s"
    await trio.sleep(refusal.value.retry_after)
    limiter.acquire_nowait(3)


async def test_waiting_takes_exactly_the_deficit(autojump_clock: MockClock) -> None:
    """RAT-3: who finds too little waits until the missing tokens are there; who finds enough does not."""
    limiter = RateLimiter(4, burst=3)
    await limiter.acquire(2)
    assert trio.current_time() == 0
    await limiter.acquire(3)
    assert trio.current_time() == 0.5
    await limiter.acquire(1)
    assert trio.current_time() == 0.75


async def test_many_at_once_get_exactly_the_capacity(autojump_clock: MockClock) -> None:
    """RAT-13: 40 race for 10; 10 pass, and the others at one each tenth of a second."""
    limiter, passed = RateLimiter(10), []

    async def racer() -> None:
        await limiter.acquire()
        passed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(racer)
    assert passed == pytest.approx([0.0] * 10 + [number / 10 for number in range(1, 31)])


async def test_everything_is_counted(autojump_clock: MockClock) -> None:
    """RAT-9, RAT-14: what there is, calls, what they took and gave back, who waited and for how long, refusals."""
    limiter = RateLimiter(2, burst=4)
    fresh = limiter.statistics()
    assert fresh == LimiterStatistics(
        capacity=4, available=4, available_in=0, resets_in=None, waiting=0, acquired=0, consumed=0, refunded=0, waited=0,
        seconds_waited=0, rejected=0,
    )  # fmt: skip
    assert fresh.used == 0
    limiter.acquire_nowait(3)
    with pytest.raises(RateLimited):
        limiter.acquire_nowait(2)
    await limiter.acquire(1)  # at once
    await limiter.acquire(3)  # 1.5 s
    limiter.reserve_nowait(0)
    (await limiter.reserve(1)).refund()  # 0.5 s
    await trio.sleep(0.25)
    limiter.acquire_nowait(1.25)
    statistics = limiter.statistics()
    assert statistics == LimiterStatistics(
        capacity=4, available=0.25, available_in=0.375, resets_in=None, waiting=0, acquired=5, consumed=9.25, refunded=1,
        waited=2, seconds_waited=2, rejected=1,
    )  # fmt: skip
    assert statistics.used == 3.75


async def test_looking_changes_nothing(autojump_clock: MockClock) -> None:
    """RAT-9: statistics, repr, available_in and a refused take leave everything as it is."""
    limiter = RateLimiter(2, burst=4)
    limiter.acquire_nowait(4)
    await trio.sleep(0.5)
    before = limiter.statistics()
    assert limiter.take(2) == limiter.available_in(2) == 0.5
    assert repr(limiter) == "<RateLimiter 'limiter' 1 of 4 available>"
    assert limiter.statistics() == before


@pytest.mark.parametrize(
    "limiter", [RateLimiter(3, name="a"), WindowedRateLimiter(3, 60, name="a")], ids=["bucket", "window"]
)
async def test_every_limiter_is_one(autojump_clock: MockClock, limiter: RateLimiter) -> None:
    """RAT-9: both kinds serve as a task's `limiter=`: a name, `take`, `acquire`; a repr before any use."""
    assert isinstance(limiter, Limiter)
    assert limiter.name == "a"
    assert repr(limiter) == f"<{type(limiter).__name__} 'a' 3 of 3 available>"
    await limiter.acquire()
    assert limiter.take() == 0
    assert repr(limiter) == f"<{type(limiter).__name__} 'a' 1 of 3 available>"


@pytest.mark.parametrize("begin", [0.0, 1e6, 2.0**31 + 0.1, 1e12])
async def test_a_late_clock_neither_refuses_the_last_token_nor_hangs(autojump_clock: MockClock, begin: float) -> None:
    """RAT-1: at any age of the clock a burst is whole, and a wait ends where it said it would."""
    autojump_clock.jump(begin)
    limiter = RateLimiter(3, burst=10)
    for _ in range(100):
        limiter.acquire_nowait(0.1)
    begun = trio.current_time()
    for _ in range(30):
        await limiter.acquire(1)
    assert trio.current_time() - begun == pytest.approx(10, rel=1e-3)


async def test_the_slowest_and_the_fastest_bucket_work(autojump_clock: MockClock) -> None:
    """RAT-3: waits of astronomical length or of none are waits all the same."""
    slow, fast = RateLimiter(2.0**-900), RateLimiter(1e308, per=1e-10)
    await slow.acquire()
    await slow.acquire()
    assert trio.current_time() == 2.0**900
    await fast.acquire(1e308)
    await fast.acquire(1e308)
    assert trio.current_time() == 2.0**900
