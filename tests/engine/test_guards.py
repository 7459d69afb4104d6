"""Circuit breakers and rate limiters around the attempts of a task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio

from cano_trio import (
    AttemptTimeout,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    CircuitRejected,
    CircuitState,
    DataNotWritable,
    DefinitionError,
    MultiRateLimiter,
    RateLimiter,
    Resources,
    Retry,
    RetryExhausted,
    TaskConfig,
    WindowedRateLimiter,
    Workflow,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    WORK = auto()
    DONE = auto()


def workflow() -> Workflow[Step]:
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE])


def breaker(threshold: int = 1, reset: float = 10) -> CircuitBreaker:
    return CircuitBreaker(CircuitPolicy(failure_threshold=threshold, reset_timeout=reset), name="service")


async def test_open_breaker_ends_the_loop_at_once(autojump_clock: trio.testing.MockClock, recorder: Recorder) -> None:
    """RET-9: an open breaker refuses without calling the task, without a retry, and as a CircuitOpen."""
    guard, calls, work = breaker(), [], workflow()
    with pytest.raises(OSError, match="down"), guard.try_acquire():
        raise OSError("down")

    @work.task(Step.WORK, breaker=guard)
    async def call() -> Literal[Step.DONE]:
        calls.append(1)
        return Step.DONE

    with pytest.raises(CircuitOpen) as caught:
        await work.orchestrate(observers=[recorder])
    assert (caught.value.breaker, caught.value.retry_after, calls, trio.current_time()) == ("service", 10, [], 0)
    assert [(event.task, event.breaker, event.retry_after) for event in recorder.of(CircuitRejected)] == [
        ("call", "service", 10)
    ]


async def test_trip_in_the_loop_keeps_the_real_failure(autojump_clock: trio.testing.MockClock) -> None:
    """G-RET-3: where the task's own failures opened the breaker, the refusal stands on the last of them."""
    work = workflow()

    @work.task(Step.WORK, breaker=breaker(threshold=2), retry=Retry.fixed(5, delay=1))
    async def call() -> Literal[Step.DONE]:
        raise OSError("the reason")

    with pytest.raises(CircuitOpen) as caught:
        await work.orchestrate()
    assert repr(caught.value.__cause__) == "OSError('the reason')"
    assert trio.current_time() == 2


async def test_breaker_recovers_through_the_loop(autojump_clock: trio.testing.MockClock) -> None:
    """RET-10: after the reset timeout one success closes it, and a breaker is shared between tasks."""
    guard, work = breaker(threshold=1, reset=5), workflow()
    healthy: list[bool] = []

    @work.task(Step.WORK, breaker=guard, retry=Retry.none())
    async def call() -> Literal[Step.DONE]:
        if not healthy:
            raise OSError
        return Step.DONE

    with pytest.raises(OSError):
        await work.orchestrate()
    with pytest.raises(CircuitOpen):
        await work.orchestrate()
    healthy.append(True)
    await trio.sleep(5)
    await work.orchestrate()
    assert guard.state is CircuitState.CLOSED


async def test_waiting_at_an_open_breaker(autojump_clock: trio.testing.MockClock) -> None:
    """RULINGS 3.11: on_open="wait" waits until the breaker lets the attempt through."""
    guard, work, times = breaker(threshold=1, reset=5), workflow(), []

    @work.task(Step.WORK, breaker=guard, on_open="wait", retry=Retry.fixed(1, delay=1))
    async def call() -> Literal[Step.DONE]:
        times.append(trio.current_time())
        if len(times) == 1:
            raise OSError
        return Step.DONE

    await work.orchestrate()
    assert times == [0, 5]


async def test_own_timeout_counts_against_the_breaker(autojump_clock: trio.testing.MockClock) -> None:
    """RET-8: an attempt that times out is a failure of the service."""
    guard, work = breaker(), workflow()

    @work.task(Step.WORK, breaker=guard, attempt_timeout=1, retry=Retry.none())
    async def call() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with pytest.raises(AttemptTimeout):
        await work.orchestrate()
    assert guard.state is CircuitState.OPEN


