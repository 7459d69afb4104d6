"""Runs are created once, and are there until they are removed."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

import trio
import trio.testing
from msgspec.structs import replace

from ..._errors import DuplicateRun, LeaseLost, RunNotFound
from ..._journal.protocol import Journal
from ..._journal.rows import Cursor, Outcome, Position, StoredError
from ..._observe.status import RunStatus
from .law import JournalFactory, holds, law, refused, same
from .rows import at, letter, new, schedule, step

HOSTILE = ("it's", '"quoted"', "new\nline", "../../etc", "nul\x00nul", "\U0001f40b", "", "a" * 5000, "%s{}$1;--")
"""Ids that are easily taken for something else."""


@law
async def a_created_run_is_loaded_as_it_was(journal: Journal) -> None:
    """What `create` returns and what `load` finds are the same, with every field kept."""
    error = StoredError(type="ValueError", message="no", traceback="...", notes=("a", "b"))
    position = Position(
        state="S",
        status=RunStatus.BLOCKED,
        seq=3,
        entered_at=1.5,
        due_at=2.5,
        deadline_at=9.0,
        ended_at=8.0,
        reason="r",
        error=error,
    )
    run = replace(
        new("a", journal.owner, data=b"\x00\xff"),
        position=position,
        labels=MappingProxyType({"team": "x"}),
        priority=-2,
        parent="p",
        version=7,
    )
    record = await journal.create(run)
    stored = await journal.load("a")
    same((stored.record, stored.data), (record, b"\x00\xff"))
    same((record.position, record.labels, record.priority, record.parent), (position, {"team": "x"}, -2, "p"))
    same((record.version, record.epoch, record.rev, record.crashes, record.owner), (7, 1, 0, 0, journal.owner))


@law
async def any_text_is_a_run_id(journal: Journal) -> None:
    """An id with quotes, newlines, NUL or paths in it names its own run and no other."""
    await journal.create(new("plain", journal.owner))
    for run_id in HOSTILE:
        await journal.create(new(run_id, journal.owner))
        same((await journal.load(run_id)).record.run_id, run_id)
        with refused(DuplicateRun):
            await journal.create(new(run_id, journal.owner))


@law
async def a_lone_surrogate_is_refused_alone(journal: Journal) -> None:
    """An id that has no UTF-8 form is refused, and leaves nothing behind."""
    with refused(UnicodeEncodeError):
        await journal.create(new("\ud800"))
    with refused(RunNotFound):
        await journal.load("\ud800")
    same(await journal.runs(), ())


@law
async def an_id_is_used_once(journal: Journal) -> None:
    """A run of the same id is refused, told with the status of the one there, which stays untouched."""
    record = await journal.create(new("a", journal.owner))
    with refused(DuplicateRun) as caught:
        await journal.create(new("a", data=b"other"))
    same((caught.value.run_id, caught.value.status), ("a", "running"))
    same(await journal.load("a"), replace(await journal.load("a"), record=record, data=b"{}"))


@law
async def a_deleted_id_stays_used(journal: Journal) -> None:
    """A run is deleted by its owner alone, with all its rows, and its id and number are never used again."""
    fence = (await journal.create(new("a", journal.owner))).fence
    with refused(LeaseLost):
        await journal.delete("a", replace(fence, epoch=2))
    await journal.commit(replace(step("a", fence), position=at(1, RunStatus.COMPLETED), cursors=(Cursor(1, "", b""),)))
    await journal.delete("a", replace(fence, rev=1))
    for gone in (
        partial(journal.load, "a"),
        partial(journal.history, "a"),
        partial(journal.claim, "a"),
        partial(journal.post, letter("a")),
    ):
        with refused(RunNotFound):
            await gone()
    with refused(DuplicateRun) as caught:
        await journal.create(new("a", journal.owner))
    same(caught.value.status, "completed")
    with refused(LeaseLost):
        await journal.commit(step("a", replace(fence, rev=1)))
    holds(
        (await journal.create(new("b", journal.owner))).number != fence.run, "the number of a removed run is used again"
    )


@law
async def a_cancel_before_a_call_writes_nothing(journal: Journal) -> None:
    """A call in a scope that is cancelled already raises `Cancelled` before anything is written."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.create(new("a", journal.owner))
    holds(scope.cancelled_caught, "the call does not notice the cancel")
    same(await journal.runs(), ())


@law
async def what_was_written_is_there_when_it_is_opened_again(beside: JournalFactory) -> None:
    """A journal that is closed, and opened again, be it by another process, has all that was written down."""
    async with beside() as journal:
        fence = (await journal.create(new("a", journal.owner, data=b"{}"))).fence
        await journal.post(letter("a", b"kept", key="k"))
        kept = replace(step("a", fence), cursors=(Cursor(1, "", b"c"),), outcomes=(Outcome(1, "/b:l", b"o"),))
        await journal.commit(kept)
        await journal.keep_schedule(schedule("s"))
        before, history = await journal.load("a"), await journal.history("a")
    async with beside() as journal:
        same(await journal.load("a"), replace(before, record=replace(before.record, owner=None)))
        same(await journal.history("a"), history)
        same(await journal.schedules(), (schedule("s", rev=1),))
        same(await journal.post(letter("a", key="k")), None)
        with refused(DuplicateRun):
            await journal.create(new("a"))
        with refused(LeaseLost):
            await journal.commit(step("a", replace(fence, rev=1)))
