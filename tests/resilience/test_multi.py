"""Several budgets at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from cano_trio import MultiRateLimiter, RateLimited, RateLimiter, Reservation, Tier, WindowedRateLimiter
from cano_trio._resilience import Limiter


async def test_a_call_takes_from_every_tier(autojump_clock: MockClock) -> None:
    """RAT-10: each its own cost, when all have it."""
    second, day = RateLimiter(5), WindowedRateLimiter(100, 86_400)
    limiter = MultiRateLimiter([Tier("second", second), Tier("day", day, cost=30)], name="api")
    limiter.acquire_nowait()
    assert limiter.take() == 0
    await limiter.acquire()
    assert (second.statistics().available, day.statistics().available) == (2, 10)
    assert isinstance(limiter, Limiter)
    assert repr(limiter) == "<MultiRateLimiter 'api' of 'second', 'day'>"


async def test_the_first_tier_that_refuses_is_named(autojump_clock: MockClock) -> None:
    """RAT-10: in the order of the tiers, with its own time, and nobody loses anything."""
    second, minute, day = RateLimiter(4), RateLimiter(2, per=8), WindowedRateLimiter(2, 100)
    limiter = MultiRateLimiter({"second": second, "minute": minute, "day": day})
    limiter.acquire_nowait()
    limiter.acquire_nowait()
    with pytest.raises(RateLimited) as refusal:
        limiter.acquire_nowait()
    assert (refusal.value.tier, refusal.value.retry_after) == ("minute", 4)
    assert limiter.take() == 4
    await trio.sleep(4)
    with pytest.raises(RateLimited) as refusal:
        limiter.reserve_nowait()
    assert (refusal.value.tier, refusal.value.retry_after) == ("day", 96)
    assert (second.statistics().available, minute.statistics().available) == (4, 1)
    statistics = limiter.statistics()
    assert dict(statistics.throttled) == {"second": 0, "minute": 1, "day": 1}
    assert (statistics.acquired, statistics.rejected) == (2, 2)


async def test_only_some_tiers_may_be_asked(autojump_clock: MockClock) -> None:
    """RAT-11: those named; none named is all, in any iterable."""
    read, write = RateLimiter(9), RateLimiter(9)
    limiter = MultiRateLimiter({"read": read, "write": write})
    limiter.acquire_nowait(only=["read"])
    limiter.acquire_nowait(only=iter(["write"]))
    assert limiter.take(only={"read"}) == 0
    await limiter.acquire(only=("read", "write"))
    nothings: list[list[str] | None] = [None, []]
    for nothing in nothings:
        limiter.acquire_nowait(only=nothing)
    assert (read.statistics().consumed, write.statistics().consumed) == (5, 4)


@pytest.mark.parametrize(
    "tiers, only, complaint",
    [
        (["read", "write"], ["reed"], "has no tier 'reed'. Did you mean 'read'?"),
        (["read", "write"], ["read", "zzz"], "has no tier 'zzz'. Did you mean 'read' or 'write'?"),
        ([], ["read"], "<MultiRateLimiter 'limiters' of no tiers> has no tier 'read'. There are no tiers."),
        (["read"], "read", "only='read' is one string. Pass a list of tier names: only=['read']."),
    ],
)
async def test_an_unknown_tier_is_refused(
    autojump_clock: MockClock, tiers: list[str], only: list[str], complaint: str
) -> None:
    """G-RAT-1: by every method (cano lets the call pass unlimited)."""
    limiter = MultiRateLimiter({name: RateLimiter(9) for name in tiers})
    for method in (limiter.take, limiter.acquire_nowait, limiter.reserve_nowait):
        with pytest.raises(ValueError) as refusal:
            method(only=only)
        assert str(refusal.value).endswith(complaint)
    for wait in (limiter.acquire, limiter.reserve):
        with pytest.raises(ValueError):
            await wait(only=only)
    assert limiter.statistics().acquired == 0


async def test_no_tiers_admit_everybody(autojump_clock: MockClock) -> None:
    """RAT-11: nothing limits, so nothing refuses; a free tier neither."""
    used_up = RateLimiter(1)
    used_up.acquire_nowait()
    for limiter in (MultiRateLimiter({}), MultiRateLimiter([Tier("free", used_up, cost=0)])):
        limiter.acquire_nowait()
        with assert_checkpoints():
            await limiter.acquire()
        assert limiter.take() == 0
        assert limiter.statistics().acquired == 3
    assert used_up.statistics().acquired == 1


async def test_one_limiter_in_two_tiers_is_charged_twice(autojump_clock: MockClock) -> None:
    """RAT-11: and the tier that goes beyond what it holds is the one that refuses."""
    shared = RateLimiter(1, burst=7)
    limiter = MultiRateLimiter([Tier("a", shared, cost=2), Tier("b", shared, cost=3)])
    limiter.acquire_nowait()
    assert shared.statistics().available == 2
    with pytest.raises(RateLimited) as refusal:
        limiter.acquire_nowait()
    assert (refusal.value.tier, refusal.value.retry_after) == ("b", 3)
    await limiter.acquire()
    assert (trio.current_time(), shared.statistics().consumed) == (3, 10)


async def test_tiers_that_cost_too_much_together_are_refused(autojump_clock: MockClock) -> None:
    """G-RAT-1: alone each may pass; together never, so they are not waited for."""
    shared = RateLimiter(1, burst=4)
    limiter = MultiRateLimiter([Tier("a", shared, cost=2), Tier("b", shared, cost=3)])
    with pytest.raises(ValueError, match=r"tiers up to 'b' take 5 from .*, which never holds more than 4"):
        await limiter.acquire()
    limiter.acquire_nowait(only=["b"])
    assert shared.statistics().consumed == 3


@pytest.mark.parametrize(
    "cost, complaint",
    [
        (-1, "Tier: cost=-1 won't do. Pass a finite number, 0 or more, such as 1."),
        (math.nan, "Tier: cost=nan won't do"),
        (math.inf, "Tier: cost=inf won't do"),
        (True, "Tier: cost=True won't do"),
        (None, "Tier: cost=None won't do"),
        (10**400, "Tier: cost=1000"),
        (6, "tier 'day': cost=6 can never pass, <RateLimiter 'limiter' 5 of 5 available> holds 5. Lower the cost"),
    ],
)
def test_a_cost_out_of_bounds_is_refused(cost: Any, complaint: str) -> None:
    """RAT-10 as changed: a tier whose cost can never pass can't be made (cano rejects every call)."""
    with pytest.raises(ValueError) as refusal:
        Tier("day", RateLimiter(5), cost)
    assert str(refusal.value).startswith(complaint)


