"""How often a failed run is begun again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import attrs

from .._resilience import Backoff
from .._resilience.bounds import finite, whole


def _check_backoff(_: object, __: object, value: object) -> None:
    if not isinstance(value, Backoff):
        raise ValueError(f"Restart: backoff={value!r} won't do. Pass a Backoff, such as Backoff(base=1).")  # noqa: TRY004  (a wrong value of a policy)


@final
@attrs.frozen
class Restart:
    """How often a supervised run is begun again when it fails, before that is given up.

    As Erlang/OTP counts: the failure that would need more than `max_restarts` within `within` seconds is the last. What a
    restart is, `Runtime.start` tells; who restarts what, `Runtime.open_group`.

    Args:
        max_restarts: how many restarts are made within the time; 0 gives up at the first failure.
        within: seconds of trio's clock.
        backoff: how long to wait behind a failure, by its number among those within the time.

    Raises:
        ValueError: a number is out of its bounds.

    >>> from cano_trio import Backoff, Restart
    >>> restart = Restart(2, within=60, backoff=Backoff(base=1, jitter=0))
    >>> restart.delay([0, 5]), restart.delay([0, 5, 90]), restart.delay([0, 5, 20])
    (2.0, 1.0, None)
    """

    max_restarts: int = attrs.field(validator=whole(0))
    within: float = attrs.field(validator=finite(above=0))
    backoff: Backoff = attrs.field(factory=Backoff, validator=_check_backoff, kw_only=True)

    def recent(self, times: Sequence[float], now: float) -> list[float]:
        """The instants that still count, of those at which something failed.

        Args:
            times: the instants, in seconds of trio's clock.
            now: the present one.
        """
        return [time for time in times if now - time <= self.within]

    def delay(self, times: Sequence[float]) -> float | None:
        """Seconds between the latest failure and the restart; None if there is no restart any more.

        Args:
            times: when it failed, in seconds of trio's clock, the latest last.

        Raises:
            ValueError: there is no failure.
        """
        if not times:
            raise ValueError("Restart.delay: times is empty. Pass the instants of all failures, the latest last.")
        number = len(self.recent(times, times[-1]))
        return None if number > self.max_restarts else self.backoff.delay(number)
