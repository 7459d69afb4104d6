"""Runs that only wait are let go to the journal, and come back when they have something to do."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import Released, RunResumed, RunStatus
from cano_trio.journals import MemoryJournal
from tests.conftest import Recorder
from tests.runtime.desk import Note, Step, World, begin, opened


@pytest.mark.parametrize(
    "plan, end",
    [("nap 1000", 1000.0), ("look 4", 300.0), ("ask", 500.0), ("call 1000", 1000.0), ("call 1", 500.0)],
)
async def test_a_run_that_waits_is_let_go_and_comes_back(
    plan: str, end: float, world: World, recorder: Recorder, autojump_clock: MockClock
) -> None:
    """Whatever it waits for, it goes to the journal after 60 s, comes back in time, and its result tells of the whole time."""
    async with opened(world, journal=MemoryJournal(), observers=[recorder]) as runtime:
        run = await begin(runtime, plan)
        await trio.sleep(70)
        assert runtime.statistics().unloaded == 1
        assert (runtime.statistics().at_work, run.status) == (0, RunStatus.WAITING)
        await trio.sleep_until(500)
        if plan.startswith(("ask", "call")):
            await run.send(Note())
        result = await run.wait()
        assert (trio.current_time(), result.state, result.elapsed) == (max(end, 500), Step.DONE, end)
    times = [sum(event.workflow == "desk" for event in recorder.of(kind)) for kind in (Released, RunResumed)]
    assert times == [runtime.statistics().unloaded] * 2
