"""A run's data: a copy for each attempt, committed with the state (RULINGS 4)."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    BatchResults,
    DataNotEncodable,
    DataNotWritable,
    DataTooLarge,
    DataTypeMismatch,
    Retry,
    RetryExhausted,
    Workflow,
)
from cano_trio._journal.difference import difference


class Step(Enum):
    A = auto()
    B = auto()
    DONE = auto()
    FAILED = auto()


@dataclass
class Order:
    sku: str
    lines: list[str] = field(default_factory=list)
    paid: bool = False


def workflow(data: Any = Order) -> Workflow[Step, Any]:
    return Workflow(Step, initial=Step.A, exits=[Step.DONE, Step.FAILED], data=data)


async def test_states_hand_the_data_on() -> None:
    """What a state writes is what the next one reads, and what the result holds; the caller's object stays as it is."""
    work = workflow()

    @work.task(Step.A)
    async def first(order: Order) -> Literal[Step.B]:
        order.lines.append("a")
        return Step.B

    @work.task(Step.B)
    async def second(order: Order) -> Literal[Step.DONE]:
        order.lines.append("b")
        order.paid = True
        return Step.DONE

    given_order = Order("W-7", ["x"])
    result = await work.run(given_order)
    assert result.data == Order("W-7", ["x", "a", "b"], paid=True)
    assert given_order == Order("W-7", ["x"])
    assert result.data is not given_order


async def test_failed_attempt_leaves_no_trace(autojump_clock: MockClock) -> None:
    """Each attempt starts from what the last finished state left, whatever an earlier attempt wrote."""
    work, seen = workflow(), []

    @work.task(Step.A, retry=Retry.fixed(2, delay=0))
    async def first(order: Order) -> Literal[Step.DONE]:
        seen.append(list(order.lines))
        order.lines.append("half")
        if len(seen) < 3:
            raise OSError
        return Step.DONE

    result = await work.run(Order("W-7"))
    assert seen == [[], [], []]
    assert result.data.lines == ["half"]


async def test_diverted_state_drops_what_it_wrote(autojump_clock: MockClock) -> None:
    """RULINGS 3.3: on an on_error edge the failed attempt's data are dropped."""
    work = workflow()

    @work.task(Step.A, on_error={Exception: Step.FAILED}, retry=Retry.none())
    async def first(order: Order) -> Literal[Step.DONE]:
        order.paid = True
        raise OSError

    result = await work.run(Order("W-7"))
    assert (result.state, result.data) == (Step.FAILED, Order("W-7"))


async def test_router_may_only_read() -> None:
    """A change in a router is refused, naming router and field, and is not retried."""
    work = workflow()

    @work.router(Step.A)
    async def choose(order: Order) -> Literal[Step.DONE]:
        order.lines.append("x")
        return Step.DONE

    with pytest.raises(DataNotWritable, match=r"choose changed Order\.lines\[0\]") as caught:
        await work.run(Order("W-7"))
    assert (caught.value.task, caught.value.path) == ("choose", "Order.lines[0]")


async def test_batch_reads_and_finish_writes() -> None:
    """RULINGS 4: load and process_item may only read; finish writes."""
    work = workflow()

    @work.batch(Step.A, concurrency=3)
    async def upper(line: str, order: Order) -> str:
        return f"{order.sku}:{line.upper()}"

    @upper.load
    async def lines(order: Order) -> list[str]:
        return order.lines

    @upper.finish
    async def keep(results: BatchResults[str, str], order: Order) -> Literal[Step.DONE]:
        order.lines = results.values
        return Step.DONE

    assert (await work.run(Order("W", ["a", "b"]))).data.lines == ["W:A", "W:B"]


