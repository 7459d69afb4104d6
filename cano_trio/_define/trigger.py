"""When a schedule fires, in fixed intervals or only when it is asked to; for the calendar see `Cron`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol, final

import attrs
from typing_extensions import override

from .._errors import DefinitionError
from .checks import LARGEST
from .site import Site

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""From where fixed intervals are counted where nothing else is said: hours, minutes and days begin at whole ones."""


class Trigger(Protocol):
    """Which instants a schedule is to fire at: its nominal instants, which no clock changes.

    Every instant has a time zone, those that are given and those that are returned.
    """

    @property
    def jitter(self) -> float:
        """Seconds by up to which each firing is put off; its instant stays the same."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The time zone in which its instants are told."""
        ...

    def after(self, instant: datetime, /) -> datetime | None:
        """The next instant after a given one; None if none comes any more."""
        ...

    def between(self, after: datetime, until: datetime, /) -> Iterator[datetime]:
        """The instants after one and up to another, found one by one as they are asked for."""
        ...

    def latest(self, after: datetime, until: datetime, /) -> datetime | None:
        """The last of those `between` them, found at once, however many there are; None if there are none."""
        ...


def refused(place: str, message: str, hint: str) -> DefinitionError:
    """That a schedule, or what it is made of, can't be so."""
    return DefinitionError.one("E43", place, message, hint=hint, site=str(Site.here()))


