"""The circuit breaker: a service that keeps failing is left alone for a while, then tried with care."""

from __future__ import annotations

import math
import warnings
from types import TracebackType
from typing import final

import attrs
import trio
from typing_extensions import override

from .._errors import CircuitOpen
from .circuit_policy import CircuitPolicy, CircuitState, CircuitStatistics
from .line import Line
from .on_clock import OnClock
from .waits import Waits

# Names of this module are found faster than members of an Enum, and every call asks for the state twice.
CLOSED = CircuitState.CLOSED
OPEN = CircuitState.OPEN
HALF_OPEN = CircuitState.HALF_OPEN


@final
@attrs.define(eq=False, repr=False)
class CircuitBreaker(OnClock):
    """Opens when calls keep failing, refuses them for a while, then lets a few through on trial.

    Closed, it counts failures in a row. Open, it refuses every call for `CircuitPolicy.reset_timeout` seconds; the first
    call after that makes it half-open (looking at it never does, CIR-3). Half-open, it lets trial calls through: enough
    successes close it, one failure opens it again (CIR-4). A verdict on a call that began before the last change of state
    changes nothing (CIR-5).

    One breaker may guard many tasks and workflows, may be made before trio runs and serve several runs in turn.

    Args:
        policy: when it opens and closes.
        name: what errors and events call it.

    >>> import trio, trio.testing
    >>> from cano_trio import CircuitBreaker, CircuitOpen, CircuitPolicy
    >>> payments = CircuitBreaker(CircuitPolicy(failure_threshold=1), name="payments")
    >>> async def main():
    ...     try:
    ...         with payments.try_acquire():
    ...             raise OSError("connection refused")
    ...     except OSError:
    ...         print(payments)
    ...     with await payments.wait_acquire():
    ...         print(payments)
    ...     print(trio.current_time(), payments.state)
    >>> trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    <CircuitBreaker 'payments' open for 30 s>
    <CircuitBreaker 'payments' half-open, 1 of 1 trials in flight>
    30.0 CircuitState.CLOSED
    """

    policy: CircuitPolicy = attrs.field(factory=CircuitPolicy)
    name: str = attrs.field(default="breaker", kw_only=True)

    _state: CircuitState = attrs.field(default=CLOSED, init=False)
    _epoch: int = attrs.field(default=0, init=False)  # goes up with every change of state
    _trials_from: float = attrs.field(default=-math.inf, init=False)  # open: the instant of the first trial call
    _failures_in_row: int = attrs.field(default=0, init=False)
    _trials: int = attrs.field(default=0, init=False)  # half-open: in flight
    _good_trials: int = attrs.field(default=0, init=False)
    _line: Line = attrs.field(factory=Line, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)  # a trial slot came free, or the state changed
    _waits_in: trio.lowlevel.TrioToken | None = attrs.field(default=None, init=False)  # the run of who waits for news

    _acquired: int = attrs.field(default=0, init=False)
    _rejected: int = attrs.field(default=0, init=False)
    _successes: int = attrs.field(default=0, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _released_calls: int = attrs.field(default=0, init=False)
    _opened: int = attrs.field(default=0, init=False)
    _half_opened: int = attrs.field(default=0, init=False)
    _reopened: int = attrs.field(default=0, init=False)

    def __repr__(self) -> str:
        state = self._state.value
        if self._state is OPEN:
            state = f"open for {self._retry_after():.3g} s"
        elif self._state is HALF_OPEN:
            state = f"half-open, {self._trials} of {self.policy.half_open_trials} trials in flight"
        return f"<CircuitBreaker {self.name!r} {state}>"

    @property
    def state(self) -> CircuitState:
        """What it does with calls; an open breaker stays open until a call comes after its time (CIR-3)."""
        return self._state

    def try_acquire(self) -> Permit:
        """Permission for one call, to be used as a context manager around it.

        Raises:
            CircuitOpen: the breaker is open, or half-open with all its trial calls in flight.
        """
        return Permit(self, self._enter())

    async def wait_acquire(self) -> Permit:
        """Permission for one call, as soon as the breaker gives it; those who wait are served in order. A checkpoint."""
        return Permit(self, await self._wait_enter())

    def record_success(self, permit: Permit) -> None:
        """As `Permit.record_success`; ValueError if the permit is another breaker's."""
        self._own(permit).record_success()

    def record_failure(self, permit: Permit) -> None:
        """As `Permit.record_failure`; ValueError if the permit is another breaker's."""
        self._own(permit).record_failure()

    def release(self, permit: Permit) -> None:
        """As `Permit.release`; ValueError if the permit is another breaker's."""
        self._own(permit).release()

    def statistics(self) -> CircuitStatistics:
        """A frozen picture of this moment."""
        return CircuitStatistics(
            state=self._state,
            retry_after=self._retry_after(),
            failures_in_row=self._failures_in_row,
            trials_in_flight=self._trials,
            waiting=self._line.waiting,
            acquired=self._acquired,
            rejected=self._rejected,
            successes=self._successes,
            failures=self._failures,
            released=self._released_calls,
            opened=self._opened,
            half_opened=self._half_opened,
            reopened=self._reopened,
            # Every change of state is one of the four, and bumps the epoch.
            closed=self._epoch - self._opened - self._half_opened - self._reopened,
        )

    def _own(self, permit: Permit) -> Permit:
        if permit.breaker is not self:
            raise ValueError(f"{permit!r} is of another breaker than {self!r}. Record it with permit.breaker.")
        return permit

    # The engine's path: an epoch is all a permit needs to hold, and an int costs nothing. The caller owes exactly one of
    # `_succeeded`, `_failed`, `_released` for every `_enter`.

    def _enter(self) -> int:
        if self._state is not CLOSED:
            self._enter_trial()
        self._acquired += 1
        return self._epoch

    async def _wait_enter(self) -> int:
        await trio.lowlevel.checkpoint()
        if self._state is not CLOSED or self._line.waiting:
            with Waits(f"breaker {self.name!r}"):
                return await self._enter_in_turn()
        return self._enter()

    async def _enter_in_turn(self) -> int:
        async with self._line.front():
            # Now first: it carries the other instant over to this run's clock.
            while self._now() < (admits := self._admits_from()):
                self._news, self._waits_in = trio.Event(), trio.lowlevel.current_trio_token()
                with trio.move_on_at(admits):
                    await self._news.wait()
            return self._enter()

    def _succeeded(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self._successes += 1
        if self._state is CLOSED:
            self._failures_in_row = 0
            return
        self._trials -= 1
        self._good_trials += 1
        if self._good_trials >= self.policy.half_open_trials:
            self._change(CLOSED)
        self._news.set()

    def _failed(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self._failures += 1
        self._failures_in_row += 1
        if self._state is HALF_OPEN:
            self._reopened += 1
        elif self._failures_in_row >= self.policy.failure_threshold:
            self._opened += 1
        else:
            return
        self._trials_from = self._now() + self.policy.reset_timeout
        self._change(OPEN)
        self._news.set()

    def _released(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self._released_calls += 1
        if self._state is HALF_OPEN:
            self._trials -= 1
            self._news.set()

    def _thrown_away(self, epoch: int) -> None:
        if trio.lowlevel.in_trio_run():
            self._failed(epoch)
            return
        # Garbage is also collected in worker threads, which can't wake a task: the run of those who wait is told.
        try:
            if self._waits_in is not None:
                self._waits_in.run_sync_soon(self._failed, epoch)
                return
        except trio.RunFinishedError:
            pass
        # There is no now to be open from, and nobody who waits; the trial slot must come free all the same.
        self._released(epoch)

    def _enter_trial(self) -> None:
        now = self._now()
        if (admits := self._admits_from()) > now:
            self._rejected += 1
            trials_taken = self._state is HALF_OPEN
            raise CircuitOpen(self.name, 0.0 if trials_taken else admits - now, trials_taken=trials_taken)
        if self._state is OPEN:
            self._half_opened += 1
            self._change(HALF_OPEN)
        self._trials += 1

    def _admits_from(self) -> float:
        """The instant from which a call passes; infinite where that depends on other calls."""
        if self._state is OPEN:
            return self._trials_from
        return math.inf if self._state is HALF_OPEN and self._trials >= self.policy.half_open_trials else -math.inf

    def _change(self, state: CircuitState) -> None:
        self._state = state
        self._epoch += 1
        self._failures_in_row = self._trials = self._good_trials = 0

    def _retry_after(self) -> float:
        return max(0.0, self._trials_from - self._peek()) if self._state is OPEN else 0.0

    @override
    def _shift(self, seconds: float) -> None:
        self._trials_from += seconds


# So that the engine and `Permit` need not reach into the class: plain functions of a breaker, at no cost.
enter = CircuitBreaker._enter  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
wait_enter = CircuitBreaker._wait_enter  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
succeeded = CircuitBreaker._succeeded  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
failed = CircuitBreaker._failed  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
released = CircuitBreaker._released  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
thrown_away = CircuitBreaker._thrown_away  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


@final
class Permit:
    """Permission for one call through a circuit breaker, and the place for the verdict on it.

    As a context manager it judges the block: an `Exception` that leaves it is a failure, a normal end a success, anything
    else (a cancel from outside, Ctrl-C) says nothing of the service (G-CIR-1). A verdict recorded by hand inside the
    block stands. A permit that is thrown away without a verdict is a failure (CIR-6), and a `ResourceWarning`.

    >>> import trio
    >>> from cano_trio import CircuitBreaker
    >>> async def main():
    ...     breaker = CircuitBreaker()
    ...     permit = breaker.try_acquire()
    ...     permit.record_failure()
    ...     return breaker.statistics().failures_in_row
    >>> trio.run(main)
    1
    """

    __slots__ = ("_epoch", "_spent", "breaker")

    def __init__(self, breaker: CircuitBreaker, epoch: int) -> None:
        self.breaker: CircuitBreaker = breaker
        self._epoch = epoch
        self._spent = False

    def __repr__(self) -> str:
        return f"<Permit of {self.breaker.name!r}{' spent' if self._spent else ''}>"

    def record_success(self) -> None:
        """The call succeeded. RuntimeError if the permit has had its verdict."""
        self._spend()
        succeeded(self.breaker, self._epoch)

    def record_failure(self) -> None:
        """The call failed. RuntimeError if the permit has had its verdict."""
        self._spend()
        failed(self.breaker, self._epoch)

    def release(self) -> None:
        """The call says nothing of the service. RuntimeError if the permit has had its verdict."""
        self._spend()
        released(self.breaker, self._epoch)

    def __enter__(self) -> Permit:
        self._check_unspent()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spent:
            return
        if error is None:
            self.record_success()
        elif isinstance(error, Exception):
            self.record_failure()
        else:
            self.release()

    def __del__(self) -> None:
        if self._spent:
            return
        complaint = f"{self!r} got no verdict. Use it as a context manager."
        self._spent = True
        thrown_away(self.breaker, self._epoch)
        # Last: where warnings are errors, it is the end of this method.
        warnings.warn(complaint, ResourceWarning, source=self, stacklevel=2)

    def _spend(self) -> None:
        self._check_unspent()
        self._spent = True

    def _check_unspent(self) -> None:
        if self._spent:
            raise RuntimeError(f"{self!r} has had its verdict already. Acquire a permit for every call.")
