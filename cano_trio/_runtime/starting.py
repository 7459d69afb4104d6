"""How a run is started in a runtime, be it under a supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Generic, cast

from typing_extensions import TypedDict, TypeVar

from .._define.checks import check_priority, check_text, check_wait
from .._errors import DuplicateRun
from .actor import NO_LABELS, Actor
from .hosting import RuntimeHost
from .member import Member
from .options import check_choice
from .run_id import checked, made_up
from .workflow import OnDuplicate, Workflow

S = TypeVar("S", bound=Enum)


class StartOptions(TypedDict, Generic[S], total=False):
    """What `Group.start` takes as keywords; they are those of `Runtime.start`.

    Args:
        start: where to begin, instead of at ``initial``.
        run_id: its id; made up if not given.
        labels: what it can be found by.
        priority: who comes first among those that wait for a slot; more is earlier.
        delay: seconds after which it begins.
        on_duplicate: what follows if there is a run of that id.
    """

    start: S | None
    run_id: str | None
    labels: Mapping[str, str]
    priority: int
    delay: float
    on_duplicate: OnDuplicate


async def started(
    host: RuntimeHost,
    workflow: Workflow[Any, Any],
    data: Any,
    member: Member | None,
    *,
    start: Enum | None = None,
    run_id: str | None = None,
    labels: Mapping[str, str] = NO_LABELS,
    priority: int = 0,
    delay: float = 0.0,
    on_duplicate: OnDuplicate = "raise",
) -> Actor:
    """Start a run; see `Runtime.start`. If it is to be supervised, `member` does that from its beginning on."""
    host.check_open("start()")
    host.check_known(workflow)
    check_choice("on_duplicate", on_duplicate, ("raise", "attach"))
    check_wait("delay", delay)
    check_priority(priority)
    begins = workflow.initial if start is None else start
    run_id = made_up(workflow.name) if run_id is None else checked(run_id)
    try:
        actor = await host.actors.start(
            workflow,
            data,
            start=begins,
            run_id=run_id,
            labels=_copied_labels(labels),
            priority=priority,
            delay=delay,
            keep=None if member is None else lambda actor, packed: member.keep(actor, begins, packed),
        )
    except DuplicateRun:
        if on_duplicate == "raise":
            raise
        return await _attached(host, workflow, data, member, begins, run_id)
    if member is not None:
        member.enter()
    return cast("Actor", actor)


async def _attached(
    host: RuntimeHost, workflow: Workflow[Any, Any], data: Any, member: Member | None, start: Enum, run_id: str
) -> Actor:
    """The run that is there already, supervised from here on."""
    actor = await host.find(workflow, run_id)
    if member is not None:
        if actor.keeper is not None:
            raise ValueError(f"run {run_id!r} is supervised already, by another. Attach to it without a supervisor.")
        member.keep(actor, start, host.actors.program_of(workflow).pack(data))
        member.enter()
    return actor


def _copied_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    if labels is NO_LABELS:
        return labels
    if not isinstance(labels, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"labels is {labels!r}: it takes a mapping of strings to strings, such as {{'team': 'billing'}}"
        )
    for name, value in labels.items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"labels: {name!r}: {value!r} has to be a string and a string")
        check_text("labels: the name", name)
        check_text(f"labels: {name!r}", value)
    return dict(labels) or NO_LABELS
