"""Who cancels a saga, and when: attempts are held until their receipt is kept (cano SAG-15, WFL-25 to WFL-31)."""

from __future__ import annotations

import logging
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.abc import Instrument
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitPolicy,
    RateLimiter,
    Retry,
    RollbackFailed,
    Run,
    RunCancelled,
    RunEnded,
    RunStatus,
    Workflow,
    failure_context,
)
from tests.engine.ledger import Booking, Ledger, Step, rollback_of, saga

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Slow(Booking):
    """A booking that takes its time before it has its effect, and after; `error` is what it then fails with."""

    before = 10.0
    after = 0.0
    undoing = 0.0
    error: BaseException | None = None

    async def run(self) -> tuple[Step, str]:
        self.ledger(f"begin {self.state.name}")
        await trio.sleep(self.before)
        result = await super().run()
        await trio.sleep(self.after)
        if self.error is not None:
            raise self.error
        return result

    async def compensate(self, receipt: str) -> str:
        await trio.sleep(self.undoing)
        return await super().compensate(receipt)


class Inquiring(Slow):
    async def compensate_in_doubt(self) -> None:
        self.ledger(f"look for {self.state.name}")


async def cancelled_at(seconds: float, workflow: Workflow[Step], **options: Any) -> float:
    """Cancel a run from outside, so many seconds after it began; when it has let go."""
    with trio.move_on_after(seconds) as scope:
        await workflow.orchestrate(**options)
    assert scope.cancelled_caught
    return trio.current_time()


async def cancelled_by_handle(
    seconds: float, workflow: Workflow[Step], *reasons: str | None, **options: Any
) -> BaseException:
    """Cancel a run by its handle, each time so many seconds later; what it fails with."""
    with pytest.raises(ExceptionGroup) as caught:
        await _cancel_by_handle(seconds, workflow, reasons, options)
    (error,) = caught.value.exceptions
    return error


async def _cancel_by_handle(seconds: float, workflow: Any, reasons: Any, options: dict[str, Any]) -> None:
    async with trio.open_nursery() as nursery:
        run: Run[Step] = await nursery.start(partial(workflow.run, run_id="r", **options))
        for reason in reasons:
            await trio.sleep(seconds)
            run.cancel(reason)


# ---- held


@pytest.mark.parametrize(
    "options", [{}, {"hold": 20}, {"hold": 20, "attempt_timeout": 60}, {"attempt_timeout": 60}, {"hold": float("inf")}],
    ids=repr,
)  # fmt: skip
async def test_an_attempt_is_held_until_its_receipt_is_kept(
    autojump_clock: MockClock, recorder: Recorder, options: dict[str, Any]
) -> None:
    """SAG-15, WFL-28: a cancel from outside waits for the attempt in flight, which is then undone like all before it."""
    ledger = Ledger()
    workflow = saga(ledger, None, Slow(ledger, Step.B, Step.C, after=5, **options), None)
    assert await cancelled_at(4, workflow, observers=[recorder]) == 15
    assert ledger.log == ["A", "begin B", "B", "undo B", "undo A"]
    assert [(event.status, event.error) for event in recorder.of(RunEnded)] == [(RunStatus.CANCELLED, None)]


@pytest.mark.parametrize(
    "options, ends",
    [
        ({}, 34),
        ({"hold": 5}, 9),
        ({"hold": 5, "attempt_timeout": 100}, 9),
        ({"attempt_timeout": 7}, 7),
        ({"hold": 50, "attempt_timeout": 20}, 20),
    ],
    ids=repr,
)
async def test_it_is_held_so_long_and_no_longer(
    autojump_clock: MockClock, options: dict[str, Any], ends: float
) -> None:
    """RULINGS 6: at most `hold` seconds after the cancel, by default the attempt timeout, else 30; it is then in doubt."""
    ledger = Ledger()
    workflow = saga(ledger, None, Inquiring(ledger, Step.B, Step.C, before=1000, **options))
    assert await cancelled_at(4, workflow) == ends
    assert ledger.log == ["A", "begin B", "look for B", "undo A"]


async def test_without_a_cancel_the_hold_bounds_nothing(autojump_clock: MockClock) -> None:
    """An attempt may take longer than its `hold`."""
    ledger = Ledger()
    assert await saga(ledger, Slow(ledger, Step.A, Step.DONE, before=100, hold=1)).orchestrate() is Step.DONE
    assert trio.current_time() == 100


async def test_the_exit_stands(autojump_clock: MockClock, recorder: Recorder) -> None:
    """G-CAN-1, WFL-25: work that reached its exit state, cancelled or not, is done, and is not undone."""
    ledger = Ledger()
    with trio.move_on_after(4) as scope:
        exit_state = await saga(ledger, None, Slow(ledger, Step.B, Step.DONE)).orchestrate(observers=[recorder])
    assert exit_state is Step.DONE
    assert scope.cancel_called
    assert not scope.cancelled_caught
    assert ledger.log == ["A", "begin B", "B"]
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.COMPLETED]


