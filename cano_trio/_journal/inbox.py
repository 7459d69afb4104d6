"""What every journal holds of a run's messages."""

from __future__ import annotations

from typing import Final

from .._observe.status import RunStatus

KEYS_KEPT: Final = 10_000
"""How many keys of messages a run remembers, those of consumed ones with them."""


def takes_messages(status: RunStatus) -> bool:
    """Whether a run that stands so can be sent a message."""
    return not status.ended and status is not RunStatus.ROLLING_BACK
