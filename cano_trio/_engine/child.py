"""How a child workflow advances: as a run inside the run, with its resources, its observers and its mailbox."""

from __future__ import annotations

import sys
from typing import Any

from .._define.blueprint import Plan
from .._define.data import check_data
from .conduct import conduct
from .run import Run
from .step import Step
from .unit import Binder

FRAMES = 10
"""How many of the frames that Python allows a workflow inside another may need, its task's own included."""


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
        check_data(child.name, child.data, made)
        return program.pack(made)

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        _check_depth(run, step)
        # One that was in flight when its process ended has come with the run.
        inner = run.child
        if inner is None:
            inner = program.run(
                child.initial, given(run), run_id=run.run_id, observers=(), resources=run.resources, parent=run
            )
            run.child = inner  # from here on, what releases the run releases it, too
            await run.journal.begin_child(inner, program)
        try:
            await conduct(inner, child)
        finally:
            # However it ended: what it has left to be undone is this run's from here on.
            if inner.done:
                run.done.append(inner)
            run.journal.add_end(inner.journal)
            if not inner.released:
                run.child = None
            inner.parent = None  # else the two would hold each other
        # Here the child becomes a fact: its exit and what it made of its data, in one with this run's transition.
        if takes is not None:
            run.draft = None
            takes(run, 1, "", inner.data())
            if run.draft is not None:
                run.keep_draft()
        elif shares:
            run.packed = inner.packed
        return routes[inner.step.state]

    step.child = program
    step.advance = advance


def _check_depth(run: Run, step: Step) -> None:
    """Refuse to go on down where Python would soon break off, at a place where perhaps nothing could be undone any more.

    Raises:
        RecursionError: too many workflows stand in each other.
    """
    deepest = sys.getrecursionlimit() // FRAMES
    if len(run.lineage) >= deepest:
        raise RecursionError(
            f"{step.label}: {deepest} workflows stand in each other already. Is one of them its own child for ever? "
            "If it is to go deeper, give sys.setrecursionlimit more."
        )