async def test_item_that_writes_fails_its_slot() -> None:
    """A change of the data in process_item is that item's failure."""
    work = workflow()
    failures: list[Any] = []

    @work.batch(Step.A)
    async def write(line: str, order: Order) -> None:
        order.sku = line

    @write.load
    async def lines(order: Order) -> list[str]:
        return order.lines

    @write.finish
    async def keep(results: BatchResults[str, None]) -> Literal[Step.DONE]:
        failures.extend(results.failures)
        return Step.DONE

    await work.run(Order("W", ["a"]))
    (failure,) = failures
    assert isinstance(failure.outcome.error, DataNotWritable)
    assert failure.outcome.error.path == "Order.sku"


@pytest.mark.parametrize("data", [None, {"sku": "W"}, "W"])
async def test_data_of_the_wrong_type(data: object) -> None:
    """A run is given data of its workflow's type, or refuses before anything is set up."""
    with pytest.raises(
        DataTypeMismatch, match=r"workflow 'Step' takes data of type Order, but was given \w+\. Pass Order"
    ):
        await writer().run(data)


@dataclass
class Express(Order):
    """An order of a subclass."""

    hours: int = 24


async def test_data_of_a_subclass_that_json_forgets() -> None:
    """Where copies are made through JSON, which knows only the declared type, a subclass is refused at once."""
    with pytest.raises(DataTypeMismatch) as caught:
        await writer().run(Express("W"))
    assert str(caught.value) == (
        "workflow 'Step' takes data of type Order, but was given Express, a subclass, which would come back from JSON as "
        "a mere Order. Pass Order(...), or define it with Workflow(..., data=Express)."
    )
    assert (caught.value.wanted, caught.value.found, caught.value.subclass) == ("Order", "Express", True)
    assert (await writer(Express).run(Express("W"))).data == Express("W")


async def test_data_of_a_subclass_that_is_deep_copied() -> None:
    """Where copies are deep copies a subclass stays what it is."""

    @dataclass
    class Tagged(Locked):
        tag: str = ""

    result = await writer(Locked, numbers=[1]).run(Tagged(tag="x"))
    assert result.data == Tagged([1], tag="x")


async def test_data_of_a_concrete_type_for_an_abstract_one() -> None:
    """An abstract type has no values but those of its subclasses: what JSON gives back the same is taken."""
    assert (await writer(Mapping).run({"a": 1})).data == {"a": 1}


def other_order(module: str) -> Order:
    """An object of another class that is called Order."""
    namespace = {"__module__": module, "__qualname__": "Order"}
    made: Order = type("Order", (), namespace)()
    return made


@pytest.mark.parametrize(
    "module, message",
    [
        ("shop", f"takes data of type {__name__}.Order, but was given shop.Order. Pass {__name__}.Order(...)."),
        (
            __name__,
            f"takes data of type {__name__}.Order, but was given an object of another class of that name. Pass ",
        ),
    ],
)
async def test_data_of_another_type_of_the_same_name(module: str, message: str) -> None:
    """Two classes of one name are told apart by their modules, and two of one module are said to be two."""
    with pytest.raises(DataTypeMismatch) as caught:
        await writer().run(other_order(module))
    assert message in str(caught.value)


async def test_data_for_a_workflow_without() -> None:
    """A workflow without data refuses any, saying how to define it with."""
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE])

    @work.task(Step.A)
    async def first() -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(DataTypeMismatch, match=r"takes no data, but was given Order. Define it with .*data=Order"):
        await work.orchestrate(data=Order("W"))  # type: ignore[call-overload]


def writer(data: Any = Order, **values: object) -> Workflow[Step, Any]:
    """A workflow whose one task writes these fields."""
    work = workflow(data)

    async def write(it: Any) -> Literal[Step.DONE]:
        for name, value in values.items():
            setattr(it, name, value)
        return Step.DONE

    write.__annotations__["it"] = data
    work.task(Step.A, retry=Retry.none())(write)
    return work


class Struct(msgspec.Struct):
    at: datetime
    price: Decimal = Decimal(0)
    where: Path = Path()
    tags: set[str] = msgspec.field(default_factory=set)


