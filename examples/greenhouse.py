"""A greenhouse that is looked after by itself: by the interval, by the clock, and when somebody says so, until Ctrl-C.

The thermometer is read again and again, with a pause behind each reading, and a longer one behind a reading that fails;
what was read is reported by the clock; the beds are watered by hand. At Ctrl-C nothing fires any more, and the watering that
goes on is finished.

    python examples/greenhouse.py             # presses Ctrl-C itself, after a while
    python examples/greenhouse.py forever     # waits for yours

With a journal the command does as much, and an instant is fired once however many processes there are:
`cano-trio serve examples/greenhouse.py --journal greenhouse.db`.
"""

from __future__ import annotations

import logging
import signal
import sys
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from functools import partial
from typing import Literal

import trio

from cano_trio import (
    Backoff,
    Cron,
    Every,
    Manual,
    Resources,
    Retry,
    Runtime,
    Schedule,
    ScheduleBusy,
    Workflow,
    open_runtime,
)


class Step(Enum):
    """All that is done here is done in one go."""

    WORK = auto()
    DONE = auto()


@dataclass
class House:
    """The greenhouse, with a thermometer that hangs now and then."""

    readings: list[float] = field(default_factory=list)
    tries: int = 0

    async def read(self) -> float:
        """Read the thermometer."""
        self.tries += 1
        if self.tries % 4 == 3:
            raise OSError("the thermometer hangs")
        self.readings.append(21 + self.tries / 10)
        return self.readings[-1]


@dataclass
class Watering:
    """What is watered, and how much."""

    bed: str = "all beds"
    litres: int = 2


house = Resources(house=House())
measuring = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="measuring", resources=house)
reporting = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="reporting", resources=house)
watering = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="watering", data=Watering)


@measuring.task(Step.WORK, retry=Retry.none())
async def measure(house: House) -> Literal[Step.DONE]:
    """Read the thermometer."""
    print(f"  measured {await house.read():.1f}")
    return Step.DONE


@reporting.task(Step.WORK)
async def report(house: House) -> Literal[Step.DONE]:
    """Say what was read."""
    print(f"  report: {len(house.readings)} readings, {max(house.readings):.1f} at most")
    return Step.DONE


@watering.task(Step.WORK)
async def water(order: Watering) -> Literal[Step.DONE]:
    """A bed takes its time."""
    print(f"  watering {order.bed}", flush=True)
    await trio.sleep(0.1 * order.litres)
    print(f"  watered {order.bed}")
    return Step.DONE


def every_bed(_: datetime) -> Watering:
    """What is watered if nobody says what."""
    return Watering()


schedules: list[Schedule[None] | Schedule[Watering]] = [
    Schedule("measure", measuring, Every(0.1), backoff=Backoff(base=0.3, jitter=0), trip_after=3),
    Schedule("report", reporting, Cron("* * * * * *", "Europe/Berlin")),
    Schedule("water", watering, Manual(), data=every_bed),
]


async def gardener(runtime: Runtime, *, has_time: bool) -> None:
    """Somebody who waters, and is impatient."""
    await trio.sleep(0.3)
    run = await runtime.trigger("water", Watering("tomatoes", litres=3))
    try:
        await runtime.trigger("water")
    except ScheduleBusy as error:
        print(f"  {error}")
    await run.wait()
    await trio.sleep(0.5)
    await runtime.trigger("water")
    if not has_time:
        signal.raise_signal(signal.SIGINT)


async def look_after(*, has_time: bool) -> None:
    """Look after the greenhouse until Ctrl-C."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with (
            open_runtime(schedules=schedules, on_exit="drain", grace=5) as runtime,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(partial(gardener, runtime, has_time=has_time))
            async for _ in signals:
                break
            print("stopping")
            nursery.cancel_scope.cancel()
        for status in runtime.schedules.list():
            print(f"  {status.name} ({status.trigger}) has run {status.run_count} times")


def main() -> None:
    """Look after it for a moment, or for as long as nobody presses Ctrl-C."""
    logging.basicConfig(stream=sys.stdout, format="  log: %(message).79s")
    logging.getLogger("cano_trio.unhandled").disabled = True  # of the failures of a schedule's runs, the schedule tells
    print("looking after the greenhouse", flush=True)
    trio.run(partial(look_after, has_time="forever" in sys.argv))


if __name__ == "__main__":
    main()
