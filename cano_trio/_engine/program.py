"""A workflow bound to resources: everything that can be known before a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, cast, final

from .._define.blueprint import Plan, joined_states
from .._define.definition import Definition
from .._errors import CanoError, DefinitionError, Problem, ResourceError
from .._journal.codec import codec_for
from .._observe.observer import Observer
from .lifecycle import Resources
from .mailbox import Kinds
from .models import ADVANCE
from .run import Run
from .split import forget_results
from .step import Step
from .unit import Binder

KNOWN = 64
"""How many workflows a set of resources stays bound to."""


@final
class Program:
    """A workflow over opened resources; made once, and shared by all runs of the two."""

    __slots__ = ("_takes", "codec", "limit", "name", "plans", "size", "steps", "workflow")

    def __init__(self, workflow: Definition[Any, Any]) -> None:
        self.workflow = workflow
        self.plans = workflow.blueprint()
        self.name = workflow.name
        self.limit = workflow.max_transitions
        self.codec: Any = None if workflow.data is None else codec_for(workflow.data)
        self.steps = {state: Step(state, index) for index, state in enumerate(cast("Iterable[Enum]", workflow.states))}
        self.size = len(self.steps)
        self._takes: Kinds | None = None

    def bind(self, resources: Resources) -> None:
        """Settle all that can be known before a run.

        Raises:
            DefinitionError: resources are missing or ambiguous; all of them are told at once.
        """
        workflow = self.workflow
        binder = Binder(workflow.data, resources, lambda child: self.of(child, resources))
        problems: list[Problem] = []
        for state, plan in self.plans.items():
            if state not in workflow.exits:
                self._bind(self.steps[state], plan, binder, problems)
        for state in joined_states(self.plans):
            forget_results(self.steps[state])
        if problems:
            raise DefinitionError(problems)

    @property
    def takes(self) -> Kinds:
        """The kinds of the messages that its states take, and those of its child workflows."""
        if self._takes is None:
            # In a dict, because a set would have no order.
            steps = [step for program in self._family() for step in program.steps.values()]
            self._takes = tuple({kind: None for step in steps for kind in step.takes})
        return self._takes

    def _family(self) -> list[Program]:
        """Itself and the programs of its child workflows, each once: a workflow may be its own child."""
        found = [self]
        for program in found:
            found += [step.child for step in program.steps.values() if step.child and step.child not in found]
        return found

    @classmethod
    def of(cls, workflow: Definition[Any, Any], resources: Resources) -> Program:
        """The program of the two, made if it is not known yet or the workflow has changed since.

        Raises:
            DefinitionError: the workflow is wrong, or does not find its resources.
        """
        known: Program | None = resources.programs.get(workflow)
        if known is None or known.plans is not workflow.blueprint():
            workflow.validate()
            if len(resources.programs) >= KNOWN:  # workflows that are made anew each time must not all be kept
                resources.programs.clear()
            known = resources.programs[workflow] = cls(workflow)  # before it is bound: it may be its own child
            try:
                known.bind(resources)
            except BaseException:
                resources.programs.pop(workflow, None)
                raise
        return known

    def run(
        self,
        start: Enum,
        data: Any,
        *,
        run_id: str,
        observers: Sequence[Observer],
        resources: Resources,
        parent: Run | None = None,
    ) -> Run:
        """A run of it that has not begun.

        Args:
            start: where it begins.
            data: its data, of which it takes a copy.
            run_id: its id.
            observers: who is told of its events.
            resources: those of the program, with what was made for this run alone.
            parent: the run whose present state's work it is.

        Raises:
            DataError: the data can't be written down.
        """
        return Run(
            self.name, run_id, self.steps[start], size=self.size, limit=self.limit, codec=self.codec,
            packed=None if self.codec is None else self.codec.pack(data), observers=observers, resources=resources,
            takes=self.takes, parent=parent,
        )  # fmt: skip

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
