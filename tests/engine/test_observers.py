"""Those who are told of a run's events (cano OBS-*)."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    Event,
    Progress,
    Published,
    Retry,
    RunContext,
    RunStarted,
    RunStatus,
    StateEntered,
    Workflow,
    open_runtime,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    A = auto()
    DONE = auto()


def workflow() -> Workflow[Step]:
    work = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="demo")

    @work.task(Step.A)
    async def task(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.progress(1, 2)
        ctx.progress(2)
        return Step.DONE

    return work


class Faulty:
    def __init__(self) -> None:
        self.told = 0

    def on_event(self, event: Event, /) -> None:
        self.told += 1
        if isinstance(event, StateEntered):
            raise RuntimeError("observer broke")  # noqa: TRY004


async def test_faulty_observer_is_switched_off(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """WFL-18, G-RET-6: an observer that raises is logged once and told no more; run and other observers feel nothing."""
    faulty = Faulty()
    assert await workflow().orchestrate(observers=[faulty, recorder]) is Step.DONE
    assert faulty.told == 2
    assert len(recorder.events) == 7
    (record,) = caplog.records
    assert "is switched off for this run" in record.message
    assert record.exc_info is not None


async def test_it_is_told_again_in_the_next_run(caplog: pytest.LogCaptureFixture) -> None:
    """An observer is switched off for one run, not for ever."""
    faulty, work = Faulty(), workflow()
    await work.orchestrate(observers=[faulty])
    await work.orchestrate(observers=[faulty])
    assert faulty.told == 4


async def test_observers_are_told_in_order() -> None:
    """OBS-2: several observers are told of each event in the order given."""
    told = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_event(self, event: Event, /) -> None:
            told.append((type(event).__name__, self.name))

    await workflow().orchestrate(observers=[Named("first"), Named("second")])
    assert told[:4] == [
        ("RunStarted", "first"),
        ("RunStarted", "second"),
        ("StateEntered", "first"),
        ("StateEntered", "second"),
    ]


async def test_interrupt_in_an_observer_passes(recorder: Recorder) -> None:
    """Ctrl-C that hits while an observer runs is not swallowed."""

    class Interrupted:
        def on_event(self, event: Event, /) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await workflow().orchestrate(observers=[Interrupted()])


async def test_events_carry_run_workflow_state_and_time(recorder: Recorder) -> None:
    """G-OBS-3: every event says of which run it is, where that is, and when."""
    await workflow().orchestrate(run_id="r", observers=[recorder])
    started = recorder.of(RunStarted)[0]
    assert (started.run_id, started.workflow, started.state) == ("r", "demo", Step.A)
    assert started.time <= recorder.events[-1].time <= trio.current_time()
    assert [(event.done, event.total, event.state) for event in recorder.of(Progress)] == [
        (1, 2, Step.A),
        (2, None, Step.A),
    ]


async def test_what_a_task_emits_is_published(recorder: Recorder) -> None:
    """`ctx.emit` tells observers any value, as it is and at once, in order with all that the run tells by itself."""
    made = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="demo")
    values: list[object] = [{"tokens": 3}, None, object()]

    @made.task(Step.A)
    async def work(ctx: RunContext) -> Literal[Step.DONE]:
        for value in values:
            ctx.emit(value)
        return Step.DONE

    await made.run(run_id="r", observers=[recorder])
    published = recorder.of(Published)
    assert [event.value for event in published] == values
    assert published[2].value is values[2]
    assert {(event.run_id, event.workflow, event.state) for event in published} == {("r", "demo", Step.A)}
    assert recorder.kinds()[2:6] == ["Published", "Published", "Published", "TaskSucceeded"]


async def test_each_attempt_emits_again(recorder: Recorder, autojump_clock: MockClock) -> None:
    """What is emitted is no fact of the transition: a failed attempt has told it already, and the next tells it again."""
    made = Workflow(Step, initial=Step.A, exits=[Step.DONE])

    @made.task(Step.A, retry=Retry.fixed(1, delay=5))
    async def work(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.emit(ctx.attempt)
        if ctx.attempt == 1:
            raise OSError
        return Step.DONE

    await made.run(observers=[recorder])
    assert [(event.value, event.time) for event in recorder.of(Published)] == [(1, 0), (2, 5)]


async def test_a_child_publishes_to_who_listens_to_the_run(recorder: Recorder) -> None:
    """What a task of a child workflow emits comes to the observers of the run, with the child's workflow and state."""
    inner = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="inner")

    @inner.task(Step.A)
    async def work(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.emit("deep down")
        return Step.DONE

    outer = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="outer")
    outer.register_child(Step.A, inner, {Step.DONE: Step.DONE})
    await outer.run(observers=[recorder])
    assert [(event.workflow, event.value) for event in recorder.of(Published)] == [("inner", "deep down")]


