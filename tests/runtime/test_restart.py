"""Runs that are begun again when they fail, each by itself."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    Backoff,
    JournalUnavailable,
    PerRun,
    Question,
    Resources,
    Restart,
    Retry,
    Run,
    RunCancelled,
    RunContext,
    RunEnded,
    RunFailed,
    RunReleased,
    RunResumed,
    RunStarted,
    RunStatus,
    SupervisorGaveUp,
    Workflow,
    open_runtime,
)
from cano_trio.journals import ForwardingJournal, Journal, MemoryJournal
from tests.conftest import Recorder


class Step(Enum):
    FIRST = auto()
    BOOK = auto()
    SECOND = auto()
    DONE = auto()


@dataclass
class Plan:
    """How many seconds the second state takes, and what it has seen."""

    seconds: float = 1
    seen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class HowMany(Question[int]): ...


@dataclass(frozen=True)
class Go: ...


def steady(*delays: float) -> Backoff:
    """No jitter: a second by default."""
    delay = delays[0] if delays else 1
    return Backoff(base=delay, multiplier=1, maximum=delay, jitter=0)


THRICE = Restart(3, within=100, backoff=steady())


class Worker:
    """A workflow whose second state fails as often as it is told to; and what it did, and when."""

    def __init__(self, failures: int = 0, *, books: bool = False, stays: bool = False) -> None:
        self.failures = failures
        self.log: list[tuple[float, str]] = []
        self.work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], name="worker", data=Plan)

        @self.work.task(Step.FIRST)
        async def first(plan: Plan, ctx: RunContext) -> Literal[Step.BOOK]:
            self._note(plan, ctx)
            return Step.BOOK

        @self.work.compensatable(Step.BOOK)
        async def book(plan: Plan, ctx: RunContext) -> tuple[Literal[Step.SECOND], int] | Literal[Step.SECOND]:
            self._note(plan, ctx)
            return (Step.SECOND, 1) if books else Step.SECOND

        @book.compensate
        async def unbook(receipt: int) -> None:
            self.log.append((trio.current_time(), "undo"))
            if stays:
                raise TypeError("it stays")

        @self.work.task(Step.SECOND, retry=Retry.none())
        async def second(plan: Plan, ctx: RunContext) -> Literal[Step.DONE]:
            self._note(plan, ctx)
            await trio.sleep(plan.seconds)
            if self.failures:
                self.failures -= 1
                raise OSError(f"failure {self.failures}")
            return Step.DONE

    def _note(self, plan: Plan, ctx: RunContext) -> None:
        plan.seen.append(ctx.state.name)
        self.log.append((trio.current_time(), f"{ctx.run_id} {ctx.state.name}"))

    @property
    def did(self) -> list[str]:
        return [what for _, what in self.log]


Make = Callable[[], Journal | None]
IN_MEMORY: Any = pytest.param(lambda: None, id="memory")
WRITTEN: Any = pytest.param(MemoryJournal, id="journal")


# -- the policy


def test_the_intensity_is_that_of_erlang() -> None:
    """`max_restarts` restarts within the time are fine, one more is not; what lies longer back does not count any more."""
    restart = Restart(2, within=10, backoff=steady())
    assert [restart.delay(times) for times in ([0], [0, 5], [0, 5, 10], [0, 5, 10.1])] == [1, 1, None, 1]
    assert Restart(0, within=10).delay([3]) is None


def test_the_backoff_grows_while_failures_come_close() -> None:
    """A failure waits by its number among those within the time, so that a run that had calm begins with the first again."""
    restart = Restart(5, within=60, backoff=Backoff(base=1, jitter=0, maximum=3))
    assert [restart.delay([0, 1, 2, 3][:number]) for number in (1, 2, 3, 4)] == [1, 2, 3, 3]
    assert restart.delay([0, 1, 2, 63]) == 1


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20), st.integers(0, 5), st.floats(0.1, 500))
def test_it_gives_up_exactly_beyond_the_limit(times: list[float], most: int, within: float) -> None:
    """It gives up if and only if more than `max_restarts` failures lie within the time behind the latest."""
    times.sort()
    close = sum(times[-1] - time <= within for time in times)
    assert (Restart(most, within).delay(times) is None) == (close > most)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Restart(-1, within=3), "max_restarts=-1 won't do"),
        (lambda: Restart(1.5, within=3), "max_restarts=1.5 won't do"),  # type: ignore[arg-type]
        (lambda: Restart(1, within=0), "within=0 won't do"),
        (lambda: Restart(1, within=float("inf")), "within=inf won't do"),
        (lambda: Restart(1, within=3, backoff=3), "backoff=3 won't do"),  # type: ignore[arg-type]
        (lambda: Restart(1, within=3).delay([]), "times is empty"),
    ],
    ids=["negative", "half", "zero", "infinite", "backoff", "empty"],
)
def test_wrong_policies(make: Callable[[], object], said: str) -> None:
    """A policy that exists is one that holds."""
    with pytest.raises(ValueError, match=said):
        make()


# -- what a restart is


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_a_run_is_begun_again_until_it_succeeds(make: Make, autojump_clock: MockClock) -> None:
    """The handle follows: whoever waits gets the result of the run that succeeds, and nothing of the failures before."""
    worker = Worker(failures=2)
    async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
        run = await runtime.start(worker.work, Plan(), run_id="w", restart=THRICE)
        result = await run.wait()
        assert (result.state, result.run_id, run.id, trio.current_time()) == (Step.DONE, "w", "w", 5)
        assert runtime.statistics().restarted == 2
        assert (runtime.statistics().failed, runtime.statistics().completed) == (0, 1)


async def test_without_a_journal_it_begins_anew(autojump_clock: MockClock) -> None:
    """A run without a journal begins anew with the data it was started with, under its own id."""
    worker = Worker(failures=1)
    plan = Plan()
    async with open_runtime(workflows=[worker.work]) as runtime:
        run = await runtime.start(worker.work, plan, run_id="w", restart=THRICE)
        plan.seen.append("changed by its owner")
        assert (await run.wait()).data == Plan(seen=["FIRST", "BOOK", "SECOND"])
    times = [0, 0, 0, 2, 2, 2]
    assert worker.log == list(zip(times, ["w FIRST", "w BOOK", "w SECOND"] * 2, strict=True))


async def test_a_failed_run_with_a_journal_goes_on(autojump_clock: MockClock) -> None:
    """A durable run that has failed is tried again in the state in which it failed, with what it had done, under its id."""
    worker, journal = Worker(failures=2), MemoryJournal()
    async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
        run = await runtime.start(worker.work, Plan(), run_id="w", restart=THRICE)
        assert (await run.wait()).data == Plan(seen=["FIRST", "BOOK", "SECOND"])
        assert worker.did == ["w FIRST", "w BOOK", "w SECOND", "w SECOND", "w SECOND"]
        assert [record.run_id for record in await journal.runs()] == ["w"]


async def test_a_run_that_was_rolled_back_is_followed_by_another(autojump_clock: MockClock) -> None:
    """What was undone is over: the next begins anew under an id made of the first, never under one that is taken (P8)."""
    worker, journal = Worker(failures=2, books=True), MemoryJournal()
    async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
        await (await runtime.start(worker.work, Plan(0), run_id="w~2", start=Step.DONE)).wait()
        run = await runtime.start(worker.work, Plan(), run_id="w", restart=THRICE)
        result = await run.wait()
        assert (result.run_id, run.id) == ("w~4", "w~4")
        assert result.data == Plan(seen=["FIRST", "BOOK", "SECOND"])
        ends = {record.run_id: record.position.status for record in await journal.runs()}
        assert ends == {
            "w~2": RunStatus.COMPLETED,
            "w": RunStatus.ROLLED_BACK,
            "w~3": RunStatus.ROLLED_BACK,
            "w~4": RunStatus.COMPLETED,
        }
        first = await runtime.get(worker.work, "w")
        assert (first.id, first.status) == ("w", RunStatus.ROLLED_BACK)
    assert worker.did.count("undo") == 2


async def test_a_run_that_can_not_even_begin(autojump_clock: MockClock) -> None:
    """A resource of the run's own that can't be made is a failure like any other, at the first start and at a restart."""
    worker, made = Worker(), list[float]()

    def number() -> int:
        made.append(trio.current_time())
        if len(made) < 3:
            raise OSError("not yet")
        return 3

    resources = Resources(number=PerRun(number))
    async with open_runtime(workflows=[worker.work], resources=resources) as runtime:
        run = await runtime.start(worker.work, Plan(), restart=THRICE)
        await run.wait()
    assert made == [0, 1, 2]


async def test_a_restart_that_is_blocked(autojump_clock: MockClock) -> None:
    """A durable run that can't be taken up again waits for an operator, and its supervisor with it: it is no failure."""
    worker, made = Worker(failures=2), list[float]()

    def number() -> int:
        made.append(trio.current_time())
        if len(made) == 2:
            raise OSError("not now")
        return 3

    resources = Resources(number=PerRun(number))
    async with open_runtime(workflows=[worker.work], resources=resources, journal=MemoryJournal()) as runtime:
        run = await runtime.start(worker.work, Plan(), restart=THRICE)
        await trio.sleep(100)
        assert run.status is RunStatus.BLOCKED
        await run.resume()
        assert (await run.wait()).state is Step.DONE
    assert made == [0, 2, 100, 102]


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_while_it_is_down(make: Make, autojump_clock: MockClock) -> None:
    """A run that waits to be begun again waits, and says so; it is at work, and its id is taken."""
    worker = Worker(failures=1)
    async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
        restart = Restart(3, within=100, backoff=steady(10))
        run = await runtime.start(worker.work, Plan(), run_id="w", restart=restart)
        await trio.sleep(5)
        assert repr(run) == "<Run 'w' waiting SECOND>"
        assert run.data.seen[:2] == ["FIRST", "BOOK"]
        assert (await runtime.get(worker.work, "w")).status is RunStatus.WAITING
        assert (runtime.statistics().at_work, runtime.statistics().waiting) == (1, 1)
        (info,) = await runtime.explain()
        assert (info.status, info.waits_for) == (RunStatus.WAITING, "its restart")
        assert info.unblocked_by is not None
        assert info.unblocked_by.startswith("due ")
        assert await run.wait_state(Step.DONE) is Step.DONE
        assert trio.current_time() == 12


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_its_events_go_on(make: Make, autojump_clock: MockClock) -> None:
    """Who reads the run's events reads on through its restarts, to the end that is one."""
    worker = Worker(failures=1)
    async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
        run = await runtime.start(worker.work, Plan(), restart=THRICE)
        with run.events(buffer=100) as events:
            ends = [
                f"{event.time:g} {type(event).__name__} {getattr(event, 'status', '')}".strip()
                async for event in events
                if isinstance(event, RunStarted | RunResumed | RunEnded)
            ]
        again = "2 RunStarted" if make is not MemoryJournal else "2 RunResumed"
        assert ends[-3:] == ["1 RunEnded RunStatus.FAILED", again, "3 RunEnded RunStatus.COMPLETED"]


