"""How branches run at once and are joined (cano SPL-*)."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal

import outcome
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from cano_trio import (
    AttemptFailed,
    AttemptTimeout,
    BranchEnded,
    BranchResults,
    BranchStarted,
    BranchTask,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    DataNotEncodable,
    DataNotWritable,
    DefinitionError,
    IllegalTransition,
    JoinRule,
    Progress,
    Resources,
    Retry,
    RetryExhausted,
    RunContext,
    Split,
    SplitFailed,
    SplitTask,
    Task,
    TaskConfig,
    TaskSucceeded,
    Workflow,
    failure_context,
)
from tests.conftest import Recorder


class Step(Enum):
    ASK = auto()
    MERGE = auto()
    NEXT = auto()
    DONE = auto()
    FAILED = auto()


Branch = Callable[[], Coroutine[Any, Any, float]]


def sleeper(seconds: float, *, fails: bool = False) -> Branch:
    """A branch that takes a time, and fails then or returns it."""

    async def branch() -> float:
        await trio.sleep(seconds)
        if fails:
            raise OSError(seconds)
        return seconds

    return branch


def joining(split: Split[Step], **options: Any) -> tuple[Workflow[Step], list[BranchResults[float]]]:
    """A workflow that splits, and what its join state was given."""
    given: list[BranchResults[float]] = []
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE, Step.FAILED], defaults=TaskConfig(retry=Retry.none()))
    workflow.register_split(Step.ASK, split, **options)

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[float]) -> Literal[Step.DONE]:
        given.append(results)
        return Step.DONE

    return workflow, given


async def joined(split: Split[Step]) -> tuple[BranchResults[float], float]:
    """What the join state was given, and when."""
    workflow, given = joining(split)
    began = trio.current_time()
    assert await workflow.orchestrate() is Step.DONE
    return given[0], trio.current_time() - began


async def failing(split: Split[Step]) -> tuple[SplitFailed, float]:
    """What a split failed with, and when."""
    workflow, given = joining(split)
    began = trio.current_time()
    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate()
    assert not given
    return caught.value, trio.current_time() - began


# -- the rules (SPL-1)


async def test_all(autojump_clock: MockClock) -> None:
    """SPL-1, G-SPL-3: every branch succeeds, and the join state gets what they returned, in the split's order."""
    results, took = await joined(Split.all([sleeper(3), sleeper(1), sleeper(2)], Step.MERGE))
    assert took == 3
    assert list(results.items()) == [("0", outcome.Value(3)), ("1", outcome.Value(1)), ("2", outcome.Value(2))]
    assert (results.successes, results.failures, results.missing) == ({"0": 3, "1": 1, "2": 2}, {}, ())


async def test_all_fails_at_the_first_failure(autojump_clock: MockClock) -> None:
    """SPL-11, G-SPL-1: a failure makes success impossible: the sibling that needs an hour is cut off at once."""
    error, took = await failing(Split.all([sleeper(3600), sleeper(1, fails=True)], Step.MERGE, timeout=5))
    assert took == 1
    assert (list(error.failures), error.missing, error.timeout) == (["1"], ("0",), None)
    assert error.__cause__ is error.failures["1"]
    assert isinstance(error.__cause__, OSError)


async def test_any_ends_at_the_first_success(autojump_clock: MockClock) -> None:
    """SPL-1: failures are borne until one branch succeeds; the others are cut off."""
    results, took = await joined(Split.any([sleeper(1, fails=True), sleeper(2), sleeper(9)], Step.MERGE))
    assert took == 2
    assert (results.successes, list(results.failures), results.missing) == ({"1": 2}, ["0"], ("2",))


async def test_any_fails_when_all_have(autojump_clock: MockClock) -> None:
    """SPL-1: without any success it fails with the last, and tells of all."""
    error, took = await failing(Split.any([sleeper(2, fails=True), sleeper(1, fails=True)], Step.MERGE))
    assert took == 2
    assert list(error.failures) == ["1", "0"]
    assert error.__cause__ is error.failures["1"]


async def test_quorum_is_met_early(autojump_clock: MockClock) -> None:
    """G-SPL-1: a quorum of 2 of 4 is met at the second success, not when all have finished."""
    results, took = await joined(Split.quorum([sleeper(s) for s in (4, 1, 2, 3)], 2, Step.MERGE))
    assert took == 2
    assert (results.successes, results.missing) == ({"1": 1, "2": 2}, ("0", "3"))


async def test_quorum_is_given_up_early(autojump_clock: MockClock) -> None:
    """G-SPL-1: when too many have failed for a quorum of 2 of 3, it fails at the second failure."""
    branches = [sleeper(1, fails=True), sleeper(2, fails=True), sleeper(9)]
    error, took = await failing(Split.quorum(branches, 2, Step.MERGE))
    assert took == 2
    assert error.missing == ("2",)


