"""What a user writes for a stream: items taken from a source one after the other, and flushed in windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    final,
    get_args,
    get_origin,
    overload,
)

import attrs

from .checks import check_count, check_instance, check_seconds
from .compatible import bare, compatible, name_of
from .config import TaskOptions
from .form import S_co, TaskForm
from .function import TaskFunction
from .method import UNKNOWN, Method, is_any
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
Item = TypeVar("Item")
Out = TypeVar("Out")
Cursor = TypeVar("Cursor")
P = ParamSpec("P")
Q = ParamSpec("Q")

Source: TypeAlias = AsyncIterable[Item] | AbstractAsyncContextManager[AsyncIterable[Item]]
"""Where items come from: an async iterable, such as a receive channel, or an async context manager giving one."""

OnItemError: TypeAlias = Literal["fail", "skip", "dead_letter"]
"""What becomes of a stream whose item has failed."""

DRAIN = 30.0
"""Seconds that a stream has to come to its end, where the task does not say."""


@final
class CloseReason(Enum):
    """Why a stream came to its end."""

    EXHAUSTED = "exhausted"
    """The source has no more items."""
    STOPPED = "stopped"
    """`flush_window` has named a state."""
    CANCELLED = "cancelled"
    """The run is being cancelled; what had been processed has been flushed."""
    FAILED = "failed"
    """Something has failed, and the state fails with it."""
    RELEASED = "released"
    """The run's process leaves it, and another goes on from the last flushed window: what came since has not happened.

    It is for letting go of what this process holds. What `on_close` writes and names does not count, and if it fails, that is
    logged.
    """


def _check_window_count(_: object, __: object, value: int | None) -> None:
    if value is not None:
        check_count("count", value, least=1)


def _check_window_seconds(_: object, __: object, value: float | None) -> None:
    if value is not None:
        check_seconds("seconds", value)


@final
@attrs.frozen(kw_only=True)
class Window:
    """When a stream flushes: after so many outputs, or so many seconds, whichever comes first.

    Args:
        count: outputs in a full window.
        seconds: how long a window lasts, from the end of the one before; one without outputs is not flushed. With this
            alone a window holds all that comes in that time, however much.

    Raises:
        ValueError: a number is not positive, or neither is given.

    >>> Window(count=100, seconds=1.0)
    Window(count=100, seconds=1.0)
    """

    count: int | None = attrs.field(default=None, validator=_check_window_count)
    seconds: float | None = attrs.field(default=None, validator=_check_window_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse a window that is never full."""
        if self.count is None and self.seconds is None:
            raise ValueError("a Window() is never full. Pass count=100, seconds=1.0, or both.")


ON_ITEM_ERROR = ("fail", "skip", "dead_letter")


def _check_on_item_error(name: str, value: object) -> None:
    if value not in ON_ITEM_ERROR:
        raise ValueError(f"{name} is {value!r}: it takes 'fail', 'skip' or 'dead_letter'. To try again, pass retry=")


def _check_max_errors(name: str, value: Any) -> None:
    if value is not None:
        check_count(name, value)


def _check_types(methods: Mapping[str, Method], generics: Mapping[str, Any]) -> Iterator[tuple[Method, str]]:
    """Item, output and cursor are each of one type in all methods, and in what the class names."""
    process = methods["process_item"]
    item = process.own[0] if process.own else UNKNOWN
    given = output_and_cursor(process.returns)
    if given is None:
        yield process, f"it returns {name_of(process.returns)}. Return (output, cursor), such as -> tuple[Row, int]"
        return
    out, cursor = given
    for name, found in (("item", item), ("out", out), ("cursor", cursor)):
        named = generics.get(name, UNKNOWN)
        if not compatible(*((named, found) if name == "item" else (found, named))):
            yield process, f"its {name} is a {name_of(found)}, but the class names {name_of(named)}"
    if opening := methods.get("open"):
        yield from ((opening, text) for text in _open_problems(opening, item, cursor, process.label))
    wanted = {
        "flush_window": (list[out],),  # type: ignore[valid-type]  # made at run time, of what was annotated
        "on_close": (CloseReason,),
        "dead_letter": (item, Exception),
    }
    for name, gives in wanted.items():
        if method := methods.get(name):
            for one, taken in zip(gives, method.own, strict=False):
                if not compatible(one, taken):
                    yield method, f"it takes {name_of(taken)}, but gets {name_of(one)}"


def _open_problems(opening: Method, item: Any, cursor: Any, process: str) -> Iterator[str]:
    taken = opening.own[0] if opening.own else UNKNOWN
    if not compatible(None, taken):
        yield f"it takes a {name_of(taken)}, but is first called without a cursor: write {name_of(taken)} | None"
    if not compatible(cursor, taken):
        yield f"it takes a {name_of(taken)}, but the cursor of {process} is a {name_of(cursor)}"
    if _is_no_source(opening.returns):
        yield (
            f"it returns {name_of(opening.returns)}, which is no source. Return an async iterable, a receive channel, "
            "or an async context manager giving one"
        )
    elif not compatible(found := _item_type(opening.returns), item):
        yield f"its source gives {name_of(found)}, but {process} takes {name_of(item)}"


