"""When resources are set up and torn down, in which order, and who hears of what goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    DataTypeMismatch,
    DefinitionError,
    Event,
    IllegalTransition,
    Resource,
    Resources,
    RunEnded,
    RunStatus,
    TaskConfig,
    TeardownTimeout,
    Workflow,
    failure_context,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


Done = Literal[Step.DONE]


@attrs.define(eq=False)
class Tracked(Resource):
    """Notes when it is set up and torn down; takes its time, and fails where told."""

    name: str
    log: list[str]
    up: BaseException | None = None
    down: BaseException | None = None
    up_seconds: float = 0.0
    down_seconds: float = 0.0

    async def setup(self) -> None:
        self.log.append(f"+{self.name}")
        await trio.sleep(self.up_seconds)
        if self.up is not None:
            raise self.up

    async def teardown(self) -> None:
        self.log.append(f"-{self.name}")
        try:
            await trio.sleep(self.down_seconds)
        except trio.Cancelled:
            self.log.append(f"cut {self.name} at {trio.current_time():g}")
            raise
        if self.down is not None:
            raise self.down


@attrs.define
class Watching:
    """Keeps all events."""

    events: list[Event] = attrs.Factory(list)

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)


def workflow_of(task: Callable[..., Awaitable[Done]], resources: Resources | None = None) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources, defaults=TaskConfig.minimal())
    workflow.register(Step.WORK, task)  # type: ignore[arg-type]
    return workflow


def working(log: list[str], seconds: float = 0.0, error: BaseException | None = None) -> Workflow[Step]:
    """A workflow of one task, which takes its time and then fails, if it is to."""

    async def work() -> Done:
        log.append("work")
        await trio.sleep(seconds)
        if error is not None:
            raise error
        return Step.DONE

    return workflow_of(work)


def three(log: list[str]) -> Resources:
    return Resources(a=Tracked("a", log), b=Tracked("b", log), c=Tracked("c", log))


ALL = ["+a", "+b", "+c", "work", "-c", "-b", "-a"]


async def test_up_in_order_and_down_in_reverse(autojump_clock: MockClock) -> None:
    """RES-3: one after the other, as inserted, and back."""
    log = list[str]()
    resources = Resources({"b": Tracked("b", log, up_seconds=2, down_seconds=1)}, a=Tracked("a", log, up_seconds=1))
    assert await working(log).orchestrate(resources=resources) is Step.DONE
    assert log == ["+b", "+a", "work", "-a", "-b"]
    assert trio.current_time() == 4


async def test_all_the_same_whatever_is_in_it() -> None:
    """RES-13: the base class does nothing by itself, other values are used as they are."""
    resources = Resources(a=Resource(), b=3, c=object())
    assert await working([]).orchestrate(resources=resources) is Step.DONE
    assert resources.teardown_errors == ()


async def test_only_what_is_async_is_called() -> None:
    """A method of the name that is not async is something else, and left alone."""
    log = list[str]()

    class Half:
        def setup(self, value: int) -> None:
            raise AssertionError(value)

        async def teardown(self) -> None:
            log.append("-half")

    class OtherHalf:
        teardown = "the other day"

        async def setup(self) -> None:
            log.append("+other")

    await working(log).orchestrate(resources=Resources(half=Half(), other=OtherHalf()))
    assert log == ["+other", "work", "-half"]


async def test_failed_setup_takes_the_earlier_ones_down() -> None:
    """RES-4, RES-12: those before it are torn down in reverse, itself and later ones are not; the error comes bare."""
    log, error = list[str](), OSError("refused")
    resources = Resources(a=Tracked("a", log), b=Tracked("b", log), c=Tracked("c", log, up=error), d=Tracked("d", log))
    with pytest.raises(OSError, match="refused") as caught:
        await working(log).orchestrate(resources=resources)
    assert caught.value is error
    assert (error.__cause__, error.__context__, failure_context(error)) == (None, None, None)
    assert log == ["+a", "+b", "+c", "-b", "-a"]


async def test_failed_setup_and_a_failed_teardown_after_it(caplog: pytest.LogCaptureFixture) -> None:
    """RES-4, RES-5: what fails while the earlier ones are taken down does not hide why."""
    log, error, late = list[str](), OSError("refused"), ValueError("late")
    resources = Resources(a=Tracked("a", log), b=Tracked("b", log, down=late), c=Tracked("c", log, up=error))
    with pytest.raises(OSError, match="refused"):
        await working(log).orchestrate(resources=resources)
    assert (resources.teardown_errors, log) == ((late,), ["+a", "+b", "+c", "-b", "-a"])
    assert caplog.messages == ["tearing down resource 'b' failed"]


async def test_no_event_before_all_are_set_up() -> None:
    """RES-6: a run whose set-up fails has not begun; no observer hears of it."""
    watching, log = Watching(), list[str]()
    with pytest.raises(OSError, match="refused"):
        await working(log).orchestrate(
            resources=Resources(a=Tracked("a", log, up=OSError("refused"))), observers=[watching]
        )
    assert watching.events == []


async def test_nothing_is_set_up_for_a_wrong_call() -> None:
    """RES-6: a wrong definition, a wrong start and wrong data are found before any set-up."""
    log = list[str]()
    resources = three(log)

    async def work(missing: bytes) -> Done:
        raise AssertionError(missing)

    with pytest.raises(DefinitionError, match="E13"):
        await workflow_of(work).orchestrate(resources=resources)
    with pytest.raises(DefinitionError, match="E22"):
        await working(log).orchestrate("nowhere", resources=resources)  # type: ignore[call-overload]
    with pytest.raises(DataTypeMismatch):
        await working(log).orchestrate(data="some", resources=resources)  # type: ignore[call-overload]
    empty = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    with pytest.raises(DefinitionError, match="E01"):
        await empty.orchestrate(resources=resources)
    assert log == []


@pytest.mark.parametrize(
    "error",
    [
        OSError("down"),
        ExceptionGroup("one", [OSError("down")]),
        StopAsyncIteration("odd"),
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
    ],
    ids=repr,
)
async def test_down_however_the_run_fails(error: BaseException) -> None:
    """RES-6: the run's own exception comes out as it is, of whatever kind, after all has been torn down."""
    log = list[str]()
    resources = three(log)
    with pytest.raises(BaseException) as caught:  # noqa: PT011, B017, RUF100
        await working(log, error=error).orchestrate(resources=resources)
    assert caught.value is error
    assert (log, resources.teardown_errors) == (ALL, ())


