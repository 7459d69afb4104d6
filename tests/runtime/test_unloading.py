"""Runs that only wait are let go to the journal, and come back when they have something to do."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    Backoff,
    Pending,
    Released,
    RunFailed,
    RunResumed,
    RunStatus,
    RunTimeout,
    Workflow,
    open_runtime,
)
from cano_trio.journals import MemoryJournal, SqliteJournal
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


class Way(Enum):
    WAIT = auto()
    DONE = auto()


@pytest.mark.parametrize("inside", [False, True])
async def test_a_backoff_goes_on_where_it_was(inside: bool, autojump_clock: MockClock) -> None:  # noqa: FBT001
    """A poll that is let go at each of its waits looks as one that never is: its backoff does not begin anew."""
    looks: list[float] = []
    flow = Workflow(Way, initial=Way.WAIT, exits=[Way.DONE], name="polling")

    @flow.poll(Way.WAIT, backoff=Backoff(base=100, maximum=10_000, jitter=0))
    async def look() -> Literal[Way.DONE] | Pending:
        looks.append(trio.current_time())
        if len(looks) == 6:
            return Way.DONE
        return Pending(reset=len(looks) == 4)

    outer = Workflow(Way, initial=Way.WAIT, exits=[Way.DONE], name="outer")
    outer.register_child(Way.WAIT, flow, {Way.DONE: Way.DONE})
    flows = [outer] if inside else [flow]
    async with open_runtime(workflows=flows, journal=MemoryJournal()) as runtime:
        run = await runtime.start(flows[0])
        await run.wait()
    assert runtime.statistics().unloaded == 5
    assert looks == [0, 100, 300, 700, 800, 1000]


def waiting(kind: str, timeout: float | None) -> Workflow[Way, None]:
    """One that waits for longer than it may take."""
    flow = Workflow(Way, initial=Way.WAIT, exits=[Way.DONE], name="waiting", timeout=timeout)
    if kind == "timer":

        @flow.timer(Way.WAIT)
        async def wait() -> float:
            return 10_000

        @wait.after_wait
        async def go_on() -> Literal[Way.DONE]:
            return Way.DONE

    elif kind == "message":

        @flow.receive(Way.WAIT)
        async def hear(note: Note) -> Literal[Way.DONE]:
            return Way.DONE

    elif kind == "message with a timeout":

        @flow.receive(Way.WAIT, timeout=5000)
        async def hear_in_time(note: Note) -> Literal[Way.DONE]:
            return Way.DONE

        @hear_in_time.on_timeout
        async def too_late() -> Literal[Way.DONE]:
            return Way.DONE

    else:

        @flow.poll(Way.WAIT)
        async def look() -> Literal[Way.DONE] | Pending:
            return Pending(delay=4000)

    return flow


@pytest.mark.parametrize("kind", ["timer", "message", "message with a timeout", "poll"])
async def test_a_runs_timeout_passes_while_it_is_let_go(kind: str, autojump_clock: MockClock) -> None:
    """The timeout of a whole run counts while it waits in the journal: it comes back for that alone, and fails in time."""
    flow = waiting(kind, timeout=3000)
    async with open_runtime(workflows=[flow], journal=MemoryJournal()) as runtime:
        run = await runtime.start(flow)
        await trio.sleep(100)
        assert runtime.statistics().at_work == 0
        with pytest.raises(RunFailed) as caught:
            await run.wait()
        assert trio.current_time() == 3000
        assert isinstance(caught.value.__cause__, RunTimeout)
        assert caught.value.__cause__.elapsed == 3000


async def test_a_receives_timeout_passes_while_it_is_let_go(autojump_clock: MockClock) -> None:
    """A run that waits for a message only so long comes back when that time is over."""
    flow = waiting("message with a timeout", timeout=None)
    async with open_runtime(workflows=[flow], journal=MemoryJournal()) as runtime:
        run = await runtime.start(flow)
        assert (await run.wait()).state is Way.DONE
        assert (trio.current_time(), runtime.statistics().unloaded) == (5000, 1)


async def test_a_message_does_not_put_a_timer_off(world: World, autojump_clock: MockClock) -> None:
    """A run that waits for a time, and gets a message, waits on until the same instant, and has the message then."""
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "nap 1000", "ask")
        for _ in range(4):
            await trio.sleep(150)
            await run.send(Note())
        assert (await run.wait()).data.heard == ["yes"]
        assert trio.current_time() == 1000


async def test_a_run_that_is_let_go_leaves_its_slot(world: World, autojump_clock: MockClock) -> None:
    """While runs only wait in the journal others may be at work; when they come back they wait for a slot like all."""
    async with opened(world, journal=MemoryJournal(), limit=1) as runtime:
        sleepers = [await begin(runtime, "nap 100", "work 10") for _ in range(3)]
        worker = await begin(runtime, "work 1000", priority=-1)
        await worker.wait_state(Step.WORK)
        await worker.wait()
        for run in sleepers:
            await run.wait()
        assert trio.current_time() == 180 + 1000 + 30


@pytest.mark.parametrize("unload_after", [0, 5.5, math.inf])
async def test_when_a_run_is_let_go(unload_after: float, world: World, autojump_clock: MockClock) -> None:
    """After `unload_after` seconds of waiting, and only if the wait is longer than that; never, if that is infinite."""
    async with opened(world, journal=MemoryJournal(), unload_after=unload_after) as runtime:
        await begin(runtime, "nap 1000")
        short = await begin(runtime, "nap 5")
        await trio.sleep(unload_after if unload_after < 10 else 500)
        await trio.testing.wait_all_tasks_blocked()
        assert runtime.statistics().unloaded == {0: 2, 5.5: 1, math.inf: 0}[unload_after]
        assert (await short.wait()).state is Step.DONE
        await runtime.drain(0)
    for wrong in (-1, math.nan, "long"):
        with pytest.raises(ValueError, match="unload_after"):
            async with opened(world, journal=MemoryJournal(), unload_after=wrong):
                pass


async def test_without_a_journal_nothing_is_let_go(world: World, autojump_clock: MockClock) -> None:
    """A run in memory waits there, for as long as it takes."""
    async with opened(world) as runtime:
        run = await begin(runtime, "nap 1000", "ask")
        await trio.sleep(500)
        assert (runtime.statistics().at_work, run.status) == (1, RunStatus.WAITING)
        await run.send(Note())
        await run.wait()


async def test_a_run_in_a_file_is_let_go_and_comes_back(world: World, tmp_path: Path) -> None:
    """In real time, and on disk: it goes after a moment, and is back for its time and for its message."""
    async with opened(world, journal=SqliteJournal(tmp_path / "runs.db"), unload_after=0.02) as runtime:
        run = await begin(runtime, "nap 0.2", "ask", "work 0.01")
        with trio.fail_after(20):
            while runtime.statistics().unloaded == 0:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert await run.wait_state(Step.ASK) is Step.ASK
            while runtime.statistics().unloaded == 1:  # noqa: ASYNC110
                await trio.sleep(0.01)
            await run.send(Note())
            assert (await run.wait()).data.heard == ["yes"]


class JumpingClock(trio.abc.Clock):
    """A clock that jumps where trio would sleep, and beside which the machine's own goes and may be set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall = 1e9

    def time(self) -> float:
        return self.wall + self.now

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        self.now = max(self.now, min(deadline, self.now + 1e6))
        return 0


