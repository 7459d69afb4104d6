"""Messages to runs, wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    JournalError,
    MailboxFull,
    MessageNotAwaited,
    MessageRejected,
    Resources,
    Retry,
    RunAlreadyEnded,
    RunContext,
    Workflow,
    open_runtime,
)
from cano_trio.journals import MemoryJournal
from tests.runtime.desk import Note, Other, Step, World, begin, desk, opened


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


class Place(Enum):
    """How a run stands when it is sent something."""

    LOADED = auto()
    WORKING = auto()
    DELAYED = auto()
    SLOTLESS = auto()
    UNLOADED = auto()
    PAUSED = auto()


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("place", Place)
async def test_a_message_finds_its_run(
    place: Place, world: World, autojump_clock: MockClock, *, elsewhere: bool
) -> None:
    """Wherever a run is, it gets what it is sent, from this process or another: once for each key, each sender's in order."""
    journal = MemoryJournal()
    plan = ["ask"] * 4 if place is not Place.WORKING else ["work 100", *["ask"] * 4]
    async with (
        opened(world, journal=journal, limit=1 if place is Place.SLOTLESS else None) as runtime,
        opened(world, journal=MemoryJournal(beside=journal), claim=False) as other,
    ):
        if place is Place.SLOTLESS:
            await begin(runtime, "work 100")
        run = await begin(runtime, *plan, run_id="r", delay=100.0 if place is Place.DELAYED else 0.0)
        if place is Place.UNLOADED:
            await trio.sleep(70)
        if place is Place.PAUSED:
            await run.pause()
        theirs = await other.get(desk, "r") if elsewhere else run
        sent = [
            await theirs.send(Note(text), key=key) for text, key in (("a", None), ("b", "k"), ("c", "k"), ("d", "l"))
        ]
        assert sent == [True, True, False, True]
        if place is Place.PAUSED:
            await trio.sleep(10)
            assert world.effects == []
            await run.resume()
        await run.wait_state(Step.ASK)
        await trio.testing.wait_all_tasks_blocked()
        assert run.data.heard == ["a", "b", "d"]
        assert await theirs.send(Note("again"), key="k") is False
        assert await run.send(Note("e")) is True
        assert (await run.wait()).data.heard == ["a", "b", "d", "e"]


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("place", ["here", "let go", "elsewhere"])
async def test_what_is_not_taken(place: str, world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """A message of a type that no state takes, one that is to be awaited and is not, and a key that is none, are refused."""
    if not written and place != "here":
        return
    journal = MemoryJournal() if written else None
    client = MemoryJournal(beside=journal) if journal is not None else None
    async with opened(world, journal=journal) as runtime, opened(world, journal=client, claim=not written) as other:
        run = await begin(runtime, "nap 1000", "ask", run_id="r")
        if place == "let go":
            await trio.sleep(70)
        handle = await other.get(desk, "r") if place == "elsewhere" else run
        with pytest.raises(MessageRejected, match="type Other: they take Note"):
            await handle.send(Other())
        with pytest.raises(MessageNotAwaited):
            await handle.send(Note(), require_waiting=True)
        for key in ("", 3):
            with pytest.raises(ValueError, match="key is"):
                await handle.send(Note(), key=key)  # type: ignore[arg-type]
        await trio.sleep_until(1010)
        assert await handle.send(Note(), require_waiting=True)
        assert (await run.wait()).data.heard == ["yes"]
        with pytest.raises(RunAlreadyEnded, match="it is completed"):
            await handle.send(Note())


async def test_what_is_sent_at_once(world: World, autojump_clock: MockClock) -> None:
    """`send_nowait` is for runs in memory: a full mailbox is told; where a message is written down first, it says so."""
    async with opened(world) as runtime:
        run = await begin(runtime, "work 5")
        for number in range(1000):
            assert run.send_nowait(Note(str(number)))
        with pytest.raises(MailboxFull):
            run.send_nowait(Note())
    async with opened(world, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "work 5")
        with pytest.raises(JournalError, match=r"await run.send"):
            run.send_nowait(Note())


class Talk(Enum):
    TELL = auto()
    REST = auto()
    DONE = auto()


@dataclass
class To:
    run_id: str


@pytest.mark.parametrize("place", ["at work here", "let go", "at work elsewhere"])
async def test_a_message_of_a_run_to_another(place: str, world: World, autojump_clock: MockClock) -> None:
    """What a task sends goes with its transition, to a run in this runtime or another, and wakes it at once; never twice."""
    talk = Workflow(Talk, initial=Talk.TELL, exits=[Talk.DONE], name="talk", data=To)

    @talk.task(Talk.TELL, retry=Retry.fixed(1, delay=10))
    async def tell(to: To, ctx: RunContext) -> Literal[Talk.REST]:
        ctx.send(to.run_id, Note(f"attempt {ctx.attempt}"))
        if ctx.attempt == 1:
            raise OSError
        return Talk.REST

    @talk.task(Talk.REST)
    async def rest() -> Literal[Talk.DONE]:
        await trio.sleep(100)
        return Talk.DONE

    journal = MemoryJournal()
    beside = MemoryJournal(beside=journal)
    resources = Resources(world=world)
    async with (
        open_runtime(workflows=[desk, talk], resources=resources, journal=journal) as runtime,
        open_runtime(workflows=[desk], resources=resources, journal=beside) as other,
    ):
        run = await begin(other if place == "at work elsewhere" else runtime, "ask", "ask", run_id="r")
        if place == "let go":
            await trio.sleep(70)
        begun = trio.current_time()
        sender = await runtime.start(talk, To("r"))
        await trio.sleep(20)
        assert (await runtime.read("r")).heard == ["attempt 2"]
        await run.send(Note("b"))
        assert (await run.wait()).data.heard == ["attempt 2", "b"]
        assert trio.current_time() == begun + 20
        assert (await sender.wait()).state is Talk.DONE


async def test_messages_of_a_child_with_its_end(world: World, autojump_clock: MockClock) -> None:
    """What a child workflow sends with its last transition is delivered, too."""

    class Inner(Enum):
        TELL = auto()
        DONE = auto()

    inner = Workflow(Inner, initial=Inner.TELL, exits=[Inner.DONE], name="inner2", data=To)

    @inner.task(Inner.TELL)
    async def tell(to: To, ctx: RunContext) -> Literal[Inner.DONE]:
        ctx.send(to.run_id, Note("from below"))
        return Inner.DONE

    class Outer(Enum):
        CALL = auto()
        DONE = auto()

    outer = Workflow(Outer, initial=Outer.CALL, exits=[Outer.DONE], name="outer", data=To)
    outer.register_child(Outer.CALL, inner, {Inner.DONE: Outer.DONE})
    resources = Resources(world=world)
    async with open_runtime(workflows=[desk, outer], resources=resources, journal=MemoryJournal()) as runtime:
        run = await begin(runtime, "ask", run_id="r")
        await runtime.start(outer, To("r"))
        assert (await run.wait()).data.heard == ["from below"]
