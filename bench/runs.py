"""Runs of five steps, all at once in one nursery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from .measure import Case, Work, in_trio
from .ring import Ring, bare_loop

RUNS = 1_000
BARE = "run of five steps: loop by hand"


def together(function: Callable[..., Awaitable[object]], *args: object) -> Work:
    """Calls a function many times at once, in one nursery."""

    async def work(times: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(times):
                nursery.start_soon(function, *args)

    return work


def cases() -> Sequence[Case]:
    """`Workflow.orchestrate` beside `bare_loop`, each started a thousand times."""
    ring = Ring()
    return [
        Case(name=BARE, clocked=in_trio(together(bare_loop, ring.table)), times=RUNS),
        Case(
            name="run of five steps: workflow",
            clocked=in_trio(together(ring.workflow.orchestrate)),
            times=RUNS,
            baseline=BARE,
            reach_ratio=1.7,
        ),
    ]
