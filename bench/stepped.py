"""One step of stepped work that does nothing but count, without and with data, and the loop one would write by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from msgspec.json import decode, encode
from trio.lowlevel import checkpoint, checkpoint_if_cancelled, current_clock

from cano_trio import More, Workflow

from .measure import Case, in_trio

STEPS = 10_000
BARE = "stepped step: bare loop"


class Step(Enum):
    """The states."""

    COUNT = auto()
    DONE = auto()


@dataclass
class Total:
    """What the steps add up."""

    steps: int = 0


def cases() -> Sequence[Case]:
    """Stepped work beside a loop that writes its cursor down after each step, and is as fair to others."""
    last = 0

    async def count(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        at = (cursor or 0) + 1
        return More(at) if at < last else Step.DONE

    async def count_up(cursor: int | None, total: Total) -> More[int] | Literal[Step.DONE]:
        total.steps += 1
        return await count(cursor)

    workflow: Workflow[Step] = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE])
    workflow.stepped(Step.COUNT)(count)
    with_data = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE], data=Total)
    with_data.stepped(Step.COUNT)(count_up)

    async def bare(times: int) -> None:
        nonlocal last
        last = times
        clock = current_clock().current_time
        cursor = b"null"
        pass_at = 0.0
        steps = 0
        while isinstance(result := await count(decode(cursor)), More):
            cursor = encode(result.cursor)
            steps += 1
            if steps % 64 and clock() < pass_at:
                await checkpoint_if_cancelled()
            else:
                await checkpoint()
                pass_at = clock() + 0.001

    async def stepped(times: int) -> None:
        nonlocal last
        last = times
        await workflow.orchestrate()

    async def stepped_with_data(times: int) -> None:
        nonlocal last
        last = times
        await with_data.run(Total())

    return [
        Case(name=BARE, clocked=in_trio(bare), times=STEPS),
        Case(name="stepped step: workflow", clocked=in_trio(stepped), times=STEPS, baseline=BARE, reach_added=2.5),
        Case(name="stepped step: workflow with data", clocked=in_trio(stepped_with_data), times=STEPS, baseline=BARE),
    ]
