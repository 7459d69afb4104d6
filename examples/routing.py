"""Routing on conditions: a router class, set up with a limit, and a router function.

A router only chooses: it reads the run's data and has no side effects.

    python examples/routing.py
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Literal

import trio

from cano_trio import RouterTask, Workflow


class Step(Enum):
    """Where a parcel stands."""

    BY_WEIGHT = auto()
    BY_PLACE = auto()
    FREIGHT = auto()
    TRUCK = auto()
    PLANE = auto()
    SENT = auto()


@dataclass
class Parcel:
    """What is to be sent."""

    kilograms: int
    country: str
    cost: float = 0.0


class ByWeight(RouterTask[Step]):
    """Heavy parcels go as freight, wherever they go."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    async def route(
        self, parcel: Parcel
    ) -> Annotated[Literal[Step.FREIGHT], "heavy"] | Annotated[Literal[Step.BY_PLACE], "light"]:
        """Compare with the limit."""
        return Step.FREIGHT if parcel.kilograms > self.limit else Step.BY_PLACE


workflow = Workflow(Step, initial=Step.BY_WEIGHT, exits=[Step.SENT], name="parcel", data=Parcel)
workflow.register(Step.BY_WEIGHT, ByWeight(limit=30))


@workflow.router(Step.BY_PLACE)
async def by_place(parcel: Parcel) -> Literal[Step.TRUCK, Step.PLANE]:
    """Trucks go where there is a road."""
    return Step.TRUCK if parcel.country in {"NO", "SE", "FI"} else Step.PLANE


@workflow.task(Step.FREIGHT)
async def freight(parcel: Parcel) -> Literal[Step.SENT]:
    """A flat price."""
    parcel.cost = 90.0
    return Step.SENT


@workflow.task(Step.TRUCK)
async def truck(parcel: Parcel) -> Literal[Step.SENT]:
    """Cheap by weight."""
    parcel.cost = 2.0 * parcel.kilograms
    return Step.SENT


@workflow.task(Step.PLANE)
async def plane(parcel: Parcel) -> Literal[Step.SENT]:
    """Dear by weight."""
    parcel.cost = 9.5 * parcel.kilograms
    return Step.SENT


async def send(*parcels: Parcel) -> None:
    """Send parcels and print the way each one took."""
    for parcel in parcels:
        result = await workflow.run(parcel)
        way = " -> ".join(step.name for step in result.path)
        print(f"{parcel.kilograms:>3g} kg to {parcel.country}: {way} for {result.data.cost:g}")


def main() -> None:
    """Send one parcel each way."""
    trio.run(send, Parcel(40, "JP"), Parcel(5, "SE"), Parcel(2, "JP"))


if __name__ == "__main__":
    main()
