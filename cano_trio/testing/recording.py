"""An observer that remembers all it is told, and says what of a workflow was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, TypeVar, final

from .._define.edges import written
from .._observe.events import Event, RunEnded, RunResumed, StateEntered, TaskFailed, TaskSucceeded
from .._observe.status import RunStatus
from .._runtime.workflow import Workflow

E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=Enum)


@final
class RecordingObserver:
    """Remembers the events of all runs that it is told of, in order; pass it in ``observers=``.

    Its methods that begin with ``assert_`` raise an `AssertionError` that shows what happened instead. Where it was told of
    one run only, `run` may be left out; the run of a child workflow is a part of its parent's, and not told of by itself.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Workflow
    >>> from cano_trio.testing import RecordingObserver
    >>> Step = Enum("Step", "CHECK PAY DONE REFUSED")
    >>> workflow = Workflow(Step, initial=Step.CHECK, exits=[Step.DONE, Step.REFUSED])
    >>> @workflow.task(Step.CHECK)
    ... async def check() -> Literal[Step.PAY, Step.REFUSED]:
    ...     return Step.PAY
    >>> @workflow.task(Step.PAY)
    ... async def pay() -> Literal[Step.DONE]:
    ...     return Step.DONE
    >>> recorder = RecordingObserver()
    >>> _ = trio.run(lambda: workflow.run(observers=[recorder]))
    >>> recorder.assert_path(Step.CHECK, Step.PAY, Step.DONE)
    >>> recorder.assert_completed_with(Step.DONE)
    >>> recorder.missing_states(workflow)
    (<Step.REFUSED: 4>,)
    >>> recorder.missing_edges(workflow)
    ((<Step.CHECK: 1>, <Step.REFUSED: 4>),)
    >>> recorder.assert_path(Step.CHECK, Step.REFUSED)
    Traceback (most recent call last):
    AssertionError: the run went another way:
      expected CHECK > REFUSED
      was      CHECK > PAY > DONE
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        """All events, in order."""

    def on_event(self, event: Event, /) -> None:
        """Take note of an event."""
        self.events.append(event)

    def clear(self) -> None:
        """Forget all."""
        self.events.clear()

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order.

        Args:
            kind: the class of the events.
        """
        return [event for event in self.events if isinstance(event, kind)]

    def kinds(self) -> list[str]:
        """The names of all events, in order."""
        return [type(event).__name__ for event in self.events]

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of the runs that it was told of, in the order of their first events."""
        return tuple(dict.fromkeys(event.run_id for event in self.events))

    # -- the way of a run

    def path(self, run: str | None = None) -> tuple[Enum, ...]:
        """The states that a run has entered, as `RunResult.path` has them: one that it was resumed in counts once.

        Args:
            run: its id.

        Raises:
            AssertionError: it was told of no such run; or of several, and none is named.
        """
        path: list[Enum] = []
        for event in self._told_of(run):
            if isinstance(event, RunResumed):
                _cut_back(path, event.state)
            elif isinstance(event, StateEntered):
                path.append(event.state)
        return tuple(path)

    def assert_path(self, *states: Enum, run: str | None = None) -> None:
        """See that a run has entered these states, in this order, and no others.

        Args:
            states: the states, the exit last.
            run: its id.

        Raises:
            AssertionError: it went another way.
        """
        if (path := self.path(run)) != states:
            raise AssertionError(f"{_named(run)} went another way:\n  expected {_way(states)}\n  was      {_way(path)}")

    def assert_completed_with(self, exit_: Enum, /, *, run: str | None = None) -> None:
        """See that a run has reached an exit.

        Args:
            exit_: the exit state.
            run: its id.

        Raises:
            AssertionError: it has not ended, has failed, or has reached another exit.
        """
        ends = [event for event in self._told_of(run) if isinstance(event, RunEnded)]
        if ends and ends[-1].status is RunStatus.COMPLETED and ends[-1].state is exit_:
            return
        raise AssertionError(
            f"{_named(run)} has not completed with {exit_.name}: it {_end(ends[-1] if ends else None)}\n"
            f"  was      {_way(self.path(run))}"
        )

    def _told_of(self, run: str | None) -> Iterator[Event]:
        """The events of one run, without those of its child workflows."""
        if run is None and len(self.runs) != 1:
            several = f"there are {', '.join(map(repr, self.runs))}: say run=" if self.runs else "there is none"
            raise AssertionError(f"the recorder was not told of one run: {several}")
        own = [event for event in self.events if run is None or event.run_id == run]
        if not own:
            there = ", ".join(map(repr, self.runs)) or "none"
            raise AssertionError(f"the recorder was told of no run {run!r}: there is {there}")
        return (event for event in own if event.workflow == own[0].workflow)

    # -- what was not seen

    def missing_states(self, workflow: Workflow[S, Any], /) -> tuple[S, ...]:
        """The states of a workflow, its exits among them, that no run of it has entered.

        Args:
            workflow: the workflow, or one with other tasks (`Workflow.with_tasks`).
        """
        entered = {event.state for event in self.of(StateEntered) if event.workflow == workflow.name}
        used = {*workflow.blueprint(), *workflow.exits}
        return tuple(state for state in workflow.states if state in used and state not in entered)

    def missing_edges(self, workflow: Workflow[S, Any], /) -> tuple[tuple[S, S], ...]:
        """The edges of a workflow, those of its ``on_error`` among them, that no run of it has taken: each from, to.

        What a task may do that is annotated to go anywhere is not asked for.

        Args:
            workflow: the workflow, or one with other tasks (`Workflow.with_tasks`).
        """
        moves = [event for event in self.events if isinstance(event, TaskSucceeded | TaskFailed)]
        taken = {
            (event.state, event.next_state, isinstance(event, TaskFailed))
            for event in moves
            if event.workflow == workflow.name
        }
        missing = (
            (state, edge.target)
            for state, plan in workflow.blueprint().items()
            for edge in plan.edges
            if not edge.anywhere and (state, edge.target, edge.error) not in taken
        )
        return tuple(dict.fromkeys(missing))


def _cut_back(path: list[Enum], state: Enum) -> None:
    """A run is resumed in a state, which it enters again: what came after is what a crash has undone."""
    if state in path:
        del path[len(path) - 1 - path[::-1].index(state) :]


def _named(run: str | None) -> str:
    return "the run" if run is None else f"run {run!r}"


def _way(states: tuple[Enum, ...]) -> str:
    return " > ".join(state.name for state in states) or "no state at all"


def _end(end: RunEnded | None) -> str:
    if end is None:
        return "has not ended"
    why = "" if end.error is None else f" with {end.error!r}"
    return f"is {end.status.value} in {written(end.state)}{why}"
