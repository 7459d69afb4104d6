"""Buoys at sea, each polled by a run of its own, and all of them supervised together.

A poll that fails for good ends its run, and its supervisor begins it again, a little later each time. What is in the water now
and then, such as a wave over the aerial, is over by then. A buoy that fails again and again is not: the supervisor gives up, the
others are stopped, and whoever keeps the watch is told what happened, and when. The clock is a virtual one, so the hours pass
in no time.

Run it: python examples/buoys.py
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import Backoff, Pending, Resources, Restart, SupervisorGaveUp, Workflow, open_runtime

MINUTE = 60.0
HOUR = 60 * MINUTE


class Watch(Enum):
    """Where the watch over a buoy stands."""

    LISTEN = auto()
    HAULED_IN = auto()


@dataclass
class Buoy:
    """A buoy, as its run knows it."""

    name: str


class Silence(ConnectionError):
    """A buoy does not answer."""


class Sea:
    """When which buoy is silent, in hours, and when it is hauled in."""

    def __init__(self, silent: Mapping[str, set[int]], hauled_in: int) -> None:
        self._silent = silent
        self._hauled_in = hauled_in

    async def hear(self, buoy: str) -> bool:
        """Ask a buoy whether it is still out; it takes a second to answer."""
        await trio.sleep(1)
        hour = int(trio.current_time() // HOUR)
        if hour in self._silent.get(buoy, ()):
            raise Silence(f"{buoy} is silent")
        return hour < self._hauled_in


watch = Workflow(Watch, initial=Watch.LISTEN, exits=[Watch.HAULED_IN], data=Buoy, name="watch")


@watch.poll(Watch.LISTEN, backoff=Backoff(base=20 * MINUTE, multiplier=1, maximum=HOUR, jitter=0))
async def listen(buoy: Buoy, sea: Sea) -> Literal[Watch.HAULED_IN] | Pending:
    """Look whether it is still out."""
    return Pending() if await sea.hear(buoy.name) else Watch.HAULED_IN


async def keep_watch(sea: Sea) -> None:
    """Watch three buoys until they are hauled in."""
    restart = Restart(4, within=12 * HOUR, backoff=Backoff(base=10 * MINUTE, maximum=HOUR, jitter=0))
    async with open_runtime(workflows=[watch], resources=Resources(sea=sea)) as runtime:
        try:
            async with runtime.open_group("one_for_one", restart=restart) as group:
                runs = [await group.start(watch, Buoy(name), run_id=name) for name in ("Alpha", "Bravo", "Charlie")]
            states = ", ".join(f"{run.id} {run.state.name}" for run in runs)
            print(f"  all are in: {states}, after {runtime.statistics().restarted} restarts")
        except SupervisorGaveUp as error:
            print(f"  after {trio.current_time() / HOUR:.1f} h it is given up: {error.reason}")
            for cause in error.history:
                print(f"    {cause.run_id} at {cause.time / HOUR:.1f} h: {cause.error}")


def main() -> None:
    """Keep two watches."""
    logging.getLogger("cano_trio").setLevel(logging.ERROR)  # each restart is a warning
    for title, silent in (
        ("A day with waves:", {"Alpha": {3}, "Charlie": {9}}),
        ("A day on which a battery dies:", {"Bravo": set(range(5, 24))}),
    ):
        print(title)
        trio.run(keep_watch, Sea(silent, hauled_in=24), clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
