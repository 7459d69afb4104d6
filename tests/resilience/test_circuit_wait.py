"""Waiting for a circuit breaker, in line, and over several trio runs."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from cano_trio import CircuitBreaker, CircuitOpen, CircuitPolicy, CircuitState, Permit

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def touchy(trials: int = 1) -> CircuitBreaker:
    """A breaker that opens at the first failure, for 30 s."""
    return CircuitBreaker(CircuitPolicy(failure_threshold=1, half_open_trials=trials), name="db")


async def test_a_closed_breaker_keeps_nobody_waiting(autojump_clock: MockClock) -> None:
    """CIR-2: wait_acquire is a checkpoint all the same, and one that is cancelled takes nothing."""
    breaker = touchy()
    with assert_checkpoints():
        permit = await breaker.wait_acquire()
    permit.record_success()
    with trio.CancelScope() as scope:
        scope.cancel()
        await breaker.wait_acquire()
    assert scope.cancelled_caught
    assert (trio.current_time(), breaker.statistics().acquired) == (0, 1)


async def test_who_waits_gets_the_first_trial(autojump_clock: MockClock) -> None:
    """CIR-3: exactly when the open breaker's time has come."""
    breaker = touchy()
    breaker.try_acquire().record_failure()
    with await breaker.wait_acquire():
        assert trio.current_time() == 30
        assert breaker.state is HALF_OPEN
    assert breaker.state is CLOSED
    assert breaker.statistics().rejected == 0


async def queue(breaker: CircuitBreaker, nursery: trio.Nursery, served: list[str], name: str, seconds: float) -> None:
    """Start a task that waits in line, then works for some seconds."""

    async def caller() -> None:
        with await breaker.wait_acquire():
            served.append(f"{name} at {trio.current_time():g}")
            await trio.sleep(seconds)

    nursery.start_soon(caller)
    await wait_all_tasks_blocked()


async def test_those_who_wait_are_served_in_order(autojump_clock: MockClock) -> None:
    """CIR-4: one after the other while on trial; all at once when it closes."""
    breaker = touchy(trials=2)
    served: list[str] = []
    breaker.try_acquire().record_failure()
    async with trio.open_nursery() as nursery:
        for name, seconds in [("a", 5), ("b", 2), ("c", 4), ("d", 1), ("e", 1)]:
            await queue(breaker, nursery, served, name, seconds)
        assert breaker.statistics().waiting == 5
    # Two at a time; b's end lets c in, a's is the second success and closes it for all.
    assert served == ["a at 30", "b at 30", "c at 32", "d at 35", "e at 35"]
    assert (breaker.state, breaker.statistics().waiting) == (CLOSED, 0)


async def test_who_waits_behind_a_failing_trial_waits_again(autojump_clock: MockClock) -> None:
    """CIR-4: a failed trial opens it for a whole reset time, for those in line too."""
    breaker = touchy()
    served: list[str] = []
    breaker.try_acquire().record_failure()
    await trio.sleep(30)
    trial = breaker.try_acquire()
    async with trio.open_nursery() as nursery:
        await queue(breaker, nursery, served, "a", 0)
        await trio.sleep(7)
        trial.record_failure()
    assert served == ["a at 67"]


async def test_a_released_trial_lets_the_next_one_in(autojump_clock: MockClock) -> None:
    """G-CIR-1: a trial call that was cancelled from outside makes room at once."""
    breaker = touchy()
    served: list[str] = []
    breaker.try_acquire().record_failure()
    await trio.sleep(30)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(3), breaker.try_acquire():
            await queue(breaker, nursery, served, "a", 0)
            await trio.sleep_forever()
    assert served == ["a at 33"]


