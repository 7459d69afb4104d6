"""Who else in a process carries runs out with the very journal of a runtime: another runtime, or a task."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from cano_trio import JournalError, Resources, RunCancelled, RunReleased, RunStatus
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Job, Step, World, begin, desk, opened


async def test_one_runtime_carries_out_the_runs_of_a_journal(world: World, autojump_clock: MockClock) -> None:
    """A second runtime on the very journal is refused, unless it only looks; when the first is closed, it is welcome."""
    async with MemoryJournal() as journal:
        async with opened(world, journal=journal) as runtime:
            await begin(runtime, "work 10", run_id="r")
            with pytest.raises(JournalError, match="another runtime carries out"):
                async with opened(world, journal=journal):
                    raise AssertionError
            async with opened(world, journal=journal, claim=False) as client:
                assert (await client.get(desk, "r")).status is RunStatus.RUNNING
        async with opened(world, journal=journal) as runtime:
            await begin(runtime, "work 10")
    assert world.began("r/0") == 1


@pytest.mark.parametrize("asked", ["cancel", "pause"])
async def test_a_run_that_one_task_carries_out(asked: str, world: World, autojump_clock: MockClock) -> None:
    """A runtime leaves a run to the task beside it that carries it out with the same journal, and asks it to end or to stop."""
    ends: list[Exception] = []

    async def alone(journal: MemoryJournal) -> None:
        plan = Job(["book", "work 10", "work 10"])
        with pytest.raises(RunCancelled if asked == "cancel" else RunReleased) as caught:
            await desk.run(plan, start=Step.BOOK, run_id="r", journal=journal, resources=Resources(world=world))
        ends.append(caught.value)
        assert trio.current_time() == (5 if asked == "cancel" else 10)

    async with MemoryJournal() as journal, trio.open_nursery() as nursery:
        nursery.start_soon(alone, journal)
        await trio.sleep(5)
        async with opened(world, journal=journal) as runtime:
            run = await runtime.get(desk, "r")
            if asked == "cancel":
                run.cancel("no need")
                await trio.sleep(1)
                assert (await runtime.get(desk, "r")).status is RunStatus.CANCELLED
                assert world.effects == ["r/0", "r/1", "r/0/undo"]
            else:
                await run.pause("later")
                assert (trio.current_time(), run.status) == (10, RunStatus.PAUSED)
                await run.resume()
                await run.wait()
                assert world.effects == ["r/0", "r/1", "r/2"]
    assert len(ends) == 1