def check_jitter(trigger: object, _: object, value: Any) -> None:
    """Refuse anything but seconds, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST:
        raise refused(
            type(trigger).__name__,
            f"jitter is {value!r}",
            "Pass the most seconds by which a firing is put off, such as 5.",
        )


def check_aware(instant: datetime) -> None:
    """Refuse an instant without a time zone.

    Raises:
        ValueError: it has none.
    """
    if instant.tzinfo is None:
        raise ValueError(
            f"{instant!r} has no time zone. Use a timezone-aware datetime, such as datetime.now(timezone.utc)."
        )


def each_between(trigger: Trigger, after: datetime, until: datetime) -> Iterator[datetime]:
    """What `between` of any trigger gives."""
    until = until.astimezone(UTC)  # two instants of one zone would be compared by what its clocks show
    instant = trigger.after(after)
    while instant is not None and instant <= until:
        yield instant
        instant = trigger.after(instant)


def _check_seconds(_: object, __: object, value: Any) -> None:
    number = None if isinstance(value, bool) or not isinstance(value, (int, float)) else value
    if number is None or not 1e-6 <= number <= timedelta.max.total_seconds():
        raise refused(
            "Every", f"seconds is {value!r}",
            "Pass a positive number, such as 300. For one firing after another let the workflow go round.",
        )  # fmt: skip


def _check_fixed_rate(_: object, __: object, value: Any) -> None:
    if not isinstance(value, bool):
        raise refused("Every", f"fixed_rate is {value!r}", "Pass True or False.")


def _check_start(_: object, __: object, value: Any) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise refused(
            "Every", f"start is {value!r}",
            "Pass a timezone-aware datetime, such as datetime(2030, 1, 1, tzinfo=timezone.utc).",
        )  # fmt: skip


@final
@attrs.frozen
class Every:
    """Fire in intervals of elapsed time, which no change to summer time touches.

    With a fixed delay, which is the default, the schedule fires as soon as it is added, and then so long after its last
    run was *over*; firings so never overlap, and none is ever missed: after a pause of the process it is just late (cano
    SCH-3). At a fixed rate it fires at the instants `start` + n x `seconds`, however long the runs take; the first is the
    next one to come.

    Args:
        seconds: how long an interval is.
        fixed_rate: count from instant to instant, and not from the end of a run.
        start: there is no instant before this one. At a fixed rate the others are counted from it; left out, from
            midnight UTC, so that ``Every(300, fixed_rate=True)`` fires at every full five minutes.
        jitter: seconds by up to which each firing is put off, so that not all fire at once. By how much follows from
            the schedule's name and the instant, and is the same in every process.

    Raises:
        DefinitionError: `seconds` is 0 or less, or the start has no time zone, or the jitter is longer than an interval.

    >>> from datetime import datetime, timezone
    >>> from cano_trio import Every
    >>> noon = datetime(2030, 1, 1, 12, 0, 1, tzinfo=timezone.utc)
    >>> print(Every(300).after(noon))
    2030-01-01 12:05:01+00:00
    >>> print(Every(300, fixed_rate=True).after(noon))
    2030-01-01 12:05:00+00:00
    """

    seconds: float = attrs.field(validator=_check_seconds)
    fixed_rate: bool = attrs.field(default=False, kw_only=True, validator=_check_fixed_rate)
    start: datetime | None = attrs.field(default=None, kw_only=True, validator=_check_start)
    jitter: float = attrs.field(default=0.0, kw_only=True, validator=check_jitter)

    def __attrs_post_init__(self) -> None:
        if self.jitter > self.seconds:  # else a firing could come after the next
            raise refused(
                "Every", f"a jitter of {self.jitter:g} s is longer than the interval of {self.seconds:g} s",
                f"Pass {self.seconds:g} at most.",
            )  # fmt: skip

    @property
    def zone(self) -> tzinfo:
        """The time zone in which its instants are told: that of the start, or UTC."""
        return UTC if self.start is None or self.start.tzinfo is None else self.start.tzinfo

    def after(self, instant: datetime, /) -> datetime | None:
        """The next instant after a given one; with a fixed delay, after a run that was over then.

        Args:
            instant: a timezone-aware instant.

        Returns:
            It; None if it would be after the year 9999.

        Raises:
            ValueError: the instant has no time zone.
        """
        check_aware(instant)
        instant = instant.astimezone(UTC)
        start = None if self.start is None else self.start.astimezone(UTC)
        interval = timedelta(seconds=self.seconds)
        try:
            if start is not None and instant < start:
                return start.astimezone(self.zone)
            if not self.fixed_rate:
                return (instant + interval).astimezone(self.zone)
            origin = start or BEGINNING
            return (origin + ((instant - origin) // interval + 1) * interval).astimezone(self.zone)
        except OverflowError:
            return None

    def between(self, after: datetime, until: datetime, /) -> Iterator[datetime]:
        """The instants after one and up to another, found one by one as they are asked for.

        Args:
            after: a timezone-aware instant, which is none of them.
            until: a timezone-aware instant, which may be the last of them.

        Raises:
            ValueError: one of them has no time zone.

        >>> from datetime import datetime, timezone
        >>> from cano_trio import Every
        >>> noon = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
        >>> [str(instant.time()) for instant in Every(1200, fixed_rate=True).between(noon, noon.replace(hour=13))]
        ['12:20:00', '12:40:00', '13:00:00']
        """
        check_aware(until)
        return each_between(self, after, until)

    def latest(self, after: datetime, until: datetime, /) -> datetime | None:
        """The last of those `between` two instants, found at once, however many there are.

        Args:
            after: as of `between`.
            until: as of `between`.

        Returns:
            It; None if there are none.

        Raises:
            ValueError: one of the instants has no time zone.
        """
        first = next(self.between(after, until), None)
        if first is None:
            return None
        first, until = first.astimezone(UTC), until.astimezone(UTC)
        interval = timedelta(seconds=self.seconds)
        return (first + (until - first) // interval * interval).astimezone(self.zone)

    @override
    def __str__(self) -> str:
        """The interval in words; not its jitter, which changes no instant."""
        rate = " at a fixed rate" if self.fixed_rate else ""
        start = "" if self.start is None else f" from {self.start.isoformat()}"
        return f"every {self.seconds:.15g} s{rate}{start}"


@final
@attrs.frozen
class Manual:
    """Fire only when it is asked to, by ``runtime.trigger(name)``.

    >>> from cano_trio import Manual
    >>> print(Manual())
    only when triggered
    """

    @property
    def jitter(self) -> float:
        """None: it fires at once."""
        return 0.0

    @property
    def zone(self) -> tzinfo:
        """The time zone in which its instants are told: UTC."""
        return UTC

    def after(self, instant: datetime, /) -> datetime | None:
        """None: no instant ever comes by itself."""
        check_aware(instant)
        return None

    def between(self, after: datetime, until: datetime, /) -> Iterator[datetime]:
        """There are none."""
        check_aware(until)
        return each_between(self, after, until)

    def latest(self, after: datetime, until: datetime, /) -> datetime | None:
        """None: there are none."""
        return next(self.between(after, until), None)

    @override
    def __str__(self) -> str:
        """When it fires, in words."""
        return "only when triggered"
