"""A workflow as the user defines it: states, tasks, and what they need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, Literal, Self, TypeAlias, cast, overload

from typing_extensions import TypeVar, Unpack, override

from .._errors import DefinitionError, Problem
from .batch import BatchOptions, BatchTask
from .blueprint import Plan, read_plan
from .checks import check_seconds
from .compensatable import CompensatableOptions, CompensatableTask
from .config import TaskConfig, TaskOptions, settle_config
from .decorators import Decorators
from .edges import is_state, written
from .form import TaskForm
from .graph import draw
from .model import Model
from .node import MODEL_OPTIONS, Node, check_async, functions_of, misspelt_options, name_of, options_of, scope_of
from .poll import PollOptions, PollTask
from .receive import ReceiveOptions, ReceiveTask
from .resources import ResourceMap
from .site import Site
from .task import TASK
from .validate import find_problems

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)


OnFailure: TypeAlias = Literal["roll_back", "hold"]
"""What follows when a run fails for good."""


class Definition(Decorators[S], Generic[S, D]):
    """What a workflow is; `Workflow` adds how it is run. See there."""

    def __init__(
        self,
        states: type[S],
        *,
        initial: S,
        exits: Iterable[S],
        name: str | None = None,
        version: int = 1,
        data: type[D] | None = None,
        resources: ResourceMap | None = None,
        defaults: TaskConfig | None = None,
        timeout: float | None = None,
        compensation_timeout: float = 30.0,
        on_failure: OnFailure = "roll_back",
        max_transitions: int | None = None,
    ) -> None:
        self._site = Site.here()
        self.states = states
        self._check_states()
        self.initial = initial
        self.exits: frozenset[S] = frozenset(self._members(exits))
        self.name: str = states.__name__ if name is None else name
        self.version = version
        self.data = data
        self.resources = resources
        self.defaults: TaskConfig = TaskConfig() if defaults is None else defaults
        self.timeout = timeout
        self.compensation_timeout = compensation_timeout
        self.on_failure: OnFailure = on_failure
        self.max_transitions = max_transitions
        self._nodes: dict[S, Node[S]] = {}
        self._read: tuple[dict[S, Plan[S]], tuple[Problem, ...]] | None = None
        self._check_arguments()

    def _check_states(self) -> None:
        if not (isinstance(self.states, type) and issubclass(self.states, Enum)):
            raise self._refused("E03", f"states is {self.states!r}, not an Enum class", "Pass the class itself.")
        if not list(self.states):
            raise self._refused("E03", f"{self.states.__name__} has no members", "Give it one for each state.")
        try:
            frozenset(self.states)
        except TypeError as error:
            raise self._refused(
                "E03", f"the members of {self.states.__name__} can't be hashed: {error}",
                "It defines __eq__ without __hash__: write __hash__ = Enum.__hash__ into it, or take __eq__ out.",
            ) from error  # fmt: skip

    def _members(self, exits: object) -> list[S]:
        # An Enum class is iterable, too, but who passes it has forgotten to choose; and a StrEnum's member is a str.
        given = list(exits) if isinstance(exits, Iterable) and not isinstance(exits, (str, type)) else None
        if given is None or not all(is_state(state, self.states) for state in given):
            raise self._refused(
                "E03", f"exits is {exits if given is None else given!r}: it takes members of {self.states.__name__}",
                f"Pass a list, such as exits=[{written([*self.states][-1])}].",
            )  # fmt: skip
        return cast("list[S]", given)

    def _check_arguments(self) -> None:
        if not is_state(self.initial, self.states):
            raise self._refused(
                "E03", f"the initial state {self.initial!r} is no member of {self.states.__name__}",
                f"Pass a member, such as {written(next(iter(self.states)))}.",
            )  # fmt: skip
        if not isinstance(self.name, str) or not self.name:
            raise self._refused("E03", f"name is {self.name!r}", "Pass a string that is not empty, or leave it out.")
        if not isinstance(self.defaults, TaskConfig):
            raise self._refused("E03", f"defaults is {self.defaults!r}", "Pass a TaskConfig(...).")
        check_resources(self.resources, str(self._site))
        if isinstance(self.version, bool) or not isinstance(self.version, int) or self.version < 1:
            raise self._refused("E03", f"version is {self.version!r}", "Count versions from 1.")
        self._check_times()
        limit = self.max_transitions
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise self._refused("E03", f"max_transitions is {limit!r}", "Pass a positive whole number, or None.")

    def _check_times(self) -> None:
        try:
            if self.timeout is not None:
                check_seconds("timeout", self.timeout)
            check_seconds("compensation_timeout", self.compensation_timeout)
        except ValueError as error:
            raise self._refused("E03", str(error), "Seconds, as a number.") from None
        if self.on_failure not in ("roll_back", "hold"):
            raise self._refused("E03", f"on_failure is {self.on_failure!r}", "Pass 'roll_back' or 'hold'.")

    def _refused(self, code: str, message: str, hint: str) -> DefinitionError:
        return DefinitionError.one(code, "workflow", message, hint=hint, site=str(self._site))

    # -- registering

    @override
    def _decorator(
        self, state: S, model: Model, options: Mapping[str, Any], wrap: Callable[..., Any] | None = None
    ) -> Callable[[Callable[..., Any]], Any]:
        self._check_state(state, model.name)

        def decorate(function: Callable[..., Any]) -> Any:
            check_async(function, name_of(function), state.name)
            node = self._add(state, model, options, name=name_of(function), site=Site.of(function))
            node.add(model.methods[0].name, function)
            return function if wrap is None else wrap(function, node)

        return decorate

    @overload
    def register(self, state: S, task: BatchTask[S, Any, Any], /, **options: Unpack[BatchOptions[S]]) -> None: ...
    @overload
    def register(self, state: S, task: PollTask[S], /, **options: Unpack[PollOptions[S]]) -> None: ...
    @overload
    def register(self, state: S, task: ReceiveTask[S, Any], /, **options: Unpack[ReceiveOptions[S]]) -> None: ...
    @overload
    def register(
        self, state: S, task: CompensatableTask[S, Any], /, **options: Unpack[CompensatableOptions[S]]
    ) -> None: ...
    @overload
    def register(self, state: S, task: TaskForm[S], /, **options: Unpack[TaskOptions[S]]) -> None: ...
    @overload
    def register(
        self, state: S, task: Callable[..., Coroutine[Any, Any, S]], /, **options: Unpack[TaskOptions[S]]
    ) -> None: ...
    def register(self, state: S, task: Any, /, **options: Any) -> None:
        """Register a task object, or a plain async function, for a state; the model is known by the class.

        Args:
            state: the state whose work it does.
            task: an instance of a task class, or an async function.
            options: see `TaskOptions`; and for its model's own the decorator's. They override the attributes of a
                task object.

        Raises:
            DefinitionError: the state is foreign or taken, or the task is not one.
        """
        model = TASK if not isinstance(task, TaskForm) else task.__model__
        self._check_state(state, model.name)
        if not isinstance(task, TaskForm):
            if isinstance(task, type):
                raise DefinitionError.one(
                    "E15", state.name, f"{task.__name__} is a class, not a task",
                    hint=f"Register an instance: {task.__name__}().", site=str(Site.here()),
                )  # fmt: skip
            self._decorator(state, TASK, options)(task)
            return
        kind = type(task).__name__
        functions = functions_of(task)
        for method, function in functions.items():
            check_async(function, f"{kind}.{method}", state.name)
        site = Site.of(functions[model.methods[0].name])
        if misspelt := misspelt_options(task):
            raise DefinitionError.one(
                "E21", state.name, f"{kind} has no option {', '.join(misspelt)}", site=str(site),
                hint=f"Did you mean {', '.join(misspelt.values())}? None of its methods reads {' or '.join(misspelt)}.",
            )  # fmt: skip
        node = self._add(state, model, options_of(task) | options, name=kind, site=site)
        node.task = task
        for method, function in functions.items():
            node.add(method, function, scope_of(task, method))

    def _add(self, state: S, model: Model, options: Mapping[str, Any], *, name: str, site: Site) -> Node[S]:
        """Take a task under its own name, or what its options call it."""
        if options.get("name") is not None:
            name = options["name"]
        if state in self._nodes:
            raise DefinitionError.one(
                "E04", state.name, f"it already has the task {self._nodes[state].name} ({self._nodes[state].site})",
                hint="Take one away; to replace tasks in a test, use workflow.with_tasks({...}).", site=str(site),
            )  # fmt: skip
        if unknown := options.keys() - MODEL_OPTIONS - model.knobs.keys():
            raise DefinitionError.one(
                "E21", state.name, f"{name} has no option {', '.join(sorted(unknown))}", site=str(site),
                hint=f"A {model.name} takes {', '.join(sorted(MODEL_OPTIONS | model.knobs.keys()))}.",
            )  # fmt: skip
        if not isinstance(name, str) or not name:
            raise DefinitionError.one(
                "E21", state.name, f"name is {name!r}: it takes a string that is not empty", site=str(site)
            )
        on_error = options.get("on_error")
        if not isinstance(on_error, Mapping | None):
            raise DefinitionError.one(
                "E20", state.name, f"on_error of {name} is {on_error!r}, not a mapping", site=str(site),
                hint="Map exception types to states, such as {OSError: Step.FAILED}.",
            )  # fmt: skip
        knobs = {
            knob: default if options.get(knob) is None else options[knob] for knob, (default, _) in model.knobs.items()
        }
        try:
            for knob, (_, check) in model.knobs.items():
                check(knob, knobs[knob])
            config = settle_config(options, self.defaults, retries=model.retries)
        except (ValueError, TypeError) as error:
            raise DefinitionError.one("E21", state.name, f"{name}: {error.args[0]}", site=str(site)) from error
        node = self._nodes[state] = Node(
            state=state, model=model, name=name, site=site, config=config, knobs=knobs,
            on_error=dict(on_error or {}), changed=self._changed,
        )  # fmt: skip
        self._changed()
        return node

    def _changed(self) -> None:
        self._read = None

    def _check_state(self, state: object, decorator: str) -> None:
        if not is_state(state, self.states):
            hint = (
                f"Write @workflow.{decorator}({written(self.initial)})."
                if callable(state)
                else f"Pass a member of {self.states.__name__}."
            )
            raise DefinitionError.one(
                "E22", "workflow", f"{state!r} is no state of {self.states.__name__}", hint=hint, site=str(Site.here())
            )

    def with_tasks(self, tasks: Mapping[S, TaskForm[S] | Callable[..., Coroutine[Any, Any, S]]], /) -> Self:
        """A new workflow with other tasks for some states, for tests; this one stays as it is.

        Args:
            tasks: task objects or async functions by state. A function takes over the options of the one it replaces.

        Raises:
            DefinitionError: a state has no task to replace, or a task is none.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Workflow
        >>> Step = Enum("Step", "CHARGE DONE")
        >>> workflow = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
        >>> @workflow.task(Step.CHARGE)
        ... async def charge() -> Literal[Step.DONE]:
        ...     raise OSError("no network in a test")
        >>> async def fake() -> Literal[Step.DONE]:
        ...     return Step.DONE
        >>> trio.run(workflow.with_tasks({Step.CHARGE: fake}).orchestrate)
        <Step.DONE: 2>
        """
        new = self._copy()
        for state, task in tasks.items():
            old = new._without(state)  # noqa: SLF001  (of our own class)
            if isinstance(task, TaskForm):
                new.register(state, task)
            else:
                new.register(state, task, config=old.config, on_error=old.on_error)
        return new

    def _copy(self) -> Self:
        new = copy.copy(self)
        new._read = None  # noqa: SLF001  (of our own class)
        # Nodes of its own: what is hung on this one's functions from now on is none of the copy's business.
        new._nodes = {state: node.copied(new._changed) for state, node in self._nodes.items()}  # noqa: SLF001
        return new

    def _without(self, state: S) -> Node[S]:
        if state not in self._nodes:
            raise self._refused("E07", f"{state!r} has no task to replace", "Name a state that has one.")
        return self._nodes.pop(state)

    # -- reading

    def blueprint(self) -> Mapping[S, Plan[S]]:
        """Every state's functions and edges, resolved, right or wrong."""
        return self._examined()[0]

    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with the definition, and what looks odd (severity ``warning``), in the order of the states."""
        return self._examined()[1]

    def validate(self) -> None:
        """Check the whole definition; done by itself before the first run, and again after a change.

        Raises:
            DefinitionError: with all problems at once, each with a code and a hint.
        """
        if errors := [problem for problem in self.problems() if problem.severity == "error"]:
            raise DefinitionError(errors)

    def _examined(self) -> tuple[dict[S, Plan[S]], tuple[Problem, ...]]:
        if self._read is None:
            problems: list[Problem] = []
            known = [state for state in self.states if state in self._nodes or state in self.exits]
            plans = {
                state: read_plan(node, self.states, known, self.data, problems) for state, node in self._nodes.items()
            }
            problems += find_problems(self.states, self.initial, self.exits, self.data, plans, str(self._site))
            places = {state.name: place for place, state in enumerate(self.states)}
            problems.sort(key=lambda problem: (places.get(problem.place, -1), problem.code))
            self._read = plans, tuple(problems)
        return self._read

    def __format__(self, form: str) -> str:
        """The workflow drawn: ``f"{workflow:mermaid}"``, ``dot`` or ``ascii``.

        Raises:
            ValueError: another form is asked for.
        """
        return draw(self, form) if form else repr(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Notebooks draw it."""
        return {"text/plain": draw(self, "ascii"), "text/vnd.mermaid": draw(self, "mermaid")}

    def __repr__(self) -> str:
        """Its name, its size and where it is defined."""
        return f"<{type(self).__name__} {self.name!r} of {len(self._nodes)} tasks, {self._site}>"


def check_resources(given: object, site: str = "") -> None:
    """Refuse what is neither None nor a map of resources.

    Raises:
        DefinitionError: it is something else, such as a plain dict.
    """
    if not isinstance(given, ResourceMap | None):
        written_as = "Resources({...})" if isinstance(given, Mapping) else "Resources(...)"
        raise DefinitionError.one(
            "E03", "workflow", f"resources is of type {type(given).__name__}", hint=f"Pass {written_as}.", site=site
        )
