"""A workflow bound to resources: everything that can be known before a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, cast, final

from .._define.blueprint import Plan, joined_states
from .._define.child import family
from .._define.definition import Definition
from .._define.messages import message_types
from .._define.resources import Elsewhere
from .._errors import CanoError, DefinitionError, Problem, ResourceError
from .._journal.codec import Codec, codec_for
from .._observe.observer import Observer
from .._observe.status import RunStatus
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
    """A workflow over opened resources; made once, with its child workflows, and shared by all runs of the two."""

    __slots__ = (
        "_message_codecs", "_recordable", "codec", "family", "limit", "name", "plans", "size", "steps", "takes", "workflow"
    )  # fmt: skip

    def __init__(self, workflow: Definition[Any, Any]) -> None:
        self.workflow = workflow
        self.plans = workflow.blueprint()
        self.name = workflow.name
        self.limit = workflow.max_transitions
        self.codec: Any = None if workflow.data is None else codec_for(workflow.data)
        self.steps = {state: Step(state, index) for index, state in enumerate(cast("Iterable[Enum]", workflow.states))}
        self.size = len(self.steps)
        self.family: tuple[Program, ...] = (self,)
        """Itself and the programs of its child workflows."""
        self.takes: Kinds = ()
        """The kinds of the messages that its states take, and those of its child workflows."""

        self._message_codecs: dict[type, Codec[Any]] = {}
        self._recordable = False
        """It is known that a journal can hold its runs."""

    @property
    def undoable(self) -> bool:
        """Whether a run of it may do something that can be undone."""
        return any(step.undos for program in self.family for step in program.steps.values())

    def message_codec(self, kind: type) -> Codec[Any]:
        """What packs messages of a kind."""
        if kind not in self._message_codecs:
            self._message_codecs[kind] = codec_for(kind)
        return self._message_codecs[kind]

    def check_recordable(self, resources: Resources | Elsewhere) -> None:
        """See that a journal can hold its runs.

        Raises:
            DefinitionError: something in it can't be written down, or would be lost in a crash.
        """
        if not self._recordable:
            if problems := self.workflow.journal_problems(resources):
                raise DefinitionError(problems)
            self._recordable = True

    def bind(self, resources: Resources | Elsewhere) -> None:
        """Settle all that can be known before a run.

        Raises:
            DefinitionError: resources are missing or ambiguous; all of them are told at once.
        """
        ways = family(self.workflow)
        programs = {one: self if one is self.workflow else Program(one) for one in ways}
        problems: list[Problem] = []
        for program, way in zip(programs.values(), ways.values(), strict=True):
            binder = Binder(program.workflow.data, resources, programs.__getitem__)
            program.bind_states(binder, way, problems)
        if problems:
            raise DefinitionError(problems)
        self.family = tuple(programs.values())
        steps = [step for program in self.family for step in program.steps.values()]
        # By way of a dict, because a set would have no order.
        self.takes = tuple({kind: None for step in steps for kind in step.takes})

    def is_current(self) -> bool:
        """Whether neither its workflow nor a child of it has changed since."""
        for program in self.family:  # noqa: SIM110  (it is asked before every run, and `all` takes thrice as long)
            if program.plans is not program.workflow.blueprint():
                return False
        return True

    @classmethod
    def of(cls, workflow: Definition[Any, Any], resources: Resources | Elsewhere) -> Program:
        """The program of the two, made if it is not known yet or the workflow has changed since.

        One whose resources are elsewhere tells what its runs are made of, and can't be run.

        Raises:
            DefinitionError: the workflow is wrong, or does not find its resources.
        """
        known: Program | None = resources.programs.get(workflow)
        if known is None or not known.is_current():
            workflow.validate()
            known = cls(workflow)
            known.bind(resources)
            if len(resources.programs) >= KNOWN:  # workflows that are made anew each time must not all be kept
                resources.programs.clear()
            resources.programs[workflow] = known
        return known

    def pack(self, data: Any) -> Any:
        """A run's data as they stand between its transitions.

        Raises:
            DataError: the data can't be written down.
        """
        return None if self.codec is None else self.codec.pack(data)

    def run(
        self,
        start: Enum,
        packed: Any,
        *,
        run_id: str,
        observers: Sequence[Observer],
        resources: Resources,
        parent: Run | None = None,
    ) -> Run:
        """A run of it that has not begun.

        Args:
            start: where it begins.
            packed: its data, packed.
            run_id: its id.
            observers: who is told of its events.
            resources: those of the program, with what was made for this run alone.
            parent: the run whose present state's work it is.
        """
        return Run(
            self.name, run_id, self.steps[start], size=self.size, limit=self.limit, codec=self.codec,
            packed=packed, observers=observers, resources=resources, takes=self.takes,
            compensation_timeout=self.workflow.compensation_timeout, parent=parent,
        )  # fmt: skip

    def bind_states(self, binder: Binder, way: str, problems: list[Problem]) -> None:
        """Settle what can be known of its own states; what is wrong with them is added to `problems`, with the way here."""
        for state, plan in self.plans.items():
            if state not in self.workflow.exits:
                self._bind(self.steps[state], plan, binder, way, problems)
        for state in self.workflow.exits:
            self.steps[state].status = RunStatus.COMPLETED
        for state in joined_states(self.plans):
            forget_results(self.steps[state])

    def _bind(self, step: Step, plan: Plan[Any], binder: Binder, way: str, problems: list[Problem]) -> None:
        node = plan.node
        step.plan, step.label = plan, node.name
        step.takes = message_types(plan.methods)
        step.edges = {id(edge.target): self.steps[edge.target] for edge in plan.edges if not edge.error}
        step.diversions = tuple((kind, self.steps[target]) for kind, target in node.on_error.items())
        try:
            ADVANCE[node.model.name](step, plan, binder)
        except CanoError as error:
            problems.append(
                Problem(
                    code="E13" if isinstance(error, ResourceError) else "E12",
                    place=f"{way}{step.state.name}",
                    message=f"{node.name}: {error}",
                    site=str(node.site),
                    hint="Pass it in Resources(...), or name one with Annotated[T, key].",
                )
            )