@pytest.mark.parametrize(
    "branches, share, needed",
    [
        (3, 0.5, 2),
        (4, 0.75, 3),
        (4, 1.0, 4),
        (100, 0.07, 7),
        (3, 0.01, 1),
        (7, 1 / 7, 1),
        (10, 0.1 + 0.2, 3),
        (0, 0.5, 0),
    ],
)
def test_percentage_rounds_up_whole_branches(branches: int, share: float, needed: int) -> None:
    """SPL-2, G-SPL-7: rounded up to whole branches, but a binary fraction's noise makes none."""
    assert JoinRule.percentage(share).needed(branches) == needed


async def test_percentage(autojump_clock: MockClock) -> None:
    """SPL-1: half of three branches are two."""
    results, took = await joined(Split.percentage([sleeper(1), sleeper(2), sleeper(3)], 0.5, Step.MERGE))
    assert (took, results.missing) == (2, ("2",))


async def test_collect_lets_all_finish(autojump_clock: MockClock) -> None:
    """G-SPL-1: with collect=True nothing is cut off, and the rule is judged at the end (cano's PartialResults)."""
    branches = [sleeper(1), sleeper(2, fails=True), sleeper(3)]
    results, took = await joined(Split.quorum(branches, 1, Step.MERGE, collect=True))
    assert (took, results.missing, list(results.failures)) == (3, (), ["1"])
    error, took = await failing(Split.all(branches, Step.MERGE, collect=True))
    assert (took, error.missing, list(error.results)) == (3, (), ["0", "1", "2"])


async def test_a_quorum_of_none_goes_on_whatever_happens(autojump_clock: MockClock) -> None:
    """SPL-1: collecting with a quorum of 0 is met even if every branch fails."""
    results, took = await joined(Split.quorum([sleeper(2, fails=True)], 0, Step.MERGE, collect=True))
    assert (took, list(results.failures)) == (2, ["0"])


async def test_by_deadline(autojump_clock: MockClock) -> None:
    """SPL-1: what has finished by the timeout counts, well or badly; the others are cut off."""
    branches = {"quick": sleeper(1), "bad": sleeper(2, fails=True), "slow": sleeper(9)}
    results, took = await joined(Split.by_deadline(branches, Step.MERGE, timeout=5))
    assert (took, results.successes, list(results.failures), results.missing) == (5, {"quick": 1}, ["bad"], ("slow",))


async def test_by_deadline_ends_when_all_have_finished(autojump_clock: MockClock) -> None:
    """SPL-1: nobody waits for a deadline when there is nothing to wait for, and failures alone are enough."""
    results, took = await joined(Split.by_deadline([sleeper(2, fails=True)], Step.MERGE, timeout=5))
    assert (took, list(results.failures)) == (2, ["0"])


async def test_by_deadline_needs_something(autojump_clock: MockClock) -> None:
    """SPL-1: nothing finished by the deadline is a failure, which names the deadline and chains no cause."""
    error, took = await failing(Split.by_deadline([sleeper(9)], Step.MERGE, timeout=5))
    assert (took, error.timeout, error.missing, error.__cause__) == (5, 5, ("0",), None)


async def test_by_deadline_may_ask_for_successes(autojump_clock: MockClock) -> None:
    """G-SPL-10: with least=1 it fails as soon as every branch has, and not silently."""
    error, took = await failing(
        Split.by_deadline([sleeper(1, fails=True), sleeper(2, fails=True)], Step.MERGE, timeout=5, least=1)
    )
    assert (took, list(error.failures)) == (2, ["0", "1"])


# -- deadlines, as SPL-4 has them


async def test_at_the_deadline_the_rule_is_judged(autojump_clock: MockClock) -> None:
    """SPL-4, G-SPL-2: a rule that is met by what has finished is met at the deadline; nothing of it is lost."""
    branches = [sleeper(1), sleeper(2), sleeper(60)]
    results, took = await joined(Split.quorum(branches, 2, Step.MERGE, collect=True, timeout=5))
    assert (took, results.successes, results.missing) == (5, {"0": 1, "1": 2}, ("2",))


async def test_a_deadline_that_comes_too_soon(autojump_clock: MockClock) -> None:
    """SPL-4, G-SPL-2: too little at the deadline fails with all that there is, not with a bare timeout."""
    error, took = await failing(Split.all([sleeper(1), sleeper(60)], Step.MERGE, timeout=5))
    assert (took, error.timeout, error.missing) == (5, 5, ("1",))
    assert error.results["0"] == outcome.Value(1)
    assert str(error) == "ASK needs all of 2 branches: 1 succeeded within 5 s; 1 did not finish"


async def test_the_deadline_counts_the_wait_for_the_bulkhead(autojump_clock: MockClock) -> None:
    """SPL-4: time in the queue counts; a branch that never began is missing like one that was cut off."""
    results, took = await joined(
        Split.by_deadline([sleeper(2), sleeper(2), sleeper(2)], Step.MERGE, timeout=3, bulkhead=1)
    )
    assert (took, results.successes, results.missing) == (3, {"0": 2}, ("1", "2"))


