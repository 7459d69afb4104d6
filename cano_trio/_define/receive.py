"""What a user writes to wait for a message."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, final

from .checks import check_seconds
from .compatible import compatible, name_of
from .config import TaskOptions
from .form import S_co, TaskForm
from .function import TaskFunction
from .method import UNKNOWN, Method
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
Message = TypeVar("Message")
P = ParamSpec("P")
Q = ParamSpec("Q")


def _check_timeout(name: str, value: Any) -> None:
    if value is not None:
        check_seconds(name, value)


def _check_types(methods: Mapping[str, Method], generics: Mapping[str, Any]) -> Iterator[tuple[Method, str]]:
    """The message that `on_message` takes is the one that the class names."""
    method = methods.get("on_message")
    if method is None or not method.own:
        return
    named, taken = generics.get("message", UNKNOWN), method.own[0]
    if not compatible(named, taken):
        yield method, f"it takes {name_of(taken)}, but the class names {name_of(named)} as its message"


RECEIVE = Model(
    name="receive",
    methods=(
        MethodRule(name="on_message", takes=("message",), by_class=True, names_state=True, writes=True),
        MethodRule(
            name="on_timeout", names_state=True, required=False, needed_with="timeout", writes=True, label="timeout"
        ),
    ),
    knobs={"timeout": (None, _check_timeout)},
    retries=False,
    generics=("message",),
    check=_check_types,
)


class ReceiveOptions(TaskOptions[S], total=False):
    """What `Workflow.receive` takes as keywords: `TaskOptions`, which hold for `on_message` and `on_timeout`, and this.

    Args:
        timeout: seconds from entering the state after which ``on_timeout`` is called; by default it waits for ever.
    """

    timeout: float


class ReceiveTask(TaskForm[S_co], Generic[S_co, Message]):
    """Waits for a message, then names the next state; the class form of `Workflow.receive`.

    Which messages it takes, the annotation of `on_message` says: a class, or a union of classes. The first that is an
    instance of one of them is taken, also one that came before the state was entered; others stay where they are, in
    order, for the states that take them. `Run.send` sends one. A message that comes in the instant of the timeout wins.

    A message is used up when the state is finished, be it by ``on_error``: an attempt that is made again gets the same
    one. ``attempt_timeout`` bounds an attempt and not the wait; there is no retry by default.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio, trio.testing
    >>> from cano_trio import ReceiveTask, Run, Workflow
    >>> Step = Enum("Step", "ASK YES NO")
    >>> class Ask(ReceiveTask[Step, bool]):
    ...     timeout = 3600
    ...     async def on_message(self, message: bool) -> Literal[Step.YES, Step.NO]:
    ...         return Step.YES if message else Step.NO
    ...     async def on_timeout(self) -> Literal[Step.NO]:
    ...         return Step.NO
    >>> workflow = Workflow(Step, initial=Step.ASK, exits=[Step.YES, Step.NO])
    >>> workflow.register(Step.ASK, Ask())
    >>> async def main() -> None:
    ...     async with trio.open_nursery() as nursery:
    ...         run: Run[Step] = await nursery.start(workflow.run)
    ...         await run.send(True)
    ...     print(run)
    ...     print((await workflow.run()).elapsed)
    >>> trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # doctest: +ELLIPSIS
    <Run 'Step-...' completed YES>
    3600.0
    """

    __model__: ClassVar[Model] = RECEIVE

    timeout: float | None = None
    """Seconds from entering the state after which `on_timeout` is called; None waits for ever."""

    @abstractmethod
    async def on_message(self, message: Message, /, *args: Any, **kwargs: Any) -> S_co:
        """Do with the message what is to be done, and name the next state."""

    async def on_timeout(self, *args: Any, **kwargs: Any) -> S_co:
        """No message came in time: name the next state. Write it where there is a `timeout`."""
        raise NotImplementedError


@final
class ReceiveFunction(TaskFunction[P, S], Generic[P, S]):
    """A function decorated by `Workflow.receive`: hang `on_timeout` on it."""

    def on_timeout(self, function: Callable[Q, Coroutine[Any, Any, S]], /) -> Callable[Q, Coroutine[Any, Any, S]]:
        """Decorate the function that names the next state when no message came in time."""
        return self._hang("on_timeout", function)


class ReceiveDecorator(Protocol[S]):
    """What `Workflow.receive` returns."""

    def __call__(
        self, function: Callable[Concatenate[Message, P], Coroutine[Any, Any, S]], /
    ) -> ReceiveFunction[Concatenate[Message, P], S]:
        """Register the function that is given the message."""
        ...
