"""A day in a bakery: every model there is, in one workflow, each for what it is good for.

A task, a batch, stepped work, a timer, a poll, a split, a router, a child workflow, a stream, a compensatable, and a receive
whose message comes from outside. An observer tells what goes on, as it goes on.

    python examples/bakery.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Literal

import trio

from cano_trio import (
    BatchResults,
    BranchResults,
    CloseReason,
    Event,
    More,
    Pending,
    Progress,
    Resources,
    Retry,
    Run,
    RunContext,
    Split,
    StateEntered,
    Waiting,
    Window,
    Workflow,
)


class Cake(Enum):
    """Where the cake stands."""

    COVER = auto()
    WRITE = auto()
    FINE = auto()


class Day(Enum):
    """Where the day stands."""

    UNLOCK = auto()
    WEIGH = auto()
    KNEAD = auto()
    RISE = auto()
    HEAT = auto()
    BAKE = auto()
    CHOOSE = auto()
    DECORATE = auto()
    SELL = auto()
    BANK = auto()
    CLOSE = auto()
    CLOSED = auto()
    ROBBED = auto()


@dataclass
class Books:
    """What is written down during the day."""

    weighed: dict[str, int] = field(default_factory=dict[str, int])
    folds: int = 0
    cake: str = ""
    wish: str = "happy birthday"
    takings: int = 0


@dataclass(frozen=True)
class LightsOut:
    """Somebody says that it is enough for today."""

    by: str


class Thermometer:
    """Rises while one looks."""

    def __init__(self) -> None:
        self.degrees = 180

    def read(self) -> int:
        """Degrees."""
        self.degrees += 20
        return self.degrees


cake = Workflow(Cake, initial=Cake.COVER, exits=[Cake.FINE], data=Books, name="cake")


@cake.task(Cake.COVER)
async def cover(books: Books) -> Literal[Cake.WRITE]:
    """Cover it with chocolate."""
    books.cake = "a chocolate cake"
    return Cake.WRITE


@cake.task(Cake.WRITE)
async def write(books: Books) -> Literal[Cake.FINE]:
    """Write on it what was wished for."""
    books.cake += f" saying {books.wish!r}"
    return Cake.FINE


day = Workflow(Day, initial=Day.UNLOCK, exits=[Day.CLOSED, Day.ROBBED], data=Books, name="bakery")


@day.task(Day.UNLOCK)
async def unlock() -> Literal[Day.WEIGH]:
    """A task: it does one thing, and names the next."""
    return Day.WEIGH


@day.batch(Day.WEIGH, concurrency=3, item_retry=Retry.fixed(1, delay=0.01))
async def weigh(part: str) -> int:
    """A batch: the same for many items, several at once."""
    await trio.sleep(0.02)
    return len(part) * 100


@weigh.load
async def recipe() -> list[str]:
    """What has to be weighed."""
    return ["flour", "water", "salt", "yeast", "patience"]


@weigh.finish
async def mix(weighed: BatchResults[str, int], books: Books) -> Literal[Day.KNEAD]:
    """All is weighed."""
    books.weighed = {result.item: result.outcome.unwrap() for result in weighed}
    return Day.KNEAD


@day.stepped(Day.KNEAD)
async def knead(folds: int | None, books: Books, ctx: RunContext) -> More[int] | Literal[Day.RISE]:
    """Stepped work: a cursor says how far it is, and it goes on from there."""
    books.folds += 1
    ctx.progress(books.folds, 4)
    return More((folds or 0) + 1) if books.folds < 4 else Day.RISE


@day.timer(Day.RISE)
async def rise() -> float:
    """A timer: nothing to do for a while."""
    return 0.1


@rise.after_wait
async def risen() -> Literal[Day.HEAT]:
    """It has doubled."""
    return Day.HEAT


@day.poll(Day.HEAT)
async def heat(oven: Thermometer) -> Literal[Day.BAKE] | Pending:
    """A poll: look now and then, until it is so."""
    return Day.BAKE if oven.read() >= 240 else Pending(delay=0.03)


async def bread() -> str:
    """In the first oven."""
    await trio.sleep(0.05)
    return "bread"


async def birthday_cake() -> str:
    """In the second."""
    await trio.sleep(0.08)
    return "cake"


@day.branch(retry=Retry.none())
async def rolls() -> str:
    """In the third, forgotten."""
    await trio.sleep(0.01)
    raise ValueError("rolls are charcoal")


# A split: several things at once, and a rule for when that is enough.
day.register_split(Day.BAKE, Split.quorum([bread, birthday_cake, rolls], 2, Day.CHOOSE, collect=True))


@day.router(Day.CHOOSE)
async def choose(baked: BranchResults[str]) -> Literal[Day.DECORATE, Day.SELL]:
    """A router: it only looks, and decides."""
    print(f"          baked {', '.join(baked.successes.values())}; {', '.join(map(str, baked.failures.values()))}")
    return Day.DECORATE if "cake" in baked.successes.values() else Day.SELL


# A child: another workflow does the work of a state, here with the same data.
day.register_child(Day.DECORATE, cake, {Cake.FINE: Day.SELL})


@day.stream(Day.SELL, window=Window(count=3, seconds=0.2))
async def sell(customer: int) -> tuple[int, int]:
    """A stream: one after the other, as they come, and the till is counted every now and then."""
    return 3 + customer % 2, customer


@sell.open
async def door(last: int | None) -> AsyncIterator[int]:
    """Customers come in."""
    for customer in range((last or 0) + 1, 8):
        await trio.sleep(0.01)
        yield customer


@sell.flush_window
async def count_till(coins: list[int], books: Books) -> None:
    """Count the till."""
    books.takings += sum(coins)
    print(f"          {len(coins)} more served, {books.takings} in the till")


@sell.on_close
async def last_customer(reason: CloseReason) -> Literal[Day.BANK]:
    """Nobody else is waiting."""
    print(f"          the door: {reason.value}")
    return Day.BANK


@day.compensatable(Day.BANK)
async def bank(books: Books, ctx: RunContext) -> tuple[Literal[Day.CLOSE], str]:
    """A compensatable: should all come to nothing, it can be undone."""
    return Day.CLOSE, f"{books.takings} as {ctx.idempotency_key}"


@bank.compensate
async def fetch_back(slip: str) -> None:
    """Get the money back."""
    print(f"          {slip} fetched back")


@day.receive(Day.CLOSE, timeout=1)
async def close(message: LightsOut, books: Books) -> Literal[Day.CLOSED]:
    """A receive: it waits for a message, that comes from outside."""
    print(f"          {message.by} puts the lights out; sold was {books.cake}, {books.takings} are in the bank")
    return Day.CLOSED


@close.on_timeout
async def nobody() -> Literal[Day.ROBBED]:
    """Nobody has said anything."""
    return Day.ROBBED


class Diary:
    """An observer that writes down what goes on."""

    def on_event(self, event: Event) -> None:
        """Write it down."""
        match event:
            case StateEntered():
                print(f"{event.workflow:>7}   {event.state.name}")
            case Waiting(seconds=None):
                print(f"          waits for {event.reason}")
            case Waiting():
                print(f"          waits {event.seconds:.2f} s: {event.reason}")
            case Progress():
                print(f"          {event.done} of {event.total}")
            case _:
                pass


async def open_shop() -> None:
    """Run the day, and put the lights out in the end."""
    resources = Resources(oven=Thermometer())
    async with trio.open_nursery() as nursery:
        run: Run[Day, Books] = await nursery.start(
            partial(day.run, Books(), run_id="monday", resources=resources, observers=[Diary()])
        )
        await run.send(LightsOut("the apprentice"))  # it may come long before somebody waits for it
    print(f"the day ended {run.state.name}")


def main() -> None:
    """One day."""
    trio.run(open_shop)


if __name__ == "__main__":
    main()
