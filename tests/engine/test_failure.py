"""Where an exception came from, told by the exception itself (cano ERR-*)."""

from __future__ import annotations

import pickle
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    CanoError,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    IllegalTransition,
    Resources,
    Retry,
    RetryExhausted,
    RunEnded,
    RunStatus,
    Workflow,
    failure_context,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    A = auto()
    B = auto()
    DONE = auto()


def workflow(error: Exception, **options: Any) -> Workflow[Step]:
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="demo")

    @work.task(Step.A)
    async def first() -> Literal[Step.B]:
        return Step.B

    @work.task(Step.B, **options)
    async def fail() -> Literal[Step.DONE]:
        raise error

    return work


async def test_failure_tells_its_state_attempts_and_path(autojump_clock: MockClock) -> None:
    """ERR-5, ERR-7: the exception itself, with a note of state, attempts, path and run, and the same as attributes."""
    with pytest.raises(RetryExhausted) as caught:
        await workflow(OSError("down"), retry=Retry.fixed(2, delay=1)).orchestrate(run_id="r7")
    assert caught.value.__notes__ == ["cano_trio: state=B attempts=3 path=[A, B] run=r7"]
    context = failure_context(caught.value)
    assert context is not None
    assert (context.state, context.attempts, context.path) == (Step.B, 3, (Step.A, Step.B))
    assert (context.run_id, context.workflow) == ("r7", "demo")


async def test_users_exception_is_raised_as_it_is() -> None:
    """DESIGN 2: a failure that is not retried leaves the run as the very object the task raised."""
    error = TypeError("mine")
    with pytest.raises(TypeError) as caught:
        await workflow(error).orchestrate()
    assert caught.value is error
    assert len(error.__notes__) == 1


async def test_inner_workflow_keeps_its_own_context() -> None:
    """ERR-5, WFL-34: where a task runs another workflow, the inner one's context stands, and is told once."""
    inner = workflow(TypeError("deep"))
    outer = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="outer")

    @outer.task(Step.A, retry=Retry.none())
    async def nested() -> Literal[Step.DONE]:
        await inner.orchestrate(run_id="inner")
        return Step.DONE

    with pytest.raises(TypeError) as caught:
        await outer.orchestrate()
    context = failure_context(caught.value)
    assert context is not None
    assert (context.workflow, context.run_id, len(caught.value.__notes__)) == ("demo", "inner", 1)


async def test_an_exception_raised_again_tells_of_the_newest_run() -> None:
    """ERR-5: an exception object that a task raises in one run after the other tells of the last run, once."""
    error = TypeError("kept")
    error.add_note("the user's")
    for run_id in ("first", "second", "third"):
        with pytest.raises(TypeError):
            await workflow(error).orchestrate(run_id=run_id)
        context = failure_context(error)
        assert context is not None
        assert context.run_id == run_id
        assert error.__notes__ == ["the user's", f"cano_trio: state=B attempts=1 path=[A, B] run={run_id}"]


async def test_runs_side_by_side_are_not_inside_each_other(autojump_clock: MockClock) -> None:
    """ERR-5: of two runs at the same time that raise one object, the later failure tells, though its run began first."""
    error = TypeError("kept")

    def failing_after(seconds: float) -> Workflow[Step]:
        work = Workflow(Step, initial=Step.A, exits=[Step.DONE])

        @work.task(Step.A)
        async def fail() -> Literal[Step.DONE]:
            await trio.sleep(seconds)
            raise error

        return work

    async def run(seconds: float, run_id: str) -> None:
        with pytest.raises(TypeError):
            await failing_after(seconds).orchestrate(run_id=run_id)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 2, "slow")
        await trio.sleep(1)
        nursery.start_soon(run, 0.5, "quick")
    context = failure_context(error)
    assert context is not None
    assert (context.run_id, len(error.__notes__)) == ("slow", 1)


async def test_inner_run_in_a_child_task_keeps_its_context() -> None:
    """ERR-5: so does an inner run that fails in another task of the outer one's, and again in a second outer run."""
    error = TypeError("deep")
    inner = workflow(error)
    outer = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="outer")

    @outer.task(Step.A)
    async def nested() -> Literal[Step.DONE]:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: inner.orchestrate(run_id="inner"))
        except* TypeError as group:
            (failure,) = group.exceptions
        raise failure

    for _ in range(2):
        with pytest.raises(TypeError):
            await outer.orchestrate()
        context = failure_context(error)
        assert context is not None
        assert (context.workflow, context.run_id, len(error.__notes__)) == ("demo", "inner", 1)


async def test_refused_by_the_breaker_counts_no_attempt() -> None:
    """ERR-7: an attempt that the breaker refused was not made."""
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1))
    with pytest.raises(OSError), guard.try_acquire():
        raise OSError
    with pytest.raises(CircuitOpen) as caught:
        await workflow(OSError(), breaker=guard).orchestrate()
    context = failure_context(caught.value)
    assert context is not None
    assert context.attempts == 0


