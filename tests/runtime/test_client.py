"""A runtime that carries nothing out: what it starts, holds, lets go on and cancels, another one does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    Every,
    Resources,
    Retry,
    RunAlreadyEnded,
    RunCancelled,
    RunFailed,
    RunStatus,
    Runtime,
    Schedule,
    Workflow,
    open_runtime,
)
from cano_trio.journals import MemoryJournal


class Step(Enum):
    BOOK = auto()
    ASK = auto()
    SHIP = auto()
    DONE = auto()


@dataclass
class Order:
    item: str
    note: str = ""


@dataclass(frozen=True)
class Approved:
    by: str


class Courier:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.busy = 0.0
        self.breaks = False


class Broken(Courier):
    async def setup(self) -> None:
        raise OSError("no courier here")


order = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], name="order", data=Order)


@order.compensatable(Step.BOOK)
async def book(order: Order, courier: Courier) -> tuple[Literal[Step.ASK], str]:
    await trio.sleep(courier.busy)
    courier.log.append(f"book {order.item}")
    return Step.ASK, order.item


@book.compensate
async def give_up(item: str, courier: Courier) -> None:
    await trio.sleep(courier.busy)
    courier.log.append(f"give up {item}")


@order.receive(Step.ASK)
async def ask(answer: Approved, order: Order) -> Literal[Step.SHIP]:
    order.note = answer.by
    return Step.SHIP


plain = Workflow(Step, initial=Step.SHIP, exits=[Step.DONE], name="plain", data=Order)


@plain.task(Step.SHIP, retry=Retry.none())
@order.task(Step.SHIP, retry=Retry.none())
async def ship(order: Order, courier: Courier) -> Literal[Step.DONE]:
    await trio.sleep(courier.busy)
    if courier.breaks:
        raise OSError("a wheel is off")
    courier.log.append(f"ship {order.item}")
    return Step.DONE


@asynccontextmanager
async def client(journal: MemoryJournal) -> AsyncGenerator[Runtime]:
    beside = MemoryJournal(beside=journal)
    async with open_runtime(workflows=[order, plain], journal=beside, claim=False) as runtime:
        yield runtime


@asynccontextmanager
async def server(journal: MemoryJournal, courier: Courier, *, grace: float = 60.0) -> AsyncGenerator[Runtime]:
    resources = Resources(courier=courier)
    async with open_runtime(
        workflows=[order, plain], journal=journal, resources=resources, on_exit="drain", grace=grace
    ) as runtime:
        yield runtime


async def test_what_a_client_starts_a_server_carries_out(autojump_clock: MockClock) -> None:
    """It waits in the journal until somebody claims it; the client needs none of the resources, and hears of the end."""
    journal, courier = MemoryJournal(), Courier()
    async with client(journal) as runtime:
        run = await runtime.start(plain, Order("tea"), run_id="a", priority=3, labels={"shop": "north"})
        await trio.sleep(100)
        assert (run.status, courier.log, runtime.statistics().at_work) == (RunStatus.QUEUED, [], 0)
        async with server(journal, courier):
            result = await run.wait()
    assert (result.state, courier.log) == (Step.DONE, ["ship tea"])


async def test_a_client_opens_no_resources(autojump_clock: MockClock) -> None:
    """Those of the workflow itself may not even exist where it looks from."""

    own = Workflow(Step, initial=Step.SHIP, exits=[Step.DONE], name="own", resources=Resources(courier=Broken()))

    @own.task(Step.SHIP)
    async def ship(courier: Courier) -> Literal[Step.DONE]:
        return Step.DONE

    async with open_runtime(workflows=[own], journal=MemoryJournal(), claim=False) as runtime:
        await runtime.start(own, run_id="a")
        assert [info.status for info in await runtime.runs()] == [RunStatus.QUEUED]


async def test_a_message_of_a_client_reaches_the_run(autojump_clock: MockClock) -> None:
    """Of two with one key one counts."""
    journal, courier = MemoryJournal(), Courier()
    async with server(journal, courier) as host, client(journal) as runtime:
        await host.start(order, Order("tea"), run_id="a")
        run = await runtime.get(order, "a")
        assert [await run.send(Approved("Mo"), key="k") for _ in range(2)] == [True, False]
        assert (await run.wait()).data == Order("tea", "Mo")


async def test_a_client_holds_a_run_and_lets_it_go_on(autojump_clock: MockClock) -> None:
    """It is held behind the state in which it is at work, and goes on where it is carried out, not here."""
    journal, courier = MemoryJournal(), Courier()
    courier.busy = 5.0
    async with server(journal, courier) as host, client(journal) as runtime:
        await host.start(order, Order("tea"), run_id="a")
        run = await runtime.get(order, "a")
        await run.pause("a strike")
        assert (trio.current_time(), run.status, run.state) == (5.0, RunStatus.PAUSED, Step.ASK)
        await run.send(Approved("Mo"))
        await trio.sleep(1000)
        assert courier.log == ["book tea"]
        await run.resume()
        assert (await run.wait()).state is Step.DONE
        assert (trio.current_time(), courier.log) == (1010.0, ["book tea", "ship tea"])
        assert runtime.statistics().claimed == 0


async def test_what_a_client_lets_go_on_waits_for_a_server(autojump_clock: MockClock) -> None:
    """Where nobody carries runs out, a paused run is held at once, and waits to be claimed when it is let go on."""
    journal, courier = MemoryJournal(), Courier()
    async with client(journal) as runtime:
        run = await runtime.start(plain, Order("tea"), run_id="a")
        await run.pause()
        assert run.status is RunStatus.PAUSED
        await run.resume()
        assert (run.status, courier.log) == (RunStatus.RUNNING, [])
        async with server(journal, courier):
            assert (await run.wait()).state is Step.DONE


async def test_a_client_has_a_failed_run_tried_again(autojump_clock: MockClock) -> None:
    """The server that carried it out does so again, from the state it failed in."""
    journal, courier = MemoryJournal(), Courier()
    courier.breaks = True
    async with server(journal, courier), client(journal) as runtime:
        run = await runtime.start(plain, Order("tea"), run_id="a")
        with pytest.raises(RunFailed, match="a wheel is off"):
            await run.wait()
        courier.breaks = False
        await run.retry()
        assert (await run.wait()).state is Step.DONE
    assert courier.log == ["ship tea"]


@pytest.mark.parametrize("paused", [False, True])
async def test_what_a_client_cancels_is_undone_where_it_is_carried_out(
    *, paused: bool, autojump_clock: MockClock
) -> None:
    """A run that an operator holds is taken up for it, too."""
    journal, courier = MemoryJournal(), Courier()
    async with server(journal, courier) as host, client(journal) as runtime:
        await host.start(order, Order("tea"), run_id="a")
        run = await runtime.get(order, "a")
        await run.wait_state(Step.ASK)
        if paused:
            await run.pause()
        run.cancel("no more tea")
        with pytest.raises(RunCancelled, match="no more tea"):
            await run.wait()
    assert courier.log == ["book tea", "give up tea"]


async def test_a_cancel_waits_for_a_server(autojump_clock: MockClock) -> None:
    """Asked for while nobody carries the run out, it is what the next one does with it."""
    journal, courier = MemoryJournal(), Courier()
    async with client(journal) as runtime:
        run = await runtime.start(order, Order("tea"), run_id="a")
        run.cancel("no more tea")
        await trio.sleep(10)
        assert (run.status, courier.log) == (RunStatus.QUEUED, [])
        async with server(journal, courier):
            with pytest.raises(RunCancelled, match="no more tea"):
                await run.wait()
    assert courier.log == []


async def test_a_cancel_that_comes_too_late_hurts_nobody(autojump_clock: MockClock) -> None:
    """The run ends between the look at it and the request: its end stands."""
    journal, courier = MemoryJournal(), Courier()
    courier.busy = 5.0
    async with server(journal, courier), client(journal) as runtime:
        run = await runtime.start(plain, Order("tea"), run_id="a")
        await trio.sleep(5)
        run.cancel("too late")
        assert (await run.wait()).state is Step.DONE
        run.cancel("later still")


async def test_a_run_that_is_undone_is_not_held(autojump_clock: MockClock) -> None:
    """Paused, it would go on forward later: a rollback goes on to its end, over a release and in another process."""
    journal, courier = MemoryJournal(), Courier()
    async with client(journal) as runtime:
        async with server(journal, courier, grace=5) as host:
            run = await host.start(order, Order("tea"), run_id="a")
            await run.wait_state(Step.ASK)
            courier.busy = 20.0
            run.cancel("no more tea")
            await trio.sleep(1)
            with trio.move_on_after(1):
                await run.pause()
            seen = await runtime.get(order, "a")
            with pytest.raises(RunAlreadyEnded, match="it is rolling_back"):
                await seen.pause()
        assert ((await runtime.get(order, "a")).status, courier.log) == (RunStatus.ROLLING_BACK, ["book tea"])
        with pytest.raises(RunAlreadyEnded, match="can't be paused: it is rolling_back"):
            await seen.pause()
        async with server(journal, courier):
            with pytest.raises(RunCancelled, match="no more tea"):
                await seen.wait()
    assert courier.log == ["book tea", "give up tea"]


async def test_a_request_to_hold_a_run_does_not_outlive_its_failure(autojump_clock: MockClock) -> None:
    """The state that was to be finished first fails: whoever goes on with the rollback does not hold it."""
    journal, courier = MemoryJournal(), Courier()
    async with client(journal) as runtime, trio.open_nursery() as nursery:

        async def pause() -> None:
            with pytest.raises(RunAlreadyEnded, match="can't be paused: it is rolled_back"):
                await run.pause()

        async with server(journal, courier, grace=1) as host:
            await host.start(order, Order("tea"), run_id="a")
            run = await runtime.get(order, "a")
            await run.wait_state(Step.ASK)
            courier.busy, courier.breaks = 10.0, True
            await run.send(Approved("Mo"))
            await run.wait_state(Step.SHIP)
            nursery.start_soon(pause)
            await trio.sleep(15)
        async with server(journal, courier):
            with pytest.raises(RunFailed, match="a wheel is off"):
                await run.wait()
    assert courier.log == ["book tea", "give up tea"]


async def test_draining_tells_whether_the_time_was_enough(autojump_clock: MockClock) -> None:
    """It was, if every run could finish the state that it was in."""
    journal, courier = MemoryJournal(), Courier()
    courier.busy = 5.0
    for grace, enough in ((4.0, False), (6.0, True)):
        async with open_runtime(workflows=[plain], journal=journal, resources=Resources(courier=courier)) as runtime:
            await runtime.start(plain, Order("tea"), run_id=f"r{grace}")
            assert await runtime.drain(grace) is enough


async def test_a_client_fires_no_schedules(autojump_clock: MockClock) -> None:
    """Where no runs are carried out, no schedule is fired, whether it is named at the opening or later."""
    schedule = Schedule("hourly", plain, Every(3600), data=lambda _: Order("tea"))
    with pytest.raises(ValueError, match="claim=False"):
        async with open_runtime(schedules=[schedule], journal=MemoryJournal(), claim=False):
            raise AssertionError
    async with open_runtime(workflows=[plain], journal=MemoryJournal(), claim=False) as client:
        with pytest.raises(ValueError, match="claim=False"):
            await client.schedule(schedule)
        with pytest.raises(TypeError, match="is no Schedule"):
            await client.schedule("hourly")  # type: ignore[arg-type]
