"""How a poll looks, waits and looks again (cano POL-*)."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    AttemptFailed,
    AttemptTimeout,
    Backoff,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    CircuitState,
    DataNotWritable,
    IllegalTransition,
    Pending,
    PollTask,
    PollTimeout,
    RateLimiter,
    Retry,
    RetryExhausted,
    RetryScheduled,
    RunContext,
    TaskSucceeded,
    Waiting,
    Workflow,
)
from tests.engine.stepping import cancel_at_every_step

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    AWAIT = auto()
    DONE = auto()
    FAILED = auto()


Outcome = Pending | Exception | Literal[Step.DONE]

STEADY = Backoff(base=1, multiplier=1, jitter=0)
GROWING = Backoff(base=1, maximum=5, jitter=0)


class Look(PollTask[Step]):
    """Comes to each outcome in turn; keeps the instants of its looks."""

    backoff = STEADY
    error_backoff = Backoff(base=10, multiplier=1, jitter=0)

    def __init__(self, outcomes: Iterable[Outcome], **options: object) -> None:
        self.outcomes: Iterator[Outcome] = iter(outcomes)
        self.times: list[float] = []
        vars(self).update(options)

    async def poll(self) -> Literal[Step.DONE] | Pending:
        self.times.append(trio.current_time())
        match next(self.outcomes):
            case Exception() as error:
                raise error
            case outcome:
                return outcome


def workflow(data: Any = None) -> Workflow[Step, Any]:
    return Workflow(Step, initial=Step.AWAIT, exits=[Step.DONE, Step.FAILED], data=data)


def polling(look: Look, **options: Any) -> Workflow[Step, Any]:
    work = workflow()
    work.register(Step.AWAIT, look, **options)
    return work


@pytest.mark.parametrize("pending", [0, 1, 3])
async def test_looks_until_it_is_there(autojump_clock: MockClock, pending: int) -> None:
    """POL-1: it looks at once, waits after each `Pending`, and ends with the look that names a state."""
    look = Look([*[Pending()] * pending, Step.DONE])
    assert await polling(look).orchestrate() is Step.DONE
    assert look.times == list(range(pending + 1))


async def test_pending_may_say_how_long(autojump_clock: MockClock) -> None:
    """POL-1: the delay that `Pending` gives is waited, and no other."""
    look = Look([Pending(delay=7), Pending(), Pending(delay=0.5), Step.DONE])
    await polling(look).orchestrate()
    assert look.times == [0, 7, 8, 8.5]


async def test_backoff_grows(autojump_clock: MockClock) -> None:
    """G-POL-2: without a delay of its own, `Pending` waits longer each time, up to the maximum."""
    look = Look([*[Pending()] * 5, Step.DONE], backoff=GROWING)
    await polling(look).orchestrate()
    assert look.times == [0, 1, 3, 7, 12, 17]


async def test_reset_begins_the_backoff_anew(autojump_clock: MockClock) -> None:
    """RULINGS 2: `Pending(reset=True)` waits as after the first look, and growth goes on from there."""
    look = Look([Pending(), Pending(), Pending(reset=True), Pending(), Step.DONE], backoff=GROWING)
    await polling(look).orchestrate()
    assert look.times == [0, 1, 3, 4, 6]


async def test_explicit_delays_do_not_grow_the_backoff(autojump_clock: MockClock) -> None:
    """The backoff grows with the waits that it decides, not with those that `Pending` decides."""
    look = Look([Pending(), *[Pending(delay=0)] * 9, Pending(), Step.DONE], backoff=GROWING)
    await polling(look).orchestrate()
    assert look.times == [0, *[1] * 10, 3]


@pytest.mark.parametrize("outcome", [Pending(delay=0), Pending(), OSError()])
async def test_every_turn_lets_others_run(outcome: Outcome) -> None:
    """POL-2, G-POL-1: with no delay, or after a tolerated failure without one, others run and a cancel is felt."""
    at_once = Backoff(base=0)
    look = Look(repeat(outcome), backoff=at_once, error_backoff=at_once, max_errors=10**9)
    others = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(polling(look).orchestrate)
        for _ in range(100):
            await trio.lowlevel.checkpoint()
            others += 1
        nursery.cancel_scope.cancel()
    assert others == 100
    assert 50 <= len(look.times) <= 101


async def test_first_failure_fails_by_default(autojump_clock: MockClock) -> None:
    """POL-3: by default no failure is tolerated, and it is raised as it is."""
    error = OSError("gone")
    with pytest.raises(OSError) as caught:
        await polling(Look([Pending(), error])).orchestrate()
    assert caught.value is error
    assert trio.current_time() == 1


async def test_tolerated_failures_wait(autojump_clock: MockClock) -> None:
    """POL-4, G-POL-1: `max_errors` failures in a row are tolerated, each followed by a wait of its own."""
    look = Look([OSError(), OSError(), Step.DONE], max_errors=2, error_backoff=Backoff(base=10, jitter=0))
    assert await polling(look).orchestrate() is Step.DONE
    assert look.times == [0, 10, 30]


async def test_one_more_failure_is_raised(autojump_clock: MockClock) -> None:
    """POL-4: the failure after `max_errors` in a row is raised as it is."""
    last = OSError("third")
    look = Look([OSError(), OSError(), last], max_errors=2)
    with pytest.raises(OSError) as caught:
        await polling(look).orchestrate()
    assert caught.value is last
    assert look.times == [0, 10, 20]


async def test_pending_forgives(autojump_clock: MockClock) -> None:
    """POL-5: `Pending` between two failures begins the count anew, and the error backoff."""
    growing = Backoff(base=10, jitter=0)
    look = Look([OSError(), OSError(), Pending(), OSError(), OSError(), Step.DONE], max_errors=2, error_backoff=growing)
    assert await polling(look).orchestrate() is Step.DONE
    assert look.times == [0, 10, 30, 31, 41, 61]


async def test_mistakes_are_not_tolerated() -> None:
    """RULINGS 3.4: what a typo raises fails at once, however many errors are tolerated."""
    look = Look([NameError("pirnt")], max_errors=5)
    with pytest.raises(NameError):
        await polling(look).orchestrate()
    assert len(look.times) == 1


async def test_retry_on_says_what_is_tolerated(autojump_clock: MockClock) -> None:
    """Only failures that `retry_on` names are tolerated."""
    look = Look([TimeoutError(), OSError("no")], max_errors=5, retry_on=TimeoutError)
    with pytest.raises(OSError, match="no"):
        await polling(look).orchestrate()
    assert len(look.times) == 2


async def test_predicate_that_raises_keeps_the_failure() -> None:
    """A retry_on function that raises fails the poll with its own mistake, from the failure it was asked about."""
    asked = []

    def broken(error: Exception) -> bool:
        asked.append(error)
        raise LookupError("in the predicate")

    error = OSError("real")
    work = polling(Look([error], max_errors=1, retry_on=broken), on_error={Exception: Step.FAILED})
    with pytest.raises(LookupError) as caught:
        await work.orchestrate()
    assert caught.value.__cause__ is error
    assert asked == [error]


async def test_retry_after_of_a_tolerated_failure(autojump_clock: MockClock) -> None:
    """G-RET-2: an error that says how long to wait is believed by a poll, too."""
    busy = OSError()
    busy.retry_after = 3  # type: ignore[attr-defined]
    look = Look([busy, Step.DONE], max_errors=1)
    await polling(look).orchestrate()
    assert look.times == [0, 3]


async def test_attempt_timeout_bounds_the_whole_loop(autojump_clock: MockClock) -> None:
    """POL-6: a poll that never ends is ended by its attempt_timeout, saying so, and what to do."""
    look = Look(repeat(Pending()), attempt_timeout=9.5)
    with pytest.raises(PollTimeout) as caught:
        await polling(look).orchestrate()
    error = caught.value
    assert trio.current_time() == 9.5
    assert (error.task, error.limit, error.looks, error.__cause__) == ("Look", 9.5, 10, None)
    assert str(error) == (
        "Look: nothing was there within its attempt_timeout of 9.5 s, in 10 looks. Allow more time, or say where this "
        "leads, with on_error={PollTimeout: ...}."
    )
    assert isinstance(error, (AttemptTimeout, TimeoutError))
    assert pickle.loads(pickle.dumps(error)).looks == 10


async def test_timeout_stands_on_what_the_last_look_failed_with(autojump_clock: MockClock) -> None:
    """A failure that was tolerated last is the cause of the timeout; one before a `Pending` is not."""
    first, last = OSError("first"), OSError("last")
    cases: list[tuple[list[Outcome], OSError | None]] = [([first, last], last), ([first, Pending(delay=99)], None)]
    for outcomes, cause in cases:
        with pytest.raises(PollTimeout) as caught:
            await polling(Look(outcomes, max_errors=9, attempt_timeout=15)).orchestrate()
        assert caught.value.__cause__ is cause


async def test_timeout_cuts_a_look_that_hangs(autojump_clock: MockClock) -> None:
    """POL-6: a look that never returns is cut off by the attempt_timeout, and counted."""
    work = workflow()

    @work.poll(Step.AWAIT, attempt_timeout=5)
    async def hang() -> Literal[Step.DONE] | Pending:
        await trio.sleep_forever()

    with pytest.raises(PollTimeout, match=r"hang: .* in 1 look\."):
        await work.orchestrate()
    assert trio.current_time() == 5


async def test_what_was_raised_comes_before_the_timeout(autojump_clock: MockClock) -> None:
    """DESIGN 3.2: a look that is cut off but raises something else fails with that."""
    work = workflow()

    @work.poll(Step.AWAIT, attempt_timeout=2)
    async def look() -> Literal[Step.DONE] | Pending:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while leaving")

    with pytest.raises(ValueError, match="while leaving"):
        await work.orchestrate()


async def test_timeout_leads_where_on_error_says(autojump_clock: MockClock) -> None:
    """RULINGS 3.3: nothing being there is an outcome that can have an edge of its own."""
    for kind in PollTimeout, AttemptTimeout, TimeoutError:
        work = polling(Look(repeat(Pending())), attempt_timeout=3, on_error={kind: Step.FAILED})
        assert await work.orchestrate() is Step.FAILED


async def test_waiting_at_the_limiter_does_not_count(autojump_clock: MockClock) -> None:
    """RULINGS 3.11: the attempt timeout begins behind the limiter."""
    limiter = RateLimiter(0.1, burst=1)
    await limiter.acquire()
    look = Look([Pending(), Step.DONE], attempt_timeout=2, limiter=limiter)
    assert await polling(look).orchestrate() is Step.DONE
    assert look.times == [10, 11]


async def test_retry_begins_anew(autojump_clock: MockClock) -> None:
    """POL-7: with a retry policy, a failed loop starts again from nothing: its own count of errors, its own backoff."""
    look = Look(
        [Pending(), OSError(), OSError(), Pending(), OSError(), Step.DONE],
        max_errors=1, backoff=GROWING, retry=Retry.fixed(1, delay=100),
    )  # fmt: skip
    assert await polling(look).orchestrate() is Step.DONE
    assert look.times == [0, 1, 11, 111, 112, 122]


async def test_timeout_is_retried_with_a_fresh_deadline(autojump_clock: MockClock) -> None:
    """POL-7, RET-8: each attempt has the whole attempt_timeout; the last one's PollTimeout is the cause."""
    look = Look(repeat(Pending()), attempt_timeout=2.5, retry=Retry.fixed(1, delay=10))
    with pytest.raises(RetryExhausted) as caught:
        await polling(look).orchestrate()
    assert look.times == [0, 1, 2, 12.5, 13.5, 14.5]
    assert isinstance(caught.value.__cause__, PollTimeout)
    assert caught.value.__cause__.looks == 3


