"""How a run goes from state to state (cano WFL-*, the part that needs no store)."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    DefinitionError,
    Resources,
    Retry,
    RetryExhausted,
    RunContext,
    RunEnded,
    RunStatus,
    TaskFailed,
    TaskSucceeded,
    TooManyTransitions,
    Workflow,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    A = auto()
    B = auto()
    C = auto()
    DONE = auto()
    FAILED = auto()


class Foreign(Enum):
    A = auto()


def workflow(**arguments: object) -> Workflow[Step]:
    return Workflow(Step, initial=Step.A, exits=[Step.DONE, Step.FAILED], **arguments)  # type: ignore[arg-type]


def chain() -> Workflow[Step]:
    work = workflow()

    @work.task(Step.A)
    async def first() -> Literal[Step.B]:
        return Step.B

    @work.router(Step.B)
    async def choose() -> Literal[Step.C, Step.DONE]:
        return Step.C

    @work.task(Step.C)
    async def last() -> Literal[Step.DONE]:
        return Step.DONE

    return work


async def test_states_follow_each_other(recorder: Recorder) -> None:
    """WFL-9, WFL-16: each state is entered, its task succeeds, the exit is entered, and the run ends."""
    result = await chain().run(run_id="r", observers=[recorder])
    assert result.path == (Step.A, Step.B, Step.C, Step.DONE)
    assert (result.run_id, result.state, result.data) == ("r", Step.DONE, None)
    pair = ["StateEntered", "TaskSucceeded"]
    assert recorder.kinds() == ["RunStarted", *pair, *pair, *pair, "StateEntered", "RunEnded"]
    assert [(event.task, event.next_state) for event in recorder.of(TaskSucceeded)] == [
        ("first", Step.B), ("choose", Step.C), ("last", Step.DONE),
    ]  # fmt: skip
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error, ended.state) == (RunStatus.COMPLETED, None, Step.DONE)


async def test_start_elsewhere() -> None:
    """WFL-4: a run may start in any state that has a task."""
    assert (await chain().run(start=Step.C)).path == (Step.C, Step.DONE)


async def test_start_in_an_exit_state(recorder: Recorder) -> None:
    """WFL-11: a run that starts in an exit state is over at once."""
    result = await chain().run(start=Step.FAILED, observers=[recorder])
    assert (result.state, result.path) == (Step.FAILED, (Step.FAILED,))
    assert recorder.kinds() == ["RunStarted", "StateEntered", "RunEnded"]


async def test_start_without_a_task() -> None:
    """WFL-4: a start that has no task, or is of another Enum, is refused before anything happens."""
    work = workflow()

    @work.task(Step.A)
    async def only() -> Literal[Step.DONE, Step.FAILED]:
        return Step.DONE

    with pytest.raises(DefinitionError, match="E07 B: no handler to start with"):
        await work.orchestrate(Step.B)
    with pytest.raises(DefinitionError, match=r"E22 workflow: the start .* is no state of Step"):
        await work.orchestrate(Foreign.A)  # type: ignore[call-overload]


async def test_cycles_are_allowed() -> None:
    """WFL-13: a state may lead to itself; its visits are counted, and each is a new piece of work."""
    work, seen = workflow(), []

    @work.task(Step.A)
    async def again(ctx: RunContext) -> Literal[Step.A, Step.DONE]:
        seen.append((ctx.visit, ctx.idempotency_key))
        return Step.A if ctx.visit < 3 else Step.DONE

    await work.orchestrate(run_id="r")
    assert seen == [(1, "r/0"), (2, "r/1"), (3, "r/2")]


async def test_transition_limit() -> None:
    """DESIGN 2: with max_transitions an endless loop fails; a run of exactly so many succeeds."""
    work = workflow(max_transitions=10)

    @work.task(Step.A)
    async def again(ctx: RunContext) -> Literal[Step.A, Step.DONE]:
        return Step.A if ctx.visit < limits.pop(0) else Step.DONE

    limits = [10] * 10
    assert await work.orchestrate() is Step.DONE
    limits = [99] * 99
    with pytest.raises(TooManyTransitions, match=r"the run made 10 transitions") as caught:
        await work.orchestrate()
    assert caught.value.limit == 10


async def test_path_is_bounded() -> None:
    """RULINGS 7: of a very long run the latest 1,000 states are kept, and little more on the way."""
    work = workflow()

    @work.task(Step.A)
    async def again(ctx: RunContext) -> Literal[Step.A, Step.DONE]:
        return Step.A if ctx.visit < 5000 else Step.DONE

    path = (await work.run()).path
    assert path == (*[Step.A] * 999, Step.DONE)


async def test_busy_run_lets_others_run_and_be_cancelled() -> None:
    """DESIGN 3.6: a loop of tasks that never block yields to others, and feels a cancel."""
    work, others = workflow(), []

    @work.task(Step.A)
    async def again() -> Literal[Step.A, Step.DONE]:
        return Step.A

    async def other() -> None:
        for _ in range(10):
            others.append(1)
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.orchestrate)
        nursery.start_soon(other)
    assert len(others) == 10


async def test_finished_work_is_not_cancelled(autojump_clock: MockClock) -> None:
    """WFL-25, as DESIGN 3.3 changes it: a run that has reached an exit state returns, though a cancel is pending."""
    work = workflow()

    @work.task(Step.A)
    async def last() -> Literal[Step.DONE]:
        scope.cancel()
        return Step.DONE

    with trio.CancelScope() as scope:
        result = await work.run()
    assert result.state is Step.DONE
    assert not scope.cancelled_caught


async def test_orchestrate_is_a_checkpoint() -> None:
    """Even a run that is over at once lets others run, and can be cancelled before it begins."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await chain().orchestrate(Step.DONE)
    assert scope.cancelled_caught


