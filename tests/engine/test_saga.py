"""Work that can be undone: what is remembered of it, and how (cano SAG-1, SAG-2, SAG-9 to SAG-14)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    CompensatableTask,
    CompensationSkipped,
    CompensationStarted,
    DataNotEncodable,
    DataTooLarge,
    DefinitionError,
    IllegalTransition,
    Outstanding,
    Retry,
    RetryExhausted,
    RollbackFailed,
    RunContext,
    RunEnded,
    RunStatus,
    Workflow,
    failure_context,
)
from tests.engine.ledger import Booking, Ledger, Step, failure_of, rollback_of, saga

if TYPE_CHECKING:
    from tests.conftest import Recorder

DOWN = OSError("down")


def workflow(**options: Any) -> Workflow[Step]:
    return Workflow(Step, initial=Step.A, exits=[Step.DONE, Step.FAILED], **options)


# ---- both forms


async def test_class_form() -> None:
    """SAG-1: `run` gives the next state and a receipt; when the run fails, `compensate` gets the receipt."""
    ledger = Ledger()
    assert await failure_of(saga(ledger, None, error=DOWN)) is DOWN
    assert ledger.log == ["A", "undo A"]


async def test_function_form() -> None:
    """SAG-1: the decorated function is still a function, on which the other two are hung."""
    work = workflow()
    log: list[object] = []

    @work.compensatable(Step.A)
    async def reserve(amount: int = 3) -> tuple[Literal[Step.B], int]:
        return Step.B, amount

    @reserve.compensate
    async def free(receipt: int) -> None:
        log.append(receipt)

    @work.task(Step.B)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    await failure_of(work)
    assert log == [3]
    assert await reserve(4) == (Step.B, 4)
    assert await free(5) is None
    assert log == [3, 5]


async def test_bare_state() -> None:
    """RULINGS 3.7: work that returns a state alone has done nothing, and there is nothing to undo."""
    work = workflow()

    @work.compensatable(Step.A)
    async def maybe() -> tuple[Literal[Step.B], int] | Literal[Step.B]:
        return Step.B

    @maybe.compensate
    async def undo(receipt: int) -> None:
        raise AssertionError

    @work.task(Step.B)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    error = await failure_of(work)
    context = failure_context(error)
    assert context is not None
    assert context.rollback is None


async def test_states_that_are_tuples() -> None:
    """A bare state may be a pair itself, and is not taken apart."""

    class Place(tuple[int, int], Enum):  # noqa: SLOT001
        HERE = (0, 0)
        THERE = (1, 1)

    work = Workflow(Place, initial=Place.HERE, exits=[Place.THERE])

    @work.compensatable(Place.HERE)
    async def go() -> tuple[Place, int] | Place:
        return Place.THERE

    @go.compensate
    async def back(receipt: int) -> None: ...

    assert await work.orchestrate() is Place.THERE


# ---- receipts


@dataclass
class Reservation:
    items: list[str]
    amount: int | None = None


@pytest.mark.parametrize("receipt", [None, 3, "x", Reservation(["a"], 2)], ids=repr)
async def test_receipts_of_several_types(receipt: int | str | Reservation | None) -> None:
    """A receipt comes back as what it was, of whichever of its types."""
    work = workflow()
    seen: list[object] = []

    @work.compensatable(Step.A)
    async def do() -> tuple[Literal[Step.B], int | str] | tuple[Literal[Step.C], Reservation | None]:
        return (Step.B, receipt) if isinstance(receipt, int | str) else (Step.C, receipt)

    @do.compensate
    async def undo(taken: int | str | Reservation | None) -> None:
        seen.append(taken)

    @work.task(Step.B)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    work.register(Step.C, fail)
    await failure_of(work)
    assert seen == [receipt]


@pytest.mark.parametrize(
    "receipt, why", [(float("nan"), DataNotEncodable), ("x" * 1_100_000, DataTooLarge)], ids=["nan", "large"]
)
async def test_a_receipt_that_can_not_be_written(receipt: Any, why: type[Exception]) -> None:
    """SAG-9, G-SAG-5: it fails the state at once, without another attempt; the work is undone by the receipt as it is."""
    work = workflow()
    log: list[object] = []

    @work.compensatable(Step.A, retry=Retry.fixed(3, delay=0))
    async def do() -> tuple[Literal[Step.DONE], float | str]:
        log.append("done")
        return Step.DONE, receipt

    @do.compensate
    async def undo(taken: float | str) -> None:
        log.append(taken)

    error = await failure_of(work)
    assert type(error) is why
    assert log == ["done", receipt]
    assert log[1] is receipt


async def test_undoing_an_unwritable_receipt_may_fail(autojump_clock: MockClock) -> None:
    """G-SAG-5: that is a compensation like any: tried again, and told, with the receipt."""
    work = workflow()
    nan = float("nan")
    attempts: list[float] = []

    @work.compensatable(Step.A)
    async def do() -> tuple[Literal[Step.DONE], float]:
        return Step.DONE, nan

    @do.compensate
    async def undo(taken: float) -> None:
        attempts.append(taken)
        raise DOWN

    error = await failure_of(work)
    assert isinstance(error, RollbackFailed)
    assert isinstance(error.original, DataNotEncodable)
    assert isinstance(error.exceptions[1], RetryExhausted)
    assert attempts == [nan] * 4
    assert rollback_of(error).outstanding[0].receipt is nan


def test_a_receipt_of_a_type_that_can_not_be_written() -> None:
    """E23: it is refused before anything runs, where the annotation tells."""
    work = workflow()

    @work.compensatable(Step.A)
    async def do() -> tuple[Literal[Step.DONE], complex]:
        return Step.DONE, 1j

    @do.compensate
    async def undo(taken: complex) -> None: ...

    with pytest.raises(
        DefinitionError, match=r"E23 A: do\.run: its receipt can't be written down as JSON: complex"
    ) as caught:
        work.validate()
    assert len(caught.value.problems) == 1


# ---- what else a state may come to


@pytest.mark.parametrize(
    "result", [(Step.D, "receipt"), (None, "receipt")], ids=["a state it does not name", "no state"]
)
async def test_an_illegal_transition_with_a_receipt(result: Any) -> None:
    """SAG-9: what was done on the way to a wrong state is undone."""
    work = workflow()
    log: list[str] = []

    @work.compensatable(Step.A)
    async def do() -> tuple[Literal[Step.DONE], str]:
        return result  # type: ignore[no-any-return]

    @do.compensate
    async def undo(taken: str) -> None:
        log.append(taken)

    assert isinstance(await failure_of(work), IllegalTransition)
    assert log == ["receipt"]


@pytest.mark.parametrize("result", [None, "receipt", (Step.DONE, "receipt", 3)], ids=repr)
async def test_neither_a_state_nor_a_pair(result: Any) -> None:
    """An attempt that returns something else has left no receipt: its effect is in doubt."""
    work = workflow()

    @work.compensatable(Step.A)
    async def do() -> tuple[Literal[Step.DONE], str]:
        return result  # type: ignore[no-any-return]

    @do.compensate
    async def undo(taken: str) -> None:
        raise AssertionError

    error = await failure_of(work)
    assert isinstance(error, IllegalTransition)
    assert rollback_of(error).in_doubt == (Step.A,)


async def test_data_that_can_not_be_written_after_the_work() -> None:
    """SAG-2: the receipt was kept before; the work is undone."""
    ledger = Ledger()
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE], data=Reservation)

    @work.compensatable(Step.A)
    async def do(data: Reservation) -> tuple[Literal[Step.DONE], str]:
        ledger("A")
        data.items.append(3)  # type: ignore[arg-type]
        return Step.DONE, "A"

    @do.compensate
    async def undo(taken: str, data: Reservation) -> None:
        assert data.items == []
        ledger(f"undo {taken}")

    assert isinstance(await failure_of(work, data=Reservation([])), DataNotEncodable)
    assert ledger.standing() == []


async def test_diverted_with_a_receipt() -> None:
    """Where an `on_error` leads on from work that was done, it is undone only if the run fails later."""
    ledger = Ledger()

    def leading_to(state: Step) -> Workflow[Step]:
        work = workflow()

        @work.compensatable(Step.A, on_error={DataNotEncodable: state})
        async def do() -> tuple[Literal[Step.DONE, Step.B], float]:
            ledger("nan")
            return Step.DONE, float("nan")

        @do.compensate
        async def undo(taken: float) -> None:
            ledger(f"undo {taken}")

        @work.task(Step.B)
        async def fail() -> Literal[Step.DONE]:
            raise TypeError

        return work

    assert await leading_to(Step.FAILED).orchestrate() is Step.FAILED
    assert ledger.log == ["nan"]
    assert type(await failure_of(leading_to(Step.B))) is TypeError
    assert ledger.log == ["nan", "nan", "undo nan"]


# ---- in doubt


class Doubtful(Booking):
    """A booking whose first attempts have their effect and fail: `times` of them, each after so many seconds."""

    times = 1
    seconds = 0.0
    bare = False

    async def run(self) -> Any:
        if self.times > 0:
            self.times -= 1
            self.ledger(f"try {self.state.name}")
            await trio.sleep(self.seconds)
            raise DOWN
        if self.bare:
            return self.then
        return await super().run()

    run.__annotations__["return"] = "tuple[Step, str] | Step"


class Inquiring(Doubtful):
    """It finds out by its key."""

    async def compensate_in_doubt(self, ctx: RunContext) -> str:
        self.ledger(f"look for {ctx.forward_key} by {ctx.idempotency_key}")
        return "found"


async def test_a_failed_attempt_is_in_doubt(recorder: Recorder) -> None:
    """SAG-11, RULINGS 6: it may have had its effect; the report says so, an event too, and nothing is guessed."""
    ledger = Ledger()
    error = await failure_of(
        saga(ledger, None, Doubtful(ledger, Step.B, Step.C, retry=Retry.none(), name="book")),
        observers=[recorder],
        run_id="r",
    )
    assert error is DOWN
    assert ledger.log == ["A", "try B", "undo A"]
    rollback = rollback_of(error)
    assert (rollback.in_doubt, rollback.clean) == ((Step.B,), True)
    assert rollback.outstanding == (Outstanding(state=Step.B, key="r/1", in_doubt=True),)
    assert error.__notes__[1:] == ["cano_trio: rolled back A; left in doubt B"]
    assert [(event.state, event.task, event.reason) for event in recorder.of(CompensationSkipped)] == [
        (Step.B, "book", "in doubt")
    ]
    assert [event.status for event in recorder.of(RunEnded)] == [RunStatus.ROLLED_BACK]


async def test_compensate_in_doubt(recorder: Recorder) -> None:
    """RULINGS 6: where there is a `compensate_in_doubt` it is called, first as the last thing, with the key of the work."""
    ledger = Ledger()
    error = await failure_of(
        saga(ledger, None, Inquiring(ledger, Step.B, Step.C, retry=Retry.none())), observers=[recorder], run_id="r"
    )
    assert ledger.log == ["A", "try B", "look for r/1 by r/1/undo", "undo A"]
    assert rollback_of(error).undone == ((Step.B, "found"), (Step.A, "A is undone"))
    assert rollback_of(error).outstanding == ()
    assert [(event.task, event.in_doubt) for event in recorder.of(CompensationStarted)] == [
        ("Inquiring.compensate_in_doubt", True),
        ("Booking.compensate", False),
    ]


async def test_compensate_in_doubt_is_tried_again(autojump_clock: MockClock) -> None:
    """G-SAG-2: by the same policy and bounds as `compensate`."""
    work = workflow()
    looks: list[float] = []

    @work.compensatable(Step.A, retry=Retry.none(), compensate_retry=Retry.fixed(1, delay=1), compensate_timeout=2)
    async def do() -> tuple[Literal[Step.DONE], str]:
        raise DOWN

    @do.compensate
    async def undo(taken: str) -> None:
        raise AssertionError

    @do.compensate_in_doubt
    async def find() -> None:
        looks.append(trio.current_time())
        await trio.sleep_forever()

    error = await failure_of(work)
    assert isinstance(error, RollbackFailed)
    assert looks == [0, 3]
    assert rollback_of(error).outstanding[0].in_doubt


async def test_no_time_for_what_is_in_doubt(autojump_clock: MockClock) -> None:
    """SAG-6: it is left, as is what has a receipt, and the rollback has failed."""
    ledger = Ledger()

    class Slow(Booking):
        async def compensate(self, receipt: str) -> str:
            await trio.sleep(9)
            return await super().compensate(receipt)

    first = Inquiring(ledger, Step.A, Step.B, retry=Retry.none(), on_error={OSError: Step.B})
    error = await failure_of(saga(ledger, first, Slow(ledger, Step.B, Step.C), error=DOWN, compensation_timeout=9))
    assert isinstance(error, RollbackFailed)
    assert error.left == (Step.A,)


async def test_an_attempt_that_timed_out_is_in_doubt(autojump_clock: MockClock) -> None:
    """SAG-10, SAG-11: the attempt timeout bounds the work alone, and leaves it in doubt."""
    ledger = Ledger()
    task = Doubtful(ledger, Step.A, Step.B, seconds=60, attempt_timeout=5, retry=Retry.none())
    error = await failure_of(saga(ledger, task))
    assert isinstance(error, AttemptTimeout)
    assert error.limit == 5
    assert rollback_of(error).in_doubt == (Step.A,)


async def test_a_later_attempt_settles_it(autojump_clock: MockClock) -> None:
    """RULINGS 6: attempts at one piece of work share its key and its entry; the receipt of the one that succeeds is it."""
    ledger = Ledger()
    task = Inquiring(ledger, Step.B, Step.C, times=2, seconds=60, attempt_timeout=1, retry=Retry.fixed(3, delay=0))
    error = await failure_of(saga(ledger, None, task, error=DOWN))
    assert ledger.log == ["A", "try B", "try B", "B", "undo B", "undo A"]
    assert rollback_of(error).in_doubt == ()


async def test_a_later_attempt_may_say_that_nothing_was_done() -> None:
    """RULINGS 3.7: a bare state speaks for all attempts at the work: they share its key."""
    ledger = Ledger()
    task = Inquiring(ledger, Step.B, Step.C, bare=True, retry=Retry.fixed(1, delay=0))
    await failure_of(saga(ledger, None, task, error=DOWN))
    assert ledger.log == ["A", "try B", "undo A"]


async def test_work_that_is_led_on_stays_in_doubt() -> None:
    """RULINGS 3.3: an `on_error` does not say whether it was done; it is undone, in its place, when the run fails later."""
    ledger = Ledger()
    task = Inquiring(ledger, Step.B, Step.D, retry=Retry.none(), on_error={OSError: Step.C})
    workflow = saga(ledger, None, task, None, error=TypeError())
    error = await failure_of(workflow, run_id="r")
    assert ledger.log == ["A", "try B", "C", "undo C", "look for r/1 by r/1/undo", "undo A"]
    assert rollback_of(error).in_doubt == ()


async def test_work_that_never_began_is_not_in_doubt() -> None:
    """An attempt that the breaker refused had no effect."""
    ledger = Ledger()
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1))
    with pytest.raises(OSError), guard.try_acquire():
        raise OSError
    error = await failure_of(saga(ledger, None, Booking(ledger, Step.B, Step.C, breaker=guard)))
    assert isinstance(error, CircuitOpen)
    assert rollback_of(error).in_doubt == ()
    assert ledger.log == ["A", "undo A"]


async def test_refused_after_an_attempt_is_in_doubt() -> None:
    """But the attempt before that one had begun."""
    ledger = Ledger()
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1))
    task = Doubtful(ledger, Step.B, Step.C, breaker=guard, retry=Retry.fixed(1, delay=0))
    error = await failure_of(saga(ledger, None, task))
    assert isinstance(error, CircuitOpen)
    assert rollback_of(error).in_doubt == (Step.B,)


# ---- keyed by the state's visit, not by names


async def test_two_states_with_tasks_of_one_name() -> None:
    """SAG-12, G-SAG-1: each is undone by its own compensation."""
    ledger = Ledger()
    work = workflow()

    def book(state: Step, then: Step) -> None:
        @work.compensatable(state, name="book")
        async def do() -> tuple[Step, str]:
            return then, state.name

        @do.compensate
        async def undo(receipt: str) -> None:
            ledger(f"{state.name} gets {receipt}")

    book(Step.A, Step.B)
    book(Step.B, Step.C)

    @work.task(Step.C)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError

    await failure_of(work)
    assert ledger.log == ["B gets B", "A gets A"]


async def test_one_task_object_in_two_states() -> None:
    """G-SAG-1: so is one object that does the work of both."""
    ledger = Ledger()

    class Twice(CompensatableTask[Step, str]):
        async def run(self, ctx: RunContext) -> tuple[Step, str]:
            return (Step.B if ctx.state is Step.A else Step.C), ctx.idempotency_key

        async def compensate(self, receipt: str, ctx: RunContext) -> None:
            ledger(f"{ctx.state.name}: {receipt} {ctx.forward_key}")

    task = Twice()
    work = saga(ledger, task, task, error=DOWN)
    await failure_of(work, run_id="r")
    assert ledger.log == ["B: r/1 r/1", "A: r/0 r/0"]


async def test_one_state_twice() -> None:
    """Each visit is a piece of work of its own, with its own key, receipt, number, and place in the order."""
    ledger = Ledger()
    work = workflow()

    @work.compensatable(Step.A)
    async def do(ctx: RunContext) -> tuple[Literal[Step.A, Step.B], int]:
        return (Step.A if ctx.visit < 3 else Step.B), ctx.visit

    @do.compensate
    async def undo(receipt: int, ctx: RunContext) -> None:
        ledger(f"{receipt} {ctx.visit} {ctx.forward_key}")

    @work.task(Step.B)
    async def fail(ctx: RunContext) -> Literal[Step.DONE]:
        raise TypeError

    error = await failure_of(work, run_id="r")
    assert ledger.log == ["3 3 r/2", "2 2 r/1", "1 1 r/0"]
    context = failure_context(error)
    assert context is not None
    assert context.path == (Step.A, Step.A, Step.A, Step.B)


async def test_replaced_for_a_test() -> None:
    """SAG-12: `with_tasks` replaces the work together with how it is undone."""
    ledger, other = Ledger(), Ledger()
    work = saga(ledger, None, error=DOWN).with_tasks({Step.A: Booking(other, Step.A, Step.B)})
    await failure_of(work)
    assert (ledger.log, other.log) == ([], ["A", "undo A"])


async def test_many_sagas_over_one_ledger(autojump_clock: MockClock) -> None:
    """SAG-17: 40 at once over one workflow, failing at every step: what is rolled back nets to nothing, the rest stands."""
    balance: dict[str, int] = {}
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE], data=Reservation)

    def move(state: Step, then: Step, at: int) -> None:
        @work.compensatable(state, name=state.name)
        async def do(order: Reservation, ctx: RunContext) -> tuple[Step, int]:
            await trio.sleep(len(ctx.run_id) % 3 / 10)
            if order.amount == at:
                raise TypeError
            balance[ctx.run_id] = balance.get(ctx.run_id, 0) + at + 1
            return then, at + 1

        @do.compensate
        async def undo(receipt: int, ctx: RunContext) -> None:
            await trio.sleep(0.1)
            balance[ctx.run_id] -= receipt

    move(Step.A, Step.B, 0)
    move(Step.B, Step.C, 1)
    move(Step.C, Step.DONE, 2)

    async def run(number: int) -> None:
        try:
            await work.run(Reservation([], number % 4), run_id=f"{'x' * number}-{number % 4}")
        except TypeError:
            assert number % 4 < 3

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(run, number)
    assert {key: value for key, value in balance.items() if value} == {
        f"{'x' * number}-3": 6 for number in range(3, 40, 4)
    }


# ---- refused


@pytest.mark.parametrize(
    "options",
    [{"hold": -1}, {"hold": "x"}, {"hold": 0}, {"compensate_timeout": float("nan")}, {"compensate_retry": 3}],
    ids=repr,
)
def test_wrong_options(options: dict[str, Any]) -> None:
    """E21: an option that can't be is refused where it is given, by name."""
    (name,) = options
    with pytest.raises(DefinitionError, match=rf"E21 A: do: {name} is "):

        @workflow().compensatable(Step.A, **options)
        async def do() -> tuple[Literal[Step.DONE], int]:
            return Step.DONE, 1