async def test_default_is_no_retry() -> None:
    """RET-2: a poll is not retried by default, even where the workflow's defaults say so of tasks."""
    look = Look([OSError()])
    with pytest.raises(OSError):
        await polling(look).orchestrate()
    assert len(look.times) == 1


async def test_events(autojump_clock: MockClock, recorder: Recorder) -> None:
    """POL-9: observers are told of each wait with its length, and of each tolerated failure with what follows."""
    error = OSError("blink")
    look = Look([Pending(), error, Pending(delay=3), Step.DONE], max_errors=1, name="look")
    await polling(look).orchestrate(observers=[recorder])
    assert recorder.kinds() == [
        "RunStarted", "StateEntered", "Waiting", "AttemptFailed", "RetryScheduled", "Waiting", "TaskSucceeded",
        "StateEntered", "RunEnded",
    ]  # fmt: skip
    assert [(event.reason, event.seconds, event.time) for event in recorder.of(Waiting)] == [
        ("poll", 1, 0),
        ("poll", 3, 11),
    ]
    assert [(event.task, event.attempt, event.error) for event in recorder.of(AttemptFailed)] == [
        ("look.poll", 1, error)
    ]
    assert [(event.task, event.delay, event.error) for event in recorder.of(RetryScheduled)] == [
        ("look.poll", 10, error)
    ]
    assert [event.task for event in recorder.of(TaskSucceeded)] == ["look"]


