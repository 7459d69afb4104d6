"""The permit of a circuit breaker: one call, one verdict."""

from __future__ import annotations

import gc

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio import CircuitBreaker, CircuitOpen, CircuitPolicy, CircuitState, Permit

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def touchy(name: str = "db") -> CircuitBreaker:
    """A breaker that opens at the first failure, for 30 s."""
    return CircuitBreaker(CircuitPolicy(failure_threshold=1), name=name)


async def test_a_block_that_ends_is_a_success(autojump_clock: MockClock) -> None:
    """CIR-9: as a context manager, a permit judges the block."""
    breaker = touchy()
    with breaker.try_acquire() as permit:
        assert isinstance(permit, Permit)
        assert permit.breaker is breaker
        assert breaker.statistics().successes == 0
    assert breaker.statistics().successes == 1


async def test_a_block_that_raises_is_a_failure(autojump_clock: MockClock) -> None:
    """CIR-9: an Exception is a failure, and passes through."""
    breaker = touchy()
    with pytest.raises(OSError, match="refused"), breaker.try_acquire():
        raise OSError("refused")
    assert breaker.state is OPEN


async def test_a_cancel_from_outside_is_no_failure(autojump_clock: MockClock) -> None:
    """G-CIR-1: a cancelled call says nothing of the service; its trial slot comes free."""
    breaker = touchy()
    breaker.try_acquire().record_failure()
    await trio.sleep(30)
    with trio.move_on_after(1), breaker.try_acquire():
        await trio.sleep_forever()
    statistics = breaker.statistics()
    assert (breaker.state, statistics.released, statistics.trials_in_flight) == (HALF_OPEN, 1, 0)
    assert statistics.failures == 1


async def test_a_cancel_does_not_end_a_series_of_failures(autojump_clock: MockClock) -> None:
    """G-CIR-1: nor does it say that the service is well."""
    breaker = CircuitBreaker(CircuitPolicy(failure_threshold=2))
    breaker.try_acquire().record_failure()
    breaker.try_acquire().release()
    breaker.try_acquire().record_failure()
    assert breaker.state is OPEN


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("mixed", [OSError(), SystemExit()])])
async def test_what_is_no_exception_is_no_failure(autojump_clock: MockClock, error: BaseException) -> None:
    """G-CIR-1: Ctrl-C, or a group that is more than failures, says nothing either."""
    breaker = touchy()
    with pytest.raises(type(error)), breaker.try_acquire():
        raise error
    assert (breaker.state, breaker.statistics().released) == (CLOSED, 1)


async def test_a_verdict_by_hand_stands(autojump_clock: MockClock) -> None:
    """CIR-9: how the block then ends changes nothing."""
    breaker = touchy()
    permit = breaker.try_acquire()

    def call() -> None:
        with permit:
            permit.record_success()
            raise OSError

    with pytest.raises(OSError):
        call()
    with breaker.try_acquire() as released:
        released.release()
    statistics = breaker.statistics()
    assert (statistics.successes, statistics.released, statistics.failures) == (1, 1, 0)


@pytest.mark.parametrize("first", ["record_success", "record_failure", "release"])
@pytest.mark.parametrize("second", ["record_success", "record_failure", "release", "__enter__"])
async def test_a_permit_serves_one_call(autojump_clock: MockClock, first: str, second: str) -> None:
    """CIR-9: a second verdict is a mistake and changes nothing; so is a second call with a spent permit."""
    breaker = touchy()
    permit = breaker.try_acquire()
    getattr(permit, first)()
    before = breaker.statistics()
    with pytest.raises(RuntimeError, match="<Permit of 'db' spent> has had its verdict already"):
        getattr(permit, second)()
    assert breaker.statistics() == before


@pytest.mark.parametrize(
    "verdict, count", [("record_success", "successes"), ("record_failure", "failures"), ("release", "released")]
)
async def test_a_breaker_takes_verdicts_on_its_own_permits(autojump_clock: MockClock, verdict: str, count: str) -> None:
    """CIR-9: by the breaker's methods as by the permit's; another breaker's permit is refused and stays good."""
    breaker, other = touchy(), touchy("mail")
    permit = breaker.try_acquire()
    with pytest.raises(ValueError, match="<Permit of 'db'> is of another breaker than <CircuitBreaker 'mail' closed>"):
        getattr(other, verdict)(permit)
    getattr(breaker, verdict)(permit)
    assert getattr(breaker.statistics(), count) == 1
    assert getattr(other.statistics(), count) == 0


