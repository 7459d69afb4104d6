"""The function form of every model: one decorator each, named as its class is without ``Task``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Any, Generic, TypeVar, cast, overload

from typing_extensions import Unpack

from .batch import BATCH, BatchDecorator, BatchFunction, BatchOptions
from .branch import BranchDecorator, BranchOptions
from .compensatable import (
    COMPENSATABLE,
    CompensatableDecorator,
    CompensatableFunction,
    CompensatableOptions,
)
from .config import TaskOptions
from .model import Model
from .poll import POLL, PollDecorator, PollOptions
from .receive import RECEIVE, ReceiveDecorator, ReceiveFunction, ReceiveOptions
from .router import ROUTER, RouterDecorator
from .split import SPLIT, SplitDecorator
from .stepped import STEPPED, SteppedDecorator
from .stream import STREAM, StreamDecorator, StreamFunction, StreamOptions
from .task import TASK, TaskDecorator
from .timer import TIMER, TimerDecorator, TimerFunction

S = TypeVar("S", bound=Enum)
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, object]])


class Decorators(ABC, Generic[S]):
    """The decorators of a workflow; each takes a state, and the options of its model."""

    @abstractmethod
    def _decorator(
        self, state: S, model: Model, options: Mapping[str, Any], wrap: Callable[..., Any] | None = None
    ) -> Callable[[Callable[..., Any]], Any]:
        """What registers a function for a state, and gives it back, or what `wrap` makes of it."""

    @abstractmethod
    def _declare(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Take a function as a branch."""

    def task(self, state: S, /, **options: Unpack[TaskOptions[S]]) -> TaskDecorator[S]:
        """Decorate an async function as the task of a state; it stays the function it was.

        Args:
            state: the state whose work it does.
            options: see `TaskOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("TaskDecorator[S]", self._decorator(state, TASK, options))

    def router(self, state: S, /, **options: Unpack[TaskOptions[S]]) -> RouterDecorator[S]:
        """Decorate an async function that chooses the next state, without side effects.

        Args:
            state: the state in which it chooses.
            options: see `TaskOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("RouterDecorator[S]", self._decorator(state, ROUTER, options))

    def batch(self, state: S, /, **options: Unpack[BatchOptions[S]]) -> BatchDecorator[S]:
        """Decorate an async function that processes one item; hang ``load`` and ``finish`` on it.

        Args:
            state: the state in which the batch is worked off.
            options: see `BatchOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("BatchDecorator[S]", self._decorator(state, BATCH, options, BatchFunction))

    def poll(self, state: S, /, **options: Unpack[PollOptions[S]]) -> PollDecorator[S]:
        """Decorate an async function that looks whether something is there, and returns `Pending` until it is.

        Args:
            state: the state in which it looks.
            options: see `PollOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("PollDecorator[S]", self._decorator(state, POLL, options))

    def timer(self, state: S, /, **options: Unpack[TaskOptions[S]]) -> TimerDecorator[S]:
        """Decorate an async function that says how long to wait, or until when; hang ``after_wait`` on it.

        Args:
            state: the state in which the run waits.
            options: see `TaskOptions`; they hold for the whole, the wait included.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("TimerDecorator[S]", self._decorator(state, TIMER, options, TimerFunction))

    def stepped(self, state: S, /, **options: Unpack[TaskOptions[S]]) -> SteppedDecorator[S]:
        """Decorate an async function that does one step of long work, from a cursor to `More` or to the next state.

        Args:
            state: the state in which the steps are made.
            options: see `TaskOptions`; they hold for each step.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("SteppedDecorator[S]", self._decorator(state, STEPPED, options))

    def receive(self, state: S, /, **options: Unpack[ReceiveOptions[S]]) -> ReceiveDecorator[S]:
        """Decorate an async function that is given a message; with a ``timeout``, hang ``on_timeout`` on it.

        Args:
            state: the state in which the run waits.
            options: see `ReceiveOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("ReceiveDecorator[S]", self._decorator(state, RECEIVE, options, ReceiveFunction))

    def compensatable(self, state: S, /, **options: Unpack[CompensatableOptions[S]]) -> CompensatableDecorator[S]:
        """Decorate an async function whose work can be undone; hang ``compensate`` on it.

        Args:
            state: the state whose work it does.
            options: see `CompensatableOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("CompensatableDecorator[S]", self._decorator(state, COMPENSATABLE, options, CompensatableFunction))

    def split(self, state: S, /, **options: Unpack[TaskOptions[S]]) -> SplitDecorator[S]:
        """Decorate an async function that decides which branches there are: it returns `Split.over`, or names a state.

        Args:
            state: the state in which it decides, and in which the branches run.
            options: see `TaskOptions`; they hold for the function, not for the branches.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("SplitDecorator[S]", self._decorator(state, SPLIT, options))

    def stream(self, state: S, /, **options: Unpack[StreamOptions[S]]) -> StreamDecorator[S]:
        """Decorate an async function that processes one item of a stream, and gives its output and its cursor.

        Hang ``open``, ``flush_window`` and ``on_close`` on it, and ``dead_letter`` if items are to go there.

        Args:
            state: the state in which the stream is worked off.
            options: see `StreamOptions`.

        Raises:
            DefinitionError: the state is foreign or taken, the function is not async, or an option is wrong.
        """
        return cast("StreamDecorator[S]", self._decorator(state, STREAM, options, StreamFunction))

    @overload
    def branch(self, function: F, /) -> F: ...
    @overload
    def branch(self, /, **options: Unpack[BranchOptions]) -> BranchDecorator: ...
    def branch(self, function: Any = None, /, **options: Any) -> Any:
        """Declare an async function as a branch with options of its own; it stays the function it was.

        A fixed split names it among its branches. Else it is made over items by `Split.over`, and takes an item first.

        Args:
            function: the function, where there are no options.
            options: see `BranchOptions`.

        Raises:
            DefinitionError: the function is not async, an option is wrong, or there is a branch of that name.
        """

        def declare(function: F) -> F:
            self._declare(function, options)
            return function

        return declare if function is None else declare(function)
