"""What happened in a run, as frozen values.

They are msgspec Structs: an attrs class costs ten times as much to make, and a run makes two a transition.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from msgspec import Struct

from .rollback import Rollback
from .status import RunStatus


class Event(Struct, frozen=True):
    """Something that happened in a run.

    Args:
        run_id: the run.
        workflow: its workflow's name.
        state: the state it was in.
        time: when, in seconds of trio's clock (`trio.current_time`).
    """

    run_id: str
    workflow: str
    state: Enum
    time: float


class RunStarted(Event, frozen=True, gc=False):
    """A run begins, at `state`."""


class StateEntered(Event, frozen=True, gc=False):
    """The run has entered a state.

    Args:
        visit: how often it has been there, counted from 1.
    """

    visit: int


class AttemptStarted(Event, frozen=True, gc=False):
    """A second or later attempt begins; the first begins with `StateEntered`.

    Args:
        task: the name of the task, or of its part.
        attempt: its number, counted from 1.
    """

    task: str
    attempt: int


class AttemptFailed(Event, frozen=True):
    """An attempt failed.

    Args:
        task: the name of the task, or of its part.
        attempt: its number, counted from 1.
        error: what it failed with.
    """

    task: str
    attempt: int
    error: Exception


class RetryScheduled(Event, frozen=True):
    """A failed attempt will be followed by another.

    Args:
        task: the name of the task, or of its part.
        attempt: the number of the attempt that failed.
        delay: seconds until the next one.
        error: what it failed with.
    """

    task: str
    attempt: int
    delay: float
    error: Exception


class TaskSucceeded(Event, frozen=True, gc=False):
    """A state's task has named the next state.

    Args:
        task: the task's name.
        next_state: where the run goes.
    """

    task: str
    next_state: Enum


class TaskFailed(Event, frozen=True):
    """A state's task has failed for good.

    Args:
        task: the task's name.
        error: what it failed with.
        next_state: where the run goes by the task's ``on_error``; None if the run ends with the error.
    """

    task: str
    error: Exception
    next_state: Enum | None


class Committed(Event, frozen=True, gc=False):
    """What happened so far is written down: no crash undoes it.

    Args:
        rev: how many commits the run has seen.
    """

    rev: int


class Released(Event, frozen=True):
    """The run stops here, not undone; it goes on where it is claimed next.

    Args:
        error: why, where it was not asked to: such as `LeaseLost`, where another process has claimed it already.
    """

    error: BaseException | None


class RunResumed(Event, frozen=True, gc=False):
    """A run goes on that was written down, in the state it was in.

    Args:
        seq: how many states it has finished.
    """

    seq: int


class BranchStarted(Event, frozen=True, gc=False):
    """A branch of a split begins.

    Args:
        task: the split's name.
        branch: the branch's name.
    """

    task: str
    branch: str


class BranchEnded(Event, frozen=True):
    """A branch of a split that had begun is over; each tells so exactly once.

    Args:
        task: the split's name.
        branch: the branch's name.
        result: ``succeeded``, ``failed``, or ``cancelled``: it was cut off.
        error: what it failed with; None if it did not.
    """

    task: str
    branch: str
    result: Literal["succeeded", "failed", "cancelled"]
    error: Exception | None


class CircuitRejected(Event, frozen=True, gc=False):
    """A circuit breaker refused an attempt; the task was not called.

    Args:
        task: the task's name.
        breaker: the breaker's name.
        retry_after: seconds until the breaker may let a call through.
    """

    task: str
    breaker: str
    retry_after: float


class Waiting(Event, frozen=True, gc=False):
    """The run waits, and nothing of it is at work meanwhile.

    Args:
        reason: what it waits for, such as ``poll``, ``timer`` or ``message Approved``.
        seconds: how long at most; None if that is not known.
    """

    reason: str
    seconds: float | None


class CompensationStarted(Event, frozen=True, gc=False):
    """Something that the run did in `state` is being undone.

    Args:
        task: the name of the compensation.
        in_doubt: nobody knows whether it was done: an attempt began and left no receipt.
    """

    task: str
    in_doubt: bool


class CompensationFinished(Event, frozen=True):
    """A compensation has ended.

    Args:
        task: the name of the compensation.
        error: what it failed with at its last attempt; None if it succeeded.
    """

    task: str
    error: Exception | None


class CompensationSkipped(Event, frozen=True, gc=False):
    """Something that the run did in `state`, or may have done, is not undone, and nobody has tried to.

    Args:
        task: the name of the task whose work it is.
        reason: ``in doubt``: its attempts left no receipt, and there is no ``compensate_in_doubt``; or ``no time``: the
            ``compensation_timeout`` was over.
    """

    task: str
    reason: str


class Progress(Event, frozen=True, gc=False):
    """A task says how far it is.

    Args:
        done: how much is done.
        total: of how much; None if that is not known.
    """

    done: int
    total: int | None


class Published(Event, frozen=True):
    """A task tells something of its own, by `RunContext.emit`.

    Args:
        value: what it tells.
    """

    value: object


class StepFinished(Event, frozen=True, gc=False):
    """A step of stepped work is finished, and where it goes on is kept; the last one ends in `TaskSucceeded`.

    Args:
        step: how many steps are finished since the state was entered.
    """

    step: int


class WindowFlushed(Event, frozen=True, gc=False):
    """A stream has flushed a window, and where it goes on is kept.

    Args:
        window: how many windows are flushed since the state was entered.
        outputs: how many outputs were in this one.
    """

    window: int
    outputs: int


class EventsLost(Event, frozen=True, gc=False):
    """A reader of a run's events was too slow, and has lost some: those before this one's `time`.

    Args:
        lost: how many.
    """

    lost: int


class Stuck(Event, frozen=True, gc=False):
    """A run has been at work in one state for longer than the runtime's ``stuck_after``.

    Args:
        seconds: for how long.
        stack: where its task is, as text.
    """

    seconds: float
    stack: str


class RunEnded(Event, frozen=True):
    """The run is over.

    Args:
        status: how it ended.
        error: what it failed with, also a `KeyboardInterrupt` or its like; None if it completed, or was cancelled from
            outside.
        elapsed: seconds since it began.
        rollback: what was undone; None if nothing was to be undone.
    """

    status: RunStatus
    error: BaseException | None
    elapsed: float
    rollback: Rollback | None = None
