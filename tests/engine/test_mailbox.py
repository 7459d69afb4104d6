"""What a run's mailbox takes in, in which order, and what it refuses: nothing is lost, nothing doubled."""

from __future__ import annotations

import copy
import logging
import math
import pickle
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from cano_trio import (
    CanoError,
    MailboxFull,
    MessageError,
    MessageRejected,
    Run,
    RunAlreadyEnded,
    RunContext,
    RunError,
    Workflow,
)

SIZE = 1000


class Step(Enum):
    TAKE = auto()
    OTHER = auto()
    DONE = auto()


class Wanted:
    def __init__(self, number: int = 0) -> None:
        self.number = number


class Unwanted:
    """What no state takes that the run comes to."""


class Stop: ...


def workflow(got: list[int], gate: trio.Event | None = None) -> Workflow[Step]:
    """Takes what is `Wanted`, once the gate is open, until it is told to stop."""
    work = Workflow(Step, initial=Step.TAKE, exits=[Step.DONE], name="w")

    @work.receive(Step.TAKE, on_error={KeyError: Step.OTHER})
    async def take(message: Wanted | Stop) -> Literal[Step.TAKE, Step.DONE]:
        if gate is not None:
            await gate.wait()
        if isinstance(message, Stop):
            return Step.DONE
        got.append(message.number)
        return Step.TAKE

    @work.receive(Step.OTHER)
    async def other(message: Unwanted) -> Literal[Step.DONE]:
        return Step.DONE

    return work


Body = Callable[[Run[Step]], Coroutine[Any, Any, object]]


async def beside(work: Workflow[Step], body: Body) -> Run[Step]:
    """Do something with the handle of a run, which is then stopped."""
    async with trio.open_nursery() as nursery:
        run: Run[Step] = await nursery.start(partial(work.run, run_id="r"))
        await wait_all_tasks_blocked()
        await body(run)
        nursery.cancel_scope.cancel()
    return run


def fill(run: Run[Step], room: int = 0) -> None:
    """Send so much that nobody takes that there is so much room left."""
    for _ in range(SIZE - room):
        assert run.send_nowait(Unwanted())


async def test_room_for_a_thousand() -> None:
    """The mailbox holds 1,000 messages; one more is refused, and the error says what to do."""

    async def body(run: Run[Step]) -> None:
        fill(run)
        with pytest.raises(MailboxFull) as caught:
            run.send_nowait(Unwanted())
        assert isinstance(caught.value, (MessageError, trio.WouldBlock))
        assert (caught.value.run_id, caught.value.size) == ("r", 1000)
        assert str(caught.value) == (
            "the mailbox of run 'r' is full: 1,000 messages wait there for a state that takes them. "
            "Wait for room with `await run.send(...)`."
        )

    await beside(workflow([]), body)


async def test_what_is_waited_for_needs_no_room() -> None:
    """A mailbox full of other messages does not keep out the one that the run waits for: else it would wait for ever."""
    got: list[int] = []

    async def body(run: Run[Step]) -> None:
        fill(run)
        assert run.send_nowait(Wanted(1))
        await wait_all_tasks_blocked()
        assert await run.send(Wanted(2))
        await wait_all_tasks_blocked()
        with pytest.raises(MailboxFull):
            run.send_nowait(Unwanted())

    await beside(workflow(got), body)
    assert got == [1, 2]


async def test_what_stands_before_the_door_is_let_in_when_it_is_wanted() -> None:
    """A sender who waits for room is served when a state comes to wait for its message, though there still is no room."""
    got: list[int] = []
    gate = trio.Event()

    async def body(run: Run[Step]) -> None:
        run.send_nowait(Wanted(0))
        await wait_all_tasks_blocked()  # it is at work on that
        fill(run, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.send, Unwanted())
            await wait_all_tasks_blocked()
            nursery.start_soon(run.send, Wanted(1))
            await wait_all_tasks_blocked()
            nursery.start_soon(run.send, Wanted(2))
            await wait_all_tasks_blocked()
            assert got == []
            gate.set()
            await wait_all_tasks_blocked()

    await beside(workflow(got, gate), body)
    assert got == [0, 1, 2]


async def test_senders_wait_in_line() -> None:
    """Who waits for room gets it in the order of coming, and nobody overtakes them."""
    got: list[int] = []
    gate = trio.Event()

    async def body(run: Run[Step]) -> None:
        for number in range(SIZE):
            run.send_nowait(Wanted(number))
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(run.send, Wanted(SIZE + number))
                await wait_all_tasks_blocked()
            with pytest.raises(MailboxFull):
                run.send_nowait(Wanted(-1))
            gate.set()
        await wait_all_tasks_blocked()

    await beside(workflow(got, gate), body)
    assert got == [*range(SIZE + 5)]


