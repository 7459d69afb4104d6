"""A definition read in full: every state's functions, signatures and edges, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, TypeVar, final, get_args, get_origin

from msgspec import Struct, field

from .._errors import Problem
from .child import Child, data_faults, route_faults
from .compatible import bare, has_instances, name_of
from .config import is_chooser
from .edges import Returns, is_state, members, paired_type, read_returns, written
from .generics import Arguments, type_arguments
from .hints import Scope
from .messages import received
from .method import UNKNOWN, Method, read_method
from .model import MethodRule
from .node import Node, base_of
from .recorded import unwritable
from .router import ROUTER
from .split import SPLIT, Split

S = TypeVar("S", bound=Enum)


@final
class Edge(Struct, Generic[S], frozen=True, kw_only=True):
    """A way from one state to another.

    Args:
        target: where it leads.
        label: what stands at it in a drawing.
        error: it is taken on a failure (``on_error``).
        anywhere: it comes from a bare ``-> Step``, which may lead to any state.
        joins: it is taken when the branches of a split have come to enough.
    """

    target: S
    label: str = ""
    error: bool = False
    anywhere: bool = False
    joins: bool = False


@final
class Plan(Struct, Generic[S], frozen=True, kw_only=True, eq=False):
    """A state with its functions and edges, resolved.

    Args:
        node: what was registered.
        methods: its functions by the name of the model's method.
        plain: its plain functions, such as those that choose its `breaker` or `limiter`.
        edges: where it may lead.
        branches: the branches of a split, by name; of one that decides at run time, all that it may choose among.
        unread: its annotations could not be read in full, so that it may lead elsewhere, too.
    """

    node: Node[S]
    methods: Mapping[str, Method]
    plain: Mapping[str, Method]
    edges: tuple[Edge[S], ...]
    branches: Mapping[str, Plan[S]] = field(default_factory=dict[str, "Plan[S]"])
    unread: bool = False

    @property
    def targets(self) -> tuple[S, ...]:
        """The states that the task may return."""
        return tuple(edge.target for edge in self.edges if not edge.error)


def read_plan(
    node: Node[S],
    states: type[S],
    known: Iterable[S],
    data: type | None,
    problems: list[Problem],
    declared: Mapping[str, Plan[S]] = MappingProxyType({}),
) -> Plan[S]:
    """Resolve a node; what is wrong with it is added to `problems`. A split task chooses among the `declared` branches."""
    place = node.place
    problems += _missing_or_idle(node)
    arguments = {} if node.task is None else type_arguments(type(node.task))
    methods = {
        rule.name: read_method(
            node.functions[rule.name],
            node.scopes[rule.name],
            label=node.label(rule.name),
            place=place,
            takes=rule.takes,
            data=data,
            problems=problems,
            arguments=_arguments_at(node, rule.name, arguments),
            annotated=rule.by_class,
        )
        for rule in node.model.methods
        if rule.name in node.functions
    }
    for rule in node.model.methods:
        if rule.name in methods:
            problems += _message_problems(rule, methods[rule.name], node)
    if node.model.check is not None:
        problems += [
            Problem(
                code="E17",
                place=place,
                message=f"{method.label}: {text}",
                site=str(method.site),
                hint="Make them agree.",
            )
            for method, text in node.model.check(methods, _generics(node, arguments))
        ]
    problems += _unwritable(node, methods)
    edges, unread = _returned_edges(node, methods, states, known, problems)
    if node.split is not None:
        edges = _joined_edge(node, node.split, states, problems)
    plain = _plain_functions(node, data, problems)
    for method in plain.values():
        problems += _receives_in_vain(method, node, "it is a plain function, which can't wait")
    if node.child is not None:
        edges = _routed_edges(node, node.child, states, problems)
        problems += [fault.problem(place, node.name, str(node.site)) for fault in data_faults(node.child, data, plain)]
    branches = {name: read_plan(branch, states, known, data, problems) for name, branch in node.branches.items()}
    return Plan(
        node=node,
        methods=methods,
        plain=plain,
        edges=(*edges, *_error_edges(node, states, problems)),
        branches=declared if node.model is SPLIT else branches,
        unread=unread,
    )


def _unwritable(node: Node[Any], methods: Mapping[str, Method]) -> Iterator[Problem]:
    """What is to be written down, for a journal to go on with after a crash, and is of a type that can't be."""
    for method, what, type_ in node.model.kept(methods) if node.model.kept is not None else ():
        yield from unwritable("E23", node.place, method, what, type_)


