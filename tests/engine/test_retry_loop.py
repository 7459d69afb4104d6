"""How the attempts of a task are made: retries, delays, timeouts (cano RET-*)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal

import pytest
import trio

from cano_trio import (
    AttemptFailed,
    AttemptStarted,
    AttemptTimeout,
    BatchResults,
    BatchTask,
    IllegalTransition,
    Retry,
    RetryExhausted,
    RetryScheduled,
    RunContext,
    Split,
    Task,
    TaskConfig,
    TaskFailed,
    Workflow,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    WORK = auto()
    DONE = auto()


def workflow(**arguments: object) -> Workflow[Step]:
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE], **arguments)  # type: ignore[arg-type]


class Flaky(Task[Step]):
    """Fails with each of the errors in turn, then succeeds; keeps the instants of its attempts."""

    def __init__(self, *errors: Exception, **options: object) -> None:
        self.errors: Iterator[Exception] = iter(errors)
        self.times: list[float] = []
        vars(self).update(options)

    async def run(self) -> Literal[Step.DONE]:
        self.times.append(trio.current_time())
        for error in self.errors:
            raise error
        return Step.DONE


async def run(task: Flaky, **arguments: object) -> Step:
    work = workflow(**arguments)
    work.register(Step.WORK, task)
    return await work.orchestrate()


async def test_default_is_four_attempts(autojump_clock: trio.testing.MockClock) -> None:
    """RET-1, RET-2: by default a task has three retries, and succeeds at the fourth attempt."""
    task = Flaky(OSError(), OSError(), OSError())
    assert await run(task) is Step.DONE
    assert len(task.times) == 4


async def test_delays_follow_the_policy(autojump_clock: trio.testing.MockClock) -> None:
    """RET-3: the waits between attempts are exactly those of the policy."""
    task = Flaky(*[OSError()] * 3, retry=Retry.exponential(3, base=1, multiplier=3, maximum=5, jitter=0))
    await run(task)
    assert task.times == [0, 1, 4, 9]


async def test_exhausted_is_raised_from_the_last_failure(autojump_clock: trio.testing.MockClock) -> None:
    """RET-7: after several allowed attempts, RetryExhausted tells their number and stands on the last failure."""
    errors = [OSError("first"), OSError("last")]
    with pytest.raises(RetryExhausted, match="failed 2 times, the last time with OSError: last") as caught:
        await run(Flaky(*errors, retry=Retry.fixed(1, delay=1)))
    assert (caught.value.attempts, caught.value.last, caught.value.__cause__) == (2, errors[1], errors[1])


async def test_single_attempt_fails_as_itself() -> None:
    """RET-7: where one attempt is allowed, its failure is raised as it is."""
    error = OSError("only")
    with pytest.raises(OSError, match="only") as caught:
        await run(Flaky(error, config=TaskConfig.minimal()))
    assert caught.value is error


@pytest.mark.parametrize("error", [NameError(), AttributeError(), TypeError(), AssertionError(), ImportError()])
async def test_mistakes_are_not_retried(error: Exception) -> None:
    """RET-11, as RULINGS change it: what a typo raises fails at once, and as itself."""
    task = Flaky(error)
    with pytest.raises(type(error)) as caught:
        await run(task)
    assert caught.value is error
    assert len(task.times) == 1


async def test_retry_on_type(autojump_clock: trio.testing.MockClock) -> None:
    """G-RET-1: retry_on names what is tried again; anything else fails at once."""
    task = Flaky(TimeoutError(), ValueError("bad"), retry_on=(TimeoutError, ConnectionError))
    with pytest.raises(ValueError, match="bad"):
        await run(task)
    assert len(task.times) == 2


async def test_retry_on_predicate(autojump_clock: trio.testing.MockClock) -> None:
    """G-RET-1: retry_on may be a function of the failure."""
    task = Flaky(OSError(5, "io"), OSError(2, "none"), retry_on=lambda error: getattr(error, "errno", 0) == 5)
    with pytest.raises(FileNotFoundError):
        await run(task)
    assert len(task.times) == 2


async def test_group_is_retried_if_all_leaves_are(autojump_clock: trio.testing.MockClock) -> None:
    """DESIGN 3.1: an exception group is retried when all its leaves may be, and not when one may not."""
    good = ExceptionGroup("", [OSError(), ExceptionGroup("", [TimeoutError()])])
    bad = ExceptionGroup("", [OSError(), NameError()])
    task = Flaky(good, bad)
    with pytest.raises(ExceptionGroup) as caught:
        await run(task)
    assert caught.value is bad
    assert len(task.times) == 2


async def test_retry_after_overrides_the_delay(autojump_clock: trio.testing.MockClock) -> None:
    """G-RET-2: an error that says how long to wait is believed; nonsense is not."""

    class Busy(Exception):
        def __init__(self, retry_after: object) -> None:
            self.retry_after = retry_after

    nonsense = [Busy(float("nan")), Busy(-1), Busy("soon"), Busy(10**400)]
    task = Flaky(Busy(7), *nonsense, retry=Retry.fixed(5, delay=1))
    await run(task)
    assert task.times == [0, 7, 8, 9, 10, 11]


async def test_illegal_transition_is_not_retried() -> None:
    """RET-15: a return that the annotation does not name fails at once, naming what was returned and where."""
    work = workflow()
    calls = []

    @work.task(Step.WORK)
    async def wrong() -> Literal[Step.DONE]:
        calls.append(1)
        return "DONE"  # type: ignore[return-value]

    with pytest.raises(
        IllegalTransition, match=r"wrong \(.*test_retry_loop\.py:\d+\) returned 'DONE' in WORK"
    ) as caught:
        await work.orchestrate()
    assert caught.value.allowed == (Step.DONE,)
    assert len(calls) == 1


async def test_attempt_timeout_is_retried_with_a_fresh_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """RET-8: each attempt has its own deadline, the back-off is not in it, and its expiry is a failure like any."""
    work = workflow()
    starts = []

    @work.task(Step.WORK, attempt_timeout=2, retry=Retry.fixed(2, delay=10))
    async def slow() -> Literal[Step.DONE]:
        starts.append(trio.current_time())
        await trio.sleep(60 if len(starts) < 3 else 1)
        return Step.DONE

    await work.orchestrate()
    assert starts == [0, 12, 24]
    assert trio.current_time() == 25


async def test_attempt_timeout_is_a_timeout_error(autojump_clock: trio.testing.MockClock) -> None:
    """RET-8: the failure is an AttemptTimeout, which is a TimeoutError and names task and limit."""
    work = workflow()

    @work.task(Step.WORK, attempt_timeout=2, retry=Retry.none())
    async def slow() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with pytest.raises(TimeoutError, match=r"slow: the attempt took longer than its timeout of 2 s") as caught:
        await work.orchestrate()
    assert isinstance(caught.value, AttemptTimeout)
    assert caught.value.limit == 2


async def test_what_was_raised_comes_before_the_timeout(autojump_clock: trio.testing.MockClock) -> None:
    """DESIGN 3.2: an attempt that runs out of time but raises something else fails with that."""
    work = workflow()

    @work.task(Step.WORK, attempt_timeout=2, retry=Retry.none())
    async def slow() -> Literal[Step.DONE]:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while leaving")

    with pytest.raises(ValueError, match="while leaving"):
        await work.orchestrate()


async def test_own_too_slow_error_stays_the_users(autojump_clock: trio.testing.MockClock) -> None:
    """RET-8: a TooSlowError of the task's own is its failure, not the engine's timeout."""
    work = workflow()

    @work.task(Step.WORK, attempt_timeout=5, retry=Retry.none())
    async def slow() -> Literal[Step.DONE]:
        with trio.fail_after(1):
            await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        await work.orchestrate()
    assert trio.current_time() == 1


async def test_cancel_during_back_off_carries_no_failure(autojump_clock: trio.testing.MockClock) -> None:
    """RET-13: a cancel interrupts the wait between attempts at once, and the failure is not its context."""
    task = Flaky(OSError("x"), retry=Retry.fixed(1, delay=100))
    contexts = []
    with trio.move_on_after(3) as scope:
        try:
            await run(task)
        except trio.Cancelled as cancelled:
            contexts.append(cancelled.__context__)
            raise
    assert scope.cancelled_caught
    assert (trio.current_time(), contexts) == (3, [None])


async def test_base_exceptions_pass() -> None:
    """DESIGN 3.1: what is no Exception is never retried, and nobody takes it for a failure."""
    calls = []
    work = workflow()

    @work.task(Step.WORK)
    async def stop() -> Literal[Step.DONE]:
        calls.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await work.orchestrate()
    assert len(calls) == 1


async def test_context_counts_attempts_and_keeps_the_key(autojump_clock: trio.testing.MockClock) -> None:
    """RULINGS 5: the attempt's number goes up, the idempotency key stays."""
    work = workflow()
    seen = []

    @work.task(Step.WORK, retry=Retry.fixed(2, delay=0))
    async def note(ctx: RunContext) -> Literal[Step.DONE]:
        seen.append((ctx.attempt, ctx.visit, ctx.idempotency_key))
        if ctx.attempt < 3:
            raise OSError
        return Step.DONE

    await work.orchestrate(run_id="r")
    assert seen == [(1, 1, "r/0"), (2, 1, "r/0"), (3, 1, "r/0")]


