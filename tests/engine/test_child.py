"""A workflow that does the work of another's state: inside its run, told with it, and undone with it."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    AttemptTimeout,
    BranchResults,
    CompensationStarted,
    DataNotWritable,
    DataTypeMismatch,
    DefinitionError,
    MemoryStore,
    MessageRejected,
    PerRun,
    Resources,
    Retry,
    RollbackFailed,
    Run,
    RunCancelled,
    RunContext,
    RunEnded,
    RunStarted,
    RunTimeout,
    Split,
    StateEntered,
    TaskFailed,
    TaskSucceeded,
    TooManyTransitions,
    Workflow,
    failure_context,
)
from tests.conftest import Recorder
from tests.engine.stepping import cancel_at_every_step


class Step(Enum):
    PACK = auto()
    PAY = auto()
    SHIP = auto()
    DONE = auto()
    FAILED = auto()


class Pay(Enum):
    CHARGE = auto()
    CONFIRM = auto()
    PAID = auto()
    DECLINED = auto()


class Bank(Enum):
    MOVE = auto()
    MOVED = auto()


@dataclass
class Order:
    total: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class Payment:
    amount: int
    code: str = ""


ROUTES = {Pay.PAID: Step.DONE, Pay.DECLINED: Step.FAILED}


def parent(initial: Step = Step.PAY, **options: Any) -> Workflow[Step, Any]:
    return Workflow(Step, initial=initial, exits=[Step.DONE, Step.FAILED], name="order", **options)


def child(initial: Pay = Pay.CHARGE, **options: Any) -> Workflow[Pay, Any]:
    return Workflow(Pay, initial=initial, exits=[Pay.PAID, Pay.DECLINED], name="payment", **options)


def leads(work: Any, state: Enum, following: Enum, **options: Any) -> None:
    """Add a task that goes on, or fails or waits first."""
    error, seconds = options.pop("error", None), options.pop("seconds", 0)
    told = options.pop("told", id)

    async def task(ctx: RunContext) -> Any:
        told(ctx)
        await trio.sleep(seconds)
        if error is not None:
            raise error
        return following

    task.__annotations__["return"] = Literal[following]
    work.register(state, task, **{"retry": Retry.none()} | options)


@dataclass
class Diary:
    """What is booked and undone, and how undoing goes."""

    lines: list[str] = field(default_factory=list)
    undo_fails: frozenset[Enum] = frozenset()
    undo_seconds: float = 0

    def books(self, work: Any, state: Enum, following: Enum, seconds: float = 0) -> None:
        """Add a compensatable, which notes what it books under its key, and what it undoes."""

        async def book(ctx: RunContext) -> Any:
            await trio.sleep(seconds)
            self.lines.append(f"{ctx.state.name} {ctx.idempotency_key}")
            return following, ctx.idempotency_key

        book.__annotations__["return"] = tuple[Literal[following], str]  # type: ignore[valid-type]
        task = work.compensatable(state, retry=Retry.none())(book)

        async def undo(receipt: str, ctx: RunContext) -> None:
            await trio.sleep(self.undo_seconds)
            if state in self.undo_fails:
                raise TypeError(f"{state.name} stays")
            assert receipt == ctx.forward_key
            self.lines.append(f"undo {receipt}")

        task.compensate(undo)


def undone(error: BaseException) -> list[str]:
    """The states that the rollback of a failed run has undone, as its failure tells."""
    context = failure_context(error)
    assert context is not None
    assert context.rollback is not None
    return [state.name for state, _ in context.rollback.undone]


def statuses(recorder: Recorder) -> list[tuple[str, str]]:
    """How each workflow of a run ended, in order."""
    return [(event.workflow, event.status.value) for event in recorder.of(RunEnded)]


# -- exits and events


@pytest.mark.parametrize("exit_, end", ROUTES.items())
async def test_its_exits_lead_on(exit_: Pay, end: Step) -> None:
    """The exit that the child comes to says where its parent goes on."""
    payment = child()
    leads(payment, Pay.CHARGE, exit_)
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES)
    result = await order.run()
    assert (result.state, result.path) == (end, (Step.PAY, end))


async def test_it_is_told_between_the_beginning_and_the_end_of_its_state(recorder: Recorder) -> None:
    """One run id, one order of events: the state is entered, the child begins and ends, the state succeeds."""
    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID, name="charge")
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES, name="pay")
    await order.run(run_id="r", observers=[recorder])
    assert [(type(event), event.workflow, event.state) for event in recorder.events] == [
        (RunStarted, "order", Step.PAY),
        (StateEntered, "order", Step.PAY),
        (RunStarted, "payment", Pay.CHARGE),
        (StateEntered, "payment", Pay.CHARGE),
        (TaskSucceeded, "payment", Pay.CHARGE),
        (StateEntered, "payment", Pay.PAID),
        (RunEnded, "payment", Pay.PAID),
        (TaskSucceeded, "order", Step.PAY),
        (StateEntered, "order", Step.DONE),
        (RunEnded, "order", Step.DONE),
    ]
    assert {event.run_id for event in recorder.events} == {"r"}
    assert [event.task for event in recorder.of(TaskSucceeded)] == ["charge", "pay"]


async def test_an_observer_that_raises_in_the_child_is_off_for_the_whole_run() -> None:
    """The observers are the parent's: one that fails within the child is not asked again after it."""
    told: list[str] = []

    class Fragile:
        def on_event(self, event: Any) -> None:
            told.append(event.workflow)
            if event.workflow == "payment":
                raise ValueError

    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID)
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES)
    await order.run(observers=[Fragile()])
    assert told == ["order", "order", "payment"]


