"""Strategies for what workflows are tested with."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import Backoff, RetryExhausted, RunContext, Workflow
from cano_trio.journals import MemoryJournal
from cano_trio.testing import RecordingObserver
from cano_trio.testing.strategies import MODELS, Nudge, Trail, delays, messages, outcomes, workflows

QUICK = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])


class Step(Enum):
    ASK = auto()
    ADD = auto()
    DONE = auto()


def shop() -> Workflow[Step]:
    work = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    @work.receive(Step.ASK)
    async def ask(message: Nudge) -> Literal[Step.ADD]:
        return Step.ADD

    @work.task(Step.ADD)
    async def add(ctx: RunContext[int]) -> Literal[Step.DONE, Step.ADD]:
        await ctx.receive()
        return Step.DONE

    return work


def run_of(workflow: Workflow[Any, Trail], *, durable: bool = False) -> RecordingObserver:
    """What a run tells, in virtual time."""
    recorder = RecordingObserver()

    async def main() -> None:
        journal = MemoryJournal() if durable else None
        await workflow.run(Trail(), run_id="r", journal=journal, observers=[recorder])

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return recorder


@pytest.mark.parametrize("model", MODELS)
def test_workflows_are_right_and_end(model: str) -> None:
    """Of each model: they are free of mistakes, and their runs reach an exit with a journal and without."""

    @settings(QUICK, max_examples=10)
    @given(workflow=workflows(models=[model]), durable=st.booleans(), order=st.random_module())
    def check(workflow: Workflow[Any, Trail], durable: bool, order: object) -> None:  # noqa: FBT001
        recorder = run_of(workflow, durable=durable)
        recorder.assert_completed_with(recorder.path()[-1])
        assert recorder.path()[-1] in workflow.exits

    check()


def test_all_models_are_mixed() -> None:
    """Without a word about models, all of them are among the workflows."""
    seen: set[str] = set()

    @settings(QUICK, max_examples=100)
    @given(workflow=workflows())
    def look(workflow: Workflow[Any, Trail]) -> None:
        assert not [problem for problem in workflow.problems() if problem.severity == "error"]
        seen.update(plan.node.model.name for plan in workflow.blueprint().values())

    look()
    assert {"task", "router", "poll", "timer", "batch", "stepped", "stream", "receive", "child"} <= seen


def test_workflows_may_fail() -> None:
    """Only with fails=True an attempt may fail too often: the run fails, or goes where its on_error says."""
    failed: dict[bool, int] = {}

    def search(*, fails: bool) -> None:
        @settings(QUICK, max_examples=60)
        @given(workflow=workflows(models=["task"], fails=fails))
        def look(workflow: Workflow[Any, Trail]) -> None:
            try:
                run_of(workflow)
            except RetryExhausted:
                failed[fails] = failed.get(fails, 0) + 1

        look()

    search(fails=False)
    search(fails=True)
    assert set(failed) == {True}


def test_models_are_known() -> None:
    """One that there is not is refused with those that there are."""
    with pytest.raises(ValueError, match="there is no model tsak: there are task, router"):
        workflows(models=["tsak"])


@given(seconds=delays(maximum=90.0), long=delays())
def test_delays_are_exact(seconds: float, long: float) -> None:
    """Never negative or beyond the longest, and added up without a rounding error."""
    assert 0 <= seconds <= 90
    assert 0 <= long <= 3600
    assert (seconds + long) - long == seconds


@given(outcome=outcomes(shop(), Step.ADD, errors=[OSError]))
def test_outcomes_are_those_of_the_task(outcome: object) -> None:
    """Where a task may lead, and the errors."""
    assert outcome in {Step.DONE, Step.ADD, OSError}


def test_an_exit_comes_to_nothing() -> None:
    """A state without a task has no outcomes."""
    with pytest.raises(ValueError, match=r"Step.DONE of Step leads nowhere by itself"):
        outcomes(shop(), Step.DONE)


@given(message=messages(shop()))
def test_messages_are_those_that_are_taken(message: object) -> None:
    """Of the classes that a receiving state, or the context of a task, names."""
    assert isinstance(message, Nudge | int)


def test_a_workflow_that_takes_no_messages() -> None:
    """There is nothing to send to it."""
    work = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    @work.task(Step.ASK)
    async def ask() -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(ValueError, match="no state of Step takes messages"):
        messages(work)


def test_jitter_is_drawn_by_hypothesis() -> None:
    """With the strategies imported a test sees the same jitter in each example; a drawn seed gives others."""
    policy = Backoff(base=10.0, jitter=0.5)
    plain: set[float] = set()
    drawn: set[float] = set()

    @settings(max_examples=10)
    @given(number=st.integers())
    def same(number: int) -> None:
        plain.add(policy.delay(1))

    @settings(max_examples=10)
    @given(order=st.random_module())
    def fuzzed(order: object) -> None:
        drawn.add(policy.delay(1))

    same()
    fuzzed()
    assert len(plain) == 1
    assert len(drawn) > 1
