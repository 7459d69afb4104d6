"""When a schedule fires, by the calendar and the clocks of a place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, final
from zoneinfo import ZoneInfo

import attrs
from cronsim import CronSim, CronSimError
from typing_extensions import override

from .trigger import BEGINNING, check_aware, check_jitter, each_between, refused

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def _check_expression(_: object, __: object, value: Any) -> None:
    hint = (
        "Write five fields, minute, hour, day of month, month and day of week, such as '0 3 * * *' for three at night; or "
        "six, with the second before them."
    )
    if not isinstance(value, str):
        raise refused("Cron", f"expression is {value!r}", hint)
    try:
        comes = next(CronSim(value, BEGINNING.replace(tzinfo=None)), None) is not None
    except CronSimError as error:
        raise refused("Cron", f"{value!r} can't be read: {error}", hint) from error
    if not comes:
        raise refused("Cron", f"{value!r} names no day that ever comes", hint)


def _check_zone(_: object, __: object, value: Any) -> None:
    try:
        _zone(value)
    except (TypeError, ValueError, KeyError, OSError) as error:  # what ZoneInfo raises of a name that is none
        raise refused(
            "Cron", f"tz is {value!r}, which is no time zone that is known here",
            "Name one, such as 'Europe/Berlin'. Where the system has no time zones, install tzdata.",
        ) from error  # fmt: skip


def _zone(tz: object) -> tzinfo:
    if isinstance(tz, tzinfo):
        return tz
    if not isinstance(tz, str):
        raise TypeError(tz)
    return UTC if tz == "UTC" else ZoneInfo(tz)


@final
@attrs.frozen
class Cron:
    """Fire by the calendar and the clocks of a place, as cron does.

    The fields are minute, hour, day of month, month and day of week, with ``*``, lists, ranges and steps, names (``MON``,
    ``JAN``), ``L`` and ``LW`` for a month's last day and last working day, ``5#3`` for the third Friday; a sixth field
    before them is the second. If both a day of month and a day of week are named, either is enough.

    When the clocks are changed, what is meant by the expression holds:

    - **A time of day** (neither minute nor hour begins with ``*``: ``30 2 * * *``) comes once a day. Where the clocks
      skip it in spring, it fires at the first instant after the gap, 03:00; where they show it twice in autumn, at the
      first.
    - **A rhythm** (``*/15 * * * *``) fires whenever the clocks show a time that fits. Nothing fires in the hour that
      spring skips, and it goes on through both of autumn's: every 15 minutes stay every 15 minutes.

    Args:
        expression: five fields, or six.
        tz: whose clocks: a name such as ``"Europe/Berlin"``, or a `tzinfo`.
        jitter: seconds by up to which each firing is put off, so that not all fire at once. By how much follows from
            the schedule's name and the instant, and is the same in every process.

    Raises:
        DefinitionError: the expression can't be read or names no day that ever comes, or the time zone is not known.

    >>> from datetime import datetime, timezone
    >>> from cano_trio import Cron
    >>> nightly = Cron("30 2 * * *", "Europe/Berlin")
    >>> instants = nightly.between(
    ...     datetime(2030, 3, 29, 12, tzinfo=timezone.utc), datetime(2030, 4, 1, 12, tzinfo=timezone.utc)
    ... )
    >>> print(*instants, sep=", ")
    2030-03-30 02:30:00+01:00, 2030-03-31 03:00:00+02:00, 2030-04-01 02:30:00+02:00
    """

    expression: str = attrs.field(validator=_check_expression)
    tz: str | tzinfo = attrs.field(default="UTC", validator=_check_zone)
    jitter: float = attrs.field(default=0.0, kw_only=True, validator=check_jitter)

    @property
    def zone(self) -> tzinfo:
        """The time zone whose clocks count, and in which its instants are told."""
        return _zone(self.tz)

    def after(self, instant: datetime, /) -> datetime | None:
        """The next instant after a given one.

        Args:
            instant: a timezone-aware instant.

        Returns:
            It; None if none comes within 50 years.

        Raises:
            ValueError: the instant has no time zone.
        """
        check_aware(instant)
        shown, repeated = self._shown(instant, fold=0)
        found = self._first_after(shown, instant)
        if repeated and (found is None or found - instant >= repeated):
            # The clocks are about to be set back, and then show again what they have shown before.
            found = self._first_after(shown - repeated, instant)
        return None if found is None else found.astimezone(self.zone)

    def between(self, after: datetime, until: datetime, /) -> Iterator[datetime]:
        """The instants after one and up to another, found one by one as they are asked for.

        Args:
            after: a timezone-aware instant, which is none of them.
            until: a timezone-aware instant, which may be the last of them.

        Raises:
            ValueError: one of them has no time zone.
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

        >>> from datetime import datetime, timezone
        >>> from cano_trio import Cron
        >>> print(Cron("* * * * *").latest(datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2030, 1, 1, tzinfo=timezone.utc)))
        2030-01-01 00:00:00+00:00
        """
        check_aware(after)
        check_aware(until)
        shown, repeated = self._shown(until, fold=1)
        found = self._last_until(shown + SECOND, until)
        if repeated and (found is None or until - found >= repeated):
            # The clocks were set back just now, and have shown later times before.
            found = self._last_until(shown + repeated + SECOND, until)
        return found.astimezone(self.zone) if found is not None and found > after else None

    @override
    def __str__(self) -> str:
        """The expression and whose clocks count; not the jitter, which changes no instant."""
        return f"cron {self.expression!r} in {self.tz}"

    @property
    def _is_time_of_day(self) -> bool:
        minute, hour = self.expression.split()[-5:-3]
        return not minute.startswith("*") and not hour.startswith("*")

    def _shown(self, instant: datetime, *, fold: int) -> tuple[datetime, timedelta]:
        """What the clocks show at an instant; and how long a time they show twice, if it is for the first (0) or second (1)."""
        local = instant.astimezone(self.zone)
        repeated = _offset(local, 0) - _offset(local, 1)
        return local.replace(tzinfo=None), repeated if local.fold == fold else timedelta()

    def _first_after(self, start: datetime, instant: datetime) -> datetime | None:
        found = (one for local in self._ticks(start) for one in self._instants(local))
        return next((one for one in found if one > instant), None)

    def _last_until(self, start: datetime, instant: datetime) -> datetime | None:
        found = (one for local in self._ticks(start, back=True) for one in reversed(self._instants(local)))
        return next((one for one in found if one <= instant), None)

    def _ticks(self, start: datetime, *, back: bool = False) -> Iterator[datetime]:
        """What clocks that are never changed show when it fires, after a start or, going back, before it."""
        try:
            yield from CronSim(self.expression, start, reverse=back)
        except OverflowError:
            return  # the calendar ends

    def _instants(self, local: datetime) -> list[datetime]:
        """The instants, in UTC, that are meant by what the clocks show: one; two where they show it twice; or none."""
        first, second = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if not self._is_shown(local):
            return [self._behind_gap(local)] if self._is_time_of_day else []
        return [first] if first == second or self._is_time_of_day else [first, second]

    def _is_shown(self, local: datetime) -> bool:
        """Whether the clocks ever show it: in spring they skip a part."""
        return (
            local.replace(tzinfo=self.zone, fold=0).astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) == local
        )

    def _behind_gap(self, local: datetime) -> datetime:
        local = local.replace(second=0)
        while not self._is_shown(local):
            local += MINUTE
        return local.replace(tzinfo=self.zone).astimezone(UTC)


def _offset(local: datetime, fold: int) -> timedelta:
    return local.replace(fold=fold).utcoffset() or timedelta()
