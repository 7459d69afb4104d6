"""Asking a run: its reply, and that nobody waits for one that will not come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal, TypeAlias

import attrs
import pytest
import trio
from msgspec import Struct
from trio.testing import MockClock

from cano_trio import (
    DataNotEncodable,
    MessageRejected,
    More,
    NoReply,
    NotAtWork,
    Question,
    Retry,
    Run,
    RunAlreadyEnded,
    RunContext,
    RunError,
    RunStatus,
    Workflow,
    open_runtime,
)
from cano_trio.journals import ForwardingJournal, Journal, MemoryJournal


class Step(Enum):
    BUSY = auto()
    SERVE = auto()
    AGAIN = auto()
    DONE = auto()


@dataclass(frozen=True)
class HowMany(Question[int]):
    sku: str = ""


@dataclass(frozen=True)
class Stop:
    well: bool = True


GONE_ON = "it has gone on without one"


@dataclass
class Stock:
    asked: list[str] = field(default_factory=list)


Serve: TypeAlias = Callable[[HowMany, int], object]


def shop(
    serve: Serve = lambda question, _: question.reply(len(question.sku)), busy: float | None = None
) -> Workflow[Step, Stock]:
    """A shop that is asked as often as anybody likes, each time in a state of its own, until it is told to stop."""
    initial = Step.SERVE if busy is None else Step.BUSY
    work = Workflow(Step, initial=initial, exits=[Step.DONE], name="shop", data=Stock)
    if busy is not None:

        @work.task(Step.BUSY)
        async def sleep() -> Literal[Step.SERVE]:
            await trio.sleep(busy)
            return Step.SERVE

    @work.receive(Step.SERVE, retry=Retry.fixed(2, delay=1))
    async def answer(message: HowMany | Stop, stock: Stock, ctx: RunContext) -> Literal[Step.SERVE, Step.DONE]:
        if isinstance(message, Stop):
            return Step.DONE
        stock.asked.append(message.sku)
        serve(message, ctx.attempt)
        return Step.SERVE

    return work


def journals(*, none: bool = True) -> list[Any]:
    made = [pytest.param(MemoryJournal, id="journal")]
    return [pytest.param(lambda: None, id="memory"), *made] if none else made


@pytest.mark.parametrize("journal", journals())
async def test_a_run_replies(journal: Callable[[], Journal | None], autojump_clock: MockClock) -> None:
    """Each question is answered in turn, and what the state made of it is kept with it."""
    work = shop()
    async with open_runtime(workflows=[work], journal=journal()) as runtime:
        run = await runtime.start(work, Stock())
        assert [await run.ask(HowMany(sku)) for sku in ("a", "bb")] == [1, 2]
        await run.send(Stop())
        assert (await run.wait()).data.asked == ["a", "bb"]


@pytest.mark.parametrize("journal", journals())
async def test_a_task_replies(journal: Callable[[], Journal | None], autojump_clock: MockClock) -> None:
    """A task that receives a question replies while it goes on; many may ask at once, and each gets its own reply."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="agent")

    @work.task(Step.SERVE)
    async def serve(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
        for number in range(3):
            question = await ctx.receive()
            await trio.sleep(10)
            question.reply(number * 100 + len(question.sku))
        return Step.DONE

    replies: list[tuple[float, int]] = []
    async with open_runtime(workflows=[work], journal=journal()) as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(work)

        async def ask(sku: str) -> None:
            reply = await run.ask(HowMany(sku))
            replies.append((trio.current_time(), reply))

        for sku in ("a", "bb", "ccc"):
            nursery.start_soon(ask, sku)
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(0.1)
    assert [reply for _, reply in replies] == [1, 102, 203]
    assert [round(at) for at, _ in replies] == [10, 20, 30]


@attrs.frozen
class Price(Question[float]):
    of: str


class Due(Question[str], Struct, frozen=True):
    of: str


class Ping(Question[None]): ...


@dataclass(frozen=True, slots=True)
class Size(Question[str]):
    of: str = "x"


@pytest.mark.parametrize("journal", journals())
@pytest.mark.parametrize("kind", [Price, Due, Size])
async def test_questions_of_any_make(
    kind: Callable[[str], Question[Any]], journal: Callable[[], Journal | None], autojump_clock: MockClock
) -> None:
    """An attrs class, a msgspec Struct and a dataclass with slots will do; they compare and print as if nobody had asked."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="any")

    @work.receive(Step.SERVE)
    async def serve(message: Price | Due | Size) -> Literal[Step.DONE]:
        message.reply(message)  # type: ignore[arg-type]
        return Step.DONE

    question = kind("x")
    before = (repr(question), hash(question))
    async with open_runtime(workflows=[work], journal=journal()) as runtime:
        run = await runtime.start(work)
        reply = await run.ask(question)
    assert reply == question
    assert (repr(question), hash(question)) == before


async def test_a_run_in_a_nursery_is_asked(autojump_clock: MockClock) -> None:
    """A handle that `nursery.start` gives asks, too."""
    work = shop()
    async with trio.open_nursery() as nursery:
        run: Run[Step, Stock] = await nursery.start(work.run, Stock())
        assert await run.ask(HowMany("abc")) == 3
        await run.send(Stop())


async def test_the_first_reply_counts(autojump_clock: MockClock) -> None:
    """A second reply is ignored; so an attempt that fails behind its reply may reply anew, and nobody is surprised."""

    def serve(question: HowMany, attempt: int) -> None:
        question.reply(attempt)
        question.reply(-1)
        if attempt < 3:
            raise OSError

    work = shop(serve)
    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work, Stock())
        assert (await run.ask(HowMany()), trio.current_time()) == (1, 0)
        await run.send(Stop())
        assert (await run.wait()).data.asked == [""]
        assert trio.current_time() == 2


async def test_a_failed_attempt_leaves_the_question(autojump_clock: MockClock) -> None:
    """An attempt that fails before it replies has answered nothing: the next finds the question, and its reply is heard."""

    def serve(question: HowMany, attempt: int) -> None:
        if attempt < 3:
            raise OSError
        question.reply(attempt)

    work = shop(serve)
    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work, Stock())
        assert (await run.ask(HowMany()), trio.current_time()) == (3, 2)
        await run.send(Stop())


# -- nobody waits for ever


@pytest.mark.parametrize("journal", journals())
async def test_a_state_that_goes_on_without_a_reply(
    journal: Callable[[], Journal | None], autojump_clock: MockClock
) -> None:
    """When the state that has taken a question is finished, the question is used up: whoever asked is told."""
    work = shop(lambda *_: None)
    async with open_runtime(workflows=[work], journal=journal()) as runtime:
        run = await runtime.start(work, Stock(), run_id="r")
        with pytest.raises(NoReply) as caught:
            await run.ask(HowMany("x"))
        assert str(caught.value) == "run 'r' gives no reply to HowMany: it has gone on without one"
        assert (caught.value.run_id, caught.value.kind) == ("r", "HowMany")
        assert run.status is RunStatus.WAITING
        await run.send(Stop())


async def test_a_step_that_goes_on_without_a_reply(autojump_clock: MockClock) -> None:
    """So it is when stepped work has finished the step that had received it."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="steps")

    @work.stepped(Step.SERVE)
    async def serve(cursor: int | None, ctx: RunContext[HowMany]) -> More[int] | Literal[Step.DONE]:
        question = await ctx.receive()
        if cursor is not None:
            question.reply(cursor)
            return Step.DONE
        return More(7)

    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work)
        with pytest.raises(NoReply):
            await run.ask(HowMany())
        assert await run.ask(HowMany()) == 7


