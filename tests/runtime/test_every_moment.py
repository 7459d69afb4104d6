"""Messages, cancels and pauses that come at every moment of a run that is let go and comes back."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from cano_trio import Run
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Job, Note, Step, World, begin, desk, opened, process
from tests.runtime.moments import Moment, at_every_moment

PLAN = ("ask", "book", "call 30", "ask", "nap 30")
"""It hears four notes, two of which come at some moment."""


async def _send_two(run: Run[Step, Job]) -> None:
    for text in "xy":
        await run.send(Note(text))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_messages_at_every_moment(*, elsewhere: bool) -> None:
    """Whenever they come, from this process or another: each is heard once, those of one sender in their order."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        async with (
            opened(world, journal=journal, unload_after=10) as runtime,
            opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
            trio.open_nursery() as nursery,
        ):
            run = await begin(runtime, *PLAN, run_id="r")
            theirs = await other.get(desk, "r") if elsewhere else run
            with moment.of_block(partial(nursery.start_soon, _send_two, theirs)):
                await trio.sleep(20)
                await run.send(Note("a"))
                await trio.sleep(80)
            if not moment.has_come:
                await _send_two(theirs)
            result = await run.wait()
        heard = result.data.heard
        assert (sorted(heard), heard.index("x") < heard.index("y")) == (["a", "x", "y"], True)
        assert len(world.effects) == len(set(world.effects)) == 6

    assert at_every_moment(play, every=5) > 50


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("steps", range(4))
def test_the_only_message_comes_while_the_run_is_let_go(steps: int, *, elsewhere: bool) -> None:
    """A message at the very moment at which a run that waits for it is let go wakes it at once: nothing else would."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        async with (
            opened(world, journal=journal, unload_after=10) as runtime,
            opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
        ):
            run = await begin(runtime, "ask", run_id="r")
            theirs = await other.get(desk, "r") if elsewhere else run
            await trio.sleep(10)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            await theirs.send(Note())
            await run.wait()
            assert trio.current_time() == 10

    for number in range(8):  # trio shuffles those that go on at once
        process(play, Moment(number))


def test_the_only_message_comes_while_the_runtime_is_drained() -> None:
    """A message that comes while its run is released is heard by the next runtime, be there nothing else to wake it."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        async with journal:
            async with opened(world, journal=journal) as runtime, trio.open_nursery() as nursery:
                run = await begin(runtime, "ask", run_id="r")
                await trio.sleep(1)
                with moment.of_block(partial(nursery.start_soon, runtime.drain)):
                    await run.send(Note())
                    await trio.sleep(1)
            async with opened(world, journal=journal) as runtime:
                assert (await (await runtime.get(desk, "r")).wait()).state is Step.DONE

    assert at_every_moment(play) > 5
