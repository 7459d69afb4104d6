"""Laws of the limiters, against models in exact arithmetic (every number here is a multiple of a power of two)."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio import MultiRateLimiter, RateLimited, RateLimiter, Reservation, Tier, WindowedRateLimiter

LAW = settings(deadline=None, max_examples=40)
GAPS = st.sampled_from([0, 0, 0.25, 0.5, 1.25, 3])

Calls = list[tuple[float, int]]  # seconds since the call before, cost
Waiting = Callable[[int], Awaitable[object]]


def calls(most: int) -> st.SearchStrategy[Calls]:
    """Calls at some distance from each other."""
    return st.lists(st.tuples(GAPS, st.integers(1, most)), min_size=1, max_size=25)


def arrivals(given_calls: Calls) -> list[tuple[float, int]]:
    """The calls at their instants."""
    instants = itertools.accumulate(gap for gap, _ in given_calls)
    return [(instant, cost) for instant, (_, cost) in zip(instants, given_calls, strict=True)]


def admitted(wait: Waiting, given_calls: Calls) -> list[tuple[int, float]]:
    """Each call's number and the instant at which it passed, in the order of passing."""
    passed: list[tuple[int, float]] = []

    async def caller(number: int, cost: int) -> None:
        await wait(cost)
        passed.append((number, trio.current_time()))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number, (gap, cost) in enumerate(given_calls):
                await trio.sleep(gap)
                nursery.start_soon(caller, number, cost)
                await wait_all_tasks_blocked()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return passed


@LAW
@given(st.sampled_from([0.25, 1, 2]), st.sampled_from([1, 2]), calls(4))
def test_a_bucket_serves_in_order_at_the_first_possible_instant(rate: float, per: float, given_calls: Calls) -> None:
    """RAT-1, RAT-3, G-RAT-1: neither earlier nor later than a bucket that is counted in exact numbers."""
    expected: list[float] = []
    tokens, counted, capacity = 4.0, 0.0, 4.0
    for instant, cost in arrivals(given_calls):
        begun = max(instant, counted)
        tokens = min(capacity, tokens + (begun - counted) * rate / per)
        counted = begun + max(0, cost - tokens) * per / rate
        tokens = max(0, tokens - cost)
        expected.append(counted)
    limiter = RateLimiter(rate, per, burst=4)
    assert admitted(limiter.acquire, given_calls) == list(enumerate(expected))
    assert limiter.statistics().waiting == 0


@LAW
@given(st.floats(0.01, 50), st.floats(0.1, 10), st.floats(4, 20), calls(4))
def test_a_bucket_never_gives_more_than_it_has(rate: float, per: float, burst: float, given_calls: Calls) -> None:
    """RAT-1: in any stretch of time, no more than the capacity and what comes back in it; any numbers, any waiting."""
    limiter = RateLimiter(rate, per, burst=burst)

    async def acquire(cost: int) -> None:
        await limiter.acquire(cost)
        assert 0 <= limiter.statistics().available <= burst

    passed = admitted(acquire, given_calls)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            taken = sum(given_calls[number][1] for number, _ in passed[first : last + 1])
            assert taken <= (burst + rate / per * (passed[last][1] - passed[first][1])) * (1 + 1e-9)