class Talk(Enum):
    LISTEN = auto()
    DONE = auto()


def listening(failures: list[str]) -> Workflow[Talk]:
    """Listens for a word, and fails for as long as there are failures."""
    work = Workflow(Talk, initial=Talk.LISTEN, exits=[Talk.DONE], name="talk")

    @work.task(Talk.LISTEN, retry=Retry.none())
    async def listen(ctx: RunContext[Go | HowMany]) -> Literal[Talk.DONE]:
        if failures:
            raise OSError(failures.pop())
        message = await ctx.receive()
        if isinstance(message, HowMany):
            message.reply(7)
        return Talk.DONE

    return work


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
@pytest.mark.parametrize("asks", [False, True], ids=["sends", "asks"])
async def test_messages_wait_until_it_is_back(make: Make, *, asks: bool, autojump_clock: MockClock) -> None:
    """Whoever sends it something while it is down, or asks it, waits until it is back, and is not told that it is over."""
    work = listening(["down"])
    async with open_runtime(workflows=[work], journal=make()) as runtime:
        run = await runtime.start(work, restart=Restart(3, within=100, backoff=steady(10)))
        await trio.sleep(5)
        if asks:
            assert await run.ask(HowMany()) == 7
        else:
            assert await run.send(Go())
        assert trio.current_time() == 10
        await run.wait()


