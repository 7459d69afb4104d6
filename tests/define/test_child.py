"""What is wrong with a child workflow is found before anything runs, and told of the place where it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio

from cano_trio import DefinitionError, MemoryStore, Resources, Retry, RunContext, Workflow


class Step(Enum):
    PACK = auto()
    PAY = auto()
    SHIP = auto()
    DONE = auto()


class Pay(Enum):
    CHARGE = auto()
    CONFIRM = auto()
    PAID = auto()
    DECLINED = auto()


@dataclass
class Order:
    total: int = 0


@dataclass
class Payment:
    amount: int = 0


BOTH: dict[Any, Any] = {Pay.PAID: Step.DONE, Pay.DECLINED: Step.DONE}


def child(**options: Any) -> Workflow[Pay, Any]:
    """One that pays at once."""
    payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID, Pay.DECLINED], name="payment", **options)

    @payment.task(Pay.CHARGE)
    async def charge() -> Literal[Pay.PAID, Pay.DECLINED]:
        return Pay.PAID

    return payment


def parent(payment: Any, routes: Any = BOTH, **options: Any) -> Workflow[Step, Any]:
    """One whose state PAY is the child's."""
    order = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="order", data=options.pop("of", None))
    order.register_child(Step.PAY, payment, routes, **options)
    return order


def told(workflow: Workflow[Any, Any], *, warnings: bool = False) -> list[str]:
    return [
        f"{problem.code} {problem.place}: {problem.message}. {problem.hint}"
        for problem in workflow.problems()
        if warnings or problem.severity == "error"
    ]


def no_data() -> Payment:
    return Payment()


def wrong_data() -> Order:
    return Order()


def takes_order(order: Order) -> None: ...


def gives_order(payment: Payment) -> Order:
    return Order(payment.amount)


def takes_nothing() -> None: ...


@pytest.mark.parametrize(
    "routes, problems",
    [
        (BOTH, []),
        ({Pay.PAID: Step.DONE}, ["E41 PAY: payment: no route leads on from the child's exit DECLINED. Add Pay.DECLINED: ... to its routes."]),
        ({**BOTH, Pay.CHARGE: Step.DONE}, ["E40 PAY: payment: its routes begin at <Pay.CHARGE: 1>, which is no exit of payment. Name the child's exits."]),
        ({**BOTH, "paid": Step.DONE}, ["E40 PAY: payment: its routes begin at 'paid', which is no exit of payment. Name the child's exits."]),
        ({**BOTH, Step.DONE: Step.DONE}, ["E40 PAY: payment: its routes begin at <Step.DONE: 4>, which is no exit of payment. Name the child's exits."]),
        ({**BOTH, Pay.DECLINED: Pay.CHARGE}, ["E40 PAY: payment: its routes lead from DECLINED to <Pay.CHARGE: 1>, which is no state of Step. Name a state, such as Step.PACK."]),
        ({**BOTH, Pay.DECLINED: None}, ["E40 PAY: payment: its routes lead from DECLINED to None, which is no state of Step. Name a state, such as Step.PACK."]),
    ],
)  # fmt: skip
def test_routes(routes: Any, problems: list[str]) -> None:
    """Every exit of the child leads on, nothing else does, and it leads to a state (E40, E41)."""
    assert told(parent(child(), routes)) == problems


def test_a_route_to_a_state_without_a_task() -> None:
    """The missing task is told with the exit and the place that lead there."""
    order = parent(child(), {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.DONE})
    [problem] = told(order)
    assert problem.startswith("E07 SHIP: no handler. PAY leads there from PAID of payment (")
    assert problem.endswith("Write @workflow.task(Step.SHIP).")


@pytest.mark.parametrize(
    "of, theirs, options, problems",
    [
        (Order, Order, {}, []),
        (Order, None, {}, []),
        (None, None, {}, []),
        (Order, Payment, {"data": no_data}, []),
        (Order, Payment, {"data": lambda order: Payment(order.total), "result": takes_nothing}, ["E16 PAY: payment's result: it must take result first. Write (result, ...)."]),
        (Order, Payment, {}, ["E42 PAY: payment: payment takes data of type Payment, and nothing gives it any. Pass data=, a function that makes one of what it takes."]),
        (None, Order, {}, ["E42 PAY: payment: payment takes data of type Order, and nothing gives it any. Pass data=, a function that makes one of what it takes."]),
        (Order, None, {"data": no_data}, ["E42 PAY: payment: it is given data, but payment takes none. Leave `data` out."]),
        (Order, None, {"result": takes_order}, ["E42 PAY: payment: its result function waits for data, but payment has none. Leave `result` out."]),
        (Order, Payment, {"data": wrong_data}, ["E42 PAY: payment: its data function makes Order, but payment takes Payment. Make them agree."]),
        (Order, Payment, {"data": no_data, "result": takes_order}, ["E42 PAY: payment: its result function takes Order, but payment gives Payment. Make them agree."]),
        (Order, Payment, {"data": no_data, "result": gives_order}, ["E42 PAY: payment: its result function returns Order, which nobody takes. Let it write into this workflow's data, and return nothing."]),
    ],
)  # fmt: skip
def test_data(of: Any, theirs: Any, options: Any, problems: list[str]) -> None:
    """The child gets data of its own type, from its parent's or from a function, and what it made of them goes somewhere."""
    assert told(parent(child(data=theirs), of=of, **options)) == problems


def test_data_that_are_no_type_at_all() -> None:
    """A mistake in the child's own definition is told as such; nothing breaks over it."""
    assert [line.split(":")[0] for line in told(parent(child(data=3), of=Order))] == ["E42 PAY", "E18 PAY"]