@LAW
@given(st.sampled_from([0.5, 2, 4]), calls(4))
def test_a_window_serves_in_order_at_the_first_possible_instant(window: float, given_calls: Calls) -> None:
    """RAT-6, RAT-7, G-RAT-1, G-RAT-2: no window on the grid gives more than its limit, and none keeps anybody waiting."""
    expected: list[float] = []
    used: dict[int, int] = {}
    last, first = 0.0, given_calls[0][0]
    for instant, cost in arrivals(given_calls):
        last = max(instant, last)
        number = int((last - first) // window)
        if used.get(number, 0) + cost > 4:
            number += 1
            last = first + number * window
        used[number] = used.get(number, 0) + cost
        expected.append(last)
    assert admitted(WindowedRateLimiter(4, window).acquire, given_calls) == list(enumerate(expected))
    assert max(used.values()) <= 4


Step = tuple[str, int]  # what to do, and with which cost or reservation
STEPS = st.lists(st.tuples(st.sampled_from(["reserve", "refund", "commit", "wait"]), st.integers(1, 5)), max_size=50)


def reserved(reserve: Callable[[], Reservation]) -> tuple[Reservation | None, float]:
    """What was reserved, or for how long it was refused."""
    try:
        return reserve(), 0
    except RateLimited as refusal:
        return None, refusal.retry_after


@LAW
@given(STEPS)
def test_a_bucket_loses_nothing(steps: list[Step]) -> None:
    """RAT-5: what is consumed and not refunded is what was committed or is still held; refunds never overfill."""

    async def main() -> None:
        clock, limiter = trio.lowlevel.current_clock(), RateLimiter(0.5, burst=5)
        assert isinstance(clock, MockClock)
        held: list[tuple[Reservation, int]] = []
        tokens, kept, refused = 5.0, 0, 0
        for what, number in steps:
            if what == "wait":
                clock.jump(number / 4)
                tokens = min(5, tokens + number / 8)
            elif what == "reserve":
                reservation, wait = reserved(partial(limiter.reserve_nowait, number))
                assert wait == max(0, number - tokens) * 2
                if reservation:
                    held.append((reservation, number))
                    tokens -= number
                else:
                    refused += 1
            elif held:
                kept_back, cost = held.pop(number % len(held))
                getattr(kept_back, what)()
                kept += cost if what == "commit" else 0
                tokens = tokens if what == "commit" else min(5, tokens + cost)
            statistics = limiter.statistics()
            assert (statistics.available, statistics.rejected) == (tokens, refused)
            assert statistics.consumed - statistics.refunded == kept + sum(cost for _, cost in held)

    trio.run(main, clock=MockClock())


@LAW
@given(STEPS)
def test_a_window_forgets_refunds_of_another(steps: list[Step]) -> None:
    """RAT-8: a window's use is what was taken in it and not given back in it."""

    async def main() -> None:
        clock, limiter = trio.lowlevel.current_clock(), WindowedRateLimiter(5, 2)
        assert isinstance(clock, MockClock)
        held: list[tuple[Reservation, int, int]] = []
        used, first, refunded = 0, -1.0, 0
        for what, number in steps:
            now = trio.current_time()
            if what == "wait":
                clock.jump(number / 4)
                used = used if first < 0 or (now - first) // 2 == (now + number / 4 - first) // 2 else 0
            elif what == "reserve":
                reservation, wait = reserved(partial(limiter.reserve_nowait, number))
                assert wait == (2 - (now - first) % 2 if used + number > 5 else 0)
                if reservation:
                    first = now if first < 0 else first
                    held.append((reservation, number, int((now - first) // 2)))
                    used += number
            elif held:
                kept_back, cost, window = held.pop(number % len(held))
                getattr(kept_back, what)()
                if what == "refund" and window == int((now - first) // 2):
                    used, refunded = used - cost, refunded + cost
            assert (limiter.statistics().used, limiter.statistics().refunded) == (used, refunded)

    trio.run(main, clock=MockClock())


ONLY = st.sampled_from(["x", "y", "z", "xy", "yz", "xyz", ""])


@LAW
@given(st.lists(st.tuples(GAPS, ONLY, st.booleans()), max_size=40))
def test_tiers_take_all_or_nothing(given_calls: list[tuple[float, str, bool]]) -> None:
    """RAT-10, RAT-11: a call passes exactly if each tier alone would let it, and leaves them as if each were asked alone."""

    def limiters() -> tuple[RateLimiter, WindowedRateLimiter]:
        return RateLimiter(1, burst=4), WindowedRateLimiter(5, 4)

    async def main() -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        bucket, window = limiters()
        lone_bucket, lone_window = limiters()
        multi = MultiRateLimiter([Tier("x", bucket), Tier("y", window, cost=2), Tier("z", bucket, cost=2)])
        for gap, only, gives_back in given_calls:
            clock.jump(gap)
            names = only or "xyz"
            waits: dict[str, float] = {}
            if "x" in names:
                waits["x"] = lone_bucket.available_in(1)
            if "y" in names:
                waits["y"] = lone_window.available_in(2)
            if "z" in names:
                waits["z"] = lone_bucket.available_in(3 if "x" in names else 2)
            blocking = next((name for name in "xyz" if waits.get(name)), None)
            if blocking is not None:
                with pytest.raises(RateLimited) as refusal:
                    multi.reserve_nowait(only=list(only))
                assert (refusal.value.tier, refusal.value.retry_after) == (blocking, waits[blocking])
                continue
            reservation = multi.reserve_nowait(only=list(only))
            alone = [limiter.reserve_nowait(cost) for limiter, cost in (
                (lone_bucket, ("x" in names) + 2 * ("z" in names)), (lone_window, 2 * ("y" in names))) if cost]  # fmt: skip
            for part in [reservation, *alone] if gives_back else []:
                part.refund()
            for limiter, lone in ((bucket, lone_bucket), (window, lone_window)):
                assert limiter.statistics().available == lone.statistics().available
                assert limiter.statistics().consumed == lone.statistics().consumed
                assert limiter.statistics().refunded == lone.statistics().refunded

    trio.run(main, clock=MockClock())


@LAW
@given(
    st.lists(st.tuples(GAPS, ONLY, st.sampled_from([None, None, 0, 1, 2.5])), min_size=1, max_size=20),
    st.sampled_from([1, 3]),
)
def test_tiers_lose_nothing_while_many_wait(given_calls: list[tuple[float, str, float | None]], burst: int) -> None:
    """RAT-12, G-RAT-1: all who do not give up pass, those who need the same in order, and each tier gives what they took."""
    tiers = {"x": RateLimiter(1, burst=burst), "y": WindowedRateLimiter(2, 4), "z": RateLimiter(0.5, burst=burst)}
    multi = MultiRateLimiter(tiers)
    passed: list[int] = []

    async def caller(number: int, only: str, patience: float | None) -> None:
        with trio.move_on_after(float("inf") if patience is None else patience):
            await multi.acquire(only=list(only))
            passed.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number, (gap, only, patience) in enumerate(given_calls):
                await trio.sleep(gap)
                nursery.start_soon(caller, number, only, patience)
                await wait_all_tasks_blocked()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert {number for number, (_, _, patience) in enumerate(given_calls) if patience is None} <= set(passed)
    assert multi.statistics().acquired == len(passed)
    assert multi.statistics().waiting == 0
    # In line for x, the first tier, stands everybody who needs it; for a later one, who has come to the front before.
    needs = [only or "xyz" for _, only, _ in given_calls]
    for alike in ({"x", "xy", "xyz"}, {"y"}, {"z"}, {"yz"}):
        group = [number for number in passed if needs[number] in alike]
        assert group == sorted(group)
    for name, limiter in tiers.items():
        mine = [number for number in passed if name in needs[number]]
        statistics = limiter.statistics()
        assert statistics.waiting == 0
        assert statistics.consumed - statistics.refunded == len(mine)