async def test_cancel_from_outside_is_neutral(autojump_clock: trio.testing.MockClock) -> None:
    """G-CIR-1, RET-13 as changed: a caller's cancel says nothing of the service."""
    guard, work = breaker(), workflow()

    @work.task(Step.WORK, breaker=guard)
    async def call() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    with trio.move_on_after(1):
        await work.orchestrate()
    assert guard.state is CircuitState.CLOSED
    assert (guard.statistics().failures, guard.statistics().released) == (0, 1)


async def test_mistake_counts_against_the_breaker() -> None:
    """RET-11: a failure that is not retried is a failure for the breaker all the same."""
    guard, work = breaker(), workflow()

    @work.task(Step.WORK, breaker=guard)
    async def call() -> Literal[Step.DONE]:
        raise NameError

    with pytest.raises(NameError):
        await work.orchestrate()
    assert guard.state is CircuitState.OPEN


async def test_limiter_is_outside_the_attempt_timeout(autojump_clock: trio.testing.MockClock) -> None:
    """RULINGS 3.11: waiting at the limiter does not count against the attempt's time."""
    limiter, work, times = RateLimiter(1, per=10), workflow(), []
    await limiter.acquire()

    @work.task(Step.WORK, limiter=limiter, attempt_timeout=2, retry=Retry.none())
    async def call() -> Literal[Step.DONE]:
        times.append(trio.current_time())
        await trio.sleep(1)
        return Step.DONE

    await work.orchestrate()
    assert times == [10]


async def test_every_attempt_takes_from_the_limiter(autojump_clock: trio.testing.MockClock) -> None:
    """RULINGS 3.11: a retry passes the limiter again."""
    limiter, work = WindowedRateLimiter(2, 60), workflow()

    @work.task(Step.WORK, limiter=limiter, retry=Retry.fixed(3, delay=0))
    async def call() -> Literal[Step.DONE]:
        raise OSError

    with pytest.raises(RetryExhausted):
        await work.orchestrate()
    assert trio.current_time() == 60
    assert limiter.statistics().acquired == 4


async def test_open_breaker_takes_nothing_from_the_limiter(autojump_clock: trio.testing.MockClock) -> None:
    """An attempt that the breaker refuses is not made, so it costs nothing."""
    limiter, guard, work = RateLimiter(5), breaker(), workflow()
    with pytest.raises(OSError), guard.try_acquire():
        raise OSError

    @work.task(Step.WORK, limiter=limiter, breaker=guard)
    async def call() -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(CircuitOpen):
        await work.orchestrate()
    assert limiter.statistics().acquired == 0


async def test_multi_tier_limiter(autojump_clock: trio.testing.MockClock) -> None:
    """RAT-10: a limiter of several tiers paces a task by whichever binds."""
    limiter = MultiRateLimiter({"second": RateLimiter(2), "minute": WindowedRateLimiter(3, 60)})
    work, times = workflow(), []

    @work.task(Step.WORK, limiter=limiter)
    async def call() -> Literal[Step.DONE]:
        times.append(trio.current_time())
        return Step.DONE

    for _ in range(4):
        await work.orchestrate()
    assert times == [0, 0, 0.5, 60]


@dataclass
class Device:
    region: str


@dataclass
class Regions:
    breakers: dict[str, CircuitBreaker]
    limiters: dict[str, RateLimiter]


