"""Intervals of elapsed time, and what is only triggered."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cano_trio import DefinitionError, Every, Manual

NOON = datetime(2030, 1, 1, 12, 0, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan, "300", True, None, 1e-9, 10**400])
def test_an_interval_takes_time(seconds: Any) -> None:
    """An interval of nothing, of no time or of no number is refused: G-SCH-3, where 0 ran hot."""
    with pytest.raises(
        DefinitionError, match=r"E43 Every: seconds is .*\(.*test_trigger.py:\d+\)\. Pass a positive number"
    ):
        Every(seconds)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"start": datetime(2030, 1, 1)}, "timezone-aware"),  # noqa: DTZ001
        ({"start": 3}, "timezone-aware"),
        ({"fixed_rate": 1}, "True or False"),
        ({"jitter": -1}, "the most seconds"),
        ({"jitter": math.inf}, "the most seconds"),
        ({"jitter": 301}, "Pass 300 at most"),
    ],
)
def test_what_every_refuses(wrong: dict[str, Any], told: str) -> None:
    """A start without a time zone, and a jitter that is none or longer than the interval, are refused with the fix."""
    with pytest.raises(DefinitionError, match=told):
        Every(300, **wrong)


def test_a_fixed_delay_counts_from_where_it_is_asked() -> None:
    """SCH-3: with a fixed delay the next instant is an interval after the end of a run, whenever that was."""
    assert Every(300).after(NOON) == NOON + timedelta(seconds=300)
    assert Every(0.25).after(NOON) == NOON + timedelta(milliseconds=250)


def test_a_fixed_rate_stands_on_its_grid() -> None:
    """G-SCH-3: at a fixed rate the instants are those of the grid, strictly after the one asked for."""
    every = Every(300, fixed_rate=True)
    assert every.after(NOON) == datetime(2030, 1, 1, 12, 5, tzinfo=UTC)
    assert every.after(datetime(2030, 1, 1, 12, 5, tzinfo=UTC)) == datetime(2030, 1, 1, 12, 10, tzinfo=UTC)
    shifted = Every(300, fixed_rate=True, start=datetime(2030, 1, 1, 0, 0, 7, tzinfo=UTC))
    assert shifted.after(NOON) == datetime(2030, 1, 1, 12, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize("fixed_rate", [False, True])
def test_nothing_comes_before_the_start(fixed_rate: bool) -> None:  # noqa: FBT001
    """Before its start the next instant is the start itself, told in its own zone."""
    start = datetime(2031, 1, 1, tzinfo=BERLIN)
    every = Every(300, fixed_rate=fixed_rate, start=start)
    assert every.after(NOON) == start
    assert every.after(NOON).tzinfo is BERLIN  # type: ignore[union-attr]
    assert every.after(start) == start + timedelta(seconds=300)


def test_summer_time_is_no_matter_to_elapsed_time() -> None:
    """An interval over a change of the clocks is as long as any, also in a zone that has them."""
    start = datetime(2030, 10, 27, tzinfo=BERLIN)
    instants = list(islice(Every(3600, fixed_rate=True, start=start).between(start, NOON.replace(year=2031)), 5))
    seconds = [(instant.astimezone(UTC) - start.astimezone(UTC)).total_seconds() for instant in instants]
    assert seconds == [3600 * hour for hour in range(1, 6)]
    assert [instant.hour for instant in instants] == [1, 2, 2, 3, 4]


def test_the_calendar_ends() -> None:
    """After the year 9999 nothing comes, and nothing overflows."""
    last = datetime.max.replace(tzinfo=UTC)
    assert Every(300).after(last) is None
    assert Every(300, fixed_rate=True).after(last) is None
    assert Every(300, fixed_rate=True).latest(NOON, last) == datetime(9999, 12, 31, 23, 55, tzinfo=UTC)


@given(
    st.floats(1e-6, 1e9),
    st.booleans(),
    st.none() | st.datetimes(timezones=st.just(UTC), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
    st.floats(0, 1e10),
    st.integers(1, 20),
)
def test_latest_is_the_last_of_those_between(
    seconds: float,
    fixed_rate: bool,  # noqa: FBT001
    start: datetime | None,
    ahead: float,
    count: int,
) -> None:
    """However many instants lie between two, `latest` gives the last; where they can be counted, by counting."""
    every = Every(seconds, fixed_rate=fixed_rate, start=start)
    few = NOON + count * timedelta(seconds=seconds)
    assert every.latest(NOON, few) == max(every.between(NOON, few), default=None)
    many = NOON + timedelta(seconds=ahead)
    latest = every.latest(NOON, many)
    following = every.after(NOON if latest is None else latest)
    assert latest is None or NOON < latest <= many
    assert following is not None
    assert following > many


def test_an_instant_has_a_time_zone() -> None:
    """Every method refuses an instant that names no time zone."""
    naive = datetime(2030, 1, 1)  # noqa: DTZ001
    for trigger in (Every(300), Manual()):
        for ask in (
            lambda of=trigger: of.after(naive),
            lambda of=trigger: list(of.between(NOON, naive)),
            lambda of=trigger: of.latest(NOON, naive),
        ):
            with pytest.raises(ValueError, match="has no time zone"):
                ask()


def test_nothing_comes_by_itself() -> None:
    """SCH-5: a manual trigger has no instants."""
    later = NOON + timedelta(days=1)
    assert (Manual().after(NOON), [*Manual().between(NOON, later)], Manual().latest(NOON, later)) == (None, [], None)
    assert Manual().jitter == 0.0


def test_a_trigger_is_a_value_that_says_what_it_is() -> None:
    """Triggers are equal by what they say; their text leaves out the jitter, which moves no instant."""
    assert Every(300) == Every(300.0) != Every(300, fixed_rate=True)
    assert len({Every(300), Every(300), Manual(), Manual()}) == 2
    assert str(Every(300, jitter=5)) == "every 300 s"
    start = datetime(2030, 1, 1, tzinfo=UTC)
    assert str(Every(0.5, fixed_rate=True, start=start)) == "every 0.5 s at a fixed rate from 2030-01-01T00:00:00+00:00"
