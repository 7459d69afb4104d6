"""Leaving a runtime: what becomes of its runs, and what comes out of it."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import RunReleased, RunStatus
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Note, Step, World, begin, desk, opened


@pytest.mark.parametrize("plan", ["work 100", "look 3", "nap 100", "ask", "call 100"])
async def test_a_cancel_from_outside_releases_a_run(plan: str, world: World, autojump_clock: MockClock) -> None:
    """Whatever a written run is at: a cancel of the runtime lets it go at once, undone is nothing, and it goes on in the next."""
    journal = MemoryJournal()
    async with journal:
        with trio.move_on_after(10):
            async with opened(world, journal=journal) as runtime:
                run = await begin(runtime, "book", plan, run_id="r")
                await run.wait()
        assert trio.current_time() == 10
        with pytest.raises(RunReleased):
            await run.wait()
        assert (await journal.load("r")).record.owner is None
        async with opened(world, journal=journal) as runtime:
            run = await runtime.get(desk, "r")
            await run.send(Note())
            assert (await run.wait()).state is Step.DONE
    assert world.began("r/0") == 1
    assert "r/0/undo" not in world.effects
