"""A definition read in full: every state's functions, signatures and edges, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Generic, TypeVar, final, get_args, get_origin

import attrs

from .._errors import Problem
from .compatible import name_of
from .edges import Returns, read_returns
from .form import TaskForm
from .hints import Scope
from .method import UNKNOWN, Method, read_method
from .node import Node
from .site import Site

S = TypeVar("S", bound=Enum)


@final
@attrs.frozen(kw_only=True)
class Edge(Generic[S]):
    """A way from one state to another.

    Args:
        target: where it leads.
        label: what stands at it in a drawing.
        error: it is taken on a failure (``on_error``).
        anywhere: it comes from a bare ``-> Step``, which may lead to any state.
    """

    target: S
    label: str = ""
    error: bool = False
    anywhere: bool = False


@final
@attrs.frozen(kw_only=True, eq=False)
class Plan(Generic[S]):
    """A state with its functions and edges, resolved.

    Args:
        node: what was registered.
        methods: its functions by the name of the model's method.
        chooser: the functions that the options `breaker` and `limiter` may be.
        edges: where it may lead.
    """

    node: Node[S]
    methods: Mapping[str, Method]
    choosers: Mapping[str, Method]
    edges: tuple[Edge[S], ...]

    @property
    def targets(self) -> tuple[S, ...]:
        """The states that the task may return."""
        return tuple(edge.target for edge in self.edges if not edge.error)


def read_plan(
    node: Node[S], states: type[S], known: Iterable[S], data: type | None, problems: list[Problem]
) -> Plan[S]:
    """Resolve a node; what is wrong with it is added to `problems`."""
    place = node.state.name
    missing = [rule for rule in node.model.methods if rule.required and rule.name not in node.functions]
    problems += [
        Problem(
            code="E16",
            place=place,
            message=f"{node.name} has no {rule.name}",
            site=str(node.site),
            hint=f"Write @{node.name}.{rule.name} over an async function.",
        )
        for rule in missing
    ]
    methods = {
        rule.name: read_method(
            node.functions[rule.name],
            node.scopes[rule.name],
            label=node.label(rule.name),
            place=place,
            takes=rule.takes,
            data=data,
            problems=problems,
        )
        for rule in node.model.methods
        if rule.name in node.functions
    }
    if node.model.check is not None:
        problems += [
            Problem(
                code="E17",
                place=place,
                message=f"{method.label}: {text}",
                site=str(method.site),
                hint="Make them agree.",
            )
            for method, text in node.model.check(methods, _generics(node))
        ]
    edges = [*_returned_edges(node, methods, states, known, problems), *_error_edges(node, states, problems)]
    return Plan(node=node, methods=methods, choosers=_choosers(node, data, problems), edges=tuple(edges))


def _returned_edges(
    node: Node[S], methods: Mapping[str, Method], states: type[S], known: Iterable[S], problems: list[Problem]
) -> list[Edge[S]]:
    edges: dict[S, Edge[S]] = {}
    for rule in node.model.methods:
        method = methods.get(rule.name)
        if not rule.names_state or method is None or method.returns is UNKNOWN:
            continue
        returns = read_returns(method.returns, states)
        _check_returns(returns, method, states, rule.also, node.state.name, problems)
        if returns.anywhere:
            edges |= {state: Edge(target=state, anywhere=True) for state in known if state not in edges}
        edges |= {target: Edge(target=target, label=label or "") for target, label in returns.targets.items()}
    return list(edges.values())


def _check_returns(
    returns: Returns[S], method: Method, states: type[S], also: tuple[type, ...], place: str, problems: list[Problem]
) -> None:
    wrong = [hint for hint in returns.rest if (get_origin(hint) or hint) not in also]
    for hint in wrong:
        shown = repr(hint) if isinstance(hint, (str, Enum)) else name_of(hint)
        problems.append(
            Problem(
                code="E11",
                place=place,
                message=f"{method.label} is annotated to return {shown}",
                site=str(method.site),
                hint=f"It must return members of {states.__name__}, such as -> Literal[{next(iter(states))}].",
            )
        )


def _error_edges(node: Node[S], states: type[S], problems: list[Problem]) -> list[Edge[S]]:
    edges: list[Edge[S]] = []
    for kind, target in node.on_error.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or not isinstance(target, states):
            problems.append(
                Problem(
                    code="E20",
                    place=node.state.name,
                    message=f"on_error of {node.name} has {kind!r}: {target!r}",
                    hint="Map exception types to states, such as {OSError: Step.FAILED}.",
                    site=str(node.site),
                )
            )
        else:
            edges.append(Edge(target=target, label=kind.__name__, error=True))
    return edges


def _choosers(node: Node[Any], data: type | None, problems: list[Problem]) -> dict[str, Method]:
    """The options that are functions choosing a breaker or a limiter: they have injected parameters too."""
    found: dict[str, Method] = {}
    for option in ("breaker", "limiter"):
        value = getattr(node.config, option)
        if callable(value):
            found[option] = read_method(
                value, Scope.capture(value), label=f"{node.name}'s {option}", place=node.state.name, takes=(), data=data,
                problems=problems, lenient=True,
            )  # fmt: skip
    return found


def _generics(node: Node[Any]) -> dict[str, Any]:
    """What the class form's generics are, by the model's names for them."""
    if node.task is None or not node.model.generics:
        return {}
    for cls in type(node.task).__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, TaskForm) and origin.__dict__.get("model") is node.model:
                return dict(zip(node.model.generics, get_args(base)[1:], strict=False))
    return {}


def where_states_are_named(plans: Mapping[S, Plan[S]], state: S) -> str:
    """Which state leads to this one, and where that is written, for messages."""
    for origin, plan in plans.items():
        if any(edge.target is state and not edge.anywhere for edge in plan.edges):
            site: Site = plan.node.site
            for rule in plan.node.model.methods:
                if rule.names_state and rule.name in plan.methods:
                    site = plan.methods[rule.name].site
            return f"{origin.name} returns it at {site}. "
    return ""
