"""How a task receives messages by its context (RULINGS 5: a message is used up with the transition, or is still there)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from cano_trio import (
    AttemptTimeout,
    BatchResults,
    CloseReason,
    DefinitionError,
    MessageRejected,
    More,
    Pending,
    Retry,
    Run,
    RunContext,
    RunStatus,
    Split,
    Task,
    Waiting,
    Window,
    Workflow,
    open_runtime,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


M = TypeVar("M")


class Step(Enum):
    FIRST = auto()
    SECOND = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Message:
    number: int = 0


class Red(Message): ...


class Blue(Message): ...


class Dark(Blue): ...


def workflow() -> Workflow[Step]:
    return Workflow(Step, initial=Step.FIRST, exits=[Step.DONE, Step.FAILED])


Body = Callable[[Run[Step]], Coroutine[Any, Any, object]]


async def running(work: Workflow[Step], body: Body, **options: Any) -> Run[Step]:
    """Run a workflow beside a body that has its handle, both to their ends."""
    async with open_runtime(workflows=[work], **options) as runtime:
        run = await runtime.start(work, run_id="r")
        await body(run)
        with suppress(Exception):
            await run.wait()
    return run


async def sent(run: Run[Step], *messages: Message) -> None:
    for message in messages:
        await run.send(message)


async def test_messages_are_received_in_order(autojump_clock: MockClock) -> None:
    """One after the other, of the class that is asked for, or of any that the annotation names; others stay in order."""
    work, got = workflow(), list[Message]()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red | Blue]) -> Literal[Step.SECOND]:
        got.append(await ctx.receive(Blue))
        got.append(await ctx.receive())
        got.append(await ctx.receive())
        return Step.SECOND

    @work.receive(Step.SECOND)
    async def rest(message: Message) -> Literal[Step.DONE]:
        got.append(message)
        return Step.DONE

    run = await running(work, lambda run: sent(run, Red(1), Red(2), Dark(3), Message(4), Blue(5)))
    assert (got, run.state) == ([Dark(3), Red(1), Red(2), Message(4)], Step.DONE)


async def test_it_waits_as_long_as_it_takes(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A wait is told, as that of a receive is, and the run is waiting meanwhile; who requires that finds it so."""
    work = workflow()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red | Blue]) -> Literal[Step.DONE]:
        await ctx.receive()
        await trio.sleep(10)
        await ctx.receive(Red)
        return Step.DONE

    seen: list[RunStatus] = []

    async def body(run: Run[Step]) -> None:
        for _ in range(3):
            await trio.sleep(86_400)
            seen.append(run.status)
            assert await run.send(Red(), require_waiting=True)
            await trio.sleep(1)
            seen.append(run.status)
            await trio.sleep(10)
            if run.status.ended:
                break

    await running(work, body, observers=[recorder])
    assert seen == [RunStatus.WAITING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.COMPLETED]
    assert [event.reason for event in recorder.of(Waiting)] == ["message Red | Blue", "message Red"]


async def test_a_failed_attempt_uses_nothing_up(autojump_clock: MockClock) -> None:
    """All that a failed attempt received is there again for the next, before what came meanwhile, and in its old order."""
    work, got = workflow(), list[list[Message]]()

    @work.task(Step.FIRST, retry=Retry.fixed(2, delay=1))
    async def take(ctx: RunContext[Message]) -> Literal[Step.SECOND]:
        taken = [await ctx.receive() for _ in range(ctx.attempt + 1)]
        got.append(taken)
        if ctx.attempt < 3:
            raise OSError
        return Step.SECOND

    @work.receive(Step.SECOND)
    async def rest(message: Message) -> Literal[Step.DONE]:
        got.append([message])
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await sent(run, Red(1), Blue(2))
        await trio.sleep(0.5)
        await sent(run, Red(3), Red(4), Red(5))

    await running(work, body)
    assert got == [[Red(1), Blue(2)], [Red(1), Blue(2), Red(3)], [Red(1), Blue(2), Red(3), Red(4)], [Red(5)]]


