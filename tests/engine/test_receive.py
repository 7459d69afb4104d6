"""How a receive waits, takes its message, and goes on (RULINGS 5: a message is used up when its state is finished)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitPolicy,
    ReceiveTask,
    Resources,
    Retry,
    RetryExhausted,
    Run,
    RunAlreadyEnded,
    RunContext,
    StateEntered,
    Waiting,
    Workflow,
)
from tests.engine.stepping import cancel_at_every_step

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    FIRST = auto()
    SECOND = auto()
    THIRD = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Message:
    number: int = 0


class Red(Message): ...


class Blue(Message): ...


class Dark(Blue): ...


@dataclass
class Notes:
    taken: list[str] = field(default_factory=list)


def workflow() -> Workflow[Step]:
    return Workflow(Step, initial=Step.FIRST, exits=[Step.DONE, Step.FAILED])


def noting() -> Workflow[Step, Notes]:
    return Workflow(Step, initial=Step.FIRST, exits=[Step.DONE, Step.FAILED], data=Notes)


Body = Callable[[Run[Step]], Coroutine[Any, Any, object]]


async def running(work: Any, body: Body, *data: object, **options: Any) -> Run[Step]:
    """Run a workflow beside a body that has its handle, both to their ends."""
    async with trio.open_nursery() as nursery:

        async def started(*, task_status: trio.TaskStatus[Run[Step]]) -> None:
            await work.run(*data, task_status=task_status, **options)

        run: Run[Step] = await nursery.start(started)
        await body(run)
    return run


class Taking:
    """A workflow that takes these kinds in FIRST and SECOND, and keeps what it gets."""

    def __init__(self, first: Any, second: Any = None) -> None:
        self.got: list[object] = []
        self.times: list[float] = []
        self.work: Any = workflow()
        self._receive(Step.FIRST, first, Step.DONE if second is None else Step.SECOND)
        if second is not None:
            self._receive(Step.SECOND, second, Step.DONE)

    def _receive(self, state: Step, kinds: Any, following: Step) -> None:
        async def take(message: Any) -> Any:
            self.got.append(message)
            self.times.append(trio.current_time())
            return following

        take.__annotations__ = {"message": kinds, "return": Literal[following]}
        self.work.receive(state)(take)


async def test_a_message_names_the_next_state(autojump_clock: MockClock) -> None:
    """The class form: it waits as long as it takes, and `on_message` decides by the message."""

    class Ask(ReceiveTask[Step, Red | Blue]):
        async def on_message(self, message: Red | Blue) -> Literal[Step.DONE, Step.FAILED]:
            return Step.DONE if isinstance(message, Red) else Step.FAILED

    work = workflow()
    work.register(Step.FIRST, Ask())
    for message, end in ((Red(), Step.DONE), (Blue(), Step.FAILED), (Dark(), Step.FAILED)):

        async def body(run: Run[Step], message: Message = message) -> None:
            await trio.sleep(86_400)
            assert await run.send(message)

        begun = trio.current_time()
        assert (await running(work, body)).state is end
        assert trio.current_time() - begun == 86_400


async def test_others_stay_in_order() -> None:
    """Messages of other types are passed over, and stay in order for the states that take them."""
    take = Taking(Blue, Red)

    async def body(run: Run[Step]) -> None:
        for message in (Red(1), Red(2), Blue(3), Blue(4)):
            run.send_nowait(message)

    await running(take.work, body)
    assert take.got == [Blue(3), Red(1)]


async def test_a_message_that_is_there_is_taken_at_once(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A message that came before the state was entered is taken without any wait, and no wait is told."""
    take = Taking(Blue, Red | Blue)

    async def body(run: Run[Step]) -> None:
        run.send_nowait(Red(1))
        await trio.sleep(5)
        run.send_nowait(Blue(2))

    await running(take.work, body, observers=[recorder])
    assert (take.got, take.times) == ([Blue(2), Red(1)], [5, 5])
    assert [event.state for event in recorder.of(Waiting)] == [Step.FIRST]


async def test_waiting_is_told(recorder: Recorder, autojump_clock: MockClock) -> None:
    """What the run waits for, and how long at most, is an event."""
    work = workflow()

    @work.receive(Step.FIRST, timeout=30)
    async def ask(message: Red | Blue) -> Literal[Step.DONE]:
        raise AssertionError("unreachable")

    @ask.on_timeout
    async def late() -> Literal[Step.SECOND]:
        return Step.SECOND

    @work.receive(Step.SECOND)
    async def take(message: Blue) -> Literal[Step.DONE]:
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await trio.sleep(31)
        await run.send(Blue())

    await running(work, body, observers=[recorder])
    assert [(event.reason, event.seconds) for event in recorder.of(Waiting)] == [
        ("message Red | Blue", 30),
        ("message Blue", None),
    ]