async def test_keys_name_the_way_down(recorder: Recorder) -> None:
    """The parent's key is the run part of the child's (RULINGS 5), so a state that is visited twice has two sets of keys."""
    keys: list[str] = []

    def note(ctx: RunContext) -> None:
        keys.append(f"{ctx.state.name} {ctx.idempotency_key}")
        assert ctx.run_id == "r"

    bank = Workflow(Bank, initial=Bank.MOVE, exits=[Bank.MOVED])
    leads(bank, Bank.MOVE, Bank.MOVED, told=note)
    payment = child()
    leads(payment, Pay.CHARGE, Pay.CONFIRM, told=note)
    payment.register_child(Pay.CONFIRM, bank, {Bank.MOVED: Pay.PAID})
    order = parent(Step.PACK)
    leads(order, Step.PACK, Step.PAY, told=note)
    order.register_child(Step.PAY, payment, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.FAILED})

    @order.task(Step.SHIP)
    async def ship(ctx: RunContext) -> Literal[Step.PAY, Step.DONE]:
        note(ctx)
        return Step.DONE if len(keys) > 4 else Step.PAY

    await order.run(run_id="r")
    assert keys == [
        "PACK r/0", "CHARGE r/1/0", "MOVE r/1/1/0", "SHIP r/2", "CHARGE r/3/0", "MOVE r/3/1/0", "SHIP r/4",
    ]  # fmt: skip


# -- data


async def test_data_of_the_same_type_are_shared_by_copy(autojump_clock: MockClock) -> None:
    """The child works on the run's data, and what it makes of them is the parent's when it ends well."""
    payment = child(data=Order)

    @payment.task(Pay.CHARGE)
    async def charge(order: Order) -> Literal[Pay.PAID]:
        order.notes.append(f"charged {order.total}")
        return Pay.PAID

    order = parent(Step.PACK, data=Order)

    @order.task(Step.PACK)
    async def pack(order: Order) -> Literal[Step.PAY]:
        order.total = 3
        return Step.PAY

    order.register_child(Step.PAY, payment, ROUTES)
    given = Order()
    assert (await order.run(given)).data == Order(3, ["charged 3"])
    assert given == Order()


async def test_data_that_json_can_not_hold_are_shared_too() -> None:
    """Deep copies are copies as well: neither of the two sees what the other writes before it is done."""

    @dataclass
    class Odd:
        value: complex = 0
        kept: list[complex] = field(default_factory=list)

    payment = child(data=Odd)

    @payment.task(Pay.CHARGE)
    async def charge(odd: Odd) -> Literal[Pay.PAID]:
        odd.kept.append(odd.value)
        return Pay.PAID

    order = parent(data=Odd)
    order.register_child(Step.PAY, payment, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.FAILED})

    @order.task(Step.SHIP)
    async def ship(odd: Odd) -> Literal[Step.PAY, Step.DONE]:
        odd.value = 1j
        return Step.DONE if len(odd.kept) == 2 else Step.PAY

    assert (await order.run(Odd())).data == Odd(1j, [0, 1j])


async def test_what_a_failed_child_wrote_is_dropped() -> None:
    """As of any failed attempt: its parent's `on_error` goes on with the data of before."""
    payment = child(data=Order)

    @payment.task(Pay.CHARGE)
    async def charge(order: Order) -> Literal[Pay.CONFIRM]:
        order.total = 99
        return Pay.CONFIRM

    leads(payment, Pay.CONFIRM, Pay.PAID, error=TypeError("no"))
    order = parent(data=Order)
    order.register_child(Step.PAY, payment, ROUTES, on_error={TypeError: Step.FAILED})
    result = await order.run(Order(3))
    assert (result.state, result.data) == (Step.FAILED, Order(3))


def paying(**options: Any) -> tuple[Workflow[Step, Order], list[str]]:
    """An order whose child has data of another type, and what the child has seen."""
    seen: list[str] = []
    payment = child(data=Payment)

    @payment.task(Pay.CHARGE)
    async def charge(payment: Payment) -> Literal[Pay.PAID]:
        seen.append(f"charge {payment.amount}")
        payment.code = "ok"
        return Pay.PAID

    order: Any = parent(data=Order)
    order.register_child(Step.PAY, payment, ROUTES, **options)
    return order, seen


async def test_functions_translate_the_data() -> None:
    """`data` makes the child's of what it takes, `result` writes into the parent's; both have injected parameters."""

    def make(order: Order, rates: dict[str, int], ctx: RunContext) -> Payment:
        return Payment(order.total * rates["kr"], ctx.idempotency_key)

    def keep(payment: Payment, order: Order, *, ctx: RunContext) -> None:
        order.notes.append(f"{payment.amount} {payment.code} {ctx.state.name}")

    order, seen = paying(data=make, result=keep)
    result = await order.run(Order(3), resources=Resources(rates={"kr": 10}))
    assert (seen, result.data) == (["charge 30"], Order(3, ["30 ok PAY"]))