async def stop(run: Run[Step]) -> None:
    await run.send(Stop())


async def fail(run: Run[Step]) -> None:
    await run.send(Stop(well=False))


async def cancel(run: Run[Step]) -> None:
    run.cancel("nobody needs it")


@pytest.mark.parametrize("journal", journals())
@pytest.mark.parametrize("end, status", [(stop, "completed"), (fail, "failed"), (cancel, "cancelled")])
async def test_the_end_of_the_run(
    end: Callable[[Run[Step]], Awaitable[None]],
    status: str,
    journal: Callable[[], Journal | None],
    autojump_clock: MockClock,
) -> None:
    """However the run ends, all who have asked and were not heard are told, at that very moment."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="deaf")

    @work.task(Step.SERVE, retry=Retry.none())
    async def serve(ctx: RunContext[HowMany | Stop]) -> Literal[Step.DONE]:
        await ctx.receive(HowMany)
        if not (await ctx.receive(Stop)).well:
            raise TypeError
        return Step.DONE

    told: list[tuple[float, str]] = []
    async with open_runtime(workflows=[work], journal=journal()) as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(work, run_id="r")

        async def ask() -> None:
            with pytest.raises(NoReply) as caught:
                await run.ask(HowMany())
            told.append((trio.current_time(), caught.value.reason))

        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await trio.sleep(100)
        await end(run)
        with suppress(RunError):
            await run.wait()
    whys = {GONE_ON, f"it is {status}"} if end is stop else {f"it is {status}"}
    assert {why for _, why in told} == whys
    assert [at for at, _ in told] == [100, 100]


async def test_a_run_that_is_undone(autojump_clock: MockClock) -> None:
    """Whoever waits for a reply is not kept waiting while the run is rolled back."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="saga")

    @work.compensatable(Step.SERVE)
    async def book() -> tuple[Literal[Step.AGAIN], int]:
        return Step.AGAIN, 1

    @book.compensate
    async def slowly(receipt: int) -> None:
        await trio.sleep(20)

    @work.task(Step.AGAIN, retry=Retry.none())
    async def fail(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
        await ctx.receive()
        await trio.sleep(3)
        raise OSError

    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work)
        with pytest.raises(NoReply, match="it is rolling_back"):
            await run.ask(HowMany())
        assert (trio.current_time(), run.status) == (3, RunStatus.ROLLING_BACK)