def test_two_tiers_of_one_name_are_refused() -> None:
    """RAT-10: an error could not say which."""
    with pytest.raises(ValueError, match=r"two tiers have one name among 'a', 'b', 'a'\. Give each its own"):
        MultiRateLimiter([Tier("a", RateLimiter(1)), Tier("b", RateLimiter(1)), Tier("a", RateLimiter(2))])


async def test_waiting_lasts_until_every_tier_has_room(autojump_clock: MockClock) -> None:
    """RAT-12: one tier after another may make it wait; meanwhile nothing is held of any."""
    second, day = RateLimiter(1), WindowedRateLimiter(2, 10)
    limiter = MultiRateLimiter({"second": second, "day": day})
    instants = []
    for _ in range(5):
        await limiter.acquire()
        instants.append(trio.current_time())
    assert instants == [0, 1, 10, 11, 20]
    assert (second.statistics().consumed - second.statistics().refunded, day.statistics().consumed) == (5, 5)


async def test_everything_is_counted(autojump_clock: MockClock) -> None:
    """RAT-14: calls, waits and their length, refusals, and per tier who throttled; the tiers' own beside it."""
    second, day = RateLimiter(1), WindowedRateLimiter(2, 10)
    limiter = MultiRateLimiter({"second": second, "day": day})
    await limiter.acquire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(limiter.acquire)
        await wait_all_tasks_blocked()
        assert limiter.statistics().waiting == 1
        with pytest.raises(RateLimited):
            limiter.acquire_nowait()
    await trio.sleep(1)
    await limiter.acquire()
    statistics = limiter.statistics()
    assert (statistics.acquired, statistics.waited, statistics.seconds_waited) == (3, 2, 9)
    assert (statistics.waiting, statistics.rejected) == (0, 1)
    assert dict(statistics.throttled) == {"second": 2, "day": 1}
    assert dict(statistics.tiers) == {"second": second.statistics(), "day": day.statistics()}


