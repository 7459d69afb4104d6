"""The workflow that users define and run."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias, cast, final, overload

import trio
from typing_extensions import TypeVar

from .._define.config import TaskConfig
from .._define.definition import Migrate, OnFailure
from .._engine.execute import execute
from .._engine.lifecycle import Resources
from .._engine.run import Run as EngineRun
from .._journal.protocol import Journal
from .._observe.observer import Observer
from .call import Call, concluded
from .handle import Run
from .result import RunResult, result_of
from .resumable import Resumable
from .run_id import checked, made_up

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)
OnDuplicate: TypeAlias = Literal["raise", "attach"]
"""What follows when a run of that id is there already."""


@final
class Workflow(Resumable[S, D]):
    """States, the tasks that do their work, and how they follow each other.

    A task returns the next state, and its return annotation says which ones it may return. That is where the edges come
    from, and the only place besides ``on_error``: `validate` and the drawings (``f"{workflow:mermaid}"``) read them.

    Args:
        states: the Enum of all states.
        initial: where a run begins.
        exits: where a run ends; these states have no task.
        name: its name in events and drawings; by default the Enum's.
        version: counted up when a change of the code would confuse a run begun before.
        data: the type of each run's data: attrs, dataclass, msgspec Struct. Every attempt works on a copy of its own, and
            what it wrote becomes the run's when its state is finished, or not at all. Copies are made through JSON where
            the type allows it, which gives back this very type (data of a subclass are refused) and only its fields, and
            makes two of an object that stands in two places. Elsewhere they are deep copies, and may be of a subclass.
        resources: what tasks work with, where a run is not given others.
        defaults: how the attempts of every task are made, where a task says nothing else.
        timeout: seconds that a run may take, from its first state on; it then fails with `RunTimeout`, rolled back.
        compensation_timeout: seconds that all compensations of a run may take together. For so long a run may go on after
            it was cancelled.
        on_failure: ``"roll_back"`` undoes what a failed run has done (`CompensatableTask`); ``"hold"`` leaves it to the
            operator. A run that was cancelled is rolled back in any case.
        max_transitions: a run that makes more fails with `TooManyTransitions`; by default it may go on for ever.
        accepts: the older versions whose runs this code goes on with; where a `migrate` is given, all of them by default.
            A run of another version is blocked (`VersionMismatch`).
        migrate: a plain function that makes of what an older version has written down what today's would have. It is
            given the version that wrote it, what it is (``"data"``, ``"cursor"``, ``"outcome"``, ``"receipt"``,
            ``"message"`` or ``"items"``), and the JSON as lists, dicts and plain values; it returns such again.
        aliases: today's states by names that were written down and are no state's any more: ``{"OLD": Step.NEW}``.

    Raises:
        DefinitionError: an argument is wrong, such as a state of another Enum.

    >>> from dataclasses import dataclass
    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Workflow
    >>> class Step(Enum):
    ...     COUNT = 1
    ...     DONE = 2
    >>> @dataclass
    ... class Text:
    ...     content: str
    ...     words: int = 0
    >>> workflow = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE], data=Text)
    >>> @workflow.task(Step.COUNT)
    ... async def count(text: Text) -> Literal[Step.DONE]:
    ...     text.words = len(text.content.split())
    ...     return Step.DONE
    >>> trio.run(workflow.run, Text("to be or not")).data
    Text(content='to be or not', words=4)
    """

    def __init__(
        self,
        states: type[S],
        *,
        initial: S,
        exits: Iterable[S],
        name: str | None = None,
        version: int = 1,
        data: type[D] | None = None,
        resources: Resources | None = None,
        defaults: TaskConfig | None = None,
        timeout: float | None = None,
        compensation_timeout: float = 30.0,
        on_failure: OnFailure = "roll_back",
        max_transitions: int | None = None,
        accepts: Iterable[int] = (),
        migrate: Migrate | None = None,
        aliases: Mapping[str, S] | None = None,
    ) -> None:
        super().__init__(
            states, initial=initial, exits=exits, name=name, version=version, data=data, resources=resources,
            defaults=defaults, timeout=timeout, compensation_timeout=compensation_timeout, on_failure=on_failure,
            max_transitions=max_transitions, accepts=accepts, migrate=migrate, aliases=aliases,
        )  # fmt: skip
        self._own_resources = Resources() if resources is None else resources

    @overload
    async def run(
        self: Workflow[S, None],
        /,
        *,
        start: S | None = None,
        run_id: str | None = None,
        journal: Journal | None = None,
        on_duplicate: OnDuplicate = "raise",
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
        task_status: trio.TaskStatus[Run[S, None]] = trio.TASK_STATUS_IGNORED,
    ) -> RunResult[S, None]: ...
    @overload
    async def run(
        self,
        data: D,
        /,
        *,
        start: S | None = None,
        run_id: str | None = None,
        journal: Journal | None = None,
        on_duplicate: OnDuplicate = "raise",
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
        task_status: trio.TaskStatus[Run[S, D]] = trio.TASK_STATUS_IGNORED,
    ) -> RunResult[S, D]: ...
    async def run(
        self,
        data: Any = None,
        /,
        *,
        start: S | None = None,
        run_id: str | None = None,
        journal: Journal | None = None,
        on_duplicate: OnDuplicate = "raise",
        resources: Resources | None = None,
        observers: Sequence[Observer] = (),
        task_status: trio.TaskStatus[Run[S, Any]] = trio.TASK_STATUS_IGNORED,
    ) -> RunResult[S, Any]:
        """Run once, in the caller's own task; a cancel from outside ends it as it ends any trio function.

        Before a cancel passes on, what the run has done is undone (`CompensatableTask`): the cancelled scope is held up for
        the attempt in flight, as its ``hold`` says, and then for the workflow's ``compensation_timeout`` at most.

        Args:
            data: the run's data; the run works on a copy.
            start: where to begin, instead of at ``initial``.
            run_id: its id in events, errors and idempotency keys; made up if not given.
            journal: where it is written down, so that no crash loses it: see `cano_trio.journals`. It is opened for the run
                if it is not open. A cancel from outside then undoes nothing, but releases the run: `resume` goes on with it.
            on_duplicate: what follows if the journal has a run of that id: ``"raise"`` fails with `DuplicateRun`,
                ``"attach"`` goes on with that run, or returns what it came to.
            resources: what tasks work with, instead of the workflow's own.
            observers: who is told of its events.
            task_status: ``run = await nursery.start(workflow.run, data)`` gives the `Run` as soon as all is set up; what goes
                wrong before comes out of `start`.

        Returns:
            The exit state it reached, its data, the way it took.

        Raises:
            DefinitionError: the workflow is wrong, or does not find its resources; nothing has been set up.
            DataTypeMismatch: the data are not of the workflow's type, or of a subclass that JSON would not give back.
            TypeError: an observer has no plain `on_event` method.
            DuplicateRun: the journal has a run of that id.
            JournalError: the run can't be written down any more; it has stopped where it was, and `resume` goes on.
            RunTimeout: it took longer than the workflow's ``timeout``; what it did has been undone.
            RollbackFailed: it failed, and not all that it did could be undone.
            RetryExhausted: a task has failed at every attempt; from its last failure.
            Exception: what a task raised that is not retried, as it was; see `failure_context`.
        """
        call = self._call(resources, observers, task_status)
        return result_of(await concluded(self._executed(data, start, run_id, journal, on_duplicate, call), call))

    @overload
    async def orchestrate(
        self: Workflow[S, None],
        start: S | None = None,
        *,
        data: None = None,
        resources: Resources | None = None,
        run_id: str | None = None,
        journal: Journal | None = None,
        on_duplicate: OnDuplicate = "raise",
        observers: Sequence[Observer] = (),
    ) -> S: ...
    @overload
    async def orchestrate(
        self,
        start: S | None = None,
        *,
        data: D,
        resources: Resources | None = None,
        run_id: str | None = None,
        journal: Journal | None = None,
        on_duplicate: OnDuplicate = "raise",
        observers: Sequence[Observer] = (),
    ) -> S: ...
    async def orchestrate(
        self,
        start: S | None = None,
        *,
        data: Any = None,
        resources: Resources | None = None,
        run_id: str | None = None,
        journal: Journal | None = None,
        on_duplicate: OnDuplicate = "raise",
        observers: Sequence[Observer] = (),
    ) -> S:
        """Run once and return the exit state: `run` in the shape of cano's.

        Arguments and errors are `run`'s.
        """
        call = self._call(resources, observers)
        run = await self._executed(data, start, run_id, journal, on_duplicate, call)
        return cast("S", run.step.state)

    def _executed(
        self,
        data: Any,
        start: S | None,
        run_id: str | None,
        journal: Journal | None,
        on_duplicate: OnDuplicate,
        call: Call,
    ) -> Coroutine[Any, Any, EngineRun]:
        if on_duplicate not in ("raise", "attach"):
            raise ValueError(f"on_duplicate is {on_duplicate!r}: it takes 'raise' or 'attach'")
        return execute(
            self,
            start=self.initial if start is None else start,
            data=data,
            run_id=made_up(self.name) if run_id is None else checked(run_id),
            journal=journal,
            attach=on_duplicate == "attach",
            **call,
        )
