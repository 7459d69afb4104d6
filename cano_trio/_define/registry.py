"""What was registered for a workflow's states: tasks, splits, child workflows, and declared branches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Any, Generic, cast, overload

from msgspec.structs import replace
from typing_extensions import TypeVar, Unpack, override

from .._errors import DefinitionError, Problem
from .batch import BatchOptions, BatchTask
from .blueprint import Plan
from .branch import BRANCH, ITEM_BRANCH
from .child import CHILD, ChildOptions
from .compensatable import COMPENSATABLE_BRANCH, CompensatableOptions, CompensatableTask
from .config import TaskConfig, TaskOptions, is_chooser, settle_config
from .decorators import Decorators
from .edges import is_state, written
from .form import TaskForm
from .model import Model
from .node import Node, check_async, check_method, functions_of, misspelt_options, name_of, options_of, scope_of
from .poll import PollOptions, PollTask
from .receive import ReceiveOptions, ReceiveTask
from .site import Site
from .split import FIXED_SPLIT, Over, Split, SplitOptions
from .stream import StreamOptions, StreamTask
from .task import TASK

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)
C = TypeVar("C", bound=Enum)
E = TypeVar("E")

BRANCHES = {"task": BRANCH, "branch": BRANCH, "compensatable": COMPENSATABLE_BRANCH}
"""What a task object is as a branch, by its own model."""


class Registry(Decorators[S], Generic[S, D]):
    """The states of a workflow with what does their work; `Definition` adds what makes a workflow of them."""

    name: str
    exits: frozenset[S]

    def __init__(self, states: type[S], initial: S, data: type[D] | None, defaults: TaskConfig) -> None:
        self.states = states
        self.initial = initial
        self.data = data
        self.defaults = defaults
        self._nodes: dict[S, Node[S]] = {}
        self._branches: dict[int, Node[S]] = {}
        """The declared branches, by the identity of their functions."""
        self._read: tuple[dict[S, Plan[S]], tuple[Problem, ...]] | None = None
        """All of it resolved, and what is wrong with it; None after a change."""
        self._unrecordable: tuple[Problem, ...] | None = None
        """What a journal couldn't write down; None if it has not been looked for, or after a change."""

    @abstractmethod
    def blueprint(self) -> Mapping[S, Plan[S]]:
        """Every state's functions and edges, resolved, right or wrong."""

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
        child: Registry[C, E],
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
        if not isinstance(child, Registry):
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
        self._read = self._unrecordable = None

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

    def _over_branches(self) -> list[Node[S]]:
        """The declared branches that no fixed split names: these are made once for each of some items."""
        fixed = {
            id(function)
            for node in self._nodes.values()
            for branch in node.branches.values()
            for function in branch.functions.values()
        }
        return [node for key, node in self._branches.items() if key not in fixed]
