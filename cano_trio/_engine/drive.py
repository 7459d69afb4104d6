"""The drive loop."""

from __future__ import annotations

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from .._errors import TooManyTransitions
from .._observe.events import StateEntered, TaskFailed, TaskSucceeded
from .._observe.observer import tell
from .run import KEPT, Run
from .step import Step

FAIR_TRANSITIONS = 64
FAIR_SECONDS = 0.001
"""What a run may do between two full passes through the scheduler; one costs 20 times a look at the cancel status."""


async def drive(run: Run) -> None:  # noqa: C901  (the hot loop: a call more is a tenth of a transition more)
    """Advance a run until it stands in an exit state, which is looked for before any cancel: finished work stays."""
    path, visits, clock, limit, run_id, name = run.path, run.visits, run.clock, run.limit, run.run_id, run.workflow
    durable = run.durable
    transitions = run.seq
    now = pass_at = clock()
    while True:
        step = run.step
        path.append(step.state)
        visits[step.index] += 1
        run.attempts = 1
        if run.observers:
            tell(run.observers, StateEntered(run_id, name, step.state, now, visits[step.index]))
        if step.advance is None:
            break
        if transitions == limit:
            raise TooManyTransitions(transitions)
        if transitions % FAIR_TRANSITIONS and now < pass_at:
            await checkpoint_if_cancelled()
        else:
            await checkpoint()
            pass_at = clock() + FAIR_SECONDS
            if len(path) > KEPT:
                del path[:-KEPT]
        try:
            result = await step.advance(run, step.unit, step.args)
            following = step.edges.get(id(result)) or step.after(result)
            if step.writes:
                run.keep_draft()
            if durable:
                await run.journal.finish(step, following)
        except Exception as failure:
            if not _diverted(run, step, failure):
                raise
            await run.journal.finish(step, run.step, failure)
            now = clock()
        else:
            now = clock()
            if durable:
                pass_at = now + FAIR_SECONDS  # others have run meanwhile
            if run.observers:
                tell(run.observers, TaskSucceeded(run_id, name, step.state, now, step.label, following.state))
            run.step, run.error = following, None
        if durable and run.leaving is not None and run.step.advance is not None:
            run.leaving.cancel()
        if step.counts:
            run.seq += 1
        if run.letters:
            run.remove_letters()
        transitions += 1
    if not transitions:
        await trio.lowlevel.checkpoint()


def _diverted(run: Run, step: Step, failure: Exception) -> bool:
    """Go where the state's `on_error` leads the failure, if it leads it anywhere. What the attempt wrote is dropped."""
    run.outbox = None
    following = None if failure is run.mistake or run.journal.broken else step.diverted(failure)
    if run.observers:
        run.tell(TaskFailed, step.label, failure, following and following.state)
    if following is None:
        return False
    run.step, run.error = following, failure
    return True
