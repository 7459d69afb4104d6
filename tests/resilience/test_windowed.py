"""The fixed window."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import LimiterStatistics, RateLimited, WindowedRateLimiter


async def test_a_window_admits_its_limit(autojump_clock: MockClock) -> None:
    """RAT-6: so much per window, by cost, and then nothing until it ends."""
    limiter = WindowedRateLimiter(5, 60, name="day")
    limiter.acquire_nowait(3)
    limiter.acquire_nowait(2)
    await trio.sleep(59)
    with pytest.raises(RateLimited) as refusal:
        limiter.acquire_nowait()
    assert (refusal.value.tier, refusal.value.retry_after) == ("day", 1)
    await trio.sleep(1)
    limiter.acquire_nowait(5)
    assert limiter.take() == 60


async def test_the_first_call_begins_the_grid(autojump_clock: MockClock) -> None:
    """G-RAT-2: not the construction, not a look, not a refused or a free call."""
    limiter = WindowedRateLimiter(2, 10)
    await trio.sleep(7)
    limiter.acquire_nowait(0)
    assert limiter.available_in() == 0
    assert limiter.statistics().resets_in is None
    limiter.acquire_nowait()
    assert limiter.statistics().resets_in == 10


async def test_the_grid_does_not_move(autojump_clock: MockClock) -> None:
    """G-RAT-2: windows begin at 3, 13, 23 ..., whenever one looks or calls (cano: where one looks)."""
    limiter = WindowedRateLimiter(1, 10)
    await trio.sleep(3)
    limiter.acquire_nowait()
    await trio.sleep(14)  # 17
    assert limiter.statistics().resets_in == 6
    assert repr(limiter) == "<WindowedRateLimiter 'limiter' 1 of 1 available>"
    await trio.sleep(30)  # 47
    limiter.acquire_nowait()
    assert limiter.take() == limiter.statistics().resets_in == 6
    await limiter.acquire()
    assert trio.current_time() == 53


async def test_an_unused_budget_is_lost(autojump_clock: MockClock) -> None:
    """RAT-6: each window has the limit, whatever the ones before it left."""
    limiter = WindowedRateLimiter(2, 10)
    limiter.acquire_nowait()
    await trio.sleep(35)
    assert limiter.statistics().available == 2


async def test_waiting_ends_with_the_window(autojump_clock: MockClock) -> None:
    """RAT-7: who finds too little left waits for the next window, at the instant it begins."""
    limiter = WindowedRateLimiter(3, 10)
    await limiter.acquire(2)
    await trio.sleep(4)
    await limiter.acquire(1)
    assert trio.current_time() == 4
    await limiter.acquire(2)
    assert trio.current_time() == 10
    await limiter.acquire(2)
    assert trio.current_time() == 20


async def test_a_line_may_be_longer_than_a_window(autojump_clock: MockClock) -> None:
    """RAT-7: seven in line for two a window; the next one is told the window after theirs."""
    limiter, passed = WindowedRateLimiter(2, 10), []

    async def caller() -> None:
        await limiter.acquire()
        passed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(caller)
        await trio.sleep(1)
        assert limiter.available_in() == 39
        assert limiter.take() == 39
    assert passed == [0, 0, 10, 10, 20, 20, 30, 30, 40]


async def test_a_refund_in_the_same_window_counts(autojump_clock: MockClock) -> None:
    """RAT-8: it may be taken again at once."""
    limiter = WindowedRateLimiter(3, 10)
    reservation = limiter.reserve_nowait(3)
    await trio.sleep(9)
    reservation.refund()
    assert (limiter.statistics().available, limiter.statistics().refunded) == (3, 3)


async def test_a_refund_in_a_later_window_is_ignored(autojump_clock: MockClock) -> None:
    """RAT-8: the new window's use stands, and nothing is counted as given back."""
    limiter = WindowedRateLimiter(3, 10)
    reservation = limiter.reserve_nowait(2)
    await trio.sleep(10)
    limiter.acquire_nowait(3)
    reservation.refund()
    assert (limiter.statistics().available, limiter.statistics().refunded) == (0, 0)