class Patient(ReceiveTask[Step, Red]):
    """Waits at most 5 seconds, for another message each time; keeps when what came."""

    timeout = 5

    def __init__(self, rounds: int = 1, **options: object) -> None:
        self.rounds = rounds
        self.seen: list[tuple[float, object]] = []
        vars(self).update(options)

    def note(self, what: object) -> Literal[Step.FIRST, Step.DONE]:
        self.seen.append((trio.current_time(), what))
        return Step.DONE if len(self.seen) == self.rounds else Step.FIRST

    async def on_message(self, message: Red) -> Literal[Step.FIRST, Step.DONE]:
        return self.note(message)

    async def on_timeout(self) -> Literal[Step.FIRST, Step.DONE]:
        return self.note(None)


def patient(task: Patient) -> Workflow[Step]:
    work = workflow()
    work.register(Step.FIRST, task)
    return work


async def test_timeout_begins_with_the_state(autojump_clock: MockClock) -> None:
    """The timeout counts from entering the state, anew at each visit; messages for other states do not stretch it."""
    task = Patient(4, on_error={KeyError: Step.SECOND})
    work = patient(task)

    @work.receive(Step.SECOND)
    async def other(message: Blue) -> Literal[Step.FIRST]:
        return Step.FIRST

    async def body(run: Run[Step]) -> None:
        await trio.sleep(3)
        run.send_nowait(Red(1))
        run.send_nowait(Blue())
        await trio.sleep(4)
        run.send_nowait(Blue())
        await trio.sleep(7)
        run.send_nowait(Red(2))

    await running(work, body)
    assert task.seen == [(3, Red(1)), (8, None), (13, None), (14, Red(2))]


@pytest.mark.parametrize("first", ["run", "sender"])
@pytest.mark.parametrize("_", range(20))
async def test_a_message_wins_over_the_timeout(first: str, _: int, autojump_clock: MockClock) -> None:
    """A message that comes in the very instant of the timeout is taken, in whichever order trio wakes the two."""
    task = Patient()

    runs: list[Run[Step]] = []

    async def send() -> None:
        await trio.sleep_until(5)
        await runs[0].send(Red(1))

    async with trio.open_nursery() as nursery:
        if first == "sender":
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
        runs.append(await nursery.start(patient(task).run))
        if first == "run":
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(send)
    assert task.seen == [(5, Red(1))]