@pytest.mark.parametrize(
    "arguments, options, problem",
    [
        ((3, BOTH), {}, "E40 PAY: 3 is no workflow"),
        ((Pay, BOTH), {}, "E40 PAY: .* is no workflow.*Pass the Workflow itself"),
        ((child(), [Pay.PAID]), {}, r"E40 PAY: routes is \[.*\], not a mapping.*Map the child's exits to states"),
        ((child(), BOTH), {"data": 3}, "E21 PAY: data is 3: it takes a plain function"),
        ((child(), BOTH), {"result": trio.sleep}, "E21 PAY: result is .*Write `def`, not `async def`"),
        (
            (child(), BOTH),
            {"retry": Retry.none()},
            "E21 PAY: payment has no option retry.*A child takes name, on_error",
        ),
        ((child(), BOTH), {"name": ""}, "E21 PAY: name is ''"),
        ((child(), BOTH), {"on_error": Step.DONE}, "E20 PAY: on_error of payment is .*, not a mapping"),
    ],
)
def test_what_is_no_child_at_all(arguments: Any, options: Any, problem: str) -> None:
    """Such a mistake is told at once, where it is made."""
    order: Any = Workflow(Step, initial=Step.PAY, exits=[Step.DONE])
    with pytest.raises(DefinitionError, match=problem):
        order.register_child(Step.PAY, *arguments, **options)


@pytest.mark.parametrize("state, code", [(Pay.CHARGE, "E22"), (Step.PAY, "E04")])
def test_the_state_is_the_parents_and_free(state: Any, code: str) -> None:
    """A child takes the place of a task: of one state, and alone."""
    order: Any = parent(child())
    with pytest.raises(DefinitionError, match=code):
        order.register_child(state, child(), BOTH)


def test_problems_of_the_child_are_told_by_the_parent() -> None:
    """`validate` finds them all at once, each with the way to the state, and where it is written."""
    bank: Any = Workflow(Pay, initial=Pay.CHARGE, exits=[], name="bank")
    payment = child()

    @payment.task(Pay.CONFIRM)
    async def confirm() -> Literal[Pay.PAID]:
        return Pay.PAID

    order = parent(payment, {Pay.PAID: Step.SHIP, Pay.DECLINED: Step.DONE})
    order.register_child(Step.SHIP, bank, {})
    assert [line.partition(". ")[0] for line in told(order)] == [
        "E10 SHIP: trap: no exit state can be reached from here",
        "E09 PAY/CONFIRM: unreachable: nothing leads here from the initial state",
        "E01 SHIP: bank: no state has a task",
        "E02 SHIP: bank: no exit states",
    ]
    with pytest.raises(DefinitionError, match=r"E09 PAY/CONFIRM: unreachable.* \(.*test_child.py:\d+\)\. "):
        order.validate()


def test_problems_of_a_grandchild_and_of_one_that_occurs_twice() -> None:
    """The way names all states that lead down, and a workflow in two places is told of once."""
    bank = child()

    @bank.task(Pay.CONFIRM)
    async def confirm() -> Literal[Pay.PAID]:
        return Pay.PAID

    payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], name="payment")
    payment.register_child(Pay.CHARGE, bank, {Pay.PAID: Pay.PAID, Pay.DECLINED: Pay.PAID})
    order = parent(payment, {Pay.PAID: Step.SHIP})
    order.register_child(Step.SHIP, bank, BOTH)
    assert [line.split(":")[0] for line in told(order)] == ["E09 SHIP/CONFIRM"]
    assert [line.split(":")[0] for line in told(payment)] == ["E09 CHARGE/CONFIRM"]


def test_warnings_of_the_child_are_shown_and_stop_nothing() -> None:
    """What looks odd in the child does not keep its parent from running."""
    order = parent(child())
    order.validate()
    assert [line.split(":")[0] for line in told(order, warnings=True)] == [
        "W10 PACK", "W10 SHIP", "W10 PAY/CONFIRM",
    ]  # fmt: skip


def test_its_problems_are_those_of_today() -> None:
    """A child that is mended after its parent was read has mended its parent."""
    payment = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], name="payment")
    order = parent(payment, {Pay.PAID: Step.DONE})
    assert told(order) != []

    @payment.task(Pay.CHARGE)
    async def charge() -> Literal[Pay.PAID]:
        return Pay.PAID

    order.validate()


def test_a_workflow_that_is_its_own_child() -> None:
    """Its problems are told once, as its own."""
    order = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="order")
    order.register_child(Step.PAY, order, {Step.DONE: Step.SHIP})
    assert [line.split(".")[0] for line in told(order)] == ["E07 SHIP: no handler"]


async def test_missing_resources_are_told_of_all_floors_at_once() -> None:
    """What the parent lacks and what the child lacks, and what a data function lacks, in one list."""
    payment: Workflow[Pay, Payment] = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], data=Payment, name="payment")

    @payment.task(Pay.CHARGE)
    async def charge(store: MemoryStore) -> Literal[Pay.PAID]:
        return Pay.PAID

    def make(rate: float, ctx: RunContext) -> Payment:
        return Payment()

    order = parent(payment, {Pay.PAID: Step.SHIP}, data=make)

    @order.task(Step.SHIP)
    async def ship(paper: bytes) -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(DefinitionError) as caught:
        await order.run(resources=Resources(number=3))
    assert [(problem.code, problem.place) for problem in caught.value.problems] == [
        ("E13", "PAY"), ("E13", "SHIP"), ("E13", "PAY/CHARGE"),
    ]  # fmt: skip
