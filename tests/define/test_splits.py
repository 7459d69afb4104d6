"""What is wrong with a split is found before anything runs."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Literal

import pytest

from cano_trio import (
    BranchResults,
    BranchTask,
    DefinitionError,
    JoinRule,
    PollTask,
    RateLimiter,
    Retry,
    Split,
    SplitTask,
    Task,
    TaskConfig,
    Workflow,
)


class Step(Enum):
    ASK = auto()
    MERGE = auto()
    DONE = auto()


class Other(Enum):
    DONE = auto()


async def one() -> int:
    return 1


async def two() -> int:
    return 2


def splitting(split: Any, **options: Any) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    workflow.register_split(Step.ASK, split, **options)
    return workflow


def problems(workflow: Workflow[Step]) -> list[str]:
    return [f"{problem.code} {problem.place}: {problem.message}" for problem in workflow.problems()]


several: list[Any] = [one, two]


@pytest.mark.parametrize(
    "split, told",
    [
        (Split.all([], Step.DONE), "E30 ASK: ASK: it has no branches"),
        (Split.quorum(several, 3, Step.DONE), "E31 ASK: ASK: 3 of its 2 branches must succeed"),
        (Split.quorum(several, 0, Step.DONE), "E31 ASK: ASK: n is 0: it takes a whole number, 1 or more"),
        (Split.quorum(several, -1, Step.DONE, collect=True), "E31 ASK: ASK: n is -1: it takes a whole number, 0 or more"),
        (Split.quorum(several, 1.5, Step.DONE), "E31 ASK: ASK: n is 1.5: it takes a whole number, 1 or more"),  # type: ignore[arg-type]
        (Split.percentage(several, 0, Step.DONE), "E31 ASK: ASK: the percentage is 0"),
        (Split.percentage(several, 1.5, Step.DONE), "E31 ASK: ASK: the percentage is 1.5"),
        (Split.percentage(several, float("nan"), Step.DONE), "E31 ASK: ASK: the percentage is nan"),
        (Split.percentage(several, float("inf"), Step.DONE), "E31 ASK: ASK: the percentage is inf"),
        (
            Split.by_deadline(several, Step.DONE, timeout=1, least=3),
            "E31 ASK: ASK: 3 of its 2 branches must succeed",
        ),
        (Split.by_deadline(several, Step.DONE, timeout=None), "E32 ASK: ASK: it is joined by its deadline, but has none"),  # type: ignore[arg-type]
        (Split.all(several, Step.DONE, timeout=0), "E32 ASK: ASK: timeout is 0: it takes a positive number of seconds (math.inf for no limit)"),
        (Split.all(several, Step.DONE, bulkhead=0), "E32 ASK: ASK: bulkhead is 0: it takes a whole number, 1 or more"),
        (Split.all({"": one}, Step.DONE), "E33 ASK: ASK: a branch is called ''"),
        (Split.all({"a/b": one}, Step.DONE), "E33 ASK: ASK: a branch is called 'a/b'"),
        (Split.all({1: one}, Step.DONE), "E33 ASK: ASK: a branch is called 1"),  # type: ignore[dict-item]
        (Split.all(several, Other.DONE), "E34 ASK: ASK: it joins at <Other.DONE: 1>, which is no state"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_split(split: Split[Any], told: str) -> None:
    """WFL-1, G-SPL-8: what can never work is found by validate, with a code, a hint and the place where it is registered."""
    workflow = splitting(split)
    found = [problem for problem in workflow.problems() if problem.code.startswith("E3")]
    assert [f"{problem.code} {problem.place}: {problem.message}" for problem in found] == [told]
    assert found[0].hint
    assert found[0].site.startswith("tests/define/test_splits.py:")
    with pytest.raises(DefinitionError):
        workflow.validate()
    assert all(workflow.__format__(form) for form in ("ascii", "mermaid", "dot"))


def test_everything_is_told_at_once() -> None:
    """One reading mends the whole split."""
    split = Split.percentage({"a/b": one}, 7, Other.DONE, timeout=-1)
    codes = [problem.code for problem in splitting(split).problems()]
    assert [code for code in codes if code.startswith("E3")] == ["E31", "E32", "E33", "E34"]


def test_a_join_state_without_a_task() -> None:
    """WFL-1: the join state must have a task, or be an exit; the hint names the split."""
    workflow = splitting(Split.all([one], Step.MERGE))
    (problem,) = [problem for problem in workflow.problems() if problem.code == "E07"]
    assert problem.place == "MERGE"
    assert problem.hint.startswith("ASK joins there (tests/define/test_splits.py:")
    splitting(Split.all([one], Step.DONE)).validate()


def test_branches_are_read_as_tasks_are() -> None:
    """What is wrong with a branch's signature is found, under its split's state, and under a declared branch's own name."""

    async def unannotated(http):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        ...

    workflow = splitting(Split.all([unannotated], Step.DONE))
    assert [problem for problem in problems(workflow) if problem.startswith("E")] == [
        "E06 ASK: unannotated: no return annotation",
        "E14 ASK: unannotated: parameter 'http' has no annotation",
    ]

    @workflow.branch
    async def no_item() -> None: ...

    assert problems(workflow)[0] == "E16 no_item: no_item: it must take item first"