@pytest.mark.parametrize("set_by", [0, 60, -60])
@pytest.mark.parametrize("set_at", [5, 50])
@pytest.mark.parametrize("kind", ["instant", "seconds", "message"])
def test_a_clock_that_is_set(kind: str, set_at: float, set_by: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the wall clock is set, before a run is let go or after: an instant is met when the clock shows it, seconds and
    messages are not lost, and nothing hangs."""
    clock = JumpingClock()
    monkeypatch.setattr(time, "time", clock.time)
    instant = datetime.fromtimestamp(1e9 + 120, UTC)
    flow = Workflow(Way, initial=Way.WAIT, exits=[Way.DONE], name="flow")
    if kind == "message":

        @flow.receive(Way.WAIT, timeout=120)
        async def hear(note: Note) -> Literal[Way.DONE]:
            return Way.DONE

        @hear.on_timeout
        async def too_late() -> Literal[Way.DONE]:
            return Way.DONE

    else:

        @flow.timer(Way.WAIT)
        async def wait() -> float | datetime:
            return instant if kind == "instant" else 120.0

        @wait.after_wait
        async def go_on() -> Literal[Way.DONE]:
            return Way.DONE

    async def main() -> float:
        async with open_runtime(workflows=[flow], journal=MemoryJournal(), unload_after=10) as runtime:
            run = await runtime.start(flow)
            await trio.sleep(set_at)
            clock.wall += set_by
            await run.wait()
            return trio.current_time()

    end = trio.run(main, clock=clock)
    by_the_wall = 120 - set_by
    # What was let go before the clock was set is due by the clock on the wall: another process may have to wake it.
    expected = by_the_wall if kind == "instant" or set_at == 50 else 120
    assert expected <= end <= expected + 31