async def test_an_endless_timeout(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A timeout of infinity is none."""
    task = Patient(timeout=float("inf"))

    async def body(run: Run[Step]) -> None:
        await trio.sleep_until(1e9)
        await run.send(Red())

    await running(patient(task), body, observers=[recorder])
    assert [at for at, _ in task.seen] == [1e9]
    assert [event.seconds for event in recorder.of(Waiting)] == [None]


async def test_attempt_timeout_bounds_the_attempt_alone(autojump_clock: MockClock) -> None:
    """`attempt_timeout` does not count the wait, and cuts off each attempt at the message."""

    class Slow(Patient):
        attempt_timeout = 1.0
        timeout = None  # type: ignore[assignment]

        async def on_message(self, message: Red) -> Literal[Step.FIRST, Step.DONE]:
            self.note(message)
            await trio.sleep_forever()
            raise AssertionError("unreachable")

    task = Slow(retry=Retry.fixed(1, delay=10))

    async def body(run: Run[Step]) -> None:
        await trio.sleep(100)
        await run.send(Red(1))

    with pytest.RaisesGroup(pytest.RaisesExc(RetryExhausted, match=r"Slow\.on_message failed 2 times")) as caught:
        await running(patient(task), body)
    assert isinstance(caught.value.exceptions[0].__cause__, AttemptTimeout)
    assert (task.seen, trio.current_time()) == ([(100, Red(1)), (111, Red(1))], 112)


async def test_every_attempt_gets_the_same_message(autojump_clock: MockClock) -> None:
    """A message is not used up by a failed attempt: the next one gets the same, and what the failed wrote is dropped."""
    work = noting()
    seen: list[Message] = []

    @work.receive(Step.FIRST, retry=Retry.fixed(2, delay=1))
    async def take(message: Message, notes: Notes, ctx: RunContext) -> Literal[Step.SECOND]:
        seen.append(message)
        notes.taken.append(f"{ctx.attempt} {ctx.idempotency_key}")
        if ctx.attempt < 3:
            raise OSError
        return Step.SECOND

    @work.receive(Step.SECOND)
    async def after(message: Message, notes: Notes) -> Literal[Step.DONE]:
        seen.append(message)
        return Step.DONE

    first, second = Red(1), Red(2)
    results = []

    async def body(run: Run[Step]) -> None:
        await run.send(first)
        await run.send(second)

    async with trio.open_nursery() as nursery:

        async def start(*, task_status: trio.TaskStatus[Run[Step, Notes]]) -> None:
            results.append(await work.run(Notes(), run_id="r", task_status=task_status))

        await body(await nursery.start(start))
    assert [id(message) for message in seen] == [id(first)] * 3 + [id(second)]
    assert results[0].data == Notes(["3 r/0"])


async def test_no_retry_by_default() -> None:
    """A receive is not retried by default, and its failure is its own."""
    take = Taking(Red)

    class Fails(ReceiveTask[Step, Red]):
        async def on_message(self, message: Red) -> Literal[Step.DONE]:
            take.got.append(message)
            raise OSError

    work = workflow()
    work.register(Step.FIRST, Fails())
    with pytest.RaisesGroup(OSError):
        await running(work, lambda run: run.send(Red(1)))
    assert take.got == [Red(1)]


async def test_on_timeout_is_retried(autojump_clock: MockClock) -> None:
    """What the task says of its attempts holds for `on_timeout`, too; a message that comes meanwhile is too late."""

    class Late(Patient):
        async def on_timeout(self) -> Literal[Step.FIRST, Step.DONE]:
            if len(self.seen) < 2:
                self.note("failed")
                raise OSError
            return self.note(None)

    task = Late(3, retry=Retry.fixed(2, delay=1))

    async def body(run: Run[Step]) -> None:
        await trio.sleep(5.5)
        await run.send(Red())

    await running(patient(task), body)
    assert task.seen == [(5, "failed"), (6, "failed"), (7, None)]


async def test_a_failure_led_away_uses_the_message_up() -> None:
    """RULINGS 5: `on_error` finishes the state, so that its message is gone and can't fail the run again and again."""
    work = workflow()
    seen: list[Message] = []

    @work.receive(Step.FIRST, on_error={OSError: Step.FIRST})
    async def take(message: Red) -> Literal[Step.DONE]:
        seen.append(message)
        if message.number < 3:
            raise OSError
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        for number in (1, 2, 3):
            await run.send(Red(number))

    run = await running(work, body)
    assert (seen, run.state) == ([Red(1), Red(2), Red(3)], Step.DONE)


class Answer(Enum):
    ASK = auto()
    THANK = auto()
    GIVEN = auto()


def asking(got: list[Message]) -> Workflow[Answer]:
    """Takes two messages, and fails for the number 0."""
    work = Workflow(Answer, initial=Answer.ASK, exits=[Answer.GIVEN])

    async def take(message: Red) -> Literal[Answer.THANK]:
        got.append(message)
        if not message.number:
            raise OSError
        return Answer.THANK

    async def thank(message: Blue) -> Literal[Answer.GIVEN]:
        got.append(message)
        return Answer.GIVEN

    work.receive(Answer.ASK)(take)
    work.receive(Answer.THANK)(thank)
    return work


async def test_messages_for_a_child() -> None:
    """A child's states take messages sent to the run; what a failed child was at work on is used up where it is led away."""
    got: list[Message] = []
    work = workflow()
    work.register_child(Step.FIRST, asking(got), {Answer.GIVEN: Step.SECOND}, on_error={OSError: Step.FIRST})

    @work.receive(Step.SECOND)
    async def last(message: Red) -> Literal[Step.DONE]:
        got.append(message)
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        for message in (Red(0), Red(1), Red(2), Dark(3)):
            await run.send(message)

    run = await running(work, body)
    assert (got, run.state) == ([Red(0), Red(1), Dark(3), Red(2)], Step.DONE)


async def test_only_the_method_that_is_called_writes(autojump_clock: MockClock) -> None:
    """Where one of the two methods takes the data and the other does not, nothing of a failed attempt comes back."""
    work = noting()

    @work.task(Step.FIRST, retry=Retry.none(), on_error={OSError: Step.SECOND})
    async def fail(notes: Notes) -> Literal[Step.DONE]:
        notes.taken.append("of a failed attempt")
        raise OSError

    @work.receive(Step.SECOND, timeout=5)
    async def take(message: Red, notes: Notes) -> Literal[Step.DONE]:
        notes.taken.append("by a message")
        return Step.DONE

    @take.on_timeout
    async def late() -> Literal[Step.THIRD]:
        return Step.THIRD

    @work.receive(Step.THIRD, timeout=5)
    async def ignore(message: Blue) -> Literal[Step.DONE]:
        return Step.DONE

    @ignore.on_timeout
    async def later(notes: Notes) -> Literal[Step.SECOND]:
        notes.taken.append(f"by a timeout at {trio.current_time():g}")
        return Step.SECOND

    results = []

    async def start(*, task_status: trio.TaskStatus[Run[Step, Notes]]) -> None:
        results.append(await work.run(Notes(), task_status=task_status))

    async with trio.open_nursery() as nursery:
        run: Run[Step] = await nursery.start(start)
        await trio.sleep(12)
        await run.send(Red())
    assert results[0].data == Notes(["by a timeout at 10", "by a message"])


async def test_injection(autojump_clock: MockClock) -> None:
    """Both methods are given what they ask for after the message: resources, the context, the data."""
    work = noting()
    seen: list[object] = []

    @work.receive(Step.FIRST, timeout=1)
    async def take(message: Red, word: str, notes: Notes) -> Literal[Step.FIRST]:
        seen.append((message, word, notes))
        return Step.FIRST

    @take.on_timeout
    async def late(ctx: RunContext, *, word: str) -> Literal[Step.DONE]:
        seen.append((ctx.visit, word))
        return Step.DONE

    await running(work, lambda run: run.send(Red(1)), Notes(), resources=Resources(word="x"))
    assert seen == [(Red(1), "x", Notes()), (2, "x")]


async def test_a_breaker_guards_the_attempts_and_not_the_wait(autojump_clock: MockClock) -> None:
    """A breaker is asked when there is a message to be worked at; a run that waits for one holds no permit."""
    breaker = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=10))
    work = workflow()

    @work.receive(Step.FIRST, breaker=breaker, on_open="wait", retry=Retry.fixed(1, delay=0))
    async def take(message: Red, ctx: RunContext) -> Literal[Step.DONE]:
        if ctx.attempt == 1:
            raise OSError
        return Step.DONE

    async def body(run: Run[Step]) -> None:
        await trio.sleep(100)
        await run.send(Red())

    await running(work, body)
    assert trio.current_time() == 110


