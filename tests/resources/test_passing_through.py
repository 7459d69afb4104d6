"""What a run came to passes through its resources as it is, whatever these make of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio import (
    PerRun,
    ResourceError,
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


class Broken(Exception):
    """What a background task fails with."""


def workflow_of(task: Callable[..., Awaitable[Done]], resources: Resources) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources, defaults=TaskConfig.minimal())
    workflow.register(Step.WORK, task)  # type: ignore[arg-type]
    return workflow


def sleeping(resources: Resources, seconds: float = 10) -> Workflow[Step]:
    async def work() -> Done:
        await trio.sleep(seconds)
        return Step.DONE

    return workflow_of(work, resources)


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A context manager with a background task that only waits."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        yield "open"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def fails_when_left() -> AsyncIterator[str]:
    """A context manager with a background task that fails when it is cancelled."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Broken

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        nursery.start_soon(trio.sleep_forever)
        yield "open"


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


@pytest.mark.parametrize(
    "error", [OSError("down"), ExceptionGroup("one", [OSError("down")]), KeyboardInterrupt()], ids=repr
)
async def test_a_nursery_does_not_wrap_the_run_s_failure(error: BaseException) -> None:
    """A run fails with what its task raised, and not with the group that a resource's nursery makes of it."""

    async def fail() -> Done:
        raise error

    resources = Resources(a=Shared(serving), b=Shared(serving), c=PerRun(serving))
    with pytest.raises(BaseException) as caught:  # noqa: PT011, B017, RUF100
        await workflow_of(fail, resources).orchestrate()
    assert caught.value is error
    assert resources.teardown_errors == ()


async def test_a_nursery_does_not_wrap_a_later_setup_s_failure() -> None:
    """RES-4: bare, whatever stands around it."""

    def refuse() -> str:
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        async with Resources(a=Shared(serving), b=Shared(refuse)):
            raise AssertionError


async def test_a_failure_and_what_a_nursery_adds_to_it(caplog: pytest.LogCaptureFixture) -> None:
    """The run fails with its own error; the group in which a background task adds another is a teardown error."""
    error = KeyError("run")

    async def fail() -> Done:
        await wait_all_tasks_blocked()
        raise error

    resources = Resources(a=Shared(fails_when_left))
    with pytest.raises(KeyError) as caught:
        await workflow_of(fail, resources).orchestrate()
    assert caught.value is error
    (group,) = resources.teardown_errors
    assert isinstance(group, ExceptionGroup)
    assert {type(error) for error in group.exceptions} == {KeyError, Broken}
    assert len(caplog.records) == 1


async def test_a_cut_nursery_with_errors_of_its_own(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What a nursery gathers while it is cut off, cancels and errors, is noted, and takes no result away."""
    resources = Resources(a=Shared(fails_when_left))
    assert await sleeping(resources, 1).orchestrate() is Step.DONE
    cut, group = resources.teardown_errors
    assert isinstance(cut, TeardownTimeout)
    assert isinstance(group, ExceptionGroup)
    assert [type(error) for error in group.exceptions] == [Broken]
    assert (trio.current_time(), len(caplog.records)) == (31, 2)


async def test_an_outer_cancel_beats_a_crash(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Where both come, the run is cancelled, and the crash is a teardown error."""
    resources = Resources(a=Shared(fails_when_left))
    with trio.move_on_after(1) as scope:
        await sleeping(resources).orchestrate()
    assert (scope.cancelled_caught, trio.current_time()) == (True, 1)
    (group,) = resources.teardown_errors
    assert isinstance(group, ExceptionGroup)
    assert [type(error) for error in group.exceptions] == [Broken]
    assert len(caplog.records) == 1


async def test_a_resource_that_ends_by_itself(autojump_clock: MockClock) -> None:
    """One that cancels its block without an error leaves the run cut off: the run fails and says why."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        with suppress(ExceptionGroup), trio.move_on_after(2):
            yield "open"

    resources = Resources({Step.WORK: Shared(opened)})
    causes = list[object]()
    for task in (one_task, two_tasks, task_that_fails_when_cancelled):
        error = await failure_of(workflow_of(task, resources).orchestrate())
        assert repr(error) == "ResourceError(\"resource 'Step.WORK' ended, and cancelled the run that used it\")"
        causes.append(repr(error.__cause__))
    assert causes == ["None", "None", "ExceptionGroup('Exceptions from Trio nursery', [ValueError('cut')])"]
    assert (trio.current_time(), resources.teardown_errors) == (6, ())


async def test_a_resource_that_ends_by_itself_and_fails(autojump_clock: MockClock) -> None:
    """What it then raises is why the run could not go on, and keeps the cause it has."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        with trio.move_on_after(2):
            yield "open"
        raise OSError("timed out") from cause

    cause = KeyError("own")
    error = await failure_of(workflow_of(one_task, Resources(a=Shared(opened))).orchestrate())
    assert isinstance(error, OSError)
    assert (error.__cause__, trio.current_time()) == (cause, 2)


async def test_a_resource_that_swallows_cannot_hide_a_failure() -> None:
    """What the block raised passes on, though the context manager suppressed it: a run can't end without a state."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        try:
            yield "open"
        except BaseException:
            log.append("swallowed")

    async def fail() -> Done:
        raise OSError("run")

    log = list[str]()
    resources = Resources(a=Shared(opened))
    with pytest.raises(OSError, match="run"):
        await workflow_of(fail, resources).orchestrate()
    with trio.CancelScope() as scope:
        scope.cancel()
        await sleeping(resources).orchestrate()
    assert scope.cancelled_caught
    assert log == ["swallowed", "swallowed"]


async def test_a_deadline_that_nobody_has_noticed_yet(autojump_clock: MockClock) -> None:
    """Where it passes while the teardown does not look, no scope would catch the run's cancel: the reason is raised."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        with trio.move_on_after(2):
            yield "open"
        autojump_clock.jump(10)

    with trio.move_on_after(5):
        error = await failure_of(sleeping(Resources(a=Shared(opened))).orchestrate())
    assert isinstance(error, ResourceError)


async def test_a_context_manager_that_raises_again_what_it_is_told(autojump_clock: MockClock) -> None:
    """That is no error of its own, nor is what the run was just recovering from."""

    class Echo:
        async def __aenter__(self) -> str:
            return "open"

        async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            if error is not None:
                raise error

    async def recover() -> Done:
        try:
            return Step["NOWHERE"]  # type: ignore[return-value]
        except KeyError:
            await trio.sleep_forever()
            raise

    resources = Resources(a=Shared(Echo))
    with trio.move_on_after(1) as scope:
        await workflow_of(recover, resources).orchestrate()
    assert (scope.cancelled_caught, resources.teardown_errors) == (True, ())


async def test_a_keyboard_interrupt_in_the_background_passes(autojump_clock: MockClock) -> None:
    """RES-12: it is not taken for a teardown error, whatever the run came to."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        async def interrupted() -> None:
            await trio.sleep(2)
            raise KeyboardInterrupt

        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupted)
            yield "open"

    for seconds in (1, 10):
        with pytest.RaisesGroup(KeyboardInterrupt):
            await sleeping(Resources(a=Shared(opened)), seconds).orchestrate()
