"""What a user writes for one branch of a split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from typing_extensions import TypedDict

from .._resilience import Retry, RetryOn
from .config import Breaker, Limiter, OnOpen, TaskConfig
from .edges import paired_type
from .form import TaskForm
from .method import Method
from .model import MODEL_OPTIONS, MethodRule, Model
from .recorded import recorded_type

Out_co = TypeVar("Out_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, object]])

BRANCH_OPTIONS = MODEL_OPTIONS - {"on_error"}
"""A branch leads nowhere: its split does."""


def value_type(run: Method, *, receipt: bool = False) -> Any:
    """The type that a branch's results are written down as: `Any` where its annotation tells none.

    Args:
        run: its function.
        receipt: it can be undone (`MethodRule.receipt`): what counts is what it pairs with its receipts.
    """
    return recorded_type(paired_type(run.returns) if receipt else run.returns)


def item_type(run: Method) -> Any:
    """The type that the items of a declared branch are written down as: `Any` where its annotation tells none."""
    return recorded_type(*run.own)


def _recorded(methods: Mapping[str, Method], _: Mapping[str, Any]) -> Iterator[tuple[Method, str, Any]]:
    if run := methods.get("run"):
        yield run, "result", value_type(run)


def _recorded_over(methods: Mapping[str, Method], knobs: Mapping[str, Any]) -> Iterator[tuple[Method, str, Any]]:
    if run := methods.get("run"):
        yield run, "item", item_type(run)
        yield from _recorded(methods, knobs)


BRANCH = Model(name="branch", methods=(MethodRule(name="run"),), options=BRANCH_OPTIONS, recorded=_recorded)
ITEM_BRANCH = Model(
    name="branch",
    methods=(MethodRule(name="run", takes=("item",)),),
    options=BRANCH_OPTIONS,
    recorded=_recorded_over,
)
"""A branch of `Split.over`, made once for each item."""


class BranchOptions(TypedDict, total=False):
    """What `Workflow.branch` takes as keywords, and a `BranchTask` as attributes.

    Each overrides what `config` or the workflow's ``defaults`` say. They are those of `TaskConfig`, and:

    Args:
        name: the branch's name in messages; by default its function's or class's.
        config: all of `TaskConfig` at once.
    """

    name: str
    config: TaskConfig
    retry: Retry
    attempt_timeout: float
    retry_on: RetryOn
    breaker: Breaker
    limiter: Limiter
    on_open: OnOpen


class BranchTask(TaskForm[Enum], Generic[Out_co]):
    """One branch of a split, which returns any value; the class form of `Workflow.branch`.

    Its attributes are those of `Task`, but for ``on_error``: a branch leads nowhere, its split does. It may read the run's
    data, not change them: it speaks by what it returns.

    >>> from cano_trio import BranchTask, Retry
    >>> class Bid(BranchTask[float]):
    ...     retry = Retry.none()
    ...     def __init__(self, price):
    ...         self.price = price
    ...     async def run(self) -> float:
    ...         return self.price
    """

    __model__: ClassVar[Model] = BRANCH

    @abstractmethod
    async def run(self, *args: Any, **kwargs: Any) -> Out_co:
        """Do the branch's work; parameters are injected by their annotations."""


BranchLike: TypeAlias = "Callable[..., Coroutine[Any, Any, object]] | TaskForm[Any]"
"""An async function, or a task object whose `run` is called."""

Branches: TypeAlias = "Sequence[BranchLike] | Iterator[BranchLike] | Mapping[str, BranchLike]"
"""Branches by name, or in a row: these are named ``0``, ``1``, …"""


class BranchDecorator(Protocol):
    """What `Workflow.branch` with options returns."""

    def __call__(self, function: F, /) -> F:
        """Declare the function and return it as it is."""
        ...
