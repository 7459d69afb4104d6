"""Where in a run an exception came from, told by the exception itself."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import final

import attrs

from .._errors import CircuitOpen
from .run import Run

_ATTRIBUTE = "_cano_trio_context"


@final
@attrs.frozen(kw_only=True)
class FailureContext:
    """Where in a run an exception came from (cano ERR-5).

    Args:
        run_id: the run.
        workflow: its workflow's name.
        state: the state that failed.
        attempts: how many attempts it made; 0 if a circuit breaker refused the first.
        path: the states the run has entered, that one last; the latest 1,000.
    """

    run_id: str
    workflow: str
    state: Enum
    attempts: int
    path: tuple[Enum, ...]

    def __str__(self) -> str:
        """One line, as it is added to tracebacks (PEP 678)."""
        path = ", ".join(state.name for state in self.path[-20:])
        return (
            f"cano_trio: state={self.state.name} attempts={self.attempts} path=[{'…, ' * (len(self.path) > 20)}{path}] "
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
    context = getattr(error, _ATTRIBUTE, None)
    return context if isinstance(context, FailureContext) else None


def add_context(error: Exception, run: Run) -> None:
    """Have an exception tell where it came from; what an inner workflow's run told stands (cano ERR-5)."""
    if failure_context(error) is not None:
        return
    context = FailureContext(
        run_id=run.run_id,
        workflow=run.workflow,
        state=run.step.state,
        attempts=run.attempts - isinstance(error, CircuitOpen),
        path=run.trail(),
    )
    with suppress(Exception):  # an exception may refuse attributes; the note still tells
        setattr(error, _ATTRIBUTE, context)
    with suppress(Exception):  # a frozen one refuses notes too, and must still leave the run as itself
        error.add_note(str(context))