async def test_without_a_result_function_the_parents_data_stay() -> None:
    """What the child made of data of another type ends with it, unless somebody asks for it."""
    order, _ = paying(data=lambda order: Payment(order.total))
    assert (await order.run(Order(3))).data == Order(3)


async def test_a_result_function_says_what_is_taken_over() -> None:
    """With one, data of the same type are not taken over as a whole."""
    payment = child(data=Order)

    @payment.task(Pay.CHARGE)
    async def charge(order: Order) -> Literal[Pay.PAID]:
        order.total, order.notes = 99, ["charged"]
        return Pay.PAID

    def keep(theirs: Order, mine: Order) -> None:
        mine.notes += theirs.notes

    order = parent(data=Order)
    order.register_child(Step.PAY, payment, ROUTES, result=keep)
    assert (await order.run(Order(3))).data == Order(3, ["charged"])


async def test_a_result_function_that_takes_no_data_changes_none() -> None:
    """Nor does it bring back what a failed attempt before the child had written."""
    kept: list[int] = []

    def keep(payment: Payment, kept: list[int]) -> None:
        kept.append(payment.amount)

    payment = child(data=Payment)
    leads(payment, Pay.CHARGE, Pay.PAID)
    order = parent(Step.PACK, data=Order)

    @order.task(Step.PACK, retry=Retry.none(), on_error={OSError: Step.PAY})
    async def pack(order: Order) -> Literal[Step.DONE]:
        order.total = 99
        raise OSError

    order.register_child(Step.PAY, payment, ROUTES, data=lambda: Payment(7), result=keep)
    assert (await order.run(Order(3), resources=Resources(kept=kept))).data == Order(3)
    assert kept == [7]


def make_and_write(order: Order) -> Payment:
    order.total = 99
    return Payment(3)


@pytest.mark.parametrize(
    "make, error, told",
    [
        (
            lambda order: order.total,
            DataTypeMismatch,
            "workflow 'payment' takes data of type Payment, but was given int",
        ),
        (lambda order: Payment(1 // 0), ZeroDivisionError, "division"),  # noqa: ARG005
        (make_and_write, DataNotWritable, "total"),
    ],
)
@pytest.mark.parametrize("diverts", [False, True])
async def test_a_data_function_that_fails_fails_the_state(
    *, make: Any, error: type[Exception], told: str, diverts: bool
) -> None:
    """The child does not begin; the failure is the state's, and its `on_error` may lead it somewhere."""
    order, seen = paying(data=make, on_error={error: Step.FAILED} if diverts else {})
    if diverts:
        assert (await order.run(Order())).state is Step.FAILED
    else:
        with pytest.raises(error, match=told) as caught:
            await order.run(Order())
        context = failure_context(caught.value)
        assert context is not None
        assert context.state is Step.PAY
    assert seen == []


async def test_a_result_function_that_fails_has_the_child_undone() -> None:
    """The child is done by then: its work is the parent's to undo, and what the function wrote is dropped."""
    diary = Diary()
    payment = child(data=Payment)
    diary.books(payment, Pay.CHARGE, Pay.PAID)

    def keep(payment: Payment, order: Order) -> None:
        order.total = payment.amount
        raise TypeError("full")

    order = parent(data=Order)
    order.register_child(Step.PAY, payment, ROUTES, data=lambda order: Payment(order.total), result=keep)
    with pytest.raises(TypeError, match="full") as caught:
        await order.run(Order(), run_id="r")
    assert (diary.lines, undone(caught.value)) == (["CHARGE r/0/0", "undo r/0/0"], ["CHARGE"])


# -- resources


async def test_resources_are_the_parents() -> None:
    """The child's tasks find what the run was given; what is made per run is one for both."""
    stores: list[MemoryStore] = []
    payment = child()

    @payment.task(Pay.CHARGE)
    async def charge(store: MemoryStore, rate: int) -> Literal[Pay.PAID]:
        stores.append(store)
        assert rate == 3
        return Pay.PAID

    order = parent(Step.PACK)
    order.register_child(Step.PAY, payment, ROUTES)

    @order.task(Step.PACK)
    async def pack(store: MemoryStore) -> Literal[Step.PAY]:
        stores.append(store)
        return Step.PAY

    resources = Resources(store=PerRun(MemoryStore), rate=3)
    await order.run(resources=resources)
    await order.run(resources=resources)
    assert stores[0] is stores[1]
    assert stores[2] is stores[3]
    assert stores[0] is not stores[2]


async def test_what_the_child_lacks_is_told_before_the_first_state(recorder: Recorder) -> None:
    """A resource that only the child wants is missed before anything runs, with the way to the state that wants it."""
    payment = child()

    @payment.task(Pay.CHARGE)
    async def charge(store: MemoryStore) -> Literal[Pay.PAID]:
        raise AssertionError("unreachable")

    order = parent(Step.PACK)
    leads(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES)
    for _ in range(2):  # nothing half bound is kept
        with pytest.raises(DefinitionError, match=r"E13 PAY/CHARGE: charge: .*MemoryStore.*\. Pass it in Resources"):
            await order.run(observers=[recorder])
    assert recorder.events == []


# -- failure


async def test_a_failed_child_is_undone_before_its_parent_goes_on(recorder: Recorder) -> None:
    """The child has nothing left behind when `on_error` leads on; the failure is known there, and told of the child."""
    diary = Diary()
    failure = TypeError("declined")
    payment = child()
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=failure)
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES, on_error={TypeError: Step.SHIP})
    known: list[object] = []
    leads(order, Step.SHIP, Step.DONE, told=lambda ctx: known.extend([ctx.error, *diary.lines]))
    assert (await order.run(run_id="r", observers=[recorder])).state is Step.DONE
    assert known == [failure, "CHARGE r/0/0", "undo r/0/0"]
    context = failure_context(failure)
    assert context is not None
    assert (context.workflow, context.state, context.path) == (
        "payment",
        Pay.CONFIRM,
        (Pay.CHARGE, Pay.CONFIRM),
    )
    assert statuses(recorder) == [("payment", "rolled_back"), ("order", "completed")]
    assert [event.state for event in recorder.of(TaskFailed)] == [Pay.CONFIRM, Step.PAY]


