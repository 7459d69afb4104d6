"""Runs that are taken up: by the next process, or by the one beside."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal, TypeVar

import pytest
import trio
import trio.testing
from trio.lowlevel import TrioToken
from trio.testing import MockClock

from cano_trio import (
    JournalError,
    JournalUnavailable,
    PerRun,
    Resources,
    RunBlocked,
    RunCancelled,
    RunContext,
    RunReleased,
    RunStatus,
    Workflow,
    open_runtime,
)
from cano_trio.journals import ForwardingJournal, MemoryJournal
from cano_trio.testing import FaultyJournal
from tests.runtime.desk import Mortal, Note, Step, World, begin, crashed, desk, opened, process

T = TypeVar("T")


@pytest.mark.parametrize("plan", ["work 100", "nap 100", "look 3", "ask", "call 100"])
def test_a_run_goes_on_in_the_next_process(plan: str) -> None:
    """A run whose process has died goes on in the next one by itself: what was finished is not done again, and time counts on."""
    world, journal = World(), MemoryJournal()

    async def first(mortal: Mortal) -> None:
        async with opened(world, journal=mortal) as runtime:
            await begin(runtime, "book", plan, run_id="r")
            await trio.sleep(50)
            mortal.die()

    async def second() -> float:
        async with opened(world, journal=journal) as runtime:
            run = await runtime.get(desk, "r")
            await run.send(Note())
            result = await run.wait()
            assert (result.state, result.path[0]) == (Step.DONE, Step.BOOK)
            return trio.current_time()

    crashed(journal, first)
    end = process(second, at=80)
    assert end == {"work 100": 180, "nap 100": 100, "look 3": 180, "ask": 80, "call 100": 100}[plan]
    assert (world.began("r/0"), world.began("r/0/undo")) == (1, 0)


async def test_a_run_goes_on_beside(world: World, autojump_clock: MockClock) -> None:
    """What one process lets go of another takes up at once, though both live; who waits there or here gets the result."""
    journal = MemoryJournal()
    beside = MemoryJournal(beside=journal)
    async with opened(world, journal=beside) as other:
        async with opened(world, journal=journal) as runtime:
            run = await begin(runtime, "work 10", "work 10", run_id="r")
            theirs = await other.get(desk, "r")
            await trio.sleep(1)
            await runtime.drain()
            assert trio.current_time() == 10
        with pytest.raises(RunReleased):
            await run.wait()
        assert (await theirs.wait()).state is Step.DONE
    assert (trio.current_time(), world.effects) == (20, ["r/0", "r/1"])


async def test_two_runtimes_share_what_there_is_to_do(world: World, autojump_clock: MockClock) -> None:
    """Runs that wait for a slot are taken by whichever runtime has one; each is done once."""
    journal = MemoryJournal()
    async with (
        opened(world, journal=journal, limit=2) as runtime,
        opened(world, journal=MemoryJournal(beside=journal), limit=3) as other,
    ):
        runs = [await begin(runtime, "work 10") for _ in range(20)]
        for run in runs:
            await run.wait()
        assert trio.current_time() == 40
        assert (runtime.statistics().completed, other.statistics().completed) == (8, 12)
    assert len(world.effects) == 20


def die_with(journal: MemoryJournal, world: World, times: int, *runs: str) -> None:
    """Let so many processes die in a row with runs at work."""

    async def life(mortal: Mortal) -> None:
        async with opened(world, journal=mortal) as runtime:
            for run_id in runs:
                await begin(runtime, "work 10", run_id=run_id, on_duplicate="attach")
            await trio.sleep(1)
            mortal.die()

    for _ in range(times):
        crashed(journal, life)


def test_runs_with_which_processes_have_died_are_taken_up_one_by_one() -> None:
    """Where several have died with runs, only one of these is taken up at a time, until it has committed; others all at once."""
    world, journal = World(), MemoryJournal()
    die_with(journal, world, 2, "a", "b", "c")
    before = len(world.effects)

    async def main() -> None:
        async with opened(world, journal=journal) as runtime:
            fresh = [await begin(runtime, "work 10") for _ in range(3)]
            await trio.sleep(5)
            assert len(world.effects) - before == 4
            for run_id in "abc":
                await (await runtime.get(desk, run_id)).wait()
            for run in fresh:
                await run.wait()
            assert trio.current_time() == 30

    process(main)


def test_the_lane_is_not_blocked_by_a_run_that_is() -> None:
    """A run that is blocked for its crashes, held or let go does not keep the others with a bad name from being taken up."""
    world, journal = World(), MemoryJournal()
    die_with(journal, world, 3, "a")  # with three more it is at its end
    die_with(journal, world, 3, "a", "b", "c")

    async def main() -> None:
        async with opened(world, journal=journal) as runtime:
            for run_id in "bc":
                await (await runtime.get(desk, run_id)).wait()
            run = await runtime.get(desk, "a")
            assert run.status is RunStatus.BLOCKED
            told = next(told for told in await runtime.runs() if told.run_id == "a")
            assert (told.reason or "").startswith("crash_loop: ")
            with trio.move_on_after(1000):
                await run.wait()
            await run.resume()
            await run.wait()

    process(main)


def test_a_crash_loop_is_not_tried_again_by_itself() -> None:
    """A run with which five processes have died is blocked, over restarts; what is tried again is what the code blocked."""
    world, journal = World(), MemoryJournal()
    die_with(journal, world, 7, "a")
    effects = len(world.effects)
    assert effects == 5

    async def main() -> None:
        async with opened(world, journal=journal) as runtime:
            await trio.sleep(100)
            assert (await runtime.get(desk, "a")).status is RunStatus.BLOCKED

    process(main)
    assert len(world.effects) == effects


class Old(Enum):
    WORK = auto()
    GONE = auto()
    DONE = auto()


class New(Enum):
    WORK = auto()
    DONE = auto()


def older(world: World, version: int = 1) -> Workflow[Old, None]:
    """What a later version knows less of."""
    flow = Workflow(Old, initial=Old.WORK, exits=[Old.DONE], name="flow", version=version)

    @flow.task(Old.WORK)
    async def work(ctx: RunContext) -> Literal[Old.GONE]:
        world.act(ctx)
        await trio.sleep(1)
        return Old.GONE

    @flow.task(Old.GONE)
    async def gone(ctx: RunContext) -> Literal[Old.DONE]:
        world.act(ctx)
        await trio.sleep(1000)
        return Old.DONE

    return flow


def newer(world: World, **options: Any) -> Workflow[New, None]:
    """One that lacks a state."""
    flow = Workflow(New, initial=New.WORK, exits=[New.DONE], name="flow", **options)

    @flow.task(New.WORK)
    async def work(ctx: RunContext) -> Literal[New.DONE]:
        world.act(ctx)
        await trio.sleep(1)
        return New.DONE

    return flow


async def test_runs_of_an_unknown_version_are_left_alone(
    world: World, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not touched, and told of once; nor do they keep those behind them waiting, be there only one slot."""
    journal = MemoryJournal()
    async with journal:
        old = older(world, version=2)
        async with open_runtime(workflows=[old], journal=journal, limit=1) as runtime:
            for number in range(5):
                await runtime.start(old, run_id=f"old{number}", priority=1, delay=1)
            await runtime.drain(0)
        before = [await journal.load(f"old{number}") for number in range(5)]
        new = newer(world)
        async with open_runtime(workflows=[new], journal=journal, limit=1) as runtime:
            runs = [await runtime.start(new, delay=5) for _ in range(3)]
            for run in runs:
                await run.wait()
            assert trio.current_time() == 8
            told = (await runtime.explain())[0]
            assert (told.waits_for, told.unblocked_by) == (
                "code", "no code here goes on with version 2 of workflow 'flow'"
            )  # fmt: skip
        assert [await journal.load(f"old{number}") for number in range(5)] == before
    warnings = [record.message for record in caplog.records if "is left alone" in record.message]
    assert len(warnings) == 5


