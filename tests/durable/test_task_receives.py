"""What a journal holds of the messages that a task has received: they are in the inbox until its state is finished."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import RunContext, Workflow, open_runtime
from cano_trio.journals import Journal, MemoryJournal


class Step(Enum):
    TALK = auto()
    DONE = auto()


@dataclass
class Said:
    words: str


def talk(seconds: float, heard: list[str], times: int = 2) -> Workflow[Step]:
    """Listens to two words, and thinks about them for some seconds."""
    work = Workflow(Step, initial=Step.TALK, exits=[Step.DONE], name="talk")

    @work.task(Step.TALK)
    async def listen(ctx: RunContext[Said]) -> Literal[Step.DONE]:
        heard.extend([(await ctx.receive(Said)).words for _ in range(times)])
        await trio.sleep(seconds)
        return Step.DONE

    return work


async def inbox(journal: Journal) -> list[str]:
    return [json.loads(message.letter.body)["words"] for message in await journal.inbox("t")]


async def test_a_release_uses_nothing_up(autojump_clock: MockClock) -> None:
    """What an attempt had received when its process let the run go is received again, in order, by the one that goes on."""
    journal, heard = MemoryJournal(), list[str]()
    first = talk(100, heard)
    with trio.move_on_after(10):
        async with open_runtime(journal=journal, workflows=[first]) as runtime:
            run = await runtime.start(first, run_id="t")
            await run.send(Said("a"))
            await run.send(Said("b"))
    async with journal:
        assert (heard, await inbox(journal)) == (["a", "b"], ["a", "b"])
    second = talk(0, heard)
    async with open_runtime(journal=journal, workflows=[second]) as runtime:
        await (await runtime.get(second, "t")).wait()
        assert (heard, await inbox(journal)) == (["a", "b", "a", "b"], [])


async def test_all_that_a_state_used_up_stands_in_its_row(autojump_clock: MockClock) -> None:
    """The history tells what a finished state had received: one message as it is, several in an array, none not at all."""
    for times, told in ((0, None), (1, {"words": "0"}), (2, [{"words": "0"}, {"words": "1"}])):
        journal, work = MemoryJournal(), talk(0, [], times)
        async with open_runtime(journal=journal, workflows=[work]) as runtime:
            run = await runtime.start(work, run_id="t", delay=1)
            for number in range(times):
                await run.send(Said(str(number)))
            await run.wait()
            (row,) = await journal.history("t")
        assert row.messages is None if told is None else json.loads(row.messages or b"") == told


async def test_a_run_that_waits_in_a_task_stays(autojump_clock: MockClock) -> None:
    """However long it takes, the attempt goes on where it waits: the run is not let go to the journal and begun again."""
    journal, heard = MemoryJournal(), list[str]()
    work = talk(0, heard)
    async with open_runtime(journal=journal, workflows=[work], unload_after=5) as runtime:
        run = await runtime.start(work, run_id="t")
        await run.send(Said("a"))
        await trio.sleep(86_400)
        await run.send(Said("b"))
        await run.wait()
        assert (heard, runtime.statistics().unloaded) == (["a", "b"], 0)


async def test_another_process_sends(autojump_clock: MockClock) -> None:
    """What another process has sent comes to the task that waits for it."""
    journal, heard = MemoryJournal(), list[str]()
    work = talk(0, heard)
    async with (
        open_runtime(journal=journal, workflows=[work]) as runtime,
        open_runtime(journal=MemoryJournal(beside=journal), workflows=[work], claim=False) as other,
    ):
        run = await runtime.start(work, run_id="t")
        await trio.sleep(1)
        handle = await other.get(work, "t")
        for words in "ab":
            await handle.send(Said(words))
        await run.wait()
    assert heard == ["a", "b"]