async def test_the_exit_stands_against_the_handle(autojump_clock: MockClock) -> None:
    """G-CAN-1: a `run.cancel` that comes too late is a cancel of nothing."""
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        run: Run[Step] = await nursery.start(saga(ledger, Slow(ledger, Step.A, Step.DONE)).run)
        await trio.sleep(4)
        run.cancel("too late")
        await trio.sleep(20)
        run.cancel("much too late")
    assert ledger.log == ["begin A", "A"]


async def test_a_plain_task_is_not_held(autojump_clock: MockClock) -> None:
    """WFL-26: it is cancelled where it stands, and what was done before it is undone."""
    ledger = Ledger()

    async def plain() -> Literal[Step.DONE]:
        await trio.sleep(60)
        return Step.DONE

    workflow = saga(ledger, None, error=TypeError()).with_tasks({Step.B: plain})
    assert await cancelled_at(4, workflow) == 4
    assert ledger.log == ["A", "undo A"]


# ---- not held


async def test_back_off_is_not_held(autojump_clock: MockClock) -> None:
    """RULINGS 6, G-CAN-4: between two attempts no effect is pending; the work is in doubt."""
    ledger = Ledger()
    task = Inquiring(ledger, Step.A, Step.B, before=0, error=OSError(), retry=Retry.fixed(3, delay=60))
    assert await cancelled_at(4, saga(ledger, task)) == 4
    assert ledger.log == ["begin A", "A", "look for A"]


async def test_a_failure_during_the_hold_is_not_tried_again(autojump_clock: MockClock) -> None:
    """RULINGS 6: the attempt in flight is held, not the work with all its attempts."""
    ledger = Ledger()
    task = Inquiring(ledger, Step.A, Step.B, error=OSError(), retry=Retry.fixed(3, delay=0))
    assert await cancelled_at(4, saga(ledger, task)) == 10
    assert ledger.log == ["begin A", "A", "look for A"]


async def test_waiting_for_a_limiter_is_not_held(autojump_clock: MockClock) -> None:
    """Work that waits for its turn has not begun, and is not in doubt."""
    ledger = Ledger()
    limiter = RateLimiter(1, per=60)
    await limiter.acquire()
    workflow = saga(ledger, None, Inquiring(ledger, Step.B, Step.C, limiter=limiter))
    assert await cancelled_at(4, workflow) == 4
    assert ledger.log == ["A", "undo A"]


async def test_waiting_for_a_breaker_is_not_held(autojump_clock: MockClock) -> None:
    """Neither has work that waits for an open breaker."""
    ledger = Ledger()
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=60))
    with pytest.raises(OSError), guard.try_acquire():
        raise OSError
    workflow = saga(ledger, None, Inquiring(ledger, Step.B, Step.C, breaker=guard, on_open="wait"))
    assert await cancelled_at(4, workflow) == 4
    assert ledger.log == ["A", "undo A"]


async def test_a_cancel_says_nothing_about_a_breaker(autojump_clock: MockClock) -> None:
    """G-CIR-1: an attempt that is cut off when its hold is over counts neither way, and keeps no permit."""
    ledger = Ledger()
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1))
    await cancelled_at(4, saga(ledger, Slow(ledger, Step.A, Step.B, before=60, hold=5, breaker=guard)))
    assert (guard.statistics().failures, guard.statistics().released) == (0, 1)


async def test_cancelled_before_it_begins(recorder: Recorder) -> None:
    """WFL-25: in a scope that is cancelled already no task begins, and nothing is to be undone."""
    ledger = Ledger()
    with trio.CancelScope() as scope:
        scope.cancel()
        await saga(ledger, None, None).orchestrate(observers=[recorder])
    assert scope.cancelled_caught
    assert ledger.log == []
    assert [(event.status, event.rollback) for event in recorder.of(RunEnded)] == [(RunStatus.CANCELLED, None)]


# ---- what comes out


async def test_a_handle_cancels_with_a_reason(autojump_clock: MockClock) -> None:
    """WFL-26, WFL-31, G-CAN-3: the run fails with a RunCancelled that tells the first reason; the rollback is told by it."""
    ledger = Ledger()
    workflow = saga(ledger, None, Slow(ledger, Step.B, Step.C), None)
    error = await cancelled_by_handle(4, workflow, "changed my mind")
    assert isinstance(error, RunCancelled)
    assert error.reason == "changed my mind"
    assert str(error) == "the run was cancelled: changed my mind"
    assert trio.current_time() == 10
    assert ledger.standing() == ["begin B"]
    assert [state for state, _ in rollback_of(error).undone] == [Step.B, Step.A]
    context = failure_context(error)
    assert context is not None
    assert (context.state, context.path) == (Step.C, (Step.A, Step.B, Step.C))


