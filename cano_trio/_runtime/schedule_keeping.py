"""Where the records of schedules are kept: in a journal, or only in memory."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Final, Generic, Protocol, TypeVar, final

import trio
from msgspec.structs import replace

from .._errors import JournalUnavailable
from .._journal.protocol import Journal
from .._journal.schedule_record import ScheduleRecord
from .._resilience import Backoff
from .firing import Firing, H, H_co, Runs
from .schedule_state import withdrawn

T = TypeVar("T")

_log = logging.getLogger("cano_trio")

PATIENCE: Final = Backoff(base=0.05, maximum=30.0)
"""How long to wait before a journal that could not write is asked again."""


class Keeping(Protocol[H_co]):
    """Keeps records, and starts runs together with them."""

    async def load(self) -> Mapping[str, ScheduleRecord]:
        """All records, by name."""
        ...

    def known(self, name: str, /) -> ScheduleRecord | None:
        """The record of a schedule, where nobody has to be asked for it."""
        ...

    async def keep(self, record: ScheduleRecord, /) -> ScheduleRecord | None:
        """Write a record down; or return the one that is there instead, as `Journal.keep_schedule` does."""
        ...

    async def start(self, firing: Firing, /) -> H_co | ScheduleRecord:
        """Start a run and keep its schedule's record; or return the one that is there instead."""
        ...


@final
class Kept(Generic[H]):
    """In a journal, with which runs are started in the same transaction."""

    def __init__(self, journal: Journal, runs: Runs[H]) -> None:
        self._journal = journal
        self.keep = journal.keep_schedule
        self.start = runs.start

    async def load(self) -> dict[str, ScheduleRecord]:
        """All records, by name."""
        return {record.name: record for record in await self._journal.schedules()}

    def known(self, _: str, /) -> None:
        """Nothing: the journal has to be asked."""


@final
class Unkept(Generic[H]):
    """In memory: nothing is left of them after the process."""

    def __init__(self, runs: Runs[H]) -> None:
        self._runs = runs
        self._records: dict[str, ScheduleRecord] = {}

    async def load(self) -> dict[str, ScheduleRecord]:
        """All records, by name."""
        await trio.lowlevel.checkpoint()
        return dict(self._records)

    def known(self, name: str, /) -> ScheduleRecord | None:
        """The record of a schedule."""
        return self._records.get(name)

    async def keep(self, record: ScheduleRecord, /) -> ScheduleRecord | None:
        """Keep a record, if it was made of the latest."""
        await trio.lowlevel.checkpoint()
        there = self._records.get(record.name)
        if there is not None and there.rev != record.rev:
            return there
        self._put(record)
        return None

    async def start(self, firing: Firing, /) -> H | ScheduleRecord:
        """Keep the record, so that nothing else is started meanwhile, and start the run."""
        before = self._records[firing.record.name]
        if (there := await self.keep(firing.record)) is not None:
            return there
        try:
            return await self._runs.start(firing)
        except BaseException:
            self._put(withdrawn(self._records[firing.record.name], firing.run_id, before))
            raise

    def _put(self, record: ScheduleRecord) -> None:
        self._records[record.name] = replace(record, rev=record.rev + 1)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call, and call again as long as the journal can't write: a schedule outlives a disk that is full."""
    for turn in count(1):
        try:
            return await call()
        except JournalUnavailable as error:
            _log.warning("a schedule waits: %s", error)
        await trio.sleep(PATIENCE.delay(turn))
    raise AssertionError("unreachable")