async def test_a_branch_that_ends_at_the_deadline_is_cut_off(autojump_clock: MockClock) -> None:
    """A branch that would wake at the very deadline does not count."""
    results, _ = await joined(Split.by_deadline([sleeper(2), sleeper(5)], Step.MERGE, timeout=5))
    assert results.missing == ("1",)


# -- errors


async def test_the_error_tells_all(autojump_clock: MockClock) -> None:
    """SPL-5, G-SPL-5: the message tells of three failures, the error has all of them, as they were raised."""
    error, _ = await failing(
        Split.quorum([sleeper(s, fails=True) for s in range(1, 6)] + [sleeper(7)], 2, Step.MERGE, collect=True)
    )
    assert str(error) == (
        "ASK needs 2 of 6 branches: 1 succeeded; 0 failed with OSError: 1; 1 failed with OSError: 2; "
        "2 failed with OSError: 3; 2 more failed"
    )
    assert [failure.args for failure in error.failures.values()] == [(1,), (2,), (3,), (4,), (5,)]
    assert (error.task, error.rule) == ("ASK", "2 of 6 branches")
    context = failure_context(error)
    assert context is not None
    assert (context.state, context.attempts) == (Step.ASK, 1)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.results.successes, copied.missing) == (str(error), {"5": 7}, ())


async def test_on_error_leads_a_failed_split_on(autojump_clock: MockClock) -> None:
    """A split that fails goes where its on_error leads, and the next state knows the failure; there are no results there."""
    split = Split.all([sleeper(1, fails=True)], Step.MERGE)
    workflow, _ = joining(split, on_error={SplitFailed: Step.NEXT}, name="ask")
    seen: list[object] = []

    @workflow.task(Step.NEXT)
    async def explain(ctx: RunContext, results: BranchResults[float]) -> Literal[Step.FAILED]:
        seen.extend([type(ctx.error), len(results)])
        return Step.FAILED

    assert await workflow.orchestrate() is Step.FAILED
    assert seen == [SplitFailed, 0]


async def test_a_group_of_the_users_passes_as_it_is() -> None:
    """A branch's own exception group is its failure, untouched, and the cause; no group of ours is put around anything."""
    group = ExceptionGroup("mine", [OSError(), ValueError()])

    async def branch() -> float:
        raise group

    error, _ = await failing(Split.all([branch, sleeper(0)], Step.MERGE))
    assert error.__cause__ is group


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_no_exception_passes_bare(kind: type[BaseException], autojump_clock: MockClock) -> None:
    """SPL-8: what is no `Exception` ends the other branches and leaves the run as itself, in no group."""
    ended: list[str] = []

    async def raises() -> float:
        await trio.sleep(1)
        raise kind

    async def other() -> float:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("other")

    workflow, given = joining(Split.any([raises, other], Step.MERGE))
    with pytest.raises(kind) as caught:
        await workflow.orchestrate()
    assert type(caught.value) is kind
    assert ended == ["other"]
    assert not given


async def test_a_group_of_the_users_that_passes_is_itself() -> None:
    """SPL-8: a group of the user's that is no `Exception` leaves the run as the very object it was."""
    group = BaseExceptionGroup("mine", [KeyboardInterrupt(), ValueError()])

    async def branch() -> float:
        raise group

    workflow, _ = joining(Split.all([branch, sleeper(0)], Step.MERGE))
    with pytest.raises(BaseExceptionGroup) as caught:
        await workflow.orchestrate()
    assert caught.value is group


async def test_a_cancel_does_not_hide_what_passes(autojump_clock: MockClock) -> None:
    """What is no `Exception` leaves even if the run is cancelled meanwhile."""

    async def raises() -> float:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise SystemExit(3) from None

    workflow, _ = joining(Split.all([raises, sleeper(60)], Step.MERGE))
    with trio.move_on_after(1), pytest.raises(SystemExit):
        await workflow.orchestrate()


@pytest.mark.parametrize("kind", [OSError, SystemExit])
async def test_a_group_with_a_cancel_is_parted(kind: type[BaseException], autojump_clock: MockClock) -> None:
    """What a cut-off branch's own nursery raises along with the cancel is its failure, or passes: nothing of it is lost."""

    async def stops_badly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise kind

    async def branch() -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stops_badly)
            try:
                await trio.sleep_forever()
            finally:
                await trio.lowlevel.checkpoint()

    split = Split.any([sleeper(1), branch], Step.MERGE)
    if kind is OSError:
        results, _ = await joined(split)
        assert results.successes == {"0": 1}
        (failure,) = results.failures.values()
        assert isinstance(failure, ExceptionGroup)
        assert [type(error) for error in failure.exceptions] == [OSError]
    else:
        workflow, _ = joining(split)
        with pytest.raises(BaseExceptionGroup) as caught:
            await workflow.orchestrate()
        assert [type(error) for error in caught.value.exceptions] == [SystemExit]