async def test_the_first_reason_stands(autojump_clock: MockClock, recorder: Recorder) -> None:
    """WFL-31: cancelled twice is cancelled once, also while it rolls back."""
    ledger = Ledger()
    workflow = saga(ledger, Slow(ledger, Step.A, Step.B, undoing=20), None)
    error = await cancelled_by_handle(4, workflow, "first", "second", "third", "fourth", observers=[recorder])
    assert isinstance(error, RunCancelled)
    assert error.reason == "first"
    assert trio.current_time() == 30
    assert [(event.status, event.error) for event in recorder.of(RunEnded)] == [(RunStatus.CANCELLED, error)]


async def test_a_cancelled_run_is_rolled_back_even_if_failures_are_held(autojump_clock: MockClock) -> None:
    """RULINGS 6: `on_failure="hold"` is for failures; who cancels wants it undone, also where the task fails of the cancel."""
    ledger = Ledger()

    async def plain() -> Literal[Step.DONE]:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cleanup")

    workflow = saga(ledger, None, error=TypeError(), on_failure="hold").with_tasks({Step.B: plain})
    error = await cancelled_by_handle(4, workflow, None)
    assert isinstance(error, OSError | RunCancelled)
    assert ledger.log == ["A", "undo A"]


async def test_the_rollback_is_shielded(autojump_clock: MockClock) -> None:
    """WFL-29: cancelled from outside a first time and a second time, every compensation comes to its end."""
    ledger = Ledger()
    tasks = [Slow(ledger, state, then, before=0, undoing=5) for state, then in [(Step.A, Step.B), (Step.B, Step.C)]]
    workflow = saga(ledger, *tasks, error=TypeError())
    with pytest.raises(TypeError), trio.move_on_after(3), trio.move_on_after(1):
        await workflow.orchestrate()
    assert ledger.log[-2:] == ["undo B", "undo A"]
    assert trio.current_time() == 10


async def test_a_cancel_passes_on_as_itself(autojump_clock: MockClock) -> None:
    """DESIGN 3.3: trio's `Cancelled` leaves the run after the rollback: bare, without a note, and only it."""
    ledger = Ledger()
    seen: list[BaseException] = []
    with trio.move_on_after(4):
        try:
            await saga(ledger, None, Slow(ledger, Step.B, Step.C, before=60, hold=1)).orchestrate()
        except BaseException as error:
            seen.append(error)
            raise
    (cancelled,) = seen
    assert type(cancelled) is trio.Cancelled
    assert not hasattr(cancelled, "__notes__")
    assert failure_context(cancelled) is None


async def test_a_failed_rollback_under_a_cancel_is_logged(
    autojump_clock: MockClock, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """WFL-30: a cancel can't carry it: what failed, what had no time and what is in doubt is logged, and in the last event."""
    ledger = Ledger()
    workflow = saga(
        ledger,
        None,
        None,
        Slow(ledger, Step.C, Step.D, before=0, undoing=1000),
        Slow(ledger, Step.D, Step.DONE, before=1000, hold=6),
        compensation_timeout=60,
    )
    with caplog.at_level(logging.WARNING, logger="cano_trio"):
        await cancelled_at(4, workflow, run_id="r", observers=[recorder])
    assert [record.getMessage() for record in caplog.records] == [
        "run 'r': C could not be undone",
        "run 'r': there was no time to undo B, A",
        "run 'r': nobody knows whether these are to be undone: D",
    ]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "WARNING"]
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error) == (RunStatus.ROLLBACK_FAILED, None)
    assert ended.rollback is not None
    assert [out.state for out in ended.rollback.outstanding] == [Step.D, Step.C, Step.B, Step.A]


async def test_a_failed_rollback_after_the_handles_cancel(autojump_clock: MockClock) -> None:
    """WFL-30: the first of a RollbackFailed is the RunCancelled."""
    ledger = Ledger()

    class Failing(Booking):
        async def compensate(self, receipt: str) -> str:
            raise TypeError

    workflow = saga(ledger, Failing(ledger, Step.A, Step.B), Slow(ledger, Step.B, Step.C), None)
    error = await cancelled_by_handle(4, workflow, "why")
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.original, RunCancelled)
    assert [type(part) for part in error.exceptions] == [RunCancelled, TypeError]


# ---- what goes wrong inside a held attempt