def test_what_does_not_fit_together() -> None:
    """E16, E17: without `compensate`, without a receipt, or with one of another type, a task is refused by `validate`."""
    work = workflow()

    @work.compensatable(Step.A)
    async def alone() -> tuple[Literal[Step.B], int]:
        return Step.B, 1

    @work.compensatable(Step.B)
    async def nothing() -> Literal[Step.C]:
        return Step.C

    @nothing.compensate
    async def undo(receipt: int) -> None: ...

    @work.compensatable(Step.C)
    async def other() -> tuple[Literal[Step.DONE], str]:
        return Step.DONE, ""

    @other.compensate  # type: ignore[arg-type]
    async def undo_other(receipt: int) -> None: ...

    class Named(CompensatableTask[Step, int]):
        async def run(self) -> tuple[Literal[Step.DONE], str]:  # type: ignore[override]
            return Step.DONE, ""

        async def compensate(self, receipt: int) -> None: ...

    work.register(Step.D, Named())
    with pytest.raises(DefinitionError) as caught:
        work.validate()
    told = [(problem.code, problem.place, problem.message) for problem in caught.value.problems]
    assert ("E16", "A", "alone has no compensate") in told
    assert (
        "E17",
        "B",
        "nothing.run: it returns no receipt. Return (state, receipt), such as -> tuple[Literal[Step.DONE], Receipt]",
    ) in told
    assert ("E17", "C", "other.compensate: it takes a int, but other.run gives a str") in told
    assert ("E17", "D", "Named.run: its receipt is a str, but the class names int") in told


async def test_a_run_that_ends_well_tells_what_is_in_doubt() -> None:
    """Work that failed, and was led on, may have had its effect: the result names its state."""
    work = Workflow(Doubt, initial=Doubt.CHARGE, exits=[Doubt.DECLINED, Doubt.PAID])

    @work.compensatable(Doubt.CHARGE, retry=Retry.none(), on_error={OSError: Doubt.DECLINED})
    async def charge() -> tuple[Literal[Doubt.PAID], int]:
        raise OSError("no answer")

    @charge.compensate
    async def refund(receipt: int) -> None: ...

    assert (await work.run()).in_doubt == (Doubt.CHARGE,)


class Doubt(Enum):
    CHARGE = auto()
    PAID = auto()
    DECLINED = auto()
