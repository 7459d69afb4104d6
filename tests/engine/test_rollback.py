"""How a run that fails is undone (cano SAG-3 to SAG-8, SAG-16)."""

from __future__ import annotations

import logging
import math
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import outcome
import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    AttemptFailed,
    AttemptTimeout,
    CompensationFinished,
    CompensationSkipped,
    CompensationStarted,
    CompensationTimeout,
    DataNotEncodable,
    Outstanding,
    Resources,
    Retry,
    RetryExhausted,
    RetryScheduled,
    Rollback,
    RollbackFailed,
    RunContext,
    RunEnded,
    RunStatus,
    TooManyTransitions,
    Workflow,
    failure_context,
)
from tests.engine.ledger import Booking, Ledger, Step, failure_of, rollback_of, saga

if TYPE_CHECKING:
    from tests.conftest import Recorder

DOWN = OSError("down")


class Stubborn(Booking):
    """A booking whose compensation fails so often before it succeeds, and takes so long each time."""

    times = 100
    seconds = 0.0
    error: Exception = DOWN

    async def compensate(self, receipt: str) -> str:
        await trio.sleep(self.seconds)
        if self.times > 0:
            self.times -= 1
            raise self.error
        return await super().compensate(receipt)


# ---- order


@pytest.mark.parametrize("steps", range(4))
async def test_last_things_first(steps: int) -> None:
    """SAG-3: whatever step fails, exactly what was done before it is undone, in reverse; the failing one has no entry."""
    ledger = Ledger()
    error = TypeError("wrong")
    assert await failure_of(saga(ledger, *[None] * steps, error=error)) is error
    done = ["A", "B", "C"][:steps]
    assert ledger.log == done + [f"undo {name}" for name in reversed(done)]


async def test_a_run_that_ends_well_undoes_nothing(recorder: Recorder) -> None:
    """SAG-1: compensations are for failures alone, and an end without one tells no rollback."""
    ledger = Ledger()
    assert await saga(ledger, None, None, None).orchestrate(observers=[recorder]) is Step.DONE
    assert ledger.log == ["A", "B", "C"]
    assert [event.rollback for event in recorder.of(RunEnded)] == [None]
    assert not recorder.of(CompensationStarted)


async def test_plain_tasks_in_between_are_left_alone() -> None:
    """SAG-3: only compensatable work is undone."""
    ledger = Ledger()

    async def just_go_on() -> Literal[Step.C]:
        ledger("plain")
        return Step.C

    mixed = Workflow(Step, initial=Step.A, exits=[Step.DONE])
    mixed.register(Step.A, Booking(ledger, Step.A, Step.B))
    mixed.register(Step.B, just_go_on)

    @mixed.compensatable(Step.C)
    async def book() -> tuple[Literal[Step.D], str]:
        return Step.D, "C"

    @book.compensate
    async def unbook(receipt: str) -> None:
        ledger(f"undo {receipt}")

    @mixed.router(Step.D)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    await failure_of(mixed)
    assert ledger.log == ["A", "plain", "undo C", "undo A"]


async def test_too_many_transitions_are_undone() -> None:
    """WFL-13: the end of an endless loop is a failure like any."""
    ledger = Ledger()
    workflow = saga(ledger, Booking(ledger, Step.A, Step.A), max_transitions=3)
    assert isinstance(await failure_of(workflow), TooManyTransitions)
    assert ledger.log == ["A"] * 3 + ["undo A"] * 3


# ---- it never stops early


async def test_goes_on_past_what_fails() -> None:
    """SAG-4, SAG-8: each is tried to its end whatever the others come to; the failures follow the run's own, in order."""
    ledger = Ledger()
    first, second = OSError("first"), TypeError("second")
    workflow = saga(
        ledger,
        Stubborn(ledger, Step.A, Step.B, error=second),
        None,
        Stubborn(ledger, Step.C, Step.D, error=first, compensate_retry=Retry.none()),
        error=DOWN,
    )
    error = await failure_of(workflow)
    assert isinstance(error, RollbackFailed)
    assert error.exceptions == (DOWN, first, second)
    assert error.original is DOWN
    assert error.__cause__ is DOWN
    assert error.message == "the run failed, and was not rolled back in full: 2 compensations failed"
    assert ledger.log == ["A", "B", "C", "undo B"]