async def test_cancel_during_the_wait(autojump_clock: MockClock) -> None:
    """POL-10: a cancel ends the wait at once; a tolerated failure is not its context."""
    contexts = []
    look = Look([OSError()], max_errors=1)
    with trio.move_on_after(3) as scope:
        try:
            await polling(look).orchestrate()
        except trio.Cancelled as cancelled:
            contexts.append(cancelled.__context__)
            raise
    assert scope.cancelled_caught
    assert (trio.current_time(), contexts, look.times) == (3, [None], [0])


async def test_illegal_state_is_not_tolerated() -> None:
    """RET-15: a look that returns what its annotation does not name fails at once, even `Pending` not called."""
    for wrong in (Step.FAILED, Pending, None):
        look = Look([wrong], max_errors=5)  # type: ignore[list-item]
        with pytest.raises(IllegalTransition):
            await polling(look, on_error={Exception: Step.FAILED}).orchestrate()
        assert len(look.times) == 1


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), pytest.param(10**400, id="huge"), "soon", True])
def test_impossible_delays(delay: Any) -> None:
    """A delay that can't be waited is refused where it is said."""
    with pytest.raises(ValueError, match=r"the delay of Pending is .*: it takes a number of seconds, 0 or more"):
        Pending(delay=delay)


@dataclass
class Shipment:
    parcel: str
    seen: list[str] = field(default_factory=list)