def _missing_or_idle(node: Node[Any]) -> Iterator[Problem]:
    """The methods that a task lacks, and those that nobody will call."""
    for rule in node.model.methods:
        knob = rule.needed_with
        value = node.knobs[knob] if knob else None
        needed = rule.required or (value is not None and rule.needed_for in {None, value})
        what = f"a {knob}" if rule.needed_for is None else f"{knob}={rule.needed_for!r}"
        given = rule.name in node.functions
        if needed and not given:
            yield Problem(
                code="E16",
                place=node.place,
                message=f"{node.name} has {f'{what}, but ' if knob else ''}no {rule.name}",
                site=str(node.site),
                hint=f"Write @{node.name}.{rule.name} over an async function."
                if node.task is None
                else f"Write `async def {rule.name}` in {type(node.task).__name__}.",
            )
        elif knob and given and not needed:
            yield Problem(
                code="W16",
                place=node.place,
                message=f"{node.name} has no {what.removeprefix('a ')}, so its {rule.name} is never called",
                site=str(node.site),
                hint=f"Give it {what}, or delete {rule.name}.",
                severity="warning",
            )


def _message_problems(rule: MethodRule, method: Method, node: Node[Any]) -> Iterator[Problem]:
    """What of the messages that a method takes can't be told by `isinstance`, or is received where it may not be."""
    if rule.undoes:
        yield from _receives_in_vain(method, node, "the run is undone then, and takes no messages any more")
    elif not rule.receives:
        yield from _receives_in_vain(
            method, node, "it only reads, and a message is used up together with what is written"
        )
    own = [part for own in method.own if rule.by_class and own is not UNKNOWN for part in members(own)]
    for hint in (*own, *_received_by(method)):
        if not has_instances(bare(hint)):
            yield Problem(
                code="E17", place=node.place, message=f"{method.label}: isinstance can't tell what is a {name_of(hint)}",
                site=str(method.site), hint="Annotate with a class, or a union of classes: wrap it in one of your own.",
            )  # fmt: skip


def _receives_in_vain(method: Method, node: Node[Any], why: str) -> Iterator[Problem]:
    if _received_by(method):
        others = " or ".join(node.label(rule.name) for rule in node.model.methods if rule.receives)
        yield Problem(
            code="E36", place=node.place, message=f"{method.label}: its context can't receive messages: {why}",
            site=str(method.site), hint=f"Receive in {others or 'a task'}, or in a state of its own: @workflow.receive.",
        )  # fmt: skip


def _received_by(method: Method) -> list[Any]:
    return [hint for parameter in method.parameters for hint in received(parameter)]


def _returned_edges(
    node: Node[S], methods: Mapping[str, Method], states: type[S], known: Iterable[S], problems: list[Problem]
) -> tuple[list[Edge[S]], bool]:
    """The edges that the return annotations name, and whether some of these could not be read."""
    edges: dict[tuple[S, bool], Edge[S]] = {}
    unread = False
    for rule in node.model.methods:
        method = methods.get(rule.name)
        if not rule.names_state:
            continue
        if method is None or method.returns is UNKNOWN:
            unread |= rule.required
            continue
        returns = read_returns(method.returns, states, receipt=rule.receipt)
        unread |= _check_returns(returns, method, states, rule.also, node.place, problems)
        edges |= _edges_to(returns, known, edges, joins=False, label=rule.label)
        for hint in returns.rest:
            if Split in rule.also and (get_origin(hint) or hint) is Split:
                joined = read_returns(next(iter(get_args(hint)), states), states)
                unread |= _check_returns(joined, method, states, (), node.place, problems)
                edges |= _edges_to(joined, known, edges, joins=True)
    return list(edges.values()), unread


def _edges_to(
    returns: Returns[S], known: Iterable[S], there: Mapping[tuple[S, bool], Edge[S]], *, joins: bool, label: str = ""
) -> dict[tuple[S, bool], Edge[S]]:
    """The edges that an annotation adds, by target and by whether they join branches, with a label where it gives none."""
    found = dict[tuple[S, bool], Edge[S]]()
    if returns.anywhere:
        found |= {(state, joins): Edge(target=state, anywhere=True, joins=joins) for state in known}
        found = {key: edge for key, edge in found.items() if key not in there}
    for target, own in returns.targets.items():
        earlier = there.get((target, joins))
        if own or earlier is None or earlier.anywhere:
            found[target, joins] = Edge(target=target, label=own or label, joins=joins)
    return found


def _joined_edge(node: Node[S], split: Split[S], states: type[S], problems: list[Problem]) -> list[Edge[S]]:
    """The one edge of a fixed split, if it leads to a state; what is wrong with the split is added to `problems`."""
    problems += [fault.problem(node.place, node.name, str(node.site)) for fault in split.faults(states)]
    return [Edge(target=split.then, joins=True)] if is_state(split.then, states) else []


def _routed_edges(node: Node[S], child: Child, states: type[S], problems: list[Problem]) -> list[Edge[S]]:
    """The edges of a child workflow, labelled with its exits; what is wrong with them is added to `problems`."""
    problems += [
        fault.problem(node.place, node.name, str(node.site)) for fault in route_faults(child, node.routes, states)
    ]
    labels: dict[S, list[str]] = {}
    for exit_, target in node.routes.items():
        if is_state(target, states):
            labels.setdefault(target, []).append(getattr(exit_, "name", str(exit_)))
    return [Edge(target=target, label=", ".join(names)) for target, names in labels.items()]