async def test_a_cancelled_sender_has_sent_nothing(autojump_clock: MockClock) -> None:
    """A `send` that is cancelled while it waits for room is as if it had never been; its key, too, is free again."""
    got: list[int] = []
    gate = trio.Event()

    async def body(run: Run[Step]) -> None:
        run.send_nowait(Wanted(0))
        await wait_all_tasks_blocked()
        for number in range(1, SIZE):
            run.send_nowait(Wanted(number))
        with trio.move_on_after(3) as scope:
            await run.send(Wanted(-1), key="k")
        assert scope.cancelled_caught
        gate.set()
        assert await run.send(Wanted(SIZE), key="k")
        await wait_all_tasks_blocked()

    await beside(workflow(got, gate), body)
    assert got == [*range(SIZE + 1)]


async def test_a_key_is_taken_once() -> None:
    """A second message with the same key is dropped, whatever it holds, and the sender is told; other keys are others."""
    got: list[int] = []

    async def body(run: Run[Step]) -> None:
        assert await run.send(Wanted(1), key="a")
        assert not await run.send(Wanted(2), key="a")
        await wait_all_tasks_blocked()
        assert not run.send_nowait(Wanted(3), key="a")
        assert run.send_nowait(Wanted(4), key="b")
        assert run.send_nowait(Wanted(5))
        assert run.send_nowait(Wanted(6))
        await wait_all_tasks_blocked()

    await beside(workflow(got), body)
    assert got == [1, 4, 5, 6]


async def test_a_known_key_needs_no_room() -> None:
    """Sent again to a full mailbox, a message is known at once."""

    async def body(run: Run[Step]) -> None:
        fill(run, 1)
        assert run.send_nowait(Unwanted(), key="a")
        assert not run.send_nowait(Unwanted(), key="a")
        assert not await run.send(Unwanted(), key="a")

    await beside(workflow([]), body)


@pytest.mark.parametrize("kind", ["admitted", "fetched"])
async def test_a_key_is_taken_once_among_those_who_wait(kind: str) -> None:
    """Of several senders that wait for room with one key, the first gets in, and each other is told that it did not."""
    got: list[int] = []
    told: list[bool] = []
    gate = trio.Event()

    async def body(run: Run[Step]) -> None:
        async def send(number: int, key: str) -> None:
            told.append(await run.send(Wanted(number), key=key))

        if kind == "fetched":
            fill(run)  # so that there will be no room at all
        run.send_nowait(Wanted(0))
        await wait_all_tasks_blocked()
        if kind == "admitted":
            fill(run, 1)
        async with trio.open_nursery() as nursery:
            for number, key in ((1, "a"), (2, "a"), (3, "b"), (4, "a")):
                nursery.start_soon(send, number, key)
                await wait_all_tasks_blocked()
            gate.set()

    await beside(workflow(got, gate), body)
    assert (got, sorted(told)) == ([0, 1, 3], [False, False, True, True])


async def test_who_is_known_takes_no_room() -> None:
    """A sender whose message turns out to be known when its turn comes leaves the room to the next in line."""
    told: list[bool] = []
    gate = trio.Event()

    async def body(run: Run[Step]) -> None:
        async def send(key: str) -> None:
            told.append(await run.send(Unwanted(), key=key))

        run.send_nowait(Wanted())
        await wait_all_tasks_blocked()
        run.send_nowait(Wanted())
        fill(run, 2)
        async with trio.open_nursery() as nursery:
            for key in ("a", "a", "b"):
                nursery.start_soon(send, key)
                await wait_all_tasks_blocked()
            gate.set()

    await beside(workflow([], gate), body)
    assert sorted(told) == [False, True, True]


async def test_ten_thousand_keys() -> None:
    """The latest 10,000 keys are remembered, and older ones forgotten, so that a run may go on for ever."""
    got: list[int] = []

    async def body(run: Run[Step]) -> None:
        for number in range(10_001):
            await run.send(Wanted(number), key=str(number))
        assert not await run.send(Wanted(), key="1")
        assert await run.send(Wanted(), key="0")

    await beside(workflow(got), body)