class Crashing(Booking):
    """Its compensation works in a nursery whose child fails when it is cut off."""

    async def compensate(self, receipt: str) -> str:
        async def child() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleanup")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep_forever()


async def test_goes_on_past_a_group_of_cancels_and_failures(autojump_clock: MockClock) -> None:
    """SAG-4: what a compensation's own nursery fails with as it is cut off is that compensation's failure, no more."""
    ledger = Ledger()
    workflow = saga(ledger, None, Crashing(ledger, Step.B, Step.C), error=DOWN, compensation_timeout=5)
    error = await failure_of(workflow)
    assert isinstance(error, RollbackFailed)
    _, group = error.exceptions
    assert isinstance(group, ExceptionGroup)
    assert [str(part) for part in group.exceptions] == ["cleanup"]
    assert error.left == (Step.A,)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
async def test_an_interrupt_rolls_back_too(error: BaseException, recorder: Recorder) -> None:
    """A BaseException that ends a run passes on as it is, after all has been undone."""
    ledger = Ledger()

    async def stop() -> Literal[Step.DONE]:
        raise error

    workflow = saga(ledger, None, None, error=DOWN).with_tasks({Step.C: stop})
    with pytest.raises(type(error)) as caught:
        await workflow.orchestrate(observers=[recorder])
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert ledger.log == ["A", "B", "undo B", "undo A"]
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error) == (RunStatus.ROLLED_BACK, error)


async def test_a_second_interrupt_breaks_the_rollback_off(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """A Ctrl-C in a compensation is no failure of it: it leaves at once; the run's end is told, its failure is logged.

    So is what is not undone, the state that was being undone included; the run's own state is where it failed.
    """
    ledger = Ledger()
    interrupt = KeyboardInterrupt()

    class Interrupted(Booking):
        async def compensate(self, receipt: str) -> str:
            raise interrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        await saga(ledger, None, Interrupted(ledger, Step.B, Step.C), error=DOWN).orchestrate(observers=[recorder])
    assert caught.value is interrupt
    assert ledger.log == ["A", "B"]
    (ended,) = recorder.of(RunEnded)
    assert (ended.status, ended.error, ended.state) == (RunStatus.ROLLBACK_FAILED, interrupt, Step.C)
    (record,) = caplog.records
    assert record.message.endswith("was broken off by KeyboardInterrupt() and leaves B, A")
    assert record.exc_info is not None
    assert record.exc_info[1] is DOWN


async def test_a_coroutine_that_is_closed_undoes_nothing(recorder: Recorder) -> None:
    """What is thrown away halfway can't wait for anything any more; its end is told."""
    ledger = Ledger()

    async def forever() -> Literal[Step.DONE]:
        await trio.sleep_forever()
        raise AssertionError("unreachable: it sleeps for ever")

    workflow = saga(ledger, Booking(ledger, Step.A, Step.B, hold=math.inf), error=DOWN).with_tasks({Step.B: forever})
    coroutine = workflow.orchestrate(observers=[recorder])
    coroutine.send(None)  # the checkpoint of its beginning
    coroutine.send(outcome.Value(None))
    coroutine.close()
    assert ledger.log == ["A"]
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.FAILED]


# ---- retry and bounds


async def test_compensations_have_their_own_retry(autojump_clock: MockClock, recorder: Recorder) -> None:
    """G-SAG-2: a failed compensation is tried again by its own policy, whatever that of the work is."""
    ledger = Ledger()
    task = Stubborn(
        ledger, Step.A, Step.B, times=2, retry=Retry.none(), compensate_retry=Retry.fixed(2, delay=3), name="book"
    )
    error = await failure_of(saga(ledger, task, error=DOWN), observers=[recorder])
    assert error is DOWN
    assert ledger.log == ["A", "undo A"]
    assert trio.current_time() == 6
    assert [(event.task, event.attempt) for event in recorder.of(AttemptFailed)][1:] == [
        ("book.compensate", 1),
        ("book.compensate", 2),
    ]
    assert [event.state for event in recorder.of(RetryScheduled)] == [Step.A, Step.A]