async def test_two_rollbacks_are_told_as_one(recorder: Recorder) -> None:
    """The child undoes its own, then the parent what was before: the failure tells both, in the order it was undone."""
    diary = Diary()
    payment = child()
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=TypeError("declined"))
    order = parent(Step.PACK)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(TypeError, match="declined") as caught:
        await order.run(run_id="r", observers=[recorder])
    assert diary.lines == ["PACK r/0", "CHARGE r/1/0", "undo r/1/0", "undo r/0"]
    assert undone(caught.value) == ["CHARGE", "PACK"]
    context = failure_context(caught.value)
    assert context is not None
    assert context.state is Pay.CONFIRM
    assert statuses(recorder) == [("payment", "rolled_back"), ("order", "rolled_back")]


async def test_the_parents_rollback_is_told_where_the_child_had_none() -> None:
    """The failure came from a child that had done nothing: it still tells what its parent has undone."""
    diary = Diary()
    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID, error=TypeError("declined"))
    order = parent(Step.PACK)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(TypeError) as caught:
        await order.run()
    assert undone(caught.value) == ["PACK"]


@pytest.mark.parametrize("both", [False, True])
async def test_a_child_that_can_not_be_undone_needs_an_operator(*, both: bool, recorder: Recorder) -> None:
    """`RollbackFailed` of the child is the failure of the run, flat where the parent's rollback fails as well."""
    diary = Diary(undo_fails=frozenset([Pay.CHARGE, Step.PACK] if both else [Pay.CHARGE]))
    payment = child()
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=KeyError("declined"))
    order = parent(Step.PACK)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES, on_error={KeyError: Step.FAILED})
    with pytest.raises(RollbackFailed) as caught:
        await order.run(run_id="r", observers=[recorder])
    assert isinstance(caught.value.original, KeyError)
    told = ["CHARGE stays", "PACK stays"] if both else ["CHARGE stays"]
    assert [str(error) for error in caught.value.exceptions[1:]] == told
    assert statuses(recorder) == [("payment", "rollback_failed"), ("order", "rollback_failed")]
    context = failure_context(caught.value)
    assert context is not None
    assert context.rollback is not None
    keys = ["r/1/0", "r/0"] if both else ["r/1/0"]
    assert [left.key for left in context.rollback.outstanding] == keys


async def test_a_child_that_can_not_be_undone_fails_a_parent_that_has_done_nothing(recorder: Recorder) -> None:
    """A run whose child needs an operator does not end as one that may be tried again."""
    diary = Diary(undo_fails=frozenset([Pay.CHARGE]))
    payment = child()
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=KeyError())
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(RollbackFailed):
        await order.run(observers=[recorder])
    assert statuses(recorder)[-1] == ("order", "rollback_failed")


@pytest.mark.parametrize("policy", ["roll_back", "hold"])
async def test_what_a_child_holds_is_its_parents(policy: Literal["roll_back", "hold"]) -> None:
    """A child with `on_failure="hold"` leaves its work to the run that it is a part of, whose own policy decides."""
    diary = Diary()
    payment = child(on_failure="hold")
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=KeyError())
    order = parent(on_failure=policy)
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(KeyError):
        await order.run(run_id="r")
    assert diary.lines == ["CHARGE r/0/0", *(["undo r/0/0"] if policy == "roll_back" else [])]


async def test_a_mistake_in_the_child_is_led_nowhere() -> None:
    """A `retry_on` that raises is a mistake in the workflow, also where its parent would lead any failure on."""

    def judge(error: Exception) -> bool:
        raise LookupError("no such list")

    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID, error=OSError(), retry=Retry.fixed(1, delay=0), retry_on=judge)
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES, on_error={Exception: Step.FAILED})
    with pytest.raises(LookupError, match="no such list"):
        await order.run()


async def test_groups_of_the_users_pass() -> None:
    """An exception group that a task of the child raised leaves the run as it is."""
    group = ExceptionGroup("both", [KeyError(1), KeyError(2)])
    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID, error=group)
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(ExceptionGroup) as caught:
        await order.run()
    assert caught.value is group


