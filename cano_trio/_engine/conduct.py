"""How a run is bounded, and what follows when it does not reach an exit: it is undone, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

from .._define.definition import Definition
from .._errors import RollbackFailed, RunCancelled, RunTimeout, names_of
from .._observe.events import RunEnded, RunStarted
from .._observe.rollback import Rollback
from .._observe.status import RunStatus
from .drive import drive
from .failure import add_context, add_rollback
from .parting import parted
from .rollback import roll_back, still_done
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
    failure: BaseException | None = None
    try:
        try:
            if begun is not None:
                run.scope = trio.CancelScope()
                begun(run)
            await _bounded(run, workflow.timeout)
        except BaseException as error:
            failure = error
        if failure is not None:
            # Outside `except`, so that what a compensation raises does not carry the run's failure as its context.
            raise await _undone(run, workflow, failure)
    finally:
        at_work.reset(outer)
        del failure  # it holds this frame by its traceback
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


async def _undone(run: Run, workflow: Definition[Any, Any], error: BaseException) -> BaseException:
    """Undo what the run has done, and tell how it ended; gives what is to be raised."""
    if isinstance(error, Exception):
        add_context(error, run)
    stopped = isinstance(error, RunCancelled) or _is_cancel(error)
    held = workflow.on_failure == "hold" and not (stopped or run.cancelled)
    # What stops a child workflow stops its parent, too, which then undoes all in one rollback, within its own bound.
    stopped_within = run.parent is not None and not isinstance(error, Exception)
    if not run.done or held or stopped_within or isinstance(error, GeneratorExit):
        _end(run, _status(error, None, stopped=stopped), _told(error))
        return error
    run.stop(RunStatus.ROLLING_BACK)
    rollback = await _rolled_back(run, error)
    status = _status(error, rollback, stopped=stopped)
    if isinstance(error, Exception):
        error = _reported(error, run, rollback)
    else:
        _log_outstanding(run, rollback)
    _end(run, status, _told(error), rollback)
    return error


def _status(error: BaseException, rollback: Rollback | None, *, stopped: bool) -> RunStatus:
    """How a run has ended that was rolled back, or not; a child of it may have failed to be undone already."""
    if isinstance(error, RollbackFailed) or not (rollback is None or rollback.clean):
        return RunStatus.ROLLBACK_FAILED
    if stopped:
        return RunStatus.CANCELLED
    return RunStatus.FAILED if rollback is None else RunStatus.ROLLED_BACK


async def _rolled_back(run: Run, error: BaseException) -> Rollback:
    try:
        return await roll_back(run)
    except BaseException as broken:  # a second Ctrl-C: it replaces the error, which must not be lost with it
        left = names_of(still_done(run))
        _log.error("run %r: its rollback was broken off by %r and leaves %s", run.run_id, broken, left, exc_info=error)
        _end(run, RunStatus.ROLLBACK_FAILED, broken)
        raise


def _reported(error: Exception, run: Run, rollback: Rollback) -> Exception:
    """The run's failure with what the rollback came to, as a `RollbackFailed` if that has failed."""
    whole = add_rollback(error, run, rollback)
    if rollback.clean:
        return error
    failed = RollbackFailed.of(error, [failure for _, failure in rollback.failed], rollback.left)
    failed.__cause__ = error
    add_context(failed, run)
    add_rollback(failed, run, whole)
    return failed


def _log_outstanding(run: Run, rollback: Rollback) -> None:
    """Tell of what is not undone where something leaves the run that can't: a `Cancelled`, or a Ctrl-C."""
    for state, failure in rollback.failed:
        _log.error("run %r: %s could not be undone", run.run_id, state.name, exc_info=failure)
    if rollback.left:
        _log.error("run %r: there was no time to undo %s", run.run_id, names_of(rollback.left))
    if rollback.in_doubt:
        _log.warning("run %r: nobody knows whether these are to be undone: %s", run.run_id, names_of(rollback.in_doubt))


def _told(error: BaseException) -> BaseException | None:
    """What observers are told of: a cancel from outside is no failure."""
    return None if _is_cancel(error) else error


def _end(run: Run, status: RunStatus, failure: BaseException | None = None, rollback: Rollback | None = None) -> None:
    run.stop(status)
    run.elapsed = run.clock() - run.started
    run.error = run.mistake = None  # they hold the drive loop's frame by their traceback, and it holds the run
    if run.observers:
        run.tell(RunEnded, status, failure, run.elapsed, rollback)
    if run.parent is None:
        run.observers.clear()  # whoever kept a context and goes on to report progress has nobody to tell any more


def _is_cancel(error: BaseException) -> bool:
    """A `Cancelled`, or the group of them that leaves a nursery with several children."""
    return parted(error)[1] is None
