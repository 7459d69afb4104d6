"""What a scenario is given: a journal and effects that outlive its process, and who notes what happens."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeAlias, final, overload

import attrs
import trio
from typing_extensions import TypeVar

from .._define.child import family
from .._engine.lifecycle import Resources
from .._journal.protocol import Journal
from .._observe.events import Event
from .._observe.observer import Observer
from .._runtime.handle import Run
from .._runtime.result import RunResult
from .._runtime.resumable import own_resources
from .._runtime.workflow import Workflow
from .cell import Fault
from .effects import Effect, Effects
from .process import ProcessJournal, Write
from .storage import Storage

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)


@final
@attrs.frozen
class Recorded:
    """What a scenario has recorded."""

    value: object

    def __str__(self) -> str:
        return f"recorded {self.value!r}"


What: TypeAlias = Event | Write | Effect | Recorded | str
"""What a line of the log tells."""


@final
@attrs.frozen
class LogEntry:
    """A line of a laboratory's log.

    Args:
        life: the number of the process, counted from 1.
        time: when, in virtual seconds.
        what: an event of a run, a write to the journal, an effect, what the scenario recorded, or words.

    >>> print(LogEntry(2, 3.5, "the process begins"))
    life 2     3.500 s  the process begins
    """

    life: int
    time: float
    what: What

    def __str__(self) -> str:
        what = _told(self.what) if isinstance(self.what, Event) else str(self.what).removeprefix(f"life {self.life}  ")
        return f"life {self.life} {self.time:9.3f} s  {what}"


def _told(event: Event) -> str:
    own = {name: getattr(event, name) for name in event.__struct_fields__[4:]}
    words = [f"{name}={value.name if isinstance(value, Enum) else repr(value)}" for name, value in own.items()]
    return " ".join([type(event).__name__, event.run_id, event.state.name, *words])


@final
class Stage:
    """What stands behind a laboratory: the process that is alive, and the log of all of them.

    Args:
        storage: what outlives a process.
        hands: keep the handles of runs, because they are to be cancelled.
    """

    def __init__(self, storage: Storage, *, hands: bool) -> None:
        self._storage = storage
        self._hands = hands
        self._scope: trio.CancelScope
        self.process: ProcessJournal
        self.life: int = 0
        self.log: list[LogEntry] = []
        self.runs: list[Run[Any, Any]] = []
        self.named: int = 0

    def begin(self, fault: Fault | None, scope: trio.CancelScope) -> ProcessJournal:
        """A new process begins; its death cancels the scope."""
        self.process = ProcessJournal(self._storage.journal(), fault, self.note, self._crash)
        self.life += 1
        self.runs = []
        self.named = 0
        self._scope = scope
        return self.process

    def let_go(self) -> None:
        """The process was dropped: keep nothing that keeps its tasks."""
        self.runs = []
        self._scope = trio.CancelScope()

    def alive(self) -> int:
        """The number of the process, if it is alive."""
        self.process.check()
        return self.life

    def note(self, what: What) -> None:
        """Write something into the log."""
        self.log.append(LogEntry(self.life, trio.current_time(), what))

    def task_status(self) -> Any:
        """What is given the handle of a run."""
        return _Hands(self.runs) if self._hands else trio.TASK_STATUS_IGNORED

    def _crash(self) -> bool:
        self._scope.cancel()
        return self._storage.crash()


@final
class _Hands:
    """Keeps the handles of runs that begin."""

    def __init__(self, runs: list[Run[Any, Any]]) -> None:
        self._runs = runs

    def started(self, value: Run[Any, Any]) -> None:
        self._runs.append(value)


@final
class Laboratory:
    """What a scenario is given; the explorers make it.

    A **scenario** is ``async def scenario(lab)``: what a client of yours does, and it returns what came of it. It names its
    runs, and begins them so that it can be called again: after a crash it is called from its first line, as the client of the
    next process, and `Laboratory.run` then goes on with the run. The process that dies is dropped: what its tasks would do
    from then on reaches neither the journal, nor `effects`, nor the log. (Objects of your own it still reaches, by ``finally``
    for one: tell the world outside by `effects`.)

    >>> from enum import Enum
    >>> from typing import Literal
    >>> from cano_trio import RunContext, Workflow
    >>> from cano_trio.testing import Effects, explore_crashes
    >>> Step = Enum("Step", "PAY DONE")
    >>> workflow = Workflow(Step, initial=Step.PAY, exits=[Step.DONE])
    >>> @workflow.task(Step.PAY)
    ... async def pay(ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
    ...     effects.record_once("charge", ctx)
    ...     return Step.DONE
    >>> async def scenario(lab):
    ...     result = await lab.run(workflow, run_id="order-1")
    ...     return result.state
    >>> explore_crashes(scenario, check=lambda lab: lab.effects.of("charge").once()).cells
    8
    """

    def __init__(self, stage: Stage, effects: Effects, resources: Resources) -> None:
        self._stage = stage
        self.effects = effects
        """What tasks did to the world outside; no crash undoes it."""
        self.resources = resources
        """The effects, for tasks that have a parameter ``effects: Effects``."""
        effects.begin(stage.alive, stage.note)
        self.outcome: Any = None
        """What the scenario returned in the end; for a `check`. None if it was cancelled."""
        self.cancelled = False
        """The scenario was cancelled in the end, or its runs were, and it returned nothing."""
        self.observers: Sequence[Observer] = (self,)
        """Who is to be told of the events of runs, for the log and the report: ``open_runtime(observers=lab.observers)``."""
        self.workflows: dict[str, Any] = {}
        """The workflows that are watched, and their children, by name."""

    @property
    def life(self) -> int:
        """The number of the process, counted from 1."""
        return self._stage.life

    @property
    def log(self) -> tuple[LogEntry, ...]:
        """All that happened, in order."""
        return tuple(self._stage.log)

    @property
    def journal(self) -> Journal:
        """The journal of this process; `run` passes it on, and elsewhere ``journal=lab.journal`` does."""
        return self._stage.process

    @property
    def records(self) -> tuple[object, ...]:
        """What was recorded, in all lives."""
        return tuple(entry.what.value for entry in self._stage.log if isinstance(entry.what, Recorded))

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of all runs, in all lives."""
        return tuple(entry.what for entry in self._stage.log if isinstance(entry.what, Event))

    @property
    def writes(self) -> tuple[Write, ...]:
        """The writes of all processes."""
        return tuple(entry.what for entry in self._stage.log if isinstance(entry.what, Write))

    def record(self, value: object, /) -> None:
        """Note something that the client has seen; it is shown with a failure, and a `check` finds it in `records`.

        Args:
            value: what it is.
        """
        self._stage.alive()
        self._stage.note(Recorded(value))

    def watch(self, *workflows: Workflow[Any, Any]) -> None:
        """Have the report tell which of their states and edges were met, and draw them; `run` does so by itself.

        Args:
            workflows: the workflows, such as those given to `open_runtime`.
        """
        for workflow in workflows:
            if self.workflows.get(workflow.name) is not workflow:
                self.workflows |= {one.name: one for one in family(workflow)}

    @overload
    async def run(
        self,
        workflow: Workflow[S, None],
        /,
        *,
        run_id: str | None = None,
        start: S | None = None,
        resources: Resources | None = None,
        durable: bool = True,
    ) -> RunResult[S, None]: ...
    @overload
    async def run(
        self,
        workflow: Workflow[S, D],
        data: D,
        /,
        *,
        run_id: str | None = None,
        start: S | None = None,
        resources: Resources | None = None,
        durable: bool = True,
    ) -> RunResult[S, D]: ...
    async def run(
        self,
        workflow: Workflow[S, Any],
        data: Any = None,
        /,
        *,
        run_id: str | None = None,
        start: S | None = None,
        resources: Resources | None = None,
        durable: bool = True,
    ) -> RunResult[S, Any]:
        """Run a workflow as a client does that may be called again: a run of that id is gone on with.

        Args:
            workflow: the workflow.
            data: its data.
            run_id: its id; by default the workflow's name with the number of the call. Name runs that begin at the same time.
            start: where to begin.
            resources: what its tasks work with; by default what the workflow has, or else `resources`: the effects. For both,
                give ``Resources(effects=lab.effects, …)``.
            durable: whether it is written down; if not, each process begins it anew.

        Returns:
            What it came to, as of `Workflow.run`; and so are the errors.
        """
        self.watch(workflow)
        self._stage.named += 1
        run: Any = workflow.run
        result: RunResult[S, Any] = await run(
            data,
            run_id=run_id or f"{workflow.name}-{self._stage.named}",
            start=start,
            journal=self.journal if durable else None,
            on_duplicate="attach",
            resources=self.resources if resources is None and not own_resources(workflow) else resources,
            observers=self.observers,
            task_status=self._stage.task_status(),
        )
        return result

    def on_event(self, event: Event, /) -> None:
        """Note an event of a run: it is one of the `observers`."""
        if not self._stage.process.is_dead:
            self._stage.log.append(LogEntry(self.life, event.time, event))