# -- limits


async def test_its_own_timeout(autojump_clock: MockClock) -> None:
    """The child's timeout counts from its own beginning, undoes the child, and is a failure of the state."""
    diary = Diary()
    payment = child(timeout=5)
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, seconds=60)
    order = parent(Step.PACK)
    leads(order, Step.PACK, Step.PAY, seconds=10)
    order.register_child(Step.PAY, payment, ROUTES, on_error={RunTimeout: Step.SHIP})
    known: list[Any] = []
    leads(order, Step.SHIP, Step.DONE, told=lambda ctx: known.extend([ctx.error, *diary.lines]))
    await order.run(run_id="r")
    assert trio.current_time() == 15
    assert (known[0].elapsed, known[0].limit, known[1:]) == (5, 5, ["CHARGE r/1/0", "undo r/1/0"])


async def test_its_own_compensation_timeout(autojump_clock: MockClock) -> None:
    """How long a failed child may undo its work is its own; how long one that was done is undone, its parent's."""
    diary = Diary(undo_seconds=60)
    payment = child(compensation_timeout=5)
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=KeyError())
    order = parent(compensation_timeout=90)
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(RollbackFailed):
        await order.run()
    assert trio.current_time() == 5
    again = child(compensation_timeout=5)
    diary.books(again, Pay.CHARGE, Pay.PAID)
    done = parent(compensation_timeout=90)
    done.register_child(Step.PAY, again, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.FAILED})
    leads(done, Step.SHIP, Step.DONE, error=KeyError())
    with pytest.raises(KeyError):
        await done.run(run_id="r")
    assert trio.current_time() == 65


async def test_transitions_are_counted_by_themselves() -> None:
    """The child's limit bounds the child; to its parent it is one transition, however many it makes."""
    payment = child(max_transitions=10)

    @payment.task(Pay.CHARGE)
    async def charge(ctx: RunContext) -> Literal[Pay.CHARGE, Pay.PAID]:
        return Pay.PAID if ctx.visit == turns else Pay.CHARGE

    order = parent(max_transitions=1)
    order.register_child(Step.PAY, payment, ROUTES)
    turns = 10
    assert (await order.run()).state is Step.DONE
    turns = 11
    with pytest.raises(TooManyTransitions) as caught:
        await order.run()
    context = failure_context(caught.value)
    assert context is not None
    assert context.workflow == "payment"


# -- cancels


def waiting(diary: Diary, **options: Any) -> Workflow[Step, Any]:
    """Books in the parent, books in the child, and waits there."""
    payment = child(compensation_timeout=1000)
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, seconds=1000)
    order = parent(Step.PACK, **options)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES, on_error={Exception: Step.FAILED})
    return order


async def cancelled(order: Workflow[Step, Any], recorder: Recorder) -> Exception:
    """What a run fails with that its handle cancels after a second."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(order.run, run_id="r", observers=[recorder]))
            await trio.sleep(1)
            run.cancel("enough")
    [failure] = caught.value.exceptions
    assert isinstance(failure, Exception)
    return failure


async def test_a_cancel_reaches_in(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A cancel of the run stops the child where it is; all that was done is undone in one rollback, last things first."""
    diary = Diary()
    failure = await cancelled(waiting(diary), recorder)
    assert isinstance(failure, RunCancelled)
    assert failure.reason == "enough"
    assert diary.lines == ["PACK r/0", "CHARGE r/1/0", "undo r/1/0", "undo r/0"]
    assert undone(failure) == ["CHARGE", "PACK"]
    assert statuses(recorder) == [("payment", "cancelled"), ("order", "cancelled")]
    assert [event.workflow for event in recorder.of(CompensationStarted)] == ["payment", "order"]
    assert recorder.of(TaskFailed) == []


async def test_a_compensation_of_the_child_that_fails_is_not_lost_in_a_cancel(
    autojump_clock: MockClock, recorder: Recorder
) -> None:
    """A cancel that could not be undone in full is `RollbackFailed`, whose part ever it was that failed."""
    failure = await cancelled(waiting(Diary(undo_fails=frozenset([Pay.CHARGE]))), recorder)
    assert isinstance(failure, RollbackFailed)
    assert [type(error) for error in failure.exceptions] == [RunCancelled, TypeError]
    assert statuses(recorder)[-1] == ("order", "rollback_failed")


async def test_after_a_cancel_one_bound_holds_for_all(autojump_clock: MockClock, recorder: Recorder) -> None:
    """The run goes on no longer than its own `compensation_timeout`, whatever its child's is."""
    failure = await cancelled(waiting(Diary(undo_seconds=20), compensation_timeout=30), recorder)
    assert isinstance(failure, RollbackFailed)
    assert trio.current_time() == 31
    assert undone(failure) == ["CHARGE"]


async def test_the_parents_timeout_reaches_in(autojump_clock: MockClock, recorder: Recorder) -> None:
    """The whole run has timed out, not the child: no `on_error` is asked."""
    diary = Diary()
    with pytest.raises(RunTimeout) as caught:
        await waiting(diary, timeout=7).run(run_id="r", observers=[recorder])
    assert (trio.current_time(), undone(caught.value)) == (7, ["CHARGE", "PACK"])
    assert statuses(recorder) == [("payment", "cancelled"), ("order", "rolled_back")]


