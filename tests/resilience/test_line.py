"""Waiting in line for a budget: order, leaving, giving back, and several trio runs."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio import RateLimited, RateLimiter, Reservation, WindowedRateLimiter


async def queue(
    limiter: RateLimiter, nursery: trio.Nursery, served: list[str], name: str, cost: float
) -> trio.CancelScope:
    """Start a task that waits in line, and leave it there."""
    scope = trio.CancelScope()

    async def caller() -> None:
        with scope:
            await limiter.acquire(cost)
            served.append(f"{name} at {trio.current_time():g}")

    nursery.start_soon(caller)
    await wait_all_tasks_blocked()
    return scope


async def test_those_who_wait_are_served_in_order(autojump_clock: MockClock) -> None:
    """G-RAT-1: a large cost is not overtaken by small ones behind it."""
    limiter, served = RateLimiter(1, burst=5), list[str]()
    limiter.acquire_nowait(5)
    async with trio.open_nursery() as nursery:
        for name, cost in [("a", 5), ("b", 1), ("c", 2), ("d", 1)]:
            await queue(limiter, nursery, served, name, cost)
    assert served == ["a at 5", "b at 6", "c at 8", "d at 9"]


async def test_nobody_overtakes_those_who_wait(autojump_clock: MockClock) -> None:
    """G-RAT-1: with others in line, a call that does not wait is refused though it could be served."""
    limiter, served = RateLimiter(1, burst=5), list[str]()
    limiter.acquire_nowait(5)
    async with trio.open_nursery() as nursery:
        await queue(limiter, nursery, served, "a", 4)
        await trio.sleep(3)
        assert limiter.statistics().available == 3
        assert repr(limiter) == "<RateLimiter 'limiter' 3 of 5 available, 1 waiting>"
        with pytest.raises(RateLimited) as refusal:
            limiter.acquire_nowait(2)
        assert refusal.value.retry_after == limiter.take(2) == 3
        with pytest.raises(RateLimited):
            limiter.reserve_nowait(0.5)
        assert limiter.statistics().waiting == 1
    assert served == ["a at 4"]
    assert limiter.statistics().rejected == 2


async def test_behind_those_about_to_be_served_now_is_no_answer(autojump_clock: MockClock) -> None:
    """RAT-10: a refusal is never for 0 seconds, which would say that the call had passed."""
    limiter, served = RateLimiter(1, burst=5), list[str]()
    reservation = limiter.reserve_nowait(5)
    async with trio.open_nursery() as nursery:
        await queue(limiter, nursery, served, "a", 1)
        reservation.refund()
        assert limiter.take() == limiter.available_in() == 0.001
    assert served == ["a at 0"]
    assert limiter.take() == 0


async def test_the_smallest_cost_in_line_is_not_overtaken(autojump_clock: MockClock) -> None:
    """G-RAT-1: not even one that vanishes in the sum of the costs in line."""
    limiter, served = RateLimiter(1, burst=5), list[str]()
    limiter.acquire_nowait(5)
    async with trio.open_nursery() as nursery:
        first = await queue(limiter, nursery, served, "a", 3)
        await queue(limiter, nursery, served, "b", 1e-20)
        await trio.sleep(2)
        first.cancel()
        while limiter.statistics().waiting == 2:
            await trio.lowlevel.checkpoint()
        if limiter.statistics().waiting:
            assert limiter.take() > 0
    assert served == ["b at 2"]


@pytest.mark.parametrize("leaves", [0, 1, 2])
async def test_who_leaves_the_line_takes_nothing(autojump_clock: MockClock, leaves: int) -> None:
    """G-RAT-1: the next one steps up at once, and needs only wait for its own cost."""
    limiter, served = RateLimiter(1, burst=5), list[str]()
    limiter.acquire_nowait(5)
    async with trio.open_nursery() as nursery:
        scopes = [await queue(limiter, nursery, served, name, cost) for name, cost in [("a", 5), ("b", 1), ("c", 2)]]
        await trio.sleep(2)
        scopes[leaves].cancel()
    assert served == [["b at 2", "c at 3"], ["a at 5", "c at 7"], ["a at 5", "b at 6"]][leaves]
    statistics = limiter.statistics()
    assert (statistics.waiting, statistics.consumed) == (0, 5 + [3, 7, 6][leaves])
    assert limiter.available_in() == 1


async def test_a_line_that_is_empty_again_leaves_no_trace(autojump_clock: MockClock) -> None:
    """G-RAT-1: the costs in line come to nothing when nobody is left, not to a rounding error that refuses the last token."""
    limiter, served = RateLimiter(1, per=1e6, burst=1), list[str]()
    limiter.acquire_nowait(0.9375)
    async with trio.open_nursery() as nursery:
        scopes = [await queue(limiter, nursery, served, "a", cost) for cost in (0.1, 0.2)]
        for scope in scopes:
            scope.cancel()
            await wait_all_tasks_blocked()
    assert served == []
    assert limiter.take(0.0625) == 0


async def test_a_cancel_at_the_instant_of_service_loses_nothing(autojump_clock: MockClock) -> None:
    """G-RAT-1: served or cancelled: what was taken is what somebody got."""
    limiter, got = RateLimiter(1, burst=2), list[float]()
    limiter.acquire_nowait(2)
    with trio.move_on_at(2):
        await limiter.acquire(2)
        got.append(2)
    assert limiter.statistics().consumed == 2 + sum(got)
    assert limiter.statistics().available == 2 - sum(got)


@pytest.mark.parametrize("cost", [0, 1])
async def test_a_cancelled_call_takes_nothing(autojump_clock: MockClock, cost: float) -> None:
    """G-RAT-1: acquire and reserve are checkpoints before they take, never after."""
    limiter = RateLimiter(1)
    for call in (limiter.acquire, limiter.reserve):
        with trio.CancelScope() as scope:
            scope.cancel()
            await call(cost)
        assert scope.cancelled_caught
    assert limiter.statistics().acquired == 0


async def test_a_cancel_after_taking_keeps_the_reservation(autojump_clock: MockClock) -> None:
    """RAT-5: a cancel that comes while the taker yields does not lose the hold on what was taken."""
    limiter, held = RateLimiter(1), list[Reservation]()
    scope = trio.CancelScope()

    async def taker() -> None:
        with scope:
            held.append(await limiter.reserve())

    async def canceller() -> None:
        while not limiter.statistics().acquired:
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(canceller)
        nursery.start_soon(taker)
    assert len(held) == limiter.statistics().acquired == 1


async def test_a_block_gives_back_what_it_did_not_commit(autojump_clock: MockClock) -> None:
    """RAT-5: at its end, also by an error; a commit keeps it."""
    limiter = RateLimiter(10)
    with limiter.reserve_nowait(4) as reservation:
        assert repr(reservation) == "<Reservation open>"
        assert limiter.statistics().available == 6
    assert repr(reservation) == "<Reservation refunded>"
    with pytest.raises(OSError), await limiter.reserve(4):
        raise OSError
    assert (limiter.statistics().available, limiter.statistics().refunded) == (10, 8)
    with limiter.reserve_nowait(3) as reservation:
        reservation.commit()
    assert repr(reservation) == "<Reservation committed>"
    assert (limiter.statistics().available, limiter.statistics().refunded) == (7, 8)


async def test_a_reservation_ends_once(autojump_clock: MockClock) -> None:
    """RAT-5: a second refund gives nothing, a second commit nothing either, and a commit after a refund is a mistake."""
    limiter = RateLimiter(10)
    limiter.acquire_nowait(5)
    reservation = limiter.reserve_nowait(2)
    reservation.refund()
    reservation.refund()
    assert limiter.statistics().available == 5
    with pytest.raises(RuntimeError, match=r"given back already\. Commit it inside its block"):
        reservation.commit()
    kept = limiter.reserve_nowait(2)
    kept.commit()
    kept.commit()
    kept.refund()
    assert (limiter.statistics().available, limiter.statistics().refunded) == (3, 2)


async def test_a_refund_never_overfills(autojump_clock: MockClock) -> None:
    """RAT-5: what came back by itself meanwhile is not given twice."""
    limiter = RateLimiter(2, burst=4)
    reservation = limiter.reserve_nowait(4)
    await trio.sleep(1)
    reservation.refund()
    assert limiter.statistics().available == 4
    limiter.acquire_nowait(4)
    await trio.sleep(0.5)
    assert limiter.statistics().available == 1


@pytest.mark.parametrize("limiter", [RateLimiter(1, burst=4), WindowedRateLimiter(4, 60)], ids=["bucket", "window"])
async def test_a_refund_serves_those_who_wait(autojump_clock: MockClock, limiter: RateLimiter) -> None:
    """RAT-5: at once, in order, as far as it reaches; the rest wait on."""
    served = list[str]()
    reservation = limiter.reserve_nowait(3)
    limiter.acquire_nowait(1)
    async with trio.open_nursery() as nursery:
        for name, cost in [("a", 2), ("b", 1), ("c", 4)]:
            await queue(limiter, nursery, served, name, cost)
        await trio.sleep(0.5)
        reservation.refund()
        await wait_all_tasks_blocked()
        assert served == ["a at 0.5", "b at 0.5"]
    assert served[2:] == ["c at 4" if limiter.statistics().resets_in is None else "c at 60"]
    assert limiter.statistics().waited == 3


async def test_a_refund_too_small_changes_only_the_wait(autojump_clock: MockClock) -> None:
    """RAT-5: who is first in line then waits for the smaller deficit."""
    limiter, served = RateLimiter(1, burst=10), list[str]()
    reservation = limiter.reserve_nowait(3)
    limiter.acquire_nowait(7)
    async with trio.open_nursery() as nursery:
        await queue(limiter, nursery, served, "a", 8)
        await trio.sleep(1)
        reservation.refund()
    assert served == ["a at 5"]


@pytest.mark.parametrize("before, after", [(10, 0), (0, 100), (1e6, 7)])
def test_a_bucket_may_be_used_in_several_runs(before: float, after: float) -> None:
    """RAT-13: what has come back at the end of one run is there in the next, whose clock begins elsewhere."""
    limiter = RateLimiter(1, burst=4)
    assert limiter.statistics().available == 4

    async def first() -> Reservation:
        await trio.sleep(before)
        held = limiter.reserve_nowait(2)
        limiter.acquire_nowait(2)
        await trio.sleep(0.5)
        return held

    async def second(held: Reservation) -> float:
        await trio.sleep(after)
        assert limiter.statistics().available == 0.5
        await limiter.acquire(1)
        held.refund()
        assert limiter.take(2) == 0
        return trio.current_time() - after

    held = trio.run(first, clock=MockClock(autojump_threshold=0))
    assert limiter.statistics().available == 0.5
    assert trio.run(second, held, clock=MockClock(autojump_threshold=0)) == 0.5


@pytest.mark.parametrize("before, after", [(10, 0), (0, 100), (1e6, 7)])
def test_a_window_may_be_used_in_several_runs(before: float, after: float) -> None:
    """RAT-13: its grid goes on, as does what a reservation of an earlier run may give back."""
    limiter = WindowedRateLimiter(2, 10)
    assert limiter.statistics().resets_in is None

    async def early() -> None:
        await trio.sleep(before)
        assert limiter.available_in() == 0

    async def first() -> Reservation:
        await trio.sleep(before)
        held = limiter.reserve_nowait(1)
        limiter.acquire_nowait(1)
        await trio.sleep(4)
        return held

    async def second(held: Reservation) -> float:
        await trio.sleep(after)
        held.refund()
        limiter.acquire_nowait()
        await limiter.acquire()
        assert limiter.statistics().resets_in == 10
        return trio.current_time() - after

    trio.run(early, clock=MockClock(autojump_threshold=0))
    held = trio.run(first, clock=MockClock(autojump_threshold=0))
    assert trio.run(second, held, clock=MockClock(autojump_threshold=0)) == 6


def test_a_run_that_was_abandoned_leaves_no_line() -> None:
    """G-RAT-1: those who waited when a run ended hold nobody up in the next."""
    limiter = RateLimiter(1)

    async def give_up() -> None:
        with trio.move_on_after(0.25):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(limiter.acquire)

    async def wait() -> float:
        await limiter.acquire()
        return trio.current_time()

    trio.run(give_up, clock=MockClock(autojump_threshold=0))
    assert limiter.statistics().waiting == 0
    assert trio.run(wait, clock=MockClock(autojump_threshold=0)) == 0.75
