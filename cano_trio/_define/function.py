"""The function form of a task that has several methods."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

from .node import Node

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class TaskFunction(Generic[P, R]):
    """A decorated function on which the other methods of its task are hung; call it as before."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]], node: Node[Any]) -> None:
        self._function = function
        self._node = node
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function itself."""
        return self._function(*args, **kwargs)

    def __reduce__(self) -> str:
        """Pickle by name, as a function is."""
        return self._function.__qualname__

    def _hang(self, method: str, function: F) -> F:
        self._node.add(method, function)
        return function