@pytest.mark.parametrize("leaves", [0, 1, 2])
async def test_who_leaves_the_line_holds_nobody_up(autojump_clock: MockClock, leaves: int) -> None:
    """G-CIR-1: whichever is cancelled while waiting, the others are served in order, and no trial is lost."""
    breaker = touchy()
    served: list[int] = []
    breaker.try_acquire().record_failure()
    scopes = [trio.CancelScope() for _ in range(3)]

    async def caller(number: int) -> None:
        with scopes[number], await breaker.wait_acquire():
            served.append(number)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(caller, number)
            await wait_all_tasks_blocked()
        await trio.sleep(10)
        scopes[leaves].cancel()
    assert served == [number for number in range(3) if number != leaves]
    statistics = breaker.statistics()
    assert (statistics.waiting, statistics.trials_in_flight, statistics.acquired) == (0, 0, 3)
    # The first trial ends at 31 and closes the breaker, so the second starts then.
    assert trio.current_time() == 32


async def test_a_cancel_at_the_instant_of_the_trial_loses_nothing(autojump_clock: MockClock) -> None:
    """G-CIR-1: served or cancelled, never both and never neither."""
    breaker = touchy()
    breaker.try_acquire().record_failure()
    permits: list[Permit] = []
    with trio.move_on_at(30):
        permits.append(await breaker.wait_acquire())
    assert breaker.statistics().trials_in_flight == len(permits)
    for permit in permits:
        permit.release()
    with await breaker.wait_acquire():
        assert trio.current_time() == 30


def test_it_may_be_used_in_several_runs() -> None:
    """CIR-7: each run's clock begins elsewhere; the seconds that are left are the same."""
    breaker = touchy()
    assert breaker.statistics().retry_after == 0
    assert repr(breaker) == "<CircuitBreaker 'db' closed>"

    async def open_it() -> None:
        await trio.sleep(1000)
        breaker.try_acquire().record_failure()
        await trio.sleep(10)

    async def look() -> None:
        await trio.sleep(5)
        with pytest.raises(CircuitOpen) as refusal:
            breaker.try_acquire()
        assert refusal.value.retry_after == 20

    async def look_later() -> None:
        await trio.sleep(7)
        assert breaker.statistics().retry_after == 20
        with pytest.raises(CircuitOpen):
            breaker.try_acquire()
        await trio.sleep(20)
        breaker.try_acquire().record_success()

    trio.run(open_it, clock=MockClock(autojump_threshold=0))
    assert breaker.statistics().retry_after == 20
    trio.run(look, clock=MockClock(autojump_threshold=0))
    trio.run(look_later, clock=MockClock(autojump_threshold=0))
    assert breaker.state is CLOSED


@pytest.mark.parametrize("before, after", [(10, 0), (0, 100), (1e6, 7)])
def test_waiting_begins_anew_in_a_new_run(before: float, after: float) -> None:
    """CIR-7: wait_acquire as the first thing in a run waits for what is left, on that run's clock."""
    breaker = touchy()

    async def open_it() -> None:
        await trio.sleep(before)
        breaker.try_acquire().record_failure()

    async def wait() -> float:
        await trio.sleep(after)
        with await breaker.wait_acquire():
            return trio.current_time()

    trio.run(open_it, clock=MockClock(autojump_threshold=0))
    assert trio.run(wait, clock=MockClock(autojump_threshold=0)) == after + 30


def test_a_run_that_was_abandoned_leaves_no_line() -> None:
    """CIR-7: those who waited when a run ended are gone in the next."""
    breaker = touchy()

    async def give_up() -> None:
        breaker.try_acquire().record_failure()
        with trio.move_on_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(breaker.wait_acquire)
                nursery.start_soon(breaker.wait_acquire)

    async def wait() -> float:
        with await breaker.wait_acquire():
            return trio.current_time()

    trio.run(give_up, clock=MockClock(autojump_threshold=0))
    assert breaker.statistics().waiting == 0
    assert trio.run(wait, clock=MockClock(autojump_threshold=0)) == 20


def test_the_real_clock_goes_on_between_runs() -> None:
    """CIR-7: trio's own clock begins each run at random; what is left of an hour is an hour all the same."""
    breaker = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=3600))

    async def open_it() -> None:
        breaker.try_acquire().record_failure()

    async def look() -> float:
        with pytest.raises(CircuitOpen) as refusal:
            breaker.try_acquire()
        return refusal.value.retry_after

    trio.run(open_it)
    assert 3500 < breaker.statistics().retry_after <= 3600
    assert [3500 < trio.run(look) <= 3600 for _ in range(3)] == [True] * 3
