"""A workflow bound to resources: everything that can be known before a run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from enum import Enum
from typing import Any, cast, final

from .._define.blueprint import Plan
from .._define.definition import Definition
from .._errors import CanoError, DefinitionError, IllegalTransition, Problem, ResourceError
from .._journal.codec import codec_for
from .._resilience import matches
from .lifecycle import Resources
from .models import ADVANCE
from .run import Run
from .unit import Binder, Unit

Advance = Callable[[Run, Unit, tuple[object, ...]], Coroutine[Any, Any, Any]]


@final
class Step:
    """A state in a bound program.

    `edges` is dispatch and enforcement in one look-up, by identity: `Enum.__hash__` is Python code, and a third of a
    hand-written loop's time.
    """

    __slots__ = (
        "advance",
        "args",
        "counts",
        "diversions",
        "edges",
        "index",
        "label",
        "plan",
        "state",
        "unit",
        "writes",
    )

    def __init__(self, state: Enum, index: int) -> None:
        self.state = state
        self.index = index
        self.plan: Plan[Any] | None = None
        self.label = state.name
        self.advance: Advance | None = None
        """How it is processed; None for an exit state."""
        self.unit: Any = None
        self.args: tuple[object, ...] = ()
        self.writes = False
        """Its task takes the run's data to change them."""
        self.counts = True
        """It uses up a sequence number; a router does not."""
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
        if isinstance(failure, (DefinitionError, IllegalTransition)):
            return None
        return next((step for kind, step in self.diversions if matches(failure, kind)), None)


@final
class Program:
    """A workflow over opened resources; made once, and shared by all runs of the two.

    Raises:
        DefinitionError: resources are missing or ambiguous; all of them are told at once.
    """

    __slots__ = ("codec", "limit", "name", "plans", "size", "steps", "workflow")

    def __init__(self, workflow: Definition[Any, Any], resources: Resources) -> None:
        self.workflow = workflow
        self.plans = workflow.blueprint()
        self.name = workflow.name
        self.limit = workflow.max_transitions
        self.codec: Any = None if workflow.data is None else codec_for(workflow.data)
        self.steps = {state: Step(state, index) for index, state in enumerate(cast("Iterable[Enum]", workflow.states))}
        self.size = len(self.steps)
        binder = Binder(workflow.data, resources)
        problems: list[Problem] = []
        for state, plan in self.plans.items():
            if state not in workflow.exits:
                self._bind(self.steps[state], plan, binder, problems)
        if problems:
            raise DefinitionError(problems)

    @classmethod
    def of(cls, workflow: Definition[Any, Any], resources: Resources) -> Program:
        """The program of the two, made if it is not known yet or the workflow has changed since.

        Raises:
            DefinitionError: the workflow is wrong, or does not find its resources.
        """
        known: Program | None = resources.programs.get(workflow)
        if known is None or known.plans is not workflow.blueprint():
            workflow.validate()
            known = resources.programs[workflow] = cls(workflow, resources)
        return known

    def _bind(self, step: Step, plan: Plan[Any], binder: Binder, problems: list[Problem]) -> None:
        node = plan.node
        step.plan, step.label = plan, node.name
        step.edges = {id(edge.target): self.steps[edge.target] for edge in plan.edges if not edge.error}
        step.diversions = tuple((kind, self.steps[target]) for kind, target in node.on_error.items())
        try:
            ADVANCE[node.model.name](step, plan, binder)
        except CanoError as error:
            problems.append(
                Problem(
                    code="E13" if isinstance(error, ResourceError) else "E12",
                    place=step.state.name,
                    message=f"{node.name}: {error}",
                    site=str(node.site),
                    hint="Pass it in Resources(...), or name one with Annotated[T, key].",
                )
            )