async def test_a_failure_led_away_uses_up_what_the_last_attempt_received(autojump_clock: MockClock) -> None:
    """As in a receive: `on_error` finishes the state, so that a message can't fail the run again and again."""
    work, got = workflow(), list[Message]()

    @work.task(Step.FIRST, retry=Retry.fixed(1, delay=1), on_error={OSError: Step.FIRST})
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        got.append(await ctx.receive())
        if got[-1].number < 3:
            raise OSError
        return Step.DONE

    await running(work, lambda run: sent(run, Red(1), Red(2), Red(3)))
    assert [message.number for message in got] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("first", ["run", "sender"])
@pytest.mark.parametrize("_", range(10))
async def test_a_wait_may_be_bounded(first: str, _: int, autojump_clock: MockClock) -> None:
    """In a scope with a deadline a message is received, or is still there for the next who asks, whichever wakes first."""
    work, got = workflow(), list[object]()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        with trio.move_on_after(5) as scope:
            got.append(await ctx.receive())
        if scope.cancelled_caught:
            got.append(await ctx.receive())
        return Step.DONE

    async def send(run: Run[Step]) -> None:
        await trio.sleep_until(5)
        await run.send(Red(1))

    async with open_runtime(workflows=[work]) as runtime, trio.open_nursery() as nursery:
        if first == "sender":
            run = await runtime.start(work, delay=1)
            nursery.start_soon(send, run)
        else:
            run = await runtime.start(work)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(send, run)
        await run.wait()
    assert got == [Red(1)]


async def test_several_tasks_of_an_attempt_may_wait_at_once(autojump_clock: MockClock) -> None:
    """Each gets the messages of its own class, whoever began to wait first; the run waits until the last has what it wants."""
    work, got = workflow(), list[tuple[float, Message]]()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red | Blue]) -> Literal[Step.DONE]:
        async def listen(kind: type[Message]) -> None:
            message = await ctx.receive(kind)
            got.append((trio.current_time(), message))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, Red)
            nursery.start_soon(listen, Blue)
        return Step.DONE

    seen: list[RunStatus] = []

    async def body(run: Run[Step]) -> None:
        for at, message in ((10, Dark(1)), (20, Blue(2)), (30, Red(3))):
            await trio.sleep_until(at)
            seen.append(run.status)
            await run.send(message)

    await running(work, body)
    assert got == [(10, Dark(1)), (30, Red(3))]
    assert seen == [RunStatus.WAITING] * 3


async def test_one_message_goes_to_one_of_those_who_wait(autojump_clock: MockClock) -> None:
    """Two who wait for the same class get a message each, and never the same one."""
    work, got = workflow(), list[Message]()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        async def listen() -> None:
            got.append(await ctx.receive())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(listen)
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await trio.sleep(1)
        await sent(run, Red(1), Red(2), Red(3))

    await running(work, body)
    assert sorted(message.number for message in got) == [1, 2, 3]


async def test_a_receive_may_receive_more(autojump_clock: MockClock) -> None:
    """`on_message` gets its own message at every attempt, and may receive others, which a failed attempt gives back."""
    work, got = workflow(), list[tuple[Message, Message]]()

    @work.receive(Step.FIRST, retry=Retry.fixed(1, delay=1))
    async def take(message: Red, ctx: RunContext[Red | Blue]) -> Literal[Step.DONE]:
        got.append((message, await ctx.receive()))
        if ctx.attempt == 1:
            raise OSError
        return Step.DONE

    run = await running(work, lambda run: sent(run, Red(1), Red(2), Blue(3)))
    assert (got, run.state) == ([(Red(1), Red(2))] * 2, Step.DONE)