async def test_a_cancel_from_outside(autojump_clock: MockClock, recorder: Recorder) -> None:
    """As any trio function it is cancelled, and undone on its way out."""
    diary = Diary()
    with trio.move_on_after(3) as scope:
        await waiting(diary).run(run_id="r", observers=[recorder])
    assert scope.cancelled_caught
    assert diary.lines[2:] == ["undo r/1/0", "undo r/0"]
    assert statuses(recorder) == [("payment", "cancelled"), ("order", "cancelled")]


async def test_an_interrupt_in_the_child() -> None:
    """What is no `Exception` passes as it is, and all is undone once."""
    diary = Diary()
    payment = child()
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    leads(payment, Pay.CONFIRM, Pay.PAID, error=KeyboardInterrupt())
    order = parent(Step.PACK)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES)
    with pytest.raises(KeyboardInterrupt):
        await order.run(run_id="r")
    assert diary.lines[2:] == ["undo r/1/0", "undo r/0"]


async def test_a_child_that_is_done_is_done_before_any_cancel() -> None:
    """A cancel that comes as the child reaches its exit finds it completed, and the parent undoes it."""
    diary = Diary()
    told = Recorder()
    with trio.CancelScope() as scope:

        class Cancels:
            def on_event(self, event: Any) -> None:
                if isinstance(event, TaskSucceeded) and event.state is Pay.CHARGE:
                    scope.cancel()

        payment = child()
        diary.books(payment, Pay.CHARGE, Pay.PAID)
        order = parent()
        order.register_child(Step.PAY, payment, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.FAILED})
        leads(order, Step.SHIP, Step.DONE)
        await order.run(run_id="r", observers=[Cancels(), told])
    assert statuses(told) == [("payment", "completed"), ("order", "cancelled")]
    assert diary.lines == ["CHARGE r/0/0", "undo r/0/0"]


def nested(diary: Diary, *, fails: bool) -> Workflow[Step, Any]:
    """Three floors that book, each before and after the one below; at last it all may fail."""
    bank = Workflow(Bank, initial=Bank.MOVE, exits=[Bank.MOVED])
    diary.books(bank, Bank.MOVE, Bank.MOVED)
    payment = child()
    diary.books(payment, Pay.CHARGE, Pay.CONFIRM)
    payment.register_child(Pay.CONFIRM, bank, {Bank.MOVED: Pay.PAID})
    order = parent(Step.PACK)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.FAILED})

    @order.task(Step.SHIP, retry=Retry.none())
    async def ship(ctx: RunContext) -> Literal[Step.PAY, Step.DONE]:
        if ctx.visit == 1:
            return Step.PAY
        if fails:
            raise KeyError
        return Step.DONE

    return order


BOOKED = ["PACK r/0", "CHARGE r/1/0", "MOVE r/1/1/0", "CHARGE r/3/0", "MOVE r/3/1/0"]
UNDONE = ["undo r/3/1/0", "undo r/3/0", "undo r/1/1/0", "undo r/1/0", "undo r/0"]


async def test_children_that_are_done_are_undone_last_things_first() -> None:
    """A completed child is one entry of its parent's stack (RULINGS 6), and so is its own child, visit by visit."""
    diary = Diary()
    with pytest.raises(KeyError) as caught:
        await nested(diary, fails=True).run(run_id="r")
    assert diary.lines == BOOKED + UNDONE
    assert undone(caught.value) == ["MOVE", "CHARGE", "MOVE", "CHARGE", "PACK"]


@attrs.define
class World:
    diary: Diary
    resources: Resources
    closed: list[bool] = attrs.field(factory=list)
    ended: list[Step] = attrs.field(factory=list)


@pytest.mark.parametrize("fails", [False, True])
def test_cancelled_at_every_step(*, fails: bool) -> None:
    """Wherever a cancel finds it, on whichever floor: all that was booked is undone once, last things first, or it is done."""

    def make() -> World:
        return World(Diary(undo_seconds=0.5), Resources())

    async def work(world: World) -> None:
        order = nested(world.diary, fails=fails)
        if not fails:
            world.ended.append((await order.run(run_id="r", resources=world.resources)).state)
            return
        with pytest.raises(KeyError):
            await order.run(run_id="r", resources=world.resources)

    def check(world: World) -> None:
        booked = [line.split()[1] for line in world.diary.lines if not line.startswith("undo")]
        back = [line.split()[1] for line in world.diary.lines if line.startswith("undo")]
        assert back == ([] if world.ended else booked[::-1])

    assert cancel_at_every_step(make, work, check) > 20


