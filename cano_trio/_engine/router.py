"""How a router advances: as a task, but it may only read, and it uses up no sequence number (cano RTR-2)."""

from __future__ import annotations

from typing import Any

from .._define.blueprint import Plan
from .attempt import attempt
from .unit import Binder


def bind_router(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the router."""
    step.unit = binder.unit(plan.methods["route"], config=plan.node.config, choosers=plan.plain)
    step.args = step.unit.args
    step.counts = False
    step.advance = attempt