async def test_a_step_uses_up_what_it_has_received(autojump_clock: MockClock) -> None:
    """In stepped work each step is a fact with its messages: a later one that fails gets only its own again."""
    work, got = workflow(), list[tuple[int, int]]()

    @work.stepped(Step.FIRST, retry=Retry.fixed(1, delay=1))
    async def step(cursor: int | None, ctx: RunContext[Red]) -> More[int] | Literal[Step.DONE]:
        number = cursor or 0
        got.append((number, (await ctx.receive()).number))
        if ctx.attempt == 1 and number == 1:
            raise OSError
        return More(number + 1) if number < 2 else Step.DONE

    await running(work, lambda run: sent(run, Red(1), Red(2), Red(3)))
    assert got == [(0, 1), (1, 2), (1, 2), (2, 3)]


async def test_messages_for_a_task_of_a_child(autojump_clock: MockClock) -> None:
    """A child's task receives what is sent to the run; what a failed child had received is used up where it is led away."""
    inner, outer, got = workflow(), workflow(), list[Message]()

    @inner.task(Step.FIRST, retry=Retry.fixed(1, delay=1))
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        got.append(await ctx.receive(Red))
        if got[-1].number < 2:
            raise OSError
        return Step.DONE

    outer.register_child(
        Step.FIRST, inner, {Step.DONE: Step.SECOND, Step.FAILED: Step.FAILED}, on_error={Exception: Step.FIRST}
    )

    @outer.receive(Step.SECOND)
    async def rest(message: Red) -> Literal[Step.DONE]:
        got.append(message)
        return Step.DONE

    run = await running(outer, lambda run: sent(run, Red(1), Red(2), Red(3)))
    assert ([message.number for message in got], run.state) == ([1, 1, 2, 3], Step.DONE)


async def receive_twice(ctx: RunContext[Red]) -> None:
    """What a helper of the user's may do with a context."""
    await ctx.receive()
    await ctx.receive(Red)


def in_a_timer(work: Workflow[Step]) -> None:
    @work.timer(Step.FIRST)
    async def wait() -> float:
        return 1

    @wait.after_wait
    async def after_wait(ctx: RunContext[Red]) -> Literal[Step.SECOND]:
        await receive_twice(ctx)
        return Step.SECOND


def in_a_batch(work: Workflow[Step]) -> None:
    @work.batch(Step.FIRST)
    async def item(number: int) -> int:
        return number

    @item.load
    async def load() -> list[int]:
        return [1, 2]

    @item.finish
    async def finish(results: BatchResults[int, int], *, ctx: RunContext[Red]) -> Literal[Step.SECOND]:
        await receive_twice(ctx)
        return Step.SECOND


def in_a_poll(work: Workflow[Step]) -> None:
    @work.poll(Step.FIRST)
    async def look(ctx: RunContext[Red]) -> Literal[Step.SECOND] | Pending:
        with trio.move_on_after(1):
            await receive_twice(ctx)
            return Step.SECOND
        return Pending(delay=1)


def in_a_split(work: Workflow[Step]) -> None:
    @work.branch
    async def branch(number: int) -> int:
        return number

    @work.split(Step.FIRST)
    async def split(ctx: RunContext[Red]) -> Split[Literal[Step.SECOND]]:
        await receive_twice(ctx)
        return Split.over(branch, [1, 2], Step.SECOND)


def in_a_saga(work: Workflow[Step]) -> None:
    @work.compensatable(Step.FIRST)
    async def book(ctx: RunContext[Red]) -> tuple[Literal[Step.SECOND], int]:
        await receive_twice(ctx)
        return Step.SECOND, 1

    @book.compensate
    async def cancel(receipt: int) -> None: ...


