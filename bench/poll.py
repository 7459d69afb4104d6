"""One look of a poll that asks again at once, and the loop that one would write by hand for it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Literal

from trio.lowlevel import checkpoint

from cano_trio import Pending, Workflow

from .measure import Case, in_trio

LOOKS = 5_000
BARE = "poll look: bare loop"


class Step(Enum):
    """The states."""

    LOOK = auto()
    DONE = auto()


class Parcel:
    """Is there after so many looks."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> Literal[Step.DONE] | Pending:
        """Look once; not there is to be asked again at once."""
        self.looks -= 1
        return Step.DONE if self.looks <= 0 else Pending(delay=0)


def cases() -> Sequence[Case]:
    """A poll beside a loop that passes through trio's scheduler after each look, as a poll does."""
    parcel = Parcel()
    workflow: Workflow[Step] = Workflow(Step, initial=Step.LOOK, exits=[Step.DONE])
    workflow.poll(Step.LOOK)(parcel.look)

    async def bare(times: int) -> None:
        parcel.looks = times
        while await parcel.look() is not Step.DONE:
            await checkpoint()

    async def poll(times: int) -> None:
        parcel.looks = times
        await workflow.orchestrate()

    return [
        Case(name=BARE, clocked=in_trio(bare), times=LOOKS),
        Case(name="poll look: workflow", clocked=in_trio(poll), times=LOOKS, baseline=BARE, reach_ratio=1.5),
    ]
