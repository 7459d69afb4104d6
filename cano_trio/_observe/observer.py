"""Those who are told what happens in a run."""

from __future__ import annotations

import logging
from typing import Protocol, runtime_checkable

from .events import Event

_log = logging.getLogger("cano_trio")


@runtime_checkable
class Observer(Protocol):
    """Anything with an `on_event` method: it is told of every event of a run, at once and in order.

    >>> class Printer:
    ...     def on_event(self, event: Event) -> None:
    ...         print(type(event).__name__, event.state.name)
    >>> isinstance(Printer(), Observer)
    True
    """

    def on_event(self, event: Event, /) -> None:
        """Take note of an event; this must not block.

        An exception raised here is logged and the observer is switched off for the rest of the run, as trio does with
        its instruments: the run never feels it.
        """


def tell(observers: list[Observer], event: Event) -> None:
    """Tell all observers of an event; one that raises is logged and taken off the list."""
    for observer in tuple(observers):
        try:
            observer.on_event(event)
        except Exception:
            _log.exception("%r raised at %r and is switched off for this run", observer, event)
            # By identity, and whether or not it is still there: it may have been told of an event by its own doing.
            observers[:] = [other for other in observers if other is not observer]
