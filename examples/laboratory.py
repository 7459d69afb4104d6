"""Three bugs that only show when something goes wrong: each found by one line, and named so that it can be played again.

An order is reserved, priced, charged, packed (two things at once), shipped and confirmed. Its first version

- charges under a key of its own making, so that a crash between the charge and its record charges twice;
- forgets the refund of a charge whose attempt was cut off;
- has two packers append to one list, and takes it that the first of them is done first.

The laboratory runs it under each crash, each cancellation and many orders of tasks. In the mended version it finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import CompensatableTask, Retry, RunContext, TaskConfig, Workflow
from cano_trio.testing import (
    Effects,
    Laboratory,
    Report,
    Scenario,
    ScenarioFailed,
    explore_cancellations,
    explore_crashes,
    explore_schedules,
    replay,
)


class Step(Enum):
    """Where an order stands."""

    RESERVE = auto()
    PRICE = auto()
    CHARGE = auto()
    PACK = auto()
    SHIP = auto()
    CONFIRM = auto()
    DONE = auto()


@dataclass
class Order:
    """What is ordered, and what becomes of it."""

    item: str = "kettle"
    price: int = 0
    packed: list[str] = field(default_factory=list)


class Reserve(CompensatableTask[Step, str]):
    """Take it from the shelf."""

    async def run(self, order: Order, ctx: RunContext, effects: Effects) -> tuple[Literal[Step.PRICE], str]:
        """Once, however often the service is told."""
        effects.record_once("reserve", ctx, item=order.item)
        return Step.PRICE, order.item

    async def compensate(self, item: str, ctx: RunContext, effects: Effects) -> None:
        """Put it back."""
        effects.record_once("return", ctx, item=item)

    async def compensate_in_doubt(self, ctx: RunContext, effects: Effects) -> None:
        """Ask the service what became of it."""
        if effects.has("reserve", ctx.forward_key or ""):
            effects.record_once("return", ctx)


class Charge(CompensatableTask[Step, int]):
    """Take the money, which takes a second."""

    async def run(self, order: Order, ctx: RunContext, effects: Effects) -> tuple[Literal[Step.PACK], int]:
        """Once, however often the service is told."""
        effects.record_once("charge", ctx, amount=order.price)
        await trio.sleep(1)
        return Step.PACK, order.price

    async def compensate(self, amount: int, ctx: RunContext, effects: Effects) -> None:
        """Give it back."""
        effects.record_once("refund", ctx, amount=amount)

    async def compensate_in_doubt(self, ctx: RunContext, effects: Effects) -> None:
        """Ask the service what became of it."""
        if effects.has("charge", ctx.forward_key or ""):
            effects.record_once("refund", ctx)


class ChargeTwice(Charge):
    """The first bug: the key is another one after a crash."""

    async def run(self, order: Order, ctx: RunContext, effects: Effects) -> tuple[Literal[Step.PACK], int]:
        """Once for each of its keys."""
        effects.record_once("charge", ctx, key=f"{ctx.run_id}#{len(effects)}", amount=order.price)
        return Step.PACK, order.price


class ForgetRefund(Charge):
    """The second bug: half a second is too short, and nobody asks what became of an attempt that was cut off."""

    hold = 0.5

    async def compensate_in_doubt(self, ctx: RunContext, effects: Effects) -> None:
        """Take it that nothing was charged."""


async def pack(order: Order) -> Literal[Step.SHIP]:
    """Two packers at once; what they have packed is in the order of the list, whoever was faster."""
    packed = {"kettle": "", "manual": ""}

    async def packer(thing: str) -> None:
        await trio.sleep(1)
        packed[thing] = f"{thing} in paper"

    async with trio.open_nursery() as nursery:
        for thing in packed:
            nursery.start_soon(packer, thing)
    order.packed = list(packed.values())
    return Step.SHIP


async def pack_as_it_comes(order: Order) -> Literal[Step.SHIP]:
    """The third bug: which of them is first, nobody knows."""

    async def packer(thing: str) -> None:
        await trio.sleep(1)
        order.packed.append(f"{thing} in paper")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(packer, "manual")
        nursery.start_soon(packer, "kettle")
    return Step.SHIP


ordering = Workflow(
    Step, initial=Step.RESERVE, exits=[Step.DONE], name="ordering", data=Order, defaults=TaskConfig(retry=Retry.none())
)
ordering.register(Step.RESERVE, Reserve())
ordering.register(Step.CHARGE, Charge())
ordering.register(Step.PACK, pack)


@ordering.task(Step.PRICE)
async def price(order: Order) -> Literal[Step.CHARGE]:
    """Look the price up."""
    order.price = 30
    return Step.CHARGE


@ordering.task(Step.SHIP)
async def ship(order: Order, ctx: RunContext, effects: Effects) -> Literal[Step.CONFIRM]:
    """Send it."""
    effects.record_once("ship", ctx, things=order.packed)
    return Step.CONFIRM


@ordering.task(Step.CONFIRM)
async def confirm(ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
    """Tell the customer."""
    effects.record_once("mail", ctx)
    return Step.DONE


def scenario_of(workflow: Workflow[Step, Order]) -> Scenario:
    """What a client does with a workflow: it orders something, and looks at what came of it."""

    async def scenario(lab: Laboratory) -> Order:
        return (await lab.run(workflow, Order(), run_id="order-1")).data

    return scenario


charges_twice = scenario_of(ordering.with_tasks({Step.CHARGE: ChargeTwice()}))
forgets_refund = scenario_of(ordering.with_tasks({Step.CHARGE: ForgetRefund()}))
packs_as_it_comes = scenario_of(ordering.with_tasks({Step.PACK: pack_as_it_comes}))
mended = scenario_of(ordering)


def charged_once(lab: Laboratory) -> None:
    """However often its process dies, an order is paid for once."""
    lab.effects.of("charge").once()


def given_back(lab: Laboratory) -> None:
    """An order that is cancelled costs nothing, whenever that is."""
    if lab.cancelled:
        lab.effects.balanced("charge", "refund")
        lab.effects.balanced("reserve", "return")


def in_order(lab: Laboratory) -> None:
    """Nothing is sent before it is paid for, and the manual lies on top."""
    lab.effects.in_order("reserve", "charge", "ship", "mail")
    if lab.outcome.packed != ["kettle in paper", "manual in paper"]:
        raise AssertionError(f"packed {lab.outcome.packed}")


LOOKS: tuple[Callable[[], Report], ...] = (
    lambda: explore_crashes(charges_twice, check=charged_once),
    lambda: explore_cancellations(forgets_refund, check=given_back, of="run"),
    lambda: explore_schedules(packs_as_it_comes, check=in_order),
)
"""What finds the three bugs, a line for each."""


def find_bugs() -> Iterator[ScenarioFailed]:
    """The failures that are found."""
    for look in LOOKS:
        try:
            look()
        except ScenarioFailed as failure:
            yield failure


def main() -> None:
    """Find the bugs, play one again, and see that they are mended."""
    first, *others = find_bugs()
    for failure in (first, *others):
        print(f"{failure}\n")
    print("The first one again, with every event:")
    print(replay(charges_twice, first.name, check=charged_once))
    print("\nMended:")
    print("crashes      ", explore_crashes(mended, check=charged_once))
    print("cancellations", explore_cancellations(mended, check=given_back, of="run"))
    print("orders       ", explore_schedules(mended, check=in_order))


if __name__ == "__main__":
    main()
