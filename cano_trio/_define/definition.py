"""A workflow as the user defines it: states, tasks, and what they need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, Literal, Self, TypeAlias, cast, overload

from msgspec.structs import replace
from typing_extensions import TypeVar, Unpack, override

from .._errors import DefinitionError, Problem
from .batch import BatchOptions, BatchTask
from .blueprint import Plan, read_plan
from .branch import BRANCH, ITEM_BRANCH
from .checks import check_seconds
from .child import CHILD, ChildOptions, family, told_by_parent
from .compensatable import COMPENSATABLE_BRANCH, CompensatableOptions, CompensatableTask
from .config import TaskConfig, TaskOptions, is_chooser, settle_config
from .decorators import Decorators
from .edges import is_state, written
from .form import TaskForm
from .graph import draw
from .model import Model
from .node import Node, check_async, check_method, functions_of, misspelt_options, name_of, options_of, scope_of
from .poll import PollOptions, PollTask
from .receive import ReceiveOptions, ReceiveTask
from .resources import ResourceMap
from .site import Site
from .split import FIXED_SPLIT, Over, Split, SplitOptions
from .stream import StreamOptions, StreamTask
from .task import TASK
from .validate import find_problems

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)
C = TypeVar("C", bound=Enum)
E = TypeVar("E")


BRANCHES = {"task": BRANCH, "branch": BRANCH, "compensatable": COMPENSATABLE_BRANCH}
"""What a task object is as a branch, by its own model."""

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
        self._branches: dict[int, Node[S]] = {}
        """The declared branches, by the identity of their functions."""
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
            node = self._made(state.name, model, options, name=name_of(function), site=Site.of(function))
            self._add(state, node)
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
    def register(
        self, state: S, task: StreamTask[S, Any, Any, Any], /, **options: Unpack[StreamOptions[S]]
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
        if model is BRANCH:
            raise DefinitionError.one(
                "E15", state.name, f"{type(task).__name__} is a branch, which names no state", site=str(Site.here()),
                hint=f"Write workflow.register_split({written(state)}, Split.all([{type(task).__name__}(), ...], ...)).",
            )  # fmt: skip
        self._add(state, self._node_of(task, state.name, model, options_of(task) | options))

    def _node_of(self, task: TaskForm[Any], place: str, model: Model, options: Mapping[str, Any]) -> Node[S]:
        """A task object with its methods as a node of a model, which may be another than its own."""
        kind = type(task).__name__
        functions = functions_of(task)
        for method, function in functions.items():
            check_method(model, method, function, f"{kind}.{method}", place)
        site = Site.of(functions[model.methods[0].name])
        if misspelt := misspelt_options(task):
            raise DefinitionError.one(
                "E21", place, f"{kind} has no option {', '.join(misspelt)}", site=str(site),
                hint=f"Did you mean {', '.join(misspelt.values())}? None of its methods reads {' or '.join(misspelt)}.",
            )  # fmt: skip
        node = self._made(place, model, options, name=kind, site=site)
        node.task = task
        for method, function in functions.items():
            node.add(method, function, scope_of(task, method))
        return node

    def register_split(self, state: S, split: Split[S], /, **options: Unpack[SplitOptions[S]]) -> None:
        """Register branches that run at once in a state, and where the run goes on when they have come to enough.

        Args:
            state: the state in which they run.
            split: the branches, the rule that joins them, and the join state: `Split.all` and its like.
            options: see `SplitOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, or a branch is none.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import BranchResults, Split, Workflow
        >>> Step = Enum("Step", "ASK TAKE DONE")
        >>> workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
        >>> async def near() -> str:
        ...     return "near"
        >>> async def far() -> str:
        ...     await trio.sleep_forever()
        >>> workflow.register_split(Step.ASK, Split.any([near, far], Step.TAKE, timeout=5))
        >>> @workflow.task(Step.TAKE)
        ... async def take(results: BranchResults[str]) -> Literal[Step.DONE]:
        ...     print(results.successes, results.missing)
        ...     return Step.DONE
        >>> trio.run(workflow.orchestrate)
        {'0': 'near'} ('1',)
        <Step.DONE: 3>
        """
        self._check_state(state, "split")
        site = Site.here()
        if not isinstance(split, Split) or isinstance(split.branches, Over):
            raise DefinitionError.one(
                "E35", state.name, f"{split!r} is no split of known branches", site=str(site),
                hint="Pass Split.all(...) or its like; return Split.over(...) from a @workflow.split.",
            )  # fmt: skip
        node = self._made(state.name, FIXED_SPLIT, options, name=state.name, site=site)
        node.split = split
        node.branches = {str(name): self._branch_of(branch, state.name) for name, branch in split.branches.items()}
        self._add(state, node)

    def register_child(
        self,
        state: S,
        child: Definition[C, E],
        routes: Mapping[C, S],
        /,
        *,
        data: Callable[..., E] | None = None,
        result: Callable[..., None] | None = None,
        **options: Unpack[ChildOptions[S]],
    ) -> None:
        """Register another workflow to do the work of a state.

        It runs as a part of this run, in the same task and with the same resources and observers: a cancel reaches it, a
        message to the run finds its receiving states, and when this run is rolled back, what it did is undone in its turn.
        A child that fails has undone what it did; its failure is the state's. With ``on_failure="hold"`` it leaves that to
        this run. Its timeouts and its ``max_transitions`` are its own; its own resources are for when it runs by itself.

        A child of the same data type works on a copy of this run's data, and what it makes of them is taken over. Else
        `data` and `result` translate: plain functions, with injected parameters like a task's.

        It is checked and bound with this workflow, before the first state; a workflow may be its own child.

        Args:
            state: the state whose work it does.
            child: the workflow.
            routes: for each of its exits, the state in which this run goes on.
            data: makes the child's data.
            result: is given the child's data as they were left, and may write into this run's.
            options: see `ChildOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, or the child is no workflow.

        >>> from dataclasses import dataclass
        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Workflow
        >>> Pay = Enum("Pay", "CHARGE PAID")
        >>> Step = Enum("Step", "PAY DONE")
        >>> @dataclass
        ... class Payment:
        ...     amount: int
        ...     code: str = ""
        >>> @dataclass
        ... class Order:
        ...     total: int
        ...     paid_by: str = ""
        >>> payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], data=Payment)
        >>> @payment.task(Pay.CHARGE)
        ... async def charge(payment: Payment) -> Literal[Pay.PAID]:
        ...     payment.code = f"charged {payment.amount}"
        ...     return Pay.PAID
        >>> workflow = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], data=Order)
        >>> def keep(payment: Payment, order: Order) -> None:
        ...     order.paid_by = payment.code
        >>> workflow.register_child(
        ...     Step.PAY, payment, {Pay.PAID: Step.DONE}, data=lambda order: Payment(order.total), result=keep
        ... )
        >>> trio.run(workflow.run, Order(3)).data
        Order(total=3, paid_by='charged 3')
        """
        self._check_state(state, "register_child")
        site = Site.here()
        if not isinstance(child, Definition):
            raise DefinitionError.one(
                "E40", state.name, f"{child!r} is no workflow", hint="Pass the Workflow itself.", site=str(site)
            )
        if not isinstance(routes, Mapping):
            raise DefinitionError.one(
                "E40", state.name, f"routes is {routes!r}, not a mapping", site=str(site),
                hint="Map the child's exits to states.",
            )  # fmt: skip
        node = self._made(state.name, CHILD, options, name=child.name, site=site)
        node.child, node.routes = child, dict(routes)
        node.plain = {
            name: self._plain(function, name, state.name, site)
            for name, function in (("data", data), ("result", result))
            if function is not None
        }
        self._add(state, node)

    def _plain(self, function: Any, name: str, place: str, site: Site) -> Callable[..., Any]:
        if not is_chooser(function):
            raise DefinitionError.one(
                "E21", place, f"{name} is {function!r}: it takes a plain function", site=str(site),
                hint="Write `def`, not `async def`: what takes time is a state of its own.",
            )  # fmt: skip
        return cast("Callable[..., Any]", function)

    def _branch_of(self, branch: Any, place: str) -> Node[S]:
        """A branch of a fixed split: a task object, a declared function, or a plain one with the workflow's defaults."""
        if isinstance(branch, TaskForm):
            model = BRANCHES.get(branch.__model__.name)
            if model is None:
                kind = type(branch).__name__
                raise DefinitionError.one(
                    "E35", place, f"{kind} is a {branch.__model__.name}, which can't be a branch", site=str(Site.here()),
                    hint="A branch is an async function, a Task, a BranchTask or a CompensatableTask.",
                )  # fmt: skip
            given = {option: value for option, value in options_of(branch).items() if value is not None}
            return self._node_of(branch, place, model, given)
        if id(branch) in self._branches:
            return replace(self._branches[id(branch)], place=place, model=BRANCH)
        check_async(branch, name_of(branch), place)
        node = self._made(place, BRANCH, {}, name=name_of(branch), site=Site.of(branch))
        node.add("run", branch)
        return node

    @override
    def _declare(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        name = name_of(function)
        check_async(function, name, name)
        node = self._made(name, ITEM_BRANCH, options, name=name, site=Site.of(function))
        if earlier := next((known for known in self._branches.values() if known.name == node.name), None):
            raise DefinitionError.one(
                "E04", node.name, f"a branch of that name is declared already ({earlier.site})",
                hint="Give one of them another name.", site=str(node.site),
            )  # fmt: skip
        node.add("run", function)
        self._branches[id(function)] = node

    def _add(self, state: S, node: Node[S]) -> None:
        if state in self._nodes:
            raise DefinitionError.one(
                "E04", state.name, f"it already has the task {self._nodes[state].name} ({self._nodes[state].site})",
                hint="Take one away; to replace tasks in a test, use workflow.with_tasks({...}).", site=str(node.site),
            )  # fmt: skip
        self._nodes[state] = node
        self._changed()

    def _made(self, place: str, model: Model, options: Mapping[str, Any], *, name: str, site: Site) -> Node[S]:
        """A node under its own name, or what its options call it."""
        if options.get("name") is not None:
            name = options["name"]
        if unknown := options.keys() - model.options - model.knobs.keys():
            raise DefinitionError.one(
                "E21", place, f"{name} has no option {', '.join(sorted(unknown))}", site=str(site),
                hint=f"A {model.name} takes {', '.join(sorted(model.options | model.knobs.keys()))}.",
            )  # fmt: skip
        if not isinstance(name, str) or not name:
            raise DefinitionError.one(
                "E21", place, f"name is {name!r}: it takes a string that is not empty", site=str(site)
            )
        on_error = options.get("on_error")
        if not isinstance(on_error, Mapping | None):
            raise DefinitionError.one(
                "E20", place, f"on_error of {name} is {on_error!r}, not a mapping", site=str(site),
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
            raise DefinitionError.one("E21", place, f"{name}: {error.args[0]}", site=str(site)) from error
        return Node(
            place=place, model=model, name=name, site=site, config=config, knobs=knobs,
            on_error=dict(on_error or {}), changed=self._changed,
        )  # fmt: skip

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
        for node in new._nodes.values():  # noqa: SLF001
            if node.child is self:
                node.child = new
        new._branches = dict(self._branches)  # noqa: SLF001
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
        """All that is wrong with the definition, and what looks odd (severity ``warning``), in the order of the states.

        Those of its child workflows come last; their places are told with the way there, such as ``PAY/CHARGE``.
        """
        own = self._examined()[1]
        children = family(self)
        del children[self]
        theirs = [
            told_by_parent(problem, child, way)
            for child, way in children.items()
            for problem in child._examined()[1]  # noqa: SLF001  (of our own class)
        ]
        return (*own, *theirs) if theirs else own

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
            over = {
                node.name: read_plan(node, self.states, known, self.data, problems) for node in self._over_branches()
            }
            plans = {
                state: read_plan(node, self.states, known, self.data, problems, over)
                for state, node in self._nodes.items()
            }
            problems += find_problems(self.states, self.initial, self.exits, self.data, plans, str(self._site))
            places = {state.name: place for place, state in enumerate(self.states)}
            problems.sort(key=lambda problem: (places.get(problem.place, -1), problem.code))
            self._read = plans, tuple(problems)
        return self._read

    def _over_branches(self) -> list[Node[S]]:
        """The declared branches that no fixed split names: these are made once for each of some items."""
        fixed = {
            id(function)
            for node in self._nodes.values()
            for branch in node.branches.values()
            for function in branch.functions.values()
        }
        return [node for key, node in self._branches.items() if key not in fixed]

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