async def test_a_refund_after_a_window_nobody_used_is_ignored(autojump_clock: MockClock) -> None:
    """RAT-8: also when the refund itself is the first to notice that the window has ended."""
    limiter = WindowedRateLimiter(3, 10)
    reservation = limiter.reserve_nowait(2)
    await trio.sleep(25)
    reservation.refund()
    assert (limiter.statistics().available, limiter.statistics().refunded) == (3, 0)


async def test_a_reservation_made_as_a_window_ends_belongs_to_the_next(autojump_clock: MockClock) -> None:
    """RAT-8: who waited for a window and gives back within it, gives back."""
    limiter = WindowedRateLimiter(3, 10)
    limiter.acquire_nowait(3)
    reservation = await limiter.reserve(2)
    await trio.sleep(9)
    reservation.refund()
    assert limiter.statistics().available == 3


async def test_everything_is_counted(autojump_clock: MockClock) -> None:
    """RAT-9: a window also says when its budget is back."""
    limiter = WindowedRateLimiter(4, 10)
    limiter.acquire_nowait(2.5)
    await trio.sleep(3)
    limiter.acquire_nowait()
    statistics = limiter.statistics()
    assert statistics == LimiterStatistics(
        capacity=4, available=0.5, available_in=7, resets_in=7, waiting=0, acquired=2, consumed=3.5, refunded=0, waited=0,
        seconds_waited=0, rejected=0,
    )  # fmt: skip
    assert statistics.used == 3.5


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ((0, 60), "limit=0 won't do. Pass a finite number, 1 or more."),
        ((0.5, 60), "limit=0.5 won't do"),
        ((math.nan, 60), "limit=nan won't do"),
        ((math.inf, 60), "limit=inf won't do"),
        ((True, 60), "limit=True won't do"),
        ((10**400, 60), "limit=1000"),
        (("5", 60), "limit='5' won't do"),
        ((5, 0), "window=0 won't do. Pass a finite number, above 0."),
        ((5, -1), "window=-1 won't do"),
        ((5, math.nan), "window=nan won't do"),
        ((5, math.inf), "window=inf won't do"),
        ((5, False), "window=False won't do"),
        ((5, 10**400), "window=1000"),
    ],
)
def test_a_window_out_of_bounds_is_refused(arguments: tuple[Any, Any], complaint: str) -> None:
    """RAT-6: no limit, or no time."""
    with pytest.raises(ValueError) as refusal:
        WindowedRateLimiter(*arguments)
    assert str(refusal.value).startswith(f"WindowedRateLimiter: {complaint}")


@pytest.mark.parametrize("window", [5e-324, 1e-305, 1e-12])
async def test_a_window_too_short_for_the_clock_still_ends(autojump_clock: MockClock, window: float) -> None:
    """RAT-6: at an instant where now + window is now, each call waits for the next instant there is."""
    autojump_clock.jump(1e6)
    limiter = WindowedRateLimiter(1, window)
    await limiter.acquire()
    await limiter.acquire()
    assert trio.current_time() == math.nextafter(1e6, math.inf)
    autojump_clock.jump(1e6)
    assert limiter.take() == 0


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1e6), st.sampled_from([0.1, 0.3, 1 / 3, 60 / 7]) | st.floats(0.01, 100))
def test_no_window_is_shorter_than_another(first: float, window: float) -> None:
    """G-RAT-2: whatever the rounding, each wait for the next window takes a window, and no budget comes twice."""
    clock = MockClock(autojump_threshold=0)
    clock.jump(first)

    async def main() -> list[float]:
        limiter, instants = WindowedRateLimiter(1, window), []
        for _ in range(60):
            await limiter.acquire()
            instants.append(trio.current_time())
        return instants

    instants = trio.run(main, clock=clock)
    assert instants == pytest.approx([first + number * window for number in range(60)], rel=1e-12)