async def test_many_at_once_never_exceed_the_scarcest(autojump_clock: MockClock) -> None:
    """RAT-13: 24 race for a plentiful tier and one of 5; 5 pass, and 5 of each are gone."""
    plenty, scarce, passed = RateLimiter(100), WindowedRateLimiter(5, 60), list[float]()
    limiter = MultiRateLimiter({"plenty": plenty, "scarce": scarce})

    async def racer() -> None:
        with trio.move_on_after(30):
            await limiter.acquire()
            passed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(24):
            nursery.start_soon(racer)
    assert passed == [0] * 5
    for tier in (plenty, scarce):
        assert tier.statistics().consumed - tier.statistics().refunded == 5
        assert tier.statistics().waiting == 0


async def test_a_block_gives_back_to_every_tier(autojump_clock: MockClock) -> None:
    """RAT-10: unless it is committed, which is for all tiers."""
    second, day = RateLimiter(5), WindowedRateLimiter(9, 60)
    limiter = MultiRateLimiter([Tier("second", second), Tier("day", day, cost=3)])
    with limiter.reserve_nowait():
        assert (second.statistics().available, day.statistics().available) == (4, 6)
    with await limiter.reserve() as kept:
        kept.commit()
    assert (second.statistics().available, day.statistics().available) == (4, 6)
    assert (second.statistics().refunded, day.statistics().refunded) == (1, 3)


async def test_what_waited_can_be_given_back_too(autojump_clock: MockClock) -> None:
    """RAT-10: a reservation that had to wait holds its share of every tier."""
    second, day = RateLimiter(1), WindowedRateLimiter(9, 60)
    limiter = MultiRateLimiter({"second": second, "day": day})
    await limiter.acquire()
    with await limiter.reserve():
        assert trio.current_time() == 1
        assert (second.statistics().available, day.statistics().available) == (0, 7)
    assert (second.statistics().available, day.statistics().available) == (1, 8)


async def queue(
    limiter: MultiRateLimiter, nursery: trio.Nursery, served: list[str], name: str, only: str
) -> trio.CancelScope:
    """Start a task that waits for some tiers, a letter each, and leave it there."""
    scope = trio.CancelScope()

    async def caller() -> None:
        with scope:
            await limiter.acquire(only=list(only))
            served.append(f"{name} at {trio.current_time():g}")

    nursery.start_soon(caller)
    await wait_all_tasks_blocked()
    return scope


async def test_those_who_wait_for_a_tier_are_served_in_order(autojump_clock: MockClock) -> None:
    """G-RAT-1: whatever else each needs; who needs none of their tiers does not wait behind them."""
    limiter, served = (
        MultiRateLimiter({"x": RateLimiter(1), "y": RateLimiter(1, per=4), "z": RateLimiter(9)}),
        list[str](),
    )
    limiter.acquire_nowait(only=["x", "y"])
    async with trio.open_nursery() as nursery:
        await queue(limiter, nursery, served, "xy", "xy")
        await queue(limiter, nursery, served, "x", "x")
        await queue(limiter, nursery, served, "y", "y")
        await queue(limiter, nursery, served, "z", "z")
        with pytest.raises(RateLimited) as refusal:
            limiter.acquire_nowait(only=["z", "x"])
        assert refusal.value.tier == "x"
        await trio.sleep(2)
        # One x is there and nobody in x's own line, but xy stands in front of the tier.
        with pytest.raises(RateLimited) as refusal:
            limiter.acquire_nowait(only=["x"])
        assert refusal.value.retry_after == 0.001
    assert served == ["z at 0", "xy at 4", "x at 5", "y at 8"]