async def test_blocked_runs_are_tried_again_by_the_next_runtime(world: World, autojump_clock: MockClock) -> None:
    """A run that the code could not go on with is blocked with the reason, and tried once by each runtime that is opened."""
    journal = MemoryJournal()
    async with journal:
        old = older(world)
        async with open_runtime(workflows=[old], journal=journal) as runtime:
            for number in range(4):
                await runtime.start(old, run_id=f"r{number}")
            await trio.sleep(5)
            await runtime.drain(0)
        new = newer(world)
        for _ in range(2):
            async with open_runtime(workflows=[new], journal=journal) as runtime:
                run = await runtime.get(new, "r0")
                await trio.sleep(5)
                assert run.status is RunStatus.BLOCKED
                with pytest.raises(RunBlocked, match="New has no state GONE with a task"):
                    await run.resume()
                assert {told.status for told in await runtime.runs()} == {RunStatus.BLOCKED}
        mended = newer(world, aliases={"GONE": New.WORK})
        async with open_runtime(workflows=[mended], journal=journal, limit=2) as runtime:
            for number in range(4):
                assert (await (await runtime.get(mended, f"r{number}")).wait()).state is New.DONE


async def test_a_blocked_run_is_cancelled(world: World, autojump_clock: MockClock) -> None:
    """A cancel of a run that this code can't undo is not lost: the code that can go on with it cancels it instead."""
    journal = MemoryJournal()
    async with journal:
        old = older(world)
        async with open_runtime(workflows=[old], journal=journal) as runtime:
            await runtime.start(old, run_id="r")
            await trio.sleep(5)
            await runtime.drain(0)
        begun = len(world.effects)
        new = newer(world)
        async with open_runtime(workflows=[new], journal=journal) as runtime:
            run = await runtime.get(new, "r")
            await trio.sleep(5)
            run.cancel("no need")
            await trio.sleep(5)
            assert run.status is RunStatus.BLOCKED
        mended = newer(world, aliases={"GONE": New.WORK})
        async with open_runtime(workflows=[mended], journal=journal) as runtime:
            with pytest.raises(RunCancelled, match="no need"):
                await (await runtime.get(mended, "r")).wait()
        assert len(world.effects) == begun


