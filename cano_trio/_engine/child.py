"""How a child workflow advances: as a run inside the run, with its resources, its observers and its mailbox."""

from __future__ import annotations

import sys
from typing import Any

from .._define.blueprint import Plan
from .conduct import conduct
from .data import check_data
from .run import Run
from .step import Step
from .unit import Binder

FRAMES = 8
"""Twice the frames of Python's stack that a run inside a run takes: as many are left to undo what was done there."""


def bind_child(step: Step, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step run the child to one of its exits."""
    child: Any = plan.node.child
    routes = plan.node.routes
    program = binder.program_of(child)
    makes = binder.plain(plan.plain["data"]) if "data" in plan.plain else None
    takes = binder.plain(plan.plain["result"], writes=True) if "result" in plan.plain else None
    shares = child.data is not None and makes is None and takes is None

    def given(run: Run) -> Any:
        if makes is None:
            return None if child.data is None else run.packed
        made = makes(run, 1, "")
        check_data(child, made)
        return program.pack(made)

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        if len(run.lineage) * FRAMES > sys.getrecursionlimit():
            raise RecursionError(
                f"{step.label} would be the child of {len(run.lineage)} runs, each inside the other. If they come to an end, "
                "raise sys.setrecursionlimit; if not, let a state lead out."
            )
        inner = program.run(
            child.initial, given(run), run_id=run.run_id, observers=(), resources=run.resources, parent=run
        )
        try:
            await conduct(inner, child)
        finally:
            # Here it becomes a fact what it has done that can be undone, however it ended.
            if inner.done:
                run.done.append(inner)
            inner.parent = None  # else the two would hold each other
        if takes is not None:
            run.draft = None
            takes(run, 1, "", inner.data())
            if run.draft is not None:
                run.keep_draft()
        elif shares:
            run.packed = inner.packed
        return routes[inner.step.state]

    step.advance = advance