async def test_a_compensation_is_tried_four_times_by_default(autojump_clock: MockClock) -> None:
    """G-SAG-2: the default is a few tries."""
    ledger = Ledger()
    task = Stubborn(ledger, Step.A, Step.B, retry=Retry.none())
    error = await failure_of(saga(ledger, task, error=DOWN))
    assert task.times == 96
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.exceptions[1], RetryExhausted)
    assert error.exceptions[1].last is DOWN


async def test_each_attempt_gets_a_receipt_of_its_own() -> None:
    """SAG-1: what a failed attempt at a compensation did to its receipt, and the work after it was done, nobody sees."""
    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE])
    kept = ["sku"]
    seen: list[list[str]] = []

    @workflow.compensatable(Step.A, compensate_retry=Retry.fixed(2, delay=0))
    async def reserve() -> tuple[Literal[Step.B], list[str]]:
        return Step.B, kept

    @reserve.compensate
    async def free(items: list[str]) -> None:
        seen.append([*items])
        items.clear()
        if len(seen) < 3:
            raise DOWN

    @workflow.task(Step.B, retry=Retry.none())
    async def fail() -> Literal[Step.DONE]:
        kept.append("changed")
        raise DOWN

    assert await failure_of(workflow) is DOWN
    assert seen == [["sku"]] * 3
    assert kept == ["sku", "changed"]


async def test_attempts_at_a_compensation_are_bounded(autojump_clock: MockClock) -> None:
    """SAG-5: each by the `compensate_timeout`; one that hangs is tried again, and given up in the end."""
    ledger = Ledger()
    task = Stubborn(
        ledger, Step.B, Step.C, seconds=60, compensate_timeout=2, compensate_retry=Retry.fixed(1, delay=1), name="book"
    )
    error = await failure_of(saga(ledger, None, task, error=DOWN))
    assert isinstance(error, RollbackFailed)
    (_, exhausted) = error.exceptions
    assert isinstance(exhausted, RetryExhausted)
    assert isinstance(exhausted.last, AttemptTimeout)
    assert (exhausted.last.task, exhausted.last.limit) == ("book.compensate", 2)
    assert trio.current_time() == 5
    assert ledger.log == ["A", "B", "undo A"]


async def test_the_attempt_timeout_bounds_compensations_too(autojump_clock: MockClock) -> None:
    """SAG-5: it does where there is no `compensate_timeout`."""
    ledger = Ledger()
    task = Stubborn(ledger, Step.A, Step.B, seconds=60, attempt_timeout=4, compensate_retry=Retry.none())
    error = await failure_of(saga(ledger, task, error=DOWN))
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.exceptions[1], AttemptTimeout)
    assert trio.current_time() == 4


async def test_all_compensations_together_are_bounded(autojump_clock: MockClock, recorder: Recorder) -> None:
    """SAG-6, G-CAN-6: the `compensation_timeout` holds without any run timeout; what has no time is not tried, and listed."""
    ledger = Ledger()
    slow = Stubborn(ledger, Step.C, Step.D, times=0, seconds=4)
    hung = Stubborn(ledger, Step.B, Step.C, times=0, seconds=60, name="book")
    workflow = saga(ledger, None, hung, slow, error=DOWN, compensation_timeout=10)
    error = await failure_of(workflow, observers=[recorder])
    assert isinstance(error, RollbackFailed)
    assert trio.current_time() == 10
    assert error.left == (Step.A,)
    cut = error.exceptions[1]
    assert isinstance(cut, CompensationTimeout)
    assert (cut.task, cut.limit) == ("book.compensate", 10)
    rollback = rollback_of(error)
    assert rollback.undone == ((Step.C, "C is undone"),)
    assert rollback.failed == ((Step.B, cut),)
    assert (rollback.left, rollback.elapsed, rollback.clean) == ((Step.A,), 10, False)
    assert [(event.state, event.task, event.reason) for event in recorder.of(CompensationSkipped)] == [
        (Step.A, "Booking", "no time")
    ]


