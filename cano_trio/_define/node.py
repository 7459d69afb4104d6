"""A state, or a branch, and what was registered for it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any, Generic, TypeVar, final

from msgspec import Struct, field
from msgspec.structs import replace

from .._errors import DefinitionError
from .child import Child
from .config import OnError, TaskConfig
from .form import TaskForm
from .hints import Scope, underlying
from .model import MODEL_OPTIONS, Model
from .site import Site
from .split import Split

S = TypeVar("S", bound=Enum)

MISSPELT = 0.85
"""How like an option an attribute's name must be (`difflib`) to be taken for a slip: `retrys` is, `limit` is not."""


@final
class Node(Struct, Generic[S], eq=False):
    """A task as the user registered it for a state, or a branch as it was declared.

    Args:
        place: what it is the task of, in messages: the state's name.
        model: how it is processed.
        name: the task's name in events and errors.
        site: where it was registered or written.
        config: how its attempts are made.
        knobs: the model's own options.
        on_error: where a failure leads.
        functions: its functions by the name of the model's method.
        scopes: the local names that each one's annotations need.
        task: the task object, for a class form.
        split: for a fixed split, what it is.
        branches: its branches by name.
        child: for a child workflow, what it is.
        routes: the states by the child's exits.
        plain: the plain functions that it was given, by name.
        changed: told when a function is added.
    """

    place: str
    model: Model
    name: str
    site: Site
    config: TaskConfig
    knobs: Mapping[str, Any]
    on_error: OnError[S]
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    scopes: dict[str, Scope] = field(default_factory=dict[str, Scope])
    task: TaskForm[Any] | None = None
    split: Split[S] | None = None
    branches: Mapping[str, Node[S]] = field(default_factory=dict[str, "Node[S]"])
    child: Child | None = None
    routes: Mapping[Any, S] = field(default_factory=dict[Any, S])
    plain: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    changed: Callable[[], None] = lambda: None

    def add(self, method: str, function: Callable[..., Any], scope: Scope | None = None) -> None:
        """Take a function as one of the model's methods.

        Raises:
            DefinitionError: it is not an async function, or there is one already.
        """
        what = self.name if len(self.model.methods) == 1 else f"{self.name}.{method}"
        check_method(self.model, method, function, what, self.place)
        if method in self.functions:
            earlier = Site.of(self.functions[method])
            raise DefinitionError.one(
                "E04", self.place, f"{what} is already defined at {earlier}",
                hint="Keep one of the two.", site=str(Site.of(function)),
            )  # fmt: skip
        self.functions[method] = function
        self.scopes[method] = Scope.capture(function) if scope is None else scope
        self.changed()

    def copied(self, changed: Callable[[], None]) -> Node[S]:
        """The same for another workflow, with functions of its own."""
        return replace(self, functions=dict(self.functions), scopes=dict(self.scopes), changed=changed)

    @property
    def work(self) -> str:
        """What is done there, for people: its name, with its kind if it is no plain task."""
        if self.split is not None:
            named = f"{self.name}: " if self.name != self.place else ""
            return f"split {named}{self.split.text}"
        return self.name if self.model.name == "task" else f"{self.model.name} {self.name}"

    def label(self, method: str) -> str:
        """The name of one of its functions in events and errors."""
        return self.name if len(self.model.methods) == 1 else f"{self.name}.{method}"


def check_method(model: Model, method: str, function: Callable[..., Any], what: str, place: str) -> None:
    """Refuse what can't be this method of a model."""
    if not callable(function) or not any(rule.source for rule in model.methods if rule.name == method):
        check_async(function, what, place)


def check_async(function: Callable[..., Any], what: str, place: str) -> None:
    """Refuse what is not an async function."""
    called = getattr(function, "__func__", function)
    calls = getattr(type(called), "__call__", None)  # noqa: B004  (of an object that is called like a function)
    if inspect.isasyncgenfunction(called):
        raise DefinitionError.one(
            "E15", place, f"{what} is an async generator",
            hint="Return a value instead of yielding; many items belong into a batch or a stream.",
            site=str(Site.of(function)),
        )  # fmt: skip
    is_async = inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(calls)
    if not is_async or not callable(function):
        shown = "a plain function" if inspect.isroutine(called) else repr(called)
        raise DefinitionError.one(
            "E15", place, f"{what} is {shown}, not an async function",
            hint="Write `async def`; call blocking code with `await trio.to_thread.run_sync(...)`.",
            site=str(Site.of(function)),
        )  # fmt: skip


def name_of(function: Any) -> str:
    """What a function, or an object called like one, is called."""
    name = getattr(underlying(function), "__name__", "")
    return type(getattr(function, "__self__", function)).__name__ if name in {"", "__call__"} else name


def functions_of(task: TaskForm[Any]) -> dict[str, Callable[..., Any]]:
    """The methods of a task object that the user has written, by name."""
    return {
        rule.name: getattr(task, rule.name)
        for rule in task.__model__.methods
        if rule.required or getattr(type(task), rule.name) is not getattr(base_of(task), rule.name, None)
    }


def scope_of(task: TaskForm[Any], method: str) -> Scope | None:
    """The local names that the annotations of a task object's method need, if its class kept them."""
    if method in vars(task):
        return None
    home = next(cls for cls in type(task).__mro__ if method in vars(cls))
    scopes: Mapping[str, Scope] = vars(home).get("__scopes__", {})
    return scopes.get(method)


def options_of(task: TaskForm[Any]) -> dict[str, Any]:
    """The options that a task object has as attributes."""
    return {name: _option(task, name) for name in (*MODEL_OPTIONS, *task.__model__.knobs)}


def _option(task: TaskForm[Any], name: str) -> Any:
    value = getattr(task, name)
    if isinstance(value, types.MethodType) and next(iter(inspect.signature(value.__func__).parameters), "") != "self":
        return value.__func__  # `retry_on = is_flaky` in a class body means the function, which Python has bound
    return value


def misspelt_options(task: TaskForm[Any]) -> dict[str, str]:
    """The attributes that a task object has for nobody, each with the option that its name is almost.

    One that a method of the task reads is the user's own, whatever its name: an option is read by none of them.
    """
    options = (*MODEL_OPTIONS, *task.__model__.knobs)
    classes = [cls for cls in type(task).__mro__ if not issubclass(base_of(task), cls)]
    given = {name: value for cls in classes for name, value in vars(cls).items() if not hasattr(value, "__get__")}
    given |= getattr(task, "__dict__", {})
    near = {
        name: match
        for name in given
        if name not in options and not name.startswith("_")
        for match in get_close_matches(name, options, n=1, cutoff=MISSPELT)
    }
    return {name: match for name, match in near.items() if not any(_is_read(name, cls) for cls in classes)}


def _is_read(attribute: str, cls: type) -> bool:
    """Whether a method of a class, other than those that make the object, mentions an attribute."""
    functions = [getattr(it, "fget", it) for name, it in vars(cls).items() if name not in {"__init__", "__post_init__"}]
    return any(_mentions(getattr(underlying(function), "__code__", None), attribute) for function in functions)


def _mentions(code: object, attribute: str) -> bool:
    return isinstance(code, types.CodeType) and (
        attribute in code.co_names or any(_mentions(inner, attribute) for inner in code.co_consts)
    )


def base_of(task: TaskForm[Any]) -> type:
    """The class of ours that the task's class derives from."""
    return next(cls for cls in type(task).__mro__ if "__model__" in vars(cls))