# -- branches and their configs


async def test_each_branch_has_its_own_attempts(autojump_clock: MockClock) -> None:
    """SPL-9: a declared branch is retried by its own policy, a task object by its attributes, a plain one by the defaults."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.fixed(1, delay=10)))
    tries = {"declared": 0, "object": 0, "plain": 0}

    @workflow.branch(retry=Retry.fixed(2, delay=1))
    async def declared() -> None:
        tries["declared"] += 1
        raise OSError

    class Object(BranchTask[None]):
        retry = Retry.none()

        async def run(self) -> None:
            tries["object"] += 1
            raise OSError

    async def plain() -> None:
        tries["plain"] += 1
        raise OSError

    workflow.register_split(
        Step.ASK,
        Split.quorum({"declared": declared, "object": Object(), "plain": plain}, 0, Step.MERGE, collect=True),
    )

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[None]) -> Literal[Step.DONE]:
        assert {name: type(error) for name, error in results.failures.items()} == {
            "declared": RetryExhausted,
            "object": OSError,
            "plain": RetryExhausted,
        }
        return Step.DONE

    result = await workflow.run()
    assert (tries, result.elapsed) == ({"declared": 3, "object": 1, "plain": 2}, 10)


async def test_branches_share_a_breaker() -> None:
    """SPL-9: branches that share a breaker trip it together; the refused ones are not called."""
    breaker = CircuitBreaker(CircuitPolicy(failure_threshold=1, reset_timeout=60))
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.none()))
    called: list[str] = []

    @workflow.branch(breaker=breaker)
    async def first() -> None:
        called.append("first")
        raise OSError

    @workflow.branch(breaker=breaker)
    async def second() -> None:
        called.append("second")

    workflow.register_split(Step.ASK, Split.all([first, second], Step.DONE, bulkhead=1, collect=True))
    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate()
    assert called == ["first"]
    assert [type(error) for error in caught.value.failures.values()] == [OSError, CircuitOpen]


async def test_an_attempt_timeout_is_a_branchs_own(autojump_clock: MockClock) -> None:
    """SPL-10: an attempt's time begins when the branch does, not in the queue."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    @workflow.branch(attempt_timeout=2, retry=Retry.none())
    async def two() -> float:
        await trio.sleep(1.5)
        return 1

    @workflow.branch(attempt_timeout=1, retry=Retry.none())
    async def late() -> float:
        await trio.sleep(1.5)
        return 1

    workflow.register_split(Step.ASK, Split.all({"a": two, "b": two, "late": late}, Step.DONE, bulkhead=1))
    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate()
    error = caught.value.failures["late"]
    assert isinstance(error, AttemptTimeout)
    assert error.task == "ASK[late]"


async def test_attempts_of_branches_are_not_the_states() -> None:
    """How often a branch was tried is not how often its state was."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.fixed(3, delay=0)))
    workflow.register_split(Step.ASK, Split.all([sleeper(0, fails=True)], Step.DONE))
    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate()
    context = failure_context(caught.value)
    assert context is not None
    assert context.attempts == 1


async def test_a_task_may_be_a_branch() -> None:
    """SPL-6: a task object is a branch too; the state that it returns is a value, and leads nowhere."""

    class Fetch(Task[Step]):
        async def run(self) -> Literal[Step.FAILED]:
            return Step.FAILED

    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE, Step.FAILED])
    workflow.register_split(Step.ASK, Split.all([Fetch()], Step.MERGE))

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[Step]) -> Literal[Step.DONE]:
        assert results.successes == {"0": Step.FAILED}
        return Step.DONE

    assert await workflow.orchestrate() is Step.DONE


async def test_branches_come_of_any_sequence() -> None:
    """SPL-16: a list, a tuple and an iterator name branches by their place, a dict by its keys."""
    several: list[Any] = [[sleeper(0)] * 2, (sleeper(0),) * 2, iter([sleeper(0)] * 2)]
    for branches in several:
        results, _ = await joined(Split.all(branches, Step.MERGE))
        assert list(results) == ["0", "1"]


async def test_keys_and_contexts_of_branches() -> None:
    """A branch's idempotency key names it, is the same at every attempt, and its attempts are its own."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    keys: list[tuple[str, int]] = []

    @workflow.branch(retry=Retry.fixed(1, delay=0))
    async def branch(ctx: RunContext) -> None:
        keys.append((ctx.idempotency_key, ctx.attempt))
        if ctx.attempt == 1:
            raise OSError

    workflow.register_split(Step.ASK, Split.all({"eu": branch, "us": branch}, Step.DONE, bulkhead=1))
    await workflow.orchestrate(run_id="r")
    assert keys == [("r/0/b:eu", 1), ("r/0/b:eu", 2), ("r/0/b:us", 1), ("r/0/b:us", 2)]


