"""A journal that fails when it is told to."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import JournalError, JournalUnavailable, Waiting, Workflow
from cano_trio.journals import MemoryJournal
from cano_trio.testing import FaultyJournal, RecordingObserver
from tests.journal.rows import letter, new, step


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()


def work() -> Workflow[Step]:
    made = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="work")

    @made.task(Step.WORK)
    async def begin() -> Literal[Step.MORE]:
        return Step.MORE

    @made.task(Step.MORE)
    async def finish() -> Literal[Step.DONE]:
        return Step.DONE

    return made


async def test_before_nothing_is_written() -> None:
    """The n-th call fails, and nothing of it is there; those around it work."""
    async with FaultyJournal(MemoryJournal(), {2: "before"}) as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        with pytest.raises(JournalError, match=r"post is call 2, and nothing was written"):
            await journal.post(letter("a"))
        assert (await journal.load("a")).messages == ()
        assert await journal.post(letter("a")) == 1
        assert await journal.commit(step("a", fence)) == 1
    assert journal.calls == ["create", "post", "post", "commit"]


@pytest.mark.parametrize("fault, seconds", [("after", 0), ("lost", 30)])
async def test_after_it_is_written(fault: Literal["after", "lost"], seconds: float, autojump_clock: MockClock) -> None:
    """A call that is reported as failed was carried out; one whose reply is lost is given up later, also if it is cancelled."""
    async with FaultyJournal(MemoryJournal(), {2: fault}) as journal:
        await journal.create(new("a", journal.owner))
        with trio.move_on_after(1), pytest.raises(JournalError, match="post is call 2, and was written"):
            await journal.post(letter("a"))
        assert trio.current_time() == seconds
        assert len((await journal.load("a")).messages) == 1


async def test_a_run_outlives_a_reply_that_is_lost(autojump_clock: MockClock) -> None:
    """The engine finds out whether a commit of an unknown outcome is written, and goes on."""
    async with MemoryJournal() as journal:
        faulty = FaultyJournal(journal, {2: "lost", 3: "after"})
        assert (await work().run(run_id="r", journal=faulty)).state is Step.DONE
    assert trio.current_time() == 30


async def test_it_is_full_until_it_is_told_otherwise(autojump_clock: MockClock, recorded: RecordingObserver) -> None:
    """While it is full every write is refused and nothing is written; a run waits, and goes on when it is well again."""
    async with FaultyJournal(MemoryJournal()) as journal, trio.open_nursery() as nursery:
        journal.condition = "full"
        with pytest.raises(JournalUnavailable, match="it is full until it is told otherwise"):
            await journal.create(new("a"))
        assert await journal.runs() == ()

        async def mend() -> None:
            await trio.sleep(10)
            journal.condition = "well"

        nursery.start_soon(mend)
        assert (await work().run(run_id="r", journal=journal, observers=[recorded])).state is Step.DONE
    assert 10 <= trio.current_time() < 12
    assert {event.reason for event in recorded.of(Waiting)} <= {"store"}


async def test_a_broken_one_stays_broken() -> None:
    """No call works, and it is no use to wait for it: the run stops in place, and its error leaves."""
    async with FaultyJournal(MemoryJournal()) as journal:
        journal.condition = "broken"
        with pytest.raises(JournalError, match="is broken"):
            await journal.runs()
        with pytest.raises(JournalError, match="is broken, as it is told to be"):
            await work().run(run_id="r", journal=journal)


async def test_a_slow_one_is_slow_in_virtual_time(autojump_clock: MockClock) -> None:
    """Each call takes its seconds; once begun it is carried through, and in a scope that is cancelled it does not begin."""
    async with FaultyJournal(MemoryJournal(), seconds=2) as journal:
        with trio.move_on_after(1) as scope:
            await journal.create(new("a"))
        assert trio.current_time() == 2
        assert [run.run_id for run in await journal.runs()] == ["a"]
        scope = trio.CancelScope()
        scope.cancel()
        with scope:
            await journal.create(new("b"))
        assert scope.cancelled_caught
        assert trio.current_time() == 2


async def test_it_is_about_the_calls_that_are_named() -> None:
    """Others pass, uncounted."""
    async with FaultyJournal(MemoryJournal(), {1: "before"}, methods={"runs"}) as journal:
        await journal.create(new("a"))
        with pytest.raises(JournalError, match="runs is call 1"):
            await journal.runs()
        journal.methods = {"load"}
        journal.condition = "full"
        await journal.runs()
        with pytest.raises(JournalUnavailable):
            await journal.load("a")
    assert journal.calls == ["runs", "load"]


async def test_a_run_that_could_not_be_created_says_why() -> None:
    """The journal's own error comes out, and not that there is no such run; created and told otherwise, it goes on."""
    async with FaultyJournal(MemoryJournal(), {1: "before"}) as journal:
        with pytest.raises(JournalError, match="create is call 1, and nothing was written"):
            await work().run(run_id="r", journal=journal)
        assert await journal.runs() == ()
    async with FaultyJournal(MemoryJournal(), {1: "after"}) as journal:
        assert (await work().run(run_id="r", journal=journal)).state is Step.DONE


@pytest.mark.parametrize(
    "options, why",
    [
        ({"faults": {1: "befor"}}, "faults has 1: 'befor'"),
        ({"faults": {0: "before"}}, "faults has 0: 'before'. It takes the numbers of calls, from 1"),
        ({"methods": {"comit"}}, "methods has comit: a journal has none of that name"),
        ({"seconds": -1.0}, "seconds is -1.0"),
    ],
)
def test_faults_that_would_never_come_are_refused(options: dict[str, Any], why: str) -> None:
    """A test with a slip in it would pass without its fault."""
    with pytest.raises(ValueError, match=r"[Ii]t takes|none of that") as caught:
        FaultyJournal(MemoryJournal(), **options)
    assert why in str(caught.value)
