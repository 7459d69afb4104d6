"""All that is wrong with a definition, found at once."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NewType, TypeVar, get_args, get_origin

import attrs
import msgspec

from .._errors import Problem
from .blueprint import Plan, joined_states, result_type, where_states_are_named
from .compatible import bare, compatible, has_instances, name_of
from .edges import members, written
from .method import UNKNOWN, Method, Parameter, Want

S = TypeVar("S", bound=Enum)

_HINTS = (type, TypeVar, NewType)
"""What stands in annotations and is no value, besides what `typing.get_origin` takes apart."""

_IMMUTABLE = (str, bytes, int, float, complex, tuple, frozenset, Enum)


def find_problems(
    states: type[S], initial: S, exits: frozenset[S], data: type | None, plans: Mapping[S, Plan[S]], site: str
) -> Iterator[Problem]:
    """Everything that is wrong with the graph and the data type, or looks odd."""
    if not plans:
        yield Problem(
            code="E01", place="workflow", message="no state has a task", site=site,
            hint=f"Write @workflow.task({written(initial)}) over an async function.",
        )  # fmt: skip
    if not exits:
        yield Problem(
            code="E02",
            place="workflow",
            message="no exit states",
            site=site,
            hint=f"Pass some, such as exits=[{written([*states][-1])}].",
        )
    if data is not None:
        yield from _data_problems(data, site)
    if not plans or not exits:
        return
    yield from _results_without_split(plans)
    yield from _results_of_another_type(plans)
    yield from _missing_tasks(initial, exits, plans, site)
    yield from _exits_with_tasks(exits, plans)
    yield from _unreachable(states, initial, exits, plans, site)
    yield from _traps(exits, plans)


def _results_without_split(plans: Mapping[S, Plan[S]]) -> Iterator[Problem]:
    joined = joined_states(plans)
    for state, plan in plans.items():
        if state not in joined:
            for method, _ in _takers_of_results(plan):
                yield Problem(
                    code="W30", place=state.name, message=f"{method.label} takes BranchResults, but no split joins here",
                    site=str(method.site), hint="It gets an empty one. Let a split lead here.", severity="warning",
                )  # fmt: skip


def _results_of_another_type(plans: Mapping[S, Plan[S]]) -> Iterator[Problem]:
    """Join states that want other values than the branches of a fixed split return."""
    for state, split in plans.items():
        if split.node.split is None or (then := split.node.split.then) not in plans:
            continue
        for method, parameter in _takers_of_results(plans[then]):
            wanted = next((get_args(hint)[0] for hint in members(parameter.hint) if get_args(hint)), UNKNOWN)
            for name, branch in split.branches.items():
                given = result_type(branch)
                if not compatible(given, wanted):
                    yield Problem(
                        code="E17", place=then.name, site=str(method.site), hint="Make them agree.",
                        message=f"{method.label}: {parameter.name} holds results of type {name_of(wanted)}, but branch "
                        f"{name!r} of {state.name} returns {name_of(given)}",
                    )  # fmt: skip


def _takers_of_results(plan: Plan[Any]) -> Iterator[tuple[Method, Parameter]]:
    for method in plan.methods.values():
        for parameter in method.parameters:
            if parameter.want is Want.RESULTS:
                yield method, parameter


def _missing_tasks(initial: S, exits: frozenset[S], plans: Mapping[S, Plan[S]], site: str) -> Iterator[Problem]:
    wanted = {initial: None} | {
        edge.target: None for plan in plans.values() for edge in plan.edges if not edge.anywhere
    }
    for state in wanted:
        if state not in plans and state not in exits:
            why = where_states_are_named(plans, state) or "It is the initial state. "
            yield Problem(
                code="E07", place=state.name, message="no handler", site=site,
                hint=f"{why}Write @workflow.task({written(state)}).",
            )  # fmt: skip


def _exits_with_tasks(exits: frozenset[S], plans: Mapping[S, Plan[S]]) -> Iterator[Problem]:
    for state, plan in plans.items():
        if state in exits:
            yield Problem(
                code="E08", place=state.name, message="an exit state has a task, which would never run",
                site=str(plan.node.site), hint="Take the task away, or the state out of exits.",
            )  # fmt: skip


def _unreachable(
    states: type[S], initial: S, exits: frozenset[S], plans: Mapping[S, Plan[S]], site: str
) -> Iterator[Problem]:
    reached = reachable(initial, plans)
    if any(_leads_on(state, exits, plans) for state in reached):
        return
    for state in states:
        if state in reached:
            continue
        if state in plans:
            yield Problem(
                code="E09", place=state.name, message="unreachable: nothing leads here from the initial state",
                site=str(plans[state].node.site), hint=f"Let a task name {written(state)} in its return annotation.",
            )  # fmt: skip
        else:
            what = "no task leads to this exit" if state in exits else "this state has no task and is never named"
            yield Problem(
                code="W10", place=state.name, message=what, site=site, severity="warning",
                hint="Name it in a return annotation, or delete it.",
            )  # fmt: skip


def _traps(exits: frozenset[S], plans: Mapping[S, Plan[S]]) -> Iterator[Problem]:
    for state, plan in plans.items():
        if not any(after in exits or _leads_on(after, exits, plans) for after in reachable(state, plans)):
            yield Problem(
                code="E10", place=state.name, message="trap: no exit state can be reached from here",
                site=str(plan.node.site), hint="Let a task on the way name an exit state.",
            )  # fmt: skip


def _leads_on(state: S, exits: frozenset[S], plans: Mapping[S, Plan[S]]) -> bool:
    """Whether nobody can say yet where a state leads, because of a mistake that is told already.

    What follows from that mistake alone is not told: one mistake, one problem.
    """
    return plans[state].unread if state in plans else state not in exits


def reachable(start: S, plans: Mapping[S, Plan[S]]) -> frozenset[S]:
    """All states that can be reached from one, itself included."""
    seen: set[S] = set()
    todo = [start]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += [edge.target for edge in plans[state].edges] if state in plans else []
    return frozenset(seen)


def _data_problems(data: Any, site: str) -> Iterator[Problem]:
    if not has_instances(data):
        what = "which has no instances" if isinstance(data, type) else "not a type"
        yield Problem(
            code="E18", place="workflow", message=f"data is {data!r}, {what}", site=site, hint=_class_instead(data)
        )
    elif _is_frozen(data):
        yield Problem(
            code="E19", place="workflow", message=f"the data type {data.__name__} can't be changed", site=site,
            hint="Each state writes its part into the data: use a class that is not frozen.",
        )  # fmt: skip


def _class_instead(data: Any) -> str:
    inside = bare(data)
    origin = get_origin(inside) or inside
    if origin is not types.UnionType and has_instances(origin):
        return (
            f"Pass the plain class, data={origin.__name__}, or one made of it, such as class Data({name_of(inside)})."
        )
    if isinstance(data, _HINTS) or origin is not data:
        return "Pass a class, such as a dataclass with a field of that type."
    return f"Pass the class, such as data={type(data).__name__}."


def _is_frozen(data: type) -> bool:
    if issubclass(data, _IMMUTABLE):
        return True
    if issubclass(data, msgspec.Struct):
        return data.__struct_config__.frozen
    if dataclasses.is_dataclass(data):
        return bool(getattr(data, "__dataclass_params__").frozen)  # noqa: B009  (not in the type stubs)
    return attrs.has(data) and data.__setattr__.__name__ == "_frozen_setattrs"
