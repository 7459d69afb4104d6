"""The retry policy: how many attempts, and how long between them."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cano_trio import Retry
from cano_trio._resilience.retry import jitter_source

LAW = settings(deadline=None, max_examples=80)


@st.composite
def policies(draw: st.DrawFn) -> Retry:
    """Any policy whose numbers a person could mean."""
    base = draw(st.floats(0, 100))
    return Retry(
        retries=draw(st.integers(0, 40)),
        base=base,
        multiplier=draw(st.floats(0.01, 50)),
        maximum=base + draw(st.floats(0, 1000)),
        jitter=draw(st.floats(0, 1)),
    )


def test_the_default_is_three_retries_from_a_tenth_of_a_second() -> None:
    """RET-1: four attempts; 0.1 s doubled up to 30 s, spread by a tenth."""
    assert Retry() == Retry(retries=3, base=0.1, multiplier=2.0, maximum=30.0, jitter=0.1)
    assert list(attrs.evolve(Retry(), jitter=0).delays()) == pytest.approx([0.1, 0.2, 0.4])
    assert Retry().delay(3) is not None
    assert Retry().delay(4) is None


def test_none_is_a_single_attempt() -> None:
    """RET-1: without retries no failure is followed by a delay."""
    assert Retry.none().delay(1) is None
    assert list(Retry.none().delays()) == []


def test_fixed_always_waits_the_same() -> None:
    """RET-1: fixed(n, d) makes n + 1 attempts, d seconds apart, however long d is."""
    retry = Retry.fixed(2, delay=100.0)
    assert [retry.delay(attempt) for attempt in (1, 2, 3)] == [100.0, 100.0, None]


def test_exponential_takes_the_classes_arguments() -> None:
    """RET-1: exponential(n, ...) is the class with n retries, defaults included."""
    assert Retry.exponential(3) == Retry()
    assert Retry.exponential(7, base=1, multiplier=3, maximum=9, jitter=0) == Retry(
        retries=7, base=1, multiplier=3, maximum=9, jitter=0
    )


def test_a_delay_grows_by_the_multiplier() -> None:
    """RET-3: base 50 ms, times 3, two retries: 50 ms, 150 ms, no more."""
    retry = Retry.exponential(2, base=0.05, multiplier=3, jitter=0)
    assert [retry.delay(attempt) for attempt in (1, 2)] == pytest.approx([0.05, 0.15])
    assert retry.delay(3) is None


def test_a_delay_is_capped() -> None:
    """RET-3: base 100 ms, times 10, at most 500 ms: 100, 500, 500."""
    assert list(Retry.exponential(3, base=0.1, multiplier=10, maximum=0.5, jitter=0).delays()) == [0.1, 0.5, 0.5]


def test_a_delay_may_be_shorter_than_a_millisecond() -> None:
    """RET-3 as changed: seconds are floats, so a tenth of a millisecond is no zero."""
    assert list(Retry.exponential(2, base=0.0001, jitter=0).delays()) == [0.0001, 0.0002]


def test_jitter_never_exceeds_the_maximum() -> None:
    """G-RET-4: the cap stands after the jitter too (cano: up to twice the cap), and the jitter is still there."""
    delays = list(Retry(retries=400, base=1, multiplier=1, maximum=1, jitter=1).delays())
    assert max(delays) == 1
    assert min(delays) < 0.5


def test_jitter_goes_both_ways() -> None:
    """RET-3: half a jitter spreads a second over 0.5 to 1.5 s."""
    delays = list(Retry(retries=400, base=1, multiplier=1, jitter=0.5).delays())
    assert 0.5 <= min(delays) < 0.6
    assert 1.4 < max(delays) <= 1.5


def test_full_jitter_leaves_a_millisecond() -> None:
    """RET-4: jitter 1.0 never makes a delay vanish."""
    delays = list(Retry(retries=400, base=0.0015, multiplier=1, jitter=1).delays())
    assert min(delays) == 0.001


def test_no_base_is_no_delay() -> None:
    """RET-4: base 0 stays 0, whatever grows or spreads it."""
    assert list(Retry(retries=3, base=0, multiplier=9, jitter=1).delays()) == [0, 0, 0]


def test_a_shrinking_delay_keeps_a_millisecond() -> None:
    """RET-4: a multiplier below 1 shortens the delay, but never to nothing."""
    assert Retry(retries=10**6, base=1, multiplier=0.5, jitter=0).delay(10**6) == 0.001


@pytest.mark.parametrize("multiplier", [1.5, 2, 3, 1e300])
def test_a_huge_attempt_waits_the_maximum(multiplier: float) -> None:
    """RET-4: no growth overflows, be its multiplier a float or a whole number."""
    retry = Retry(retries=10**400, base=1, multiplier=multiplier, jitter=0)
    assert retry.delay(10**18) == retry.delay(10**399) == 30


def test_the_largest_numbers_do_not_overflow() -> None:
    """RET-4: a base near the end of the floats is spread to its maximum at most."""
    largest = 1.7e308
    assert all(delay <= largest for delay in Retry(retries=50, base=1e308, maximum=largest, jitter=1).delays())


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"retries": -1}, "retries=-1 won't do. Pass a whole number, 0 or more, such as 3"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"retries": True}, "retries=True"),
        ({"retries": "3"}, "retries='3'"),
        ({"base": -0.1}, "base=-0.1 won't do. Pass a finite number, 0 or more, such as 0.1"),
        ({"base": math.nan}, "base=nan"),
        ({"base": math.inf}, "base=inf"),
        ({"base": False}, "base=False"),
        ({"base": None}, "base=None"),
        ({"multiplier": 0}, "multiplier=0 won't do. Pass a finite number, above 0, such as 2.0"),
        ({"multiplier": math.nan}, "multiplier=nan"),
        ({"multiplier": -math.inf}, "multiplier=-inf"),
        ({"multiplier": 10**400}, "multiplier=1000"),
        ({"maximum": -1}, "maximum=-1"),
        ({"maximum": math.inf}, "maximum=inf"),
        ({"base": 10**400, "maximum": 10**400}, "base=1000"),
        ({"jitter": 1.1}, "jitter=1.1 won't do. Pass a finite number, 0 or more, 1 at most, such as 0.1"),
        ({"jitter": -0.1}, "jitter=-0.1"),
        ({"jitter": math.nan}, "jitter=nan"),
        ({"base": 40}, "maximum=30.0 is below base=40. Pass a maximum of 40 s or more, or a smaller base"),
    ],
)
def test_a_number_out_of_bounds_is_refused(arguments: dict[str, float], complaint: str) -> None:
    """RET-4 as changed: nothing is mended silently; the error names field, value and fix."""
    with pytest.raises(ValueError) as refusal:
        Retry(**arguments)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(f"Retry: {complaint}")


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    """RET-3 as changed: the first failure is attempt 1, so there is no attempt 0 to ask about."""
    with pytest.raises(ValueError, match="Attempts are counted from 1"):
        Retry().delay(attempt)


def test_a_policy_is_a_value() -> None:
    """RET-14: what was read once can't change afterwards."""
    retry = Retry()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        retry.retries = 4  # type: ignore[misc]
    assert len({retry, Retry()}) == 1