async def test_a_compensation_cut_off_before_its_next_attempt(autojump_clock: MockClock) -> None:
    """SAG-6: what its latest attempt failed with is not lost: the CompensationTimeout comes of it."""
    ledger = Ledger()
    wrong = OSError("wrong")
    task = Stubborn(ledger, Step.A, Step.B, error=wrong, compensate_retry=Retry.fixed(100, delay=4))
    error = await failure_of(saga(ledger, task, error=DOWN, compensation_timeout=10))
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.exceptions[1], CompensationTimeout)
    assert error.exceptions[1].__cause__ is wrong
    assert task.times == 97
    assert trio.current_time() == 10


async def test_a_compensation_that_ends_with_its_time_is_done(autojump_clock: MockClock) -> None:
    """The bound of the whole and that of an attempt at the same instant: the whole is over, and is what is told."""
    ledger = Ledger()
    task = Stubborn(ledger, Step.A, Step.B, seconds=60, compensate_timeout=5)
    error = await failure_of(saga(ledger, task, error=DOWN, compensation_timeout=5))
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.exceptions[1], CompensationTimeout)


async def test_the_bound_may_be_infinite(autojump_clock: MockClock) -> None:
    """A compensation may take its time where the workflow gives it."""
    ledger = Ledger()
    task = Stubborn(ledger, Step.A, Step.B, times=0, seconds=1e6)
    assert await failure_of(saga(ledger, task, error=DOWN, compensation_timeout=float("inf"))) is DOWN
    assert ledger.standing() == []


# ---- what it tells


async def test_report_of_a_clean_rollback(autojump_clock: MockClock) -> None:
    """SAG-8: the run's own failure leaves, as it was, with what was undone as an attribute and a note."""
    ledger = Ledger()
    error = await failure_of(saga(ledger, None, Stubborn(ledger, Step.B, Step.C, times=0, seconds=2), error=DOWN))
    assert error is DOWN
    assert error.__notes__[1:] == ["cano_trio: rolled back B, A"]
    assert rollback_of(error) == Rollback(undone=((Step.B, "B is undone"), (Step.A, "A is undone")), elapsed=2)


async def test_what_is_outstanding_can_be_undone_by_hand(autojump_clock: MockClock) -> None:
    """SAG-6, SAG-7: what failed and what had no time is told with its receipt and the key under which it was done."""
    ledger = Ledger()
    workflow = saga(ledger, None, Crashing(ledger, Step.B, Step.C), error=DOWN, compensation_timeout=5)
    rollback = rollback_of(await failure_of(workflow, run_id="r"))
    assert rollback.outstanding == (
        Outstanding(state=Step.B, key="r/1", receipt="B"),
        Outstanding(state=Step.A, key="r/0", receipt="A"),
    )
    assert str(rollback) == "cano_trio: failed to undo B; had no time to undo A"


async def test_a_failed_rollback_has_the_context_of_the_run() -> None:
    """ERR-5, SAG-8: `failure_context` tells of a RollbackFailed where the run failed, as it does of the failure inside."""
    ledger = Ledger()
    task = Stubborn(ledger, Step.A, Step.B, error=TypeError())
    error = await failure_of(saga(ledger, task, error=DOWN), run_id="r")
    assert isinstance(error, RollbackFailed)
    context = failure_context(error)
    assert context == failure_context(error.original)
    assert context is not None
    assert (context.run_id, context.state, context.path) == ("r", Step.B, (Step.A, Step.B))
    assert error.__notes__ == [
        "cano_trio: state=B attempts=1 path=[A, B] run=r",
        "cano_trio: failed to undo A",
    ]


async def test_retried_compensations_are_no_attempts_of_the_state_that_failed(autojump_clock: MockClock) -> None:
    """However often a compensation is tried, the failure tells how many attempts the state itself made."""
    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="w")

    @workflow.compensatable(Step.A)
    async def book() -> tuple[Literal[Step.B], str]:
        return Step.B, "receipt"

    @book.compensate
    async def undo(_: str) -> None:
        raise DOWN

    @workflow.task(Step.B, retry=Retry.none())
    async def fail() -> Literal[Step.DONE]:
        raise OSError("off")

    with pytest.raises(RollbackFailed) as caught:
        await workflow.run()
    context = failure_context(caught.value)
    assert context is not None
    assert (context.state, context.attempts) == (Step.B, 1)


