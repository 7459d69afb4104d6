"""A run that is not written down: all that a journal is asked for, done in no time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .._errors import JournalError
from .._observe.status import RunStatus

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Unwritten:
    """What stands in the place of a `RunJournal` where a run has none: the engine need not ask which it is."""

    __slots__ = ()

    durable = False
    """Whether the run outlives its process."""
    broken: JournalError | None = None
    """Why nothing can be written any more: the run stops in place."""
    places: Mapping[str, bytes] = _NOTHING
    """The cursors of the present visit, by part."""
    outcomes: Mapping[str, bytes] = _NOTHING
    """What branches and chunks of the present visit have come to, by part."""

    @property
    def last(self) -> Any:
        """Where the run stood when that was last written down."""
        return None

    @property
    def is_held(self) -> bool:
        """Whether the run is sure to be this process's still."""
        return True

    async def confirm(self) -> None:
        """Find out whether the run is this process's still; it goes no further if not."""

    @property
    def due_at(self) -> float | None:
        """When the present visit's wait is over, if that was written down."""
        return None

    def left_of(self, seconds: float | None, since: float | None = None) -> float | None:  # noqa: ARG002
        """What is left of some seconds that began with the present visit, or since an instant in it; less if its process changed."""
        return seconds

    async def begin(self, labels: Mapping[str, str], priority: int = 0, queued_for: float | None = None) -> None:
        """The run begins; or, if it has to wait for so many seconds and for whoever claims it then, it is accepted."""

    async def begin_child(self, run: Any, program: Any) -> None:
        """The run of a child workflow begins, which does the present state's work."""

    async def post(self, message: object, key: str | None) -> Any:  # noqa: ARG002
        """Put a message into the run's mailbox as soon as there is room; gives its letter, None if it was known already."""
        raise AssertionError("unreachable: a run that is not written down has only its mailbox")

    def consume(self, numbers: Iterable[int]) -> None:
        """Have messages leave the inbox with the next commit."""

    async def finish(self, step: Any, following: Any, failure: Exception | None = None) -> None:
        """A state is finished, and the run goes on in the next one."""

    async def keep(self, place: bytes, part: str = "", *, anew: bool = False) -> None:
        """A part of the state's work is done, up to a place."""

    async def keep_outcomes(self, outcomes: Iterable[tuple[str, bytes]], entry: Any = None) -> None:
        """Branches or items are done."""

    async def wait_until(self, due_at: float, reason: str) -> None:
        """The run waits for an instant."""

    async def roll_back(self, error: BaseException) -> None:
        """The run is to be undone, because of an error."""

    async def undone(self, entry: Any) -> None:
        """A piece of work is undone."""

    async def reopen(self) -> None:
        """A child that is over is to be undone."""

    def undone_at_last(self) -> None:
        """All of a child is undone that is over; it may have ended as one that could not be."""

    async def end(self, status: RunStatus, error: BaseException | None) -> None:
        """The run is over."""

    async def release(self) -> None:
        """The run stops here, and goes on where it is claimed next."""

    def break_off(self, error: JournalError) -> None:
        """Nothing can be written any more."""

    def release_inside(self) -> Sequence[Any]:
        """What the run that has started this one is to write down when it releases both."""
        return ()

    def add_end(self, child: Unwritten) -> None:
        """Have the end of a child written down with the next transition."""

    def add_release(self, child: Unwritten) -> None:
        """Have a child given back with the next commit."""


UNWRITTEN = Unwritten()
