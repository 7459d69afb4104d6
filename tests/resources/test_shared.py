"""What is made: once for all runs, or for each; and a context manager that has a life of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Literal, Self

import attrs
import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    MemoryStore,
    PerRun,
    Resource,
    Resources,
    Shared,
    TaskConfig,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


Done = Literal[Step.DONE]


@attrs.define(eq=False)
class Channel(Resource):
    """Notes its life; numbered as made."""

    log: list[str]
    number: int

    def note(self, what: str) -> None:
        self.log.append(f"{what}{self.number} at {trio.current_time():g}")

    async def setup(self) -> None:
        self.note("+")

    async def teardown(self) -> None:
        self.note("-")


@attrs.define(eq=False)
class Maker:
    """Makes numbered channels: as a plain factory, or as a context manager function."""

    log: list[str] = attrs.Factory(list)
    made: int = 0

    def plain(self) -> Channel:
        self.made += 1
        return Channel(self.log, self.made)

    @asynccontextmanager
    async def managed(self) -> AsyncIterator[Channel]:
        channel = self.plain()
        channel.note("open ")
        try:
            yield channel
        except BaseException as error:
            channel.note(f"{type(error).__name__} ")
            raise
        finally:
            await trio.sleep(1)
            channel.note("closed ")


def workflow_of(task: Callable[..., Awaitable[Done]], resources: Resources) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources, defaults=TaskConfig.minimal())
    workflow.register(Step.WORK, task)  # type: ignore[arg-type]
    return workflow


def using(resources: Resources, seconds: float, seen: list[object] | None = None) -> Workflow[Step]:
    """A workflow whose task uses a channel for some seconds."""

    async def work(channel: Channel) -> Done:
        if seen is not None:
            seen.append(channel)
        await trio.sleep(seconds)
        return Step.DONE

    return workflow_of(work, resources)


def sleeping(resources: Resources, seconds: float = 10) -> Workflow[Step]:
    async def work() -> Done:
        await trio.sleep(seconds)
        return Step.DONE

    return workflow_of(work, resources)


async def test_shared_plain_factory_is_set_up(autojump_clock: MockClock) -> None:
    """A plain function's value is made once for all runs, and set up and torn down as one given by itself."""
    maker, seen = Maker(), list[object]()
    resources = Resources(channel=Shared(maker.plain))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(using(resources, 1, seen).orchestrate)
        nursery.start_soon(using(resources, 2, seen).orchestrate)
    assert maker.log == ["+1 at 0", "-1 at 2"]
    assert seen[0] is seen[1]


async def test_shared_context_manager_is_entered(autojump_clock: MockClock) -> None:
    """A context manager function is entered and left once; what it gives is not set up in addition."""
    maker = Maker()
    resources = Resources(channel=Shared(maker.managed))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(using(resources, 1).orchestrate)
        nursery.start_soon(using(resources, 2).orchestrate)
    assert maker.log == ["open 1 at 0", "closed 1 at 3"]


async def test_shared_class_that_is_a_context_manager(autojump_clock: MockClock) -> None:
    """A class is called; an instance that is an async context manager is entered, and gives the resource."""
    log = list[str]()

    class Wire:
        async def __aenter__(self) -> Self:
            log.append("in")
            return self

        async def __aexit__(self, *details: object) -> None:
            log.append(f"out {details}")

    async def work(wire: Wire) -> Done:
        assert isinstance(wire, Wire)
        return Step.DONE

    await workflow_of(work, Resources(wire=Shared(Wire))).orchestrate()
    assert log == ["in", "out (None, None, None)"]


async def test_shared_and_given_stand_in_one_order(autojump_clock: MockClock) -> None:
    """RES-3: those that are made and those that are given are opened as inserted; those per run after all others."""
    maker = Maker(made=10)
    resources = Resources(
        a=PerRun(maker.plain), b=Channel(maker.log, 1), c=Shared(maker.managed), d=Channel(maker.log, 2)
    )
    await sleeping(resources, 1).orchestrate()
    assert maker.log == [
        "+1 at 0", "open 11 at 0", "+2 at 0", "+12 at 0", "-12 at 1", "-2 at 1", "closed 11 at 2", "-1 at 2",
    ]  # fmt: skip


