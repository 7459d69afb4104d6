"""The annotations of one function, each resolved by itself and without keeping frames alive."""

from __future__ import annotations

import ast
import functools
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, ForwardRef, final

Names = Mapping[str, Any]


@final
class Scope:
    """The local names that a definition's string annotations need, taken where the definition stands, and no more.

    A frame kept instead would keep alive all that its function ever held.
    """

    __slots__ = ("names",)

    def __init__(self, names: Names) -> None:
        self.names: Names = names

    @classmethod
    def capture(cls, function: Callable[..., Any], body: Names = types.MappingProxyType({})) -> Scope:
        """Look for the names in the functions and class bodies that lexically enclose the definition.

        A mere caller that happens to have a local of the same name must not be taken for one of them.

        Args:
            function: what is defined.
            body: the class body around it, if that has been left already.
        """
        function = underlying(function)
        wanted = set().union(*map(_names_in, raw_annotations(function).values()))
        lexical = set(_enclosing(getattr(function, "__qualname__", "")))
        found: dict[str, Any] = {name: body[name] for name in wanted if name in body}
        wanted -= found.keys()
        frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001  (no public way to an outer local)
        while wanted and lexical and frame is not None:
            if frame.f_code.co_qualname in lexical and frame.f_globals.get("__name__") == function.__module__:
                lexical.discard(frame.f_code.co_qualname)
                here = {name: frame.f_locals[name] for name in wanted if name in frame.f_locals}
                found |= here
                wanted -= here.keys()
            frame = frame.f_back
        return cls(found)


def underlying(function: Callable[..., Any]) -> Any:
    """The function that was written: out of partials, bound methods, wrappers, and objects that are called like one."""
    while True:
        match function:
            case functools.partial():
                function = function.func
            case types.MethodType():
                function = function.__func__
            case _ if hasattr(function, "__wrapped__"):
                function = function.__wrapped__  # pyright: ignore[reportFunctionMemberAccess]
            case _ if hasattr(function, "__code__") or isinstance(function, type):
                return function
            case _:
                call = getattr(type(function), "__call__", None)  # noqa: B004  (its class's, to read its annotations)
                return call if isinstance(call, types.FunctionType) else function


def _annotated(function: Callable[..., Any]) -> Any:
    """The function whose annotations are meant: of a class that is called, not those of its attributes."""
    function = underlying(function)
    return getattr(function, "__init__") if isinstance(function, type) else function  # noqa: B009  (mypy thinks of an instance's)


def raw_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations unevaluated: strings stay strings."""
    function = _annotated(function)
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415  (not there before 3.14)

        return dict(annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF))
    return dict(getattr(function, "__annotations__", {}))


def resolve_hints(function: Callable[..., Any], scope: Scope) -> tuple[dict[str, Any], dict[str, str]]:
    """Every hint that can be resolved, and of every other one why it can't: a bad one does not take the others along."""
    function = _annotated(function)
    outer: Names = getattr(function, "__globals__", {})
    local = _closure(function) | dict(scope.names)
    local |= {parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())}
    hints: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for name, raw in raw_annotations(function).items():
        try:
            hints[name] = _evaluate(raw, outer, local)
        except NameError as error:
            failures[name] = f"{raw!r} needs the name {error.name!r}, which is not defined at run time"
        except Exception as error:  # an annotation may be any expression
            failures[name] = f"{raw!r} can't be evaluated: {type(error).__name__}: {error}"
    return hints, failures


def _evaluate(raw: Any, outer: Names, local: Names) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": raw})
    return typing.get_type_hints(holder, dict(outer), dict(local), include_extras=True)["it"]


def _names_in(annotation: Any) -> set[str]:
    """The names in all strings of an annotation: in ``list["Page"]``, and in its text under PEP 563, too."""
    source = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
    if not isinstance(source, str):
        inside = () if typing.get_origin(annotation) is typing.Literal else typing.get_args(annotation)
        return set().union(*map(_names_in, inside))
    try:
        nodes = list(ast.walk(ast.parse(source, mode="eval")))
    except SyntaxError:
        return set()
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names.union(*(_names_in(node.value) for node in nodes if isinstance(node, ast.Constant)))


def _enclosing(qualname: str) -> list[str]:
    parts = qualname.split(".")[:-1]
    return [".".join(parts[: end + 1]) for end, part in enumerate(parts) if part != "<locals>"]


def _closure(function: Any) -> dict[str, Any]:
    cells = zip(
        getattr(getattr(function, "__code__", None), "co_freevars", ()),
        getattr(function, "__closure__", None) or (),
        strict=False,
    )
    found: dict[str, Any] = {}
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # the name is bound later than the definition
            continue
    return found