def test_a_missing_resource_of_a_branch() -> None:
    """A resource that a branch does not find is told before the first state."""

    async def limited(limiter: RateLimiter) -> int:
        return 1

    workflow = splitting(Split.all([limited], Step.DONE))
    with pytest.raises(DefinitionError, match="E13 ASK: ASK: no resource"):
        workflow.with_tasks({}).orchestrate().send(None)


class Polling(PollTask[Step]):
    async def poll(self) -> Literal[Step.DONE]:
        return Step.DONE


class Bid(BranchTask[int]):
    async def run(self) -> int:
        return 1


class Leading(Task[Step]):
    def __init__(self) -> None:
        self.on_error = {OSError: Step.DONE}

    async def run(self) -> Literal[Step.DONE]:
        return Step.DONE


def sync() -> int:
    return 1


@pytest.mark.parametrize(
    "branch, told",
    [
        (sync, "E15 ASK: sync is a plain function, not an async function"),
        (Bid, "E15 ASK: Bid is <class"),
        (None, "E15 ASK: NoneType is None, not an async function"),
        (Polling(), "E35 ASK: Polling is a poll, which can't be a branch"),
        (Leading(), "E21 ASK: Leading has no option on_error"),
    ],
)
def test_what_is_no_branch(branch: Any, told: str) -> None:
    """SPL-16: what can't be a branch is refused where it is registered."""
    with pytest.raises(DefinitionError) as caught:
        splitting(Split.all([branch], Step.DONE))
    assert str(caught.value).startswith(told)


def test_what_is_no_split() -> None:
    """Only splits of known branches are registered, with the two options that a split has."""
    over = Split.over(sync, [1], Step.DONE)  # type: ignore[arg-type]
    for split in ([one], over, None):
        with pytest.raises(DefinitionError, match=r"E35 ASK: .* is no split of known branches"):
            splitting(split)
    with pytest.raises(DefinitionError, match="E21 ASK: ASK has no option retry"):
        splitting(Split.all([one], Step.DONE), retry=Retry.none())
    with pytest.raises(DefinitionError, match="E20 ASK: on_error of ASK is 3"):
        splitting(Split.all([one], Step.DONE), on_error=3)
    with pytest.raises(DefinitionError, match="E04 ASK: it already has the task ASK"):
        splitting(Split.all([one], Step.DONE)).register_split(Step.ASK, Split.all([one], Step.DONE))
    with pytest.raises(TypeError):
        Split.all(one, Step.DONE)  # type: ignore[arg-type]


def test_a_branch_is_no_task() -> None:
    """A branch names no state, and is not registered for one."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    with pytest.raises(DefinitionError, match="E15 ASK: Bid is a branch, which names no state"):
        workflow.register(Step.ASK, Bid())  # type: ignore[arg-type]


def test_two_declared_branches_of_one_name() -> None:
    """Names of declared branches are unique in a workflow: a stored run finds them by these."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    workflow.branch(one)
    with pytest.raises(DefinitionError, match="E04 one: a branch of that name is declared already"):
        workflow.branch(name="one")(two)
    with pytest.raises(DefinitionError, match="E21 two: two: attempt_timeout is 0"):
        workflow.branch(attempt_timeout=0)(two)
    with pytest.raises(DefinitionError, match="E21 two: two has no option on_error"):
        workflow.branch(on_error={})(two)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="E15 sync: sync is a plain function"):
        workflow.branch(sync)  # type: ignore[type-var]


def test_only_splits_return_splits() -> None:
    """RET-15, RTR-4, STP-9: another task's annotation of a Split is E11, and says who may return one."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    async def wrong() -> Any: ...

    wrong.__annotations__["return"] = Split[Literal[Step.DONE]]
    workflow.task(Step.ASK)(wrong)
    workflow.router(Step.MERGE)(wrong)
    found = [problem for problem in workflow.problems() if problem.code == "E11"]
    assert [problem.place for problem in found] == ["ASK", "MERGE"]
    assert all(problem.hint.endswith("Only @workflow.split may return a Split.") for problem in found)


def test_a_split_of_what_is_no_state() -> None:
    """The states in a Split's annotation are checked as those beside it."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    async def plan() -> Any: ...

    plan.__annotations__["return"] = Split[Literal[Other.DONE]] | Literal[Step.DONE]
    workflow.split(Step.ASK)(plan)
    assert problems(workflow) == ["E11 ASK: plan is annotated to return Other.DONE"]


