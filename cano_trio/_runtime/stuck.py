"""Runs that are at work in one state for too long are reported, with where their task is."""

from __future__ import annotations

import traceback
from typing import final

import trio

from .._define.checks import check_seconds
from .._engine.run import Run as EngineRun
from .._observe.events import Stuck
from .._observe.status import RunStatus
from .actor import Actor
from .actors import Actors


@final
class StuckWatch:
    """Looks at the runs of a runtime.

    Args:
        actors: the runs.
        after: seconds in one state from which on one is stuck; a wait for a time or a message does not count.
    """

    def __init__(self, actors: Actors, after: float) -> None:
        check_seconds("stuck_after", after)
        self._actors = actors
        self._after = after
        self._seen: dict[Actor, tuple[str, float, bool]] = {}
        """For each run the place of the state, since when it is known to be in it, and whether that was told."""

    def stuck(self) -> list[Actor]:
        """Those that were told of, and are where they were."""
        return [
            actor
            for actor, (place, _, told) in self._seen.items()
            if told and not actor.over and actor.engine is not None and _place_of(actor.engine) == place
        ]

    async def serve(self) -> None:
        """Look twice in the time that a state may take."""
        while True:
            await trio.sleep(self._after / 2)
            self._look()

    def _look(self) -> None:
        now = trio.current_time()
        seen: dict[Actor, tuple[str, float, bool]] = {}
        for actor in self._actors.at_work.values():
            run = actor.engine
            if run is None or actor.status is not RunStatus.RUNNING:
                continue
            known, place = self._seen.get(actor), _place_of(run)
            _, since, told = (place, now, False) if known is None or known[0] != place else known
            if not told and now - since >= self._after:
                told = True
                run.tell(Stuck, now - since, stack_of(actor.task))
            seen[actor] = (place, since, told)
        self._seen = seen


def _place_of(run: EngineRun) -> str:
    inner = run.innermost
    return f"{inner.key}/{inner.seq}"


def stack_of(task: trio.lowlevel.Task | None) -> str:
    """Where a task is, and the tasks in its nurseries, as text."""
    if task is None:
        return ""
    frames = traceback.StackSummary.extract(task.iter_await_frames())
    told = [f"{task.name}\n", *frames.format()]
    for nursery in task.child_nurseries:
        told += [stack_of(child) for child in nursery.child_tasks]
    return "".join(told)