@pytest.mark.parametrize("leaves", [0, 1, 2])
async def test_who_leaves_the_line_holds_nothing(autojump_clock: MockClock, leaves: int) -> None:
    """G-RAT-1: in whichever tier's line, at its front or not; the next one steps up and no token is lost."""
    x, y = RateLimiter(1), RateLimiter(1, per=4)
    limiter, served = MultiRateLimiter({"x": x, "y": y}), list[str]()
    limiter.acquire_nowait()
    async with trio.open_nursery() as nursery:
        scopes = [await queue(limiter, nursery, served, name, name) for name in ("xy", "yx", "y")]
        await trio.sleep(2)
        scopes[leaves].cancel()
    assert len(served) == 2
    assert trio.current_time() == 8
    for limiter_of, name in ((x, "x"), (y, "y")):
        taken = limiter_of.statistics().consumed - limiter_of.statistics().refunded
        assert taken == 1 + sum(name in caller.partition(" at ")[0] for caller in served)
    assert limiter.statistics().waiting == x.statistics().waiting == y.statistics().waiting == 0


async def test_two_that_share_limiters_never_wait_for_each_other(autojump_clock: MockClock) -> None:
    """RAT-10: whoever waits holds nothing, so opposite orders of tiers can't lock up."""
    x, y, served = RateLimiter(1), RateLimiter(1), 0
    one, other = MultiRateLimiter({"x": x, "y": y}), MultiRateLimiter({"y": y, "x": x})

    async def caller(limiter: MultiRateLimiter) -> None:
        nonlocal served
        await limiter.acquire()
        served += 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(caller, one)
            nursery.start_soon(caller, other)
    assert served == 10
    assert trio.current_time() < 20
    for limiter in (x, y):
        assert limiter.statistics().consumed - limiter.statistics().refunded == 10


async def test_a_direct_user_of_a_tier_keeps_his_place(autojump_clock: MockClock) -> None:
    """G-RAT-1: a limiter's own line stands before the calls of all tiers."""
    x = RateLimiter(1)
    limiter, served = MultiRateLimiter({"x": x}), list[str]()
    x.acquire_nowait()

    async def direct() -> None:
        await x.acquire()
        served.append(f"direct at {trio.current_time():g}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(direct)
        await wait_all_tasks_blocked()
        await queue(limiter, nursery, served, "tiers", "x")
        assert limiter.take() == x.take() == 3
    assert served == ["direct at 1", "tiers at 2"]


async def test_a_cancelled_call_takes_nothing(autojump_clock: MockClock) -> None:
    """RAT-10: acquire and reserve are checkpoints before they take, never after."""
    limiter, held = MultiRateLimiter({"x": RateLimiter(5)}), list[Reservation]()
    with trio.CancelScope() as scope:
        scope.cancel()
        await limiter.acquire()
    assert limiter.statistics().acquired == 0
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
    assert len(held) == 1


def test_tiers_may_be_used_in_several_runs() -> None:
    """RAT-13: made before trio runs, their budgets go on from one run to the next."""
    tiers: dict[str, RateLimiter | WindowedRateLimiter] = {"x": RateLimiter(1), "y": WindowedRateLimiter(2, 10)}
    limiter = MultiRateLimiter(tiers)
    assert limiter.statistics().tiers["x"].available == 1

    async def take_two() -> float:
        for tier in tiers.values():
            tier.available_in()  # a mock clock stands still after its run: what it says is carried over at the first look
        await limiter.acquire()
        await limiter.acquire()
        return trio.current_time()

    assert trio.run(take_two, clock=MockClock(autojump_threshold=0)) == 1
    # The window ends 9 s after the first run did; its second call then waits for a token.
    assert trio.run(take_two, clock=MockClock(autojump_threshold=0)) == 10
