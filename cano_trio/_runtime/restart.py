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

    As Erlang/OTP counts: the failure that would need more than `max_restarts` restarts within `within` seconds is the last.
    `Runtime.start` takes one for a single run, `Runtime.open_group` one for several runs together.

    What a restart is: a run with a journal that has ``failed`` goes on by retry, in the state in which it failed, under its id.
    One that was undone is over, and another begins anew in its place, with the data that it was started with and under an id
    made of the first, such as ``order-42~2``. Without a journal a run begins anew under its own id, and with the idempotency
    keys that it had. The handle follows: `Run.id` is that of the present run, and `Run.wait` returns at the real end. While the
    run is down it is ``waiting``, and whoever sends it something, or asks it, waits until it is back.

    Runs that reach an exit, are cancelled, or are released are not begun again; nor is any that is down, or fails, when it is
    cancelled, or when the runtime stops or is drained: its failure was its end. A runtime that is left in peace waits for the
    real end. A run that can't be undone in full is not begun again over what is left of it: that is given up at once.

    Supervision belongs to the process that has asked for it; another one that goes on with the run after a crash knows nothing
    of it. Started anew there with ``on_duplicate="attach"``, the run that is there is supervised, if it is not over.

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

    def delay(self, times: Sequence[float]) -> float | None:
        """Seconds between the latest failure and the restart; None if there is no restart any more.

        Args:
            times: when it failed, in seconds of trio's clock, the latest last.

        Raises:
            ValueError: there is no failure.
        """
        if not times:
            raise ValueError("Restart.delay: times is empty. Pass the instants of all failures, the latest last.")
        number = sum(times[-1] - time <= self.within for time in times)
        return None if number > self.max_restarts else self.backoff.delay(number)