async def test_an_exception_raised_again_tells_of_the_newest_rollback() -> None:
    """ERR-5: one exception object in one run after the other tells of one rollback, the last."""
    ledger = Ledger()
    error = TypeError("kept")
    for run_id in ("first", "second"):
        await failure_of(saga(ledger, None, error=error), run_id=run_id)
    assert error.__notes__ == [
        "cano_trio: state=B attempts=1 path=[A, B] run=second",
        "cano_trio: rolled back A",
    ]
    (again,) = [await failure_of(saga(ledger, error=error), run_id="third")]
    assert again.__notes__ == ["cano_trio: state=A attempts=1 path=[A] run=third"]


def around(inner: Workflow[Step], ledger: Ledger, *tasks: Any) -> Workflow[Step]:
    """A saga whose last task runs another workflow."""

    async def nested() -> Literal[Step.DONE]:
        await inner.orchestrate(run_id="inner")
        return Step.DONE

    outer = saga(ledger, *tasks, error=DOWN)
    return outer.with_tasks({[*outer.blueprint()][-1]: nested})


async def test_rollbacks_of_a_run_inside_a_run() -> None:
    """ERR-5, WFL-34: each undoes its own, the inner one first; the context stays the inner run's, with its rollback."""
    ledger = Ledger()
    error = TypeError("deep")
    outer = around(saga(ledger, None, error=error), ledger, None, None)
    assert await failure_of(outer) is error
    assert ledger.log == ["A", "B", "A", "undo A", "undo B", "undo A"]
    assert rollback_of(error).undone == ((Step.A, "A is undone"),)
    assert error.__notes__ == [
        "cano_trio: state=B attempts=1 path=[A, B] run=inner",
        "cano_trio: rolled back A",
        "cano_trio: rolled back B, A",
    ]


async def test_a_failed_rollback_is_not_tried_again() -> None:
    """G-SAG-5: a task whose own workflow could not be undone is not run once more on top of what stands."""
    ledger = Ledger()
    inner = saga(ledger, Stubborn(ledger, Step.A, Step.B, error=TypeError()), error=DOWN)

    async def nested() -> Literal[Step.DONE]:
        await inner.orchestrate()
        return Step.DONE

    outer = Workflow(Step, initial=Step.A, exits=[Step.DONE, Step.FAILED])
    outer.register(Step.A, nested, retry=Retry.fixed(3, delay=0), on_error={RollbackFailed: Step.FAILED})
    assert await outer.orchestrate() is Step.FAILED
    assert ledger.log == ["A"]


async def test_failed_rollbacks_never_nest() -> None:
    """ERR-6: a RollbackFailed that another would hold gives that one its exceptions, in order, and what it had left."""
    ledger = Ledger()
    first, second = TypeError("first"), TypeError("second")
    inner = saga(ledger, Stubborn(ledger, Step.A, Step.B, error=first), error=DOWN)
    outer = around(inner, ledger, Stubborn(ledger, Step.A, Step.B, error=second))
    error = await failure_of(outer)
    assert isinstance(error, RollbackFailed)
    assert error.exceptions == (DOWN, first, second)
    assert isinstance(error.__cause__, RollbackFailed)


async def test_events(recorder: Recorder) -> None:
    """SAG-16, G-SAG-3: each compensation is told when it begins and when it has ended, in the state whose work it undoes."""
    ledger = Ledger()
    wrong = TypeError("wrong")
    workflow = saga(ledger, Stubborn(ledger, Step.A, Step.B, error=wrong), None, error=DOWN)
    error = await failure_of(workflow, observers=[recorder])
    told = [event for event in recorder.events if isinstance(event, CompensationStarted | CompensationFinished)]
    assert [(type(event).__name__, event.state, event.task) for event in told] == [
        ("CompensationStarted", Step.B, "Booking.compensate"),
        ("CompensationFinished", Step.B, "Booking.compensate"),
        ("CompensationStarted", Step.A, "Stubborn.compensate"),
        ("CompensationFinished", Step.A, "Stubborn.compensate"),
    ]
    assert [event.in_doubt for event in recorder.of(CompensationStarted)] == [False, False]
    assert [event.error for event in recorder.of(CompensationFinished)] == [None, wrong]
    (ended,) = recorder.of(RunEnded)
    assert recorder.events[-1] is ended
    assert (ended.state, ended.status, ended.error) == (Step.C, RunStatus.ROLLBACK_FAILED, error)
    assert ended.rollback == rollback_of(error)


