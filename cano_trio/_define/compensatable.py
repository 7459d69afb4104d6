"""What a user writes for work that can be undone: one step of a saga."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, final

from .._resilience import Retry
from .branch import BRANCH_OPTIONS, value_type
from .checks import check_seconds
from .compatible import compatible, name_of
from .config import TaskOptions, check_retry
from .edges import receipt_type
from .form import S_co, TaskForm
from .function import TaskFunction
from .method import UNKNOWN, Method, is_any
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
Receipt = TypeVar("Receipt")
P = ParamSpec("P")
Q = ParamSpec("Q")


def _check_bound(name: str, value: Any) -> None:
    if value is not None:
        check_seconds(name, value)


def _check_types(methods: Mapping[str, Method], generics: Mapping[str, Any]) -> Iterator[tuple[Method, str]]:
    """The receipt that `run` returns, the one that `compensate` takes, and the one the class names are of one type."""
    run, compensate = methods.get("run"), methods.get("compensate")
    if run is None or run.returns is UNKNOWN:
        return
    given = receipt_type(run.returns)
    if given is None:
        yield run, "it returns no receipt. Return (state, receipt), such as -> tuple[Literal[Step.DONE], Receipt]"
        return
    named = generics.get("receipt", UNKNOWN)
    if not compatible(given, named):
        yield run, f"its receipt is a {name_of(given)}, but the class names {name_of(named)}"
    if compensate is not None and compensate.own and not compatible(given, compensate.own[0]):
        yield compensate, f"it takes a {name_of(compensate.own[0])}, but {run.label} gives a {name_of(given)}"


def kept_type(run: Method) -> Any:
    """The type that receipts are written down as: `Any` where the annotation tells none."""
    given = receipt_type(run.returns)
    return Any if given is None or is_any(given) else given


def _kept(methods: Mapping[str, Method]) -> Iterator[tuple[Method, str, Any]]:
    if run := methods.get("run"):
        yield run, "receipt", kept_type(run)


def _recorded(methods: Mapping[str, Method], _: Mapping[str, Any]) -> Iterator[tuple[Method, str, Any]]:
    if run := methods.get("run"):
        yield run, "result", value_type(run, receipt=True)


COMPENSATABLE = Model(
    name="compensatable",
    methods=(
        MethodRule(name="run", names_state=True, writes=True, receipt=True),
        MethodRule(name="compensate", takes=("receipt",), writes=True, undoes=True),
        MethodRule(name="compensate_in_doubt", required=False, writes=True, undoes=True),
    ),
    knobs={
        "compensate_retry": (Retry(), check_retry),
        "compensate_timeout": (None, _check_bound),
        "hold": (None, _check_bound),
    },
    generics=("receipt",),
    check=_check_types,
    kept=_kept,
)


COMPENSATABLE_BRANCH = Model(
    name="branch",
    methods=(MethodRule(name="run", receipt=True), *COMPENSATABLE.methods[1:]),
    knobs=COMPENSATABLE.knobs,
    options=BRANCH_OPTIONS,
    generics=COMPENSATABLE.generics,
    check=_check_types,
    kept=_kept,
    recorded=_recorded,
)
"""The same as a branch of a split, where it names no state."""


class CompensatableOptions(TaskOptions[S], total=False):
    """What `Workflow.compensatable` takes as keywords: `TaskOptions`, which hold for ``run``, and these.

    Args:
        compensate_retry: how a failed compensation is tried again, if its failure is one that ``retry_on`` names; three
            times by default.
        compensate_timeout: seconds that one attempt at a compensation may take; by default the ``attempt_timeout``.
        hold: seconds for which a cancel waits for an attempt in flight, so that its receipt is not lost; by default the
            ``attempt_timeout``, else 30.
    """

    compensate_retry: Retry
    compensate_timeout: float
    hold: float


class CompensatableTask(TaskForm[S_co], Generic[S_co, Receipt]):
    """Work that can be undone, one step of a saga; the class form of `Workflow.compensatable`.

    `run` names the next state and gives a receipt; when the run fails later, or is cancelled, `compensate` gets the
    receipt back. Compensations are called last things first, each to its end or its last retry, whatever the others come
    to (cano SAG-3, SAG-4). `run` may return a bare state when it has done nothing that could be undone.

    A receipt is written down as JSON, whether there is a journal or not, and each attempt at its compensation gets a copy
    of its own. One that can't be written fails the run, and what it stands for is undone with the receipt as it is.

    An attempt that failed, or outlived its timeout, may have had its effect and yet left no receipt: it is *in doubt*. If
    no later attempt settles it, the rollback calls `compensate_in_doubt`, which finds out by the idempotency key
    (`RunContext.forward_key`); a task without that method is named in the `Rollback` report.

    It may be a branch of a split: what it pairs with the receipt is then the branch's result. If the join does without
    that, it is undone before the run goes on.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import CompensatableTask, Workflow
    >>> Step = Enum("Step", "CHARGE SHIP DONE")
    >>> class Charge(CompensatableTask[Step, int]):
    ...     async def run(self) -> tuple[Literal[Step.SHIP], int]:
    ...         return Step.SHIP, 42
    ...     async def compensate(self, receipt: int) -> None:
    ...         print("refund", receipt)
    >>> workflow = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    >>> workflow.register(Step.CHARGE, Charge())
    >>> @workflow.task(Step.SHIP)
    ... async def ship() -> Literal[Step.DONE]:
    ...     raise TypeError("no courier")
    >>> trio.run(workflow.orchestrate)
    Traceback (most recent call last):
    ...
    TypeError: no courier
    cano_trio: state=SHIP attempts=1 path=[CHARGE, SHIP] run=...
    cano_trio: rolled back CHARGE
    """

    __model__: ClassVar[Model] = COMPENSATABLE

    compensate_retry: Retry = Retry()
    """How a failed compensation is tried again."""
    compensate_timeout: float | None = None
    """Seconds that one attempt at a compensation may take; by default the ``attempt_timeout``."""
    hold: float | None = None
    """Seconds for which a cancel waits for an attempt in flight."""

    @abstractmethod
    async def run(self, *args: Any, **kwargs: Any) -> tuple[S_co, Receipt] | S_co:
        """Do the work; name the next state, with the receipt by which it can be undone."""

    @abstractmethod
    async def compensate(self, receipt: Receipt, /, *args: Any, **kwargs: Any) -> object:
        """Undo the work. It may be called again after a failure, so undoing twice must do no harm (cano SAG-14)."""

    async def compensate_in_doubt(self, *args: Any, **kwargs: Any) -> object:
        """Undo the work if it was done at all: nobody has its receipt. Optional."""


@final
class CompensatableFunction(TaskFunction[P, Any], Generic[P, S, Receipt]):
    """A function decorated by `Workflow.compensatable`: hang `compensate`, and `compensate_in_doubt`, on it."""

    def compensate(
        self, function: Callable[Concatenate[Receipt, Q], Coroutine[Any, Any, object]], /
    ) -> Callable[Concatenate[Receipt, Q], Coroutine[Any, Any, object]]:
        """Decorate the function that gets the receipt and undoes the work."""
        return self._hang("compensate", function)

    def compensate_in_doubt(
        self, function: Callable[Q, Coroutine[Any, Any, object]], /
    ) -> Callable[Q, Coroutine[Any, Any, object]]:
        """Decorate the function that undoes the work if it was done at all: nobody has its receipt."""
        return self._hang("compensate_in_doubt", function)


class CompensatableDecorator(Protocol[S]):
    """What `Workflow.compensatable` returns."""

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, tuple[S, Receipt] | S]], /
    ) -> CompensatableFunction[P, S, Receipt]:
        """Register the function that does the work."""
        ...
