"""`RecordingObserver`: what it says of a run, and of what was not seen."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import RetryExhausted, RouterTask, StateEntered, Workflow
from cano_trio.journals import MemoryJournal
from cano_trio.testing import FakeTask, RecordingObserver


class Step(Enum):
    CHECK = auto()
    PAY = auto()
    MANUAL = auto()
    DONE = auto()
    REFUSED = auto()


class Inner(Enum):
    ASK = auto()
    OVER = auto()


def shop() -> Workflow[Step]:
    work = Workflow(Step, initial=Step.CHECK, exits=[Step.DONE, Step.REFUSED], name="shop")

    @work.task(Step.CHECK)
    async def check() -> Literal[Step.PAY, Step.REFUSED]:
        return Step.PAY

    @work.task(Step.PAY, on_error={OSError: Step.MANUAL})
    async def pay() -> Literal[Step.DONE]:
        return Step.DONE

    @work.task(Step.MANUAL)
    async def by_hand() -> Literal[Step.DONE, Step.REFUSED]:
        return Step.REFUSED

    return work


async def test_a_path_is_that_of_the_run(recorded: RecordingObserver) -> None:
    """The states entered, in order, are what the run's result has; another path is shown beside it."""
    result = await shop().run(observers=[recorded])
    assert recorded.path() == result.path == (Step.CHECK, Step.PAY, Step.DONE)
    recorded.assert_path(*result.path)
    with pytest.raises(AssertionError) as caught:
        recorded.assert_path(Step.CHECK, Step.DONE)
    assert str(caught.value) == (
        "the run went another way:\n  expected CHECK > DONE\n  was      CHECK > PAY > DONE"
    )  # fmt: skip


async def test_an_exit_is_that_of_the_run(recorded: RecordingObserver) -> None:
    """Only the exit that was reached passes; the failure says which one it was."""
    await shop().run(observers=[recorded])
    recorded.assert_completed_with(Step.DONE)
    with pytest.raises(
        AssertionError, match=r"not completed with REFUSED: it is completed in Step.DONE\n.*CHECK > PAY > DONE"
    ):
        recorded.assert_completed_with(Step.REFUSED)


async def test_a_failed_run_has_completed_with_nothing(autojump_clock: MockClock, recorded: RecordingObserver) -> None:
    """A run that failed is told with what it failed with; one that goes on has not ended."""
    work = shop().with_tasks({Step.CHECK: FakeTask(LookupError("no such"))})
    with pytest.raises(RetryExhausted):
        await work.run(observers=[recorded])
    with pytest.raises(AssertionError, match=r"it is failed in Step.CHECK with .*RetryExhausted"):
        recorded.assert_completed_with(Step.CHECK)
    recorded.events = recorded.events[:2]
    with pytest.raises(AssertionError, match=r"it has not ended\n  was      CHECK"):
        recorded.assert_completed_with(Step.DONE)


async def test_a_run_is_named_where_there_are_several(recorded: RecordingObserver) -> None:
    """With two runs the id must be given; one that is not there is refused with those that are."""
    work = shop()
    with pytest.raises(AssertionError, match="not told of one run: there is none"):
        recorded.path()
    await work.run(run_id="a", observers=[recorded])
    await work.with_tasks({Step.CHECK: FakeTask(Step.REFUSED)}).run(run_id="b", observers=[recorded])
    with pytest.raises(AssertionError, match="there are 'a', 'b': say run="):
        recorded.assert_path(Step.CHECK)
    with pytest.raises(AssertionError, match="told of no run 'c': there is 'a', 'b'"):
        recorded.path("c")
    recorded.assert_path(Step.CHECK, Step.REFUSED, run="b")
    recorded.assert_completed_with(Step.DONE, run="a")
    assert recorded.runs == ("a", "b")


async def test_what_no_run_has_seen(autojump_clock: MockClock, recorded: RecordingObserver) -> None:
    """States and edges are missing until some run has seen them; an edge of an error only where that error led."""
    work = shop()
    every = tuple((state, edge.target) for state, plan in work.blueprint().items() for edge in plan.edges)
    assert recorded.missing_states(work) == tuple(Step)
    assert recorded.missing_edges(work) == every
    await work.run(observers=[recorded])
    assert recorded.missing_states(work) == (Step.MANUAL, Step.REFUSED)
    assert recorded.missing_edges(work) == (
        (Step.CHECK, Step.REFUSED),
        (Step.PAY, Step.MANUAL),
        (Step.MANUAL, Step.DONE),
        (Step.MANUAL, Step.REFUSED),
    )
    await work.with_tasks({Step.PAY: FakeTask(OSError("busy"))}).run(observers=[recorded])
    assert recorded.missing_states(work) == ()
    assert recorded.missing_edges(work) == ((Step.CHECK, Step.REFUSED), (Step.MANUAL, Step.DONE))
    recorded.clear()
    assert recorded.missing_states(work) == tuple(Step)


async def test_a_child_is_no_part_of_the_path(recorded: RecordingObserver) -> None:
    """A child workflow's states are its own, and not its parent's."""
    inner = Workflow(Inner, initial=Inner.ASK, exits=[Inner.OVER], name="inner")
    inner.register(Inner.ASK, FakeTask(Inner.OVER))
    work = Workflow(Step, initial=Step.CHECK, exits=[Step.DONE], name="outer")
    work.register_child(Step.CHECK, inner, {Inner.OVER: Step.DONE})
    await work.run(observers=[recorded])
    recorded.assert_path(Step.CHECK, Step.DONE)
    recorded.assert_completed_with(Step.DONE)
    assert (recorded.missing_states(inner), recorded.missing_states(work)) == ((), ())
    assert [event.state for event in recorded.of(StateEntered)] == [Step.CHECK, Inner.ASK, Inner.OVER, Step.DONE]
    assert recorded.kinds()[0] == "RunStarted"


class Route(RouterTask[Step]):
    async def route(self) -> Literal[Step.PAY]:
        return Step.PAY


async def test_a_resumed_run_has_one_path(autojump_clock: MockClock, recorded: RecordingObserver) -> None:
    """The state that a run is resumed in counts once, behind routers too."""
    work = Workflow(Step, initial=Step.CHECK, exits=[Step.DONE], name="cut")
    work.register(Step.CHECK, Route())
    fake = FakeTask(Step.DONE, delay=[10, 0])
    work.register(Step.PAY, fake)
    async with MemoryJournal() as journal:
        with trio.move_on_after(1):
            await work.run(run_id="r", journal=journal, observers=[recorded])
        result = await work.resume("r", journal=journal, observers=[recorded])
    assert len(fake.calls) == 2
    recorded.assert_path(Step.CHECK, Step.PAY, Step.DONE)
    assert recorded.path()[-2:] == result.path[-2:]
