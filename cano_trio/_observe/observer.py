"""Those who are told what happens in a run."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from .events import Event

_ASYNC = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)

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
        """Take note of an event; this must not block, and is no async function.

        An exception raised here is logged and the observer is switched off for the rest of the run, as trio does with
        its instruments: the run never feels it.
        """


def check_observers(observers: Iterable[Observer]) -> None:
    """Refuse, before a run, what could not be told of its events.

    Raises:
        TypeError: one has no `on_event` method, or an async one.
    """
    for observer in observers:
        on_event = getattr(observer, "on_event", None)
        if not callable(on_event):
            raise TypeError(f"observers: {observer!r} has no on_event method. Give it one that takes the event.")
        call = getattr(type(on_event), "__call__", None)  # noqa: B004  (of an object that is called like a function)
        if any(is_async(it) for it in (on_event, call) for is_async in _ASYNC):
            raise TypeError(
                f"observers: the on_event of {observer!r} is async, and nobody would await it. Write `def on_event`, and "
                "hand on what has to wait by the send_nowait of a memory channel."
            )


def tell(observers: list[Observer], event: Event) -> None:
    """Tell all observers of an event; one that raises is logged and taken off the list."""
    for observer in tuple(observers):
        try:
            observer.on_event(event)
        except Exception:
            _log.exception("%r raised at %r and is switched off for this run", observer, event)
            # By identity, and whether or not it is still there: it may have been told of an event by its own doing.
            observers[:] = [other for other in observers if other is not observer]