async def test_cancelled_while_waiting(autojump_clock: MockClock) -> None:
    """A cancel from outside ends the wait at once, and the mailbox with it."""
    take = Taking(Red)
    runs: list[Run[Step]] = []

    async def body(run: Run[Step]) -> None:
        runs.append(run)
        await trio.sleep_forever()

    with trio.move_on_after(7):
        await running(take.work, body)
    assert trio.current_time() == 7
    with pytest.raises(RunAlreadyEnded, match="it is cancelled"):
        runs[0].send_nowait(Red())


async def test_a_long_conversation() -> None:
    """One state may take message after message, and the run stays as small as it was."""
    work, got = workflow(), list[int]()

    @work.receive(Step.FIRST)
    async def take(message: Message) -> Literal[Step.FIRST, Step.DONE]:
        got.append(message.number)
        return Step.DONE if isinstance(message, Blue) else Step.FIRST

    async def body(run: Run[Step]) -> None:
        for number in range(3000):
            await run.send(Red(number))
        await run.send(Blue(3000))

    await running(work, body)
    assert got == [*range(3001)]


class World:
    """Two senders, a receive that fails once, and one that times out."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.got: list[Message] = []
        self.run: Run[Step] | None = None
        self.work = work = workflow()
        self.filling = 999  # messages that nobody takes: there is room for one more

        @work.receive(Step.FIRST, retry=Retry.fixed(1, delay=1))
        async def first(message: Red, ctx: RunContext) -> Literal[Step.SECOND]:
            if ctx.attempt == 1:
                raise OSError
            self.got.append(message)
            return Step.SECOND

        @work.receive(Step.SECOND, timeout=2)
        async def second(message: Red) -> Literal[Step.SECOND]:
            self.got.append(message)
            return Step.SECOND

        @second.on_timeout
        async def late() -> Literal[Step.DONE, Step.THIRD]:
            await trio.sleep(1)
            return Step.DONE

        @work.receive(Step.THIRD)
        async def never(message: Blue) -> Literal[Step.DONE]:
            return Step.DONE

    async def __call__(self) -> None:
        async with trio.open_nursery() as nursery:
            self.run = run = await nursery.start(self.work.run)
            for _ in range(self.filling):
                run.send_nowait(Blue())
            nursery.start_soon(self.send, 10)
            nursery.start_soon(self.send, 20)

    async def send(self, base: int) -> None:
        assert self.run is not None
        for number in range(base, base + 3):
            await self.run.send(Red(number))
            self.sent.append(Red(number))

    def check(self) -> None:
        assert {message.number for message in self.got} <= {message.number for message in self.sent}
        assert len({message.number for message in self.got}) == len(self.got)
        for base in (10, 20):
            own = [message.number for message in self.got if base <= message.number < base + 10]
            assert own == [*range(base, base + len(own))]
        if self.run is not None:
            with pytest.raises(RunAlreadyEnded):
                self.run.send_nowait(Red())


def test_cancel_at_every_step() -> None:
    """Wherever a cancel finds a run that waits, works or backs off, and its senders, nothing is left or taken twice."""
    assert cancel_at_every_step(World, lambda world: world(), lambda world: world.check()) > 20


KINDS: dict[str, Any] = {"red": Red, "blue": Blue, "both": Red | Blue}


def model(sends: list[tuple[int, Message]], plan: list[tuple[str, int]]) -> list[tuple[float, Message | None]]:
    """What a run gets and when, that waits for these kinds so long each, from messages sent at these times."""
    left, now, got = list(sends), 0, []
    for kinds, timeout in plan:
        fitting = [(at, message) for at, message in left if isinstance(message, KINDS[kinds]) and at <= now + timeout]
        if fitting:
            left.remove(fitting[0])
            now = max(now, fitting[0][0])
        else:
            now += timeout
        got.append((float(now), fitting[0][1] if fitting else None))
    return got


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([Red, Blue, Dark])), max_size=12),
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 6)), min_size=1, max_size=10),
)
def test_against_a_plain_model(sends: list[tuple[int, type[Message]]], plan: list[tuple[str, int]]) -> None:
    """Any sends and any receives: each gets the first message that fits, when it comes or when it can, or its timeout."""
    timed = [(at, kind(number)) for number, (at, kind) in enumerate(sorted(sends, key=lambda send: send[0]))]
    got: list[tuple[float, Message | None]] = []
    states: Any = Enum("States", [f"S{number}" for number in range(len(plan) + 1)])  # type: ignore[misc]
    order = list(states)
    work: Any = Workflow(states, initial=order[0], exits=[order[-1]])
    for (kinds, timeout), state, following in zip(plan, order, order[1:], strict=False):
        receive(work, state, following, KINDS[kinds], timeout, got)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            run: Run[Any] = await nursery.start(work.run)
            for at, together in groupby(timed, itemgetter(0)):
                await trio.sleep_until(at)
                for _, message in together:
                    with suppress(RunAlreadyEnded):
                        run.send_nowait(message)

    takes = {kind for kinds, _ in plan for kind in ((Red, Blue) if kinds == "both" else (KINDS[kinds],))}
    timed = [(at, message) for at, message in timed if isinstance(message, tuple(takes))]
    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert got == model(timed, plan)


def receive(work: Any, state: Enum, following: Enum, kinds: Any, timeout: float, got: list[Any]) -> None:
    async def on_message(message: Any) -> Any:
        got.append((trio.current_time(), message))
        return following

    async def on_timeout() -> Any:
        got.append((trio.current_time(), None))
        return following

    on_message.__annotations__ = {"message": kinds, "return": Literal[following]}
    on_timeout.__annotations__ = {"return": Literal[following]}
    work.receive(state, timeout=timeout)(on_message).on_timeout(on_timeout)


async def test_states_are_entered_as_usual(recorder: Recorder) -> None:
    """A receive's state stands in the path, and uses up a number, like any other."""
    take = Taking(Red, Blue)

    async def body(run: Run[Step]) -> None:
        await run.send(Red())
        await run.send(Blue())

    await running(take.work, body, observers=[recorder])
    assert [event.state for event in recorder.of(StateEntered)] == [Step.FIRST, Step.SECOND, Step.DONE]
