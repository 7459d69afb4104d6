"""The handle of a run, as `nursery.start` hands it out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    DataTypeMismatch,
    DefinitionError,
    PerRun,
    Resources,
    Retry,
    Run,
    RunContext,
    RunStarted,
    Shared,
    Workflow,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    CHARGE = auto()
    SHIP = auto()
    DONE = auto()


@dataclass
class Order:
    sku: str


work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE], data=Order)


@work.task(Step.CHARGE, retry=Retry.fixed(1, delay=1))
async def charge(ctx: RunContext) -> Literal[Step.SHIP]:
    await trio.sleep(1)
    if ctx.attempt == 1:
        raise OSError
    return Step.SHIP


@work.task(Step.SHIP)
async def ship(order: Order) -> Literal[Step.DONE]:
    await trio.sleep(1)
    if order.sku == "bad":
        raise TypeError
    return Step.DONE


async def test_a_handle_tells_where_the_run_is(autojump_clock: MockClock) -> None:
    """`nursery.start` gives the handle of a run that has begun; it tells its id, its state and its attempt as they are."""
    seen: list[str] = []
    async with trio.open_nursery() as nursery:
        run: Run[Step, Order] = await nursery.start(partial(work.run, run_id="order-42"), Order("W-7"))
        assert trio.current_time() == 0
        for _ in range(6):
            seen.append(f"{trio.current_time():g} {run!r}")
            await trio.sleep(0.7)
    assert seen == [
        "0 <Run 'order-42' running CHARGE>",
        "0.7 <Run 'order-42' running CHARGE>",
        "1.4 <Run 'order-42' running CHARGE>",
        "2.1 <Run 'order-42' running CHARGE attempt 2>",
        "2.8 <Run 'order-42' running CHARGE attempt 2>",
        "3.5 <Run 'order-42' running SHIP>",
    ]
    assert (run.id, run.state, repr(run)) == ("order-42", Step.DONE, "<Run 'order-42' completed DONE>")


async def test_a_failure_after_the_start_leaves_the_nursery(autojump_clock: MockClock) -> None:
    """What fails later is the nursery's, as with any task; the handle knows."""
    runs: list[Run[Step, Order]] = []
    with pytest.RaisesGroup(TypeError):
        async with trio.open_nursery() as nursery:
            runs.append(await nursery.start(partial(work.run, run_id="r"), Order("bad")))
    assert repr(runs[0]) == "<Run 'r' failed SHIP>"


async def test_a_cancelled_run(autojump_clock: MockClock) -> None:
    """A run that its nursery cancels has ended, cancelled."""
    async with trio.open_nursery() as nursery:
        run: Run[Step, Order] = await nursery.start(partial(work.run, run_id="r"), Order("W-7"))
        nursery.cancel_scope.cancel()
    assert repr(run) == "<Run 'r' cancelled CHARGE>"


@asynccontextmanager
async def failing(connected: bool = False) -> AsyncGenerator[int]:  # noqa: FBT001, FBT002
    await trio.sleep(1)
    if not connected:
        raise OSError("no connection")
    yield 1


@pytest.mark.parametrize(
    "data, options, error",
    [
        ("text", {}, DataTypeMismatch),
        (Order("x"), {"resources": Resources(a=Shared(failing))}, OSError),
        (Order("x"), {"resources": Resources(a=PerRun(failing))}, OSError),
        (Order("x"), {"observers": [3]}, TypeError),
        (Order("x"), {"run_id": ""}, ValueError),
        (Order("x"), {"start": Order}, DefinitionError),
    ],
)
async def test_what_goes_wrong_before_comes_out_of_start(
    data: Any, options: dict[str, Any], error: type[Exception], autojump_clock: MockClock
) -> None:
    """A wrong call, and a resource that can't be set up, are raised by `start` itself, bare."""
    untyped: Any = work
    async with trio.open_nursery() as nursery:
        with pytest.raises(error):
            await nursery.start(partial(untyped.run, **options), data)


async def test_start_returns_when_all_is_set_up(recorder: Recorder, autojump_clock: MockClock) -> None:
    """The handle comes when the resources are there and the run has begun, and before its first task does anything."""
    made: list[str] = []

    @asynccontextmanager
    async def slow() -> AsyncGenerator[int]:
        await trio.sleep(5)
        made.append("up")
        yield 1
        made.append("down")

    async with trio.open_nursery() as nursery:
        options = partial(work.run, resources=Resources(a=Shared(slow), b=PerRun(slow)), observers=[recorder])
        run: Run[Step, Order] = await nursery.start(options, Order("W-7"))
        assert (trio.current_time(), made, run.state) == (10, ["up", "up"], Step.CHARGE)
        assert len(recorder.of(RunStarted)) == 1
    assert (made[2:], run.state) == (["down", "down"], Step.DONE)


async def test_a_run_that_ends_at_once() -> None:
    """A run that starts in an exit state has a handle all the same."""
    async with trio.open_nursery() as nursery:
        run: Run[Step, Order] = await nursery.start(partial(work.run, start=Step.DONE), Order("W-7"))
    assert run.state is Step.DONE


def test_no_public_constructor() -> None:
    """A handle is handed out, never made."""
    with pytest.raises(TypeError):
        Run()  # type: ignore[call-arg]
