"""What a laboratory takes: to simulate one run, and to let an order saga of six states crash everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from time import perf_counter
from typing import Any, Literal

import trio
from trio.testing import MockClock

from cano_trio import Resources, Retry, RunContext, TaskConfig, Workflow
from cano_trio.journals import MemoryJournal
from cano_trio.testing import Effects, Laboratory, Report, explore_cancellations, explore_crashes, explore_schedules

from .measure import Case, Clocked

Step = Enum("Step", "RESERVE PRICE CHARGE PACK SHIP CONFIRM DONE")


def _books(following: Enum) -> Callable[..., Any]:
    """A task that does something, under its key."""

    async def work(ctx: RunContext, effects: Effects) -> Any:
        effects.record_once(ctx.state.name, ctx)
        return following, ctx.idempotency_key

    work.__annotations__["return"] = tuple[Literal[following], str]  # type: ignore[valid-type]
    return work


async def _undo(receipt: str, ctx: RunContext, effects: Effects) -> None:
    effects.record_once(f"undo {ctx.state.name}", ctx, receipt=receipt)


def saga() -> Workflow[Any, Any]:
    """An order of six states, all of which can be undone."""
    workflow: Workflow[Any, Any] = Workflow(
        Step, initial=Step.RESERVE, exits=[Step.DONE], name="saga", defaults=TaskConfig(retry=Retry.none())
    )
    for state, following in pairwise(Step):
        booked: Any = workflow.compensatable(state)(_books(following))
        booked.compensate(_undo)
    return workflow


def cases() -> Sequence[Case]:
    """A run in a laboratory, beside a trio run in virtual time of the same; and whole explorations."""
    workflow = saga()
    effects = Resources(effects=Effects())

    async def scenario(lab: Laboratory) -> Any:
        return (await lab.run(workflow, run_id="r")).state

    async def bare() -> None:
        await workflow.run(run_id="r", journal=MemoryJournal(), resources=effects)

    def by_hand(times: int) -> float:
        begun = perf_counter()
        for _ in range(times):
            trio.run(bare, clock=MockClock(autojump_threshold=0))
        return (perf_counter() - begun) / times

    def simulated(times: int) -> float:
        begun = perf_counter()
        explore_schedules(scenario, range(1, times + 1))
        return (perf_counter() - begun) / times

    def whole(explore: Callable[[], Report]) -> Clocked:
        return lambda _: explore().seconds

    plain = "saga of six states: trio.run in virtual time"
    return [
        Case(name=plain, clocked=by_hand, times=50),
        Case(name="saga of six states: simulated", clocked=simulated, times=50, baseline=plain, reach=2_000),
        Case(name="saga: all crashes", clocked=whole(lambda: explore_crashes(scenario)), reach=1_000_000),
        Case(name="saga: all cancellations", clocked=whole(lambda: explore_cancellations(scenario))),
        Case(
            name="saga: all pairs of crashes",
            clocked=whole(lambda: explore_crashes(scenario, pairs=True)),
            reach=20_000_000,
            big=True,
        ),
    ]
