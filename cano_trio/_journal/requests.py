"""What other processes ask of the one that carries a run out: messages in its inbox that no state takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from .rows import Letter, Message

CANCEL: Final = "cano_trio.cancel"
"""The run is to be cancelled; the body is the reason."""

PAUSE: Final = "cano_trio.pause"
"""The run is to be paused; the body is the reason."""

_REQUESTS: Final = frozenset({CANCEL, PAUSE})


def request(run_id: str, kind: str, reason: str | None, *, sent_at: float) -> Letter:
    """A request of a kind, on its way to a run."""
    return Letter(run_id=run_id, kind=kind, body=msgspec.json.encode(reason), sent_at=sent_at)


def is_request(letter: Letter) -> bool:
    """Whether a message is for the run's process, and not for a state of it."""
    return letter.kind in _REQUESTS


def requested(messages: Iterable[Message]) -> Message | None:
    """What is asked of a run's process: to cancel it, if anybody asks for that; else to pause it."""
    asked = {message.letter.kind: message for message in messages if is_request(message.letter)}
    return asked.get(CANCEL) or asked.get(PAUSE)


def requests_met(messages: Iterable[Message], *, cancelled: bool) -> list[int]:
    """The numbers of the requests that are met by a run's going on, or by its being cancelled."""
    met = _REQUESTS if cancelled else {PAUSE}
    return [message.number for message in messages if message.letter.kind in met]


def reason_of(message: Message) -> str | None:
    """Why it is asked."""
    reason = msgspec.json.decode(message.letter.body)
    return reason if isinstance(reason, str) else None
