"""Runs that were written down, taken up again: gone on with, tried again, undone."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from enum import Enum
from typing import Any, Generic

import trio
from typing_extensions import TypeVar

from .._define.checks import check_reason
from .._define.definition import Definition
from .._engine.execute import take_up
from .._engine.failure import failure_context
from .._engine.lifecycle import Resources
from .._errors import RecordedFailure, RunCancelled
from .._journal.protocol import Journal
from .._observe.observer import Observer
from .._observe.rollback import Rollback
from .call import Call, call_with, concluded
from .handle import Run
from .result import RunResult, result_of
from .run_id import checked

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)


class Resumable(Definition[S, D], Generic[S, D]):
    """A workflow, and what is done with its runs that a journal has; `Workflow` adds how one begins."""

    _own_resources: Resources

    def _call(
        self,
        resources: Resources | None,
        observers: Sequence[Observer],
        task_status: trio.TaskStatus[Run[S, Any]] = trio.TASK_STATUS_IGNORED,
    ) -> Call:
        return call_with(self, self._own_resources, resources, observers, task_status)

    async def resume(
        self,
        run_id: str,
        /,
        *,
        journal: Journal,
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
        task_status: trio.TaskStatus[Run[S, D]] = trio.TASK_STATUS_IGNORED,
    ) -> RunResult[S, D]:
        """Go on with a run of the journal where its last process left it, to its end.

        The states that it has finished do not run again. The one it was in does, under the same idempotency key: a split
        only with the branches that have not finished, a batch with the items that are not written down, stepped work and a
        stream from their cursors, a timer until the instant it was to go off. One that was being undone goes on with that.

        Args:
            run_id: the run.
            journal: where it is written down.
            resources: what tasks work with, instead of the workflow's own.
            observers: who is told of its events.
            task_status: as in `run`.

        Returns:
            As `run`; of a run that is completed, what it came to.

        Raises:
            RunNotFound: the journal has no such run.
            NotOwner: another process, which is alive, holds it.
            VersionMismatch: another version of the workflow wrote it, and this one does not accept it.
            RunBlocked: this code can't go on with it, which is now written down, too.
            RunFailed: it has failed; `retry` goes on with it all the same.
            RunCancelled: it was cancelled.
            Exception: as `run`.

        >>> import tempfile
        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Workflow
        >>> from cano_trio.journals import SqliteJournal
        >>> Step = Enum("Step", "WORK DONE")
        >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
        >>> @workflow.task(Step.WORK)
        ... async def work() -> Literal[Step.DONE]:
        ...     return Step.DONE
        >>> async def main():
        ...     with tempfile.TemporaryDirectory() as folder:
        ...         async with SqliteJournal(f"{folder}/runs.db") as journal:
        ...             await workflow.run(run_id="r1", journal=journal)
        ...             return await workflow.resume("r1", journal=journal)
        >>> trio.run(main).state
        <Step.DONE: 2>
        """
        call = self._call(resources, observers, task_status)
        return result_of(await concluded(take_up(self, checked(run_id), journal=journal, how="resume", **call), call))

    async def retry(
        self,
        run_id: str,
        /,
        *,
        journal: Journal,
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
        task_status: trio.TaskStatus[Run[S, D]] = trio.TASK_STATUS_IGNORED,
    ) -> RunResult[S, D]:
        """Go on with a run that is ``failed``, in the state it failed in, as if its attempts had only begun.

        It takes a run that is ``blocked``, too, such as one with which several processes have died. A state whose child
        workflow had its work undone is visited once more, with a child and keys of its own; the result of a child that has
        come to its end is taken again, and nothing of it runs twice. Arguments are `resume`'s.

        Raises:
            RunAlreadyEnded: it has come to its end otherwise, or is being undone.
            RunFailed: it has not failed: `resume` goes on with it.
            Exception: as `resume`.
        """
        call = self._call(resources, observers, task_status)
        return result_of(await concluded(take_up(self, checked(run_id), journal=journal, how="retry", **call), call))

    async def retry_rollback(
        self,
        run_id: str,
        /,
        *,
        journal: Journal,
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
    ) -> Rollback:
        """Undo what is left of a run that is ``rollback_failed``; or of one that has ``failed`` and was held as it was.

        Arguments are `resume`'s.

        Returns:
            What was undone.

        Raises:
            RollbackFailed: something could not be undone again.
            RunAlreadyEnded: there is nothing left to be undone, or that goes on already.
            RunFailed: it has not failed: `cancel` undoes what it has done.
            Exception: as `resume`.
        """
        call = self._call(resources, observers)
        return await _rollback_of(take_up(self, checked(run_id), journal=journal, how="roll_back", **call))

    async def cancel(
        self,
        run_id: str,
        /,
        *,
        journal: Journal,
        reason: str | None = None,
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
    ) -> Rollback:
        """Cancel a run of the journal that nobody carries out at the moment: undo what it has done.

        A run that goes on in this process is cancelled by its `Run`.

        Args:
            run_id: the run.
            journal: where it is written down.
            reason: why, for people.
            resources: as in `resume`.
            observers: as in `resume`.

        Returns:
            What was undone.

        Raises:
            RollbackFailed: something could not be undone.
            RunAlreadyEnded: it is over; one that has `failed` can still be cancelled.
            ValueError: the reason is no string that can be written down.
            Exception: as `resume`.
        """
        check_reason(reason)
        call = self._call(resources, observers)
        return await _rollback_of(take_up(self, checked(run_id), journal=journal, how="cancel", reason=reason, **call))


def own_resources(workflow: Resumable[Any, Any]) -> Resources:
    """What its tasks work with, where a run is not given others."""
    return workflow._own_resources  # noqa: SLF001  (of the class above)


async def _rollback_of(undoing: Awaitable[object]) -> Rollback:
    """What was undone by taking a run up for it, which ends with what the run came to grief by."""
    cause: BaseException
    try:
        await undoing
    except (RunCancelled, RecordedFailure) as error:
        cause = error
    else:
        raise AssertionError("unreachable: a run that is undone ends with an error")
    context = failure_context(cause)
    if context is None or context.rollback is None:
        raise cause
    return context.rollback