# -- the bulkhead (SPL-10)


@pytest.mark.parametrize("bulkhead", [1, 2, 3, 7, 20])
async def test_bulkhead(bulkhead: int, autojump_clock: MockClock) -> None:
    """SPL-10: never more branches at once than the bulkhead has places, and never fewer while some wait."""
    running, most = 0, 0

    async def branch() -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return 1

    results, took = await joined(Split.all([branch] * 7, Step.MERGE, bulkhead=bulkhead))
    assert len(results) == 7
    assert (most, took) == (min(bulkhead, 7), -(-7 // bulkhead))


async def test_a_place_is_held_over_retries(autojump_clock: MockClock) -> None:
    """SPL-10: a branch keeps its place while it waits for its next attempt."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    log: list[tuple[float, str]] = []

    @workflow.branch(retry=Retry.fixed(1, delay=5))
    async def flaky(ctx: RunContext) -> None:
        log.append((trio.current_time(), f"flaky {ctx.attempt}"))
        if ctx.attempt == 1:
            raise OSError

    async def steady() -> None:
        log.append((trio.current_time(), "steady"))

    began = trio.current_time()
    workflow.register_split(Step.ASK, Split.all([flaky, steady], Step.DONE, bulkhead=1))
    await workflow.orchestrate()
    assert log == [(began, "flaky 1"), (began + 5, "flaky 2"), (began + 5, "steady")]


async def test_the_verdict_keeps_waiting_branches_from_beginning(autojump_clock: MockClock) -> None:
    """After the verdict, or the deadline, no branch of the queue begins, whatever the running ones do while they stop."""
    began: list[int] = []

    def numbered(number: int) -> Branch:
        async def branch() -> float:
            began.append(number)
            if number == 1:
                with trio.CancelScope(shield=True):
                    await trio.sleep(2)
            await trio.sleep(1)
            return number

        return branch

    results, took = await joined(Split.any([numbered(n) for n in range(4)], Step.MERGE, bulkhead=2))
    assert (sorted(began), results.successes, took) == ([0, 1], {"0": 0}, 2)


async def test_a_branch_that_has_not_begun_at_the_verdict_never_does() -> None:
    """Of branches that succeed without waiting for anything, one is called: its verdict comes before the others begin."""
    called = 0

    async def instant() -> float:
        nonlocal called
        called += 1
        return 1

    results, _ = await joined(Split.any([instant] * 10, Step.MERGE))
    assert (called, len(results), len(results.missing)) == (1, 1, 9)


# -- nothing is left behind (SPL-12, SPL-13)


async def test_the_others_have_stopped_before_the_join_state(autojump_clock: MockClock) -> None:
    """SPL-12, G-SPL-4: the join state begins when the cut-off branches have stopped, clean-up and all."""
    log: list[str] = []

    async def slow() -> float:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            log.append("stopped")

    results, took = await joined(Split.any([sleeper(1), slow], Step.MERGE))
    assert (log, took, results.missing) == (["stopped"], 4, ("1",))


async def test_a_failure_while_it_is_cut_off_is_told() -> None:
    """A branch that fails while it stops after the verdict is among the failures, and changes nothing."""

    async def clumsy() -> float:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise OSError("while stopping") from cancelled

    results, _ = await joined(Split.any([sleeper(0), clumsy], Step.MERGE))
    assert [type(error) for error in results.failures.values()] == [OSError]


async def test_a_cancel_from_outside_stops_all(autojump_clock: MockClock, recorder: Recorder) -> None:
    """SPL-13: a cancel from outside stops every branch, and is no verdict; each begun branch ends once."""
    split = Split.any([sleeper(9), sleeper(1, fails=True), sleeper(8)], Step.MERGE)
    workflow, given = joining(split)
    with trio.move_on_after(2) as scope:
        await workflow.orchestrate(observers=[recorder])
    assert scope.cancelled_caught
    assert not given
    assert sorted((event.branch, event.result) for event in recorder.of(BranchEnded)) == [
        ("0", "cancelled"), ("1", "failed"), ("2", "cancelled"),
    ]  # fmt: skip


async def test_a_cancel_from_outside_is_no_group(autojump_clock: MockClock) -> None:
    """SPL-8: however many branches it cuts off, a cancel leaves the run as one `Cancelled`."""
    workflow, _ = joining(Split.all([sleeper(50)] * 3, Step.MERGE))
    with trio.move_on_after(1), pytest.raises(trio.Cancelled):
        await workflow.orchestrate()


async def test_the_join_state_keeps_the_results_over_its_attempts() -> None:
    """The results are there at every attempt of the join state, for a router and the state after it, and then gone."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.fixed(1, delay=0)))
    seen: list[int] = []
    workflow.register_split(Step.ASK, Split.all([sleeper(0), sleeper(0)], Step.MERGE))

    @workflow.router(Step.MERGE)
    async def choose(results: BranchResults[float]) -> Literal[Step.NEXT]:
        seen.append(len(results))
        return Step.NEXT

    @workflow.task(Step.NEXT)
    async def twice(results: BranchResults[float], ctx: RunContext) -> Literal[Step.FAILED]:
        seen.append(len(results))
        if ctx.attempt == 1:
            raise OSError
        return Step.FAILED

    @workflow.task(Step.FAILED)
    async def after(results: BranchResults[float]) -> Literal[Step.DONE]:
        seen.append(len(results))
        return Step.DONE

    assert await workflow.orchestrate() is Step.DONE
    assert seen == [2, 2, 2, 0]


async def test_a_join_state_entered_otherwise_gets_no_results() -> None:
    """A run that starts in the join state gives it empty results."""
    workflow, given = joining(Split.all([sleeper(0)], Step.MERGE))
    assert await workflow.orchestrate(Step.MERGE) is Step.DONE
    assert (dict(given[0]), given[0].missing) == ({}, ())


async def test_splits_in_a_row(autojump_clock: MockClock) -> None:
    """A join state may be a split itself: each hands its own results on, also round a loop."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    seen: list[list[float]] = []
    workflow.register_split(Step.ASK, Split.all([sleeper(1), sleeper(2)], Step.MERGE))
    workflow.register_split(Step.MERGE, Split.any([sleeper(3), sleeper(4)], Step.NEXT))

    @workflow.task(Step.NEXT)
    async def again(results: BranchResults[float]) -> Literal[Step.ASK, Step.DONE]:
        seen.append(list(results.successes.values()))
        return Step.DONE if len(seen) == 2 else Step.ASK

    result = await workflow.run()
    assert (seen, result.elapsed) == ([[3], [3]], 10)


# -- events, as SPL-14 has them


async def test_each_branch_begins_and_ends_once(autojump_clock: MockClock, recorder: Recorder) -> None:
    """SPL-14, SPL-18, G-SPL-4: every branch that begins tells so, and how it ended, exactly once; one that waits does not."""
    branches = {
        "good": sleeper(1),
        "bad": sleeper(2, fails=True),
        "cut": sleeper(9),
        "later": sleeper(9),
        "never": sleeper(9),
    }
    workflow, _ = joining(Split.by_deadline(branches, Step.MERGE, timeout=2.5, bulkhead=2), name="ask")
    await workflow.orchestrate(observers=[recorder])
    assert {event.task for event in recorder.of(BranchStarted)} == {"ask"}
    assert sorted(event.branch for event in recorder.of(BranchStarted)) == ["bad", "cut", "good", "later"]
    ended = {event.branch: event.result for event in recorder.of(BranchEnded)}
    assert ended == {"good": "succeeded", "bad": "failed", "cut": "cancelled", "later": "cancelled"}
    assert [event.task for event in recorder.of(AttemptFailed)] == ["ask[bad]"]
    assert [(event.done, event.total) for event in recorder.of(Progress)] == [(1, 5), (2, 5)]
    assert (recorder.of(TaskSucceeded)[0].task, recorder.of(TaskSucceeded)[0].next_state) == ("ask", Step.MERGE)


# -- data


@dataclass
class Order:
    sku: str
    prices: list[float] = field(default_factory=list)


async def test_branches_read_the_data_and_the_join_state_writes_them() -> None:
    """SPL-7: each branch reads a copy of its own; what the join state writes is the run's."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], data=Order)

    async def one(order: Order) -> float:
        assert order.sku == "W-7"
        return 1

    workflow.register_split(Step.ASK, Split.all([one, one], Step.MERGE))

    @workflow.task(Step.MERGE)
    async def merge(order: Order, results: BranchResults[float]) -> Literal[Step.DONE]:
        order.prices += results.successes.values()
        return Step.DONE

    assert (await workflow.run(Order("W-7"))).data == Order("W-7", [1, 1])


async def test_a_branch_can_not_write_the_data() -> None:
    """A branch that changes the run's data fails, since its copy would be lost: it is not tried again."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], data=Order)

    async def writes(order: Order) -> None:
        order.prices.append(1)

    workflow.register_split(Step.ASK, Split.all([writes], Step.DONE))
    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate(data=Order("W-7"))
    assert isinstance(caught.value.__cause__, DataNotWritable)
    assert caught.value.__cause__.path == "Order.prices[0]"


# -- branches over items


def mapping(
    items: Any, rule: JoinRule | None = None, **options: Any
) -> tuple[Workflow[Step, Order], list[BranchResults[Any]]]:
    """A workflow whose task splits over items; negative ones fail."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], data=Order, defaults=TaskConfig(retry=Retry.none()))
    given: list[BranchResults[Any]] = []

    @workflow.branch
    async def wait(seconds: float) -> float:
        await trio.sleep(abs(seconds))
        if seconds < 0:
            raise OSError(seconds)
        return seconds

    @workflow.split(Step.ASK)
    async def plan() -> Split[Literal[Step.MERGE]]:
        return Split.over(wait, items, Step.MERGE, rule=rule or JoinRule.all(), **options)

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[float]) -> Literal[Step.DONE]:
        given.append(results)
        return Step.DONE

    return workflow, given


async def test_over_items(autojump_clock: MockClock) -> None:
    """SPL-16, G-RTR-1: a split task makes one branch for each item that it finds at run time."""
    workflow, given = mapping([3, 1, 2], bulkhead=2)
    result = await workflow.run(Order("W-7"))
    assert (given[0].successes, result.elapsed) == ({"0": 3, "1": 1, "2": 2}, 3)


async def test_over_named_items(autojump_clock: MockClock) -> None:
    """A dict names the branches of its items, and every rule may join them."""
    workflow, given = mapping({"a": 3, "b": -1, "c": 2}, JoinRule.any())
    result = await workflow.run(Order("W-7"))
    assert (given[0].successes, list(given[0].failures), given[0].missing, result.elapsed) == (
        {"c": 2},
        ["b"],
        ("a",),
        2,
    )


async def test_over_no_items() -> None:
    """No items are enough for all of them, for a part of them, and for what has finished, but not for any of them."""
    for rule in (JoinRule.all(), JoinRule.percentage(0.5), JoinRule.by_deadline()):
        workflow, given = mapping([], rule, timeout=1)
        assert await workflow.orchestrate(data=Order("W-7")) is Step.DONE
        assert len(given[0]) == 0
    workflow, _ = mapping([], JoinRule.any())
    with pytest.raises(SplitFailed, match="plan needs any of 0 branches: 0 succeeded"):
        await workflow.orchestrate(data=Order("W-7"))


async def test_a_quorum_of_more_than_the_items_fails_before_it_begins(recorder: Recorder) -> None:
    """What can't be met by so few items fails at once: no branch has begun."""
    workflow, _ = mapping([1, 2], JoinRule.quorum(3))
    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate(data=Order("W-7"), observers=[recorder])
    assert caught.value.missing == ("0", "1")
    assert recorder.of(BranchStarted) == []


class Opaque:
    """An item that JSON can't hold."""

    def __init__(self) -> None:
        self.prices: list[float] = []


@pytest.mark.parametrize("shared", [Order("W-7"), Opaque()])
async def test_each_attempt_gets_a_fresh_item(shared: Order | Opaque) -> None:
    """Items are data: what a branch does to its item is seen by no other attempt, and not by the split task."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    seen: list[list[float]] = []

    async def price(order: Order | Opaque, ctx: RunContext) -> None:
        seen.append(list(order.prices))
        order.prices.append(1)
        if ctx.attempt == 1:
            raise OSError

    price.__annotations__["order"] = type(shared)
    workflow.branch(retry=Retry.fixed(1, delay=0))(price)

    @workflow.split(Step.ASK)
    async def plan() -> Split[Literal[Step.DONE]]:
        return Split.over(price, [shared, shared], Step.DONE)

    await workflow.orchestrate()
    assert (seen, shared.prices) == ([[]] * 4, [])


async def test_what_is_no_item_of_the_branch() -> None:
    """An item of another type fails the split with its path, before any branch begins, and is not retried."""
    workflow, _ = mapping(["three"])
    with pytest.raises(DataNotEncodable):
        await workflow.orchestrate(data=Order("W-7"))


async def test_items_of_a_union_and_of_what_json_can_not_hold() -> None:
    """A branch may take a union, or an object that only a deep copy can hold."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    seen: list[object] = []
    items: list[int | str] = [1, "two"]

    @workflow.branch
    async def either(item: int | str) -> None:
        seen.append(item)

    @workflow.branch
    async def opaque(item: complex) -> None:
        seen.append(item)

    @workflow.split(Step.ASK)
    async def first() -> Split[Literal[Step.MERGE]]:
        return Split.over(either, items, Step.MERGE, bulkhead=1)

    @workflow.split(Step.MERGE)
    async def second() -> Split[Literal[Step.DONE]]:
        return Split.over(opaque, [3j], Step.DONE)

    await workflow.orchestrate()
    assert seen == [1, "two", 3j]


async def test_a_split_task_may_name_a_state(autojump_clock: MockClock) -> None:
    """A split task that has nothing to split names the next state, as any task."""

    class Plan(SplitTask[Step]):
        async def split(self) -> Literal[Step.NEXT] | Split[Literal[Step.MERGE]]:
            return Step.NEXT

    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.NEXT, Step.MERGE])
    workflow.register(Step.ASK, Plan())
    assert await workflow.orchestrate() is Step.NEXT


