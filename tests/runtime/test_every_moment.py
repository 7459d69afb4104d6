"""Messages, cancels and pauses that come at every moment of a run that is let go and comes back."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial

import pytest
import trio

from cano_trio import Run, RunAlreadyEnded, RunCancelled, RunReleased, RunStatus, RuntimeClosed
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Job, Note, Step, World, begin, desk, opened, process
from tests.runtime.moments import Moment, at_every_moment

PLAN = ("ask", "book", "call 30", "ask", "nap 30")
"""It hears four notes, two of which come at some moment."""


@pytest.fixture(params=[17, pytest.param(1, marks=pytest.mark.slow)])
def every(request: pytest.FixtureRequest) -> int:
    """At every so many moments."""
    return int(request.param)


async def _send_two(run: Run[Step, Job]) -> None:
    for text in "xy":
        await run.send(Note(text))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_messages_at_every_moment(every: int, *, elsewhere: bool) -> None:
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

    assert at_every_moment(play, every) > 50


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


def check_ended(world: World, status: RunStatus) -> None:
    """What must hold of a run that did what is planned, or was cancelled on the way."""
    works = [effect for effect in world.effects if not effect.endswith("/undo")]
    undone = [effect for effect in world.effects if effect.endswith("/undo")]
    assert len(world.effects) == len(set(world.effects))
    if status is RunStatus.COMPLETED:
        assert (len(works), undone) == (6, [])
    else:
        assert undone == (["r/1/undo"] if "r/1" in works else [])


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("limit", [None, 1])
def test_a_cancel_at_every_moment(every: int, limit: int | None, *, elsewhere: bool) -> None:
    """Whenever it comes, from this process or another: the run is undone, unless it has reached its end; it is never lost."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        async with (
            opened(world, journal=journal, unload_after=10, limit=limit) as runtime,
            opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
        ):
            run = await begin(runtime, *PLAN, run_id="r")
            theirs = await other.get(desk, "r") if elsewhere else run
            times: list[float] = []

            def cancel() -> None:
                times.append(trio.current_time())
                theirs.cancel("no need")

            with moment.of_block(cancel):
                for _ in range(3):
                    await trio.sleep(15)
                    await _send_quietly(run)
                await trio.sleep(65)
            assert trio.current_time() == 110
            status = (await journal.load("r")).record.position.status
            check_ended(world, status)
            if status is RunStatus.COMPLETED:  # the last state may have been finished at this very moment
                assert not times or times[0] >= world.last
            else:
                assert status is RunStatus.CANCELLED
                with pytest.raises(RunCancelled, match="no need"):
                    await run.wait()

    assert at_every_moment(play, every) > 50


async def _send_quietly(run: Run[Step, Job]) -> None:
    with suppress(RunAlreadyEnded):
        await run.send(Note())


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_pause_at_every_moment(every: int, *, elsewhere: bool) -> None:
    """Whenever it comes, it returns when the run is held, which then does nothing until it is resumed; nothing is done twice."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        held: list[str] = []

        async def hold() -> None:
            try:
                await theirs.pause("wait")
            except RunAlreadyEnded:
                held.append("over")
                return
            held.append("held")
            effects, status = [*world.effects], (await journal.load("r")).record.position.status
            assert status is RunStatus.PAUSED
            await trio.sleep(1000)
            assert (world.effects, theirs.status) == (effects, RunStatus.PAUSED)
            await (run if elsewhere else theirs).resume()

        async with (
            opened(world, journal=journal, unload_after=10) as runtime,
            opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
            trio.open_nursery() as nursery,
        ):
            run = await begin(runtime, *PLAN, run_id="r")
            theirs = await other.get(desk, "r") if elsewhere else run
            with moment.of_block(partial(nursery.start_soon, hold)):
                for _ in range(3):
                    await trio.sleep(15)
                    await _send_quietly(run)
                await trio.sleep(65)
            assert (await run.wait()).state is Step.DONE
        assert held in (["held"], ["over"]) if moment.has_come else held == []
        check_ended(world, RunStatus.COMPLETED)

    assert at_every_moment(play, every) > 50


@pytest.mark.parametrize("grace", [0, 100])
def test_a_drain_at_every_moment(every: int, grace: float) -> None:
    """Whenever the runtime is drained: what goes on does so in the next, and nothing that was finished is done again."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        async with journal:
            async with (
                opened(world, journal=journal, unload_after=10) as runtime,
                trio.open_nursery() as nursery,
            ):
                run = await begin(runtime, *PLAN, "work 30", run_id="r")
                with moment.of_block(partial(nursery.start_soon, runtime.drain, grace)):
                    for _ in range(3):
                        await trio.sleep(15)
                        with suppress(RuntimeClosed, RunReleased):
                            await run.send(Note())
                    await trio.sleep(65)
            async with opened(world, journal=journal, unload_after=10) as runtime:
                run = await runtime.get(desk, "r")
                for _ in range(3):
                    await _send_quietly(run)
                assert (await run.wait()).state is Step.DONE
            begun = Counter(world.effects)
            assert len(begun) == 7
            assert (sum(begun.values()) - 7) <= (grace == 0)

    assert at_every_moment(play, every) > 50


def test_a_resume_at_every_moment(every: int) -> None:
    """A `resume` of a run that nobody holds changes nothing, whenever it comes: the run is taken up by one at a time."""

    async def play(moment: Moment) -> None:
        world, journal = World(), MemoryJournal()
        async with opened(world, journal=journal, unload_after=10) as runtime, trio.open_nursery() as nursery:
            run = await begin(runtime, *PLAN, run_id="r")

            async def resume() -> None:
                for _ in range(3):
                    with suppress(RunAlreadyEnded):
                        await run.resume()

            with moment.of_block(partial(nursery.start_soon, resume)):
                for _ in range(3):
                    await trio.sleep(15)
                    await run.send(Note())
                await trio.sleep(65)
            assert (await run.wait()).state is Step.DONE
        check_ended(world, RunStatus.COMPLETED)

    assert at_every_moment(play, every) > 50
