"""`replay_state`: one state of a run, and nothing after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import pytest
import trio

from cano_trio import BatchResults, More, Resources, Retry, RunBlocked, RunContext, Workflow
from cano_trio.testing import ReplayedState, replay_state


class Step(Enum):
    WORK = auto()
    AFTER = auto()
    DONE = auto()
    LOST = auto()


@dataclass
class Note:
    text: str


@dataclass
class Job:
    done: list[str] = field(default_factory=list)


after: list[str] = []


def new() -> Workflow[Step, Job]:
    """A workflow without its first task, whose second says that it was called."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.LOST], name="job", data=Job)

    @work.task(Step.AFTER)
    async def never() -> Literal[Step.DONE]:
        after.append("called")
        return Step.DONE

    return work


def test_nothing_after_it_runs() -> None:
    """The next state is named and does not begin; time is virtual; key, visit and attempt are as they were."""
    after.clear()
    work = new()

    @work.task(Step.WORK, retry=Retry.fixed(1, delay=60.0))
    async def task(ctx: RunContext, job: Job) -> Literal[Step.WORK, Step.AFTER]:
        await trio.sleep(86_400)
        if ctx.attempt == 1:
            raise OSError
        job.done.append(f"{ctx.idempotency_key} visit {ctx.visit} rerun {ctx.rerun}")
        return Step.WORK if ctx.visit == 2 else Step.AFTER

    replayed = replay_state(work, Step.WORK, {"done": []}, run_id="r", seq=5, visit=3)
    assert replayed == ReplayedState(next_state=Step.AFTER, data={"done": ["r/5 visit 3 rerun True"]})
    again = replay_state(work, Step.WORK, {"done": ["x"]}, run_id="r", seq=1, visit=2)
    assert again == ReplayedState(next_state=Step.WORK, data={"done": ["x", "r/1 visit 2 rerun True"]})
    assert after == []


def test_a_failure_is_what_it_comes_to() -> None:
    """A state that fails leads nowhere, and its data are those it had; nothing is undone."""
    work = new()

    @work.compensatable(Step.WORK, retry=Retry.none())
    async def book(job: Job) -> tuple[Literal[Step.AFTER], int]:
        job.done.append("lost")
        raise LookupError("no room")

    @book.compensate
    async def undo(receipt: int) -> None:
        after.append("undone")

    after.clear()
    replayed = replay_state(work, Step.WORK, {"done": ["before"]})
    assert replayed == ReplayedState(next_state=None, data={"done": ["before"]}, failure=("LookupError", "no room"))
    assert after == []


def test_a_failure_that_leads_on() -> None:
    """Where an on_error leads, with the failure."""
    work = new()

    @work.task(Step.WORK, retry=Retry.none(), on_error={LookupError: Step.LOST})
    async def find() -> Literal[Step.AFTER]:
        raise LookupError("nothing there")

    replayed = replay_state(work, Step.WORK, {})
    assert (replayed.next_state, replayed.failure) == (Step.LOST, ("LookupError", "nothing there"))


def test_what_it_goes_on_with() -> None:
    """Stepped work goes on at its cursor, a batch with the outcomes that it has, a message is heard."""
    work = new()
    called: list[object] = []

    @work.stepped(Step.WORK)
    async def step(cursor: int | None, job: Job) -> More[int] | Literal[Step.AFTER]:
        called.append(cursor)
        return More((cursor or 0) + 1) if (cursor or 0) < 4 else Step.AFTER

    assert replay_state(work, Step.WORK, {}, cursors={"": [3, 3, 0]}).next_state is Step.AFTER
    assert called == [3, 4]

    batched = new()

    @batched.batch(Step.WORK)
    async def item(number: int) -> int:
        called.append(f"item {number}")
        return number * 10

    @item.load
    async def load() -> list[int]:
        raise AssertionError("it was loaded")

    @item.finish
    async def finish(results: BatchResults[int, int], job: Job) -> Literal[Step.AFTER]:
        job.done.append(str(results.values))
        return Step.AFTER

    outcomes = {"/c:0": [[0, 70, 1, 0.5]]}
    replayed = replay_state(batched, Step.WORK, {}, cursors={"/items": [7, 8]}, outcomes=outcomes)
    assert replayed.data == {"done": ["[70, 80]"]}
    assert called[2:] == ["item 8"]

    hearing = new()

    @hearing.receive(Step.WORK)
    async def hear(note: Note, job: Job) -> Literal[Step.AFTER]:
        job.done.append(note.text)
        return Step.AFTER

    heard = replay_state(hearing, Step.WORK, {}, messages=[("Note", {"text": "hello"})])
    assert heard.data == {"done": ["hello"]}
    with pytest.raises(AssertionError, match="WORK does not come to an end: a message may be missing"):
        replay_state(hearing, Step.WORK, {})


def test_what_it_would_have_done_to_others() -> None:
    """Messages are told and not sent; runs and SQL are left out."""
    work = new()

    @work.task(Step.WORK)
    async def tell(ctx: RunContext) -> Literal[Step.AFTER]:
        ctx.send("another", Note("hello"))
        ctx.start(new(), Job())
        ctx.sql("INSERT INTO nothing VALUES (1)")
        return Step.AFTER

    assert replay_state(work, Step.WORK, {}).sent == (("another", "Note", {"text": "hello"}),)


def test_resources_may_be_others() -> None:
    """The task works with those that are given."""
    work = new()

    @work.task(Step.WORK)
    async def take(text: str, job: Job) -> Literal[Step.AFTER]:
        job.done.append(text)
        return Step.AFTER

    assert replay_state(work, Step.WORK, {}, resources=Resources(text="given")).data == {"done": ["given"]}


def test_what_can_not_be() -> None:
    """A visit that never was is refused; data that are none of the workflow's block the run."""
    work = new()

    @work.task(Step.WORK)
    async def task() -> Literal[Step.AFTER]:
        return Step.AFTER

    with pytest.raises(ValueError, match="visit is 3, of 1 states before it: count the visits from 1"):
        replay_state(work, Step.WORK, {}, seq=1, visit=3)
    with pytest.raises(RunBlocked, match="its data can't be read by this code"):
        replay_state(work, Step.WORK, {"done": 3})
