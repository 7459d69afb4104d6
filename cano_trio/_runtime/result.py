"""What a run came to."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, final

import attrs
from typing_extensions import TypeVar

from .._engine.rollback import in_doubt
from .._engine.run import Run

S_co = TypeVar("S_co", bound=Enum, covariant=True)
D_co = TypeVar("D_co", covariant=True, default=None)


@final
@attrs.frozen(kw_only=True)
class RunResult(Generic[S_co, D_co]):
    """What a run came to.

    Args:
        run_id: the run.
        state: the exit state it reached.
        data: its data, as the last state left them; None for a workflow without data.
        path: the states it entered, the exit last; the latest 1,000.
        elapsed: seconds from its start to its end.
        in_doubt: the states whose `CompensatableTask` failed, and was led on by an ``on_error``: nobody knows whether they
            had an effect.
    """

    run_id: str
    state: S_co
    data: D_co
    path: tuple[S_co, ...]
    elapsed: float
    in_doubt: tuple[S_co, ...] = ()


def result_of(run: Run) -> RunResult[Any, Any]:
    """What a run of the engine came to."""
    return RunResult(
        run_id=run.run_id,
        state=run.step.state,
        data=run.data(),
        path=run.trail(),
        elapsed=run.elapsed,
        in_doubt=in_doubt(run) if run.done else (),
    )
