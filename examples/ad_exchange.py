"""An ad exchange: a page is waiting, so each of three splits has a budget of milliseconds.

1. The context of the request: of three look-ups, whatever is there after 30 ms.
2. The auction: a branch for each bidder that fits, chosen while the workflow runs; bids count if they come within 80 ms.
3. The winner is told and the bill is written; both must succeed.

The milliseconds are virtual.

    python examples/ad_exchange.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import attrs
import trio
from trio.testing import MockClock

from cano_trio import BranchResults, JoinRule, Resources, Retry, Split, SplitFailed, TaskConfig, Workflow


class Step(Enum):
    """From a request to an ad."""

    LOOK_UP = auto()
    PROFILE = auto()
    AUCTION = auto()
    CHOOSE = auto()
    SETTLE = auto()
    SHOWN = auto()
    NO_AD = auto()


@dataclass
class Request:
    """What is known of a page view."""

    user: str
    facts: dict[str, str] = field(default_factory=dict)
    winner: str = ""
    price: float = 0.0


@attrs.frozen
class Bidder:
    """A bidder: whom it wants to reach, what it pays, and how long it thinks."""

    name: str
    wants: str
    pays: float
    seconds: float


class Market:
    """All bidders, and the ledger."""

    def __init__(self, *bidders: Bidder) -> None:
        self.bidders = {bidder.name: bidder for bidder in bidders}
        self.ledger: list[str] = []


workflow = Workflow(
    Step,
    initial=Step.LOOK_UP,
    exits=[Step.SHOWN, Step.NO_AD],
    name="ad exchange",
    data=Request,
    defaults=TaskConfig(retry=Retry.none()),
)


async def place(request: Request) -> str:
    """Where the user is."""
    await trio.sleep(0.005)
    return "Reykjavik" if request.user == "anna" else "Porto"


async def interests(request: Request) -> str:
    """What the user likes."""
    await trio.sleep(0.020)
    return "sailing" if request.user == "anna" else "chess"


async def history() -> str:
    """What the user has bought: from a slow archive."""
    await trio.sleep(0.200)
    return "a compass"


workflow.register_split(
    Step.LOOK_UP,
    Split.by_deadline({"place": place, "interests": interests, "history": history}, Step.PROFILE, timeout=0.030),
)


@workflow.task(Step.PROFILE)
async def profile(request: Request, facts: BranchResults[str]) -> Literal[Step.AUCTION]:
    """Keep what was found in time."""
    request.facts = facts.successes
    print(f"    knows {', '.join(request.facts)}; too late: {', '.join(facts.missing)}")
    return Step.AUCTION


@workflow.branch
async def bid(name: str, market: Market) -> float:
    """Ask one bidder."""
    bidder = market.bidders[name]
    await trio.sleep(bidder.seconds)
    return bidder.pays


@workflow.split(Step.AUCTION, on_error={SplitFailed: Step.NO_AD})
async def auction(request: Request, market: Market) -> Split[Literal[Step.CHOOSE]]:
    """Invite those who want to reach this user."""
    fitting = {name: name for name, bidder in market.bidders.items() if bidder.wants in request.facts.values()}
    print(f"    invites {', '.join(fitting) or 'nobody'}")
    return Split.over(bid, fitting, Step.CHOOSE, rule=JoinRule.quorum(1, collect=True), timeout=0.080)


@workflow.task(Step.CHOOSE)
async def choose(request: Request, bids: BranchResults[float]) -> Literal[Step.SETTLE]:
    """The highest bid wins, and pays what the second offered."""
    ranking = sorted(bids.successes.items(), key=lambda bid: bid[1], reverse=True)
    request.winner = ranking[0][0]
    request.price = ranking[min(1, len(ranking) - 1)][1]
    print(f"    bids {dict(ranking)}; too late: {', '.join(bids.missing) or 'nobody'}")
    return Step.SETTLE


async def tell(request: Request, market: Market) -> None:
    """Tell the winner."""
    await trio.sleep(0.010)
    market.ledger.append(f"{request.winner} was told")


async def bill(request: Request, market: Market) -> None:
    """Write the bill."""
    await trio.sleep(0.015)
    market.ledger.append(f"{request.winner} owes {request.price:.2f}")


workflow.register_split(Step.SETTLE, Split.all([tell, bill], Step.SHOWN, timeout=0.050))


async def serve() -> None:
    """Serve two page views."""
    market = Market(
        Bidder("Harbour", wants="sailing", pays=2.40, seconds=0.030),
        Bidder("Ropes", wants="sailing", pays=3.10, seconds=0.045),
        Bidder("Yachts", wants="sailing", pays=9.99, seconds=0.300),
        Bidder("Glacier", wants="Reykjavik", pays=1.80, seconds=0.010),
    )
    for user in ("anna", "rui"):
        print(f"{user}:")
        result = await workflow.run(Request(user), resources=Resources(market=market))
        print(f"    {result.state.name} after {1000 * result.elapsed:.0f} ms")
    print("; ".join(market.ledger))


def main() -> None:
    """Serve in virtual time."""
    trio.run(serve, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
