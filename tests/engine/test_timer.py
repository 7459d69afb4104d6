"""How a timer waits (cano TMR-*)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import AttemptTimeout, DataNotWritable, Retry, RetryExhausted, TimerTask, Waiting, Workflow, _clock
from tests.engine.stepping import cancel_at_every_step

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    COOL = auto()
    DONE = auto()


class Cool(TimerTask[Step]):
    """Waits as long as a function says; keeps when each of its methods was called."""

    def __init__(self, due: Callable[[], Any], **options: object) -> None:
        self.due = due
        self.asked: list[float] = []
        self.fired: list[float] = []
        vars(self).update(options)

    async def wait(self) -> float | datetime:
        self.asked.append(trio.current_time())
        due: float | datetime = self.due()
        return due

    async def after_wait(self) -> Literal[Step.DONE]:
        self.fired.append(trio.current_time())
        return Step.DONE


def workflow(data: Any = None) -> Workflow[Step, Any]:
    return Workflow(Step, initial=Step.COOL, exits=[Step.DONE], data=data)


def timing(cool: TimerTask[Step]) -> Workflow[Step, Any]:
    work = workflow()
    work.register(Step.COOL, cool)
    return work


@pytest.mark.parametrize("seconds", [0.5, 90, 86_400 * 365])
async def test_waits_for_seconds(autojump_clock: MockClock, seconds: float) -> None:
    """TMR-1: it waits exactly as long as `wait` says, once, and then goes on."""
    cool = Cool(lambda: seconds)
    assert await timing(cool).orchestrate() is Step.DONE
    assert (cool.asked, cool.fired) == ([0], [seconds])


async def test_waits_for_an_instant(autojump_clock: MockClock) -> None:
    """TMR-1: an instant is one, in whatever time zone it is told."""
    due = _clock.now() + timedelta(days=1)
    for zone in UTC, timezone(timedelta(hours=9)):
        cool = Cool(partial(due.astimezone, zone))
        await timing(cool).orchestrate()
        assert cool.fired == [86_400]


@pytest.mark.parametrize("seconds", [0, -5, -1e9])
async def test_what_has_passed_does_not_wait(autojump_clock: MockClock, seconds: float) -> None:
    """TMR-2: no time, less than none, and an instant in the past all fire at once."""
    relative, absolute = Cool(lambda: seconds), Cool(lambda: _clock.now() + timedelta(seconds=seconds))
    await timing(relative).orchestrate()
    await timing(absolute).orchestrate()
    assert (relative.fired, absolute.fired) == ([0], [0])


def nothing() -> float:
    return 0


def in_five_seconds() -> float:
    return 5


def at_an_instant() -> datetime:
    return _clock.now() + timedelta(seconds=5)


def yesterday() -> datetime:
    return _clock.now() - timedelta(days=1)


@pytest.mark.parametrize("due", [nothing, yesterday])
async def test_no_wait_is_a_checkpoint(due: Callable[[], Any]) -> None:
    """TMR-2: a timer that does not wait still lets a cancel in before it goes on."""

    def cancelled() -> Any:
        scope.cancel()
        return due()

    cool = Cool(cancelled)
    with trio.CancelScope() as scope:
        await timing(cool).orchestrate()
    assert scope.cancelled_caught
    assert cool.fired == []


async def test_failure_of_wait(autojump_clock: MockClock) -> None:
    """TMR-3: a failure of `wait` is raised as it is; nothing is waited for, and `after_wait` is not called."""
    error = OSError("no plan")

    def fail() -> float:
        raise error

    cool = Cool(fail)
    with pytest.raises(OSError) as caught:
        await timing(cool).orchestrate()
    assert caught.value is error
    assert (trio.current_time(), cool.fired) == (0, [])


async def test_failure_of_after_wait(autojump_clock: MockClock) -> None:
    """TMR-3: a failure of `after_wait` is raised as it is, after the wait."""
    error = OSError("too hot")

    class Hot(Cool):
        async def after_wait(self) -> Literal[Step.DONE]:
            raise error

    with pytest.raises(OSError) as caught:
        await timing(Hot(lambda: 3)).orchestrate()
    assert caught.value is error
    assert trio.current_time() == 3


async def test_attempt_timeout_covers_it_all(autojump_clock: MockClock) -> None:
    """TMR-4: the attempt_timeout is for wait, sleep and after_wait together."""

    class Slow(Cool):
        async def after_wait(self) -> Literal[Step.DONE]:
            await trio.sleep(2)
            return Step.DONE

    for cool in Cool(lambda: 3600, attempt_timeout=5), Slow(lambda: 4, attempt_timeout=5):
        begun = trio.current_time()
        with pytest.raises(AttemptTimeout, match="took longer than its timeout of 5 s"):
            await timing(cool).orchestrate()
        assert trio.current_time() == begun + 5


async def test_retry_waits_anew(autojump_clock: MockClock) -> None:
    """TMR-5: a retry asks again and waits the whole time again."""

    class Shy(Cool):
        async def after_wait(self) -> Literal[Step.DONE]:
            await super().after_wait()
            raise OSError

    shy = Shy(lambda: 10, retry=Retry.fixed(1, delay=1))
    with pytest.raises(RetryExhausted):
        await timing(shy).orchestrate()
    assert (shy.asked, shy.fired) == ([0, 11], [10, 21])


async def test_cancel_during_the_wait(autojump_clock: MockClock) -> None:
    """TMR-6: a cancel ends the wait at once, and `after_wait` never runs."""
    cool = Cool(lambda: 100)
    with trio.move_on_after(7) as scope:
        await timing(cool).orchestrate()
    assert scope.cancelled_caught
    assert (trio.current_time(), cool.fired) == (7, [])


async def test_default_is_no_retry(autojump_clock: MockClock) -> None:
    """TMR-7: by default there is one attempt and no limit."""
    config = timing(Cool(lambda: 1)).blueprint()[Step.COOL].node.config
    assert (config.retry, config.attempt_timeout) == (Retry.none(), None)


async def test_function_form(autojump_clock: MockClock) -> None:
    """TMR-1: the function form does the same; both functions stay callable."""
    work = workflow()

    @work.timer(Step.COOL)
    async def cool() -> float:
        return 30

    @cool.after_wait
    async def cooled() -> Literal[Step.DONE]:
        return Step.DONE

    assert await work.orchestrate() is Step.DONE
    assert trio.current_time() == 30
    assert (await cool(), await cooled()) == (30, Step.DONE)


async def test_observers_are_told_how_long(autojump_clock: MockClock, recorder: Recorder) -> None:
    """A wait is told when it begins, with its length, be it told in seconds or as an instant."""
    await timing(Cool(lambda: 30)).orchestrate(observers=[recorder])
    await timing(Cool(lambda: _clock.now() + timedelta(seconds=60))).orchestrate(observers=[recorder])
    assert [(event.reason, event.seconds, event.time) for event in recorder.of(Waiting)] == [
        ("timer", 30, 0),
        ("timer", 60, 30),
    ]


@pytest.mark.parametrize(
    "due", [None, "soon", True, math.nan, math.inf, pytest.param(10**400, id="huge"), timedelta(seconds=3), datetime(2030, 1, 1)]  # noqa: DTZ001
)  # fmt: skip
async def test_what_can_not_be_waited_for(autojump_clock: MockClock, due: Any) -> None:
    """What is neither a number of seconds that ends nor an instant with its zone says so, and is not retried."""
    cool = Cool(lambda: due, retry=Retry.fixed(3, delay=1))
    with pytest.raises(
        TypeError, match=r"Cool\.wait returned .*\. Return a finite number of seconds, or a timezone-aw"
    ):
        await timing(cool).orchestrate()
    assert (cool.asked, cool.fired) == ([0], [])


class JumpingClock(trio.abc.Clock):
    """A clock that jumps where trio would sleep, and beside which the machine's own goes and may be set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall = 1e9

    def time(self) -> float:
        return self.wall + self.now

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        self.now = max(self.now, deadline)
        return 0