def test_a_child_that_waits_cancelled_at_every_step() -> None:
    """A child in a timer, a receive, a split or a retry lets go of all of them at once."""

    def make() -> World:
        return World(Diary(), Resources(store=PerRun(MemoryStore)))

    async def work(world: World) -> None:
        payment = child(timeout=600)

        @payment.timer(Pay.CHARGE)
        async def rest(store: MemoryStore) -> float:
            return 10

        @rest.after_wait
        async def wake() -> Literal[Pay.CONFIRM]:
            return Pay.CONFIRM

        async def branch() -> int:
            await trio.sleep(1)
            return 3

        payment.register_split(Pay.CONFIRM, Split.all([branch, branch], Pay.PAID))
        order = parent(Step.PACK, timeout=600)
        world.diary.books(order, Step.PACK, Step.PAY, seconds=1)
        order.register_child(Step.PAY, payment, ROUTES)
        world.ended.append((await order.run(run_id="r", resources=world.resources)).state)

    def check(world: World) -> None:
        undo = [] if world.ended or not world.diary.lines else ["undo r/0"]
        assert world.diary.lines[1:] == undo

    assert cancel_at_every_step(make, work, check) > 20


# -- messages


class Approved:
    """A message."""


class Unknown:
    """Another, that nobody takes."""


async def test_a_message_to_the_run_reaches_the_child() -> None:
    """The run has one mailbox: what came before the child began is there, and what nobody takes is refused at once."""
    got: list[str] = []
    payment = child()

    @payment.receive(Pay.CHARGE)
    async def ask(message: Approved) -> Literal[Pay.CONFIRM]:
        got.append("first")
        return Pay.CONFIRM

    @payment.receive(Pay.CONFIRM)
    async def confirm(message: str) -> Literal[Pay.PAID]:
        got.append(message)
        return Pay.PAID

    order = parent(Step.PACK)

    @order.receive(Step.PACK)
    async def pack(message: int) -> Literal[Step.PAY]:
        return Step.PAY

    order.register_child(Step.PAY, payment, ROUTES)
    async with trio.open_nursery() as nursery:
        run: Run[Step, Any] = await nursery.start(order.run)
        await run.send("later")
        with pytest.raises(MessageRejected, match=r"Unknown.*int.*Approved.*str"):
            await run.send(Unknown())
        await run.send(3)
        await trio.testing.wait_all_tasks_blocked()
        assert run.state is Step.PAY
        await run.send(Approved())
    assert got == ["first", "later"]
    assert repr(run).endswith("completed DONE>")


async def test_a_message_that_a_child_failed_at_is_used_up() -> None:
    """As where an `on_error` leads on from the receive itself: its place in the mailbox is free again."""
    payment = child()

    @payment.receive(Pay.CHARGE)
    async def ask(message: int) -> Literal[Pay.PAID]:
        raise KeyError

    order = parent()
    order.register_child(Step.PAY, payment, ROUTES, on_error={KeyError: Step.SHIP})

    @order.receive(Step.SHIP)
    async def ship(message: str) -> Literal[Step.PAY, Step.DONE]:
        return Step.DONE if message == "stop" else Step.PAY

    async with trio.open_nursery() as nursery:
        run: Run[Step, Any] = await nursery.start(order.run)
        for _ in range(1200):  # more than a mailbox holds
            run.send_nowait(1)
            run.send_nowait("again")
            await trio.testing.wait_all_tasks_blocked()
        run.send_nowait(1)
        run.send_nowait("stop")


# -- recursion, change, replacement


def countdown() -> Workflow[Step, Order]:
    """Its own child, until the total is 0; notes each turn."""
    order: Workflow[Step, Order] = parent(Step.PACK, data=Order)

    @order.task(Step.PACK)
    async def pack(order: Order, ctx: RunContext) -> Literal[Step.PAY, Step.DONE]:
        order.notes.append(ctx.idempotency_key)
        order.total -= 1
        return Step.PAY if order.total else Step.DONE

    order.register_child(Step.PAY, order, {Step.DONE: Step.DONE, Step.FAILED: Step.FAILED})
    return order


async def test_a_workflow_may_be_its_own_child(recorder: Recorder) -> None:
    """Each turn is a run within the last one's state, with a key of its own."""
    result = await countdown().run(Order(4), run_id="r", observers=[recorder])
    assert result.data == Order(0, ["r/0", "r/1/0", "r/1/1/0", "r/1/1/1/0"])
    assert result.path == (Step.PACK, Step.PAY, Step.DONE)
    assert len(recorder.of(RunEnded)) == 4


async def test_two_workflows_may_be_each_others_child() -> None:
    """A grandchild that is the run's own workflow: one program of each, and each key its own."""
    keys: list[str] = []
    payment, order = child(), parent(Step.PACK)

    def note(ctx: RunContext) -> None:
        keys.append(ctx.idempotency_key)

    @order.task(Step.PACK)
    async def pack(ctx: RunContext) -> Literal[Step.PAY, Step.DONE]:
        note(ctx)
        return Step.PAY if len(keys) < 4 else Step.DONE

    leads(payment, Pay.CHARGE, Pay.CONFIRM, told=note)
    order.register_child(Step.PAY, payment, ROUTES)
    payment.register_child(Pay.CONFIRM, order, {Step.DONE: Pay.PAID, Step.FAILED: Pay.DECLINED})
    assert (await order.run(run_id="r")).state is Step.DONE
    assert keys == ["r/0", "r/1/0", "r/1/1/0", "r/1/1/1/0", "r/1/1/1/1/0"]
    keys.clear()
    assert (await payment.run(run_id="p")).state is Pay.PAID
    assert keys == ["p/0", "p/1/0", "p/1/1/0", "p/1/1/1/0"]


