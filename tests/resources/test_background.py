"""Resources that hold a nursery: their background tasks serve the runs, and fail them when they crash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any, Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    BatchResults,
    PerRun,
    Resource,
    Resources,
    Shared,
    TaskConfig,
    TeardownTimeout,
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


class Broken(Exception):
    """What a background task fails with."""


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


def crashing(after: float, error: Exception, cleanup: float = 0.0) -> Callable[[], Any]:
    """A context manager whose background task fails after a while."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        async def crash() -> None:
            await trio.sleep(after)
            raise error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            try:
                yield "open"
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(cleanup):
                    await trio.sleep_forever()
            nursery.cancel_scope.cancel()

    return opened


async def failure_of(running: Coroutine[Any, Any, object]) -> BaseException:
    """What is raised, be it a stray `Cancelled`: let out, that would end the test as if it had passed."""
    try:
        await running
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


async def two_tasks() -> Done:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 10)
        nursery.start_soon(trio.sleep, 10)
    return Step.DONE


async def one_task() -> Done:
    await trio.sleep(10)
    return Step.DONE


async def task_that_fails_when_cancelled() -> Done:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 10)
        nursery.start_soon(fail_when_cancelled)
    return Step.DONE


async def fail_when_cancelled() -> None:
    try:
        await trio.sleep(10)
    finally:
        raise ValueError("cut")


@pytest.mark.parametrize("kind", [Shared, PerRun])
async def test_a_background_task_serves_the_run(autojump_clock: MockClock, kind: type[Shared | PerRun]) -> None:
    """A context manager may hold a nursery, whose tasks run beside the runs and end with it."""
    served = list[float]()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Channel]:
        async def serve() -> None:
            while True:
                await trio.sleep(2)
                served.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield Channel([], 1)
            nursery.cancel_scope.cancel()

    resources = Resources(channel=kind(opened))
    assert await using(resources, 5).orchestrate() is Step.DONE
    assert (served, trio.current_time(), resources.teardown_errors) == ([2, 4], 5, ())


@pytest.mark.parametrize("task", [one_task, two_tasks, task_that_fails_when_cancelled])
@pytest.mark.parametrize("kind", [Shared, PerRun])
async def test_a_crash_in_the_background_fails_the_run(
    autojump_clock: MockClock, kind: type[Shared | PerRun], task: Callable[[], Awaitable[Done]]
) -> None:
    """It cancels the run, whatever tasks that has, and what the resource then raises is the run's failure."""
    error, log = Broken(), list[str]()
    resources = Resources(a=Channel(log, 1), b=kind(crashing(2, error)), c=Channel(log, 2), d=PerRun(Maker().plain))
    group = await failure_of(workflow_of(task, resources).orchestrate())
    assert isinstance(group, ExceptionGroup)
    assert group.exceptions[0] is error
    assert len(group.exceptions) == 1 + (task is task_that_fails_when_cancelled)
    assert (trio.current_time(), resources.teardown_errors) == (2, ())
    assert [line[:2] for line in log] == ["+1", "+2", "-2", "-1"]


async def test_a_crash_under_a_batch_fails_the_run(autojump_clock: MockClock) -> None:
    """The same where the engine itself runs several tasks."""
    workflow = Workflow(
        Step, initial=Step.WORK, exits=[Step.DONE], resources=Resources(a=Shared(crashing(2, Broken())))
    )

    @workflow.batch(Step.WORK, concurrency=3)
    async def work(item: int) -> int:
        await trio.sleep(10)
        return item

    @work.load
    async def load() -> list[int]:
        return [1, 2, 3]

    @work.finish
    async def finish(results: BatchResults[int, int]) -> Done:
        raise AssertionError(results)

    with pytest.RaisesGroup(Broken):
        await workflow.orchestrate()
    assert trio.current_time() == 2


async def test_a_crash_inside_a_block_is_raised_by_it(autojump_clock: MockClock) -> None:
    """`async with resources:` raises it where it stands."""
    with pytest.RaisesGroup(Broken):
        async with Resources(a=Shared(crashing(2, Broken()))):
            await trio.sleep(10)
    assert trio.current_time() == 2


async def test_a_crash_whose_cleanup_hangs(autojump_clock: MockClock) -> None:
    """The failure is not lost where the teardown is cut off as well, nor does the run's own cancel escape."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        try:
            async with crashing(2, Broken())():
                yield "open"
        finally:
            await trio.sleep_forever()

    resources = Resources(a=Shared(opened))
    with pytest.RaisesGroup(Broken):
        await sleeping(resources).orchestrate()
    assert (trio.current_time(), [type(error) for error in resources.teardown_errors]) == (32, [TeardownTimeout])


async def test_a_crash_after_the_work_fails_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that is done keeps its result, though the resource crashes while it is torn down."""
    resources = Resources(a=Shared(crashing(2, Broken(), cleanup=5)))
    assert await sleeping(resources, 1).orchestrate() is Step.DONE
    assert [type(error) for error in resources.teardown_errors] == [ExceptionGroup]
    assert len(caplog.records) == 1


async def test_a_crash_under_one_resource_tears_the_others_down(autojump_clock: MockClock) -> None:
    """Those opened after the one that crashed are left by a cancel, those before it by its error; all are closed."""
    maker = Maker()
    resources = Resources(a=Shared(maker.managed), b=Shared(crashing(2, Broken())), c=Shared(maker.managed))
    with pytest.RaisesGroup(Broken):
        await sleeping(resources).orchestrate()
    assert maker.log == [
        "open 1 at 0", "open 2 at 0", "Cancelled 2 at 2", "closed 2 at 3", "ExceptionGroup 1 at 3", "closed 1 at 4",
    ]  # fmt: skip


async def test_a_crash_while_a_later_one_is_set_up(autojump_clock: MockClock) -> None:
    """It cancels the set-up, and is raised as it is for a run."""
    log = list[str]()

    class Slow(Resource):
        async def setup(self) -> None:
            await trio.sleep(10)

    resources = Resources(a=Channel(log, 1), b=Shared(crashing(2, Broken())), c=Slow())
    with pytest.RaisesGroup(Broken):
        await sleeping(resources).orchestrate()
    assert (log, trio.current_time(), resources.teardown_errors) == (["+1 at 0", "-1 at 2"], 2, ())