@pytest.mark.parametrize("set_by, fired_at", [(0, 3600), (3600, 60), (-600, 4200)])
def test_clock_that_is_set_is_followed(monkeypatch: pytest.MonkeyPatch, set_by: float, fired_at: float) -> None:
    """A wait for an instant goes by the wall clock: set while it waits, it fires when the clock shows the instant."""
    clock = JumpingClock()
    monkeypatch.setattr(time, "time", clock.time)
    cool = Cool(lambda: datetime.fromtimestamp(1e9 + 3600, UTC))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timing(cool).orchestrate)
            await trio.sleep(45)
            clock.wall += set_by

    trio.run(main, clock=clock)
    assert cool.fired == [fired_at]


@dataclass
class Oven:
    degrees: int
    done: bool = False


async def test_only_after_wait_writes(autojump_clock: MockClock) -> None:
    """RULINGS 4: `wait` reads the run's data, and `after_wait` may change them."""
    work = workflow(Oven)

    @work.timer(Step.COOL)
    async def cool(oven: Oven) -> float:
        return oven.degrees

    @cool.after_wait
    async def cooled(oven: Oven) -> Literal[Step.DONE]:
        oven.done = True
        return Step.DONE

    assert (await work.run(Oven(30))).data == Oven(30, done=True)
    assert trio.current_time() == 30


async def test_wait_may_not_write(autojump_clock: MockClock) -> None:
    """RULINGS 4: a `wait` that changes the data is refused before anything is waited for."""
    work = workflow(Oven)

    @work.timer(Step.COOL)
    async def cool(oven: Oven) -> float:
        oven.done = True
        return 30

    @cool.after_wait
    async def cooled() -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(DataNotWritable, match=r"cool\.wait changed Oven\.done"):
        await work.run(Oven(30))
    assert trio.current_time() == 0


@pytest.mark.parametrize("due", [nothing, in_five_seconds, at_an_instant])
def test_cancel_at_every_step(due: Callable[[], Any]) -> None:
    """TMR-6: wherever a cancel finds it, a timer leaves no task behind, and has gone on exactly if the run has ended."""
    ended: list[Cool] = []

    async def work(cool: Cool) -> None:
        await timing(cool).orchestrate()
        ended.append(cool)

    def check(cool: Cool) -> None:
        assert len(cool.fired) == ended.count(cool)

    assert cancel_at_every_step(lambda: Cool(due), work, check) > 3


@given(st.floats(-1e6, 1e9, allow_nan=False))
def test_timer_law(seconds: float) -> None:
    """TMR-1, TMR-2: any number of seconds is waited exactly, and less than none is none."""
    cool = Cool(lambda: seconds)
    trio.run(timing(cool).orchestrate, clock=MockClock(autojump_threshold=0))
    assert cool.fired == [max(seconds, 0)]