@pytest.mark.parametrize("key", ["", 3, b"k"])
async def test_keys_that_are_none(key: Any) -> None:
    """A key is a string that is not empty."""

    async def body(run: Run[Step]) -> None:
        with pytest.raises(ValueError, match=r"key is .*: it takes a string that is not empty"):
            await run.send(Wanted(), key=key)

    await beside(workflow([]), body)


async def test_keys_are_the_runs_own() -> None:
    """What one run has taken is new to another."""
    for _ in range(2):

        async def body(run: Run[Step]) -> None:
            assert await run.send(Wanted(), key="a")

        await beside(workflow([]), body)


async def test_messages_that_no_state_takes() -> None:
    """A message that no state of the workflow takes is refused at once, also by a full mailbox; the error says which are."""

    async def body(run: Run[Step]) -> None:
        fill(run)
        with pytest.raises(MessageRejected) as caught:
            await run.send("text")
        assert isinstance(caught.value, (MessageError, TypeError))
        assert (caught.value.run_id, caught.value.found) == ("r", "str")
        assert caught.value.wanted == ("Wanted", "Stop", "Unwanted")
        assert str(caught.value) == (
            "no state of run 'r' takes a message of type str: they take Wanted, Stop, Unwanted"
        )
        with pytest.raises(MessageRejected):
            run.send_nowait(None)

    await beside(workflow([]), body)


async def test_workflow_without_a_receive() -> None:
    """A run that takes no messages at all says so."""
    work = Workflow(Step, initial=Step.TAKE, exits=[Step.DONE])

    @work.task(Step.TAKE)
    async def task() -> Literal[Step.DONE]:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async def body(run: Run[Step]) -> None:
        with pytest.raises(MessageRejected, match="takes a message of type Stop: none of them is a receive, or has"):
            await run.send(Stop())

    await beside(work, body)


async def test_an_ended_run_takes_nothing() -> None:
    """To an ended run nothing can be sent, however it ended: neither at once, nor by those who wait for room."""
    gate = trio.Event()
    refused: list[str] = []

    async def body(run: Run[Step]) -> None:
        async def send() -> None:
            with pytest.raises(RunAlreadyEnded) as caught:
                await run.send(Unwanted())
            refused.append(caught.value.status)

        fill(run)
        run.send_nowait(Stop())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            gate.set()

    run = await beside(workflow([], gate), body)
    assert refused == ["completed", "completed"]
    for call in (partial(run.send_nowait, Stop()), partial(run.send_nowait, "text")):
        with pytest.raises(RunAlreadyEnded, match="run 'r' takes no more messages: it is completed") as caught:
            call()
    assert isinstance(caught.value, RunError)
    with pytest.raises(RunAlreadyEnded):
        await run.send(Stop())


async def test_a_run_that_is_rolled_back_takes_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While a run undoes what it did, it takes no message, since no state will see it; who waited is told at once."""
    work = Workflow(Step, initial=Step.TAKE, exits=[Step.DONE])
    seen: list[str] = []

    @work.compensatable(Step.TAKE)
    async def act() -> tuple[Literal[Step.OTHER], str]:
        return Step.OTHER, "receipt"

    @act.compensate
    async def undo(receipt: str) -> None:
        await trio.sleep(10)

    @work.receive(Step.OTHER)
    async def fail(message: Stop) -> Literal[Step.DONE]:
        raise OSError

    async def body(run: Run[Step]) -> None:
        for _ in range(SIZE):
            run.send_nowait(Stop())
        with pytest.raises(RunAlreadyEnded, match="it is rolling_back"):
            await run.send(Stop())
        assert trio.current_time() == 0
        await trio.sleep(5)
        with pytest.raises(RunAlreadyEnded, match="it is rolling_back"):
            await run.send(Stop())
        seen.append(repr(run))

    with pytest.RaisesGroup(OSError):
        async with trio.open_nursery() as nursery:
            await body(await nursery.start(partial(work.run, run_id="r")))
    assert seen == ["<Run 'r' rolling_back TAKE>"]
    assert caplog.messages == ["run 'r' is rolling_back and left messages unread: 999 Stop"]


async def test_the_message_in_work_is_no_unread_one(caplog: pytest.LogCaptureFixture) -> None:
    """The message that a state was at work on when the run ended is not told as unread."""
    with caplog.at_level(logging.WARNING, "cano_trio"):
        await beside(workflow([], trio.Event()), lambda run: run.send(Stop()))
    assert caplog.messages == []


async def test_unread_messages_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Messages that nobody has read when the run ends are told in the log, since their senders were told they came in."""

    async def body(run: Run[Step]) -> None:
        fill(run, SIZE - 2)
        run.send_nowait(Stop())
        await run.send(Wanted())
        await wait_all_tasks_blocked()

    with caplog.at_level(logging.WARNING, "cano_trio"):
        await beside(workflow([]), body)
        assert caplog.messages == ["run 'r' is completed and left messages unread: 2 Unwanted, 1 Wanted"]
        caplog.clear()
        await beside(workflow([]), lambda run: run.send(Stop()))
    assert caplog.messages == []