class Nap(Enum):
    NAP = auto()
    DONE = auto()


@dataclass
class OldBill:
    cents: int = 250


@dataclass
class Bill:
    euros: float


def napping(data: type, **options: Any) -> Workflow[Nap, Any]:
    flow = Workflow(Nap, initial=Nap.NAP, exits=[Nap.DONE], name="napping", data=data, **options)

    @flow.timer(Nap.NAP)
    async def nap() -> float:
        return 1000

    @nap.after_wait
    async def wake_up() -> Literal[Nap.DONE]:
        return Nap.DONE

    return flow


def today(version: int, kind: str, raw: Any) -> Any:
    return {"euros": raw["cents"] / 100}


async def test_data_of_an_older_version_are_read(autojump_clock: MockClock) -> None:
    """The data of a run that waits in the journal are brought up to date for who reads them; those that can't be say so."""
    async with MemoryJournal() as journal:
        old = napping(OldBill)
        async with open_runtime(workflows=[old], journal=journal) as runtime:
            await runtime.start(old, OldBill(), run_id="r", delay=100)
            await runtime.drain(0)
        new = napping(Bill, version=2, accepts=[1], migrate=today)
        async with open_runtime(workflows=[new], journal=journal, claim=False) as client:
            assert (await client.get(new, "r")).data == await client.read("r") == Bill(2.5)
        other = napping(Bill)
        async with open_runtime(workflows=[other], journal=journal, claim=False) as client:
            run = await client.get(other, "r")
            with pytest.raises(RunBlocked, match=r"its data can't be read by this code.*euros"):
                _ = run.data


class Talk(Enum):
    ASK = auto()
    GONE = auto()
    DONE = auto()


