"""A state of a workflow bound to resources: how it is processed, and where it may lead."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Any, final

from .._define.blueprint import Plan
from .._errors import DefinitionError, IllegalTransition, RecordedFailure
from .._journal.codec import Codec
from .._observe.status import RunStatus
from .._resilience import matches
from .mailbox import Kinds

_MISTAKES = (DefinitionError, IllegalTransition)

Advance = Callable[..., Coroutine[Any, Any, Any]]
"""Takes the run, the step's unit and that unit's arguments, and gives what the state's task returned."""


@final
class Step:
    """A state in a bound program.

    `edges` is dispatch and enforcement in one look-up, by identity: `Enum.__hash__` is Python code, and a third of a
    hand-written loop's time.
    """

    __slots__ = (
        "advance",
        "args",
        "branch_codecs",
        "child",
        "counts",
        "diversions",
        "edges",
        "index",
        "label",
        "name",
        "patience",
        "plan",
        "reads",
        "reason",
        "state",
        "status",
        "takes",
        "undos",
        "unit",
        "writes",
    )

    def __init__(self, state: Enum, index: int) -> None:
        self.state: Enum = state
        self.name: str = state.name
        """Of the state: an Enum looks it up anew each time, by Python code."""
        self.index: int = index
        self.plan: Plan[Any] | None = None
        self.label: str = state.name
        self.advance: Advance | None = None
        """How it is processed; None for an exit state."""
        self.unit: Any = None
        self.args: tuple[object, ...] = ()
        self.writes: bool = False
        """Its task takes the run's data to change them."""
        self.counts: bool = True
        """It uses up a sequence number; a router does not."""
        self.takes: Kinds = ()
        """The kinds of the messages that it takes."""
        self.status: RunStatus = RunStatus.RUNNING
        """Where a run stands that has just come here."""
        self.reason: str | None = None
        """Why it waits here."""
        self.patience: float | None = None
        """Seconds that it waits here at most."""
        self.reads: Callable[[Mapping[str, bytes], Mapping[str, bytes]], object] | None = None
        """Reads the places and the outcomes of a visit that were written down, to see that they can be read."""
        self.child: Any = None
        """The program of the child workflow that does its work."""
        self.branch_codecs: dict[str, Codec[Any]] = {}
        """What the results of its branches are packed by: by name, or by that of the declared branch."""
        self.undos: dict[str, Any] = {}
        """How the work of the state, and of each of its branches, is undone: by part."""
        self.edges: dict[int, Step] = {}
        self.diversions: tuple[tuple[type[Exception], Step], ...] = ()

    def after(self, result: object) -> Step:
        """The step that a task's result names, where the drive loop did not find it.

        Raises:
            IllegalTransition: the task's annotation does not name it.
        """
        if isinstance(result, Coroutine):
            result.close()  # else Python warns, somewhere else, that it was never awaited
        if self.plan is None:
            raise AssertionError("unreachable: an exit state has no task")
        raise IllegalTransition(self.label, self.state, result, self.plan.targets, str(self.plan.node.site))

    def diverted(self, failure: Exception) -> Step | None:
        """Where an `on_error` leads a failure; a mistake in the workflow itself is never led anywhere."""
        if isinstance(failure, _MISTAKES) or (isinstance(failure, RecordedFailure) and failure.is_of(_MISTAKES)):
            return None
        return next((step for kind, step in self.diversions if matches(failure, kind)), None)
