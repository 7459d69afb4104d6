"""What a user writes for a batch: many items, a bounded number at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from enum import Enum
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    final,
    get_args,
    get_origin,
    overload,
)

import msgspec
import outcome

from .._resilience import Retry, RetryOn, is_transient, matcher
from .checks import check_count, check_flag, check_seconds
from .compatible import bare, compatible, name_of
from .config import TaskOptions, check_retry
from .form import S_co, TaskForm
from .function import TaskFunction
from .method import UNKNOWN, Method, is_any
from .model import MethodRule, Model
from .recorded import recorded_type

S = TypeVar("S", bound=Enum)
Item = TypeVar("Item")
Out = TypeVar("Out")
Item_co = TypeVar("Item_co", covariant=True)
Out_co = TypeVar("Out_co", covariant=True)
P = ParamSpec("P")
Q = ParamSpec("Q")


class CapacityLimiter(Protocol):
    """What a batch needs of a `trio.CapacityLimiter`; named so that a definition imports no trio."""

    @property
    def total_tokens(self) -> int | float:
        """How many may work at once."""
        ...

    async def acquire_on_behalf_of(self, borrower: Any) -> None:
        """Take a token."""


Concurrency = int | CapacityLimiter


def _check_concurrency(name: str, value: Any) -> None:
    if isinstance(value, int) or not hasattr(value, "acquire_on_behalf_of"):
        check_count(name, value, least=1)


def _check_item_retry_on(_: str, value: Any) -> None:
    matcher(value)


def _check_item_timeout(name: str, value: Any) -> None:
    if value is not None:
        check_seconds(name, value)


@final
class ItemResult(msgspec.Struct, Generic[Item_co, Out_co], frozen=True):
    """What one item came to.

    Args:
        item: the item.
        outcome: `outcome.Value` of what `process_item` returned, or `outcome.Error` of its last failure.
        attempts: how often it was tried.
        elapsed: seconds from its first attempt to its end, waiting between attempts included.
    """

    item: Item_co
    outcome: outcome.Maybe[Out_co]
    attempts: int
    elapsed: float

    @property
    def value(self) -> Out_co:
        """What `process_item` returned; of a failed item, raises its failure."""
        match self.outcome:
            case outcome.Value(value):
                return value
            case outcome.Error(error):
                raise error

    @property
    def error(self) -> BaseException | None:
        """What the item failed with; None if it did not."""
        return self.outcome.error if isinstance(self.outcome, outcome.Error) else None


Finished: TypeAlias = tuple[Any, BaseException | None, int, float]
"""What an item gave, or failed with, after how many attempts and seconds.