async def test_many_workflows_in_a_ring() -> None:
    """However many there are of them, each is bound once."""
    ring: list[Workflow[Step, Order]] = [parent(Step.PACK, data=Order) for _ in range(100)]
    for number, one in enumerate(ring):

        @one.task(Step.PACK)
        async def pack(order: Order) -> Literal[Step.PAY, Step.DONE]:
            order.total -= 1
            return Step.PAY if order.total else Step.DONE

        one.register_child(Step.PAY, ring[(number + 1) % 100], {Step.DONE: Step.DONE, Step.FAILED: Step.FAILED})
    assert (await ring[0].run(Order(50))).data == Order(0)


async def test_a_workflow_that_is_its_own_child_for_ever() -> None:
    """It is stopped long before Python would break off just anywhere, and all that it did is undone, last things first."""
    diary = Diary()
    order = parent(Step.PACK)
    diary.books(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, order, {Step.DONE: Step.DONE, Step.FAILED: Step.FAILED})
    deepest = sys.getrecursionlimit() // 10
    with pytest.raises(RecursionError, match=f"order: {deepest} workflows stand in each other already") as caught:
        await order.run(run_id="r")
    keys = [f"r{'/1' * depth}/0" for depth in range(deepest)]
    assert diary.lines == [*(f"PACK {key}" for key in keys), *(f"undo {key}" for key in reversed(keys))]
    assert undone(caught.value) == ["PACK"] * deepest


async def test_a_child_that_changed_is_read_again(recorder: Recorder) -> None:
    """A change of the child after a run is found out before the first state of the next one."""
    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID)
    order = parent(Step.PACK)
    leads(order, Step.PACK, Step.PAY)
    order.register_child(Step.PAY, payment, ROUTES)
    resources = Resources()
    await order.run(resources=resources)

    @payment.task(Pay.CONFIRM)
    async def confirm(store: MemoryStore) -> Literal[Pay.PAID]:
        return Pay.PAID

    with pytest.raises(DefinitionError, match="E09 PAY/CONFIRM: unreachable"):
        await order.run(resources=resources, observers=[recorder])
    assert recorder.events == []


async def test_a_child_with_other_tasks() -> None:
    """`with_tasks` takes a task in place of a child; where a workflow is its own child, the new one is its own as well."""

    async def fake() -> Literal[Step.DONE]:
        return Step.DONE

    order = countdown()
    replaced = order.with_tasks({Step.PAY: fake})
    assert (await replaced.run(Order(4))).data.total == 3

    async def two_at_once(order: Order) -> Literal[Step.PAY, Step.DONE]:
        order.total -= 2
        return Step.PAY if order.total else Step.DONE

    assert (await order.with_tasks({Step.PACK: two_at_once}).run(Order(4))).data == Order(0)
    assert (await order.run(Order(2))).data.notes


# -- splits


async def test_results_of_branches_stay_on_their_floor() -> None:
    """A split in the child joins there; its parent's results do not reach in, but to the data function, nor its own out."""
    seen: dict[str, dict[str, int]] = {}

    async def two() -> int:
        return 2

    async def three() -> int:
        return 3

    payment = child(data=Payment)

    @payment.task(Pay.CHARGE)
    async def charge(payment: Payment, results: BranchResults[int]) -> Literal[Pay.CONFIRM, Pay.DECLINED]:
        seen["before"] = dict(results.successes)
        seen["given"] = {"amount": payment.amount}
        return Pay.CONFIRM

    payment.register_split(Pay.CONFIRM, Split.all([three], Pay.PAID))

    def make(results: BranchResults[int]) -> Payment:
        return Payment(sum(results.successes.values()))

    order = parent(Step.PACK)
    order.register_split(Step.PACK, Split.all([two], Step.PAY))
    order.register_child(Step.PAY, payment, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.FAILED}, data=make)

    @order.task(Step.SHIP)
    async def ship(results: BranchResults[int]) -> Literal[Step.DONE]:
        seen["after"] = dict(results.successes)
        return Step.DONE

    await order.run()
    assert seen == {"before": {}, "given": {"amount": 2}, "after": {}}


# -- what is left


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("fails", [False, True])
async def test_a_run_and_its_children_do_not_hold_each_other(*, fails: bool) -> None:
    """Once the run is over, all that it held is gone, without waiting for the garbage collector."""
    observer = Recorder()
    told = weakref.ref(observer)
    try:
        await nested(Diary(), fails=fails).run(observers=[observer])
    except KeyError:
        assert fails
    observer.events.clear()
    del observer
    assert told() is None


async def test_a_timeout_of_an_attempt_in_the_child_is_the_attempts(autojump_clock: MockClock) -> None:
    """Options of the child's tasks hold there; the state of the parent has none that could be tried again."""
    payment = child()
    leads(payment, Pay.CHARGE, Pay.PAID, seconds=60, attempt_timeout=1, retry=Retry.fixed(1, delay=3))
    order = parent()
    order.register_child(Step.PAY, payment, ROUTES, on_error={AttemptTimeout: Step.FAILED})
    assert (await order.run()).state is Step.FAILED
    assert trio.current_time() == 5