async def test_down_after_an_illegal_transition() -> None:
    """RES-6: an error of the engine's own tears down as well."""
    log = list[str]()

    async def work() -> Done:
        log.append("work")
        return Step.WORK  # type: ignore[return-value]

    with pytest.raises(IllegalTransition):
        await workflow_of(work).orchestrate(resources=three(log))
    assert log == ALL


async def test_down_when_cancelled_from_outside(autojump_clock: MockClock) -> None:
    """RES-11, changed: an outer cancel tears down, shielded from itself, and then passes on."""
    log = list[str]()
    resources = Resources(a=Tracked("a", log, down_seconds=3), b=Tracked("b", log, down_seconds=2))
    with trio.move_on_after(1) as scope:
        await working(log, 10).orchestrate(resources=resources)
    assert scope.cancelled_caught
    assert (log, trio.current_time()) == (["+a", "+b", "work", "-b", "-a"], 6)
    assert resources.teardown_errors == ()


async def test_down_when_cancelled_during_setup(autojump_clock: MockClock) -> None:
    """RES-11, changed: a cancel during a set-up takes down what stands already."""
    log = list[str]()
    resources = Resources(a=Tracked("a", log, down_seconds=3), b=Tracked("b", log, up_seconds=10))
    with trio.move_on_after(1) as scope:
        await working(log).orchestrate(resources=resources)
    assert scope.cancelled_caught
    assert (log, trio.current_time()) == (["+a", "+b", "-a"], 4)


async def test_finished_work_stays_though_the_teardown_is_cancelled(autojump_clock: MockClock) -> None:
    """A cancel that comes while all is torn down takes no result away."""
    log = list[str]()
    with trio.move_on_after(1) as scope:
        state = await working(log).orchestrate(resources=Resources(a=Tracked("a", log, down_seconds=3)))
    assert (state, scope.cancelled_caught, trio.current_time()) == (Step.DONE, False, 3)


async def test_the_run_has_ended_before_it_is_torn_down(autojump_clock: MockClock) -> None:
    """RES-6: resources stand until the last event is told."""
    watching, log = Watching(), list[str]()
    await working(log, 1).orchestrate(resources=Resources(a=Tracked("a", log, down_seconds=3)), observers=[watching])
    ended = watching.events[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.status, ended.time, trio.current_time()) == (RunStatus.COMPLETED, 1, 4)


