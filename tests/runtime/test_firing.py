"""What a schedule makes of how its runs end."""

from __future__ import annotations

import pytest

from cano_trio import (
    JournalError,
    LeaseLost,
    NotOwner,
    RunBlocked,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunReleased,
    RunTimeout,
)
from cano_trio._runtime.firing import judged, text_of

ENDS: list[tuple[Exception, str | None]] = [
    (ValueError("no"), "failed"),
    (ExceptionGroup("several", [ValueError("no")]), "failed"),
    (RunTimeout(5, 3), "failed"),
    (RunBlocked("r", "data", "it can't be read"), "failed"),  # else it would stand in the way for ever
    (RunFailed("r", "rollback_failed", None), "failed"),
    (RunFailed("r", "cancelled", None), "cancelled"),
    (RunCancelled("enough"), "cancelled"),
    (RunNotFound("r"), "cancelled"),
    (RunReleased("r"), None),
    (LeaseLost("r", "me"), None),
    (NotOwner("r", "them"), None),
    (JournalError("the disk is gone"), None),
]


@pytest.mark.parametrize("error, outcome", ENDS, ids=[repr(error) for error, _ in ENDS])
def test_how_a_run_ends(error: Exception, outcome: str | None) -> None:
    """SCH-8: a cancel is no failure; of a run that has stopped here, and goes on elsewhere, nobody knows yet."""
    assert judged(error) == outcome


def test_the_text_of_an_error_can_be_written_down() -> None:
    """An error is kept as its type and text, whatever is in there; also one that has no text, or can't tell it."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert text_of(KeyError("x")) == "KeyError: 'x'"
    assert text_of(ValueError()) == "ValueError"
    text_of(ValueError("\ud800")).encode()
    assert text_of(Mute()).startswith("Mute: ")
