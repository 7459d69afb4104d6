"""How a plain task advances: it is one unit, attempted."""

from __future__ import annotations

from typing import Any

from .._define.blueprint import Plan
from .attempt import attempt
from .unit import Binder


def bind_task(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the task."""
    step.unit = binder.unit(plan.methods["run"], writes=True, config=plan.node.config, choosers=plan.plain)
    step.args = step.unit.args
    step.writes = step.unit.takes_draft
    step.advance = attempt
