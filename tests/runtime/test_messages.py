"""Messages to runs, wherever they are."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from cano_trio import RunAlreadyEnded
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Note, World, begin, opened


async def test_who_waits_for_room_is_told_of_the_end(world: World, autojump_clock: MockClock) -> None:
    """One who waits for room in the mailbox of a written run is told when that ends, and does not spin until then."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "work 5")
        for number in range(1000):
            await run.send(Note(str(number)))
        assert trio.current_time() == 0
        with pytest.raises(RunAlreadyEnded):
            await run.send(Note("one more"))
        assert trio.current_time() == 5


async def test_who_waits_for_room_sends_to_the_journal_when_the_run_is_let_go(
    world: World, autojump_clock: MockClock
) -> None:
    """A message that waits for room in the mailbox of a run that is paused is written down, for when it goes on."""
    journal = MemoryJournal()
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "work 5", "ask")
        for number in range(1000):
            await run.send(Note(str(number)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.send, Note("1000"))
            await trio.testing.wait_all_tasks_blocked()
            await run.pause()
        assert len(await journal.inbox(run.id)) == 1001
        await run.resume()
        assert (await run.wait()).data.heard == ["0"]
