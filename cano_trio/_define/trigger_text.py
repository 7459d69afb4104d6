"""Triggers read back from their texts, for who has only what a journal keeps of a schedule."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from .._errors import DefinitionError
from .cron import Cron
from .schedule import AnyTrigger
from .trigger import Every, Manual

_EVERY: Final = re.compile(r"every (\S+) s( at a fixed rate)?(?: from (\S+))?")
_CRON: Final = re.compile(r"cron '([^'\\]*)' in (.+)")


def trigger_of(text: str) -> AnyTrigger | None:
    """The trigger of a text, without its jitter, which that does not tell; None if it is one that nobody here knows.

    >>> from cano_trio import Cron, Every, Manual
    >>> all(trigger_of(str(one)) == one for one in (Every(0.5, fixed_rate=True), Cron("0 3 * * *", "Asia/Tokyo"), Manual()))
    True
    >>> print(trigger_of("when the moon is full"))
    None
    """
    try:
        return _trigger(text)
    except (DefinitionError, ValueError):  # of another version, or of a time zone that is not known here
        return None


def _trigger(text: str) -> AnyTrigger | None:
    if text == str(Manual()):
        return Manual()
    if (every := _EVERY.fullmatch(text)) is not None:
        seconds, rate, start = every.groups()
        begins = None if start is None else datetime.fromisoformat(start)
        return Every(float(seconds), fixed_rate=rate is not None, start=begins)
    if (cron := _CRON.fullmatch(text)) is not None:
        return Cron(cron[1], cron[2])
    return None
