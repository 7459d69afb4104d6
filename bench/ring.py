"""A ring of five states whose tasks do nothing, and the loop that one would write by hand for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Literal, final

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled, current_clock

from cano_trio import Observer, TaskConfig, Workflow

LENGTH = 5
"""The transitions of one time around."""


class Step(Enum):
    """The states."""

    A = auto()
    B = auto()
    C = auto()
    D = auto()
    E = auto()
    DONE = auto()


async def bare_loop(
    table: dict[Step, Callable[[], Awaitable[Step]]],
    state: Step = Step.A,
    exits: frozenset[Step] = frozenset({Step.DONE}),
) -> Step:
    """A careful hand-written machine, which looks for a cancel at every transition.

    It passes through trio's scheduler at the first and at every 64th, or when it has kept others waiting for 1 ms: as fair
    as the workflow. With a full `checkpoint()` at each transition it would take ten times as long, and prove nothing.
    """
    clock = current_clock().current_time
    transitions = 0
    pass_at = 0.0
    while state not in exits:
        if transitions % 64 and clock() < pass_at:
            await checkpoint_if_cancelled()
        else:
            await checkpoint()
            pass_at = clock() + 0.001
        state = await table[state]()
        transitions += 1
    return state


def _timed(task: Callable[[], Awaitable[Step]]) -> Callable[[], Awaitable[Step]]:
    async def within() -> Step:
        with trio.move_on_after(60):
            return await task()
        raise TimeoutError

    return within


@final
class Ring:
    """The same five tasks as a workflow and as a table for `bare_loop`; the last leaves the ring after `rounds` rounds."""

    def __init__(self, defaults: TaskConfig | None = None) -> None:
        self.rounds = 1
        self.workflow: Workflow[Step] = Workflow(Step, initial=Step.A, exits=[Step.DONE], defaults=defaults)
        self.table: dict[Step, Callable[[], Awaitable[Step]]] = {
            Step.A: self.workflow.task(Step.A)(self.a),
            Step.B: self.workflow.task(Step.B)(self.b),
            Step.C: self.workflow.task(Step.C)(self.c),
            Step.D: self.workflow.task(Step.D)(self.d),
            Step.E: self.workflow.task(Step.E)(self.e),
        }

    async def a(self) -> Literal[Step.B]:
        """Go on."""
        return Step.B

    async def b(self) -> Literal[Step.C]:
        """Go on."""
        return Step.C

    async def c(self) -> Literal[Step.D]:
        """Go on."""
        return Step.D

    async def d(self) -> Literal[Step.E]:
        """Go on."""
        return Step.E

    async def e(self) -> Literal[Step.A, Step.DONE]:
        """Go round again, or leave."""
        self.rounds -= 1
        return Step.A if self.rounds > 0 else Step.DONE

    async def bare(self, times: int) -> None:
        """That many transitions by hand."""
        self.rounds = times // LENGTH
        await bare_loop(self.table)

    async def bare_timed(self, times: int) -> None:
        """That many transitions by hand, each under a `trio.move_on_after` of its own."""
        self.rounds = times // LENGTH
        await bare_loop({state: _timed(task) for state, task in self.table.items()})

    async def run(self, times: int, *observers: Observer) -> None:
        """That many transitions as a workflow."""
        self.rounds = times // LENGTH
        await self.workflow.orchestrate(observers=observers)