async def test_a_run_that_is_let_go(autojump_clock: MockClock) -> None:
    """When a written run is let go, those who have asked are told; their question stays, and who goes on answers nobody."""
    journal = MemoryJournal()
    asked: list[str] = []
    work = shop(lambda question, _: asked.append(question.sku), busy=50)
    async with open_runtime(workflows=[work], journal=journal) as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(work, Stock(), run_id="r")

        async def ask() -> None:
            with pytest.raises(NoReply, match="it was released, and goes on where it is claimed next"):
                await run.ask(HowMany("x"))
            assert trio.current_time() == 50

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await run.pause()
        with pytest.raises(NotAtWork) as caught:
            await run.ask(HowMany("y"))
        assert caught.value.reason == "it is paused, and in the journal"
        await run.resume()
        await run.send(Stop())
        assert (await run.wait()).data.asked == ["x"]
    assert asked == ["x"]


async def test_a_run_that_only_waits_is_not_at_work(autojump_clock: MockClock) -> None:
    """A run that was let go because it only waits can't be asked; a message wakes it, and then it can."""
    work = shop()
    async with open_runtime(workflows=[work], journal=MemoryJournal(), unload_after=5) as runtime:
        run = await runtime.start(work, Stock())
        assert await run.ask(HowMany("a")) == 1
        await trio.sleep(10)
        with pytest.raises(NotAtWork, match="it is waiting, and in the journal"):
            await run.ask(HowMany("b"))
        await run.send(HowMany("c"))
        await trio.sleep(1)
        assert await run.ask(HowMany("dd")) == 2
        await run.send(Stop())
        assert (await run.wait()).data.asked == ["a", "c", "dd"]


