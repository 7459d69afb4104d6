"""The private switches of trio that the laboratory needs: the only module that touches them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, final

import trio

from .._resilience.backoff import jitter_source


@final
class SchedulerNotSeedable(RuntimeError):
    """This version of trio lacks a private switch: `run_virtual` can't decide the order of its tasks, or know its threads.

    Args:
        version: trio's version; also an attribute.

    >>> print(SchedulerNotSeedable("9.0"))
    trio 9.0 does not let its order of tasks be decided as cano_trio.testing does it. Use another version of one of them.
    """

    def __init__(self, version: str) -> None:
        super().__init__(
            f"trio {version} does not let its order of tasks be decided as cano_trio.testing does it. "
            "Use another version of one of them."
        )
        self.version = version


StartThread: TypeAlias = Callable[..., Any]
"""Takes what a thread does, what is then done with the result (in that thread), and perhaps a name."""

_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_SOURCE = "_r"
_START = "start_thread_soon"


def _switches() -> dict[str, object]:
    """Trio's own: whether it sorts the tasks that are ready before it shuffles them, and by what it shuffles them."""
    switches = getattr(sys.modules.get("trio._core._run"), "__dict__", {})
    if not isinstance(switches.get(_SWITCH), bool) or not isinstance(switches.get(_SOURCE), random.Random):
        raise SchedulerNotSeedable(trio.__version__)
    return switches


@contextmanager
def threads_started_by(start: Callable[[StartThread], StartThread]) -> Iterator[None]:
    """Have `trio.to_thread.run_sync` start its threads another way, inside.

    Args:
        start: makes that way of trio's own.

    Raises:
        SchedulerNotSeedable: this version of trio can't do it.
    """
    threads = getattr(sys.modules.get("trio._threads"), "__dict__", {})
    before = threads.get(_START)
    if not callable(before):
        raise SchedulerNotSeedable(trio.__version__)
    threads[_START] = start(before)
    try:
        yield
    finally:
        threads[_START] = before


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Have all that goes by chance go by a seed, inside: trio's order of tasks, jitter, and the module `random`.

    Args:
        seed: the seed.

    Raises:
        SchedulerNotSeedable: this version of trio can't do it.
    """
    switches = _switches()
    before = {name: switches[name] for name in (_SWITCH, _SOURCE)}
    jitter, chance = jitter_source.getstate(), random.getstate()
    switches[_SWITCH], switches[_SOURCE] = True, random.Random(seed)
    jitter_source.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        switches.update(before)
        jitter_source.setstate(jitter)
        random.setstate(chance)