async def test_the_events_of_a_run_hold_what_it_emits() -> None:
    """`run.events()` gives it to who reads at leisure."""
    made = Workflow(Step, initial=Step.A, exits=[Step.DONE])

    @made.task(Step.A)
    async def work(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.emit("hello")
        return Step.DONE

    async with open_runtime(workflows=[made]) as runtime:
        run = await runtime.start(made)
        with run.events() as events:
            assert [event.value async for event in events if isinstance(event, Published)] == ["hello"]


async def test_events_are_frozen_values(recorder: Recorder) -> None:
    """Events can't be changed, compare by value, and pickle."""
    await workflow().orchestrate(observers=[recorder])
    event = recorder.of(StateEntered)[0]
    with pytest.raises(AttributeError):
        event.visit = 2  # type: ignore[misc]
    assert event == msgspec.structs.replace(event)
    assert pickle.loads(pickle.dumps(event)) == event


def test_ended_statuses() -> None:
    """A status says whether anything will happen by itself: exactly the last five are ends."""
    ended = [status.value for status in RunStatus if status.ended]
    assert ended == ["completed", "failed", "rolled_back", "cancelled", "rollback_failed"]


class Waiting:
    async def on_event(self, event: Event, /) -> None:
        await trio.lowlevel.checkpoint()


class Yielding:
    async def on_event(self, event: Event, /) -> AsyncGenerator[Event]:
        yield event


class Called:
    async def __call__(self, event: Event, /) -> None: ...


class Borrowed:
    def __init__(self, on_event: object) -> None:
        self.on_event = on_event


@pytest.mark.parametrize(
    "observer, said",
    [
        (Waiting(), "is async, and nobody would await it. Write `def on_event`"),
        (Yielding(), "is async, and nobody would await it"),
        (Borrowed(Waiting().on_event), "is async, and nobody would await it"),
        (Borrowed(partial(Waiting().on_event)), "is async, and nobody would await it"),
        (Borrowed(Called()), "is async, and nobody would await it"),
        (Borrowed(None), "has no on_event method"),
        (object(), "has no on_event method"),
    ],
    ids=["async", "generator", "borrowed", "partial", "callable", "none", "missing"],
)
async def test_observers_that_could_not_be_told(observer: Any, said: str, recorder: Recorder) -> None:
    """An observer whose `on_event` would never run is refused before the run, and nobody is told of anything."""
    with pytest.raises(TypeError, match=said):
        await workflow().run(observers=[recorder, observer])
    assert recorder.events == []


async def test_anything_callable_may_be_told() -> None:
    """`on_event` may be any plain callable, such as the `append` of a list."""
    events: list[Event] = []
    await workflow().run(observers=[cast("Any", Borrowed(events.append))])
    assert len(events) == 7


async def test_nothing_is_told_after_the_end(recorder: Recorder) -> None:
    """RunEnded is the last event, even if somebody has kept the context of a task and goes on to report progress."""
    kept: list[RunContext] = []
    made = Workflow(Step, initial=Step.A, exits=[Step.DONE])

    @made.task(Step.A)
    async def work(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.progress(1, 2)
        kept.append(ctx)
        return Step.DONE

    await made.run(observers=[recorder])
    kept[0].progress(2, 2)
    assert recorder.kinds()[-1] == "RunEnded"
    assert [event.done for event in recorder.of(Progress)] == [1]