async def test_a_split_task_goes_only_where_it_says() -> None:
    """A split may only join at a state that the annotation names so, and it is refused before any branch runs."""
    ran: list[int] = []
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.NEXT, Step.MERGE])

    @workflow.branch
    async def run(item: int) -> None:
        ran.append(item)

    returned: Any = Split.over(run, [1], Step.NEXT)

    @workflow.split(Step.ASK)
    async def plan() -> Literal[Step.NEXT] | Split[Literal[Step.MERGE]]:
        return returned  # type: ignore[no-any-return]

    with pytest.raises(IllegalTransition, match=r"returned <Split all of 1 branches, then NEXT> in ASK"):
        await workflow.orchestrate()
    returned = Step.MERGE
    with pytest.raises(IllegalTransition):
        await workflow.orchestrate()
    assert ran == []


async def test_the_task_is_not_called_again_for_a_branch(autojump_clock: MockClock) -> None:
    """The options of a split task hold for the task: branches fail by their own, and the task is called once."""
    calls = 0
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    @workflow.branch(retry=Retry.none())
    async def fails(item: int) -> None:
        raise OSError(item)

    @workflow.split(Step.ASK, retry=Retry.fixed(2, delay=1))
    async def plan() -> Split[Literal[Step.DONE]]:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise OSError
        return Split.over(fails, [7], Step.DONE)

    with pytest.raises(SplitFailed) as caught:
        await workflow.orchestrate()
    assert calls == 3
    assert isinstance(caught.value.__cause__, OSError)