async def test_events_of_the_loop(autojump_clock: trio.testing.MockClock, recorder: Recorder) -> None:
    """RET-5, WFL-16: failed and scheduled before the wait, started after it; nothing is scheduled after the last."""
    work = workflow()
    work.register(Step.WORK, Flaky(OSError("a"), OSError("b"), name="flaky", retry=Retry.fixed(1, delay=3)))
    with pytest.raises(RetryExhausted):
        await work.orchestrate(observers=[recorder])
    assert recorder.kinds() == [
        "RunStarted", "StateEntered", "AttemptFailed", "RetryScheduled", "AttemptStarted", "AttemptFailed", "TaskFailed",
        "RunEnded",
    ]  # fmt: skip
    assert [(event.attempt, event.time, str(event.error)) for event in recorder.of(AttemptFailed)] == [
        (1, 0, "a"),
        (2, 3, "b"),
    ]
    assert [(event.attempt, event.delay, event.task) for event in recorder.of(RetryScheduled)] == [(1, 3, "flaky")]
    assert [(event.attempt, event.time) for event in recorder.of(AttemptStarted)] == [(2, 3)]


async def test_defaults_of_the_workflow(autojump_clock: trio.testing.MockClock) -> None:
    """RULINGS 3.1: a task that says nothing takes the workflow's defaults; what it says overrides them one by one."""
    defaults = TaskConfig(retry=Retry.fixed(1, delay=5), attempt_timeout=2)
    first, second = Flaky(OSError()), Flaky(OSError(), retry=Retry.fixed(1, delay=1))
    await run(first, defaults=defaults)
    assert first.times == [0, 5]
    await run(second, defaults=defaults)
    assert second.times == [5, 6]