async def test_guards_chosen_by_the_data(autojump_clock: trio.testing.MockClock) -> None:
    """RULINGS 3.11: a function with injected parameters chooses breaker and limiter for each attempt."""
    regions = Regions({"eu": breaker(), "us": breaker()}, {"eu": RateLimiter(1), "us": RateLimiter(1, per=60)})
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Device, resources=Resources(regions=regions))

    def pace(device: Device, where: Regions) -> RateLimiter:
        return where.limiters[device.region]

    @work.task(
        Step.WORK, breaker=lambda device, regions: regions.breakers[device.region], limiter=pace, retry=Retry.none()
    )
    async def call(device: Device) -> Literal[Step.DONE]:
        if device.region == "eu":
            raise OSError
        return Step.DONE

    with pytest.raises(OSError):
        await work.run(Device("eu"))
    await work.run(Device("us"))
    with pytest.raises(CircuitOpen):
        await work.run(Device("eu"))
    assert [guard.state.name for guard in regions.breakers.values()] == ["OPEN", "CLOSED"]
    assert [limiter.statistics().acquired for limiter in regions.limiters.values()] == [1, 1]


@pytest.mark.parametrize("option", ["breaker", "limiter"])
async def test_bad_choice_names_the_task(option: str) -> None:
    """A function that chooses something else than a guard fails the task, saying so."""
    work = workflow()

    @work.task(Step.WORK, **{option: lambda: None})  # type: ignore[arg-type]
    async def call() -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(TypeError, match=f"call: the function that chooses its {option} returned None"):
        await work.orchestrate()


@pytest.mark.parametrize("option", ["breaker", "limiter"])
async def test_choosing_guards_may_only_read(option: str) -> None:
    """RULINGS 4: a function that chooses a guard and changes the run's data is refused, naming task, option and field."""

    def change(device: Device) -> Any:
        device.region = "us"
        return breaker() if option == "breaker" else RateLimiter(1)

    def change_by_name(*, device: Device) -> Any:
        return change(device)

    for choose in (change, change_by_name, partial(change), lambda device: change(device=device)):
        work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Device)
        options: dict[str, Any] = {option: choose}
        work.task(Step.WORK, **options)(ring)
        with pytest.raises(DataNotWritable) as caught:
            await work.run(Device("eu"))
        assert (caught.value.task, caught.value.path) == (f"ring's {option}", "Device.region")


async def ring() -> Literal[Step.DONE]:
    return Step.DONE


class Own:
    """A limiter of one's own, which happens to be callable."""

    name = "own"
    taken = 0

    def take(self) -> float:
        self.taken += 1
        return 0

    async def acquire(self) -> None: ...

    def __call__(self, device: Device) -> RateLimiter:
        raise AssertionError("it chooses nothing")


async def test_guards_made_by_any_callable(autojump_clock: trio.testing.MockClock) -> None:
    """A partial, even of a class, and an object with `__call__` choose as a function does; a limiter is one, called or not."""

    class Chooser:
        def __init__(self) -> None:
            self.limiter = RateLimiter(1)

        def __call__(self, device: Device) -> RateLimiter:
            assert device.region == "eu"
            return self.limiter

    chooser, own = Chooser(), Own()
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Device)
    work.task(Step.WORK, limiter=chooser, breaker=partial(CircuitBreaker, name="made"))(ring)
    await work.run(Device("eu"))
    assert chooser.limiter.statistics().acquired == 1
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Device)
    work.task(Step.WORK, limiter=own)(ring)
    await work.run(Device("eu"))
    assert own.taken == 1


@pytest.mark.parametrize("option, guard", [("breaker", CircuitBreaker), ("limiter", RateLimiter)])
async def test_classes_are_no_guards(option: str, guard: Any) -> None:
    """E21: a class given instead of its instance is refused, as an option and in `TaskConfig`; chosen, it fails the task."""
    options: dict[str, Any] = {option: guard}
    with pytest.raises(DefinitionError, match=f"E21 WORK: ring: {option} is <class .*: it takes a {guard.__name__}"):
        workflow().task(Step.WORK, **options)(ring)
    with pytest.raises(ValueError, match=f"{option} is <class .*: it takes a {guard.__name__}"):
        TaskConfig(**options)
    work = workflow()
    options = {option: lambda: guard}
    work.task(Step.WORK, **options)(ring)
    with pytest.raises(TypeError, match=f"ring: the function that chooses its {option} returned <class"):
        await work.orchestrate()