@pytest.mark.parametrize("steps, status", [(0, RunStatus.FAILED), (1, RunStatus.ROLLED_BACK)])
async def test_status_of_a_failed_saga(steps: int, status: RunStatus, recorder: Recorder) -> None:
    """SAG-8: with something undone it is rolled back; where nothing was to be undone it has failed, and may be retried."""
    await failure_of(saga(Ledger(), *[None] * steps, error=DOWN), observers=[recorder])
    assert [event.status for event in recorder.of(RunEnded)] == [status]


async def test_a_failed_run_may_be_held(recorder: Recorder) -> None:
    """RULINGS 6: with `on_failure="hold"` nothing is undone; that is left to the operator."""
    ledger = Ledger()
    assert await failure_of(saga(ledger, None, error=DOWN, on_failure="hold"), observers=[recorder]) is DOWN
    assert ledger.log == ["A"]
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.FAILED]


# ---- what a compensation is given


@dataclass
class Order:
    sku: str
    notes: list[str] = field(default_factory=list)


class Bank:
    def __init__(self) -> None:
        self.keys: list[tuple[str | None, ...]] = []


async def test_a_compensation_is_injected_like_any_task() -> None:
    """SAG-14: after its receipt it takes resources, the context and the run's data; its key tells the work's."""
    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE], data=Order)
    bank = Bank()

    @workflow.compensatable(Step.A)
    async def charge(order: Order, ctx: RunContext, bank: Bank) -> tuple[Literal[Step.B], str]:
        bank.keys.append((ctx.idempotency_key, ctx.forward_key))
        order.notes.append("charged")
        return Step.B, order.sku

    @charge.compensate
    async def refund(receipt: str, ctx: RunContext, *, bank: Bank, order: Order) -> None:
        bank.keys.append((ctx.idempotency_key, ctx.forward_key, receipt, order.notes[0], ctx.state.name))
        assert (ctx.visit, ctx.attempt, ctx.seq, ctx.error) == (1, 1, 0, None)

    @workflow.task(Step.B)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    error = await failure_of(workflow, data=Order("W-7"), resources=Resources(bank=bank), run_id="r")
    assert type(error) is TypeError
    assert bank.keys == [("r/0", None), ("r/0/undo", "r/0", "W-7", "charged", "A")]


async def test_a_compensation_is_not_told_of_another_states_failure() -> None:
    """`ctx.error` is what an `on_error` led to the state by; where the run stopped has nothing to do with what is undone."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE])
    told: list[BaseException | None] = []

    @work.compensatable(Step.A)
    async def do() -> tuple[Literal[Step.B], int]:
        return Step.B, 1

    @do.compensate
    async def undo(receipt: int, ctx: RunContext) -> None:
        told.append(ctx.error)

    @work.task(Step.B, retry=Retry.none(), on_error={OSError: Step.C})
    async def fail() -> Literal[Step.DONE]:
        raise DOWN

    @work.task(Step.C)
    async def fail_again(ctx: RunContext) -> Literal[Step.DONE]:
        told.append(ctx.error)
        raise TypeError

    await failure_of(work)
    assert told == [DOWN, None]


async def test_compensations_write_the_data(autojump_clock: MockClock) -> None:
    """RULINGS 4: what one has written the next finds; what a failed attempt, or the state that failed, wrote is gone."""
    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE], data=Order)
    seen: list[list[str]] = []
    calls: list[None] = []

    def book(state: Step, then: Step) -> None:
        @workflow.compensatable(state, name=state.name)
        async def work(order: Order) -> tuple[Step, str]:
            order.notes.append(state.name)
            return then, state.name

        @work.compensate
        async def undo(receipt: str, order: Order) -> None:
            seen.append([*order.notes])
            order.notes.append(f"undo {receipt}")
            calls.append(None)
            if len(calls) == 1:
                raise DOWN

    book(Step.A, Step.B)
    book(Step.B, Step.C)

    @workflow.task(Step.C)
    async def fail(order: Order) -> Literal[Step.DONE]:
        order.notes.append("lost")
        raise TypeError

    assert type(await failure_of(workflow, data=Order("W-7"))) is TypeError
    assert seen == [["A", "B"], ["A", "B"], ["A", "B", "undo B"]]


async def test_data_that_a_compensation_makes_unwritable() -> None:
    """RULINGS 4: data that can't be written down fail the compensation that made them so, and no other."""
    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE], data=Order)
    ledger = Ledger()
    workflow.register(Step.A, Booking(ledger, Step.A, Step.B))

    @workflow.compensatable(Step.B)
    async def work() -> tuple[Literal[Step.C], str]:
        return Step.C, ""

    @work.compensate
    async def undo(receipt: str, order: Order) -> None:
        order.notes.append(3)  # type: ignore[arg-type]

    @workflow.task(Step.C)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    error = await failure_of(workflow, data=Order("W-7"))
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.exceptions[1], DataNotEncodable)
    assert ledger.log == ["A", "undo A"]


