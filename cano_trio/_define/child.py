"""What a user writes to have another workflow do the work of a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace
from typing_extensions import TypedDict

from .._errors import Problem
from .compatible import bare, compatible, name_of
from .edges import is_state, written
from .fault import Fault
from .method import UNKNOWN, Method, is_any
from .model import Model

S = TypeVar("S", bound=Enum)

CHILD = Model(
    name="child",
    methods=(),
    retries=False,
    options=frozenset({"name", "on_error"}),
    plain={"data": (), "result": ("result",)},
)
"""Another workflow as the work of a state."""


class ChildOptions(TypedDict, Generic[S], total=False):
    """What `Workflow.register_child` takes besides: a child is not tried again, and has a timeout of its own.

    Args:
        name: its name in events and errors; by default the child workflow's.
        on_error: where its failure leads; what it had done has been undone by then. Where it has ended well and only the
            ``result`` function fails, that stands, and is undone if the run fails later.
    """

    name: str
    on_error: Mapping[type[Exception], S]


class Child(Protocol):
    """What a definition asks of another that is its child."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def states(self) -> type[Enum]:
        """Its states."""
        ...

    @property
    def initial(self) -> Any:
        """Where it begins."""

    @property
    def exits(self) -> frozenset[Any]:
        """Where it ends."""
        ...

    @property
    def data(self) -> Any:
        """The type of its runs' data."""

    def blueprint(self) -> Mapping[Any, Any]:
        """Its states."""
        ...


def route_faults(child: Child, routes: Mapping[Any, Any], states: type[Enum]) -> Iterator[Fault]:
    """What is wrong with the ways that lead from a child's exits back to its parent."""
    for exit_, target in routes.items():
        if not is_state(exit_, child.states) or exit_ not in child.exits:
            yield Fault(
                "E40", f"its routes begin at {exit_!r}, which is no exit of {child.name}", "Name the child's exits."
            )
        elif not is_state(target, states):
            yield Fault(
                "E40", f"its routes lead from {exit_.name} to {target!r}, which is no state of {states.__name__}",
                f"Name a state, such as {written(next(iter(states)))}.",
            )  # fmt: skip
    for exit_ in child.states:
        if exit_ in child.exits and exit_ not in routes:
            yield Fault(
                "E41", f"no route leads on from the child's exit {exit_.name}",
                f"Add {written(exit_)}: ... to its routes.",
            )  # fmt: skip


def data_faults(child: Child, data: type | None, plain: Mapping[str, Method]) -> Iterator[Fault]:
    """What is wrong with how the child gets its data, and with what is made of them."""
    if child.data is None and "data" in plain:
        yield Fault("E42", f"it is given data, but {child.name} takes none", "Leave `data` out.")
    elif child.data is not None and child.data is not data and "data" not in plain:
        wanted = name_of(child.data)
        yield Fault(
            "E42", f"{child.name} takes data of type {wanted}, and nothing gives it any",
            "Pass data=, a function that makes one of what it takes.",
        )  # fmt: skip
    if child.data is None and "result" in plain:
        yield Fault("E42", f"its result function waits for data, but {child.name} has none", "Leave `result` out.")
    if child.data is not None:
        yield from _translation_faults(child, plain)


def _translation_faults(child: Child, plain: Mapping[str, Method]) -> Iterator[Fault]:
    makes, takes = plain.get("data"), plain.get("result")
    if makes is not None and makes.returns is not UNKNOWN and not compatible(makes.returns, child.data):
        yield Fault(
            "E42", f"its data function makes {name_of(makes.returns)}, but {child.name} takes {name_of(child.data)}",
            "Make them agree.",
        )  # fmt: skip
    if takes is None:
        return
    wanted = next(iter(takes.own), UNKNOWN)
    if wanted is not UNKNOWN and not compatible(child.data, wanted):
        yield Fault(
            "E42", f"its result function takes {name_of(wanted)}, but {child.name} gives {name_of(child.data)}",
            "Make them agree.",
        )  # fmt: skip
    if takes.returns is not UNKNOWN and not is_any(takes.returns) and bare(takes.returns) is not type(None):
        yield Fault(
            "E42", f"its result function returns {name_of(takes.returns)}, which nobody takes",
            "Let it write into this workflow's data, and return nothing.",
        )  # fmt: skip


def family(workflow: Child) -> dict[Any, str]:
    """A workflow and those that do the work of its states, and of theirs: each once, since one may be its own child.

    With each stands the way to it, such as ``PAY/``, which is empty for the workflow itself.
    """
    ways = {workflow: ""}
    todo = [workflow]
    for one in todo:
        for state, plan in one.blueprint().items():
            child = plan.node.child
            if child is not None and child not in ways:
                ways[child] = f"{ways[one]}{state.name}/"
                todo.append(child)
    return ways


def told_by_parent(problem: Problem, child: Child, way: str) -> Problem:
    """A problem of a child workflow, with the way there."""
    if problem.place == "workflow":
        return replace(problem, place=way.removesuffix("/"), message=f"{child.name}: {problem.message}")
    return replace(problem, place=f"{way}{problem.place}")
