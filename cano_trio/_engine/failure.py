"""Where in a run an exception came from, told by the exception itself."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import final

import msgspec
from msgspec.structs import replace

from .._errors import CircuitOpen
from .._observe.rollback import Rollback
from .run import Run

_CONTEXT = "_cano_trio_context"
_LINEAGE = "_cano_trio_lineage"
_NOTE = "cano_trio: "


@final
class FailureContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a run an exception came from (cano ERR-5).

    Args:
        run_id: the run.
        workflow: its workflow's name.
        state: the state that failed.
        attempts: how many attempts it made; 0 if a circuit breaker refused the first.
        path: the states the run has entered, that one last; the latest 1,000.
        rollback: what the rollback came to, with those of child workflows that failed before it; None if nothing was rolled
            back.
    """

    run_id: str
    workflow: str
    state: Enum
    attempts: int
    path: tuple[Enum, ...]
    rollback: Rollback | None = None

    def __str__(self) -> str:
        """One line, as it is added to tracebacks (PEP 678)."""
        path = ", ".join(state.name for state in self.path[-20:])
        return (
            f"{_NOTE}state={self.state.name} attempts={self.attempts} path=[{'…, ' * (len(self.path) > 20)}{path}] "
            f"run={self.run_id}"
        )


def failure_context(error: BaseException) -> FailureContext | None:
    """Where in a run an exception came from; None if it left no run.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Workflow, failure_context
    >>> Step = Enum("Step", "FETCH DONE")
    >>> workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE])
    >>> @workflow.task(Step.FETCH)
    ... async def fetch() -> Literal[Step.DONE]:
    ...     raise TypeError("no such page")
    >>> try:
    ...     trio.run(lambda: workflow.orchestrate(run_id="r1"))
    ... except TypeError as error:
    ...     print(failure_context(error))
    cano_trio: state=FETCH attempts=1 path=[FETCH] run=r1
    """
    context = getattr(error, _CONTEXT, None)
    return context if isinstance(context, FailureContext) else None


def share_context(error: BaseException, failure: BaseException) -> None:
    """Have an exception tell where in a run another one came from."""
    context = failure_context(failure)
    if context is not None:
        setattr(error, _CONTEXT, context)


def add_context(error: Exception, run: Run) -> None:
    """Have an exception tell where it came from: from this run, or from one inside it (cano ERR-5).

    What an inner workflow's run told stands. What any other run told is replaced: a task may raise one exception object
    again and again.
    """
    if run.lineage[-1] in getattr(error, _LINEAGE, ()):
        return
    context = FailureContext(
        run_id=run.run_id,
        workflow=run.workflow,
        state=run.step.state,
        attempts=run.attempts - isinstance(error, CircuitOpen),
        path=run.trail(),
    )
    with suppress(Exception):  # an exception may refuse attributes; the note still tells
        setattr(error, _CONTEXT, context)
        setattr(error, _LINEAGE, run.lineage)
    with suppress(Exception):  # a frozen one refuses notes too, and must still leave the run as itself
        notes: list[object] = getattr(error, "__notes__", [])
        notes[:] = [note for note in notes if not str(note).startswith(_NOTE)]
        error.add_note(str(context))


def add_rollback(error: Exception, run: Run, rollback: Rollback) -> Rollback:
    """Have a run's failure tell what its rollback came to; gives that with what its child workflows' have come to before.

    The context of another run inside it, which stands, keeps that one's own rollback: this one is then told by its note
    alone.
    """
    context = failure_context(error)
    if context is not None and context.run_id == run.run_id:
        whole = rollback if context.rollback is None else context.rollback.followed_by(rollback)
        with suppress(Exception):
            setattr(error, _CONTEXT, replace(context, rollback=whole))
    else:
        whole = rollback
    with suppress(Exception):
        error.add_note(str(rollback))
    return whole