async def test_attempts_of_an_illegal_transition(autojump_clock: MockClock) -> None:
    """ERR-7: what fails after a success at the second attempt tells two attempts."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE])
    calls = []

    @work.task(Step.A, retry=Retry.fixed(1, delay=1))
    async def wrong() -> Literal[Step.DONE]:
        calls.append(1)
        if len(calls) == 1:
            raise OSError
        return None  # type: ignore[return-value]

    with pytest.raises(IllegalTransition) as caught:
        await work.orchestrate()
    context = failure_context(caught.value)
    assert context is not None
    assert context.attempts == 2


async def test_long_paths_are_cut_in_the_note() -> None:
    """A note shows the latest 20 states of a long path; the context keeps them all."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE], max_transitions=50)

    @work.task(Step.A)
    async def again() -> Literal[Step.A, Step.DONE]:
        return Step.A

    with pytest.raises(CanoError) as caught:
        await work.orchestrate()
    assert f"path=[…, {', '.join(['A'] * 20)}]" in caught.value.__notes__[0]
    context = failure_context(caught.value)
    assert context is not None
    assert len(context.path) == 51


async def test_exception_that_takes_no_attributes() -> None:
    """An exception that refuses attributes is raised all the same, with the note."""

    class Closed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            if name.startswith("_cano"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    with pytest.raises(Closed) as caught:
        await workflow(Closed(), retry_on=OSError).orchestrate(run_id="r")
    assert failure_context(caught.value) is None
    assert caught.value.__notes__ == ["cano_trio: state=B attempts=1 path=[A, B] run=r"]


async def test_what_fails_before_the_loop_has_no_context(recorder: Recorder) -> None:
    """ERR-11, RES-6: a failed set-up leaves bare, and no observer has been told of a run."""

    class Broken:
        async def setup(self) -> None:
            raise OSError("no database")

    with pytest.raises(OSError, match="no database") as caught:
        await workflow(OSError()).orchestrate(resources=Resources(database=Broken()), observers=[recorder])
    assert failure_context(caught.value) is None
    assert recorder.events == []


async def test_end_of_a_failed_run(autojump_clock: MockClock, recorder: Recorder) -> None:
    """G-OBS-3: the end tells the failure itself and how long it all took."""
    with pytest.raises(RetryExhausted) as caught:
        await workflow(OSError(), retry=Retry.fixed(1, delay=4)).orchestrate(observers=[recorder])
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error, ended.elapsed, ended.state) == (RunStatus.FAILED, caught.value, 4, Step.B)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(7)], ids=repr)
async def test_base_exceptions_end_the_run_as_failed(error: BaseException, recorder: Recorder) -> None:
    """A BaseException passes through untouched, without a note, and the end tells which one it was."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE])

    @work.task(Step.A)
    async def stop() -> Literal[Step.DONE]:
        raise error

    with pytest.raises(type(error)) as caught:
        await work.orchestrate(observers=[recorder])
    assert not hasattr(caught.value, "__notes__")
    assert [(event.status, event.error) for event in recorder.of(RunEnded)] == [(RunStatus.FAILED, error)]


async def test_a_cancelled_run_ends_without_an_error(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A cancel is no failure: the end tells none."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE])

    @work.task(Step.A)
    async def forever() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with trio.move_on_after(1):
        await work.orchestrate(observers=[recorder])
    assert [(event.status, event.error) for event in recorder.of(RunEnded)] == [(RunStatus.CANCELLED, None)]


async def test_cancelled_gets_no_note(autojump_clock: MockClock) -> None:
    """trio's Cancelled is shared by all tasks that it unwinds: nothing is added to it."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE])
    seen = []

    @work.task(Step.A)
    async def forever() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with trio.move_on_after(1):
        try:
            await work.orchestrate()
        except trio.Cancelled as cancelled:
            seen.append(hasattr(cancelled, "__notes__"))
            raise
    assert seen == [False]


async def test_frozen_exception_leaves_as_itself(recorder: Recorder) -> None:
    """An exception that refuses notes and attributes is raised as it is, and the run's end is told."""

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    error = Frozen()
    with pytest.raises(Frozen):
        await workflow(error, retry=Retry.none()).orchestrate(observers=[recorder])
    assert [event.error for event in recorder.of(RunEnded)] == [error]


async def test_failure_without_a_text(autojump_clock: MockClock) -> None:
    """An exception whose text can't be made is exhausted and diverted like any."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(RetryExhausted, match="Mute, which has no text"):
        await workflow(Mute(), retry=Retry.fixed(1, delay=0)).orchestrate()


async def test_errors_pickle_with_all_they_tell() -> None:
    """An error of ours comes back from pickle with its message and fields."""
    for error in [RetryExhausted("pay", 3, OSError("x")), CircuitOpen("bank", 2.5, trials_taken=False)]:
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))
        assert back.__dict__.keys() == error.__dict__.keys()