@LAW
@given(policies())
def test_delays_lie_between_nothing_and_the_maximum(retry: Retry) -> None:
    """G-RET-4: 0 <= delay <= maximum for each retry, and as many delays as retries."""
    delays = list(retry.delays())
    assert len(delays) == retry.retries
    assert all(0 <= delay <= retry.maximum for delay in delays)
    assert all((delay > 0) == (retry.base > 0) for delay in delays)


@LAW
@given(policies(), st.integers(1, 100))
def test_there_is_a_delay_for_each_retry_and_no_other(retry: Retry, attempt: int) -> None:
    """RET-3: None exactly when the attempt that failed was the last one allowed."""
    assert (retry.delay(attempt) is None) == (attempt > retry.retries)


@LAW
@given(policies())
def test_delays_are_monotone_without_jitter(retry: Retry) -> None:
    """RET-3: without jitter, delays never shrink if the multiplier is 1 or more, and never grow if it is 1 or less."""
    delays = list(attrs.evolve(retry, jitter=0).delays())
    assert delays == sorted(delays, reverse=retry.multiplier < 1)


@LAW
@given(policies())
def test_jitter_stays_in_its_share(retry: Retry) -> None:
    """RET-3: a delay differs from the one without jitter by at most its share, or is the millisecond that must remain."""
    exact = attrs.evolve(retry, jitter=0).delays()
    for middle, delay in zip(exact, retry.delays(), strict=True):
        most = max(middle * (1 + retry.jitter), min(retry.base, 0.001))
        assert middle * (1 - retry.jitter) * (1 - 1e-12) <= delay <= most * (1 + 1e-12)


@LAW
@given(policies(), st.integers(0, 2**32))
def test_jitter_can_be_seeded(retry: Retry, seed: int) -> None:
    """RET-3: one seed of `jitter_source`, one series of delays, asked for in either way."""
    jitter_source.seed(seed)
    first = list(retry.delays())
    jitter_source.seed(seed)
    assert [retry.delay(attempt) for attempt in range(1, retry.retries + 1)] == first