def test_edges_of_a_split_task() -> None:
    """A split task's edges tell states from join states; a bare Split may join anywhere."""

    class Plan(SplitTask[Step]):
        async def split(self) -> Literal[Step.DONE] | Split[Literal[Step.MERGE, Step.DONE]]: ...  # type: ignore[empty-body]

    class Anywhere(SplitTask[Step]):
        async def split(self) -> Split[Step]: ...  # type: ignore[empty-body]

    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    workflow.register(Step.ASK, Plan())
    workflow.register(Step.MERGE, Anywhere())
    plans = workflow.blueprint()
    assert [(edge.target, edge.joins, edge.anywhere) for edge in plans[Step.ASK].edges] == [
        (Step.DONE, False, False),
        (Step.MERGE, True, False),
        (Step.DONE, True, False),
    ]
    assert [(edge.target, edge.joins, edge.anywhere) for edge in plans[Step.MERGE].edges] == [
        (Step.ASK, True, True),
        (Step.MERGE, True, True),
        (Step.DONE, True, True),
    ]


def test_results_that_nobody_gives() -> None:
    """A task that takes BranchResults where no split joins is warned of; behind a router that a split joins at, it is not."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])

    @workflow.task(Step.ASK)
    async def lonely(results: BranchResults[int]) -> Literal[Step.DONE, Step.MERGE]:
        return Step.DONE

    @workflow.task(Step.MERGE)
    async def merge() -> Literal[Step.DONE]:
        return Step.DONE

    (problem,) = workflow.problems()
    assert str(problem).startswith("W30 ASK: lonely takes BranchResults, but no split joins here")
    assert problem.severity == "warning"


def test_results_of_another_type() -> None:
    """A join state that wants other values than a branch returns is found, where both are annotated."""

    async def text() -> str:
        return ""

    workflow = splitting(Split.all({"one": one, "text": text}, Step.MERGE))

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[int] | None = None) -> Literal[Step.DONE]:
        return Step.DONE

    assert problems(workflow) == [
        "E17 MERGE: merge: results holds results of type int, but branch 'text' of ASK returns str"
    ]
    fitting = splitting(Split.all([one, text], Step.MERGE))

    @fitting.task(Step.MERGE)
    async def either(results: BranchResults[int | str], again: BranchResults) -> Literal[Step.DONE]:  # type: ignore[type-arg]
        return Step.DONE

    fitting.validate()


def test_a_test_may_replace_a_split() -> None:
    """with_tasks puts a plain task in a split's place, and the join state then gets empty results: only a warning."""
    workflow = splitting(Split.all([one], Step.MERGE))

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[int]) -> Literal[Step.DONE]:
        return Step.DONE

    async def fake() -> Literal[Step.MERGE]:
        return Step.MERGE

    replaced = workflow.with_tasks({Step.ASK: fake})
    replaced.validate()
    assert [problem.code for problem in replaced.problems()] == ["W30"]


def test_a_declared_branch_stays_the_function_it_was() -> None:
    """Both forms of the decorator give the function back."""
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig.minimal())
    assert workflow.branch(one) is one
    assert workflow.branch(name="other")(two) is two


def test_rules_in_words() -> None:
    """Each rule tells what it wants."""
    rules = [
        JoinRule.all(), JoinRule.any(), JoinRule.quorum(2), JoinRule.percentage(0.25), JoinRule.by_deadline(),
        JoinRule.by_deadline(1),
    ]  # fmt: skip
    assert [rule.text(4) for rule in rules] == [
        "all of 4 branches",
        "any of 4 branches",
        "2 of 4 branches",
        "25 % of 4 branches",
        "whatever finishes of 4 branches",
        "1 of 4 branches",
    ]


def test_results_are_a_mapping() -> None:
    """Results made by hand, for a unit test of a join state, are what the engine's are."""
    failure = OSError()
    results = BranchResults({"b": 1}, {"a": failure}, names="abc")
    assert list(results) == ["a", "b"]
    assert (len(results), "a" in results, "c" in results) == (2, True, False)
    assert (results.successes, results.failures, results.missing) == ({"b": 1}, {"a": failure}, ("c",))
    assert repr(results) == "<BranchResults of 3, 1 failed, 1 missing>"
    assert list(BranchResults({"x": 1}, {"y": failure})) == ["x", "y"]
    with pytest.raises(KeyError):
        results["c"]