def stream(work: Workflow[Step], *, flush: bool) -> None:
    @work.stream(Step.FIRST, window=Window(count=1))
    async def item(number: int) -> tuple[int, int]:
        return number, number

    @item.open
    async def source(cursor: int | None) -> trio.MemoryReceiveChannel[int]:
        send, receive = trio.open_memory_channel[int](1)
        with send:
            send.send_nowait(1)
        return receive

    @item.flush_window
    async def flush_window(numbers: list[int], ctx: RunContext[Red]) -> Literal[Step.SECOND] | None:
        if flush:
            await receive_twice(ctx)
        return Step.SECOND if flush else None

    @item.on_close
    async def on_close(reason: CloseReason, ctx: RunContext[Red]) -> Literal[Step.SECOND]:
        if not flush:
            await receive_twice(ctx)
        return Step.SECOND


def in_a_class(work: Workflow[Step]) -> None:
    class Take(Task[Step]):
        async def run(self, ctx: RunContext[Red] | None, words: str = "") -> Literal[Step.SECOND]:
            assert ctx is not None
            await receive_twice(ctx)
            return Step.SECOND

    work.register(Step.FIRST, Take())


@pytest.mark.parametrize(
    "register",
    [
        in_a_timer,
        in_a_batch,
        in_a_poll,
        in_a_split,
        in_a_saga,
        in_a_class,
        lambda work: stream(work, flush=True),
        lambda work: stream(work, flush=False),
    ],
    ids=["timer", "batch", "poll", "split", "saga", "class", "flush", "close"],
)
async def test_every_model_that_writes_may_receive(
    register: Callable[[Workflow[Step]], None], autojump_clock: MockClock
) -> None:
    """Where a method may write the data, it may receive, and the state uses up exactly what was received in it."""
    work, got = workflow(), list[Message]()
    register(work)

    @work.receive(Step.SECOND)
    async def rest(message: Red) -> Literal[Step.DONE]:
        got.append(message)
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await sent(run, Red(1))
        await trio.sleep(3.5)
        await sent(run, Red(2), Red(3))

    run = await running(work, body)
    assert (got, run.state) == ([Red(3)], Step.DONE)


async def test_what_is_lent_is_there_for_the_next_look(autojump_clock: MockClock) -> None:
    """A poll's look that is pending has used nothing up."""
    work, got = workflow(), list[tuple[float, Message]]()

    @work.poll(Step.FIRST, max_errors=1)
    async def look(ctx: RunContext[Red]) -> Literal[Step.DONE] | Pending:
        got.append((trio.current_time(), await ctx.receive()))
        if len(got) == 2:
            raise OSError
        return Pending(delay=1) if len(got) < 4 else Step.DONE

    await running(work, lambda run: sent(run, Red(1)))
    assert [message for _, message in got] == [Red(1)] * 4


async def test_an_attempt_timeout_bounds_the_wait(autojump_clock: MockClock) -> None:
    """The wait is part of the attempt: its timeout cuts it off, and the next attempt waits anew."""
    work, got = workflow(), list[float]()

    @work.task(Step.FIRST, attempt_timeout=5, retry=Retry.fixed(1, delay=1), on_error={AttemptTimeout: Step.FAILED})
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        got.append(trio.current_time())
        await ctx.receive()
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await trio.sleep(7)
        await run.send(Red())

    run = await running(work, body)
    assert (got, run.state, trio.current_time()) == ([0, 6], Step.DONE, 7)


async def test_cancelled_while_it_waits(autojump_clock: MockClock) -> None:
    """A run that waits for a message in a task is cancelled at once."""
    work = workflow()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        await ctx.receive()
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await trio.sleep(7)
        run.cancel()

    run = await running(work, body)
    assert (run.status, trio.current_time()) == (RunStatus.CANCELLED, 7)


async def test_receiving_is_a_checkpoint() -> None:
    """It is one, whether the message is there or has to come."""
    work = workflow()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        for _ in range(2):
            with assert_checkpoints():
                await ctx.receive()
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await trio.testing.wait_all_tasks_blocked()
        await sent(run, Red(1), Red(2))

    assert (await running(work, body)).state is Step.DONE


