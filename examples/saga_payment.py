"""An order as a saga: goods are put aside, money is taken, a courier is called; when one fails, all before it is undone.

Four orders: one that goes through; one for which there is no courier, and whose refund succeeds at the second attempt only;
one whose payment is in doubt, because the bank has taken the money and not answered; and one that the customer cancels just
while the bank is at work, which is waited for, so that nothing is lost. The clock is a virtual one.

Run it: python examples/saga_payment.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    Event,
    Resources,
    Retry,
    RetryScheduled,
    Run,
    RunCancelled,
    RunContext,
    Workflow,
    failure_context,
)


class Step(Enum):
    """Where an order stands."""

    RESERVE = auto()
    CHARGE = auto()
    SHIP = auto()
    SHIPPED = auto()


@dataclass
class Order:
    """What is ordered, by whom, and where it goes."""

    sku: str
    count: int
    customer: str
    place: str = "Bergen"


@dataclass
class Reservation:
    """The receipt of goods that are put aside."""

    sku: str
    count: int


@dataclass
class Charge:
    """The receipt of money that is taken."""

    customer: str
    amount: int


class NoCourier(Exception):
    """Nobody goes there."""


@dataclass
class Warehouse:
    """What is in stock."""

    stock: dict[str, int] = field(default_factory=lambda: {"W-7": 5})

    def move(self, sku: str, count: int) -> None:
        """Put goods back, or take them out."""
        self.stock[sku] += count


@dataclass
class Bank:
    """Takes money once for each key, in a second; `mood` is what goes wrong next."""

    accounts: dict[str, int] = field(default_factory=lambda: {"Ada": 100})
    charges: dict[str, Charge] = field(default_factory=dict)
    mood: str = ""

    async def charge(self, key: str, charge: Charge) -> None:
        """Take the money; the answer may never come."""
        await trio.sleep(1)
        self.accounts[charge.customer] -= charge.amount
        self.charges[key] = charge
        if self.mood == "hangs":
            self.mood = ""
            await trio.sleep_forever()

    async def refund(self, charge: Charge) -> None:
        """Give the money back."""
        await trio.sleep(1)
        if self.mood == "busy":
            self.mood = ""
            raise ConnectionError("the bank was busy")
        self.accounts[charge.customer] += charge.amount


workflow = Workflow(Step, initial=Step.RESERVE, exits=[Step.SHIPPED], data=Order, compensation_timeout=60)


@workflow.compensatable(Step.RESERVE)
async def reserve(order: Order, warehouse: Warehouse) -> tuple[Literal[Step.CHARGE], Reservation]:
    """Put the goods aside."""
    warehouse.move(order.sku, -order.count)
    print(f"  RESERVE: {order.count} of {order.sku} put aside")
    return Step.CHARGE, Reservation(order.sku, order.count)


@reserve.compensate
async def put_back(reservation: Reservation, warehouse: Warehouse) -> None:
    """Put them back."""
    warehouse.move(reservation.sku, reservation.count)
    print(f"  undo RESERVE: {reservation.count} of {reservation.sku} put back")


@workflow.compensatable(Step.CHARGE, attempt_timeout=5, retry=Retry.none(), compensate_retry=Retry.fixed(3, delay=0.5))
async def charge(order: Order, bank: Bank, ctx: RunContext) -> tuple[Literal[Step.SHIP], Charge]:
    """Take the money; the key lets the bank, and us, tell whether it was taken."""
    money = Charge(order.customer, order.count * 30)
    await bank.charge(ctx.idempotency_key, money)
    print(f"  CHARGE: {money.amount} taken from {money.customer}")
    return Step.SHIP, money


@charge.compensate
async def refund(money: Charge, bank: Bank) -> None:
    """Give it back."""
    await bank.refund(money)
    print(f"  undo CHARGE: {money.amount} given back to {money.customer}")


@charge.compensate_in_doubt
async def refund_if_charged(bank: Bank, ctx: RunContext) -> None:
    """Nobody has the receipt: ask the bank for what it knows by the key of the payment."""
    if money := bank.charges.get(ctx.forward_key or ""):
        await bank.refund(money)
        print(
            f"  undo CHARGE: looked up {ctx.forward_key}: it was charged; {money.amount} given back to {money.customer}"
        )


@workflow.task(Step.SHIP, retry=Retry.none())
async def ship(order: Order) -> Literal[Step.SHIPPED]:
    """Call a courier."""
    if order.place == "the moon":
        raise NoCourier(f"nobody drives to {order.place}")
    print("  SHIP: sent as N-1")
    return Step.SHIPPED


class Teller:
    """Tells of what is tried again."""

    def on_event(self, event: Event, /) -> None:
        """Only refunds are, here."""
        if isinstance(event, RetryScheduled):
            print(f"  the refund failed, because {event.error}; again in {event.delay} s")


async def follow(
    order: Order,
    run_id: str,
    shop: Resources,
    task_status: trio.TaskStatus[Run[Step, Order]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Follow one order to its end, and print what came of it."""
    try:
        result = await workflow.run(order, run_id=run_id, resources=shop, observers=[Teller()], task_status=task_status)
    except (NoCourier, AttemptTimeout, RunCancelled) as error:
        print(f"  -> {type(error).__name__}: {error}")
        if context := failure_context(error):
            print(f"     {str(context.rollback).removeprefix('cano_trio: ')}")
    else:
        print(f"  -> {result.state.name}")


async def serve() -> None:
    """Take four orders, one after the other."""
    warehouse, bank = Warehouse(), Bank()
    shop = Resources(warehouse=warehouse, bank=bank)

    def count() -> None:
        print(f"     in stock: {warehouse.stock['W-7']}, Ada has {bank.accounts['Ada']}\n")

    print("A-1 with a courier:")
    await follow(Order("W-7", 2, "Ada"), "a-1", shop)
    count()

    print("B-2 without one:")
    bank.mood = "busy"
    await follow(Order("W-7", 1, "Ada", "the moon"), "b-2", shop)
    count()

    print("C-3, and the bank hangs up:")
    bank.mood = "hangs"
    await follow(Order("W-7", 1, "Ada"), "c-3", shop)
    count()

    print("D-4, cancelled while the bank is at work:")
    async with trio.open_nursery() as nursery:
        run: Run[Step, Order] = await nursery.start(follow, Order("W-7", 1, "Ada"), "d-4", shop)
        await trio.sleep(0.5)
        run.cancel("the customer has changed her mind")
    count()


def main() -> None:
    """Serve in virtual time."""
    trio.run(serve, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
