"""The calendar, and what becomes of it when the clocks are changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from cano_trio import Cron, DefinitionError

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
SPRING = datetime(2030, 3, 31, tzinfo=UTC)
AUTUMN = datetime(2030, 10, 27, tzinfo=UTC)
DAY = timedelta(days=1)


def utc(instant: datetime | None) -> datetime | None:
    """An instant that can be compared: one that clocks show twice equals none of another zone."""
    return None if instant is None else instant.astimezone(UTC)


def told(cron: Cron, since: datetime, days: float = 1) -> list[str]:
    """What the clocks show at the instants of some days."""
    return [f"{instant:%d %H:%M %Z}" for instant in cron.between(since, since + days * DAY)]


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "61 * * * *", "a b c d e", "0 0 30 2 *", "0 0 */29 2 MON#5", "@daily", "* * * * * * *", None, 3],
)
def test_what_is_no_expression(expression: Any) -> None:
    """SCH-1: an expression that can't be read, or names no day at all, is refused where it is written."""
    with pytest.raises(DefinitionError, match=r"E43 Cron: .*\(.*test_cron.py:\d+\)\. Write five fields"):
        Cron(expression)


@pytest.mark.parametrize("tz", ["Europe/Berlim", "", "../etc/passwd", "Europe", None, 3])
def test_what_is_no_time_zone(tz: Any) -> None:
    """A time zone that is not known is refused, with one that is."""
    with pytest.raises(DefinitionError, match=r"no time zone that is known here.*'Europe/Berlin'"):
        Cron("0 3 * * *", tz)


def test_the_fields() -> None:
    """Lists, ranges, steps, names, a month's last day and last working day, the nth weekday; a day of month or of week."""
    assert told(Cron("0 8-10,20 * * *"), NEW_YEAR)[:4] == [
        "01 08:00 UTC",
        "01 09:00 UTC",
        "01 10:00 UTC",
        "01 20:00 UTC",
    ]
    assert told(Cron("*/20 0 1 JAN *"), NEW_YEAR) == ["01 00:20 UTC", "01 00:40 UTC"]
    assert told(Cron("0 0 L * *"), NEW_YEAR, 60) == ["31 00:00 UTC", "28 00:00 UTC"]
    assert told(Cron("0 0 LW 3 *"), NEW_YEAR, 90) == ["29 00:00 UTC"]
    assert told(Cron("0 0 * * FRI#3"), NEW_YEAR, 60) == ["18 00:00 UTC", "15 00:00 UTC"]
    assert told(Cron("0 0 10 1 MON"), NEW_YEAR, 15) == ["07 00:00 UTC", "10 00:00 UTC", "14 00:00 UTC"]


def test_a_sixth_field_is_the_second() -> None:
    """SCH-4: with six fields the first is the second; an instant is strictly after the one asked for."""
    cron = Cron("30 0 12 * * *")
    noon = cron.after(NEW_YEAR)
    assert noon == datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)
    assert cron.after(noon) == noon + DAY
    assert cron.after(noon - timedelta(microseconds=1)) == noon


def test_instants_are_told_as_the_clocks_show_them() -> None:
    """An instant comes in the time zone of the schedule, so that its date is that of the place."""
    midnight = Cron("30 0 * * *", "Europe/Berlin").after(NEW_YEAR)
    assert midnight is not None
    assert midnight.isoformat() == "2030-01-02T00:30:00+01:00"
    assert Cron("0 0 * * *", timezone(timedelta(hours=2))).after(NEW_YEAR) == datetime(2030, 1, 1, 22, tzinfo=UTC)


def test_a_time_that_spring_skips() -> None:
    """A time of day within spring's gap fires at its end, once, however many such times there are; with seconds too."""
    for expression in ("30 2 * * *", "0,15,30 2 * * *", "5 30 2 * * *"):
        assert told(Cron(expression, "Europe/Berlin"), SPRING, 0.5) == ["31 03:00 CEST"]
    assert told(Cron("30 2 * * *", "Europe/Berlin"), SPRING - DAY, 3) == [
        "30 02:30 CET",
        "31 03:00 CEST",
        "01 02:30 CEST",
    ]


def test_a_time_that_autumn_shows_twice() -> None:
    """A time of day within autumn's repetition fires once, at the first; with seconds too."""
    for expression in ("30 2 * * *", "0 30 2 * * *"):
        assert told(Cron(expression, "Europe/Berlin"), AUTUMN - DAY, 3) == [
            "26 02:30 CEST",
            "27 02:30 CEST",
            "28 02:30 CET",
        ]


def test_a_rhythm_goes_on_through_both_changes() -> None:
    """A rhythm keeps its beat: what spring skips does not fire, and what autumn shows twice fires twice."""
    cron = Cron("*/30 * * * *", "Europe/Berlin")
    for day in (SPRING, AUTUMN):
        instants = list(cron.between(day, day + DAY))
        assert [instant.astimezone(UTC) for instant in instants] == [
            day + n * timedelta(minutes=30) for n in range(1, 49)
        ]
    assert told(cron, SPRING, 0.1)[1:4] == ["31 03:00 CEST", "31 03:30 CEST", "31 04:00 CEST"]
    assert told(cron, AUTUMN, 0.1)[:4] == ["27 02:30 CEST", "27 02:00 CET", "27 02:30 CET", "27 03:00 CET"]


def test_a_rhythm_of_an_hour_that_spring_skips() -> None:
    """A rhythm within the skipped hour has no instant on that day."""
    assert told(Cron("*/30 2 * * *", "Europe/Berlin"), SPRING, 0.5) == []
    assert told(Cron("*/30 2 * * *", "Europe/Berlin"), AUTUMN, 0.5) == ["27 02:30 CEST", "27 02:00 CET", "27 02:30 CET"]


