"""Random branches against a plain model of each join, and cancelled at every step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any, Literal

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import BranchEnded, BranchResults, BranchStarted, Retry, Split, SplitFailed, TaskConfig, Workflow
from tests.conftest import Recorder
from tests.engine.stepping import cancel_at_every_step


class Step(Enum):
    ASK = auto()
    MERGE = auto()
    DONE = auto()


@attrs.frozen
class Planned:
    """What a branch is going to do: take a time, then succeed or fail."""

    seconds: int
    succeeds: bool


@attrs.frozen
class Joining:
    """A split: a form with its number and its options."""

    branches: list[Planned]
    form: str
    number: int
    collect: bool
    timeout: float | None
    bulkhead: int | None


@attrs.frozen
class Verdict:
    """What a join comes to."""

    met: bool
    at: float
    finished: frozenset[str]


@st.composite
def joins(draw: st.DrawFn) -> Joining:
    """Branches that never end at the same time, whatever the bulkhead: sums of different powers of two differ."""
    count = draw(st.integers(1, 7))
    times = draw(st.permutations([2**power for power in range(count)]))
    form = draw(st.sampled_from(["all", "any", "quorum", "percentage", "by_deadline"]))
    by_deadline = form == "by_deadline"
    collect = draw(st.booleans()) and not by_deadline
    timeouts = st.integers(0, 2**count).map(lambda whole: whole + 0.5)
    return Joining(
        branches=[Planned(seconds, draw(st.booleans())) for seconds in times],
        form=form,
        number=draw(st.integers(0 if collect or by_deadline else 1, count)),
        collect=collect,
        timeout=draw(timeouts if by_deadline else st.none() | timeouts),
        bulkhead=draw(st.none() | st.integers(1, count + 1)),
    )


def ends(branches: list[Planned], places: int) -> list[tuple[int, int]]:
    """When each branch would end if none were cut off, in order of time, with its number; each takes the first free place."""
    free = [0] * places
    times: list[tuple[int, int]] = []
    for at, branch in enumerate(branches):
        free.sort()
        free[0] += branch.seconds
        times.append((free[0], at))
    return sorted(times)


def model(join: Joining) -> Verdict:
    """The join as one would tell it: go through what happens in order of time, and stop when it is certain."""
    count, by_deadline = len(join.branches), join.form == "by_deadline"
    wanted = {"all": count, "any": 1, "percentage": max(1, join.number)}.get(join.form, join.number)
    finished: set[str] = set()
    succeeded = 0
    now = 0.0
    for time, at in ends(join.branches, min(join.bulkhead or count, count)):
        if join.timeout is not None and time > join.timeout:
            now = join.timeout
            break
        now = time
        finished.add(str(at))
        succeeded += join.branches[at].succeeds
        hopeless = succeeded + count - len(finished) < wanted
        if not join.collect and (hopeless or (succeeded >= wanted and not by_deadline)):
            break
    return Verdict(succeeded >= wanted and (bool(finished) or not by_deadline), now, frozenset(finished))


def branch_of(planned: Planned) -> Callable[[], Coroutine[Any, Any, int]]:
    async def branch() -> int:
        await trio.sleep(planned.seconds)
        if not planned.succeeds:
            raise OSError(planned.seconds)
        return planned.seconds

    return branch


def split_of(join: Joining) -> Split[Step]:
    functions = [branch_of(branch) for branch in join.branches]
    options: dict[str, Any] = {"timeout": join.timeout, "bulkhead": join.bulkhead}
    match join.form:
        case "by_deadline":
            return Split.by_deadline(functions, Step.MERGE, least=join.number, **options)
        case "quorum":
            return Split.quorum(functions, join.number, Step.MERGE, collect=join.collect, **options)
        case "percentage":
            share = max(1, join.number) / len(functions)
            return Split.percentage(functions, share, Step.MERGE, collect=join.collect, **options)
        case "all":
            return Split.all(functions, Step.MERGE, collect=join.collect, **options)
        case _:
            return Split.any(functions, Step.MERGE, collect=join.collect, **options)


@given(joins())
def test_every_join_is_what_its_model_says(join: Joining) -> None:
    """Whatever the branches do, a join is met or not, at a time, with outcomes, as its plain model says; each ends once."""
    recorder = Recorder()
    given_to: list[BranchResults[int]] = []
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.none()))
    workflow.register_split(Step.ASK, split_of(join))

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[int]) -> Literal[Step.DONE]:
        given_to.append(results)
        return Step.DONE

    async def main() -> Verdict:
        began = trio.current_time()
        try:
            await workflow.orchestrate(observers=[recorder])
            results: Any = given_to[0]
        except SplitFailed as failure:
            results = failure.results
        return Verdict(bool(given_to), trio.current_time() - began, frozenset(results))

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == model(join)
    begun = [event.branch for event in recorder.of(BranchStarted)]
    over = [event.branch for event in recorder.of(BranchEnded)]
    assert sorted(begun) == sorted(over) == sorted(set(begun))


@attrs.define
class World:
    """What branches have open, and what they have done."""

    open: int = 0
    done: int = 0
    recorder: Recorder = attrs.field(factory=Recorder)


def world_workflow(world: World, bulkhead: int | None, *, over: bool) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.none()))

    async def work(seconds: float) -> float:
        world.open += 1
        try:
            await trio.sleep(seconds)
            world.done += 1
        finally:
            world.open -= 1
        if seconds == 2:
            raise OSError(seconds)
        return seconds

    async def first() -> float:
        return await work(1)

    async def second() -> float:
        return await work(2)

    async def third() -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, 2.5)
            nursery.start_soon(work, 3)
        return 3

    if over:
        declared = workflow.branch(retry=Retry.fixed(1, delay=1))(work)

        @workflow.split(Step.ASK)
        async def plan() -> Split[Literal[Step.MERGE]]:
            await trio.sleep(1)
            return Split.over(declared, [1.0, 3.0], Step.MERGE, timeout=9, bulkhead=bulkhead)
    else:
        fixed = Split.quorum([first, second, third, first], 3, Step.MERGE, timeout=9, bulkhead=bulkhead)
        workflow.register_split(Step.ASK, fixed)

    @workflow.task(Step.MERGE)
    async def merge(results: BranchResults[float]) -> Literal[Step.DONE]:
        await trio.sleep(1)
        return Step.DONE

    return workflow


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("bulkhead", [None, 1, 2])
def test_cancelled_at_every_step(*, bulkhead: int | None, over: bool) -> None:
    """SPL-13: a cancel at any step leaves no task, nothing open, and a branch's end told for each that had begun."""

    def check(world: World) -> None:
        assert world.open == 0
        begun = [event.branch for event in world.recorder.of(BranchStarted)]
        ended = [event.branch for event in world.recorder.of(BranchEnded)]
        assert sorted(begun) == sorted(ended)

    moments = cancel_at_every_step(
        World,
        lambda world: world_workflow(world, bulkhead, over=over).orchestrate(observers=[world.recorder]),
        check,
    )
    assert moments > 10
