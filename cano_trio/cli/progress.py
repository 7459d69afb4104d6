"""Which progress is shown while a workflow runs: drawn on a terminal, else told in plain lines. Both go to stderr."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any

from .._define.child import family
from .._observe.observer import Observer
from .._runtime.workflow import Workflow
from .progress_plain import PlainProgress
from .target import states_of


def shown_progress(workflow: Workflow[Any, Any]) -> AbstractContextManager[Observer]:
    """The observer that shows a run of a workflow, for a `with` block around it."""
    work = work_of(workflow)
    if _can_draw():
        try:
            from .progress_live import LiveProgress  # noqa: PLC0415  (rich takes longer to import than all the rest)
        except ImportError:  # click without rich: half of the extra is installed
            pass
        else:
            return LiveProgress([state.name for one in family(workflow) for state in states_of(one)], work)
    return PlainProgress(sys.stderr, work)


def work_of(workflow: Workflow[Any, Any]) -> dict[Enum, str]:
    """What is done in each state, its child workflows' included: its task's name, with its kind if it is no plain task."""
    found: dict[Enum, str] = {}
    for one in family(workflow):
        for state, plan in one.blueprint().items():
            found.setdefault(state, plan.node.work)
    return found


def _can_draw() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}
