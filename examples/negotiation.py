"""Two runs haggle over a price by messages: each waits in one state, again and again, for what the other offers."""

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

import trio

from cano_trio import Resources, Run, RunContext, Workflow


class Step(Enum):
    """Where a negotiation stands."""

    LISTEN = auto()
    AGREED = auto()
    BROKEN_OFF = auto()


@dataclass(frozen=True)
class Offer:
    """A price that the other may take."""

    price: int


@dataclass(frozen=True)
class Deal:
    """The other takes it."""

    price: int


@dataclass
class Position:
    """What one wants, the most that one gives in, and how much each time."""

    name: str
    wants: int
    limit: int
    step: int

    def accepts(self, price: int) -> bool:
        """Whether a price is as good as what one would say next."""
        return price >= self.wants if self.step < 0 else price <= self.wants

    def give_way(self) -> bool:
        """Want less; False if there is nothing more to give."""
        self.wants += self.step
        return self.wants >= self.limit if self.step < 0 else self.wants <= self.limit


class Line:
    """To the other side."""

    def __init__(self) -> None:
        self.other: Run[Step, Position] | None = None

    def say(self, message: Offer | Deal) -> None:
        """Send it; whoever has hung up does not hear it."""
        if self.other is not None:
            self.other.send_nowait(message)


workflow = Workflow(Step, initial=Step.LISTEN, exits=[Step.AGREED, Step.BROKEN_OFF], data=Position)


@workflow.receive(Step.LISTEN, timeout=0.2)
async def listen(
    message: Offer | Deal, mine: Position, line: Line, ctx: RunContext
) -> Literal[Step.LISTEN, Step.AGREED, Step.BROKEN_OFF]:
    """Take what is offered, or offer something else."""
    if isinstance(message, Deal):
        return Step.AGREED
    if mine.accepts(message.price):
        print(f"round {ctx.visit}: {mine.name} takes {message.price}")
        line.say(Deal(message.price))
        return Step.AGREED
    if not mine.give_way():
        print(f"round {ctx.visit}: {mine.name} hangs up at {message.price}")
        return Step.BROKEN_OFF
    print(f"round {ctx.visit}: {mine.name} is offered {message.price}, and says {mine.wants}")
    line.say(Offer(mine.wants))
    return Step.LISTEN


@listen.on_timeout
async def silence(mine: Position) -> Literal[Step.BROKEN_OFF]:
    """The other says nothing more."""
    print(f"{mine.name} hears nothing more")
    return Step.BROKEN_OFF


async def haggle(seller: Position, buyer: Position) -> None:
    """Let the two talk; the buyer begins."""
    lines = Line(), Line()
    async with trio.open_nursery() as nursery:
        runs: list[Run[Step, Position]] = [
            await nursery.start(partial(workflow.run, run_id=who.name, resources=Resources(line=line)), who)
            for who, line in zip((seller, buyer), lines, strict=True)
        ]
        lines[0].other, lines[1].other = runs[1], runs[0]
        await runs[0].send(Offer(buyer.wants))
    print(*runs)


def main() -> None:
    """One negotiation that comes to a deal, one that does not."""
    trio.run(haggle, Position("Ada", 100, 60, -10), Position("Bo", 40, 80, +10))
    print()
    trio.run(haggle, Position("Cy", 100, 90, -10), Position("Di", 40, 60, +10))


if __name__ == "__main__":
    main()