@attrs.define
class Attrs:
    id: UUID
    shape: tuple[int, int] = (0, 0)
    step: Step = Step.A


@dataclass
class Plain:
    ratio: float = 0.0
    anything: Any = None
    prices: dict[str, float] = field(default_factory=dict)


async def test_rich_types_come_back_the_same() -> None:
    """Structs, attrs classes and dataclasses of dates, decimals, paths, sets, UUIDs, enums and tuples keep their values."""
    when = datetime(2030, 1, 1, tzinfo=UTC)
    struct = Struct(when)
    result = await writer(Struct, price=Decimal("1.10"), where=Path("/tmp/x"), tags={"a", "b"}).run(struct)
    assert result.data == Struct(when, Decimal("1.10"), Path("/tmp/x"), {"a", "b"})
    result = await writer(Attrs, shape=(3, 4), step=Step.B).run(Attrs(UUID(int=7)))
    assert result.data == Attrs(UUID(int=7), (3, 4), Step.B)


@pytest.mark.parametrize(
    "values, path",
    [
        ({"ratio": math.nan}, "Plain.ratio"),
        ({"prices": {"a": math.inf}}, "Plain.prices['a']"),
        ({"anything": (1, 2)}, "Plain.anything"),
        ({"anything": object()}, "Plain.anything"),
        ({"anything": {"x": [1, object()]}}, "Plain.anything['x'][1]"),
        ({"ratio": "much"}, "Plain.ratio"),
    ],
)
async def test_what_would_come_back_different_is_refused(values: dict[str, object], path: str) -> None:
    """A value that JSON changes or can't hold fails the state that wrote it, naming the field."""
    with pytest.raises(DataNotEncodable) as caught:
        await writer(Plain, **values).run(Plain())
    assert caught.value.path == path


async def test_data_that_contain_themselves() -> None:
    """A cycle in the data is refused, and not followed for ever."""
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(DataNotEncodable, match="contains itself"):
        await writer(Plain, anything=knot).run(Plain())


async def test_wrong_type_in_a_field_names_the_field() -> None:
    """A field written with a value of another type than annotated is refused by its path."""
    with pytest.raises(DataNotEncodable) as caught:
        await writer(Order, lines=["a", 3]).run(Order("W"))
    assert caught.value.path == "Order.lines[1]"


async def test_failure_to_encode_can_be_diverted() -> None:
    """What can't be encoded is a failure of the state like any: on_error leads it on."""
    work = workflow(Plain)

    @work.task(Step.A, on_error={DataNotEncodable: Step.FAILED})
    async def write(plain: Plain) -> Literal[Step.DONE]:
        plain.ratio = math.nan
        return Step.DONE

    assert (await work.run(Plain())).state is Step.FAILED


async def test_large_data(caplog: pytest.LogCaptureFixture) -> None:
    """RULINGS 4: more than 64 KB are warned of, more than a megabyte refused."""
    with caplog.at_level(logging.WARNING, "cano_trio"):
        await writer(Order, sku="x" * 70_000).run(Order("W"))
    assert "Order takes 70" in caplog.text
    with pytest.raises(DataTooLarge, match="more than the 1,048,576 allowed") as caught:
        await writer(Order, sku="x" * 2_000_000).run(Order("W"))
    assert caught.value.size > 2_000_000


@dataclass
class Locked:
    """Something that JSON can't hold."""

    numbers: list[int] = field(default_factory=list)
    shape: complex = 0j
    callback: Any = None


async def test_types_that_json_cannot_hold_are_copied(autojump_clock: MockClock) -> None:
    """RULINGS 4: where the type can't be encoded, attempts work on deep copies instead, by the same rules."""
    work, seen = workflow(Locked), []

    @work.task(Step.A, retry=Retry.fixed(1, delay=0))
    async def write(it: Locked) -> Literal[Step.DONE]:
        seen.append(list(it.numbers))
        it.numbers.append(1)
        it.shape = 1j
        if len(seen) == 1:
            raise OSError
        return Step.DONE

    result = await work.run(Locked())
    assert (result.data.shape, result.data.numbers, seen) == (1j, [1], [[], []])