async def test_resources_are_open_during_the_rollback() -> None:
    """RES-3: they are torn down after the last compensation."""
    log: list[str] = []

    class Connection:
        async def teardown(self) -> None:
            log.append("closed")

    workflow = Workflow(Step, initial=Step.A, exits=[Step.DONE], resources=Resources(connection=Connection()))

    @workflow.compensatable(Step.A)
    async def work(connection: Connection) -> tuple[Literal[Step.B], int]:
        return Step.B, 1

    @work.compensate
    async def undo(receipt: int, connection: Connection) -> None:
        log.append("undone")

    @workflow.task(Step.B)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    await failure_of(workflow)
    assert log == ["undone", "closed"]


async def test_the_failure_is_not_the_context_of_a_compensations() -> None:
    """A compensation's traceback tells of the compensation: it did not happen "during handling" of the run's failure."""
    ledger = Ledger()
    wrong = TypeError("wrong")
    error = await failure_of(saga(ledger, Stubborn(ledger, Step.A, Step.B, error=wrong), error=DOWN))
    assert isinstance(error, RollbackFailed)
    assert (wrong.__context__, wrong.__cause__) == (None, None)


async def test_a_frozen_exception_leaves_a_saga_as_itself() -> None:
    """ERR-5: one that refuses attributes and notes is raised all the same, after the rollback."""

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    ledger = Ledger()
    error = Frozen()
    assert await failure_of(saga(ledger, None, error=error)) is error
    assert ledger.standing() == []


async def test_a_failed_rollback_splits_and_pickles() -> None:
    """A part of a RollbackFailed, and one from another process, is one, with what was left and what is outstanding."""
    ledger = Ledger()
    task = Stubborn(ledger, Step.A, Step.B, error=TypeError("wrong"))
    error = await failure_of(saga(ledger, task, error=DOWN))
    assert isinstance(error, RollbackFailed)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.left) == (RollbackFailed, str(error), error.left)
    assert rollback_of(back).outstanding == rollback_of(error).outstanding
    assert [repr(part) for part in back.exceptions] == ["OSError('down')", "TypeError('wrong')"]
    part = error.subgroup(TypeError)
    assert isinstance(part, RollbackFailed)
    assert part.__notes__ == error.__notes__
    assert failure_context(part) == failure_context(error)


def test_a_long_rollback_in_one_line() -> None:
    """A note names the first 20 states of a kind, and counts the others."""
    undone = ((Step.A, None),) * 1234
    assert str(Rollback(undone=undone)) == f"cano_trio: rolled back {', '.join('A' * 20)} and 1,214 more"


def test_the_shape_of_a_report() -> None:
    """A rollback of nothing says so."""
    assert (str(Rollback()), Rollback().clean) == ("cano_trio: nothing to roll back", True)


def test_nothing_is_logged_about_a_clean_rollback(caplog: pytest.LogCaptureFixture) -> None:
    """What the error tells needs no log."""
    with caplog.at_level(logging.DEBUG, logger="cano_trio"), pytest.raises(OSError):
        trio.run(saga(Ledger(), None, error=DOWN).orchestrate)
    assert not caplog.records