async def test_only_the_last_look_writes(autojump_clock: MockClock) -> None:
    """RULINGS 4: what the look that names a state wrote is kept; a tolerated failure's changes are dropped."""
    work, looks = workflow(Shipment), []

    @work.poll(Step.AWAIT, backoff=STEADY, max_errors=1)
    async def track(shipment: Shipment) -> Literal[Step.DONE] | Pending:
        looks.append(list(shipment.seen))
        if len(looks) == 1:
            return Pending()
        shipment.seen.append(f"look {len(looks)}")
        if len(looks) == 2:
            raise OSError
        return Step.DONE

    result = await work.run(Shipment("P-1"))
    assert looks == [[], [], []]
    assert result.data.seen == ["look 3"]


async def test_pending_look_may_not_write() -> None:
    """RULINGS 4: a look that changes the data and then says `Pending` is refused, naming the field."""
    work = workflow(Shipment)

    @work.poll(Step.AWAIT, max_errors=5)
    async def track(shipment: Shipment) -> Literal[Step.DONE] | Pending:
        shipment.seen.append("x")
        return Pending()

    with pytest.raises(DataNotWritable, match=r"track changed Shipment\.seen\[0\]"):
        await work.run(Shipment("P-1"))


async def test_all_looks_have_one_key(autojump_clock: MockClock) -> None:
    """RULINGS 5: a poll is one piece of work, so its looks have one idempotency key and one attempt number."""
    work, seen = workflow(), []

    @work.poll(Step.AWAIT, backoff=STEADY)
    async def look(ctx: RunContext) -> Literal[Step.DONE] | Pending:
        seen.append((ctx.idempotency_key, ctx.attempt))
        return Step.DONE if len(seen) == 3 else Pending()

    await work.orchestrate(run_id="r")
    assert seen == [("r/0", 1)] * 3


async def test_breaker_guards_the_whole(autojump_clock: MockClock) -> None:
    """An attempt of a poll is one call for a circuit breaker: a timeout is a failure, a cancel is none."""
    guard = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=60), name="port")
    look = Look(repeat(Pending()), attempt_timeout=5, breaker=guard)
    with trio.move_on_after(1):
        await polling(look).orchestrate()
    assert guard.state is CircuitState.CLOSED
    with pytest.raises(PollTimeout):
        await polling(look).orchestrate()
    with pytest.raises(CircuitOpen):
        await polling(look).orchestrate()


