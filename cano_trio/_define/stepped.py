"""What a user writes for long work in steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Union, final, get_args, get_origin

from msgspec import Struct

from .compatible import compatible, name_of
from .edges import members
from .form import S_co, TaskForm
from .method import UNKNOWN, Method, is_any
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
Cursor = TypeVar("Cursor")
Cursor_co = TypeVar("Cursor_co", covariant=True)
P = ParamSpec("P")


@final
class More(Struct, Generic[Cursor_co], frozen=True):
    """There is more to do: what a step returns to be called again.

    Args:
        cursor: where the next step goes on. It is written down as JSON, whether there is a journal or not, and each
            attempt at the next step gets a copy of its own: a number, a string, a dataclass of such.
    """

    cursor: Cursor_co


def _check_types(methods: Mapping[str, Method], generics: Mapping[str, Any]) -> Iterator[tuple[Method, str]]:
    """The cursor that a step takes, those that it returns, and the one the class names are of one type."""
    step = methods.get("step")
    if step is None or not step.own:
        return
    taken = step.own[0]
    if not compatible(None, taken):
        yield step, f"it takes a {name_of(taken)}, but its first call has no cursor: write {name_of(taken)} | None"
    for given, where in (cursor_type(step.returns), "it returns"), (generics.get("cursor", UNKNOWN), "the class names"):
        if not compatible(given, taken):
            yield step, f"{where} {name_of(given)} as its cursor, but it takes {name_of(taken)}"


def cursor_type(returns: Any) -> Any:
    """The cursor's type, as far as a return annotation tells it."""
    cursors = [get_args(hint)[0] for hint in members(returns) if get_origin(hint) is More]
    return Union[tuple(cursors)] if cursors else UNKNOWN  # noqa: UP007  (made at run time, of any number)


def kept_type(step: Method) -> Any:
    """The type that a step's cursors are written down as: `Any` where its annotations tell none."""
    told = [cursor_type(step.returns), *step.own]
    return next((hint for hint in told if not is_any(hint)), Any)


def _kept(methods: Mapping[str, Method]) -> Iterator[tuple[Method, str, Any]]:
    if step := methods.get("step"):
        yield step, "cursor", kept_type(step)


STEPPED = Model(
    name="stepped",
    methods=(MethodRule(name="step", takes=("cursor",), names_state=True, writes=True, also=(More,)),),
    generics=("cursor",),
    check=_check_types,
    kept=_kept,
)


class SteppedTask(TaskForm[S_co], Generic[S_co, Cursor]):
    """Long work in steps, each going on at the cursor that the one before returned; the class form of `Workflow.stepped`.

    Each step has all the retries and its own ``attempt_timeout``, and a retry gets the same cursor (cano STP-3). What it
    wrote into the run's data is kept with its cursor.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import More, SteppedTask, Workflow
    >>> Step = Enum("Step", "COUNT DONE")
    >>> class Count(SteppedTask[Step, int]):
    ...     async def step(self, cursor: int | None) -> More[int] | Literal[Step.DONE]:
    ...         print(cursor)
    ...         return More((cursor or 0) + 10) if cursor != 20 else Step.DONE
    >>> workflow = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE])
    >>> workflow.register(Step.COUNT, Count())
    >>> trio.run(workflow.orchestrate)
    None
    10
    20
    <Step.DONE: 2>
    """

    __model__: ClassVar[Model] = STEPPED

    @abstractmethod
    async def step(self, cursor: Cursor | None, /, *args: Any, **kwargs: Any) -> More[Cursor] | S_co:
        """Do a piece of work, and return `More` with the next cursor, or name the next state."""


class SteppedDecorator(Protocol[S]):
    """What `Workflow.stepped` returns."""

    def __call__(
        self, function: Callable[Concatenate[Cursor | None, P], Coroutine[Any, Any, More[Cursor] | S]], /
    ) -> Callable[Concatenate[Cursor | None, P], Coroutine[Any, Any, More[Cursor] | S]]:
        """Register the function and return it as it is."""
        ...
