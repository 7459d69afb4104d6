"""A parcel on its way: look where it is, less and less often, until it has arrived or the customer is told to wait.

The courier's service drops a call now and then, which is taken for "not there yet", and asks for patience when it is busy;
when the parcel moves, it is looked at closely again. The clock is a virtual one, so the days pass in no time.

Run it: python examples/poll_courier.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import Backoff, Pending, PollTimeout, Resources, Workflow

HOUR = 3600.0


class Step(Enum):
    """Where a parcel stands."""

    UNDERWAY = auto()
    ARRIVED = auto()
    OVERDUE = auto()


@dataclass
class Parcel:
    """A parcel, and who took it in."""

    number: str
    taken_in_by: str = ""


class Busy(ConnectionError):
    """The courier's service asks to be left alone for a while."""

    retry_after = 5 * HOUR


@dataclass
class Courier:
    """Says each time where the parcel is, then always the same; an error is raised."""

    answers: Iterator[str | Exception]
    place: str = "in the shop"

    async def where(self, number: str) -> str:
        """Ask for a parcel."""
        answer = next(self.answers, self.place)
        print(f"  {number} after {trio.current_time() / HOUR:5.1f} h: {answer!r}")
        if isinstance(answer, Exception):
            raise answer
        return answer


workflow = Workflow(Step, initial=Step.UNDERWAY, exits=[Step.ARRIVED, Step.OVERDUE], data=Parcel)


@workflow.poll(
    Step.UNDERWAY,
    backoff=Backoff(base=HOUR, maximum=12 * HOUR, jitter=0),
    max_errors=2,
    error_backoff=Backoff(base=HOUR / 2, jitter=0, maximum=HOUR),
    attempt_timeout=72 * HOUR,
    on_error={PollTimeout: Step.OVERDUE},
)
async def watch(parcel: Parcel, courier: Courier) -> Literal[Step.ARRIVED] | Pending:
    """Look where it is; a move begins the backoff anew."""
    place = await courier.where(parcel.number)
    if place.startswith("taken in by "):
        parcel.taken_in_by = place.removeprefix("taken in by ")
        return Step.ARRIVED
    moved = place != courier.place
    courier.place = place
    return Pending(reset=moved)


async def follow(number: str, answers: list[str | Exception]) -> None:
    """Follow one parcel to its end."""
    result = await workflow.run(Parcel(number), resources=Resources(courier=Courier(iter(answers))))
    by = f", taken in by {result.data.taken_in_by}" if result.data.taken_in_by else ""
    print(f"{number}: {result.state.name} after {result.elapsed / HOUR / 24:.1f} days{by}\n")


def main() -> None:
    """One parcel that arrives, and one that does not."""
    parcels: dict[str, list[str | Exception]] = {
        "N-17": [
            "in the shop", "in the shop", ConnectionError("reset"), Busy(), "in Bergen", "in Bergen",
            "taken in by the neighbour",
        ],
        "N-18": ["in the shop", "lost in Oslo"],
    }  # fmt: skip
    for number, answers in parcels.items():
        trio.run(follow, number, answers, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