def cursor_type(methods: Mapping[str, Method]) -> Any:
    """The type that cursors are written down as: `Any` where no annotation tells it."""
    given = output_and_cursor(methods["process_item"].returns)
    told = [given[1] if given else UNKNOWN, *(methods["open"].own if "open" in methods else ())]
    return next((hint for hint in told if not is_any(hint)), Any)


def _kept(methods: Mapping[str, Method]) -> Iterator[tuple[Method, str, Any]]:
    yield methods["process_item"], "cursor", cursor_type(methods)


def output_and_cursor(returns: Any) -> tuple[Any, Any] | None:
    """The types of an item's output and its cursor, as far as a return annotation tells them; None if there are not both.

    >>> output_and_cursor(tuple[str, int]), output_and_cursor(str)
    ((<class 'str'>, <class 'int'>), None)
    """
    returns = bare(returns)
    if is_any(returns) or returns is tuple:
        return UNKNOWN, UNKNOWN
    inside = get_args(returns)
    return (inside[0], inside[1]) if get_origin(returns) is tuple and len(inside) == 2 else None


def _item_type(source: Any) -> Any:
    """What a source gives, as far as its annotation tells; an async generator may be a context manager giving a source."""
    inside = get_args(bare(source))
    if _is_no_source(source) or not inside:
        return UNKNOWN
    found = _item_type(inside[0])
    kind = get_origin(bare(source))
    return inside[0] if found is UNKNOWN and isinstance(kind, type) and issubclass(kind, AsyncIterable) else found


_SOURCES: tuple[type, ...] = (AsyncIterable, AbstractAsyncContextManager)


def _is_no_source(hint: Any) -> bool:
    kind = get_origin(bare(hint)) or bare(hint)
    if is_any(kind) or not isinstance(kind, type) or kind is object or getattr(kind, "_is_protocol", False):
        return False
    return not any(issubclass(kind, source) for source in _SOURCES)


STREAM = Model(
    name="stream",
    methods=(
        MethodRule(name="process_item", takes=("item",)),
        MethodRule(name="open", takes=("cursor",), source=True),
        MethodRule(
            name="flush_window", takes=("outputs",), names_state=True, writes=True, also=(type(None),), label="stopped"
        ),
        MethodRule(name="on_close", takes=("reason",), names_state=True, writes=True),
        MethodRule(
            name="dead_letter",
            takes=("item", "error"),
            required=False,
            needed_with="on_item_error",
            needed_for="dead_letter",
        ),
    ),
    knobs={
        "window": (Window(count=1), check_instance(Window, "Window(count=100, seconds=1.0)")),
        "on_item_error": ("fail", _check_on_item_error),
        "max_errors": (None, _check_max_errors),
        "drain_timeout": (DRAIN, check_seconds),
    },
    retries=False,
    generics=("item", "out", "cursor"),
    check=_check_types,
    kept=_kept,
)


class StreamOptions(TaskOptions[S], total=False):
    """What `Workflow.stream` takes as keywords: `TaskOptions`, and these.

    Of the former, ``retry``, ``retry_on`` and ``attempt_timeout`` hold for each call of ``process_item``, ``open``,
    ``flush_window`` and ``dead_letter`` by itself (and the timeout for ``on_close``); ``breaker`` and ``limiter`` for each
    item. There is no retry by default.

    Args:
        window: when to flush; after each item by default.
        on_item_error: what becomes of an item whose retries are spent: the stream is to ``"fail"`` (the default), to
            ``"skip"`` it, or to hand it to ``dead_letter``.
        max_errors: how many items in a row may be skipped or handed over before the stream fails; no limit by default.
        drain_timeout: seconds that a cancelled stream has to process the item in hand and flush the last window, and
            again to call ``on_close``, which is all that one has that is released; and that closing a source may take in
            any case. 30 by default.
    """

    window: Window
    on_item_error: OnItemError
    max_errors: int
    drain_timeout: float


