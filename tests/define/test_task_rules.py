"""Tasks and routers at work (cano TSK-* and RTR-*), as far as they need no journal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio

from cano_trio import (
    BatchResults,
    BatchTask,
    DataNotWritable,
    IllegalTransition,
    Progress,
    Resources,
    RetryExhausted,
    RouterTask,
    RunContext,
    StateEntered,
    Task,
    TaskConfig,
    Workflow,
    failure_context,
)

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    FIRST = auto()
    CHOOSE = auto()
    SECOND = auto()
    DONE = auto()


@dataclass
class Doc:
    keys: list[str]


def workflow(**arguments: Any) -> Any:
    given: dict[str, Any] = {"initial": Step.FIRST, "exits": [Step.DONE]} | arguments
    return Workflow(Step, **given)


class ToSecond(RouterTask[Step]):
    async def route(self) -> Literal[Step.SECOND]:
        return Step.SECOND


async def test_with_and_without_resources() -> None:
    """TSK-2: a task that asks for resources gets them; one without parameters is cano's `run_bare`."""
    seen: list[object] = []

    async def bare() -> Literal[Step.SECOND]:
        return Step.SECOND

    async def full(res: Resources, ctx: RunContext) -> Literal[Step.DONE]:
        seen.extend([res.get(str), ctx.state])
        return Step.DONE

    work = workflow()
    work.register(Step.FIRST, bare)
    work.register(Step.SECOND, full)
    assert await work.orchestrate(resources=Resources(word="x")) is Step.DONE
    assert seen == ["x", Step.SECOND]


async def test_one_object_for_all_runs() -> None:
    """TSK-4: one task object serves every run and every attempt, many at once."""

    class Slow(Task[Step]):
        def __init__(self) -> None:
            self.now = self.most = self.calls = 0

        async def run(self) -> Literal[Step.DONE]:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
            await trio.testing.wait_all_tasks_blocked()
            self.now -= 1
            return Step.DONE

    work, task = workflow(), Slow()
    work.register(Step.FIRST, task)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(work.orchestrate)
    assert (task.calls, task.most) == (10, 10)
    assert await work.orchestrate() is Step.DONE
    assert task.calls == 11


async def test_every_model_is_registered_alike() -> None:
    """TSK-5: `register` knows the model by the class; a router and a batch need no register of their own."""

    class Twice(BatchTask[Step, int, int]):
        concurrency = 2

        async def load(self) -> list[int]:
            return [1, 2]

        async def process_item(self, item: int) -> int:
            return 2 * item

        async def finish(self, results: BatchResults[int, int]) -> Literal[Step.DONE]:
            assert results.values == [2, 4]
            return Step.DONE

    work = workflow(initial=Step.CHOOSE)
    work.register(Step.CHOOSE, ToSecond())
    work.register(Step.SECOND, Twice())
    assert [plan.node.model.name for plan in work.blueprint().values()] == ["router", "batch"]
    assert await work.orchestrate() is Step.DONE


async def test_router_has_the_defaults_of_a_task(autojump_clock: trio.testing.MockClock) -> None:
    """RTR-1: a router is tried four times, and its configuration may say otherwise."""
    calls = []

    async def choose() -> Literal[Step.DONE]:
        calls.append(trio.current_time())
        raise OSError

    work, once = workflow(), workflow()
    work.router(Step.FIRST)(choose)
    once.router(Step.FIRST, config=TaskConfig.minimal())(choose)
    with pytest.raises(RetryExhausted):
        await work.orchestrate()
    assert len(calls) == 4
    with pytest.raises(OSError):
        await once.orchestrate()
    assert len(calls) == 5


async def test_router_uses_up_no_number() -> None:
    """RTR-2: a router counts for no sequence number, so that those of the tasks stay dense; a task in its place does."""

    async def first(doc: Doc, ctx: RunContext) -> Literal[Step.CHOOSE]:
        doc.keys.append(ctx.idempotency_key)
        return Step.CHOOSE

    async def second(doc: Doc, ctx: RunContext) -> Literal[Step.DONE]:
        doc.keys.append(ctx.idempotency_key)
        return Step.DONE

    async def choose() -> Literal[Step.SECOND]:
        return Step.SECOND

    for plain, keys in ((False, ["r/0", "r/1"]), (True, ["r/0", "r/2"])):
        work = workflow(data=Doc)
        work.register(Step.FIRST, first)
        work.register(Step.CHOOSE, choose if plain else ToSecond())
        work.register(Step.SECOND, second)
        assert (await work.run(Doc([]), run_id="r")).data.keys == keys


async def test_router_is_seen(recorder: Recorder) -> None:
    """RTR-2: a router's state is entered and told like any other, and stands in the path of a failure."""

    async def fail() -> Literal[Step.DONE]:
        raise ValueError

    work = workflow(initial=Step.CHOOSE)
    work.register(Step.CHOOSE, ToSecond())
    work.register(Step.SECOND, fail, config=TaskConfig.minimal())
    with pytest.raises(ValueError) as caught:
        await work.orchestrate(observers=[recorder])
    assert [event.state for event in recorder.of(StateEntered)] == [Step.CHOOSE, Step.SECOND]
    context = failure_context(caught.value)
    assert context is not None
    assert list(context.path) == [Step.CHOOSE, Step.SECOND]


async def test_router_only_reads() -> None:
    """RULINGS 4: a router may read the run's data, and a change there is a mistake that is told."""

    async def choose(doc: Doc) -> Literal[Step.DONE]:
        doc.keys.append("x")
        return Step.DONE

    work = workflow(data=Doc)
    work.router(Step.FIRST)(choose)
    with pytest.raises(DataNotWritable, match="choose changed"):
        await work.run(Doc([]))


async def test_router_returns_a_state() -> None:
    """RTR-4: a router that returns anything else is wrong, at once."""

    async def choose() -> Literal[Step.DONE]:
        return [Step.DONE]  # type: ignore[return-value]

    work = workflow()
    work.router(Step.FIRST)(choose)
    with pytest.raises(IllegalTransition, match=r"choose .* returned \[<Step.DONE: 4>\] in FIRST"):
        await work.orchestrate()


async def test_router_is_cancelled_as_a_task(autojump_clock: trio.testing.MockClock) -> None:
    """RTR-7: a cancel reaches into a router."""

    async def choose() -> Literal[Step.DONE]:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    work = workflow()
    work.router(Step.FIRST)(choose)
    with trio.move_on_after(3) as scope:
        await work.orchestrate()
    assert scope.cancelled_caught
    assert trio.current_time() == 3


async def test_context(recorder: Recorder) -> None:
    """A task sees where it is, and may tell how far: `Progress` is an event like any other."""
    seen: list[str] = []

    async def work_on(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.progress(3, 4)
        ctx.progress(4)
        seen.extend([repr(ctx), ctx.run_id])
        return Step.DONE

    work = workflow()
    work.register(Step.FIRST, work_on)
    await work.orchestrate(run_id="r", observers=[recorder])
    assert seen == ["<RunContext 'r' FIRST visit 1 attempt 1>", "r"]
    assert [(event.done, event.total) for event in recorder.of(Progress)] == [(3, 4), (4, None)]