async def test_a_limit_holds_for_restarts(autojump_clock: MockClock) -> None:
    """A run that is down holds no slot, and waits for one like any other when it is begun again."""
    worker = Worker(failures=1)
    async with open_runtime(workflows=[worker.work], limit=1) as runtime:
        first = await runtime.start(worker.work, Plan(1), run_id="a", restart=THRICE)
        await trio.sleep(1.5)
        await runtime.start(worker.work, Plan(10), run_id="b")
        await first.wait()
        assert trio.current_time() == 1.5 + 10 + 1


# -- giving up


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_giving_up_leaves_the_runtime(make: Make, autojump_clock: MockClock) -> None:
    """Too many failures end the runtime with an error that names them; the run's own end is its last failure."""
    worker = Worker(failures=9)
    runs: list[Run[Step, Plan]] = []

    async def main() -> None:
        async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
            restart = Restart(2, within=100, backoff=steady())
            runs.append(await runtime.start(worker.work, Plan(), run_id="w", restart=restart))
            await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp) as caught:
        await main()
    error = caught.value
    assert (error.run_id, error.reason) == ("w", "more than 2 restarts within 100 s")
    assert [(cause.time, cause.state, str(cause.error)) for cause in error.history] == [
        (1, Step.SECOND, "failure 8"),
        (3, Step.SECOND, "failure 7"),
        (5, Step.SECOND, "failure 6"),
    ]
    assert error.__cause__ is error.history[-1].error
    assert str(error) == (
        "run 'w' has failed, and is not begun again: more than 2 restarts within 100 s.\n"
        "  w in SECOND at 1: OSError: failure 8\n"
        "  w in SECOND at 3: OSError: failure 7\n"
        "  w in SECOND at 5: OSError: failure 6"
    )
    assert trio.current_time() == 5
    with pytest.raises(RunFailed) as failed:
        await runs[0].wait()
    assert failed.value.__cause__ is error.history[-1].error


