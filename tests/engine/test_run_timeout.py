"""How long a whole run may take (cano WFL-19 to WFL-24, WFL-27)."""

from __future__ import annotations

import math
import pickle
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitPolicy,
    CompensationTimeout,
    DefinitionError,
    Resources,
    Retry,
    RetryExhausted,
    Run,
    RunCancelled,
    RunEnded,
    RunError,
    RunStatus,
    RunTimeout,
    TaskFailed,
    Workflow,
    failure_context,
)
from tests.engine import ledger as book
from tests.engine.ledger import Ledger, failure_of, saga

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    FIRST = auto()
    SECOND = auto()
    DONE = auto()
    FAILED = auto()


def workflow(*, first: float = 0, second: float = 0, timeout: float | None = 5, **options: Any) -> Workflow[Step]:
    """Two states that take so many seconds each; the options are those of the second's task."""
    work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE, Step.FAILED], timeout=timeout)

    @work.task(Step.FIRST)
    async def begin() -> Literal[Step.SECOND]:
        await trio.sleep(first)
        return Step.SECOND

    @work.task(Step.SECOND, **options)
    async def go_on() -> Literal[Step.DONE]:
        await trio.sleep(second)
        return Step.DONE

    return work


async def test_a_run_takes_its_timeout_at_most(autojump_clock: MockClock, recorder: Recorder) -> None:
    """WFL-19: the task is cancelled where it stands, and the run fails with what it took, its limit, and where it was."""
    with pytest.raises(RunTimeout) as caught:
        await workflow(first=3, second=3).orchestrate(observers=[recorder])
    error = caught.value
    assert (error.elapsed, error.limit, trio.current_time()) == (5, 5, 5)
    assert str(error) == "the run took longer than its timeout of 5 s"
    assert isinstance(error, RunError)
    assert isinstance(error, TimeoutError)
    context = failure_context(error)
    assert context is not None
    assert (context.state, context.path) == (Step.SECOND, (Step.FIRST, Step.SECOND))
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error, ended.elapsed) == (RunStatus.FAILED, error, 5)


async def test_a_run_in_time(autojump_clock: MockClock) -> None:
    """A timeout is felt by no run that keeps it."""
    assert await workflow(first=2, second=2.9).orchestrate() is Step.DONE


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, 10**12])
async def test_no_limit(autojump_clock: MockClock, timeout: float | None) -> None:
    """WFL-22: none, infinity, and what no clock will reach, are never."""
    assert await workflow(first=1e6, timeout=timeout).orchestrate() is Step.DONE


@pytest.mark.parametrize(
    "timeout", [0, -1, math.nan, "5", True, 10**400], ids=["0", "-1", "nan", "text", "bool", "huge"]
)
@pytest.mark.parametrize("name", ["timeout", "compensation_timeout"])
def test_wrong_timeouts(name: str, timeout: Any) -> None:
    """E03: what is no positive number of seconds is refused where it is given."""
    options: dict[str, Any] = {name: timeout}
    with pytest.raises(DefinitionError, match=rf"E03 workflow: {name} is "):
        Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], **options)


class Slow:
    """Takes its time to be opened and to be closed."""

    log: list[float]

    def __init__(self) -> None:
        self.log = []

    async def setup(self) -> None:
        await trio.sleep(20)

    async def teardown(self) -> None:
        await trio.sleep(5)
        self.log.append(trio.current_time())


async def test_the_clock_starts_after_the_set_up(autojump_clock: MockClock) -> None:
    """WFL-19: neither set-up nor teardown count, and no timeout cuts them off."""
    slow = Slow()
    with pytest.raises(RunTimeout) as caught:
        await workflow(second=60).orchestrate(resources=Resources(slow=slow))
    assert caught.value.elapsed == 5
    assert slow.log == [30]


async def test_each_run_has_its_own(autojump_clock: MockClock) -> None:
    """Runs of one workflow, begun at different times, end at different times."""
    work = workflow(second=60)
    ends: list[float] = []

    async def run() -> None:
        with pytest.raises(RunTimeout):
            await work.orchestrate()
        ends.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(run)
            await trio.sleep(1)
    assert ends == [5, 6, 7]