class StreamTask(TaskForm[S_co], Generic[S_co, Item, Out, Cursor]):
    """Takes items from a source, one after the other, and flushes what they give in windows; the class form of `Workflow.stream`.

    The source is asked for an item when the one before has been processed, and not before. It ends when it has no more
    items, when `flush_window` names a state, when something fails, or when the run is cancelled. In each case the source
    is closed and then `on_close` is called with the reason, once. A cancel interrupts only `open` and the waiting for an
    item: an item in hand is processed, and the last window is flushed, within the ``drain_timeout``. A failure flushes
    nothing: what stood in the open window has not happened, and its cursor is not kept (cano STM-10).

    A run with a journal that is cancelled from outside, as by the end of its process, is released and not cancelled: the item
    or the flush in hand is interrupted at once, nothing is flushed, and the open window begins again after `Workflow.resume`.
    The source is closed and `on_close` called all the same, with `CloseReason.RELEASED`.

    >>> from collections.abc import AsyncIterator
    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import CloseReason, StreamTask, Window, Workflow
    >>> Step = Enum("Step", "SUM DONE")
    >>> class Sum(StreamTask[Step, int, int, int]):
    ...     window = Window(count=2)
    ...     async def open(self, cursor: int | None) -> AsyncIterator[int]:
    ...         for number in range(cursor or 0, 5):
    ...             yield number
    ...     async def process_item(self, item: int) -> tuple[int, int]:
    ...         return item * 10, item + 1
    ...     async def flush_window(self, outputs: list[int]) -> None:
    ...         print(outputs)
    ...     async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
    ...         print(reason.value)
    ...         return Step.DONE
    >>> workflow = Workflow(Step, initial=Step.SUM, exits=[Step.DONE])
    >>> workflow.register(Step.SUM, Sum())
    >>> trio.run(workflow.orchestrate)
    [0, 10]
    [20, 30]
    [40]
    exhausted
    <Step.DONE: 2>
    """

    __model__: ClassVar[Model] = STREAM

    window: Window = Window(count=1)
    """When to flush."""
    on_item_error: OnItemError = "fail"
    """What becomes of an item whose retries are spent."""
    max_errors: int | None = None
    """How many items in a row may be skipped or handed to `dead_letter` before the stream fails."""
    drain_timeout: float = DRAIN
    """Seconds that a cancelled stream has to come to its end, and that closing a source may take in any case."""

    @abstractmethod
    def open(self, cursor: Cursor | None, /, *args: Any, **kwargs: Any) -> Source[Item] | Awaitable[Source[Item]]:
        """Open the source after a cursor; at its beginning for None.

        It may be an async function that returns the source, an async generator that is the source, or either under
        `contextlib.asynccontextmanager` or `trio.as_safe_channel`. An async generator and a context manager are closed at
        the end, by the task that iterates. A channel, or another iterable, is left open: others may go on with it.
        """

    @abstractmethod
    async def process_item(self, item: Item, /, *args: Any, **kwargs: Any) -> tuple[Out, Cursor]:
        """Process one item; give its output, and the cursor after which a source goes on behind it."""

    @abstractmethod
    async def flush_window(self, outputs: list[Out], /, *args: Any, **kwargs: Any) -> S_co | None:
        """Write a window. None goes on; a state stops the stream and is the next one."""

    @abstractmethod
    async def on_close(self, reason: CloseReason, /, *args: Any, **kwargs: Any) -> S_co:
        """Clean up, and name the next state, which counts if the source was exhausted.

        A cancel lets it come to its end, within the ``drain_timeout``.
        """

    async def dead_letter(self, item: Item, error: Exception, /, *args: Any, **kwargs: Any) -> object:
        """Keep an item that has failed for good; called where ``on_item_error`` is ``"dead_letter"``. Optional."""


@final
class StreamFunction(TaskFunction[P, tuple[Out, Cursor]], Generic[P, S, Item, Out, Cursor]):
    """A function decorated by `Workflow.stream`: hang `open`, `flush_window` and `on_close` on it, and maybe `dead_letter`."""

    @overload
    def open(
        self, function: Callable[Concatenate[Cursor | None, Q], Coroutine[Any, Any, Source[Item]]], /
    ) -> Callable[Concatenate[Cursor | None, Q], Coroutine[Any, Any, Source[Item]]]: ...
    @overload
    def open(
        self, function: Callable[Concatenate[Cursor | None, Q], AsyncIterable[Item]], /
    ) -> Callable[Concatenate[Cursor | None, Q], AsyncIterable[Item]]: ...
    @overload
    def open(
        self, function: Callable[Concatenate[Cursor | None, Q], AbstractAsyncContextManager[AsyncIterable[Item]]], /
    ) -> Callable[Concatenate[Cursor | None, Q], AbstractAsyncContextManager[AsyncIterable[Item]]]: ...
    def open(self, function: Any, /) -> Any:
        """Decorate the function that opens the source."""
        return self._hang("open", function)

    def flush_window(
        self, function: Callable[Concatenate[list[Out], Q], Coroutine[Any, Any, S | None]], /
    ) -> Callable[Concatenate[list[Out], Q], Coroutine[Any, Any, S | None]]:
        """Decorate the function that writes a window."""
        return self._hang("flush_window", function)

    def on_close(
        self, function: Callable[Concatenate[CloseReason, Q], Coroutine[Any, Any, S]], /
    ) -> Callable[Concatenate[CloseReason, Q], Coroutine[Any, Any, S]]:
        """Decorate the function that is called at the end, and names the next state."""
        return self._hang("on_close", function)

    def dead_letter(
        self, function: Callable[Concatenate[Item, Exception, Q], Coroutine[Any, Any, object]], /
    ) -> Callable[Concatenate[Item, Exception, Q], Coroutine[Any, Any, object]]:
        """Decorate the function that keeps the items that have failed for good."""
        return self._hang("dead_letter", function)


class StreamDecorator(Protocol[S]):
    """What `Workflow.stream` returns."""

    def __call__(
        self, function: Callable[Concatenate[Item, P], Coroutine[Any, Any, tuple[Out, Cursor]]], /
    ) -> StreamFunction[Concatenate[Item, P], S, Item, Out, Cursor]:
        """Register the function that processes one item."""
        ...