async def test_who_waits_is_told_of_the_last_failure(autojump_clock: MockClock) -> None:
    """A waiter gets the run's failure, and the runtime's owner the supervisor's error, even so."""
    worker = Worker(failures=9)
    told: list[str] = []

    async def main() -> None:
        async with open_runtime(workflows=[worker.work]) as runtime, trio.open_nursery() as nursery:
            run = await runtime.start(worker.work, Plan(), restart=Restart(0, within=100))

            async def wait() -> None:
                with trio.CancelScope(shield=True), pytest.raises(RunFailed, match="failure 8"):
                    await run.wait()
                told.append("failed")

            nursery.start_soon(wait)
            await trio.sleep(5)

    with pytest.raises(SupervisorGaveUp):
        await main()
    assert told == ["failed"]


async def test_giving_up_stops_the_others(autojump_clock: MockClock) -> None:
    """The runtime that fails undoes its other runs, those that are down among them: nothing hangs."""
    good = Worker(failures=1, books=True)
    other = Workflow(Talk, initial=Talk.LISTEN, exits=[Talk.DONE], name="forever")

    @other.task(Talk.LISTEN)
    async def forever() -> Literal[Talk.DONE]:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    work = listening(["a", "b", "c"])
    runs: list[Run[Any, Any]] = []

    async def main() -> None:
        async with open_runtime(workflows=[good.work, other, work]) as runtime:
            restart = Restart(1, within=9, backoff=steady(1000))
            runs.append(await runtime.start(good.work, Plan(), restart=restart))
            runs.append(await runtime.start(other))
            await trio.sleep(5)
            await runtime.start(work, restart=Restart(0, within=9))
            await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp):
        await main()
    assert trio.current_time() == 5
    assert [run.status for run in runs] == [RunStatus.ROLLED_BACK, RunStatus.CANCELLED]


async def test_what_could_not_be_undone_needs_an_operator(autojump_clock: MockClock) -> None:
    """A run whose rollback has failed is not begun again over what is left of it: its supervisor gives up at once."""
    worker = Worker(failures=1, books=True, stays=True)

    async def main() -> None:
        async with open_runtime(workflows=[worker.work], journal=MemoryJournal()) as runtime:
            await runtime.start(worker.work, Plan(), restart=THRICE)
            await trio.sleep_forever()

    with pytest.raises(SupervisorGaveUp, match="could not be undone in full, and needs an operator") as caught:
        await main()
    assert len(caught.value.history) == 1


async def test_calm_is_rewarded(autojump_clock: MockClock) -> None:
    """A run that fails for ever, but seldom, is begun again for ever; only failures within the time are kept."""
    worker = Worker(failures=50)
    async with open_runtime(workflows=[worker.work]) as runtime:
        run = await runtime.start(worker.work, Plan(60), restart=Restart(1, within=60, backoff=steady()))
        await run.wait()
        assert runtime.statistics().restarted == 50