async def test_it_cuts_a_back_off(autojump_clock: MockClock) -> None:
    """G-CAN-4: a run does not sleep past its end."""
    work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], timeout=5)

    @work.task(Step.FIRST, retry=Retry.fixed(3, delay=60))
    async def fail() -> Literal[Step.DONE]:
        raise OSError

    with pytest.raises(RunTimeout):
        await work.orchestrate()
    assert trio.current_time() == 5


async def test_no_state_is_entered_after_it(autojump_clock: MockClock) -> None:
    """G-CAN-4, WFL-20: a task that outlives it by not listening is finished, and the next one does not begin."""
    work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], timeout=5)
    begun: list[str] = []

    @work.task(Step.FIRST)
    async def deaf() -> Literal[Step.SECOND]:
        with trio.CancelScope(shield=True):
            await trio.sleep(8)
        return Step.SECOND

    @work.task(Step.SECOND)
    async def go_on() -> Literal[Step.DONE]:
        begun.append("second")
        return Step.DONE

    with pytest.raises(RunTimeout) as caught:
        await work.orchestrate()
    assert begun == []
    assert caught.value.elapsed == 8


async def test_the_exit_stands(autojump_clock: MockClock) -> None:
    """G-CAN-1, WFL-20: the exit is looked for first: who reached it too late has reached it."""
    work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], timeout=5)

    @work.task(Step.FIRST)
    async def deaf() -> Literal[Step.DONE]:
        with trio.CancelScope(shield=True):
            await trio.sleep(8)
        return Step.DONE

    result = await work.run()
    assert (result.state, result.elapsed) == (Step.DONE, 8)


# ---- no failure of a task


async def test_no_on_error_catches_it(autojump_clock: MockClock, recorder: Recorder) -> None:
    """It is the run's end, not a failure of the task that was at work: no `on_error` leads on from it."""
    work = workflow(second=60, on_error={Exception: Step.FAILED})
    with pytest.raises(RunTimeout):
        await work.orchestrate(observers=[recorder])
    assert recorder.of(TaskFailed) == []


async def test_it_says_nothing_about_a_breaker(autojump_clock: MockClock) -> None:
    """G-CIR-1: only an attempt's own timeout counts against its breaker."""
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1))
    with pytest.raises(RunTimeout):
        await workflow(second=60, breaker=guard).orchestrate()
    assert (guard.statistics().failures, guard.statistics().released) == (0, 1)


async def test_a_task_that_fails_of_it(autojump_clock: MockClock) -> None:
    """What a task raises as it is cancelled is its failure, and says more than the timeout."""
    work = Workflow(Step, initial=Step.FIRST, exits=[Step.DONE], timeout=5)

    @work.task(Step.FIRST, retry=Retry.none())
    async def cleanup_fails() -> Literal[Step.DONE]:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cleanup")

    with pytest.raises(OSError, match="cleanup"):
        await work.orchestrate()


# ---- rolled back


async def test_it_rolls_back(autojump_clock: MockClock, recorder: Recorder) -> None:
    """WFL-23: like any failure; the rollback has its own time, not the run's."""
    ledger = Ledger()

    class SlowlyUndone(book.Booking):
        async def compensate(self, receipt: str) -> str:
            await trio.sleep(20)
            return await super().compensate(receipt)

    async def forever() -> Literal[book.Step.DONE]:
        await trio.sleep_forever()
        raise AssertionError("unreachable: it sleeps for ever")

    task = SlowlyUndone(ledger, book.Step.A, book.Step.B)
    work = saga(ledger, task, error=TypeError(), timeout=5).with_tasks({book.Step.B: forever})
    error = await failure_of(work, observers=[recorder])
    assert isinstance(error, RunTimeout)
    assert ledger.log == ["A", "undo A"]
    assert (error.elapsed, trio.current_time()) == (5, 25)
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.ROLLED_BACK]


class Held(book.Booking):
    seconds = 8.0

    async def run(self) -> tuple[book.Step, str]:
        await trio.sleep(self.seconds)
        return await super().run()


async def test_an_attempt_is_held_against_it(autojump_clock: MockClock) -> None:
    """SAG-15, RULINGS 6: the attempt in flight leaves its receipt, and is undone."""
    ledger = Ledger()
    work = saga(ledger, Held(ledger, book.Step.A, book.Step.B), None, timeout=5)
    error = await failure_of(work)
    assert isinstance(error, RunTimeout)
    assert (error.elapsed, ledger.log) == (8, ["A", "undo A"])