async def test_send_is_a_checkpoint() -> None:
    """`send` lets others run, whether it takes the message in or knows it already, and never sends when it is cancelled."""
    got: list[int] = []

    async def body(run: Run[Step]) -> None:
        for _ in range(2):
            with assert_checkpoints():
                await run.send(Wanted(1), key="a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await run.send(Wanted(2))
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()

    await beside(workflow(got), body)
    assert got == [1]


async def test_a_task_may_send_to_its_own_run() -> None:
    """A message that a task sends to its own run waits for a later state, as any other's does."""
    work = Workflow(Step, initial=Step.TAKE, exits=[Step.DONE])
    runs: list[Run[Step]] = []

    @work.receive(Step.TAKE)
    async def take(message: Wanted) -> Literal[Step.OTHER]:
        await runs[0].send(message)
        return Step.OTHER

    @work.receive(Step.OTHER)
    async def again(message: Wanted, ctx: RunContext) -> Literal[Step.DONE]:
        return Step.DONE

    async with trio.open_nursery() as nursery:
        runs.append(await nursery.start(work.run))
        await runs[0].send(Wanted())
    assert runs[0].state is Step.DONE


@pytest.mark.parametrize(
    "error", [MailboxFull("r", 3), MessageRejected("r", "int", ["str"]), RunAlreadyEnded("r", "failed")]
)
def test_errors_pickle(error: CanoError) -> None:
    """The errors travel with all that they tell."""
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


class Item(Wanted):
    def __init__(self, sender: int, number: int) -> None:
        self.sender = sender
        super().__init__(number)


def slow(got: list[tuple[int, int]], seconds: float) -> Workflow[Step]:
    """Takes all items, each in so many seconds, until none has come for long."""
    work = Workflow(Step, initial=Step.TAKE, exits=[Step.DONE])

    @work.receive(Step.TAKE, timeout=100)
    async def take(message: Item) -> Literal[Step.TAKE]:
        await trio.sleep(seconds)
        got.append((message.sender, message.number))
        return Step.TAKE

    @take.on_timeout
    async def late() -> Literal[Step.OTHER, Step.DONE]:
        return Step.DONE

    @work.receive(Step.OTHER)
    async def other(message: Unwanted) -> Literal[Step.DONE]:
        return Step.DONE

    return work


@attrs.frozen
class Sending:
    """How an item is sent: after a delay, with a key, with so much patience, or without any."""

    delay: int
    key: str | None
    patience: float

    async def send(self, run: Run[Step], item: Item) -> bool:
        await trio.sleep(self.delay)
        if self.patience < 0:
            with suppress(MailboxFull):
                return run.send_nowait(item, key=self.key)
        with trio.move_on_after(max(self.patience, 0)):
            return await run.send(item, key=self.key)
        return False


sendings = st.builds(
    Sending,
    delay=st.integers(0, 3),
    key=st.none() | st.sampled_from("abc"),
    patience=st.sampled_from([-1.0, 0.0, 0.5, 1.5, math.inf]),
)


@given(
    plans=st.lists(st.lists(sendings, max_size=6), min_size=1, max_size=4),
    seconds=st.sampled_from([0.0, 0.25, 1.0, 2.0]),
    room=st.integers(1, 3),
)
def test_nothing_lost_nothing_doubled(plans: list[list[Sending]], seconds: float, room: int) -> None:
    """Senders with any delays, keys and patience: what was taken in arrives once, in each sender's order, and no more."""
    got: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []

    async def send(run: Run[Step], sender: int) -> None:
        for number, sending in enumerate(plans[sender]):
            if await sending.send(run, Item(sender, number)):
                taken.append((sender, number))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            run: Run[Step] = await nursery.start(slow(got, seconds).run)
            fill(run, room)
            for sender in range(len(plans)):
                nursery.start_soon(send, run, sender)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert sorted(got) == sorted(taken)
    for sender in range(len(plans)):
        own = [item for item in got if item[0] == sender]
        assert own == sorted(own)
    keys = [key for sender, number in taken if (key := plans[sender][number].key)]
    assert len(keys) == len({*keys})
