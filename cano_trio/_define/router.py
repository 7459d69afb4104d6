"""What a user writes for a router."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

from .form import S_co, TaskForm
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
P = ParamSpec("P")

ROUTER = Model(name="router", methods=(MethodRule(name="route", names_state=True),))


class RouterTask(TaskForm[S_co]):
    """Chooses the next state, without side effects; the class form of `Workflow.router`.

    It may read the run's data, not change them, and it counts for no sequence number (cano RTR-2).

    >>> from enum import Enum
    >>> from typing import Literal
    >>> from cano_trio import RouterTask
    >>> Step = Enum("Step", "CHOOSE ALL SAMPLE")
    >>> class Choose(RouterTask[Step]):
    ...     async def route(self, *, limit: int = 0) -> Literal[Step.ALL, Step.SAMPLE]:
    ...         return Step.SAMPLE if limit else Step.ALL
    """

    __model__: ClassVar[Model] = ROUTER

    @abstractmethod
    async def route(self, *args: Any, **kwargs: Any) -> S_co:
        """Name the next state; parameters are injected by their annotations."""


class RouterDecorator(Protocol[S]):
    """What `Workflow.router` returns."""

    def __call__(self, function: Callable[P, Coroutine[Any, Any, S]], /) -> Callable[P, Coroutine[Any, Any, S]]:
        """Register the function and return it as it is."""
        ...