async def test_blocked_runs_that_wait_for_a_slot_hold_nobody_up(world: World, autojump_clock: MockClock) -> None:
    """While blocked runs wait for a slot to be tried again, messages from other processes come through: nothing stands still."""
    talk = Workflow(Talk, initial=Talk.GONE, exits=[Talk.DONE], name="talk")

    @talk.task(Talk.GONE)
    async def gone() -> Literal[Talk.ASK]:
        await trio.sleep_forever()

    @talk.receive(Talk.ASK)
    async def ask(note: Note) -> Literal[Talk.DONE]:
        return Talk.DONE

    class Less(Enum):
        ASK = auto()
        DONE = auto()

    def less(**options: Any) -> Workflow[Less, None]:
        flow = Workflow(Less, initial=Less.ASK, exits=[Less.DONE], name="talk", **options)

        @flow.receive(Less.ASK)
        async def ask(note: Note) -> Literal[Less.DONE]:
            return Less.DONE

        return flow

    journal = MemoryJournal()
    async with journal:
        async with open_runtime(workflows=[talk], journal=journal) as runtime:
            for number in range(3):
                await runtime.start(talk, run_id=f"r{number}")
            await runtime.drain(0)
        async with open_runtime(workflows=[less()], journal=journal):
            await trio.sleep(1)
        flow = less(aliases={"GONE": Less.ASK})
        client = MemoryJournal(beside=journal)
        async with (
            open_runtime(workflows=[flow], journal=journal, limit=1, unload_after=1e9) as runtime,
            open_runtime(workflows=[flow], journal=client, claim=False) as other,
        ):
            await trio.sleep(1)
            for number in range(3):
                run = await other.get(flow, f"r{number}")
                await run.send(Note())
                await run.wait()
            assert trio.current_time() <= 5


class Way(Enum):
    DO = auto()
    WAIT = auto()
    DONE = auto()


@dataclass
class Data:
    word: str = "x"


@dataclass
class Other:
    number: int


async def test_a_rollback_that_the_code_can_not_go_on_with_is_tried_once(
    world: World, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays one that rolls back, and says why it does not go on; a runtime does not try it again and again."""

    def flow(data: Any) -> Workflow[Way, Any]:
        made = Workflow(Way, initial=Way.DO, exits=[Way.DONE], name="flow", data=data)

        @made.compensatable(Way.DO)
        async def do() -> tuple[Literal[Way.WAIT], int]:
            return Way.WAIT, 1

        @do.compensate
        async def undo(receipt: int) -> None:
            await trio.sleep(10)

        @made.task(Way.WAIT)
        async def wait() -> Literal[Way.DONE]:
            await trio.sleep_forever()

        return made

    journal = MemoryJournal()
    async with journal:
        async with open_runtime(workflows=[old := flow(Data)], journal=journal) as runtime:
            run = await runtime.start(old, Data(), run_id="r")
            await trio.sleep(1)
            run.cancel()
            await trio.sleep(1)
            await runtime.drain(0)
        async with open_runtime(workflows=[flow(Other)], journal=journal) as runtime:
            await trio.sleep(1000)
            record = (await journal.load("r")).record
            assert record.position.status is RunStatus.ROLLING_BACK
            assert "data" in (record.position.reason or "")
        assert len([record for record in caplog.records if "is blocked (data)" in record.message]) == 1
        async with open_runtime(workflows=[old], journal=journal) as runtime:
            with pytest.raises(RunCancelled):
                await (await runtime.get(old, "r")).wait()


async def test_a_slow_set_up_holds_nobody_else_up(world: World, autojump_clock: MockClock) -> None:
    """While what a run has of its own is set up, others are taken up, and what they are sent comes through."""

    @asynccontextmanager
    async def slow() -> AsyncGenerator[int]:
        await trio.sleep(1000)
        yield 1

    journal = MemoryJournal()
    heavy = Workflow(Way, initial=Way.DO, exits=[Way.DONE], name="heavy", resources=Resources(a=PerRun(slow)))

    @heavy.task(Way.DO)
    async def do() -> Literal[Way.DONE]:
        return Way.DONE

    light = Workflow(Way, initial=Way.DO, exits=[Way.DONE], name="light")
    light.task(Way.DO)(do)
    async with open_runtime(workflows=[heavy, light], journal=journal) as runtime:
        slowly = await runtime.start(heavy, delay=1)
        quickly = await runtime.start(light, delay=2)
        await quickly.wait()
        assert trio.current_time() == 2
        await slowly.wait()
        assert trio.current_time() == 1001


@pytest.mark.parametrize("method", ["claim", "history", "claimable", "next_due", "news", "load", "inbox", "commit"])
async def test_a_journal_that_is_away_for_a_while(method: str, world: World, autojump_clock: MockClock) -> None:
    """Whatever can't be done for some time is done later, by itself: runs come back, and are not given up."""
    journal = FaultyJournal(MemoryJournal(), methods=())
    async with opened(world, journal=journal) as runtime:
        runs = [await begin(runtime, *plan.split(",")) for plan in ("nap 100,work 1", "ask,work 1", "look 2,work 1")]
        await trio.sleep(90)
        assert runtime.statistics().at_work == 0
        await trio.sleep_until(99)
        await runs[1].send(Note())
        journal.methods, journal.condition = {method}, "full"
        await trio.sleep_until(200)
        journal.condition = "well"
        with trio.fail_after(60):
            for run in runs:
                assert (await run.wait()).state is Step.DONE
        assert len(journal.calls) < 600


@pytest.mark.parametrize("how", ["unloaded", "paused"])
async def test_a_run_that_can_not_be_let_go_for_a_while(how: str, world: World, autojump_clock: MockClock) -> None:
    """Where the journal is away when a run is to be let go, it is let go later; it is not held by nobody."""
    journal = FaultyJournal(MemoryJournal(), methods=())
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "ask", "work 1", run_id="r")
        await trio.sleep(59)
        journal.methods, journal.condition = {"commit"}, "full"
        async with trio.open_nursery() as nursery:
            if how == "paused":
                nursery.start_soon(run.pause)
            await trio.sleep(10)
            journal.condition = "well"
        await trio.sleep(5)
        assert (await journal.load("r")).record.owner is None
        assert run.status is (RunStatus.PAUSED if how == "paused" else RunStatus.WAITING)
        await run.send(Note())
        await run.resume()
        await run.wait()


