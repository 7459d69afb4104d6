"""The models whose whole work is one attempt: poll, timer, batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .._define.blueprint import Plan
from .._define.config import TaskConfig
from .attempt import attempt
from .run import Run
from .unit import Binder, give_number, give_run, layered

Cycle = Callable[[Run, int], Awaitable[Any]]


def bind_cycle(
    step: Any, plan: Plan[Any], binder: Binder, cycle: Cycle, *, writes: bool, config: TaskConfig | None = None
) -> None:
    """Make the state's step attempt a cycle, which is given the run and the attempt's number.

    Args:
        step: the state's step.
        plan: its plan.
        binder: what knows the resources.
        cycle: the whole of its work.
        writes: what it is left with in the run's draft is to be kept.
        config: its policies, where they are not simply those of the state.
    """
    node = plan.node
    config = node.config if config is None else config
    step.unit = layered(node.name, cycle, (), (), (give_run, give_number), config, binder.choices(plan.plain))
    step.writes = writes
    step.advance = attempt
