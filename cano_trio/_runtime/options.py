"""What a runtime is opened with, looked at before anything has begun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._define.definition import Definition
from .._define.schedule import Schedule
from .._errors import DefinitionError
from .workflow import Workflow


def by_name(workflows: Iterable[Definition[Any, Any]]) -> dict[str, Workflow[Any, Any]]:
    """Workflows by their names.

    Raises:
        TypeError: one is none.
        DefinitionError: two have the same name.
    """
    known: dict[str, Workflow[Any, Any]] = {}
    for workflow in workflows:
        if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"workflows: {workflow!r} is no Workflow")
        if known.setdefault(workflow.name, workflow) is not workflow:
            raise DefinitionError.one(
                "E30",
                "open_runtime",
                f"two workflows are named {workflow.name!r}, and runs in a journal are found by that name",
                hint="Give each one its own: Workflow(..., name=...).",
            )
    return known


def check_schedule(schedule: object) -> None:
    """See that something is a schedule.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{schedule!r} is no Schedule: make one of it, such as Schedule(name, workflow, Every(60))")


def check_fires(*, carries: bool) -> None:
    """See that schedules may fire.

    Raises:
        ValueError: the runtime only looks.
    """
    if not carries:
        raise ValueError(
            "schedules fire only where runs are carried out, and with claim=False none are. Open the runtime with claim=True."
        )


def check_choice(name: str, given: str, choices: tuple[str, ...]) -> None:
    """See that an argument is one of some words.

    Raises:
        ValueError: it is another.
    """
    if given not in choices:
        raise ValueError(f"{name} is {given!r}: it takes {' or '.join(map(repr, choices))}")