async def test_what_cannot_be_copied_names_itself() -> None:
    """Data that can neither be encoded nor copied are refused with the reason."""
    with pytest.raises(DataNotEncodable, match=r"Locked.*can't be copied"):
        await writer(Locked, callback=threading.Lock()).run(Locked())


async def test_unused_data_cost_no_attempt_its_copy(autojump_clock: MockClock) -> None:
    """A task that does not take the data neither copies nor writes them."""
    work = workflow()

    @work.task(Step.A)
    async def first() -> Literal[Step.DONE]:
        return Step.DONE

    assert (await work.run(Order("W", ["a"]))).data == Order("W", ["a"])


@given(
    writes=st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_data_law(writes: list[tuple[str, int]]) -> None:
    """Whatever attempts fail, the data are what the successful attempts wrote, in order."""
    work, attempts = workflow(), iter(writes)
    todo: list[list[Any]] = [list(next(attempts))]

    @work.task(Step.A, retry=Retry.fixed(9, delay=1))
    async def write(order: Order) -> Literal[Step.A, Step.DONE]:
        text, failures = todo[0]
        order.lines.append(str(text))
        if failures:
            todo[0][1] = int(failures) - 1
            raise OSError
        following = next(attempts, None)
        if following is None:
            return Step.DONE
        todo[0] = list(following)
        return Step.A

    result = trio.run(work.run, Order("W"), clock=MockClock(autojump_threshold=0))
    assert result.data.lines == [text for text, _ in writes]


async def test_exhausted_data_task_keeps_its_type(autojump_clock: MockClock) -> None:
    """A failing run raises what its task raised, whatever the data."""
    work = workflow()

    @work.task(Step.A)
    async def fail(order: Order) -> Literal[Step.DONE]:
        raise OSError(order.sku)

    with pytest.raises(RetryExhausted, match="OSError: W-7"):
        await work.run(Order("W-7"))


async def test_an_int_stands_for_a_float() -> None:
    """PEP 484: an int in a field of floats is written, and comes back as the equal float."""
    result = await writer(Plain, ratio=2, prices={"a": 3}).run(Plain(ratio=1))
    assert (result.data.ratio, result.data.prices) == (2.0, {"a": 3.0})
    with pytest.raises(DataNotEncodable):
        await writer(Plain, ratio=2**53 + 1).run(Plain())


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Point:
    x: int


@dataclass
class Keyed:
    points: dict[Point, str] = field(default_factory=dict)


@dataclass
class Grid:
    cells: dict[tuple[int, int], str] = field(default_factory=dict)


@dataclass
class Switches:
    on: dict[bool, str] = field(default_factory=dict)


@dataclass
class Named:
    titled: Annotated[dict[str | None, str], msgspec.Meta(title="by name")] = field(default_factory=dict)


@pytest.mark.parametrize(
    "type_, field_name, key",
    [(Grid, "cells", (1, 2)), (Keyed, "points", Point(3)), (Switches, "on", True), (Named, "titled", None)],
)
async def test_keys_that_json_cannot_hold_are_copied(type_: Any, field_name: str, key: object) -> None:
    """A dict whose keys are no keys in JSON makes its type one that is copied, by its annotation alone."""
    written = {key: "here"}
    result = await writer(type_, **{field_name: written}).run(type_())
    assert getattr(result.data, field_name) == written
    assert getattr(result.data, field_name) is not written


@dataclass
class Counts:
    by_day: dict[date, int] = field(default_factory=dict)
    by_colour: dict[Colour, int] = field(default_factory=dict)
    by_size: dict[Literal["S", "L"], int] = field(default_factory=dict)
    by_path: dict[Path, int] = field(default_factory=dict)
    by_number: dict[int, int] = field(default_factory=dict)
    anything: dict[Any, int] = field(default_factory=dict)


async def test_keys_that_json_holds_stay_json() -> None:
    """Dates, enums, literals, paths and numbers are keys in JSON, and come back as such; what `Any` stands for is seen when written."""
    written: dict[str, Any] = {
        "by_day": {date(2030, 1, 1): 1},
        "by_colour": {Colour.RED: 2},
        "by_size": {"S": 3},
        "by_path": {Path("/tmp/x"): 4},
        "by_number": {5: 5},
        "anything": {"six": 6},
    }
    result = await writer(Counts, **written).run(Counts())
    assert result.data == Counts(**written)
    with pytest.raises(DataNotEncodable) as caught:
        await writer(Counts, anything={(7, 8): 7}).run(Counts())
    assert caught.value.path == "Counts.anything"


@dataclass
class Computed:
    width: int
    doubled: int = field(init=False)

    def __post_init__(self) -> None:
        self.doubled = self.width * 2


@attrs.define
class ComputedAttrs:
    width: int
    doubled: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.doubled = self.width * 2


@pytest.mark.parametrize("type_", [Computed, ComputedAttrs])
async def test_computed_fields_are_not_computed_anew(type_: Any) -> None:
    """A field that `__post_init__` computes keeps what a state wrote there, or left there: a copy computes nothing."""
    result = await writer(type_, width=5).run(type_(1))
    assert (result.data.width, result.data.doubled) == (5, 2)
    result = await writer(type_, doubled=7).run(type_(1))
    assert (result.data.width, result.data.doubled) == (1, 7)


@dataclass
class Tally:
    goal: int
    seen: int = field(init=False, default=3)
    notes: list[str] = field(init=False, default_factory=list)


async def test_fields_that_no_caller_gives() -> None:
    """A field outside `__init__` travels like any other, and one that nobody has set yet keeps its default."""
    result = await writer(Tally, notes=["a"]).run(Tally(1))
    assert (result.data.seen, result.data.notes) == (3, ["a"])
    result = await writer(Tally, seen=4).run(msgspec.json.decode(b'{"goal": 1}', type=Tally))
    assert (result.data.seen, result.data.notes) == (4, [])


async def test_copied_data_may_contain_themselves() -> None:
    """Where data are deep copies, a cycle stays one: the copy contains the copy."""
    knot = Locked()
    knot.callback = knot
    result = await writer(Locked, shape=2j).run(knot)
    assert result.data.callback is result.data
    assert (result.data.shape, knot.shape) == (2j, 0j)


async def test_copied_data_nested_too_deeply() -> None:
    """Copied data nested more deeply than Python goes are refused like any that can't be copied."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(DataNotEncodable, match=r"Locked.*can't be copied"):
        await writer(Locked, callback=deep).run(Locked())


@attrs.define
class Disordered:
    """JSON takes an attrs class's fields by the alphabet."""

    zero: Any = None
    alpha: Any = None


async def test_a_cycle_beside_what_cannot_be_encoded() -> None:
    """Looking for the culprit goes past a cycle on its way."""
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(DataNotEncodable) as caught:
        await writer(Disordered, zero=knot, alpha=object()).run(Disordered())
    assert caught.value.path == "Disordered.alpha"


class Vague(int):
    """A number whose ``==`` gives an array, as numpy's do."""

    def __eq__(self, other: object) -> Any:
        return Elements()

    __hash__ = int.__hash__


class Elements:
    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


def test_equality_that_cannot_tell() -> None:
    """Leaves whose ``==`` gives no truth value are taken to differ; the comparison raises nothing."""
    assert difference({"a": frozenset({Vague(1)})}, {"a": frozenset({Vague(1)})}, "data") == "data['a']"
