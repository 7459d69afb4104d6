"""One step of a saga whose work does nothing, beside a plain task; and undoing it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Literal, final

from trio.lowlevel import checkpoint

from cano_trio import Retry, Workflow

from .measure import Case, in_trio

STEPS = 2_000
PLAIN = "saga step: plain task"
TIMED = "saga step: plain task, attempt timeout"


class Step(Enum):
    """The states."""

    WORK = auto()
    FAIL = auto()
    DONE = auto()


class Failed(Exception):
    """What a saga that is to be rolled back fails with."""


@final
class Saga:
    """Works so many times, and then ends well or fails; each work passes once through trio's scheduler, as real work does.

    Args:
        options: those of the task.
        plain: it is a plain task, not one that can be undone.
        fails: it fails in the end.
    """

    def __init__(self, *, plain: bool = False, fails: bool = False, **options: Any) -> None:
        self.left = 0
        self.workflow: Workflow[Step] = Workflow(
            Step, initial=Step.WORK, exits=[Step.DONE], compensation_timeout=math.inf
        )
        end = Step.FAIL if fails else Step.DONE

        async def work() -> Step:
            await checkpoint()
            self.left -= 1
            return Step.WORK if self.left > 0 else end

        if plain:
            self.workflow.task(Step.WORK, **options)(work)
        else:

            async def undoable() -> tuple[Step, int]:
                return await work(), self.left

            async def undo(_: int) -> None:
                await checkpoint()

            self.workflow.compensatable(Step.WORK, **options)(undoable).compensate(undo)

        @self.workflow.task(Step.FAIL, retry=Retry.none())
        async def fail() -> Literal[Step.DONE]:
            raise Failed

    async def run(self, times: int) -> None:
        """Work that many times."""
        self.left = times
        try:
            await self.workflow.orchestrate()
        except Failed:
            return


def cases() -> Sequence[Case]:
    """A step that can be undone: held by its attempt timeout, by nothing but its own end, or watched for a cancel."""

    def case(name: str, saga: Saga, baseline: str | None = None, note: str = "") -> Case:
        return Case(name=name, clocked=in_trio(saga.run), times=STEPS, baseline=baseline, note=note)

    return [
        case(PLAIN, Saga(plain=True)),
        case(TIMED, Saga(plain=True, attempt_timeout=60)),
        case("saga step: attempt timeout", Saga(attempt_timeout=60), TIMED),
        case("saga step: hold=inf", Saga(hold=math.inf), PLAIN),
        case("saga step: watched", Saga(), PLAIN, "without a timeout a task watches for a cancel"),
        case("saga step: done and undone", Saga(attempt_timeout=60, fails=True), TIMED),
    ]