Its `ItemResult` is made when somebody asks for it: making it takes longer than all else that is done for a trivial item.
"""


def finished_of(result: ItemResult[Any, Any]) -> Finished:
    """What is kept of a result."""
    match result.outcome:
        case outcome.Value(value):
            return value, None, result.attempts, result.elapsed
        case outcome.Error(error):
            return None, error, result.attempts, result.elapsed


@final
class BatchResults(Sequence[ItemResult[Item_co, Out_co]]):
    """What all items came to, in the order in which they were loaded (cano BAT-1).

    >>> import outcome
    >>> results = BatchResults([ItemResult("a", outcome.Value(1), 1, 0.0), ItemResult("b", outcome.Error(OSError()), 1, 0.0)])
    >>> results.values, [failure.item for failure in results.failures], len(results)
    ([1], ['b'], 2)
    """

    __slots__ = ("_finished", "_items")

    def __init__(self, results: Sequence[ItemResult[Item_co, Out_co]], /) -> None:
        self._items: Sequence[Item_co] = [result.item for result in results]
        self._finished: Sequence[Finished] = [finished_of(result) for result in results]

    @classmethod
    def of(cls, items: Sequence[Item_co], finished: Sequence[Finished], /) -> BatchResults[Item_co, Out_co]:
        """Those of items that were worked off, made of what each of them came to when it is looked at."""
        results = cls(())
        results._items, results._finished = items, finished
        return results

    @property
    def values(self) -> list[Out_co]:
        """What the items that succeeded gave, in input order."""
        return [value for value, error, _, _ in self._finished if error is None]

    @property
    def failures(self) -> list[ItemResult[Item_co, Out_co]]:
        """The results of the items that failed, in input order."""
        return [self[at] for at, finished in enumerate(self._finished) if finished[1] is not None]

    @overload
    def __getitem__(self, index: int, /) -> ItemResult[Item_co, Out_co]: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[ItemResult[Item_co, Out_co]]: ...
    def __getitem__(self, index: int | slice, /) -> ItemResult[Item_co, Out_co] | Sequence[ItemResult[Item_co, Out_co]]:
        """The result of the item at an index of the loaded list."""
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        value, error, attempts, elapsed = self._finished[index]
        came_to: outcome.Maybe[Out_co] = outcome.Value(value) if error is None else outcome.Error(error)
        return ItemResult(self._items[index], came_to, attempts, elapsed)

    def __len__(self) -> int:
        """How many items were loaded."""
        return len(self._finished)

    def __repr__(self) -> str:
        """How many there are and how many failed."""
        return f"<BatchResults of {len(self)}, {len(self.failures)} failed>"


def _check_types(methods: Mapping[str, Method], generics: Mapping[str, Any]) -> Iterator[tuple[Method, str]]:
    process = methods["process_item"]
    item, out = process.own[0] if process.own else UNKNOWN, process.returns
    if not compatible(generics.get("item", item), item):
        yield process, f"it takes a {name_of(item)}, but the class names {name_of(generics['item'])} as its item"
    if not compatible(out, generics.get("out", out)):
        yield process, f"it returns a {name_of(out)}, but the class names {name_of(generics['out'])} as its output"
    if (load := methods.get("load")) and not is_any(listed := bare(load.returns)):
        sequence = get_origin(listed) or listed
        if not isinstance(sequence, type) or not issubclass(sequence, Sequence) or issubclass(sequence, (str, bytes)):
            yield load, f"it returns {name_of(load.returns)}, which is no list or other sequence of items"
        elif (inside := get_args(listed)) and not compatible(inside[0], item):
            yield load, f"it lists {name_of(inside[0])}, but {process.label} takes {name_of(item)}"
    given: Any = BatchResults[item, out]  # type: ignore[valid-type]  # made at run time, of what was annotated
    if (finish := methods.get("finish")) and finish.own and not compatible(given, finish.own[0]):
        yield finish, f"it takes {name_of(finish.own[0])}, but gets {name_of(given)}"


def item_type(methods: Mapping[str, Method]) -> Any:
    """The type that each item is written down as: `Any` where no annotation tells it.

    What `load` lists comes first: `process_item` may take more than that.
    """
    load, process, finish = (methods.get(name) for name in ("load", "process_item", "finish"))
    listed = UNKNOWN if load is None else _listed(load.returns)
    taken = process.own if process is not None else ()
    return recorded_type(listed, *taken, *_results(finish)[:1])


def output_type(methods: Mapping[str, Method]) -> Any:
    """The type that what an item gives is written down as: `Any` where no annotation tells it."""
    process, finish = methods.get("process_item"), methods.get("finish")
    given = UNKNOWN if process is None else process.returns
    return recorded_type(given, *_results(finish)[1:])


def _listed(returns: Any) -> Any:
    """What a list or another sequence is of, as far as its annotation tells; a tuple may be of several."""
    listed = bare(returns)
    sequence = get_origin(listed)
    if not isinstance(sequence, type) or not issubclass(sequence, Sequence):
        return UNKNOWN
    inside = tuple(part for part in get_args(listed) if part is not ...)
    return Union[inside] if inside else UNKNOWN  # noqa: UP007  (made at run time, of any number)


def _results(finish: Method | None) -> tuple[Any, ...]:
    """Item and output of the results that `finish` takes, if its annotation tells them."""
    return get_args(bare(finish.own[0])) if finish is not None and finish.own else ()


def _recorded(methods: Mapping[str, Method], knobs: Mapping[str, Any]) -> Iterator[tuple[Method, str, Any]]:
    if knobs["record_items"] and (process := methods.get("process_item")):
        yield process, "item", item_type(methods)
        yield process, "output", output_type(methods)


BATCH = Model(
    name="batch",
    methods=(
        MethodRule(name="process_item", takes=("item",)),
        MethodRule(name="load"),
        MethodRule(name="finish", takes=("results",), names_state=True, writes=True),
    ),
    knobs={
        "concurrency": (1, _check_concurrency),
        "item_retry": (Retry.none(), check_retry),
        "item_retry_on": (is_transient, _check_item_retry_on),
        "item_timeout": (None, _check_item_timeout),
        "record_items": (True, check_flag),
    },
    generics=("item", "out"),
    check=_check_types,
    recorded=_recorded,
    unrecorded="Or pass record_items=False: after a crash the whole batch is then done again.",
)


class BatchOptions(TaskOptions[S], total=False):
    """What `Workflow.batch` takes as keywords: `TaskOptions`, which hold for the whole (load, all items, finish), and these.

    Args:
        concurrency: how many items at once; or a `trio.CapacityLimiter`, which several batches may share, but no batch
            with one that an item of it waits for: each would wait for the other's tokens.
        item_retry: how a failed item is tried again; not at all by default.
        item_retry_on: which failures of an item are tried again: as ``retry_on``.
        item_timeout: seconds that one attempt at an item may take; no limit by default.
        record_items: with a journal, write down the items and, some at a time, what those that succeeded gave, so that a
            crash repeats only the last of them; False leaves that, and the whole batch is done again.
    """

    concurrency: Concurrency
    item_retry: Retry
    item_retry_on: RetryOn
    item_timeout: float
    record_items: bool


class BatchTask(TaskForm[S_co], Generic[S_co, Item, Out]):
    """Loads items, processes a bounded number at once, and finishes; the class form of `Workflow.batch`.

    An item that fails fills its slot of the results with its error and never fails the batch: `finish` decides.
    A failure of `load` or `finish` is a failure of the attempt, and a retry begins with `load` again (cano BAT-7).

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import BatchResults, BatchTask, Workflow
    >>> Step = Enum("Step", "SQUARE DONE")
    >>> class Square(BatchTask[Step, int, int]):
    ...     concurrency = 2
    ...     async def load(self) -> list[int]:
    ...         return [1, 2, 3]
    ...     async def process_item(self, item: int) -> int:
    ...         return item * item
    ...     async def finish(self, results: BatchResults[int, int]) -> Literal[Step.DONE]:
    ...         print(results.values)
    ...         return Step.DONE
    >>> workflow = Workflow(Step, initial=Step.SQUARE, exits=[Step.DONE])
    >>> workflow.register(Step.SQUARE, Square())
    >>> trio.run(workflow.orchestrate)
    [1, 4, 9]
    <Step.DONE: 2>
    """

    __model__: ClassVar[Model] = BATCH

    concurrency: Concurrency = 1
    """How many items at once; or a `trio.CapacityLimiter`, which several batches may share."""
    item_retry: Retry = Retry.none()
    """How a failed item is tried again."""
    item_retry_on: RetryOn = is_transient
    """Which failures of an item are tried again: as ``retry_on``."""
    item_timeout: float | None = None
    """Seconds that one attempt at an item may take."""
    record_items: bool = True
    """With a journal, write down what items gave, so that a crash repeats only the last of them."""

    @abstractmethod
    async def load(self, *args: Any, **kwargs: Any) -> Sequence[Item]:
        """List the items."""

    @abstractmethod
    async def process_item(self, item: Item, /, *args: Any, **kwargs: Any) -> Out:
        """Process one item; called for many at once."""

    @abstractmethod
    async def finish(self, results: BatchResults[Item, Out], /, *args: Any, **kwargs: Any) -> S_co:
        """Make of the results what is to be made of them, and name the next state."""


@final
class BatchFunction(TaskFunction[P, Out], Generic[P, S, Item, Out]):
    """A function decorated by `Workflow.batch`: hang `load` and `finish` on it."""

    def load(
        self, function: Callable[Q, Coroutine[Any, Any, Sequence[Item]]], /
    ) -> Callable[Q, Coroutine[Any, Any, Sequence[Item]]]:
        """Decorate the function that lists the items."""
        return self._hang("load", function)

    def finish(
        self, function: Callable[Concatenate[BatchResults[Item, Out], Q], Coroutine[Any, Any, S]], /
    ) -> Callable[Concatenate[BatchResults[Item, Out], Q], Coroutine[Any, Any, S]]:
        """Decorate the function that takes the results and names the next state."""
        return self._hang("finish", function)


class BatchDecorator(Protocol[S]):
    """What `Workflow.batch` returns."""

    def __call__(
        self, function: Callable[Concatenate[Item, P], Coroutine[Any, Any, Out]], /
    ) -> BatchFunction[Concatenate[Item, P], S, Item, Out]:
        """Register the function that processes one item."""
        ...
