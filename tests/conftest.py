"""What every test may use."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import settings

from cano_trio import Event

# How long an example takes is the machine's business; the benchmark watches speed.
settings.register_profile("cano_trio", deadline=None)
settings.load_profile("cano_trio")

E = TypeVar("E", bound=Event)


class Recorder:
    """An observer that keeps all it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def kinds(self) -> list[str]:
        """The names of all events, in order."""
        return [type(event).__name__ for event in self.events]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