async def test_what_a_split_task_wrote_is_there_for_its_branches() -> None:
    """What the task writes into the run's data stands before its branches read them, and stays."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], data=Order)
    seen: list[str] = []

    @workflow.branch
    async def read(item: int, order: Order) -> None:
        seen.append(order.sku)

    @workflow.split(Step.ASK)
    async def plan(order: Order) -> Split[Literal[Step.DONE]]:
        order.sku = "changed"
        return Split.over(read, [1, 2], Step.DONE)

    assert (await workflow.run(Order("W-7"))).data == Order("changed")
    assert seen == ["changed", "changed"]


async def test_splits_that_are_wrong_in_themselves() -> None:
    """A returned split that no workflow could have is a mistake in the code, told with its code; no retry mends it."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], resources=Resources())
    wrong: list[Split[Any]] = []
    calls = 0

    @workflow.branch
    async def declared(item: int) -> None: ...

    @workflow.branch
    async def fixed() -> None: ...

    async def plain(item: int) -> None: ...

    workflow.register_split(Step.MERGE, Split.all([fixed], Step.DONE))

    @workflow.split(Step.ASK, on_error={Exception: Step.DONE})
    async def plan() -> Split[Step]:
        nonlocal calls
        calls += 1
        return wrong[-1]

    for split, text in [
        (Split.over(plain, [1], Step.DONE), "E35 ASK: plan: plain is no branch that takes an item"),
        (Split.over(fixed, [1], Step.DONE), "E35 ASK: plan: fixed is no branch that takes an item"),  # type: ignore[arg-type]
        (Split.all([declared], Step.DONE), "E35 ASK: plan: it returned a split of fixed branches"),
        (Split.over(declared, [1], Step.DONE, bulkhead=0), "E32 ASK: plan: bulkhead is 0"),
        (Split.over(declared, [1], Step.DONE, rule=JoinRule.quorum(0)), "E31 ASK: plan: n is 0"),
        (
            Split.over(declared, [1], Step.DONE, rule=JoinRule.by_deadline()),
            "E32 ASK: plan: it is joined by its deadline",
        ),
        (Split.over(declared, {"a/b": 1}, Step.DONE), "E33 ASK: plan: a branch is called 'a/b'"),
    ]:
        wrong.append(split)
        with pytest.raises(DefinitionError) as caught:
            await workflow.orchestrate()
        assert str(caught.value).startswith(text)
    assert calls == len(wrong)


def test_items_are_no_string() -> None:
    """A string is no list of items, and an iterator can't be looked at twice."""
    wrong: list[Any] = ["abc", b"abc", 3, iter([1])]
    for items in wrong:
        with pytest.raises(TypeError, match="Pass a list, or a dict of names"):
            Split.over(trio.sleep, items, Step.DONE)


def test_what_no_split_is_made_of() -> None:
    """What holds no branches, and what is no rule, is refused where the split is made, with what to pass."""
    wrong: list[Any] = [trio.sleep, "abc", None, 3]
    for branches in wrong:
        with pytest.raises(TypeError, match=r"was given the branches .* Pass a list, or a dict of names"):
            Split.all(branches, Step.MERGE)
    rule: Any = "all"
    with pytest.raises(TypeError, match=r"was given the rule .all.\. Pass a JoinRule"):
        Split.over(trio.sleep, [1], Step.DONE, rule=rule)