# -- what is not begun again


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_a_cancelled_run_stays_so(make: Make, autojump_clock: MockClock) -> None:
    """A run that is cancelled is not begun again."""
    worker = Worker()
    async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
        run = await runtime.start(worker.work, Plan(10), restart=THRICE)
        await trio.sleep(5)
        run.cancel("enough")
        with pytest.raises(RunCancelled, match="enough"):
            await run.wait()
        await trio.sleep(100)
        assert runtime.statistics().restarted == 0


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
@pytest.mark.parametrize("books", [False, True], ids=["failed", "rolled back"])
async def test_a_cancel_while_it_is_down(
    make: Make, *, books: bool, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """A cancel of a run that is down calls the restart off: its failure was its end, and that at once."""
    worker = Worker(failures=1, books=books)
    async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
        run = await runtime.start(worker.work, Plan(), restart=Restart(3, within=100, backoff=steady(1000)))
        await trio.sleep(5)
        run.cancel("enough")
        with pytest.raises(RunFailed, match="failure 0"):
            await run.wait()
        assert (trio.current_time(), run.status) == (5, RunStatus.ROLLED_BACK if books else RunStatus.FAILED)
    assert worker.did.count("w FIRST") <= 1
    assert "is not begun again: that was called off" in caplog.text


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_leaving_in_peace_waits_for_the_real_end(make: Make, autojump_clock: MockClock) -> None:
    """A runtime that is left waits for its runs, and a run that is begun again is one run: it goes on, down or at work."""
    worker = Worker(failures=2)
    async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
        run = await runtime.start(worker.work, Plan(), restart=Restart(3, within=100, backoff=steady(100)))
        await trio.sleep(50)
    assert ((await run.wait()).state, trio.current_time()) == (Step.DONE, 203)


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_draining_begins_none_again(make: Make, autojump_clock: MockClock) -> None:
    """A run that is down when the runtime is drained, or fails meanwhile, has failed: that is its end."""
    first, second = Worker(failures=1), Worker(failures=1)
    second.work.name = "second"
    restart = Restart(3, within=100, backoff=steady(1000))
    async with open_runtime(workflows=[first.work, second.work], journal=make(), on_exit="drain") as runtime:
        down = await runtime.start(first.work, Plan(1), restart=restart)
        fails = await runtime.start(second.work, Plan(8), restart=restart)
        await trio.sleep(5)
    assert trio.current_time() == 8
    for run in (down, fails):
        with pytest.raises(RunFailed, match="failure 0"):
            await run.wait()


async def test_a_released_run_is_not_begun_again(autojump_clock: MockClock) -> None:
    """A run that is let go with its runtime goes on where it is claimed next, without its supervisor."""
    worker, journal = Worker(), MemoryJournal()
    with trio.move_on_after(5):
        async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
            run = await runtime.start(worker.work, Plan(10), run_id="w", restart=THRICE)
            await trio.sleep_forever()
    with pytest.raises(RunReleased):
        await run.wait()
    worker.failures = 1
    async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
        with pytest.raises(RunFailed):
            await (await runtime.get(worker.work, "w")).wait()
        assert runtime.statistics().restarted == 0


@pytest.mark.parametrize("make", [IN_MEMORY, WRITTEN])
async def test_an_error_in_the_block_while_it_is_down(make: Make, autojump_clock: MockClock) -> None:
    """What stops the runtime stops the wait for the restart, too, and leaves as it is."""
    worker = Worker(failures=1)
    runs: list[Run[Step, Plan]] = []

    async def main() -> None:
        async with open_runtime(workflows=[worker.work], journal=make()) as runtime:
            restart = Restart(3, within=100, backoff=steady(1000))
            runs.append(await runtime.start(worker.work, Plan(), restart=restart))
            await trio.sleep(5)
            raise KeyError

    with pytest.raises(KeyError):
        await main()
    assert (trio.current_time(), runs[0].status) == (5, RunStatus.FAILED)


async def test_another_process_does_not_know_of_it(autojump_clock: MockClock) -> None:
    """Supervision is this process's: the next one goes on with the run, and supervises it if it is asked to attach."""
    worker, journal = Worker(), MemoryJournal()
    with trio.move_on_after(5):
        async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
            await runtime.start(worker.work, Plan(10), run_id="w", restart=THRICE)
            await trio.sleep_forever()
    worker.failures = 2
    async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
        run = await runtime.start(worker.work, Plan(10), run_id="w", restart=THRICE, on_duplicate="attach")
        assert (await run.wait()).state is Step.DONE
        assert runtime.statistics().restarted == 2


# -- more of what is written down


async def test_a_run_that_only_waits_is_let_go_and_stays_supervised(autojump_clock: MockClock) -> None:
    """While it is in the journal its supervisor remembers it, even if nobody holds its handle; it fails when it is back."""
    failures = ["late"]
    work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], name="nap")

    @work.timer(Step.FIRST)
    async def nap() -> float:
        return 1000

    @nap.after_wait
    async def wake() -> Literal[Step.SECOND]:
        return Step.SECOND

    @work.task(Step.SECOND, retry=Retry.none())
    async def second() -> Literal[Step.DONE]:
        if failures:
            raise OSError(failures.pop())
        return Step.DONE

    async with open_runtime(workflows=[work], journal=MemoryJournal(), unload_after=5) as runtime:
        await runtime.start(work, run_id="n", restart=THRICE)
        await trio.sleep(500)
        assert runtime.statistics().at_work == 0
        run = await runtime.get(work, "n")
        assert (await run.wait()).state is Step.DONE
        assert (runtime.statistics().restarted, runtime.statistics().unloaded) == (1, 1)