async def test_teardown_errors_are_kept_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """RES-5: what teardowns raise is logged with its traceback and kept; all are torn down; the run has succeeded."""
    log, first, second = list[str](), OSError("a"), ExceptionGroup("c", [ValueError()])
    resources = Resources(a=Tracked("a", log, down=first), b=Tracked("b", log), c=Tracked("c", log, down=second))
    assert await working(log).orchestrate(resources=resources) is Step.DONE
    assert (log, resources.teardown_errors) == (ALL, (second, first))
    records = [(record.name, record.levelno, record.message) for record in caplog.records]
    assert records == [
        ("cano_trio", logging.ERROR, "tearing down resource 'c' failed"),
        ("cano_trio", logging.ERROR, "tearing down resource 'a' failed"),
    ]
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [second, first]


async def test_teardown_errors_do_not_hide_the_failure(caplog: pytest.LogCaptureFixture) -> None:
    """RES-5: a run that has failed fails with its own error, untouched by what comes after."""
    log, error, late = list[str](), KeyError("run"), OSError("late")
    resources = Resources(a=Tracked("a", log, down=late), b=Tracked("b", log))
    with pytest.raises(KeyError) as caught:
        await working(log, error=error).orchestrate(resources=resources)
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert (resources.teardown_errors, len(caplog.records)) == ((late,), 1)


async def test_teardown_errors_are_those_of_the_last_closing(caplog: pytest.LogCaptureFixture) -> None:
    """RES-5: a closing without errors forgets those of the one before."""
    broken = Tracked("a", [], down=OSError("late"))
    resources = Resources(a=broken)
    for down in (OSError("late"), None):
        broken.down = down
        await working([]).orchestrate(resources=resources)
        assert resources.teardown_errors == (() if down is None else (down,))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("error", [None, OSError("run")], ids=["success", "failure"])
async def test_a_teardown_is_cut_after_30_seconds(autojump_clock: MockClock, error: Exception | None) -> None:
    """G-RES-2: one that hangs is cut and noted; the others are torn down, each within 30 seconds of its own."""
    log = list[str]()
    resources = Resources(
        a=Tracked("a", log, down_seconds=29), b=Tracked("b", log, down_seconds=1e9), c=Tracked("c", log)
    )
    result: object = None
    try:
        result = await working(log, error=error).orchestrate(resources=resources)
    except OSError as raised:
        result = raised
    assert result is (error or Step.DONE)
    assert log == ["+a", "+b", "+c", "work", "-c", "-b", "cut b at 30", "-a"]
    (cut,) = resources.teardown_errors
    assert isinstance(cut, TeardownTimeout)
    assert (cut.key, cut.limit, trio.current_time()) == ("b", 30, 59)
    assert str(cut) == "tearing down resource 'b' took more than 30 s and was cut off"


async def test_a_cut_teardown_lets_the_outer_cancel_pass(autojump_clock: MockClock) -> None:
    """RES-11, changed: shielded, but not for ever; then the cancel from outside goes on to its scope."""
    log = list[str]()
    resources = Resources(a=Tracked("a", log), b=Tracked("b", log, down_seconds=1e9))
    with trio.move_on_after(1) as scope:
        await working(log, 10).orchestrate(resources=resources)
    assert scope.cancelled_caught
    assert (log, trio.current_time()) == (["+a", "+b", "work", "-b", "cut b at 31", "-a"], 31)
    assert [type(error) for error in resources.teardown_errors] == [TeardownTimeout]


async def test_a_cut_teardown_may_raise_something_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What a teardown makes of being cut is noted beside the cut."""
    error = OSError("left half open")

    class Stubborn(Resource):
        async def teardown(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise error

    resources = Resources(a=Stubborn())
    assert await working([]).orchestrate(resources=resources) is Step.DONE
    cut, raised = resources.teardown_errors
    assert isinstance(cut, TeardownTimeout)
    assert raised is error
    assert len(caplog.records) == 2


async def test_a_keyboard_interrupt_in_teardown_passes() -> None:
    """RES-12: what is no Exception is never swallowed, not even over the run's own failure; the others come down."""
    log = list[str]()
    resources = Resources(a=Tracked("a", log), b=Tracked("b", log), c=Tracked("c", log, down=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        await working(log, error=OSError("run")).orchestrate(resources=resources)
    assert (log, resources.teardown_errors) == (ALL, ())


async def test_a_keyboard_interrupt_in_setup_passes() -> None:
    """RES-12: nor is one in a set-up; those before it are torn down."""
    log = list[str]()
    with pytest.raises(KeyboardInterrupt):
        await working(log).orchestrate(
            resources=Resources(a=Tracked("a", log), b=Tracked("b", log, up=KeyboardInterrupt()))
        )
    assert log == ["+a", "+b", "-a"]
