"""Runs are listed in the order of their creation."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from msgspec.structs import replace

from ..._journal.protocol import Journal
from ..._journal.rows import Commit
from ..._observe.status import RunStatus
from .law import law, same
from .rows import at, new


@law
async def runs_are_listed_in_order_and_in_pages(journal: Journal) -> None:
    """Runs come in the order of their creation, filtered, a page at a time."""
    for index in range(5):
        status = RunStatus.FAILED if index % 2 else RunStatus.WAITING
        workflow = "other" if index == 4 else "census"
        await journal.create(replace(new(f"r{index}"), workflow=workflow, position=at(0, status)))
    page = await journal.runs(limit=2)
    same([run.run_id for run in page], ["r0", "r1"])
    same([run.run_id for run in await journal.runs(after=page[-1].number)], ["r2", "r3", "r4"])
    same([run.run_id for run in await journal.runs(status=[RunStatus.FAILED])], ["r1", "r3"])
    same(
        [run.run_id for run in await journal.runs(workflow="census", status={RunStatus.WAITING, RunStatus.PAUSED})],
        ["r0", "r2"],
    )


@law
async def runs_are_listed_from_the_end(journal: Journal) -> None:
    """`before` gives the last page of those that came earlier, still in the order of their creation, filtered as ever."""
    for index in range(5):
        due = 1.0 if index % 2 else None
        await journal.create(replace(new(f"r{index}"), position=replace(at(0, RunStatus.WAITING), due_at=due)))
    page = await journal.runs(before=2**63 - 1, limit=2)
    same([run.run_id for run in page], ["r3", "r4"])
    same([run.run_id for run in await journal.runs(before=page[0].number, limit=2)], ["r1", "r2"])
    first = (await journal.runs(limit=1))[0].number
    same([run.run_id for run in await journal.runs(after=first, before=page[1].number)], ["r1", "r2", "r3"])
    same(await journal.runs(before=first), ())
    same([run.run_id for run in await journal.runs(before=page[1].number, due=2.0, limit=1)], ["r3"])


@law
async def runs_are_found_by_what_is_known_of_them(journal: Journal) -> None:
    """Statuses, labels and the parent each narrow a list; a label's text is compared as it is."""
    team, odd = {"team": "x"}, {"it's": "nul\x00\n", "team": "x"}
    await journal.create(replace(new("plain"), position=at(0, RunStatus.WAITING)))
    await journal.create(replace(new("x"), labels=team, parent="plain"))
    await journal.create(replace(new("odd"), labels=odd, parent="x", position=at(0, RunStatus.COMPLETED)))

    async def found(**wanted: Any) -> list[str]:
        return [run.run_id for run in await journal.runs(**wanted)]

    same(await found(labels=team), ["x", "odd"])
    same(await found(labels=odd), ["odd"])
    same(await found(labels={"team": "y"}), [])
    same(await found(labels={"x": "team"}), [])
    same(await found(parent="plain"), ["x"])
    same(await found(status=[RunStatus.RUNNING, RunStatus.COMPLETED]), ["x", "odd"])
    same(await found(status=[RunStatus.RUNNING, RunStatus.WAITING], labels=team, parent="plain"), ["x"])
    same(await found(status=[]), [])


@law
async def due_runs_are_found(journal: Journal) -> None:
    """`due` gives those that have something to do at an instant or before it, in the order of their creation."""
    for run_id, due in (("late", 9.0), ("none", None), ("now", 5.0), ("past", 1.0)):
        await journal.create(
            replace(new(run_id, journal.owner), position=replace(at(0, RunStatus.WAITING), due_at=due))
        )
    found = await journal.runs(due=5.0)
    same([run.run_id for run in found], ["now", "past"])
    same([run.run_id for run in await journal.runs(due=5.0, after=found[0].number)], ["past"])
    for index in range(5):
        await journal.create(
            replace(new(f"r{index}", journal.owner), position=replace(at(0, RunStatus.WAITING), due_at=2.0))
        )
    async with trio.open_nursery() as nursery:  # so that some are written together
        for run in await journal.runs(due=5.0):
            due = 6.0 if run.run_id == "now" else None
            commit = Commit(run_id=run.run_id, fence=run.fence, position=replace(at(1, RunStatus.WAITING), due_at=due))
            nursery.start_soon(journal.commit, commit)
    same([run.run_id for run in await journal.runs(due=6.0)], ["now"])
