"""One function of a task as the engine needs it: what it is given, what it asks for, what it returns."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from typing import Annotated, Any, Union, final, get_args, get_origin

from msgspec import Struct

from .._errors import Problem
from .branch_results import BranchResults
from .context import RunContext
from .generics import Arguments, filled
from .hints import Scope, raw_annotations, resolve_hints
from .resources import ResourceMap
from .site import Site


@final
class Want(Enum):
    """Where an injected argument comes from."""

    RESOURCES = auto()
    CONTEXT = auto()
    DATA = auto()
    RESOURCE = auto()
    RESULTS = auto()
    """What the branches came to that were joined in this state."""
    NAMED = auto()
    """A lambda's parameter, which can't be annotated: the resource of that name, else the run's data."""


@final
class Parameter(Struct, frozen=True, kw_only=True):
    """An injected parameter.

    Args:
        name: its name.
        want: where its argument comes from.
        types: for a resource: the classes it may be of; None means that its name alone finds it.
        key: for a resource: the key given as ``Annotated[T, key]``.
        optional: without such a resource it keeps its default.
        default: that default.
        keyword_only: it must be passed by name.
        hint: its annotation.
    """

    name: str
    want: Want
    types: tuple[type, ...] | None = None
    key: str | Enum | None = None
    optional: bool = False
    default: Any = None
    keyword_only: bool = False
    hint: Any = None


@final
class Method(Struct, frozen=True, kw_only=True, eq=False):
    """One function of a task.

    Args:
        function: the function, or the bound method.
        label: its name in events and errors.
        own: the resolved annotations of the arguments that the model gives it, first and by position.
        parameters: what is injected after those.
        returns: the resolved return annotation.
        site: where it stands.
    """

    function: Callable[..., Any]
    label: str
    own: tuple[Any, ...]
    parameters: tuple[Parameter, ...]
    returns: Any
    site: Site


ONLY_BY_PLACE = inspect.Parameter.POSITIONAL_ONLY
UNKNOWN = inspect.Parameter.empty
"""An annotation that is missing or can't be resolved."""


def read_method(
    function: Callable[..., Any],
    scope: Scope,
    *,
    label: str,
    place: str,
    takes: tuple[str, ...],
    data: type | None,
    problems: list[Problem],
    lenient: bool = False,
    arguments: Arguments = types.MappingProxyType({}),
    annotated: bool = False,
) -> Method:
    """Read a function's signature; what is wrong with it is added to `problems`.

    A `lenient` reading asks for no annotations: it is for the lambdas that choose a breaker or a limiter; one that is to
    be `annotated` asks for those of the model's own arguments, too. Type variables stand for what `arguments` say.
    """
    site = Site.of(function)
    hints, failures = resolve_hints(function, scope)
    hints = {name: filled(hint, arguments) for name, hint in hints.items()}

    def problem(code: str, message: str, hint: str) -> None:
        problems.append(Problem(code=code, place=place, message=f"{label}: {message}", hint=hint, site=str(site)))

    for name, why in failures.items():
        what = "return annotation" if name == "return" else f"annotation of {name!r}"
        problem("E05", f"the {what} {why}", "Define the name in the module or in the enclosing function.")
    if "return" not in raw_names(function) and not lenient:
        problem("E06", "no return annotation", "Say what it returns, such as -> Literal[Step.DONE].")
    given, injected = _split_parameters(function, len(takes))
    if len(given) < len(takes):
        problem("E16", f"it must take {', '.join(takes)} first", f"Write ({', '.join(takes)}, ...).")
    _ask_for_annotations(given if annotated else (), hints.keys() | failures.keys(), problem)
    parameters: list[Parameter] = []
    skipped = False
    for parameter in injected:
        # After one that keeps its default, no argument may be passed by its place.
        by_name = skipped or parameter.kind is parameter.KEYWORD_ONLY
        if parameter.name in hints:
            parameters.append(_read_parameter(parameter, hints[parameter.name], data, by_name=by_name))
        elif parameter.name in failures:
            continue
        elif parameter.default is not UNKNOWN and parameter.kind is not ONLY_BY_PLACE:
            skipped = True
        elif lenient:
            parameters.append(Parameter(name=parameter.name, want=Want.NAMED, keyword_only=by_name))
        else:
            problem(
                "E14", f"parameter {parameter.name!r} has no annotation", "Annotate it with the type of what it takes."
            )
    return Method(
        function=function,
        label=label,
        own=tuple(hints.get(parameter.name, UNKNOWN) for parameter in given),
        parameters=tuple(parameters),
        returns=hints.get("return", UNKNOWN),
        site=site,
    )


def _ask_for_annotations(
    parameters: Iterable[inspect.Parameter], known: Collection[str], problem: Callable[[str, str, str], None]
) -> None:
    for parameter in parameters:
        if parameter.name not in known:
            problem(
                "E14", f"parameter {parameter.name!r} has no annotation", "Annotate it with the class of what it takes."
            )


def raw_names(function: Callable[..., Any]) -> frozenset[str]:
    """The names that have an annotation at all."""
    return frozenset(raw_annotations(function))


def _split_parameters(
    function: Callable[..., Any], own: int
) -> tuple[list[inspect.Parameter], list[inspect.Parameter]]:
    """The first `own` positional parameters, and all the others but *args and **kwargs."""
    given: list[inspect.Parameter] = []
    injected: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        if len(given) < own and parameter.kind is not parameter.KEYWORD_ONLY:
            given.append(parameter)
        else:
            injected.append(parameter)
    return given, injected


def _read_parameter(parameter: inspect.Parameter, hint: Any, data: type | None, *, by_name: bool) -> Parameter:
    key: str | Enum | None = None
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        key = next((value for value in extra if isinstance(value, (str, Enum))), None)
    types_, may_be_none = _classes(hint)
    want = Want.RESOURCE
    if key is None and types_ and len(types_) == 1:
        want = _special(types_[0], data)
    return Parameter(
        name=parameter.name,
        want=want,
        types=types_,
        key=key,
        optional=parameter.default is not UNKNOWN or may_be_none,
        default=None if parameter.default is UNKNOWN else parameter.default,
        keyword_only=by_name,
        hint=hint,
    )


def _special(type_: type, data: type | None) -> Want:
    if type_ is RunContext:
        return Want.CONTEXT
    if data is not None and type_ is data:
        return Want.DATA
    if type_ is BranchResults:
        return Want.RESULTS
    return Want.RESOURCES if issubclass(type_, ResourceMap) else Want.RESOURCE


def _classes(hint: Any) -> tuple[tuple[type, ...] | None, bool]:
    """The classes that an annotation stands for (None: only the name can tell), and whether None is one of them."""
    if hasattr(hint, "__value__"):
        return _classes(hint.__value__)
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        parts = [_classes(part) for part in get_args(hint) if part is not type(None)]
        may_be_none = len(parts) < len(get_args(hint))
        if any(found is None for found, _ in parts):
            return None, may_be_none
        return tuple(class_ for found, _ in parts for class_ in found or ()), may_be_none
    class_ = origin or hint
    if not isinstance(class_, type) or class_ is object or class_ in {Any, Callable}:
        return None, False
    if getattr(class_, "_is_protocol", False) and not getattr(class_, "_is_runtime_protocol", False):
        return None, False
    return (class_,), False


def is_any(hint: Any) -> bool:
    """Whether an annotation says nothing."""
    return hint is UNKNOWN or hint is Any or isinstance(hint, typing.TypeVar)