async def test_a_permit_thrown_away_is_a_failure(autojump_clock: MockClock) -> None:
    """CIR-6: and a ResourceWarning, because nobody can rely on when that happens."""
    breaker = touchy()
    with pytest.warns(ResourceWarning, match="<Permit of 'db'> got no verdict. Use it as a context manager"):
        breaker.try_acquire()
    assert breaker.state is OPEN


async def test_a_trial_thrown_away_opens_it_again(autojump_clock: MockClock) -> None:
    """CIR-6: a lost trial call never blocks the breaker for ever."""
    breaker = touchy()
    breaker.try_acquire().record_failure()
    await trio.sleep(30)
    with pytest.warns(ResourceWarning):
        breaker.try_acquire()
    statistics = breaker.statistics()
    assert (breaker.state, statistics.trials_in_flight, statistics.retry_after) == (OPEN, 0, 30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_trial_thrown_away_is_heeded_where_warnings_are_errors(autojump_clock: MockClock) -> None:
    """CIR-6: a warning that raises does not swallow the verdict."""
    breaker = touchy()
    breaker.try_acquire()
    gc.collect()
    assert breaker.state is OPEN


def test_a_trial_thrown_away_outside_of_trio_comes_free() -> None:
    """CIR-6: there is no now to be open from; the trial slot is free for the next run."""
    breaker, clock = touchy(), MockClock()
    kept: list[Permit] = []

    async def open_it() -> None:
        breaker.try_acquire().record_failure()
        clock.jump(30)
        kept.append(breaker.try_acquire())
        with pytest.raises(CircuitOpen):
            breaker.try_acquire()

    async def close_it() -> None:
        breaker.try_acquire().record_success()

    trio.run(open_it, clock=clock)
    with pytest.warns(ResourceWarning):
        kept.clear()
    assert (breaker.state, breaker.statistics().released) == (HALF_OPEN, 1)
    trio.run(close_it, clock=clock)
    assert breaker.state is CLOSED


async def test_a_spent_permit_goes_quietly(autojump_clock: MockClock) -> None:
    """CIR-6: only the one without a verdict warns."""
    breaker = touchy()
    permit = breaker.try_acquire()
    assert repr(permit) == "<Permit of 'db'>"
    permit.record_success()
    assert repr(permit) == "<Permit of 'db' spent>"
    del permit
    gc.collect()
    assert breaker.statistics().failures == 0


async def test_a_trial_thrown_away_in_a_thread_does_not_strand_who_waits(autojump_clock: MockClock) -> None:
    """CIR-6: garbage collected by a worker thread is a failure too, and those in line hear of it."""
    breaker, kept = touchy(), list[Permit]()

    async def waiter() -> None:
        with await breaker.wait_acquire():
            assert trio.current_time() == 60

    breaker.try_acquire().record_failure()
    await trio.sleep(30)
    kept.append(breaker.try_acquire())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        await wait_all_tasks_blocked()
        with pytest.warns(ResourceWarning):
            await trio.to_thread.run_sync(kept.clear)
    assert (breaker.state, breaker.statistics().reopened) == (CLOSED, 1)


def test_a_permit_thrown_away_after_the_run_of_who_waited_comes_free() -> None:
    """CIR-6: a run that is over is told nothing, and nothing fails for that."""
    breaker, kept = touchy(), list[Permit]()

    async def wait_in_vain() -> None:
        breaker.try_acquire().record_failure()
        await trio.sleep(30)
        kept.append(breaker.try_acquire())
        with trio.move_on_after(1):
            await breaker.wait_acquire()

    trio.run(wait_in_vain, clock=MockClock(autojump_threshold=0))
    with pytest.warns(ResourceWarning):
        kept.clear()
    assert (breaker.state, breaker.statistics().trials_in_flight) == (HALF_OPEN, 0)