def _check_returns(
    returns: Returns[S], method: Method, states: type[S], also: tuple[type, ...], place: str, problems: list[Problem]
) -> bool:
    """Whether it names something else than states."""
    wrong = [hint for hint in returns.rest if (get_origin(hint) or hint) not in also]
    for hint in wrong:
        shown = written(hint) if isinstance(hint, Enum) else repr(hint) if isinstance(hint, str) else name_of(hint)
        problems.append(
            Problem(
                code="E11",
                place=place,
                message=f"{method.label} is annotated to return {shown}",
                site=str(method.site),
                hint=f"It must return members of {states.__name__}, such as -> Literal[{written(next(iter(states)))}]."
                + (" Only @workflow.split may return a Split." if (get_origin(hint) or hint) is Split else ""),
            )
        )
    return bool(wrong)


def _error_edges(node: Node[S], states: type[S], problems: list[Problem]) -> list[Edge[S]]:
    edges: list[Edge[S]] = []
    caught: list[type[Exception]] = []
    for kind, target in node.on_error.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or not is_state(target, states):
            problems.append(
                Problem(
                    code="E20",
                    place=node.place,
                    message=f"on_error of {node.name} has {kind!r}: {target!r}",
                    hint="Map exception types to states, such as {OSError: Step.FAILED}.",
                    site=str(node.site),
                )
            )
            continue
        problems += _hidden(kind, caught, node)
        caught.append(kind)
        edges.append(Edge(target=target, label=kind.__name__, error=True))
    return edges


def _hidden(kind: type[Exception], caught: Iterable[type[Exception]], node: Node[Any]) -> Iterator[Problem]:
    """The warning that an entry of `on_error` is never come to, since one before it takes all of its failures."""
    for earlier in caught:
        if issubclass(kind, earlier):
            yield Problem(
                code="W20",
                place=node.place,
                message=f"on_error of {node.name} never comes to {kind.__name__}: {earlier.__name__} stands before it",
                hint="The first that fits is taken: put the narrower type first, or delete it.",
                site=str(node.site),
                severity="warning",
            )
            return


def _plain_functions(node: Node[Any], data: type | None, problems: list[Problem]) -> dict[str, Method]:
    """Its plain functions, which have injected parameters too: those that choose a breaker or limiter, and a child's."""
    given = {option: getattr(node.config, option) for option in ("breaker", "limiter")}
    functions = {option: value for option, value in given.items() if is_chooser(value)} | dict(node.plain)
    return {
        name: read_method(
            function, Scope.capture(function), label=f"{node.name}'s {name}", place=node.place,
            takes=node.model.plain.get(name, ()), data=data, problems=problems, lenient=True,
        )
        for name, function in functions.items()
    }  # fmt: skip


def _arguments_at(node: Node[Any], method: str, arguments: Mapping[type, Arguments]) -> Arguments:
    """What the type parameters of the class stand for that defines a method."""
    home = next((cls for cls in type(node.task).__mro__ if method in vars(cls)), None)
    return {} if home is None else arguments.get(home, {})


def _generics(node: Node[Any], arguments: Mapping[type, Arguments]) -> dict[str, Any]:
    """What the class form's generics are, by the model's names for them."""
    given = {} if node.task is None else arguments.get(base_of(node.task), {})
    return dict(zip(node.model.generics, list(given.values())[1:], strict=False))


def joined_states(plans: Mapping[S, Plan[S]]) -> frozenset[S]:
    """The states to which the outcomes of branches come: those at which splits join, and past a router those after it."""
    found: set[S] = set()
    todo = [edge.target for plan in plans.values() for edge in plan.edges if edge.joins]
    while todo:
        state = todo.pop()
        if state in found:
            continue
        found.add(state)
        if state in plans and plans[state].node.model is ROUTER:
            todo += [edge.target for edge in plans[state].edges]
    return frozenset(found)


def where_states_are_named(plans: Mapping[S, Plan[S]], state: S) -> str:
    """Which state leads to this one, and where that is written, for messages."""
    for origin, plan in plans.items():
        for edge in plan.edges:
            if edge.target is not state or edge.anywhere:
                continue
            if edge.error:
                return f"The on_error of {origin.name} names it at {plan.node.site}. "
            if plan.node.split is not None:
                return f"{origin.name} joins there ({plan.node.site}). "
            if plan.node.child is not None:
                return f"{origin.name} leads there from {edge.label} of {plan.node.child.name} ({plan.node.site}). "
            rule = next(rule for rule in plan.node.model.methods if rule.names_state and rule.name in plan.methods)
            return f"{origin.name} returns it at {plan.methods[rule.name].site}. "
    return ""


def result_type(branch: Plan[Any]) -> Any:
    """What a branch gives the join state: of one that can be undone, what it pairs with its receipts."""
    returns = branch.methods["run"].returns
    if returns is UNKNOWN or not branch.node.model.methods[0].receipt:
        return returns
    return paired_type(returns)