async def test_tolerated_failures_are_let_go(autojump_clock: MockClock) -> None:
    """What a failed look held is let go with the next `Pending`, and nothing is left for the garbage collector."""

    class Page: ...

    work = workflow()
    pages: list[weakref.ref[Page]] = []
    held: list[int] = []

    @work.poll(Step.AWAIT, backoff=STEADY, max_errors=1)
    async def look() -> Literal[Step.DONE] | Pending:
        if len(pages) < 5 and len(held) == len(pages):
            page = Page()
            pages.append(weakref.ref(page))
            raise OSError
        held.append(sum(page() is not None for page in pages))
        return Step.DONE if len(held) == 6 else Pending()

    gc.disable()
    try:
        await work.orchestrate()
        assert held == [1, 1, 1, 1, 1, 0]
    finally:
        gc.enable()


async def test_the_timeout_is_let_go_with_its_cause(autojump_clock: MockClock) -> None:
    """What the last look held when it failed is let go with the PollTimeout that stands on its failure."""

    class Page: ...

    work = workflow()
    pages: list[weakref.ref[Page]] = []

    @work.poll(Step.AWAIT, max_errors=9, error_backoff=STEADY, attempt_timeout=3.5)
    async def look() -> Literal[Step.DONE] | Pending:
        page = Page()
        pages.append(weakref.ref(page))
        raise OSError

    gc.disable()
    try:
        with suppress(PollTimeout):
            await work.orchestrate()
        await trio.lowlevel.checkpoint()  # trio itself holds the cancel, and so its frames, until the task's next step
        assert [page() for page in pages] == [None] * 4
    finally:
        gc.enable()


class World:
    """A poll that is the one trial call of a half-open breaker, and has something open while it looks."""

    def __init__(self) -> None:
        self.guard = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=1), name="port")
        self.open = self.looks = 0

    async def run(self) -> None:
        with suppress(OSError), self.guard.try_acquire():
            raise OSError
        await trio.sleep(1)
        work = workflow()

        @work.poll(Step.AWAIT, backoff=STEADY, max_errors=1, attempt_timeout=50, breaker=self.guard)
        async def look() -> Literal[Step.DONE] | Pending:
            self.open += 1
            try:
                await trio.sleep(1)
                self.looks += 1
                if self.looks == 2:
                    raise OSError
                return Step.DONE if self.looks == 4 else Pending(delay=self.looks - 1)
            finally:
                self.open -= 1

        await work.orchestrate()

    def is_clean(self) -> None:
        assert (self.open, self.guard.statistics().trials_in_flight) == (0, 0)


def test_cancel_at_every_step() -> None:
    """POL-10: wherever a cancel finds it, a poll leaves no task, no look and no breaker permit behind."""
    assert cancel_at_every_step(World, World.run, World.is_clean) > 15


@given(
    outcomes=st.lists(st.sampled_from(["pending", "reset", "at once", "error"]), max_size=25),
    max_errors=st.integers(0, 3),
)
def test_poll_law(outcomes: list[str], max_errors: int) -> None:
    """POL-1, POL-4, POL-5: the instants of all looks are those of a plain model, whatever the looks come to."""
    say: dict[str, Outcome] = {
        "pending": Pending(), "reset": Pending(reset=True), "at once": Pending(delay=0), "error": OSError()
    }  # fmt: skip
    look = Look([*map(say.__getitem__, outcomes), Step.DONE], backoff=GROWING, max_errors=max_errors)
    now, turn, errors, expected = 0.0, 0, 0, [0.0]
    for what in outcomes:
        errors = errors + 1 if what == "error" else 0
        if errors > max_errors:
            break
        if what == "error":
            now += 10
        elif what != "at once":
            turn = 1 if what == "reset" else turn + 1
            now += min(2 ** (turn - 1), 5)
        expected.append(now)
    failed = errors > max_errors
    work = polling(look, on_error={OSError: Step.FAILED})
    state = trio.run(work.orchestrate, clock=MockClock(autojump_threshold=0))
    assert state is (Step.FAILED if failed else Step.DONE)
    assert look.times == expected
