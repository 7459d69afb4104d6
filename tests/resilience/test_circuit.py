"""The circuit breaker's states, one call at a time."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from trio.testing import MockClock

from cano_trio import CircuitBreaker, CircuitOpen, CircuitPolicy, CircuitState, CircuitStatistics

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def breaker_of(threshold: int = 1, reset: float = 30, trials: int = 1) -> CircuitBreaker:
    """A breaker named db."""
    policy = CircuitPolicy(failure_threshold=threshold, reset_timeout=reset, half_open_trials=trials)
    return CircuitBreaker(policy, name="db")


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    """Let calls fail."""
    for _ in range(times):
        breaker.try_acquire().record_failure()


def succeed(breaker: CircuitBreaker) -> None:
    """Let a call succeed."""
    breaker.try_acquire().record_success()


async def half_open(breaker: CircuitBreaker, trials: int) -> None:
    """Open it, wait, and let trial calls succeed, too few to close it."""
    fail(breaker, breaker.policy.failure_threshold)
    await trio.sleep(breaker.policy.reset_timeout)
    for _ in range(trials):
        succeed(breaker)


async def test_the_default_opens_after_five_failures_for_thirty_seconds(autojump_clock: MockClock) -> None:
    """CIR-1: threshold 5, reset 30 s, one trial call at a time."""
    assert CircuitPolicy() == CircuitPolicy(failure_threshold=5, reset_timeout=30.0, half_open_trials=1)
    breaker = CircuitBreaker()
    assert breaker.policy == CircuitPolicy()
    assert breaker.name == "breaker"
    fail(breaker, 4)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.state is OPEN
    assert breaker.statistics().retry_after == 30


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"failure_threshold": 0}, "failure_threshold=0 won't do. Pass a whole number, 1 or more, such as 5."),
        ({"failure_threshold": -3}, "failure_threshold=-3"),
        ({"failure_threshold": True}, "failure_threshold=True"),
        ({"failure_threshold": 2.0}, "failure_threshold=2.0"),
        ({"reset_timeout": -1}, "reset_timeout=-1 won't do. Pass a finite number, 0 or more, such as 30.0."),
        ({"reset_timeout": math.nan}, "reset_timeout=nan"),
        ({"reset_timeout": math.inf}, "reset_timeout=inf"),
        ({"reset_timeout": 10**400}, "reset_timeout=1000"),
        ({"reset_timeout": "30"}, "reset_timeout='30'"),
        ({"half_open_trials": 0}, "half_open_trials=0 won't do. Pass a whole number, 1 or more, such as 1."),
        ({"half_open_trials": False}, "half_open_trials=False"),
    ],
)
def test_a_policy_out_of_bounds_is_refused(arguments: dict[str, float], complaint: str) -> None:
    """CIR-1: a threshold of 0, no trial call, a reset time that is no time."""
    with pytest.raises(ValueError) as refusal:
        CircuitPolicy(**arguments)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(f"CircuitPolicy: {complaint}")


def test_a_policy_is_a_value() -> None:
    """CIR-1: what a breaker says of its policy can't be changed behind its back."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CircuitPolicy().failure_threshold = 9  # type: ignore[misc]


async def test_a_success_ends_a_series_of_failures(autojump_clock: MockClock) -> None:
    """CIR-2: only failures in a row open it."""
    breaker = breaker_of(3)
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert (breaker.state, breaker.statistics().failures_in_row) == (CLOSED, 2)
    fail(breaker)
    assert breaker.state is OPEN


async def test_open_refuses_until_its_time(autojump_clock: MockClock) -> None:
    """CIR-3: a refusal names the breaker and the seconds left, and calls nobody."""
    breaker = breaker_of(reset=30)
    fail(breaker)
    await trio.sleep(10)
    with pytest.raises(CircuitOpen) as refusal:
        breaker.try_acquire()
    assert (refusal.value.breaker, refusal.value.retry_after, refusal.value.trials_taken) == ("db", 20, False)
    assert str(refusal.value) == "circuit breaker 'db' is open for another 20 s"
    assert breaker.statistics().rejected == 1


async def test_only_a_call_makes_it_half_open(autojump_clock: MockClock) -> None:
    """CIR-3: at its time exactly, and not by being looked at before or after."""
    breaker = breaker_of(reset=30)
    fail(breaker)
    await trio.sleep_until(math.nextafter(trio.current_time() + 30, 0))
    with pytest.raises(CircuitOpen):
        breaker.try_acquire()
    await trio.sleep(100)
    assert breaker.statistics().retry_after == 0
    assert repr(breaker) == "<CircuitBreaker 'db' open for 0 s>"
    assert breaker.state is OPEN
    permit = breaker.try_acquire()
    assert breaker.state is HALF_OPEN
    permit.release()


async def test_half_open_caps_trial_calls_in_flight(autojump_clock: MockClock) -> None:
    """CIR-4: no more trial calls at a time than the policy says; when is not known, so `retry_after` is 0."""
    breaker = breaker_of(trials=2)
    await half_open(breaker, 0)
    first, second = breaker.try_acquire(), breaker.try_acquire()
    with pytest.raises(CircuitOpen, match="half-open, and all its trial calls are in flight") as refusal:
        breaker.try_acquire()
    assert (refusal.value.retry_after, refusal.value.trials_taken) == (0, True)
    first.record_success()
    third = breaker.try_acquire()
    second.release()
    third.release()


