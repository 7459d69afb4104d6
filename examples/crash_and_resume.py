"""A process that is killed in the middle of an order, and another one that goes on with it.

The first process runs an order on a journal, which is a SQLite file. It is killed with SIGKILL at the worst moment: the
bank has taken the money, and nobody has written that down. The second process reads the journal and resumes the order: what
was finished does not run again; the charge does, with the idempotency key it had, by which the bank knows that it has taken
the money already.

Run it: python examples/crash_and_resume.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import trio

from cano_trio import Resources, RunContext, Workflow
from cano_trio.journals import SqliteJournal


class Step(Enum):
    """Where an order stands."""

    PRICE = auto()
    CHARGE = auto()
    SHIP = auto()
    SHIPPED = auto()


@dataclass
class Order:
    """What is ordered, and what is known of it so far."""

    cups: int
    price: int = 0
    parcel: str = ""


class Bank:
    """A bank, which outlives our processes. It keeps its books in a file, and looks up a key before it takes money.

    Args:
        books: the file.
        deadly: it kills the process that has just paid.
    """

    def __init__(self, books: Path, *, deadly: bool = False) -> None:
        self.books = books
        self.deadly = deadly

    def charge(self, key: str, amount: int) -> str:
        """Take money, once for a key."""
        if self.books.exists() and key in self.books.read_text().split():
            return "was taken before"
        with self.books.open("a") as books:
            books.write(f"{key} {amount}\n")
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return "is taken"


workflow = Workflow(Step, initial=Step.PRICE, exits=[Step.SHIPPED], name="order", data=Order)


@workflow.task(Step.PRICE)
async def find_price(order: Order, ctx: RunContext) -> Literal[Step.CHARGE]:
    """Find out what it costs."""
    order.price = 12 * order.cups
    print(f"  {ctx.idempotency_key} PRICE: {order.price} for {order.cups} cups")
    return Step.CHARGE


@workflow.task(Step.CHARGE)
async def charge(order: Order, bank: Bank, ctx: RunContext) -> Literal[Step.SHIP]:
    """Take the money."""
    print(f"  {ctx.idempotency_key} CHARGE: {'once more' if ctx.rerun else 'for the first time'}")
    print(f"  {ctx.idempotency_key} CHARGE: {order.price} {bank.charge(ctx.idempotency_key, order.price)}")
    return Step.SHIP


@workflow.task(Step.SHIP)
async def ship(order: Order, ctx: RunContext) -> Literal[Step.SHIPPED]:
    """Send the parcel."""
    order.parcel = f"N-{order.cups}"
    print(f"  {ctx.idempotency_key} SHIP: sent as {order.parcel}")
    return Step.SHIPPED


async def order(folder: Path) -> None:
    """Take an order; the bank will kill us."""
    bank = Bank(folder / "bank.txt", deadly=True)
    journal = SqliteJournal(folder / "orders.db")
    await workflow.run(Order(cups=3), run_id="order-7", journal=journal, resources=Resources(bank=bank))


async def show(journal: SqliteJournal) -> None:
    """Print what the journal holds."""
    for run in await journal.runs():
        print(f"  {run.run_id} is {run.position.status.value} in {run.position.state}")
        for row in await journal.history(run.run_id):
            data = f"with {row.data.decode()}" if row.data else "and left the data alone"
            print(f"    {row.state} is finished, {data}")


async def go_on(folder: Path) -> None:
    """Read what the other process has left, and resume its order."""
    bank = Bank(folder / "bank.txt")
    async with SqliteJournal(folder / "orders.db") as journal:
        print("The journal:")
        await show(journal)
        print("Resumed:")
        result = await workflow.resume("order-7", journal=journal, resources=Resources(bank=bank))
        print(f"  {result.state.name}: {result.data}")
        print("The journal:")
        await show(journal)
    print(f"The bank's books: {bank.books.read_text().strip()}")


def main() -> None:
    """Be killed as one process, and go on as another."""
    with tempfile.TemporaryDirectory() as folder:
        print("A first process:", flush=True)
        # Unbuffered: what is killed flushes nothing.
        first = subprocess.run([sys.executable, "-u", __file__, folder], check=False)  # noqa: S603
        print(f"  ended by {signal.Signals(-first.returncode).name}")
        trio.run(go_on, Path(folder))


if __name__ == "__main__":
    if sys.argv[1:]:
        trio.run(order, Path(sys.argv[1]))
    else:
        main()
