"""The README's first example: an order is charged and shipped, or declined; its data go with it."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Resources, Retry, RunContext, Workflow


class Step(Enum):
    """Where an order stands."""

    CHARGE = auto()
    SHIP = auto()
    DONE = auto()
    DECLINED = auto()


@dataclass
class Order:
    """What is ordered, and what came of it."""

    sku: str
    amount: int
    receipt: str = ""


class CardDeclined(Exception):
    """The bank says no."""


class Bank:
    """Fails once, as banks do."""

    def __init__(self) -> None:
        self.calls = 0

    async def charge(self, amount: int, key: str) -> str:
        """Take the money, once for each key."""
        self.calls += 1
        if self.calls == 1:
            raise ConnectionError("connection reset")
        if amount > 100:
            raise CardDeclined
        return f"receipt for {key}"


bank = Bank()
workflow = Workflow(
    Step, initial=Step.CHARGE, exits=[Step.DONE, Step.DECLINED], data=Order, resources=Resources(bank=bank)
)


@workflow.task(Step.CHARGE, retry=Retry.exponential(3), attempt_timeout=2, on_error={CardDeclined: Step.DECLINED})
async def charge(order: Order, bank: Bank, ctx: RunContext) -> Literal[Step.SHIP]:
    """Charge it; the key is the same for every attempt."""
    order.receipt = await bank.charge(order.amount, key=ctx.idempotency_key)
    return Step.SHIP


@workflow.task(Step.SHIP)
async def ship(order: Order) -> Literal[Step.DONE]:
    """Send it off."""
    print(f"{order.sku} shipped with a {order.receipt}")
    return Step.DONE


def main() -> None:
    """One order that goes through, one that does not."""
    print(trio.run(workflow.run, Order("W-7", 30)))
    print(trio.run(workflow.run, Order("X-1", 300)).state)


if __name__ == "__main__":
    main()