PLACES = [
    ("Europe/Berlin", SPRING),
    ("Europe/Berlin", AUTUMN),
    ("America/New_York", datetime(2030, 3, 10, tzinfo=UTC)),
    ("America/New_York", datetime(2030, 11, 3, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2030, 4, 6, tzinfo=UTC)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2030, 10, 5, tzinfo=UTC)),
    ("America/Santiago", datetime(2024, 9, 8, tzinfo=UTC)),  # at midnight
    ("America/Santiago", datetime(2024, 4, 6, tzinfo=UTC)),
    ("America/Havana", datetime(2030, 3, 10, tzinfo=UTC)),
    ("America/Havana", datetime(2030, 11, 3, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),  # a whole day
]
EXPRESSIONS = [
    *("*/15 * * * *", "30 * * * *", "*/10 2 * * *", "*/20 0 * * *", "5 */2 * * *", "*/15 */3 * * *"),
    *("30 2 * * *", "0,30 1,2,3 * * *", "15 0 * * *", "59 23 * * *", "0 3 * * *", "0-59 1 * * *", "45 2 * * SUN"),
]


def minute_by_minute(expression: str, zone: tzinfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """The instants as somebody finds them who looks at the clock on the wall every minute."""
    first = since.astimezone(zone).replace(tzinfo=None)
    fitting: set[datetime] = set()
    for local in CronSim(expression, first - DAY):
        fitting.add(local)
        if local > first + 4 * DAY:
            break
    is_rhythm = "*" in {expression[0], expression.split()[1][0]}
    latest = first
    instant = since
    while (instant := instant + timedelta(minutes=1)) <= until:
        local = instant.astimezone(zone).replace(tzinfo=None)
        if is_rhythm and local in fitting:
            yield instant
        if not is_rhythm and any(latest < one <= local for one in fitting):
            yield instant
        latest = max(latest, local)


@pytest.mark.parametrize("name, day", PLACES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_it_fires_as_the_clock_on_the_wall_says(expression: str, name: str, day: datetime) -> None:
    """Around every change of the clocks, forwards and backwards, from whatever instant it is asked."""
    since, until = day - DAY / 2, day + 2 * DAY
    cron = Cron(expression, name)
    expected = list(minute_by_minute(expression, ZoneInfo(name), since, until))
    assert [instant.astimezone(UTC) for instant in cron.between(since, until)] == expected
    instant = since
    while (instant := instant + timedelta(minutes=13, seconds=20)) < until:
        assert utc(cron.latest(since, instant)) == max((one for one in expected if one <= instant), default=None)


@settings(max_examples=50)
@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from([name for name, _ in PLACES]),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 10),
)
def test_latest_goes_back_where_after_has_come_from(expression: str, name: str, instant: datetime, count: int) -> None:
    """From the latest instant up to one the next is after it; and going on from one leads past nothing."""
    cron = Cron(expression, name)
    some = list(islice(cron.between(instant, instant + 100 * DAY), count))
    for one, following in pairwise(utc(instant) for instant in some):
        assert one is not None
        assert following is not None
        between = one + (following - one) / 2
        assert utc(cron.latest(instant, between)) == one
        assert utc(cron.after(between)) == following
    assert cron.latest(some[0], some[0]) is None


def test_a_century_of_minutes_is_not_counted() -> None:
    """The last of millions of instants is found at once, and the first of them without the others."""
    cron = Cron("* * * * *")
    later = NEW_YEAR.replace(year=2130)
    assert cron.latest(NEW_YEAR, later) == later
    assert next(cron.between(NEW_YEAR, later)) == NEW_YEAR + timedelta(minutes=1)


def test_seconds_within_a_repetition() -> None:
    """Every second of the hour that autumn shows twice comes twice, and each is found as soon as any other."""
    cron = Cron("* * * * * *", "Europe/Berlin")
    start = AUTUMN + timedelta(minutes=59, seconds=58)
    instants = [instant.astimezone(UTC) for instant in islice(cron.between(start, AUTUMN + DAY), 4)]
    assert instants == [start + timedelta(seconds=n) for n in range(1, 5)]
    assert cron.latest(AUTUMN, start) is not None


def test_the_calendar_ends() -> None:
    """After the year 9999 nothing comes, and nothing overflows."""
    assert Cron("0 0 * * *").after(datetime.max.replace(tzinfo=UTC)) is None


def test_cron_is_a_value_that_says_what_it_is() -> None:
    """It is equal by what it says; its text leaves out the jitter, which moves no instant."""
    assert Cron("0 3 * * *") == Cron("0 3 * * *", "UTC") != Cron("0 3 * * *", "Europe/Berlin")
    assert str(Cron("0 3 * * *", "Europe/Berlin", jitter=60)) == "cron '0 3 * * *' in Europe/Berlin"
    with pytest.raises(DefinitionError, match="the most seconds"):
        Cron("0 3 * * *", jitter=-1)


def test_an_instant_has_a_time_zone() -> None:
    """Every method refuses an instant that names no time zone."""
    naive = datetime(2030, 1, 1)  # noqa: DTZ001
    cron = Cron("0 3 * * *")
    for ask in (
        lambda: cron.after(naive),
        lambda: list(cron.between(NEW_YEAR, naive)),
        lambda: cron.latest(NEW_YEAR, naive),
        lambda: cron.latest(naive, NEW_YEAR),
    ):
        with pytest.raises(ValueError, match="has no time zone"):
            ask()
