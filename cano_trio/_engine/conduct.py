"""How a run is bounded, and what follows when it does not reach an exit: it is undone, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

from .._define.definition import Definition
from .._errors import RollbackFailed, RunCancelled, RunTimeout
from .._observe.events import RunEnded, RunStarted
from .._observe.rollback import Rollback
from .._observe.status import RunStatus
from .drive import drive
from .failure import add_context, add_rollback
from .rollback import roll_back
from .run import Run, at_work

_log = logging.getLogger("cano_trio")


async def conduct(run: Run, workflow: Definition[Any, Any], begun: Callable[[Run], object] | None = None) -> None:
    """Drive a run to an exit state; if it ends otherwise, undo what it has done, and raise why.

    Args:
        run: the run.
        workflow: its workflow.
        begun: is given the run as it begins, for who is to have a handle of it.

    Raises:
        RunCancelled: it was cancelled by its handle.
        RunTimeout: it took longer than its workflow's timeout.
        RollbackFailed: one of these, or what a task raised, and not all could be undone.
        Exception: what a task raised for good.
    """
    if run.observers:
        run.tell(RunStarted)
    outer = at_work.set(run.lineage)
    try:
        if begun is not None:
            run.scope = trio.CancelScope()
            begun(run)
        await _bounded(run, workflow.timeout)
    except BaseException as error:
        if (failure := await _undone(run, workflow, error)) is not None:
            raise failure from error
        raise
    finally:
        at_work.reset(outer)
    _end(run, RunStatus.COMPLETED)


async def _bounded(run: Run, timeout: float | None) -> None:
    if timeout is not None:
        run.scope = run.scope or trio.CancelScope()
        run.scope.deadline = run.started + timeout
    if run.scope is None:
        await drive(run)
        return
    with run.scope:
        await drive(run)
    if run.scope.cancelled_caught:
        # A cancel beats a timeout that has come with it (cano WFL-27).
        raise (
            RunCancelled(run.reason)
            if run.cancelled or timeout is None
            else RunTimeout(run.clock() - run.started, timeout)
        )


async def _undone(run: Run, workflow: Definition[Any, Any], error: BaseException) -> Exception | None:
    """Undo what the run has done, and tell how it ended; what is to be raised instead of its failure, if anything is."""
    if isinstance(error, Exception):
        add_context(error, run)
    stopped = isinstance(error, RunCancelled) or _is_cancel(error)
    if not run.done or isinstance(error, GeneratorExit) or (workflow.on_failure == "hold" and not stopped):
        _end(run, RunStatus.CANCELLED if stopped else RunStatus.FAILED, _told(error))
        return None
    run.stop(RunStatus.ROLLING_BACK)
    rollback = await roll_back(run, workflow.compensation_timeout)
    add_rollback(error, rollback)
    if rollback.clean:
        _end(run, RunStatus.CANCELLED if stopped else RunStatus.ROLLED_BACK, _told(error), rollback)
        return None
    return _failed(run, rollback, error)


def _failed(run: Run, rollback: Rollback, error: BaseException) -> Exception | None:
    """Tell of a rollback that failed: as the run's failure, or in the log where something else must leave the run."""
    failures = [failure for _, failure in rollback.failed]
    if isinstance(error, Exception):
        failed = RollbackFailed.of(error, failures, rollback.left)
        _end(run, RunStatus.ROLLBACK_FAILED, failed, rollback)
        return failed
    for state, failure in rollback.failed:
        _log.error("run %r: %s could not be undone", run.run_id, state, exc_info=failure)
    if rollback.left:
        _log.error("run %r: there was no time to undo %s", run.run_id, ", ".join(map(str, rollback.left)))
    _end(run, RunStatus.ROLLBACK_FAILED, _told(error), rollback)
    return None


def _told(error: BaseException) -> BaseException | None:
    """What observers are told of: a cancel from outside is no failure."""
    return None if _is_cancel(error) else error


def _end(run: Run, status: RunStatus, failure: BaseException | None = None, rollback: Rollback | None = None) -> None:
    run.stop(status)
    run.elapsed = run.clock() - run.started
    run.error = run.mistake = None  # they hold the drive loop's frame by their traceback, and it holds the run
    if run.observers:
        run.tell(RunEnded, status, failure, run.elapsed, rollback)


def _is_cancel(error: BaseException) -> bool:
    """A `Cancelled`, or the group of them that leaves a nursery with several children."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