async def test_a_run_that_is_held_is_not_begun_again(autojump_clock: MockClock) -> None:
    """A supervised run may be paused and resumed, which is no failure."""
    worker = Worker()
    async with open_runtime(workflows=[worker.work], journal=MemoryJournal()) as runtime:
        run = await runtime.start(worker.work, Plan(), start=Step.BOOK, restart=THRICE)
        await run.pause("lunch")
        await trio.sleep(100)
        await run.resume()
        worker.failures = 1
        assert (await run.wait()).state is Step.DONE
        assert runtime.statistics().restarted == 1


async def test_an_operator_who_is_quicker(autojump_clock: MockClock) -> None:
    """A failed run that another process has tried again meanwhile is left to it, and its end is heard of."""
    worker, journal = Worker(failures=1), MemoryJournal()
    async with (
        open_runtime(workflows=[worker.work], journal=journal) as runtime,
        open_runtime(workflows=[worker.work], journal=MemoryJournal(beside=journal)) as other,
    ):
        restart = Restart(3, within=100, backoff=steady(10))
        run = await runtime.start(worker.work, Plan(5), run_id="w", restart=restart)
        await trio.sleep(8)
        operator = await other.get(worker.work, "w")
        await operator.retry()
        assert (await run.wait()).state is Step.DONE
        assert worker.did.count("w SECOND") == 2
        assert runtime.statistics().completed == 0


async def test_a_client_supervises_nothing(autojump_clock: MockClock) -> None:
    """A runtime that carries nothing out refuses a restart policy, and what is no policy is refused anywhere."""
    worker = Worker()
    async with open_runtime(workflows=[worker.work], journal=MemoryJournal(), claim=False) as client:
        with pytest.raises(ValueError, match="carries no runs out"):
            await client.start(worker.work, Plan(), restart=THRICE)
    async with open_runtime(workflows=[worker.work]) as runtime:
        wrong: Any = 3
        with pytest.raises(TypeError, match=r"restart is 3: it takes a Restart, such as Restart\(5, within=60\)"):
            await runtime.start(worker.work, Plan(), restart=wrong)


async def test_failures_are_told(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """Each failure is logged with what it was, and when the run is begun again; none as one that nobody waits for."""
    worker = Worker(failures=1)
    with caplog.at_level(logging.WARNING):
        async with open_runtime(workflows=[worker.work], observers=[recorder]) as runtime:
            await runtime.start(worker.work, Plan(), run_id="w", restart=THRICE)
    (record,) = caplog.records
    assert record.getMessage() == "run 'w' is failed in SECOND, and is begun again in 1 s"
    assert record.exc_info is not None
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.FAILED, RunStatus.COMPLETED]


class Away(ForwardingJournal):
    """A journal that can't be written for some time."""

    def __init__(self, inner: Journal, since: float, until: float) -> None:
        super().__init__(inner)
        self._since, self._until = since, until

    async def forward(self, method: str, call: Callable[[], Awaitable[Any]], /) -> Any:
        if method in {"claim", "create", "commit"} and self._since <= trio.current_time() < self._until:
            raise JournalUnavailable("runs.db", "the disk is full")
        return await call()


@pytest.mark.parametrize("books", [False, True], ids=["failed", "rolled back"])
async def test_a_journal_that_is_away(*, books: bool, autojump_clock: MockClock) -> None:
    """A restart for which the journal can't be written waits for it, and is not given up; whoever waits goes on waiting."""
    worker = Worker(failures=1, books=books)
    journal = Away(MemoryJournal(), 1.5, 10.2)
    async with open_runtime(workflows=[worker.work], journal=journal) as runtime:
        run = await runtime.start(worker.work, Plan(), restart=Restart(1, within=100, backoff=steady()))
        await trio.sleep(5)
        assert run.status is RunStatus.WAITING
        assert (await run.wait()).state is Step.DONE
        assert 11 < trio.current_time() < 14
        assert runtime.statistics().restarted == 1