async def test_cancel_ends_the_run_as_cancelled(autojump_clock: MockClock, recorder: Recorder) -> None:
    """WFL-26: a cancel from outside interrupts the task, passes on, and the end tells of it."""
    work = workflow()

    @work.task(Step.A)
    async def forever() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with trio.move_on_after(5) as scope:
        await work.orchestrate(observers=[recorder])
    assert scope.cancelled_caught
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error, ended.elapsed) == (RunStatus.CANCELLED, None, 5)


async def test_one_workflow_runs_many_times_at_once(autojump_clock: MockClock) -> None:
    """WFL-32: concurrent runs of one workflow share nothing but its resources; each has its own id."""
    work, ids = workflow(), []

    @work.task(Step.A)
    async def wait(ctx: RunContext) -> Literal[Step.A, Step.DONE]:
        ids.append(ctx.run_id)
        await trio.sleep(1)
        return Step.DONE if ctx.visit == 3 else Step.A

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(work.orchestrate)
    assert trio.current_time() == 3
    assert len(set(ids)) == 50


class Declined(Exception):
    pass


async def test_on_error_leads_on(autojump_clock: MockClock, recorder: Recorder) -> None:
    """RULINGS 3.3: when the retries are spent, the first type that fits names the next state, and its context the failure."""
    work, seen = workflow(), []

    @work.task(Step.A, retry=Retry.fixed(1, delay=1), on_error={Declined: Step.FAILED, Exception: Step.B})
    async def pay() -> Literal[Step.DONE]:
        raise OSError("no network")

    @work.task(Step.B)
    async def manual(ctx: RunContext) -> Literal[Step.C]:
        seen.append(ctx.error)
        return Step.C

    @work.task(Step.C)
    async def after(ctx: RunContext) -> Literal[Step.DONE]:
        seen.append(ctx.error)
        return Step.DONE

    assert await work.orchestrate(observers=[recorder]) is Step.DONE
    failure, later = seen
    assert isinstance(failure, RetryExhausted)
    assert repr(failure.last) == "OSError('no network')"
    assert later is None
    (failed,) = recorder.of(TaskFailed)
    assert (failed.task, failed.next_state, failed.error) == ("pay", Step.B, failure)


@pytest.mark.parametrize(
    "error, state",
    [
        (Declined(), Step.FAILED),
        (ExceptionGroup("", [Declined(), Declined()]), Step.FAILED),
        (ExceptionGroup("", [Declined(), OSError()]), Step.DONE),
    ],
)
async def test_on_error_fits(autojump_clock: MockClock, error: Exception, state: Step) -> None:
    """RULINGS 3.3: RetryExhausted is judged by its last failure, a group by all its leaves."""
    work = workflow()

    @work.task(Step.A, on_error={Declined: Step.FAILED, Exception: Step.DONE})
    async def pay() -> Literal[Step.DONE]:
        raise error

    assert await work.orchestrate() is state


async def test_on_error_does_not_hide_mistakes_in_the_workflow() -> None:
    """An IllegalTransition is a mistake in the workflow: no on_error leads it anywhere."""
    work = workflow()

    @work.task(Step.A, on_error={Exception: Step.FAILED})
    async def wrong() -> Literal[Step.DONE]:
        return Step.C  # type: ignore[return-value]

    with pytest.raises(Exception, match=r"returned <Step\.C: 3> in A, but its return annotation names Step\.DONE"):
        await work.orchestrate()


@pytest.mark.parametrize("returned", [None, "DONE", Enum("Other", "DONE").DONE, 4])  # type: ignore[attr-defined]
async def test_wrong_returns(returned: object) -> None:
    """WFL-12 and the issue's bad input: None, a string, another Enum's member are each refused by name."""
    work = workflow()

    @work.task(Step.A)
    async def wrong() -> Step:
        return returned  # type: ignore[return-value]

    with pytest.raises(Exception, match=r"returned .* in A, but its return annotation names") as caught:
        await work.orchestrate()
    assert caught.value.returned is returned  # type: ignore[attr-defined]


async def test_returned_coroutine_is_closed() -> None:
    """A coroutine returned without await is refused, and closed so that nothing warns later."""
    work = workflow()

    async def inner() -> Literal[Step.DONE]:
        return Step.DONE

    @work.task(Step.A)
    async def forgot() -> Literal[Step.DONE]:
        return inner()  # type: ignore[return-value]

    with pytest.raises(Exception, match="returned <coroutine object"):
        await work.orchestrate()


@pytest.mark.parametrize("run_id", ["", 7])
async def test_run_id_must_be_a_string(run_id: Any) -> None:
    """A run id that is no string, or empty, is refused."""
    with pytest.raises(ValueError, match="run_id is"):
        await chain().orchestrate(run_id=run_id)


async def test_cancel_of_a_task_with_children(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A cancel that leaves a task's nursery as a group of Cancelled ends the run as cancelled, not as failed."""
    work = workflow()

    @work.task(Step.A)
    async def parent() -> Literal[Step.DONE]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)
        return Step.DONE

    with trio.move_on_after(5):
        await work.orchestrate(observers=[recorder])
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.CANCELLED]


async def test_elapsed_is_that_of_the_states(autojump_clock: MockClock, recorder: Recorder) -> None:
    """Setting up and tearing down resources does not count into a run's time, in the result as in the event."""

    class Slow:
        async def setup(self) -> None:
            await trio.sleep(3)

        async def teardown(self) -> None:
            await trio.sleep(4)

    result = await chain().run(resources=Resources(slow=Slow()), observers=[recorder])
    assert (result.elapsed, recorder.of(RunEnded)[0].elapsed, trio.current_time()) == (0, 0, 7)
