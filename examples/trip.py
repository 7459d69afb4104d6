"""A workflow inside a workflow: a trip needs a hotel, and what a hotel needs is the hotel's business.

The hotel's workflow stands on its own, with its own states and data. The trip has it do the work of one state: each of its
exits leads somewhere, two functions translate the data, and what it has booked is cancelled when the trip comes to nothing.

    python examples/trip.py
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Retry, RunContext, Workflow, failure_context


class Hotel(Enum):
    """Where a stay stands."""

    LOOK = auto()
    RESERVE = auto()
    BOOKED = auto()
    FULL = auto()


class Trip(Enum):
    """Where a trip stands."""

    FLY = auto()
    STAY = auto()
    CAMP = auto()
    PAY = auto()
    DONE = auto()


@dataclass
class Stay:
    """What the hotel is asked for, and what it gives."""

    town: str
    nights: int
    price: int = 0


@dataclass
class Plan:
    """What the traveller wants, and what came of it."""

    town: str
    nights: int
    purse: int
    spent: int = 0
    bed: str = ""


class EmptyPurse(Exception):
    """There is not enough money."""


PRICES = {"Oslo": 140, "Tromsø": 310}

hotel = Workflow(Hotel, initial=Hotel.LOOK, exits=[Hotel.BOOKED, Hotel.FULL], data=Stay, name="hotel")


@hotel.task(Hotel.LOOK)
async def look(stay: Stay) -> Literal[Hotel.RESERVE, Hotel.FULL]:
    """Look for a room."""
    stay.price = PRICES.get(stay.town, 0) * stay.nights
    return Hotel.RESERVE if stay.price else Hotel.FULL


@hotel.compensatable(Hotel.RESERVE)
async def reserve(stay: Stay, ctx: RunContext) -> tuple[Literal[Hotel.BOOKED], str]:
    """Reserve it, under a key that names this very stay of this very trip."""
    print(f"  a room in {stay.town} is reserved as {ctx.idempotency_key}")
    return Hotel.BOOKED, ctx.idempotency_key


@reserve.compensate
async def free(reservation: str) -> None:
    """Give the room back."""
    print(f"  the room {reservation} is given back")


trip = Workflow(Trip, initial=Trip.FLY, exits=[Trip.DONE], data=Plan, name="trip")


@trip.compensatable(Trip.FLY)
async def fly(plan: Plan, ctx: RunContext) -> tuple[Literal[Trip.STAY], str]:
    """Take a seat."""
    plan.spent += 200
    print(f"  a seat to {plan.town} is taken as {ctx.idempotency_key}")
    return Trip.STAY, ctx.idempotency_key


@fly.compensate
async def stay_home(seat: str) -> None:
    """Give the seat back."""
    print(f"  the seat {seat} is given back")


def ask_for(plan: Plan) -> Stay:
    """What the hotel needs to know."""
    return Stay(plan.town, plan.nights)


def take_over(stay: Stay, plan: Plan) -> None:
    """What the traveller needs to know."""
    plan.spent += stay.price
    plan.bed = "a room" if stay.price else "none"


trip.register_child(Trip.STAY, hotel, {Hotel.BOOKED: Trip.PAY, Hotel.FULL: Trip.CAMP}, data=ask_for, result=take_over)


@trip.task(Trip.CAMP)
async def camp(plan: Plan) -> Literal[Trip.PAY]:
    """Better than nothing."""
    plan.bed = "a tent"
    return Trip.PAY


@trip.task(Trip.PAY, retry=Retry.none())
async def pay(plan: Plan) -> Literal[Trip.DONE]:
    """Pay for all of it, or for nothing."""
    if plan.spent > plan.purse:
        raise EmptyPurse(f"{plan.spent} is more than {plan.purse}")
    return Trip.DONE


async def travel() -> None:
    """One trip that goes well, one that makes do, and one that comes to nothing."""
    for plan in (Plan("Oslo", 3, 700), Plan("Bergen", 2, 700), Plan("Tromsø", 2, 700)):
        print(f"{plan.town}:")
        try:
            result = await trip.run(plan, run_id=f"to-{plan.town}")
        except EmptyPurse as error:
            context = failure_context(error)
            undone = [] if context is None or context.rollback is None else context.rollback.undone
            print(f"  no trip, {error}; undone: {', '.join(state.name for state, _ in undone)}")
        else:
            print(f"  {result.data.bed} for {result.data.nights} nights, {result.data.spent} in all")


def main() -> None:
    """Show what there is to do, and do it."""
    print(f"{trip:ascii}\n")
    trio.run(travel)


if __name__ == "__main__":
    main()
