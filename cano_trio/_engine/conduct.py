"""How a run is bounded, and what follows when it does not reach an exit: it is undone, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

from .._define.definition import Definition
from .._errors import JournalError, RollbackFailed, RunCancelled, RunTimeout, names_of
from .._observe.events import Released, RunEnded, RunResumed, RunStarted
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
        run: the run; one that was undoing what it did when its process ended goes on with that.
        workflow: its workflow.
        begun: is given the run as it begins, for who is to have a handle of it.

    Raises:
        RunCancelled: it was cancelled by its handle.
        RunTimeout: it took longer than its workflow's timeout.
        RollbackFailed: one of these, or what a task raised, and not all could be undone.
        JournalError: it can't be written down any more; it has stopped where it was.
        Exception: what a task raised for good.
    """
    if run.observers:
        run.tell(RunResumed, run.seq) if run.rerun else run.tell(RunStarted)
    outer = at_work.set(run.lineage)
    failure, run.failure = run.failure, None
    try:
        try:
            if begun is not None:
                run.scope = run.scope or trio.CancelScope()
                begun(run)
            if failure is not None:
                pass
            elif run.scope is None and workflow.timeout is None:
                await drive(run)
            else:
                await _bounded(run, workflow.timeout)
        except BaseException as error:
            failure = error
        if failure is not None:
            # Outside `except`, so that what a compensation raises does not carry the run's failure as its context.
            raise await _left(run, workflow, failure)
    finally:
        at_work.reset(outer)
        del failure  # it holds this frame by its traceback
    _end(run, RunStatus.COMPLETED)


async def _bounded(run: Run, timeout: float | None) -> None:
    if run.scope is None:
        run.scope = trio.CancelScope()
    if timeout is not None:
        run.scope.deadline = run.started + timeout
    with run.scope:
        await drive(run)
    if run.scope.cancelled_caught:
        # A cancel beats a timeout that has come with it (cano WFL-27).
        raise (
            RunCancelled(run.reason)
            if run.cancelled or timeout is None
            else RunTimeout(run.clock() - run.started, timeout)
        )


async def _left(run: Run, workflow: Definition[Any, Any], error: BaseException) -> BaseException:
    """Do what is to be done with a run that has reached no exit; gives what is to be raised."""
    if run.durable:
        if run.journal.broken is None and not _releases(run, error):
            try:
                return await _undone(run, workflow, error)
            except BaseException as interruption:
                interruption.__context__ = error
                error = interruption
        return await _stopped(run, error)
    return await _undone(run, workflow, error)


def _releases(run: Run, error: BaseException) -> bool:
    """Whether something stops the run that has nothing to do with it, such as the end of the process: it goes on later.

    A child's run is stopped together with the one that has started it, which does what is to be done.
    """
    return not isinstance(error, Exception) and run.parent is None


async def _stopped(run: Run, error: BaseException) -> BaseException:
    """Stop a run that goes on elsewhere: nothing is undone, and nothing forgotten."""
    broken = run.journal.broken
    if broken is None and run.parent is None and not isinstance(error, GeneratorExit):  # which lets nobody wait
        # Where its process goes on, nobody else could claim what is held here still: it waits for a journal that is away.
        stays = run.leaving is not None or run.parked is not None
        try:
            with trio.CancelScope(shield=stays):
                if run.cancelled:  # it must not go on as if nobody had cancelled it
                    await run.journal.roll_back(RunCancelled(run.reason))
                await run.journal.release()
        except JournalError as refusal:
            broken = refusal
        except trio.Cancelled:
            _log.warning("run %r could not be released: the journal can't be written for now", run.run_id)
    if broken is not None and isinstance(error, Exception):
        if error is not broken:
            broken.__cause__ = broken.__cause__ or error
        error = broken
        add_context(broken, run)
    run.leave()
    if run.observers:
        run.tell(Released, _told(error))
    return error


async def _undone(run: Run, workflow: Definition[Any, Any], error: BaseException) -> BaseException:
    """Undo what the run has done, and tell how it ended; gives what is to be raised."""
    if isinstance(error, Exception):
        add_context(error, run)
    stopped = isinstance(error, RunCancelled) or _is_cancel(error)
    held = workflow.on_failure == "hold" and not (stopped or run.cancelled or run.undoes)
    # What stops a child workflow stops its parent, too, which then undoes all in one rollback, within its own bound.
    stopped_within = run.parent is not None and not isinstance(error, Exception)
    if stopped_within and run.durable:
        return await _stopped(run, error)
    if stopped_within or isinstance(error, GeneratorExit):
        _end(run, _status(error, None, stopped=stopped), _told(error))
        return error
    if run.child is not None and run.child.done and run.child not in run.done:
        run.done.append(run.child)  # it was taken up with the run, which has not come to it again
    if not run.undoes and (not run.done or held):
        status = _status(error, None, stopped=stopped)
        await run.journal.end(status, error)
        _end(run, status, _told(error))
        return error
    await run.journal.roll_back(error)
    run.stop(RunStatus.ROLLING_BACK)
    rollback = await _rolled_back(run, error)
    status = _status(error, rollback, stopped=stopped)
    whole = error
    if isinstance(error, Exception):
        error = _reported(error, run, rollback)
    else:
        _log_outstanding(run, rollback)
    await run.journal.end(status, whole)
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
        if run.durable:
            raise
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