async def test_a_context_receives_in_its_own_attempt_only(autojump_clock: MockClock) -> None:
    """Whoever has kept the context of an attempt that is over gets no message by it, neither in the next nor after the run."""
    work, kept = workflow(), list[RunContext[Red]]()

    @work.task(Step.FIRST, retry=Retry.fixed(1, delay=1))
    async def take(ctx: RunContext[Red]) -> Literal[Step.SECOND]:
        kept.append(ctx)
        if ctx.attempt == 1:
            raise OSError
        with pytest.raises(trio.ClosedResourceError, match="the attempt whose context this is, is over"):
            await kept[0].receive()
        return Step.SECOND

    @work.task(Step.SECOND)
    async def after() -> Literal[Step.DONE]:
        with pytest.raises(trio.ClosedResourceError):
            await kept[1].receive()
        return Step.DONE

    run = await running(work, lambda run: sent(run, Red(1)))
    assert run.state is Step.DONE
    with pytest.raises(trio.ClosedResourceError):
        await kept[1].receive()


async def test_nobody_waits_beyond_the_end_of_the_run(autojump_clock: MockClock) -> None:
    """A task outside of the attempt that waits by its context is turned away when the run ends."""
    work, told = workflow(), list[str]()

    async with trio.open_nursery() as nursery:

        @work.task(Step.FIRST)
        async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
            async def stray() -> None:
                try:
                    await ctx.receive()
                except Exception as error:
                    told.append(str(error))

            nursery.start_soon(stray)
            await trio.sleep(5)
            return Step.DONE

        await work.run(run_id="r")
    assert told == ["run 'r' takes no more messages: it is completed"]


# -- what the annotation says


async def test_the_annotation_says_which_messages_the_run_takes() -> None:
    """Sending is refused by type, as with a receive; what a task takes is taken in before it asks for it."""
    work = workflow()

    @work.task(Step.FIRST)
    async def before() -> Literal[Step.SECOND]:
        await trio.sleep(1)
        return Step.SECOND

    @work.task(Step.SECOND)
    async def take(ctx: RunContext[Red]) -> Literal[Step.DONE]:
        await ctx.receive()
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        assert await run.send(Red())
        with pytest.raises(MessageRejected, match="takes a message of type Blue: they take Red"):
            await run.send(Blue())

    assert (await running(work, body)).state is Step.DONE


async def test_a_generic_task_takes_what_its_class_is_made_for() -> None:
    """A type variable in the annotation stands for what the task's class says, as elsewhere."""
    got: list[object] = []

    class Take(Task[Step], Generic[M]):
        async def run(self, ctx: RunContext[M]) -> Literal[Step.DONE]:
            got.append(await ctx.receive())
            return Step.DONE

    class TakeRed(Take[Red]): ...

    work = workflow()
    work.register(Step.FIRST, TakeRed())

    async def body(run: Run[Step]) -> None:
        with pytest.raises(MessageRejected):
            await run.send(Blue())
        await run.send(Red(1))

    await running(work, body)
    assert got == [Red(1)]


async def test_a_class_that_the_annotation_does_not_name() -> None:
    """Asking for it is a mistake in the code (E37), which says how to mend the annotation."""
    work, told = workflow(), list[str]()

    @work.task(Step.FIRST)
    async def take(ctx: RunContext[Red], plain: RunContext) -> Literal[Step.DONE]:
        for context in (ctx, plain):
            with pytest.raises(DefinitionError) as caught:
                await context.receive(Blue)
            told.append(str(caught.value))
        return Step.DONE

    await work.run()
    assert told == [
        "E37 FIRST: it receives Blue, and the annotation of its context names Red. Write ctx: RunContext[Red | Blue].",
        "E37 FIRST: it uses ctx.receive, and the annotation of its context names no messages. Write ctx: RunContext[Blue].",
    ]
