"""When a workflow runs by itself, and what becomes of firings that come together or too late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeAlias, final, get_args, overload

import attrs
from typing_extensions import TypedDict, TypeVar, Unpack

from .._errors import DefinitionError
from .._resilience import Backoff
from .checks import check_count, check_priority, check_text
from .compatible import name_of
from .config import is_chooser
from .cron import Cron
from .definition import Definition
from .trigger import Every, Manual, refused

D = TypeVar("D", default=None)

AnyTrigger: TypeAlias = Every | Cron | Manual
"""When a schedule fires."""

Overlap: TypeAlias = Literal["skip", "queue", "cancel_previous", "allow"]
"""What becomes of a firing while a run of the schedule still goes on."""

Misfire: TypeAlias = Literal["skip", "run_once", "run_all"]
"""What becomes of instants at which nobody was there to fire."""


class ScheduleOptions(TypedDict, total=False):
    """What a `Schedule` takes as keywords besides `data`; see there."""

    overlap: Overlap
    misfire: Misfire
    queue_limit: int
    backoff: Backoff
    trip_after: int | None
    labels: Mapping[str, str]
    priority: int


def _read_only(labels: Any) -> Any:
    return MappingProxyType(dict(labels)) if isinstance(labels, Mapping) else labels


@final
@attrs.frozen(init=False)
class Schedule(Generic[D]):
    """Run a workflow by itself: `Every` so often, by the calendar (`Cron`), or when it is triggered (`Manual`).

    Each firing starts a run of its own, ``{name}@{instant in UTC}``. With a journal the firing and its run are one
    transaction: of several processes with the same schedule one fires an instant, and an instant fires once.

    A run that succeeds sets the schedule back to normal, and one that was cancelled changes nothing. After one that has
    failed nothing fires for as long as `backoff` says, longer with each further failure in a row, and instants within that
    time are passed over; after `trip_after` failures in a row the schedule is tripped, and fires nothing before it is
    reset (cano SCH-8). All this is written down with the schedule, and holds after a restart.

    Args:
        name: its name, by which it is known in the journal, too.
        workflow: what runs.
        trigger: when.
        data: a plain function that makes the data of a run, of the instant it is for, as the trigger's clocks show it.
            What it raises counts as a run that has failed. To be given exactly where the workflow has data.
        overlap: what becomes of a firing while a run of the schedule still goes on: ``"skip"`` passes it over;
            ``"queue"`` fires it when the run is over; ``"cancel_previous"`` cancels the run and fires when that is undone;
            ``"allow"`` lets both go on.
        misfire: what becomes of instants that are more than a minute in the past, since no process was there, or the
            clock was set forward: ``"skip"`` passes them over; ``"run_once"`` fires for the last one; ``"run_all"`` fires
            for each, in order and, unless overlaps are allowed, one after the other.
        queue_limit: how many firings are kept by ``overlap="queue"``; others are passed over.
        backoff: how long nothing fires after a failure, by the number of failures in a row.
        trip_after: how many failures in a row trip it; None for never.
        labels: what its runs can be found by.
        priority: of its runs, among those that wait for a slot; more is earlier.

    Raises:
        DefinitionError: an argument is wrong.

    >>> from dataclasses import dataclass
    >>> from datetime import datetime
    >>> from enum import Enum
    >>> from cano_trio import Cron, Schedule, Workflow
    >>> @dataclass
    ... class Report:
    ...     day: str
    ...     text: str = ""
    >>> Step = Enum("Step", "WRITE DONE")
    >>> report = Workflow(Step, initial=Step.WRITE, exits=[Step.DONE], name="report", data=Report)
    >>> def report_of(instant: datetime) -> Report:
    ...     return Report(day=instant.date().isoformat())
    >>> nightly = Schedule("nightly", report, Cron("0 3 * * *", "Europe/Berlin"), data=report_of, misfire="run_all")
    >>> print(nightly)
    nightly: report, cron '0 3 * * *' in Europe/Berlin
    """

    name: str
    workflow: Definition[Any, D]
    trigger: AnyTrigger
    data: Callable[[datetime], D] | None = None
    overlap: Overlap = "skip"
    misfire: Misfire = "skip"
    queue_limit: int = 1
    backoff: Backoff = attrs.field(factory=lambda: Backoff(base=1.0, maximum=300.0))
    trip_after: int | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=_read_only, hash=False)
    priority: int = 0

    @overload
    def __init__(
        self: Schedule[None],
        name: str,
        workflow: Definition[Any, None],
        trigger: AnyTrigger,
        *,
        data: None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        workflow: Definition[Any, D],
        trigger: AnyTrigger,
        *,
        data: Callable[[datetime], D],
        **options: Unpack[ScheduleOptions],
    ) -> None: ...
    def __init__(
        self,
        name: str,
        workflow: Definition[Any, Any],
        trigger: AnyTrigger,
        *,
        data: Callable[[datetime], Any] | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        self.__attrs_init__(name, workflow, trigger, data, **options)

    def __attrs_post_init__(self) -> None:
        self._check_name()
        self._check_parts()
        self._check_data()
        self._check_policies()
        self._check_numbers()
        self._check_labels()

    def _check_name(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise refused("schedule", f"name is {self.name!r}", "Pass a text that is not empty.")
        try:
            self.name.encode()
        except UnicodeEncodeError as error:  # a lone surrogate can't be written down
            raise refused("schedule", f"name is {self.name!r}, which has no UTF-8 form", "Pass another.") from error

    def _check_parts(self) -> None:
        if not isinstance(self.workflow, Definition):
            raise self._refused(f"workflow is {self.workflow!r}", "Pass the Workflow itself.")
        if not isinstance(self.trigger, (Every, Cron, Manual)):
            raise self._refused(
                f"trigger is {self.trigger!r}", "Pass Every(300), Cron('0 3 * * *', 'Europe/Berlin') or Manual()."
            )

    def _check_data(self) -> None:
        takes = self.workflow.data
        if takes is None and self.data is not None:
            raise self._refused(
                f"it makes data, but {self.workflow.name} takes none",
                "Leave `data` out, or write Workflow(..., data=...).",
            )
        if takes is not None and not is_chooser(self.data):
            given = "nothing makes it any" if self.data is None else f"data is {self.data!r}, not a plain function"
            raise self._refused(
                f"{self.workflow.name} takes data of type {name_of(takes)}, and {given}",
                f"Pass a function of the instant, such as data=lambda instant: {name_of(takes)}(...).",
            )

    def _check_numbers(self) -> None:
        try:
            check_count("queue_limit", self.queue_limit, least=1)
            if self.trip_after is not None:
                check_count("trip_after", self.trip_after, least=1)
            check_priority(self.priority)
        except ValueError as error:
            raise self._refused(str(error), "Leave it out for what is usual.") from None

    def _check_policies(self) -> None:
        for option, kinds in (("overlap", Overlap), ("misfire", Misfire)):
            if (found := getattr(self, option)) not in (known := get_args(kinds)):
                raise self._refused(f"{option} is {found!r}", f"Pass one of {', '.join(map(repr, known))}.")
        if not isinstance(self.backoff, Backoff):
            raise self._refused(
                f"backoff is {self.backoff!r}", "Pass a Backoff, such as Backoff(base=1.0, maximum=300.0)."
            )

    def _check_labels(self) -> None:
        labels: object = self.labels
        if not isinstance(labels, Mapping) or not all(
            isinstance(text, str) for pair in labels.items() for text in pair
        ):
            raise self._refused(f"labels is {labels!r}", "Map texts to texts, such as {'team': 'billing'}.")
        try:
            for name, text in labels.items():
                check_text("labels: the name", name)
                check_text(f"labels: {name!r}", text)
        except ValueError as error:
            raise self._refused(str(error), "Map texts to texts, such as {'team': 'billing'}.") from None

    def _refused(self, message: str, hint: str) -> DefinitionError:
        return refused(f"schedule {self.name!r}", message, hint)

    def __str__(self) -> str:
        """Its name, what runs and when."""
        return f"{self.name}: {self.workflow.name}, {self.trigger}"
