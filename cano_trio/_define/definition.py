"""A workflow as the user defines it: states, tasks, and what they need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, cast, runtime_checkable

from typing_extensions import TypeVar, override

from .._errors import DefinitionError, Problem
from .._journal.codec import JsonCodec
from .blueprint import Plan, read_plan
from .checks import check_seconds
from .child import family, told_by_parent
from .config import TaskConfig, is_chooser
from .data import check_data
from .durable import messages_alike, unrecordable, volatile_stores
from .edges import is_state, written
from .form import TaskForm
from .graph import draw
from .node import Node
from .registry import Registry
from .resources import ResourceMap
from .site import Site
from .validate import find_problems

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)
C = TypeVar("C", bound=Enum)
E = TypeVar("E")


OnFailure: TypeAlias = Literal["roll_back", "hold"]
"""What follows when a run fails for good."""

Migrate: TypeAlias = Callable[[int, str, Any], Any]
"""Makes of what an older version has written down what today's would have: see `Workflow`."""


@runtime_checkable
class StandIn(Protocol):
    """A task that goes where the one leads that it replaces."""

    def standing_in(self, place: str, targets: Collection[Any], /) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The function that replaces it, by the state's name and the states that it may lead to."""
        ...


class Definition(Registry[S, D], Generic[S, D]):
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
        accepts: Iterable[int] = (),
        migrate: Migrate | None = None,
        aliases: Mapping[str, S] | None = None,
    ) -> None:
        super().__init__(states, initial, data, TaskConfig() if defaults is None else defaults)
        self._site = Site.here()
        self._check_states()
        self.exits: frozenset[S] = frozenset(self._members(exits))
        self.name: str = states.__name__ if name is None else name
        self.version = version
        self.resources = resources
        self.timeout = timeout
        self.compensation_timeout = compensation_timeout
        self.on_failure: OnFailure = on_failure
        self.max_transitions = max_transitions
        self.migrate: Migrate | None = migrate
        self._check_arguments()
        self.accepts: frozenset[int] = frozenset(self._older(accepts))
        self.aliases: Mapping[str, S] = self._renamed({} if aliases is None else aliases)

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
        if self.migrate is not None and not is_chooser(self.migrate):
            raise self._refused(
                "E03", f"migrate is {self.migrate!r}",
                "Pass a plain function, such as `def migrate(version, kind, raw): return raw`.",
            )  # fmt: skip
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

    def _older(self, accepts: object) -> list[int]:
        given = list(accepts) if isinstance(accepts, Iterable) and not isinstance(accepts, str) else None
        if given is None or not all(type(version) is int and 1 <= version < self.version for version in given):
            shown = accepts if given is None else given
            raise self._refused(
                "E03", f"accepts is {shown!r}: it takes versions before this one, which is {self.version}",
                "Pass a list, such as accepts=[1] beside version=2.",
            )  # fmt: skip
        return cast("list[int]", given)

    def _renamed(self, aliases: object) -> dict[str, S]:
        if not isinstance(aliases, Mapping):
            raise self._refused(
                "E03", f"aliases is {aliases!r}, not a mapping", 'Map old names to states: {"OLD": Step.NEW}.'
            )
        for name, state in aliases.items():
            if not isinstance(name, str) or not is_state(state, self.states):
                raise self._refused(
                    "E03", f"aliases has {name!r}: {state!r}",
                    f'Map old names to members of {self.states.__name__}, such as {{"OLD": {written(self.initial)}}}.',
                )  # fmt: skip
            if name in self.states.__members__:
                raise self._refused(
                    "E03", f"aliases has {name!r}, which {self.states.__name__} has itself",
                    "A state that is there goes by its own name: name one that is gone.",
                )  # fmt: skip
        return dict(aliases)

    def _refused(self, code: str, message: str, hint: str) -> DefinitionError:
        return DefinitionError.one(code, "workflow", message, hint=hint, site=str(self._site))

    def with_tasks(self, tasks: Mapping[S, TaskForm[S] | Callable[..., Coroutine[Any, Any, S]]], /) -> Self:
        """A new workflow with other tasks for some states, for tests; this one stays as it is.

        Args:
            tasks: task objects or async functions by state. A function takes over the options of the one it replaces, and a
                `cano_trio.testing.FakeTask` its edges, too.

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
        for state, given in tasks.items():
            old = new._without(state)  # noqa: SLF001  (of our own class)
            task = self._standing_in(state, given) if isinstance(given, StandIn) else given
            if isinstance(task, TaskForm):
                new.register(state, task)
            else:
                new.register(state, task, config=old.config, on_error=old.on_error)
        return new

    def _standing_in(self, state: S, task: StandIn) -> Callable[..., Coroutine[Any, Any, Any]]:
        return task.standing_in(state.name, self.blueprint()[state].targets)

    def _copy(self) -> Self:
        new = copy.copy(self)
        new._changed()  # noqa: SLF001  (of our own class)
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

    # -- what has been written down

    def packed(self, data: object, /) -> bytes:
        """The data of a run as a journal keeps them.

        Raises:
            DataTypeMismatch: they are not of the workflow's type.
            DataNotEncodable: they can't be written down.
        """
        check_data(self.name, self.data, data)
        return b"" if self.data is None else JsonCodec(self.data).pack(cast("Any", data))

    def accepts_version(self, stored: int) -> bool:
        """Whether runs that a version has begun are gone on with: its own, and the older ones that it names.

        With ``migrate`` given and ``accepts`` left out these are all of them.

        Args:
            stored: the version that wrote the run.

        >>> from enum import Enum
        >>> from cano_trio import Workflow
        >>> Step = Enum("Step", "WORK DONE")
        >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], version=3, accepts=[2])
        >>> [workflow.accepts_version(version) for version in (1, 2, 3, 4)]
        [False, True, True, False]
        """
        every_older = self.migrate is not None and not self.accepts
        return stored == self.version or stored in self.accepts or (every_older and stored < self.version)

    def state_named(self, name: str) -> S | None:
        """The state of a name: as it is called, or as it was (``aliases``); None if there is none.

        Args:
            name: the name that was written down.

        >>> from enum import Enum
        >>> from cano_trio import Workflow
        >>> Step = Enum("Step", "FETCH DONE")
        >>> workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], aliases={"LOAD": Step.FETCH})
        >>> workflow.state_named("DONE"), workflow.state_named("LOAD"), workflow.state_named("PARSE")
        (<Step.DONE: 2>, <Step.FETCH: 1>, None)
        """
        found = self.states.__members__.get(name)
        return found if is_state(found, self.states) else self.aliases.get(name)

    # -- reading

    @override
    def blueprint(self) -> Mapping[S, Plan[S]]:
        """Every state's functions and edges, resolved, right or wrong."""
        return self._examined()[0]

    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with the definition, and what looks odd (severity ``warning``), in the order of the states.

        Those of its child workflows come last; their places are told with the way there, such as ``PAY/CHARGE``.
        """
        return self._with_children(lambda one: one._examined()[1])  # noqa: SLF001  (of our own class)

    def journal_problems(self, resources: ResourceMap | None = None) -> tuple[Problem, ...]:
        """All that stands in the way of running it with a journal, besides its `problems`.

        These are parts of the data, of batch items, of results of branches and of messages that JSON can't hold (E24);
        types of messages with the same name (E25); and tasks that take a `MemoryStore` (E26). What has no annotation is
        only known when it is written down. Places are told as in `problems`.

        Args:
            resources: what its tasks will work with, instead of the workflow's own.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> from cano_trio import MemoryStore, Resources, Workflow
        >>> Step = Enum("Step", "COUNT DONE")
        >>> workflow = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE])
        >>> @workflow.task(Step.COUNT)
        ... async def count(store: MemoryStore) -> Literal[Step.DONE]:
        ...     return Step.DONE
        >>> for problem in workflow.journal_problems(Resources(store=MemoryStore())):
        ...     print(problem.code, problem.message)
        E26 count: the resource 'store' is a volatile store, which a crash would empty
        >>> workflow.journal_problems(Resources(store=MemoryStore(volatile_ok=True)))
        ()
        """
        ways = family(self)
        given = self.resources if resources is None else resources
        return (
            *self._with_children(lambda one: one._examined_for_journal()),  # noqa: SLF001  (of our own class)
            *messages_alike(ways),
            *(() if given is None else volatile_stores(ways, given)),
        )

    def _with_children(self, found: Callable[[Definition[Any, Any]], tuple[Problem, ...]]) -> tuple[Problem, ...]:
        """What is found in it, and what is found in its child workflows, told with the way there."""
        own = found(self)
        children = family(self)
        del children[self]
        theirs = [told_by_parent(problem, child, way) for child, way in children.items() for problem in found(child)]
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
            self._read = plans, self._in_order(problems)
        return self._read

    def _examined_for_journal(self) -> tuple[Problem, ...]:
        """What a journal couldn't write down of it."""
        if self._unrecordable is None:
            self._unrecordable = self._in_order(unrecordable(self.data, self.blueprint(), str(self._site)))
        return self._unrecordable

    def _in_order(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        places = {state.name: place for place, state in enumerate(self.states)}
        return tuple(sorted(problems, key=lambda problem: (places.get(problem.place, -1), problem.code)))

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
    # Asked before every run: `ResourceMap | None` would be made anew each time.
    if given is not None and not isinstance(given, ResourceMap):
        written_as = "Resources({...})" if isinstance(given, Mapping) else "Resources(...)"
        raise DefinitionError.one(
            "E03", "workflow", f"resources is of type {type(given).__name__}", hint=f"Pass {written_as}.", site=site
        )
