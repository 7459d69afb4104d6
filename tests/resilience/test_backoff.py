"""How a poll waits between two looks: delays that grow."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cano_trio import Backoff, Retry
from cano_trio._resilience.retry import jitter_source

LAW = settings(deadline=None, max_examples=80)


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    """Any whose numbers a person could mean."""
    base = draw(st.floats(0, 100))
    return Backoff(
        base=base,
        multiplier=draw(st.floats(0.01, 50)),
        maximum=base + draw(st.floats(0, 1000)),
        jitter=draw(st.floats(0, 1)),
    )


def test_the_default_begins_at_a_tenth_of_a_second() -> None:
    """By default 0.1 s, doubled up to 30 s, spread by a tenth: as a retry's."""
    assert Backoff() == Backoff(base=0.1, multiplier=2.0, maximum=30.0, jitter=0.1)
    exact = attrs.evolve(Backoff(), jitter=0)
    assert [exact.delay(turn) for turn in (1, 2, 3, 10)] == pytest.approx([0.1, 0.2, 0.4, 30])


def test_a_delay_is_capped() -> None:
    """No delay exceeds the maximum, whatever the jitter."""
    backoff = Backoff(base=1, maximum=5, jitter=1)
    assert max(backoff.delay(20) for _ in range(400)) == 5


def test_a_constant_delay() -> None:
    """A multiplier of 1 without jitter always waits the base, exactly."""
    backoff = Backoff(base=7, multiplier=1, jitter=0)
    assert [backoff.delay(turn) for turn in (1, 2, 10**9)] == [7, 7, 7]


def test_no_base_is_no_delay() -> None:
    """Base 0 stays 0, whatever grows or spreads it."""
    assert [Backoff(base=0, multiplier=9, jitter=1).delay(turn) for turn in (1, 50)] == [0, 0]


def test_a_poll_may_look_for_years() -> None:
    """No number of turns overflows."""
    assert Backoff(base=1, jitter=0).delay(10**18) == 30
    assert Backoff(base=1, multiplier=1e300, jitter=0).delay(10**399) == 30


@pytest.mark.parametrize("turn", [0, -1])
def test_turns_are_counted_from_one(turn: int) -> None:
    """The first wait is turn 1, so there is no turn 0 to ask about."""
    with pytest.raises(ValueError, match=rf"Backoff\.delay: turn={turn} won't do\. Turns are counted from 1\."):
        Backoff().delay(turn)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"base": -0.1}, "base=-0.1 won't do. Pass a finite number, 0 or more, such as 0.1"),
        ({"base": math.nan}, "base=nan"),
        ({"base": "1"}, "base='1'"),
        ({"multiplier": 0}, "multiplier=0 won't do. Pass a finite number, above 0, such as 2.0"),
        ({"maximum": math.inf}, "maximum=inf"),
        ({"jitter": 1.1}, "jitter=1.1 won't do. Pass a finite number, 0 or more, 1 at most, such as 0.1"),
        ({"base": 40}, "maximum=30.0 is below base=40. Pass a maximum of 40 s or more, or a smaller base"),
    ],
)
def test_a_number_out_of_bounds_is_refused(arguments: dict[str, float], complaint: str) -> None:
    """Nothing is mended silently; the error names field, value and fix."""
    with pytest.raises(ValueError) as refusal:
        Backoff(**arguments)
    assert str(refusal.value).startswith(f"Backoff: {complaint}")


def test_a_backoff_is_a_value() -> None:
    """What was read once can't change afterwards."""
    backoff = Backoff()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        backoff.base = 4  # type: ignore[misc]
    assert len({backoff, Backoff()}) == 1


@LAW
@given(backoffs(), st.integers(1, 10**6))
def test_delays_lie_between_nothing_and_the_maximum(backoff: Backoff, turn: int) -> None:
    """0 <= delay <= maximum; and there is one exactly if there is a base."""
    delay = backoff.delay(turn)
    assert 0 <= delay <= backoff.maximum
    assert (delay > 0) == (backoff.base > 0)


@LAW
@given(backoffs(), st.integers(1, 40), st.integers(0, 2**32))
def test_a_backoff_waits_as_a_retry_does(backoff: Backoff, turn: int, seed: int) -> None:
    """One formula: with the same numbers and the same seed, turn k waits what a retry waits after attempt k."""
    retry = Retry(retries=40, **attrs.asdict(backoff))
    jitter_source.seed(seed)
    waited = backoff.delay(turn)
    jitter_source.seed(seed)
    assert retry.delay(turn) == waited
