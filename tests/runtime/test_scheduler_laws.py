"""Two processes that fire the same schedule, whatever is asked of either in whatever order.

A longer search: ``python -m pytest -m slow -o faulthandler_timeout=0 tests/runtime/test_scheduler_laws.py``.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import Backoff, Cron, Every, Manual, Schedule, ScheduleError
from cano_trio._journal.memory import MemoryJournal
from tests.runtime.scheduling import Process, World, open_process

ASKED = ("pause", "resume", "reset", "trigger", "trigger", "cancel", "notice", "again", "stop")

acts = st.tuples(st.integers(0, 1), st.sampled_from(ASKED), st.integers(0, 40))
triggers = st.sampled_from([Every(7), Every(10, fixed_rate=True), Every(10, fixed_rate=True, jitter=4), Manual()])
cron = st.just(Cron("*/15 * * * * *"))


async def ask(process: Process, schedule: Schedule[Any], what: str) -> None:
    """Ask something of a process; a refusal is an answer as well."""
    scheduler = process.scheduler
    try:
        if what == "again":
            scheduler.remove("s")
            await scheduler.add(schedule)
        elif what in {"notice", "stop"}:
            getattr(scheduler, what)()
        else:
            await getattr(scheduler, what)("s")
    except ScheduleError:
        pass


async def live(schedule: Schedule[Any], world: World, script: list[tuple[int, str, int]]) -> None:
    """Two processes, the script, and then a while in which everything may come to its end."""
    journal = MemoryJournal()
    async with journal, AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(open_process(world, [schedule], one))
            for one in (journal, MemoryJournal(beside=journal))
        ]
        for number, what, seconds in script:
            process = processes[number]
            process.nursery.start_soon(ask, process, schedule, what)
            await trio.sleep(seconds)
            await check(schedule, world, journal)
        for process in processes:
            process.scheduler.stop()
        await trio.sleep(100)
    async with journal, open_process(world, [schedule], journal) as process:
        await process.scheduler.pause("s")  # a last process, so that all is counted
        await trio.sleep(200)
        await check(schedule, world, journal)
        (record,) = await journal.schedules()
        assert (record.runs, world.going_on) == ((), 0)
        assert all(run.position.status.ended for run in await journal.runs())


async def check(schedule: Schedule[Any], world: World, journal: MemoryJournal) -> None:
    """What holds always."""
    (record,) = await journal.schedules()
    runs = [run.run_id for run in await journal.runs()]
    assert record.run_count == len(runs)
    assert set(record.runs) <= set(runs)
    if schedule.overlap != "allow":
        assert max(world.most, len(record.runs)) <= 1
    instants = [run_id for run_id in runs if "#" not in run_id]
    assert instants == sorted(instants)


@pytest.mark.parametrize("examples", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_two_processes_are_as_one(examples: int) -> None:
    """No instant fires twice, nothing overlaps that may not, and what came of each run is counted once."""

    @settings(max_examples=examples)
    @given(
        triggers | cron,
        st.sampled_from(["skip", "queue", "cancel_previous", "allow"]),
        st.integers(0, 30),
        st.frozensets(st.integers(0, 10)),
        st.lists(acts, max_size=12),
    )
    def search(
        trigger: Any, overlap: Any, takes: int, fails: frozenset[int], script: list[tuple[int, str, int]]
    ) -> None:
        world = World(takes=lambda _: takes, fails=fails)
        schedule = Schedule(
            "s", world.workflow(), trigger, overlap=overlap, backoff=Backoff(base=3, maximum=20, jitter=0), trip_after=3
        )
        trio.run(live, schedule, world, script, clock=MockClock(autojump_threshold=0))

    search()