async def test_a_journal_that_is_away_for_too_long(world: World, autojump_clock: MockClock) -> None:
    """A run that waited for the journal in vain stops in place, and is taken up again when the journal is back."""
    journal = FaultyJournal(MemoryJournal(), methods=())
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "work 5", "work 5", run_id="r")
        await trio.sleep(1)
        journal.methods, journal.condition = {"commit", "claim"}, "full"
        await trio.sleep(100)
        assert runtime.statistics().at_work == 0
        journal.condition = "well"
        assert (await run.wait()).state is Step.DONE
        assert world.effects == ["r/0", "r/0", "r/1"]


async def test_a_journal_that_dies(world: World, autojump_clock: MockClock) -> None:
    """The journal's own error leaves the runtime, once and bare; all runs have stopped in place, and nothing is undone."""

    journal = FaultyJournal(MemoryJournal())

    async def main() -> None:
        async with opened(world, journal=journal) as runtime:
            runs = [await begin(runtime, "book", "work 10") for _ in range(3)]
            await trio.sleep(1)
            journal.condition = "broken"
            await trio.sleep(100)
        del runs

    with pytest.raises(JournalError, match="is broken"):
        await main()
    assert trio.current_time() <= 10
    assert [effect for effect in world.effects if effect.endswith("/undo")] == []


async def _token() -> TrioToken:
    return trio.lowlevel.current_trio_token()


OVER = trio.run(_token)
"""What a trio run that is over leaves behind."""


async def test_a_lost_lease(world: World, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A run that another process has taken stops here, nothing is undone, and who waits for it gets what it comes to there."""
    journal = MemoryJournal()
    thief = MemoryJournal(beside=journal)
    async with opened(world, journal=journal, limit=1) as runtime, thief:
        run = await begin(runtime, "book", "work 10", "work 10", run_id="r")
        await trio.sleep(1)
        journal._shelf.owners[journal.owner] = OVER  # as if this process had been frozen for longer than its lease
        async with opened(world, journal=thief) as other:
            await trio.sleep(100)
            theirs = await other.get(desk, "r")
            assert (await theirs.wait()).state is (await run.wait()).state is Step.DONE
        assert runtime.statistics().at_work == 0
    assert world.effects == ["r/0", "r/1", "r/1", "r/2"]
    assert [record.message for record in caplog.records if "stops here" in record.message] != []


async def test_a_journal_that_can_not_be_listened_to_for_a_while(world: World, autojump_clock: MockClock) -> None:
    """Where the journal can't tell of changes for now, it is asked again, and the runtime goes on."""

    class Deaf(ForwardingJournal):
        times = 0

        async def wait_changed(self, seen: int, /) -> None:
            self.times += 1
            if self.times < 4:
                raise JournalUnavailable("here", "it is locked")
            await super().wait_changed(seen)

    journal = Deaf(MemoryJournal())
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "nap 100", "work 1")
        await run.wait()
    assert journal.times > 4
