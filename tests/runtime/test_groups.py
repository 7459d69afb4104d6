"""Runs that are supervised together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal, TypeAlias

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    Backoff,
    Group,
    GroupClosed,
    Restart,
    Retry,
    Run,
    RunFailed,
    RunReleased,
    RunStarted,
    RunStatus,
    Runtime,
    RuntimeClosed,
    SupervisorGaveUp,
    Workflow,
    open_runtime,
)
from cano_trio.journals import Journal, MemoryJournal
from tests.conftest import Recorder

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")


class Step(Enum):
    BOOK = auto()
    WORK = auto()
    ASK = auto()
    DONE = auto()


@dataclass
class Life:
    """What a run does in each of its lives: works for some seconds, and fails then, but in the last."""

    name: str
    lives: list[float] = field(default_factory=lambda: [10.0])
    asks: bool = False


class Office:
    """A workflow that books, works, and undoes what it booked; and what happened, and when."""

    def __init__(self, undoing: float = 0, *, books: bool = True) -> None:
        self.log: list[str] = []
        self.begun: dict[str, int] = {}
        self.work = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], name="office", data=Life)

        @self.work.compensatable(Step.BOOK)
        async def book(life: Life) -> tuple[Literal[Step.WORK, Step.ASK], str] | Literal[Step.WORK, Step.ASK]:
            self._note("begins", life)
            after: Literal[Step.WORK, Step.ASK] = Step.ASK if life.asks else Step.WORK
            return (after, life.name) if books else after

        @book.compensate
        async def unbook(receipt: str, life: Life) -> None:
            await trio.sleep(undoing)
            self._note("is undone", life)

        @self.work.task(Step.WORK, retry=Retry.none())
        async def work(life: Life) -> Literal[Step.DONE]:
            count = self.begun[life.name] = self.begun.get(life.name, 0) + 1
            await trio.sleep(life.lives[min(count, len(life.lives)) - 1])
            if count < len(life.lives):
                self._note("fails", life)
                raise OSError(life.name)
            self._note("ends", life)
            return Step.DONE

        @self.work.receive(Step.ASK)
        async def ask(message: str, life: Life) -> Literal[Step.DONE]:
            self._note("ends", life)
            return Step.DONE

    @property
    def starts(self) -> list[str]:
        """Who began when, in time and then by name."""
        begun = [line.split() for line in self.log if line.endswith("begins")]
        return [f"{time} {name}" for time, name, _ in sorted(begun, key=lambda words: (float(words[0]), words[1]))]

    def _note(self, what: str, life: Life) -> None:
        self.log.append(f"{trio.current_time():g} {life.name} {what}")


def often(most: int = 9, *, delay: float = 1) -> Restart:
    """A policy without surprises."""
    return Restart(most, within=1000, backoff=Backoff(base=delay, multiplier=1, maximum=max(delay, 1), jitter=0))


async def lived(
    office: Office, strategy: Strategy, *lives: Life, restart: Restart | None = None, **options: Any
) -> list[Run[Step, Life]]:
    """Let runs live in a group to their ends, each started a second after the one before."""
    runs: list[Run[Step, Life]] = []
    async with (
        open_runtime(workflows=[office.work], **options) as runtime,
        runtime.open_group(strategy, restart=restart or often()) as group,
    ):
        for life in lives:
            runs.append(await group.start(office.work, life, run_id=life.name))
            await trio.sleep(1)
    return runs


# -- who is begun again


async def test_one_for_one(autojump_clock: MockClock) -> None:
    """Only the run that has failed is begun again; the block waits for all."""
    office = Office()
    runs = await lived(office, "one_for_one", Life("a", [30]), Life("b", [9, 9]), Life("c", [30]))
    assert office.log == [
        "0 a begins", "1 b begins", "2 c begins",
        "10 b fails", "10 b is undone", "11 b begins", "20 b ends", "30 a ends", "32 c ends",
    ]  # fmt: skip
    assert [run.status for run in runs] == [RunStatus.COMPLETED] * 3


async def test_one_for_all(recorder: Recorder, autojump_clock: MockClock) -> None:
    """All others are cancelled and undone, and all are begun again in the order of their starts."""
    office = Office()
    await lived(office, "one_for_all", Life("a", [30]), Life("b", [9, 9]), Life("c", [30]), observers=[recorder])
    assert office.starts == ["0 a", "1 b", "2 c", "11 a", "11 b", "11 c"]
    assert [event.run_id for event in recorder.of(RunStarted)] == ["a", "b", "c", "a", "b", "c"]
    assert office.log[3] == "10 b fails"
    assert sorted(office.log[4:7]) == ["10 a is undone", "10 b is undone", "10 c is undone"]
    assert sorted(office.log[10:]) == ["20 b ends", "41 a ends", "41 c ends"]


async def test_rest_for_one(autojump_clock: MockClock) -> None:
    """Those that were started after it are cancelled and begun again with it; those before it are not."""
    office = Office()
    await lived(office, "rest_for_one", Life("a", [30]), Life("b", [9, 9]), Life("c", [30]), Life("d", [30]))
    assert [line for line in office.log if "a " in line.split(" ", 1)[1]] == ["0 a begins", "30 a ends"]
    assert sorted(line for line in office.log if line.startswith("10 ")) == [
        "10 b fails", "10 b is undone", "10 c is undone", "10 d is undone",
    ]  # fmt: skip
    assert office.starts[4:] == ["11 b", "11 c", "11 d"]


async def test_all_are_down_before_any_is_begun_again(autojump_clock: MockClock) -> None:
    """However long undoing takes, none is begun again beside what is still being undone."""
    office = Office(undoing=5)
    await lived(office, "one_for_all", Life("a", [30]), Life("b", [9, 9]))  # it fails at 10, and is undone at 15
    assert office.starts == ["0 a", "1 b", "20 a", "20 b"]


async def test_what_is_over_is_not_begun_again(autojump_clock: MockClock) -> None:
    """A run that has reached its exit has done its work, and one that somebody cancelled was not to."""
    office = Office()
    async with (
        open_runtime(workflows=[office.work]) as runtime,
        runtime.open_group("one_for_all", restart=often()) as group,
    ):
        await group.start(office.work, Life("quick", [2]))
        cancelled = await group.start(office.work, Life("cancelled", [100]))
        await group.start(office.work, Life("bad", [9, 1]))
        await trio.sleep(5)
        cancelled.cancel("not needed")
    assert office.starts[3:] == ["10 bad"]
    assert cancelled.status is RunStatus.CANCELLED


async def test_a_cancel_while_it_is_brought_down(autojump_clock: MockClock) -> None:
    """A run that its owner cancels while the group is brought down stays down, and the others come back without it."""
    office = Office(undoing=5)
    async with (
        open_runtime(workflows=[office.work]) as runtime,
        runtime.open_group("one_for_all", restart=often()) as group,
    ):
        first = await group.start(office.work, Life("first", [100]))
        await group.start(office.work, Life("second", [30]))
        await group.start(office.work, Life("bad", [9, 1]))
        await trio.sleep(16)
        first.cancel("not needed")
    assert office.starts[3:] == ["19 bad", "19 second"]
    assert first.status is RunStatus.CANCELLED


async def test_a_run_that_reaches_its_exit_first(autojump_clock: MockClock) -> None:
    """A run that ends in the instant in which it is brought down has ended, or begins again; nobody waits in vain."""
    office = Office()
    await lived(office, "one_for_all", Life("a", [10]), Life("bad", [9, 1]))
    assert office.starts[2:] in (["11 bad"], ["11 a", "11 bad"])
    assert sum("a ends" in line for line in office.log) == 1


async def test_two_that_fail_at_once(autojump_clock: MockClock) -> None:
    """Where two fail in the same instant, all are brought down and begun again together, and nobody waits for ever."""
    office = Office()
    await lived(office, "one_for_all", Life("a", [10, 5]), Life("b", [9, 5]), Life("c", [30]))
    assert office.starts[3:6] == ["11 a", "11 b", "11 c"]
    assert office.log[-1].endswith("c ends")


async def test_a_failure_before_all_are_back(autojump_clock: MockClock) -> None:
    """Who fails again while others still wait for a slot brings all down once more, and all come back, in order."""
    office = Office()
    await lived(office, "one_for_all", Life("a", [5, 2, 2]), Life("b", [100, 3]), limit=1)
    # b begins when a fails; and a, which waits for a slot then, when b fails, at 105.
    assert office.log[5:] == [
        "105 b is undone", "106 a begins", "108 a fails", "108 a is undone", "109 a begins", "111 a ends",
        "111 b begins", "114 b ends",
    ]  # fmt: skip


async def test_rest_for_one_takes_up_what_is_down(autojump_clock: MockClock) -> None:
    """A run that fails before others that are down already has them wait with it, for its own backoff."""
    office = Office()
    await lived(office, "rest_for_one", Life("a", [8, 1]), Life("b", [30]), Life("c", [4, 1]), restart=often(delay=5))
    assert office.starts == ["0 a", "1 b", "2 c", "13 a", "13 b", "13 c"]


# -- giving up


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_intensity_is_the_groups(strategy: Strategy, autojump_clock: MockClock) -> None:
    """Failures of all its runs count together; giving up leaves the block, and the runtime goes on."""
    office = Office()
    told: list[str] = []
    async with open_runtime(workflows=[office.work]) as runtime:

        async def main() -> None:
            async with runtime.open_group(strategy, restart=often(1)) as group:
                await group.start(office.work, Life("a", [5, 50]), run_id="a")
                await group.start(office.work, Life("b", [12, 50]), run_id="b")
                await group.start(office.work, Life("c", [5, 5, 50]), run_id="c")
                told.append("waits")
                await trio.sleep_forever()

        with pytest.raises(SupervisorGaveUp) as caught:
            await main()
        assert len(caught.value.history) == 2
        assert told == ["waits"]
        assert runtime.statistics().at_work == 0
        after = await runtime.start(office.work, Life("after", [1]))
        await after.wait()


async def test_giving_up_undoes_the_others(autojump_clock: MockClock) -> None:
    """When its supervisor gives up, a group's other runs are stopped and undone before the error leaves its block."""
    office = Office(undoing=3)

    with pytest.raises(SupervisorGaveUp) as caught:
        await lived(office, "one_for_one", Life("good", [100]), Life("bad", [5, 5]), restart=often(0))
    assert office.log == ["0 good begins", "1 bad begins", "6 bad fails", "9 bad is undone", "12 good is undone"]
    assert [cause.run_id for cause in caught.value.history] == ["bad"]


