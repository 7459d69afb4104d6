"""What a user writes for a split: branches at once, a rule that joins them, and where that leads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, final

import msgspec
from typing_extensions import TypedDict

from .branch import Branches, BranchLike
from .checks import check_count, check_seconds
from .edges import is_state
from .fault import Fault
from .form import S_co, TaskForm
from .join_rule import JoinRule
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
Item = TypeVar("Item")
P = ParamSpec("P")

_ALL = JoinRule.all()


@final
class Over(msgspec.Struct, frozen=True):
    """One branch made once for each of some items.

    Args:
        branch: the function that was declared by `Workflow.branch`.
        items: the items by the names of their branches.
    """

    branch: Callable[..., Coroutine[Any, Any, object]]
    items: Mapping[str, Any]


@final
class Split(msgspec.Struct, Generic[S_co], frozen=True):
    """Branches that run at once, the rule that joins them, and the state that follows: see `Workflow.register_split`.

    Made by the class's own functions, which each name a rule. A verdict is given as soon as it is certain, success or
    failure; the other branches are then cancelled, and have stopped before the run goes on. With ``collect=True`` all finish
    first. At the timeout the rule is judged on what has finished. A split that fails raises `SplitFailed`.

    Args:
        branches: the branches by name, or what they are made over.
        then: the join state.
        rule: when they have come to enough.
        timeout: seconds for all of it, waiting for the bulkhead included.
        bulkhead: how many branches at once; all by default.

    >>> from enum import Enum
    >>> from cano_trio import Split
    >>> Step = Enum("Step", "ASK MERGE")
    >>> async def fast() -> int: ...
    >>> async def slow() -> int: ...
    >>> Split.any([fast, slow], Step.MERGE, timeout=5)
    <Split any of 2 branches within 5 s, then MERGE>
    """

    branches: Mapping[str, BranchLike] | Over
    then: S_co
    rule: JoinRule
    timeout: float | None
    bulkhead: int | None

    @staticmethod
    def all(
        branches: Branches, then: S, *, collect: bool = False, timeout: float | None = None, bulkhead: int | None = None
    ) -> Split[S]:
        """Every branch must succeed.

        Args:
            branches: async functions with injected parameters, or task objects; in a row, or by name.
            then: the join state.
            collect: let all branches finish, and judge then.
            timeout: seconds after which the rule is judged on what has finished.
            bulkhead: how many branches at once.
        """
        return Split(_named(branches), then, JoinRule.all(collect=collect), timeout, bulkhead)

    @staticmethod
    def any(
        branches: Branches, then: S, *, collect: bool = False, timeout: float | None = None, bulkhead: int | None = None
    ) -> Split[S]:
        """One branch must succeed (arguments as `all`'s)."""
        return Split(_named(branches), then, JoinRule.any(collect=collect), timeout, bulkhead)

    @staticmethod
    def quorum(
        branches: Branches,
        n: int,
        then: S,
        *,
        collect: bool = False,
        timeout: float | None = None,
        bulkhead: int | None = None,
    ) -> Split[S]:
        """`n` branches must succeed (other arguments as `all`'s).

        With ``collect=True`` `n` may be 0: all branches finish, and it is met whatever becomes of them.
        """
        return Split(_named(branches), then, JoinRule.quorum(n, collect=collect), timeout, bulkhead)

    @staticmethod
    def percentage(
        branches: Branches,
        p: float,
        then: S,
        *,
        collect: bool = False,
        timeout: float | None = None,
        bulkhead: int | None = None,
    ) -> Split[S]:
        """The part `p` of the branches, above 0 and up to 1, must succeed; rounded up (other arguments as `all`'s)."""
        return Split(_named(branches), then, JoinRule.percentage(p, collect=collect), timeout, bulkhead)

    @staticmethod
    def by_deadline(
        branches: Branches, then: S, *, timeout: float, least: int = 0, bulkhead: int | None = None
    ) -> Split[S]:
        """What has finished by the timeout counts: at least one branch, well or badly (other arguments as `all`'s).

        Args:
            branches: as `all`'s.
            then: the join state.
            timeout: seconds after which branches are cut off; it ends sooner if all have finished.
            least: how many must have succeeded.
            bulkhead: how many branches at once.
        """
        return Split(_named(branches), then, JoinRule.by_deadline(least), timeout, bulkhead)

    @staticmethod
    def over(
        branch: Callable[Concatenate[Item, P], Coroutine[Any, Any, object]],
        items: Sequence[Item] | Mapping[str, Item],
        then: S,
        *,
        rule: JoinRule = _ALL,
        timeout: float | None = None,
        bulkhead: int | None = None,
    ) -> Split[S]:
        """One branch for each item, decided while the workflow runs: what a `Workflow.split` or a `SplitTask` may return.

        Items are data: each attempt at a branch gets a copy of its own. There may be none at all, which is enough for every
        rule but those that ask for a number of successes.

        Args:
            branch: a function declared by `Workflow.branch`, which takes an item first.
            items: the items; in a row, or by the names of their branches.
            then: the join state.
            rule: when they have come to enough; by default when all have succeeded.
            timeout: seconds after which the rule is judged on what has finished.
            bulkhead: how many branches at once.
        """
        if isinstance(items, str | bytes) or not isinstance(items, Sequence | Mapping):
            raise TypeError(f"Split.over was given the items {items!r}. Pass a list, or a dict of names.")
        if not isinstance(rule, JoinRule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"Split.over was given the rule {rule!r}. Pass a JoinRule, such as JoinRule.quorum(2).")
        return Split(Over(branch, _named(items)), then, rule, timeout, bulkhead)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its branches."""
        return tuple(self.branches.items if isinstance(self.branches, Over) else self.branches)

    @property
    def text(self) -> str:
        """What it waits for, in words."""
        late = "" if self.timeout is None else f" within {self.timeout:g} s"
        at_once = "" if self.bulkhead is None else f", {self.bulkhead} at once"
        return f"{self.rule.text(len(self.names))}{late}{at_once}"

    def faults(self, states: type[Enum]) -> Iterator[Fault]:
        """What is wrong with it, whatever its branches are."""
        fixed = not isinstance(self.branches, Over)
        if fixed and not self.branches:
            yield Fault("E30", "it has no branches", "Name some, or lead past it.")
        yield from self.rule.faults(len(self.names) if fixed else None)
        try:
            if self.timeout is not None:
                check_seconds("timeout", self.timeout)
            if self.bulkhead is not None:
                check_count("bulkhead", self.bulkhead, least=1)
        except ValueError as error:
            yield Fault("E32", str(error), "Leave it out for no limit.")
        if self.timeout is None and self.rule.name == "by_deadline":
            yield Fault("E32", "it is joined by its deadline, but has none", "Pass timeout=, in seconds.")
        for name in self.names:
            if not isinstance(name, str) or not name or "/" in name:
                yield Fault("E33", f"a branch is called {name!r}", "Name it by a string without / that is not empty.")
        if not is_state(self.then, states):
            yield Fault(
                "E34", f"it joins at {self.then!r}, which is no state", f"Pass a member of {states.__name__} as then."
            )

    def __repr__(self) -> str:
        """Its rule, and where it leads."""
        return f"<Split {self.text}, then {getattr(self.then, 'name', self.then)}>"


def _named(values: Any) -> dict[str, Any]:
    """What was given by name, or in a row: then its place is its name."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"a split was given the branches {values!r}. Pass a list, or a dict of names.")
    return dict(values) if isinstance(values, Mapping) else {str(at): value for at, value in enumerate(values)}


FIXED_SPLIT = Model(name="fixed split", methods=(), options=frozenset({"name", "on_error"}))
"""What `Workflow.register_split` registers: its branches have attempts, itself has none."""

SPLIT = Model(name="split", methods=(MethodRule(name="split", names_state=True, writes=True, also=(Split,)),))


class SplitOptions(TypedDict, Generic[S], total=False):
    """What `Workflow.register_split` takes as keywords.

    Args:
        name: the split's name in events and errors; by default its state's.
        on_error: where a failure leads: `SplitFailed`, to begin with.
    """

    name: str
    on_error: Mapping[type[Exception], S]


class SplitTask(TaskForm[S_co]):
    """Decides while the workflow runs which branches there are, or names the next state; the class form of `Workflow.split`.

    Its options hold for `split` alone; the branches have those of the declared branch, and are joined after it.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import BranchResults, Split, SplitTask, Workflow
    >>> Step = Enum("Step", "PLAN SUM DONE")
    >>> workflow = Workflow(Step, initial=Step.PLAN, exits=[Step.DONE])
    >>> @workflow.branch
    ... async def square(number: int) -> int:
    ...     return number * number
    >>> class Plan(SplitTask[Step]):
    ...     async def split(self) -> Split[Literal[Step.SUM]]:
    ...         return Split.over(square, [1, 2, 3], Step.SUM)
    >>> workflow.register(Step.PLAN, Plan())
    >>> @workflow.task(Step.SUM)
    ... async def add(squares: BranchResults[int]) -> Literal[Step.DONE]:
    ...     print(squares.successes)
    ...     return Step.DONE
    >>> trio.run(workflow.orchestrate)
    {'0': 1, '1': 4, '2': 9}
    <Step.DONE: 3>
    """

    __model__: ClassVar[Model] = SPLIT

    @abstractmethod
    async def split(self, *args: Any, **kwargs: Any) -> S_co | Split[S_co]:
        """Return `Split.over`, or name the next state."""


class SplitDecorator(Protocol[S]):
    """What `Workflow.split` returns."""

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, S | Split[S]]], /
    ) -> Callable[P, Coroutine[Any, Any, S | Split[S]]]:
        """Register the function and return it as it is."""
        ...