async def test_only_its_own_process_asks_a_run(autojump_clock: MockClock) -> None:
    """A run that another process carries out is refused, with that process; one that is over says so."""
    journal, work = MemoryJournal(), shop()
    async with (
        open_runtime(workflows=[work], journal=journal) as runtime,
        open_runtime(workflows=[work], journal=MemoryJournal(beside=journal), claim=False) as other,
    ):
        run = await runtime.start(work, Stock(), run_id="r")
        far = await other.get(work, "r")
        with pytest.raises(NotAtWork) as caught:
            await far.ask(HowMany())
        assert caught.value.reason == f"process {journal.owner} carries it out"
        assert "to reach it anywhere, send() it a message" in str(caught.value)
        await run.send(Stop())
        await run.wait()
        for handle in (run, far, await other.get(work, "r")):
            with pytest.raises((RunAlreadyEnded, NotAtWork)):
                await handle.ask(HowMany())


async def test_a_runtime_that_is_left(autojump_clock: MockClock) -> None:
    """When the runtime stops, whoever waits outside of it for a reply is told."""
    work = shop()
    async with trio.open_nursery() as nursery:

        async def ask(run: Run[Step, Stock]) -> None:
            with pytest.raises(NoReply, match="it is cancelled"):
                await run.ask(HowMany())

        async def serve(*, task_status: trio.TaskStatus[Run[Step, Stock]]) -> None:
            with trio.move_on_after(5):
                async with open_runtime(workflows=[work]) as runtime:
                    run = await runtime.start(work, Stock(), delay=100)
                    task_status.started(run)
                    await trio.sleep_forever()

        nursery.start_soon(ask, await nursery.start(serve))


# -- who asks


@pytest.mark.parametrize("journal", journals())
async def test_who_asks_may_go_away(journal: Callable[[], Journal | None], autojump_clock: MockClock) -> None:
    """That whoever asked has gone never hurts the run: it replies to nobody, and goes on."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="slow")
    served: list[str] = []

    @work.task(Step.SERVE)
    async def serve(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
        for _ in range(2):
            question = await ctx.receive()
            await trio.sleep(10)
            question.reply(1)
            served.append(question.sku)
        return Step.DONE

    async with open_runtime(workflows=[work], journal=journal()) as runtime:
        run = await runtime.start(work)
        with trio.move_on_after(5) as scope:
            await run.ask(HowMany("impatient"))
        assert scope.cancelled_caught
        assert await run.ask(HowMany("patient")) == 1
        await run.wait()
    assert served == ["impatient", "patient"]


async def test_who_is_cancelled_before_there_is_room_has_asked_nothing(autojump_clock: MockClock) -> None:
    """A question that has not come in was not asked, and may be asked again."""
    work = shop(busy=50)
    question = HowMany("abc")
    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work, Stock())
        for _ in range(1000):
            run.send_nowait(HowMany())
        with trio.move_on_after(5):
            await run.ask(question)
        await trio.sleep_until(60)
        assert await run.ask(question) == 3
        await run.send(Stop())
        assert len((await run.wait()).data.asked) == 1001


async def test_a_question_is_asked_once(autojump_clock: MockClock) -> None:
    """One question has one reply: it is refused a second time, so that no two wait for the same."""
    work = shop()
    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work, Stock())
        question = HowMany()
        await run.ask(question)
        with pytest.raises(ValueError, match="one question has one reply: make another one"):
            await run.ask(question)
        await run.send(Stop())


async def test_a_question_that_is_sent(autojump_clock: MockClock) -> None:
    """A question may also be sent as a mere message; whoever replies to it tells nobody."""
    work = shop()
    async with open_runtime(workflows=[work]) as runtime:
        run = await runtime.start(work, Stock())
        await run.send(HowMany("x"))
        await run.send(Stop())
        assert (await run.wait()).data.asked == ["x"]
    HowMany("nobody has sent it").reply(3)


async def test_what_can_not_be_asked(autojump_clock: MockClock) -> None:
    """What is no question, and what no state takes, is refused at once."""
    work: Any = shop()
    async with open_runtime(workflows=[work]) as runtime:
        run: Any = await runtime.start(work, Stock(), run_id="r")
        with pytest.raises(TypeError, match=r"Stop\(well=True\) is no Question: send\(\) it, or derive its class"):
            await run.ask(Stop())
        with pytest.raises(MessageRejected, match="no state of run 'r' takes a message of type Ping"):
            await run.ask(Ping())
        await run.send(Stop())
        await run.wait()
        with pytest.raises(RunAlreadyEnded, match="takes no more messages: it is completed"):
            await run.ask(HowMany())


@dataclass
class Anything(Question[int]):
    what: Any


async def test_a_question_that_can_not_be_written_down(autojump_clock: MockClock) -> None:
    """A run with a journal writes a question down; one that can't be is refused, with the place of what is wrong."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="any")

    @work.receive(Step.SERVE)
    async def serve(message: Anything) -> Literal[Step.DONE]:
        message.reply(1)
        return Step.DONE

    async with open_runtime(workflows=[work], journal=MemoryJournal()) as runtime:
        run = await runtime.start(work)
        with pytest.raises(DataNotEncodable, match="what"):
            await run.ask(Anything(lambda: 3))
        assert await run.ask(Anything(3)) == 1