async def test_the_blocks_own_error_leaves_as_it_is(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """An error in the block stops its runs; what the supervisor gives up for while they are stopped is no second error."""
    office = Office(undoing=3)

    async def main() -> None:
        async with (
            open_runtime(workflows=[office.work]) as runtime,
            runtime.open_group("one_for_one", restart=often()) as group,
        ):
            await group.start(office.work, Life("a", [100]))
            await group.start(office.work, Life("b", [1, 1]))
            await trio.sleep(2)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await main()
    assert office.log[-1] == "5 a is undone"
    assert trio.current_time() == 5


@pytest.mark.parametrize("make", [lambda: None, MemoryJournal], ids=["memory", "journal"])
async def test_a_cancel_from_outside(make: Callable[[], Journal | None], autojump_clock: MockClock) -> None:
    """A cancel stops the group's runs, those that are down among them: one with a journal is released, another undone."""
    office = Office()
    async with open_runtime(workflows=[office.work], journal=make(), claim=True) as runtime:
        with trio.move_on_after(5):
            async with runtime.open_group("one_for_one", restart=often(delay=1000)) as group:
                works = await group.start(office.work, Life("works", [20]), run_id="works")
                down = await group.start(office.work, Life("down", [1, 1]), run_id="down")
                await trio.sleep_forever()
        assert trio.current_time() == 5
        with pytest.raises(RunFailed):
            await down.wait()
        if make is MemoryJournal:
            # The runtime is open, and claims it again: it goes on by itself.
            assert (await works.wait()).state is Step.DONE
            assert office.begun["works"] == 2
        else:
            assert works.status is RunStatus.CANCELLED
        assert down.status is RunStatus.ROLLED_BACK


# -- with a journal


async def test_runs_with_a_journal(autojump_clock: MockClock) -> None:
    """A sibling that was undone is over: another begins in its place, which its handle follows; who failed goes on by retry."""
    office = Office(books=False)
    runs = await lived(office, "one_for_all", Life("a", [30]), Life("b", [9, 9]), journal=MemoryJournal())
    assert [run.id for run in runs] == ["a~2", "b"]
    assert [(await run.wait()).run_id for run in runs] == ["a~2", "b"]
    assert office.starts == ["0 a", "1 b", "11 a"]


@pytest.mark.parametrize("held", ["parked", "paused"])
async def test_siblings_that_are_not_at_work(held: str, autojump_clock: MockClock) -> None:
    """A sibling that waits in the journal, or is held there, is fetched and undone, and begun again with the others."""
    office = Office()
    async with (
        open_runtime(workflows=[office.work], journal=MemoryJournal(), unload_after=3) as runtime,
        runtime.open_group("one_for_all", restart=often()) as group,
    ):
        asks = await group.start(office.work, Life("asks", asks=True), run_id="asks")
        await group.start(office.work, Life("bad", [50, 5]), run_id="bad")
        if held == "paused":
            await asks.pause("lunch")
        await trio.sleep(40)
        assert (runtime.statistics().at_work, asks.status.value) == (1, "waiting" if held == "parked" else "paused")
        await trio.sleep_until(52)
        assert asks.id == "asks~2"
        await asks.send("yes")
    assert office.starts == ["0 asks", "0 bad", "51 asks", "51 bad"]
    assert sorted(office.log[2:5]) == ["50 asks is undone", "50 bad fails", "50 bad is undone"]
    assert office.log[7:] == ["52 asks ends", "56 bad ends"]


async def test_the_block_waits_for_what_is_in_the_journal(autojump_clock: MockClock) -> None:
    """A run that was let go to the journal is still the group's: the block waits until it has come back and is over."""
    office = Office()

    async def answer(run: Run[Step, Life]) -> None:
        await trio.sleep(500)
        await run.send("yes")

    async with (
        open_runtime(workflows=[office.work], journal=MemoryJournal(), unload_after=3) as runtime,
        trio.open_nursery() as nursery,
    ):
        async with runtime.open_group("one_for_one", restart=often()) as group:
            run = await group.start(office.work, Life("asks", asks=True))
            nursery.start_soon(answer, run)
        assert (run.status, trio.current_time()) == (RunStatus.COMPLETED, 500)


async def test_a_run_that_is_released_leaves_the_group(autojump_clock: MockClock) -> None:
    """When the runtime is drained, its runs are released: the group's block ends, and none is begun again."""
    office, journal = Office(), MemoryJournal()
    async with open_runtime(workflows=[office.work], journal=journal) as runtime:
        async with runtime.open_group("one_for_all", restart=often()) as group:
            asks = await group.start(office.work, Life("asks", asks=True), run_id="asks")
            await group.start(office.work, Life("bad", [3, 3]), run_id="bad")
            await trio.sleep(1)
            await runtime.drain(grace=10)
        assert trio.current_time() == 3
        with pytest.raises(RunReleased):
            await asks.wait()
    async with journal:
        statuses = {record.run_id: record.position.status for record in await journal.runs()}
    assert statuses == {"asks": RunStatus.WAITING, "bad": RunStatus.ROLLED_BACK}


# -- the block


async def test_a_group_in_a_task_of_its_own(autojump_clock: MockClock) -> None:
    """A group whose runtime is left under it, in another task, ends with its runs, and starts none any more."""
    office = Office()
    told: list[str] = []
    async with trio.open_nursery() as nursery:

        async def group_of(runtime: Runtime, *, task_status: trio.TaskStatus[Group]) -> None:
            async with runtime.open_group("one_for_one", restart=often()) as group:
                await group.start(office.work, Life("a", [20]))
                task_status.started(group)
                await trio.sleep(10)
                with pytest.raises(RuntimeClosed):
                    await group.start(office.work, Life("b"))
            told.append(f"{trio.current_time():g}")

        async with open_runtime(workflows=[office.work]) as runtime:
            await nursery.start(group_of, runtime)
            await trio.sleep(5)
    assert told == ["20"]


async def test_what_a_group_refuses(autojump_clock: MockClock) -> None:
    """A closed group, an unknown strategy, no policy, and a run that is supervised already: each refusal says why."""
    office = Office()
    async with open_runtime(workflows=[office.work]) as runtime:
        wrong: Any = runtime
        with pytest.raises(ValueError, match="strategy is 'simple_one_for_one': it takes 'one_for_one' or"):
            async with wrong.open_group("simple_one_for_one", restart=often()):
                pass
        with pytest.raises(TypeError, match="restart is None"):
            async with wrong.open_group("one_for_one", restart=None):
                pass
        async with runtime.open_group("one_for_one", restart=often()) as group:
            await group.start(office.work, Life("a", [5]), run_id="a")
            assert repr(group) == "<Group one_for_one of 1>"
            with pytest.raises(ValueError, match="run 'a' is supervised already"):
                await runtime.start(office.work, Life("a"), run_id="a", restart=often(), on_duplicate="attach")
            with pytest.raises(ValueError, match="run 'a' is supervised already"):
                await group.start(office.work, Life("a"), run_id="a", on_duplicate="attach")
        assert repr(group) == "<Group closed one_for_one of 0>"
        with pytest.raises(GroupClosed, match="the group is closed"):
            await group.start(office.work, Life("b"))
    with pytest.raises(RuntimeClosed):
        async with runtime.open_group("one_for_one", restart=often()):
            pass


async def test_a_start_that_fails_leaves_no_trace(autojump_clock: MockClock) -> None:
    """A run that could not be started is none of the group's, which does not wait for it."""
    office = Office()
    async with open_runtime(workflows=[office.work], limit=1) as runtime:
        await runtime.start(office.work, Life("long", [100]))
        async with runtime.open_group("one_for_all", restart=often()) as group:
            with trio.move_on_after(5) as scope:
                await group.start(office.work, Life("waits", [1]))
            assert scope.cancelled_caught
        assert trio.current_time() == 5


@settings(max_examples=60)
@given(
    strategy=st.sampled_from(STRATEGIES),
    lives=st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=4),
    undoing=st.integers(0, 3),
    make=st.sampled_from([MemoryJournal, lambda: None]),
    limit=st.sampled_from([None, 1, 2]),
    order=st.random_module(),
)
def test_every_group_comes_to_its_end(
    strategy: Strategy,
    lives: list[list[int]],
    undoing: int,
    make: Callable[[], Journal | None],
    limit: int | None,
    order: object,
) -> None:
    """Whatever fails, and whenever, all of a group's runs reach their exits in the end, and none was left undone."""
    office = Office(undoing)

    async def main() -> None:
        runs: list[Run[Step, Life]] = []
        restart = Restart(1000, within=1, backoff=Backoff(base=1, multiplier=1, jitter=0))
        with trio.fail_after(100_000):
            async with (
                open_runtime(workflows=[office.work], journal=make(), limit=limit) as runtime,
                runtime.open_group(strategy, restart=restart) as group,
            ):
                for number, seconds in enumerate(lives):
                    life = Life(str(number), [float(one) for one in seconds])
                    runs.append(await group.start(office.work, life, run_id=life.name))
        assert [run.status for run in runs] == [RunStatus.COMPLETED] * len(lives)
        assert runtime.statistics().at_work == 0
        told = [line.split(" ", 1)[1] for line in office.log]
        for number, seconds in enumerate(lives):
            assert told.count(f"{number} begins") == told.count(f"{number} is undone") + 1
            assert told.count(f"{number} ends") == 1
            assert office.begun[str(number)] >= len(seconds)

    trio.run(main, clock=MockClock(autojump_threshold=0))