async def test_enough_successful_trials_close_it(autojump_clock: MockClock) -> None:
    """CIR-4: as many as may be in flight; it then starts with no failure."""
    breaker = breaker_of(threshold=2, trials=2)
    await half_open(breaker, 1)
    assert breaker.state is HALF_OPEN
    succeed(breaker)
    assert (breaker.state, breaker.statistics().failures_in_row) == (CLOSED, 0)
    fail(breaker)
    assert breaker.state is CLOSED


async def test_one_failed_trial_opens_it_afresh(autojump_clock: MockClock) -> None:
    """CIR-4: for a whole reset time from then, and earlier successes are forgotten."""
    breaker = breaker_of(reset=30, trials=2)
    await half_open(breaker, 1)
    await trio.sleep(5)
    fail(breaker)
    assert (breaker.state, breaker.statistics().retry_after) == (OPEN, 30)
    await trio.sleep(30)
    succeed(breaker)
    assert breaker.state is HALF_OPEN
    succeed(breaker)
    assert breaker.state is CLOSED


async def test_no_reset_time_tries_again_at_once(autojump_clock: MockClock) -> None:
    """CIR-1: reset_timeout=0 is allowed, and never refuses but for trial calls in flight."""
    breaker = breaker_of(reset=0)
    fail(breaker)
    assert breaker.state is OPEN
    succeed(breaker)
    assert breaker.state is CLOSED


@pytest.mark.parametrize("verdict", ["record_success", "record_failure", "release"])
async def test_a_late_verdict_changes_nothing(autojump_clock: MockClock, verdict: str) -> None:
    """CIR-5: neither in the open state nor in later ones, neither counters nor trial slots."""
    breaker = breaker_of(trials=2)
    late = [breaker.try_acquire() for _ in range(3)]
    fail(breaker)
    getattr(late.pop(), verdict)()
    assert (breaker.state, breaker.statistics().retry_after) == (OPEN, 30)
    await trio.sleep(30)
    late_trial, trial = breaker.try_acquire(), breaker.try_acquire()
    before = breaker.statistics()
    getattr(late.pop(), verdict)()
    assert breaker.statistics() == before
    trial.record_failure()
    await trio.sleep(30)
    current = breaker.try_acquire()
    before = breaker.statistics()
    getattr(late_trial, verdict)()
    assert breaker.statistics() == before
    current.record_success()
    succeed(breaker)
    getattr(late.pop(), verdict)()
    assert (breaker.state, breaker.statistics().failures_in_row) == (CLOSED, 0)


async def test_one_breaker_serves_many_tasks(autojump_clock: MockClock) -> None:
    """CIR-7: failures of all callers count together, and all are refused."""
    breaker = breaker_of(threshold=10)
    refused = 0

    async def call() -> None:
        nonlocal refused
        permit = breaker.try_acquire()
        await trio.sleep(1)
        permit.record_failure()
        await trio.sleep(1)
        try:
            breaker.try_acquire()
        except CircuitOpen:
            refused += 1

    async with trio.open_nursery() as nursery:
        for _ in range(24):
            nursery.start_soon(call)
    assert refused == 24
    statistics = breaker.statistics()
    assert (statistics.failures, statistics.opened, statistics.acquired) == (10, 1, 24)


async def test_everything_is_counted(autojump_clock: MockClock) -> None:
    """CIR-8: transitions by kind, calls let through and refused, verdicts by kind."""
    breaker = breaker_of(threshold=2, trials=1)
    assert breaker.statistics() == CircuitStatistics(
        state=CLOSED, retry_after=0, failures_in_row=0, trials_in_flight=0, waiting=0, acquired=0, rejected=0, successes=0,
        failures=0, released=0, opened=0, half_opened=0, reopened=0, closed=0,
    )  # fmt: skip
    succeed(breaker)
    breaker.try_acquire().release()
    await half_open(breaker, 0)  # two failures
    fail(breaker)
    with pytest.raises(CircuitOpen):
        breaker.try_acquire()
    await trio.sleep(30)
    trial = breaker.try_acquire()
    with pytest.raises(CircuitOpen):
        breaker.try_acquire()
    assert breaker.statistics() == CircuitStatistics(
        state=HALF_OPEN, retry_after=0, failures_in_row=0, trials_in_flight=1, waiting=0, acquired=6, rejected=2,
        successes=1, failures=3, released=1, opened=1, half_opened=2, reopened=1, closed=0,
    )  # fmt: skip
    trial.record_success()
    assert (breaker.statistics().successes, breaker.statistics().closed) == (2, 1)


async def test_its_repr_says_what_it_does(autojump_clock: MockClock) -> None:
    """CIR-3: closed, open and for how long, half-open and with how many trial calls."""
    breaker = breaker_of(trials=2)
    assert repr(breaker) == "<CircuitBreaker 'db' closed>"
    fail(breaker)
    await trio.sleep(27.5)
    assert repr(breaker) == "<CircuitBreaker 'db' open for 2.5 s>"
    await trio.sleep(2.5)
    trial = breaker.try_acquire()
    assert repr(breaker) == "<CircuitBreaker 'db' half-open, 1 of 2 trials in flight>"
    trial.release()


async def test_a_huge_clock_does_not_confuse_it(autojump_clock: MockClock) -> None:
    """CIR-3: at an instant where a float has no fractions left, a waiting call still gets through."""
    autojump_clock.jump(2.0**53)
    breaker = breaker_of(reset=0.3)
    fail(breaker)
    with await breaker.wait_acquire():
        assert breaker.state is HALF_OPEN
