"""The circuit breaker against a plain model of its rules."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from trio.testing import MockClock

from cano_trio import CircuitBreaker, CircuitOpen, CircuitPolicy, CircuitState, Permit

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
T = TypeVar("T")


class BreakerMachine(RuleBasedStateMachine):
    """Calls, verdicts in any order, time in between, each step in a trio run of its own on one of two clocks."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = MockClock()
        self.permits: list[tuple[Permit, int]] = []  # with the model's epoch
        self.now = self.open_until = 0.0
        self.state = CLOSED
        self.epoch = self.in_row = self.trials = self.good = 0
        self.counts = dict.fromkeys(
            (
                "acquired",
                "rejected",
                "successes",
                "failures",
                "released",
                "opened",
                "half_opened",
                "reopened",
                "closed",
            ),
            0,
        )

    @initialize(threshold=st.integers(1, 3), reset=st.sampled_from([0, 1, 4]), trials=st.integers(1, 3))
    def make(self, threshold: int, reset: float, trials: int) -> None:
        """A breaker under small numbers, so that all its states are met."""
        self.policy = CircuitPolicy(failure_threshold=threshold, reset_timeout=reset, half_open_trials=trials)
        self.breaker = CircuitBreaker(self.policy)

    @rule(seconds=st.sampled_from([0.25, 1, 2, 4]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.jump(seconds)
        self.now += seconds

    @rule(begin=st.integers(0, 1000))
    def change_clock(self, begin: int) -> None:
        """A run on another clock looks in, and its clock is the one from then on."""
        self.run(self.breaker.statistics)
        self.clock = MockClock()
        self.clock.jump(begin)

    @rule()
    def call(self) -> None:
        """Ask for a permit."""
        refused: CircuitOpen | None = None
        try:
            self.permits.append((self.run(self.breaker.try_acquire), self.expect_epoch()))
        except CircuitOpen as error:
            refused = error
        if self.state is OPEN and self.now < self.open_until:
            expected = (self.open_until - self.now, False)
        elif self.state is HALF_OPEN and self.trials >= self.policy.half_open_trials:
            expected = (0.0, True)
        else:
            assert refused is None
            self.admit()
            return
        self.counts["rejected"] += 1
        assert refused is not None
        assert (refused.retry_after, refused.trials_taken) == expected

    @precondition(lambda self: self.state is not HALF_OPEN or self.trials < self.policy.half_open_trials)
    @rule()
    def wait_in_line(self) -> None:
        """Wait for a permit; an open breaker takes its time to the end and no longer."""
        self.clock.autojump_threshold = 0
        self.permits.append((trio.run(self.breaker.wait_acquire, clock=self.clock), self.expect_epoch()))
        self.clock.autojump_threshold = float("inf")
        if self.state is OPEN:
            self.now = max(self.now, self.open_until)
        self.admit()

    @precondition(lambda self: self.permits)
    @rule(which=st.integers(0), kind=st.sampled_from(["successes", "failures", "released", "thrown away"]))
    def judge(self, which: int, kind: str) -> None:
        """Give a verdict on a call that began now or long ago; or none."""
        permit, epoch = self.permits.pop(which % len(self.permits))
        if kind == "thrown away":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                self.run(permit.__del__)
            kind = "failures"
        elif kind == "successes":
            self.run(permit.record_success)
        else:
            self.run(permit.record_failure if kind == "failures" else permit.release)
        if epoch == self.epoch:
            self.counts[kind] += 1
            self.heed(kind)

    @invariant()
    def agree(self) -> None:
        """The model and the breaker say the same of everything."""
        statistics = self.run(self.breaker.statistics)
        assert self.breaker.state is statistics.state is self.state
        assert statistics.retry_after == (max(0.0, self.open_until - self.now) if self.state is OPEN else 0)
        assert (statistics.failures_in_row, statistics.trials_in_flight) == (self.in_row, self.trials)
        assert {name: getattr(statistics, name) for name in self.counts} == self.counts

    def teardown(self) -> None:
        """Leave no permit behind without a verdict."""
        for permit, _ in self.permits:
            self.run(permit.release)

    def run(self, function: Callable[[], T]) -> T:
        """Call within trio, on the present clock."""

        async def main() -> T:
            self.breaker._now()
            return function()

        return trio.run(main, clock=self.clock)

    def expect_epoch(self) -> int:
        """The epoch in which the call that was just let through counts."""
        return self.epoch + (self.state is OPEN)

    def admit(self) -> None:
        """A call is let through."""
        self.counts["acquired"] += 1
        if self.state is OPEN:
            self.change(HALF_OPEN, "half_opened")
        self.trials += self.state is HALF_OPEN

    def heed(self, kind: str) -> None:
        """A verdict of the present epoch."""
        if self.state is HALF_OPEN:
            self.trials -= 1
            self.good += kind == "successes"
            if kind == "failures":
                self.open("reopened")
            elif self.good == self.policy.half_open_trials:
                self.change(CLOSED, "closed")
        elif kind == "successes":
            self.in_row = 0
        elif kind == "failures":
            self.in_row += 1
            if self.in_row == self.policy.failure_threshold:
                self.open("opened")

    def open(self, how: str) -> None:
        """Refuse calls from now."""
        self.open_until = self.now + self.policy.reset_timeout
        self.change(OPEN, how)

    def change(self, state: CircuitState, how: str) -> None:
        """Another state, another epoch."""
        self.state = state
        self.epoch += 1
        self.in_row = self.trials = self.good = 0
        self.counts[how] += 1


def test_the_breaker_is_its_model() -> None:
    """CIR-2, CIR-3, CIR-4, CIR-5, CIR-6, CIR-8: state, times, counts and refusals are those of the model."""
    run_state_machine_as_test(BreakerMachine, settings=settings(deadline=None, max_examples=40, stateful_step_count=30))
