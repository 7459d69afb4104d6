"""What stands between a definition and a journal: what can't be written down, and what a crash would take along."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from .._errors import Problem, ResourceError
from .._journal.codec import unencodable_part
from .blueprint import Plan
from .child import Child
from .compatible import has_instances
from .memory_store import MemoryStore
from .messages import messages
from .method import Method, Parameter, Want
from .recorded import plain_values, unwritable
from .resources import CLOSED, Entry, Made, ResourceMap

INSTEAD = "Or run it without a journal."


def unrecordable(data: Any, plans: Mapping[Any, Plan[Any]], site: str) -> Iterator[Problem]:
    """What of a workflow's own a journal has to write down, and can't (E24), besides what is a problem without one."""
    if data is not None and has_instances(data) and (part := unencodable_part(data)):
        yield Problem(
            code="E24", place="workflow", message=f"the data can't be written down as JSON: {part}", site=site,
            hint=f"{plain_values('data')} {INSTEAD}",
        )  # fmt: skip
    for plan in _plans(plans):
        node = plan.node
        recorded = node.model.recorded
        for method, what, type_ in () if recorded is None else recorded(plan.methods, node.knobs):
            yield from unwritable("E24", node.place, method, what, type_, node.model.unrecorded or INSTEAD)
        for method, type_ in messages(plan.methods):
            yield from unwritable("E24", node.place, method, "message", type_, INSTEAD)


def _plans(plans: Mapping[Any, Plan[Any]]) -> Iterator[Plan[Any]]:
    """The states, and the branches of those that are splits; a declared branch once, whoever may choose it."""
    found = [one for plan in plans.values() for one in (plan, *plan.branches.values())]
    return iter(dict.fromkeys(found))


def messages_alike(ways: Mapping[Child, str]) -> Iterator[Problem]:
    """Types of messages that a journal, which knows them by name, can't tell from each other (E25).

    Args:
        ways: a workflow and its child workflows, who all take messages of the same run, with the ways to them.
    """
    known: dict[str, type] = {}
    for child, way in ways.items():
        for state, plan in child.blueprint().items():
            for method, type_ in messages(plan.methods):
                other = known.setdefault(type_.__name__, type_)
                if other is not type_:
                    yield Problem(
                        code="E25", place=f"{way}{state.name}", site=str(method.site),
                        message=f"{method.label}: its message {_full_name(type_)} and {_full_name(other)} have the same "
                        "name, by which a journal tells messages apart",
                        hint="Rename one of the classes.",
                    )  # fmt: skip


def _full_name(type_: type) -> str:
    return f"{type_.__module__}.{type_.__qualname__}"


def volatile_stores(ways: Mapping[Child, str], resources: ResourceMap) -> Iterator[Problem]:
    """The tasks that take a `MemoryStore`, which no journal keeps (E26), unless it is said to be ``volatile_ok``.

    Args:
        ways: a workflow and its child workflows, with the ways to them.
        resources: what all of them work with.
    """
    for child, way in ways.items():
        for plan in _plans(child.blueprint()):
            for method in (*plan.methods.values(), *plan.plain.values()):
                yield from _stores_taken(method, f"{way}{plan.node.place}", resources)


def _stores_taken(method: Method, place: str, resources: ResourceMap) -> Iterator[Problem]:
    for parameter in method.parameters:
        entry = _meant(parameter, resources)
        if entry is not None and _is_volatile(entry):
            made = isinstance(entry.given, Made)
            allowed = "partial(MemoryStore, volatile_ok=True)" if made else "MemoryStore(volatile_ok=True)"
            yield Problem(
                code="E26",
                place=place,
                message=f"{method.label}: the resource {entry.label!r} is a volatile store, which a crash would empty",
                site=str(method.site),
                hint="Hand values on in the run's data, Workflow(data=...); or, if it holds none that a run needs, make it "
                f"with {allowed}.",
            )


def _meant(parameter: Parameter, resources: ResourceMap) -> Entry | None:
    """The resource that a parameter takes, if there is one."""
    if parameter.want not in {Want.RESOURCE, Want.NAMED}:
        return None
    try:
        return resources.find(parameter.types, parameter.name, parameter.key)
    except ResourceError:  # told when the workflow is bound to them; it may also be optional, or the run's data
        return None


def _is_volatile(entry: Entry) -> bool:
    if entry.value is not CLOSED:
        return isinstance(entry.value, MemoryStore) and not entry.value.volatile_ok
    factory = entry.given.factory if isinstance(entry.given, Made) else None
    allowed = isinstance(factory, functools.partial) and factory.keywords.get("volatile_ok", False)
    return entry.class_ is MemoryStore and not allowed