@pytest.mark.parametrize("options", [{}, {"attempt_timeout": 60}, {"hold": 5, "attempt_timeout": 60}], ids=repr)
@pytest.mark.parametrize("error", [TypeError("mine"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
async def test_what_an_attempt_raises_is_no_group(
    autojump_clock: MockClock, options: dict[str, Any], error: BaseException
) -> None:
    """An attempt that is watched fails with what it raised, as it was."""
    ledger = Ledger()
    with pytest.raises(type(error)) as caught:
        await saga(ledger, None, Inquiring(ledger, Step.B, Step.C, error=error, **options)).orchestrate()
    assert caught.value is error
    assert ledger.log == ["A", "begin B", "B", "look for B", "undo A"]


class Short(Booking):
    """Its effect is the last thing that it does."""

    async def run(self) -> tuple[Step, str]:
        self.ledger("begin A")
        await trio.sleep(1)
        return await super().run()


class Interrupter(Instrument):
    """Presses Ctrl-C just before the step in which the attempt that has begun comes to its end."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.pressed = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.ledger.log and not self.pressed and "orchestrate" in task.name:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("_", range(4))  # trio itself may deal with the end of the attempt first, or with the Ctrl-C
def test_an_interrupt_between_an_attempt_and_its_record(_: int) -> None:
    """A Ctrl-C after the work was done, and before the run goes on, loses no receipt and is no group."""
    ledger = Ledger()
    workflow = saga(ledger, Short(ledger, Step.A, Step.B), None)
    clock = MockClock(autojump_threshold=0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            trio.run(workflow.orchestrate, clock=clock, instruments=[Interrupter(ledger)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert ledger.log == ["begin A", "A", "undo A"]


async def test_a_users_group_passes_untouched(autojump_clock: MockClock) -> None:
    """A group that the task itself raised is its failure."""
    ledger = Ledger()
    group = ExceptionGroup("mine", [TypeError("one"), TypeError("two")])
    with pytest.raises(ExceptionGroup) as caught:
        await saga(ledger, Slow(ledger, Step.A, Step.B, error=group)).orchestrate()
    assert caught.value is group


class Crashing(Slow):
    """Its work is done in a nursery, whose child fails when it is cut off."""

    async def run(self) -> tuple[Step, str]:
        async def child() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleanup")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep_forever()
        raise AssertionError("unreachable: it sleeps for ever")


async def test_an_attempt_that_fails_as_its_hold_ends(autojump_clock: MockClock) -> None:
    """What its own nursery fails with as it is cut off is its failure, without our cancel in it, and is not lost."""
    ledger = Ledger()
    with trio.move_on_after(4), pytest.raises(ExceptionGroup) as caught:
        await saga(ledger, None, Crashing(ledger, Step.B, Step.C, hold=5, retry=Retry.none())).orchestrate()
    assert [str(error) for error in caught.value.exceptions] == ["cleanup"]
    assert rollback_of(caught.value).in_doubt == (Step.B,)
    assert ledger.log == ["A", "undo A"]
    assert trio.current_time() == 9


async def test_an_attempt_that_times_out_during_its_hold(autojump_clock: MockClock) -> None:
    """RET-8 and SAG-15 at once: its own timeout comes first, and no further attempt is made."""
    ledger = Ledger()
    task = Slow(ledger, Step.A, Step.B, before=60, attempt_timeout=6, hold=50, retry=Retry.fixed(2, delay=0))
    assert await cancelled_at(4, saga(ledger, task)) == 6
    assert ledger.log == ["begin A"]


async def test_the_last_attempt_times_out_during_its_hold(autojump_clock: MockClock) -> None:
    """A failure that no attempt follows says more than the cancel, and leaves the run in its place."""
    ledger = Ledger()
    task = Slow(ledger, Step.A, Step.B, before=60, attempt_timeout=6, retry=Retry.none())
    with pytest.raises(AttemptTimeout), trio.move_on_after(4):
        await saga(ledger, task).orchestrate()


async def test_a_saga_in_a_held_attempt(autojump_clock: MockClock) -> None:
    """G-CAN-2, WFL-34: a run inside an attempt whose hold is over is undone first, within its own bound; then the outer's."""
    ledger = Ledger()
    outer = Ledger()
    inner = saga(
        ledger, Slow(ledger, Step.A, Step.B, before=0, undoing=20), Slow(ledger, Step.B, Step.C, before=60, hold=1)
    )

    class Nesting(Booking):
        async def run(self) -> tuple[Step, str]:
            await inner.orchestrate()
            raise AssertionError("unreachable: the run inside is cancelled")

        async def compensate_in_doubt(self) -> None:
            assert ledger.standing() == ["begin A", "begin B"]
            outer("look for B")

    assert await cancelled_at(4, saga(outer, None, Nesting(outer, Step.B, Step.C, hold=5))) == 4 + 5 + 1 + 20
    assert outer.log == ["A", "look for B", "undo A"]