async def test_it_is_held_so_long_and_no_longer(autojump_clock: MockClock) -> None:
    """RULINGS 6: the hold counts from the timeout."""
    ledger = Ledger()
    work = saga(ledger, None, Held(ledger, book.Step.B, book.Step.C, seconds=100, hold=10), timeout=5)
    error = await failure_of(work)
    assert isinstance(error, RunTimeout)
    assert (error.elapsed, ledger.log) == (15, ["A", "undo A"])


async def test_a_saga_whose_last_step_takes_too_long(autojump_clock: MockClock) -> None:
    """WFL-20: if the attempt that is held leads to the exit, the run has ended well."""
    ledger = Ledger()
    assert await saga(ledger, Held(ledger, book.Step.A, book.Step.DONE), timeout=5).orchestrate() is book.Step.DONE
    assert trio.current_time() == 8


# ---- at the same instant


async def test_attempt_and_run_time_out_at_once(autojump_clock: MockClock) -> None:
    """Of two scopes that are over at once trio lets the outer one win: the run's."""
    with pytest.raises(RunTimeout):
        await workflow(second=60, attempt_timeout=5, on_error={AttemptTimeout: Step.FAILED}).orchestrate()


async def test_held_attempt_and_run_time_out_at_once(autojump_clock: MockClock) -> None:
    """Inside the shield only the attempt's own is felt; where no attempt follows, that is the run's failure."""
    ledger = Ledger()
    options = {"seconds": 60, "attempt_timeout": 5}
    with_retry = Held(ledger, book.Step.A, book.Step.B, **options, retry=Retry.fixed(1, delay=0))
    assert isinstance(await failure_of(saga(ledger, with_retry, timeout=5)), RunTimeout)
    without = Held(ledger, book.Step.A, book.Step.B, **options, retry=Retry.none())
    assert isinstance(await failure_of(saga(ledger, without, timeout=5)), AttemptTimeout)


async def test_exhausted_as_time_runs_out(autojump_clock: MockClock) -> None:
    """A task that has failed for good before the run's time is over has failed."""
    work = workflow(second=4, timeout=8.5, attempt_timeout=1, retry=Retry.fixed(1, delay=6))
    with pytest.raises(RetryExhausted):
        await work.orchestrate()
    assert trio.current_time() == 8


async def test_run_and_caller_time_out_at_once(autojump_clock: MockClock, recorder: Recorder) -> None:
    """The caller's cancel passes on as one, and the run ends as cancelled."""
    with trio.move_on_after(5) as scope:
        await workflow(second=60).orchestrate(observers=[recorder])
    assert scope.cancelled_caught
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.CANCELLED]


async def test_the_callers_own_limit(autojump_clock: MockClock) -> None:
    """Before the run's it is the caller's TooSlowError; after it a RunTimeout has left already."""
    with pytest.raises(trio.TooSlowError), trio.fail_after(4):
        await workflow(second=60).orchestrate()
    with pytest.raises(RunTimeout), trio.fail_after(6):
        await workflow(second=60).orchestrate()


async def test_cancel_and_timeout_at_once(autojump_clock: MockClock) -> None:
    """WFL-27: the handle's cancel beats the timeout that has come with it, or after it, while an attempt is held."""
    ledger = Ledger()
    for seconds in (4, 5):
        work = saga(ledger, Held(ledger, book.Step.A, book.Step.B), None, timeout=5)
        with pytest.raises(ExceptionGroup) as caught:
            await _cancelled(work, seconds)
        assert [type(error) for error in caught.value.exceptions] == [RunCancelled]


async def _cancelled(work: Workflow[book.Step], seconds: float) -> None:
    async with trio.open_nursery() as nursery:
        run: Run[book.Step] = await nursery.start(partial(work.run))
        await trio.sleep(seconds)
        run.cancel()


# ---- as values


@pytest.mark.parametrize(
    "error",
    [RunTimeout(5.5, 5), RunCancelled("why"), RunCancelled(None), CompensationTimeout("charge.compensate", 30)],
    ids=repr,
)
def test_errors_pickle_with_all_they_tell(error: Exception) -> None:
    """They come back from pickle with their text and their fields."""
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
    assert str(back)