async def test_config_is_read_at_registration(autojump_clock: trio.testing.MockClock) -> None:
    """RET-14: what a task's attributes say later changes nothing."""
    task = Flaky(OSError(), retry=Retry.fixed(1, delay=1))
    work = workflow()
    work.register(Step.WORK, task)
    task.retry = Retry.none()
    assert await work.orchestrate() is Step.DONE


async def test_predicate_that_raises_keeps_the_failure() -> None:
    """A retry_on function that raises fails the task with its own mistake, standing on the failure it was asked about."""

    def broken(error: Exception) -> bool:
        raise LookupError("in the predicate")

    task = Flaky(OSError("real"), retry_on=broken)
    with pytest.raises(LookupError) as caught:
        await run(task)
    assert repr(caught.value.__cause__) == "OSError('real')"


async def test_no_on_error_leads_a_predicates_mistake_anywhere(recorder: Recorder) -> None:
    """A retry_on function that raises is a mistake in the workflow: it leaves the run, whatever on_error catches."""

    def broken(error: Exception) -> bool:
        raise LookupError("in the predicate")

    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @work.task(Step.WORK, retry_on=broken, on_error={LookupError: Step.DONE, Exception: Step.DONE})
    async def fail() -> Literal[Step.DONE]:
        raise OSError("real")

    with pytest.raises(LookupError, match="in the predicate"):
        await work.orchestrate(observers=[recorder])
    assert [event.next_state for event in recorder.of(TaskFailed)] == [None]


async def test_a_predicates_mistake_passes_by_batches_and_splits() -> None:
    """A retry_on function that raises fails no item and no branch, but the run: neither results nor a rule hide it."""

    def broken(error: Exception) -> bool:
        raise LookupError("in the predicate")

    class Items(BatchTask[Step, int, int]):
        item_retry_on = staticmethod(broken)

        async def load(self) -> list[int]:
            return [1, 2]

        async def process_item(self, item: int, /) -> int:
            raise OSError("real")

        async def finish(self, results: BatchResults[int, int], /) -> Literal[Step.DONE]:
            return Step.DONE

    batch = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    batch.register(Step.WORK, Items(), on_error={Exception: Step.DONE})
    split = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @split.branch(retry_on=broken)
    async def fails() -> int:
        raise OSError("real")

    async def works() -> int:
        return 1

    rule = Split.any([fails, works], Step.DONE, collect=True)
    split.register_split(Step.WORK, rule, on_error={Exception: Step.DONE})
    for work in (batch, split):
        with pytest.raises(LookupError, match="in the predicate") as caught:
            await work.orchestrate()
        assert repr(caught.value.__cause__) == "OSError('real')"


async def test_retry_after_may_exceed_the_policys_maximum(autojump_clock: trio.testing.MockClock) -> None:
    """DESIGN 3.1: the server's word wins over the policy's: `maximum` bounds only the delays the policy makes up."""

    class Busy(Exception):
        retry_after = 3600

    task = Flaky(Busy(), retry=Retry.exponential(1, maximum=5))
    await run(task)
    assert task.times == [0, 3600]