class Slow(ForwardingJournal):
    """A journal that tells late of what it has written, so that others hear of it before."""

    async def post(self, letter: Any, /) -> int | None:
        number = await self.inner.post(letter)
        if letter.kind == "HowMany":
            await trio.sleep(1)
        return number


async def test_a_question_that_comes_in_by_another_way(autojump_clock: MockClock) -> None:
    """Where the runtime hears of a written question before its asker does, the reply finds the asker all the same."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="early")

    @work.task(Step.SERVE)
    async def serve(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
        question = await ctx.receive()
        question.reply(len(question.sku))
        await trio.sleep(5)
        return Step.DONE

    async with open_runtime(workflows=[work], journal=Slow(MemoryJournal())) as runtime:
        run = await runtime.start(work)
        assert await run.ask(HowMany("abc")) == 3
        assert trio.current_time() == 1


async def test_a_question_that_is_used_up_before_its_asker_hears_of_it(autojump_clock: MockClock) -> None:
    """And where it is used up by then, its asker is told that there is no reply any more, and does not wait."""
    work = shop()
    async with open_runtime(workflows=[work], journal=Slow(MemoryJournal())) as runtime:
        run = await runtime.start(work, Stock())
        with pytest.raises(NoReply, match="it has gone on without one"):
            await run.ask(HowMany("abc"))
        await run.send(Stop())
        assert (await run.wait()).data.asked == ["abc"]


async def test_many_questions_at_once(autojump_clock: MockClock) -> None:
    """Of two thousand who ask at once, more than the mailbox holds, each gets its own reply."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="many")

    @work.task(Step.SERVE)
    async def serve(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
        for _ in range(2000):
            question = await ctx.receive()
            question.reply(int(question.sku))
        return Step.DONE

    replies: list[tuple[int, int]] = []
    async with open_runtime(workflows=[work]) as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(work)

        async def ask(number: int) -> None:
            replies.append((number, await run.ask(HowMany(str(number)))))

        for number in range(2000):
            nursery.start_soon(ask, number)
    assert sorted(replies) == [(number, number) for number in range(2000)]


async def test_a_question_behind_a_message_that_is_still_to_come_in(autojump_clock: MockClock) -> None:
    """A question that comes in its turn, behind what another process has just sent, gets its reply all the same."""
    work = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE], name="turns")
    served: list[str] = []

    @work.task(Step.SERVE)
    async def serve(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
        for _ in range(2):
            question = await ctx.receive()
            served.append(question.sku)
            question.reply(len(served))
        return Step.DONE

    journal = MemoryJournal()
    async with (
        open_runtime(workflows=[work], journal=journal) as runtime,
        open_runtime(workflows=[work], journal=MemoryJournal(beside=journal), claim=False) as other,
        trio.open_nursery() as nursery,
    ):
        run = await runtime.start(work, run_id="r")
        far = await other.get(work, "r")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(far.send, HowMany("far"))
        assert await run.ask(HowMany("near")) == served.index("near") + 1
    assert sorted(served) == ["far", "near"]
