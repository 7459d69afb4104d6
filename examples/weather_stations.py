"""A group of pollers that is supervised: one that fails is begun again, and one that fails for ever ends the whole.

Each weather station is a real server on a port of this machine, and each has a run that polls it until it has heard three
new readings. A station that hangs up fails its poller; the group begins that one again, and no other. When one has failed
too often within a second, the group gives up: the other pollers are stopped, and the error has the history.

    python examples/weather_stations.py
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from itertools import count
from typing import Literal

import trio

from cano_trio import (
    Backoff,
    Event,
    Pending,
    Restart,
    RunContext,
    RunEnded,
    RunStatus,
    Runtime,
    SupervisorGaveUp,
    Workflow,
    open_runtime,
)

READINGS = 3


class Step(Enum):
    """Where a poller stands."""

    POLL = auto()
    NOTE = auto()
    DONE = auto()


@dataclass
class Station:
    """A weather station, and what was heard of it."""

    name: str
    port: int
    latest: float | None = None
    readings: list[float] = field(default_factory=list)


workflow = Workflow(Step, initial=Step.POLL, exits=[Step.DONE], data=Station, name="poller")


@workflow.poll(Step.POLL)
async def look(station: Station) -> Literal[Step.NOTE] | Pending:
    """Ask the station; what it has said before is nothing new."""
    async with await trio.open_tcp_stream("127.0.0.1", station.port) as stream:
        said = await stream.receive_some()
    if not said:
        raise ConnectionError(f"{station.name} hangs up")
    station.latest = float(said)
    return Pending(delay=0.02) if station.latest in station.readings else Step.NOTE


@workflow.task(Step.NOTE)
async def note(station: Station, ctx: RunContext) -> Literal[Step.POLL, Step.DONE]:
    """Take note of a new reading."""
    assert station.latest is not None  # noqa: S101  (it was polled)
    station.readings.append(station.latest)
    ctx.progress(len(station.readings), READINGS)
    return Step.DONE if len(station.readings) == READINGS else Step.POLL


@dataclass
class Server:
    """Answers for a station, with a new reading every now and then.

    Args:
        hangs_up: the numbers of the connections that it closes without a word.
        changes_after: how often it says the same.
    """

    hangs_up: Container[int] = ()
    changes_after: int = 2
    numbers: Iterator[int] = field(default_factory=count)

    async def __call__(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        number = next(self.numbers)
        async with stream:
            if number not in self.hangs_up:
                with suppress(trio.BrokenResourceError):  # the poller was stopped meanwhile
                    await stream.send_all(str(10 + number // self.changes_after / 4).encode())


class Ends:
    """An observer that tells of pollers that end before they are done."""

    def on_event(self, event: Event) -> None:
        """Tell."""
        if isinstance(event, RunEnded) and event.status is not RunStatus.COMPLETED:
            print(f"  {event.run_id} is {event.status.value}{f': {event.error}' if event.error else ''}")


async def watch(runtime: Runtime, stations: dict[str, Server]) -> None:
    """Poll some stations until each has said enough."""
    async with trio.open_nursery() as serving:
        ports = {}
        for name, server in stations.items():
            listeners = await serving.start(partial(trio.serve_tcp, server, 0, host="127.0.0.1"))
            ports[name] = listeners[0].socket.getsockname()[1]
        restart = Restart(3, within=1.0, backoff=Backoff(base=0.02, jitter=0))
        try:
            async with runtime.open_group("one_for_one", restart=restart) as group:
                runs = [await group.start(workflow, Station(name, port), run_id=name) for name, port in ports.items()]
                for run in runs:
                    station = (await run.wait()).data
                    print(f"  {station.name}: {station.readings}")
        except SupervisorGaveUp as error:
            print(f"  {str(error).splitlines()[0]}")
            print(f"  {len(error.history)} failures, the first: {error.history[0]}")
        serving.cancel_scope.cancel()


async def watch_all() -> None:
    """A good day, and a bad one."""
    async with open_runtime(workflows=[workflow], observers=[Ends()]) as runtime:
        print("The cliff hangs up twice:")
        await watch(runtime, {"cliff": Server(hangs_up={1, 4}), "harbour": Server()})
        print(f"  {runtime.statistics().restarted} restarts")
        print("The harbour is down:")
        await watch(runtime, {"cliff": Server(changes_after=10_000), "harbour": Server(hangs_up=range(10_000))})


def main() -> None:
    """Watch."""
    logging.getLogger("cano_trio").setLevel(logging.ERROR)  # it warns of each restart
    trio.run(watch_all)


if __name__ == "__main__":
    main()
