"""What a user writes for a plain task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

from .form import S_co, TaskForm
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
P = ParamSpec("P")

TASK = Model(name="task", methods=(MethodRule(name="run", names_state=True, writes=True),))


class Task(TaskForm[S_co]):
    """One piece of work that names the next state; the class form of `Workflow.task`.

    Its defaults are those of `TaskConfig`: three retries with growing delays (cano RET-2).

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Task, Workflow
    >>> Step = Enum("Step", "GREET DONE")
    >>> class Greet(Task[Step]):
    ...     def __init__(self, name):
    ...         self.whom = name
    ...     async def run(self) -> Literal[Step.DONE]:
    ...         print("hello", self.whom)
    ...         return Step.DONE
    >>> workflow = Workflow(Step, initial=Step.GREET, exits=[Step.DONE])
    >>> workflow.register(Step.GREET, Greet("trio"))
    >>> trio.run(workflow.orchestrate)
    hello trio
    <Step.DONE: 2>
    """

    __model__: ClassVar[Model] = TASK

    @abstractmethod
    async def run(self, *args: Any, **kwargs: Any) -> S_co:
        """Do the work and name the next state; parameters are injected by their annotations."""


class TaskDecorator(Protocol[S]):
    """What `Workflow.task` returns."""

    def __call__(self, function: Callable[P, Coroutine[Any, Any, S]], /) -> Callable[P, Coroutine[Any, Any, S]]:
        """Register the function and return it as it is."""
        ...
