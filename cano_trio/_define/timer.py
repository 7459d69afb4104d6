"""What a user writes to wait for a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Generic, ParamSpec, Protocol, TypeVar, final

from .compatible import compatible, name_of
from .form import S_co, TaskForm
from .function import TaskFunction
from .method import Method
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
W = TypeVar("W", bound=float | datetime)
P = ParamSpec("P")
Q = ParamSpec("Q")


def _check_types(methods: Mapping[str, Method], _: Mapping[str, Any]) -> Iterator[tuple[Method, str]]:
    """What says how long to wait says it in seconds, or as an instant."""
    wait = methods["wait"]
    if not compatible(wait.returns, float | datetime):
        yield (
            wait,
            f"it returns {name_of(wait.returns)}, which is neither seconds (a float) nor an instant (a datetime)",
        )


TIMER = Model(
    name="timer",
    methods=(MethodRule(name="wait"), MethodRule(name="after_wait", names_state=True, writes=True)),
    retries=False,
    check=_check_types,
)


class TimerTask(TaskForm[S_co]):
    """Waits for a time, then names the next state; the class form of `Workflow.timer`.

    `wait` says how long, in seconds, or until which instant, as a timezone-aware datetime; what has passed does not wait
    (cano TMR-2). `wait` may only read the run's data. ``attempt_timeout`` bounds the whole, the wait included; there is
    no retry by default, and one asks and waits anew (cano TMR-5).

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio, trio.testing
    >>> from cano_trio import TimerTask, Workflow
    >>> Step = Enum("Step", "COOL DONE")
    >>> class Cool(TimerTask[Step]):
    ...     async def wait(self) -> float:
    ...         return 90
    ...     async def after_wait(self) -> Literal[Step.DONE]:
    ...         return Step.DONE
    >>> workflow = Workflow(Step, initial=Step.COOL, exits=[Step.DONE])
    >>> workflow.register(Step.COOL, Cool())
    >>> trio.run(workflow.run, clock=trio.testing.MockClock(autojump_threshold=0)).elapsed
    90.0
    """

    __model__: ClassVar[Model] = TIMER

    @abstractmethod
    async def wait(self, *args: Any, **kwargs: Any) -> float | datetime:
        """Say how long to wait, in seconds, or until when; called once."""

    @abstractmethod
    async def after_wait(self, *args: Any, **kwargs: Any) -> S_co:
        """The time has come: do the work and name the next state."""


@final
class TimerFunction(TaskFunction[P, W], Generic[P, S, W]):
    """A function decorated by `Workflow.timer`: hang `after_wait` on it."""

    def after_wait(self, function: Callable[Q, Coroutine[Any, Any, S]], /) -> Callable[Q, Coroutine[Any, Any, S]]:
        """Decorate the function that is called when the time has come."""
        return self._hang("after_wait", function)


class TimerDecorator(Protocol[S]):
    """What `Workflow.timer` returns."""

    def __call__(self, function: Callable[P, Coroutine[Any, Any, W]], /) -> TimerFunction[P, S, W]:
        """Register the function that says how long to wait."""
        ...
