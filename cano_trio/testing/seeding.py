"""Trio's order of tasks by a seed: the only module that touches the private switch which trio has for that."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import trio

from .._resilience.backoff import jitter_source


@final
class SchedulerNotSeedable(RuntimeError):
    """This version of trio has no such switch any more: `run_virtual` can't decide the order of its tasks.

    Args:
        version: trio's version; also an attribute.

    >>> print(SchedulerNotSeedable("9.0"))
    trio 9.0 does not let its order of tasks be seeded as cano_trio.testing does it. Use another version of one of them.
    """

    def __init__(self, version: str) -> None:
        super().__init__(
            f"trio {version} does not let its order of tasks be seeded as cano_trio.testing does it. "
            "Use another version of one of them."
        )
        self.version = version


_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_SOURCE = "_r"


def _switches() -> dict[str, object]:
    """Trio's own: whether it sorts the tasks that are ready before it shuffles them, and by what it shuffles them."""
    core = getattr(trio, "_core", None)
    switches = vars(getattr(core, "_run", None) or random)
    if not isinstance(switches.get(_SWITCH), bool) or not isinstance(switches.get(_SOURCE), random.Random):
        raise SchedulerNotSeedable(trio.__version__)
    return switches


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