async def test_shared_is_told_what_ended_the_run(autojump_clock: MockClock) -> None:
    """A context manager sees the failure, or the cancel, go through it, and may take its time to clean up."""
    maker = Maker()
    resources = Resources(channel=Shared(maker.managed))

    async def fail() -> Done:
        raise KeyError("run")

    with pytest.raises(KeyError):
        await workflow_of(fail, resources).orchestrate()
    with trio.move_on_after(1):
        await sleeping(resources).orchestrate()
    assert maker.log == [
        "open 1 at 0", "KeyError 1 at 0", "closed 1 at 1", "open 2 at 1", "Cancelled 2 at 2", "closed 2 at 3",
    ]  # fmt: skip


async def test_shared_whose_setup_fails(autojump_clock: MockClock) -> None:
    """RES-4: the factory's own error comes bare, and what stood before is torn down."""
    maker = Maker()

    def refuse() -> Channel:
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        await sleeping(Resources(a=Shared(maker.plain), b=Shared(refuse))).orchestrate()
    assert maker.log == ["+1 at 0", "-1 at 0"]


async def test_per_run_concurrent_runs_do_not_meet(autojump_clock: MockClock) -> None:
    """G-RES-3: every run has its own, made when it begins and closed when it ends, also inside one opening."""
    maker, seen = Maker(), list[object]()
    resources = Resources(channel=PerRun(maker.plain))
    async with resources, trio.open_nursery() as nursery:
        nursery.start_soon(using(resources, 2, seen).orchestrate)
        await trio.sleep(1)
        nursery.start_soon(using(resources, 3, seen).orchestrate)
    assert maker.log == ["+1 at 0", "+2 at 1", "-1 at 2", "-2 at 4"]
    assert len({id(channel) for channel in seen}) == 2


async def test_per_run_is_one_for_the_whole_run() -> None:
    """All states, all attempts and the map itself give the run's one object; outside of it there is none."""
    seen = list[object]()
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=Resources(store=PerRun(MemoryStore)))

    @workflow.task(Step.WORK)
    async def work(store: MemoryStore, given: Resources, *, again: MemoryStore) -> Literal[Step.WORK, Step.DONE]:
        seen.extend([store, again, given.get(MemoryStore), given.value("store")])
        store.append("visits", 1)
        return Step.DONE if len(store.get("visits", list)) == 2 else Step.WORK

    await workflow.orchestrate()
    assert len(seen) == 8
    assert all(store is seen[0] for store in seen)


async def test_per_run_is_closed_when_the_run_is_cancelled(autojump_clock: MockClock) -> None:
    """RES-11, changed: shielded from the cancel, and only for the run that is cancelled."""
    maker = Maker()
    resources = Resources(channel=PerRun(maker.managed))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(using(resources, 5).orchestrate)
        await trio.sleep(0.5)
        with trio.move_on_after(1) as scope:
            await using(resources, 9).orchestrate()
        assert scope.cancelled_caught
    assert [line for line in maker.log if line[-1] != "5" or "2 at" in line] == [
        "open 1 at 0", "open 2 at 0.5", "Cancelled 2 at 1.5", "closed 2 at 2.5", "closed 1 at 6",
    ]  # fmt: skip


async def test_per_run_whose_setup_fails_fails_that_run_only(autojump_clock: MockClock) -> None:
    """RES-4: the run gets the error bare; the shared ones stay open for others, and close at the end."""
    maker, first = Maker(), True

    def once() -> str:
        nonlocal first
        if not first:
            raise OSError("refused")
        first = False
        return "made"

    resources = Resources(channel=Shared(maker.plain), once=PerRun(once))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(using(resources, 2).orchestrate)
        await trio.sleep(1)
        with pytest.raises(OSError, match="refused"):
            await using(resources, 2).orchestrate()
    assert maker.log == ["+1 at 0", "-1 at 2"]


async def test_per_run_teardown_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """RES-5: it does not fail the run; it is not among the errors of the common closing."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        yield 1
        raise OSError("late")

    resources = Resources(one=PerRun(opened))
    assert await sleeping(resources, 0).orchestrate() is Step.DONE
    assert caplog.messages == ["tearing down resource 'one' failed"]
    assert resources.teardown_errors == ()
