"""Orders above a limit wait for somebody's approval; who does not hear of it in time is told no."""

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

import trio

from cano_trio import MessageRejected, Run, Workflow

PATIENCE = 0.3
"""Seconds; in earnest it would be days."""


class Step(Enum):
    """Where an order stands."""

    CHECK = auto()
    AWAIT_APPROVAL = auto()
    SHIP = auto()
    SHIPPED = auto()
    DECLINED = auto()


@dataclass
class Order:
    """What is ordered, and what came of it."""

    sku: str
    amount: int
    note: str = "below the limit"


@dataclass(frozen=True)
class Approved:
    """Somebody says yes."""

    by: str


@dataclass(frozen=True)
class Rejected:
    """Somebody says no."""

    by: str
    why: str


workflow = Workflow(Step, initial=Step.CHECK, exits=[Step.SHIPPED, Step.DECLINED], data=Order)


@workflow.router(Step.CHECK)
async def check(order: Order) -> Literal[Step.AWAIT_APPROVAL, Step.SHIP]:
    """Small orders need nobody."""
    return Step.AWAIT_APPROVAL if order.amount > 100 else Step.SHIP


@workflow.receive(Step.AWAIT_APPROVAL, timeout=PATIENCE)
async def approve(answer: Approved | Rejected, order: Order) -> Literal[Step.SHIP, Step.DECLINED]:
    """Somebody has answered."""
    match answer:
        case Approved(by):
            order.note = f"approved by {by}"
            return Step.SHIP
        case Rejected(by, why):
            order.note = f"{by} says {why}"
            return Step.DECLINED


@approve.on_timeout
async def nobody_answered(order: Order) -> Literal[Step.DECLINED]:
    """Nobody has."""
    order.note = "nobody answered"
    return Step.DECLINED


@workflow.task(Step.SHIP)
async def ship() -> Literal[Step.SHIPPED]:
    """Send it off."""
    return Step.SHIPPED


async def process(
    order: Order, run_id: str, *, task_status: trio.TaskStatus[Run[Step, Order]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run one order, and say what came of it."""
    result = await workflow.run(order, run_id=run_id, task_status=task_status)
    print(f"{result.run_id}: {result.state.name:9} {result.data.sku}, {result.data.note}")


async def shop() -> None:
    """Four orders at once, and those who answer."""
    orders = [Order("cup", 8), Order("oven", 900), Order("yacht", 90_000), Order("sofa", 700)]
    async with trio.open_nursery() as nursery:
        runs: list[Run[Step, Order]] = [
            await nursery.start(partial(process, order, f"order-{number}")) for number, order in enumerate(orders, 1)
        ]
        await trio.sleep(0.05)
        print(*runs, sep="\n")
        _, oven, yacht, _ = runs
        for _ in range(2):  # the mail comes twice
            print("Mo's mail is news:", oven.send_nowait(Approved(by="Mo"), key="mail 17"))
        try:
            await yacht.send("yes, please")
        except MessageRejected as error:
            print(error)
        await trio.sleep(0.05)
        await yacht.send(Rejected(by="Jo", why="it is too dear"))


def main() -> None:
    """Open the shop for a moment."""
    trio.run(shop)


if __name__ == "__main__":
    main()
