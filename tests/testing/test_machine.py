"""`WorkflowMachine`: it finds what is planted, and passes what is sound."""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from typing import Any, ClassVar, Literal

import pytest
import trio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from cano_trio import RunContext, RunStatus, Runtime, Workflow
from cano_trio.testing import strategies
from cano_trio.testing._sketches import StateSketch, sketched
from cano_trio.testing.machine import WorkflowMachine
from cano_trio.testing.strategies import Nudge, Trail

LOOSE = settings(
    phases=[Phase.generate, Phase.shrink],
    deadline=None,
    derandomize=True,
    max_examples=40,
    stateful_step_count=12,
    suppress_health_check=[*HealthCheck],
    database=None,
)


class Step(Enum):
    CHARGE = auto()
    ASK = auto()
    SHIP = auto()
    DONE = auto()


effects: Counter[str] = Counter()


def shop(*, waits: bool = False) -> Workflow[Step, Trail]:
    """Charges under its key, asks if it is told to, and ships a minute later."""
    work = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE], name="shop", data=Trail)
    then: Literal[Step.ASK, Step.SHIP] = Step.ASK if waits else Step.SHIP

    @work.task(Step.CHARGE)
    async def charge(ctx: RunContext, trail: Trail) -> Literal[Step.ASK, Step.SHIP]:
        effects[ctx.run_id] += 1
        trail.done.append("charged")
        return then

    @work.receive(Step.ASK)
    async def ask(nudge: Nudge, trail: Trail) -> Literal[Step.SHIP]:
        trail.heard.append(nudge.text)
        return Step.SHIP

    @work.task(Step.SHIP)
    async def ship(trail: Trail) -> Literal[Step.DONE]:
        await trio.sleep(60)
        trail.done.append("shipped")
        return Step.DONE

    return work


class Shop(WorkflowMachine):
    """Orders of a shop."""

    workflow = shop()
    data = st.builds(Trail)

    def __init__(self) -> None:
        super().__init__()
        effects.clear()


def search(machine: type[WorkflowMachine], how: settings = LOOSE) -> None:
    run_state_machine_as_test(machine, settings=how)


def test_what_is_sound_passes() -> None:
    """Runs that are started, paused, cancelled and lost with their processes all come to a good end."""
    seen: Counter[RunStatus] = Counter()

    class Sound(Shop):
        workflow = shop(waits=True)

        async def bring_to_an_end(self, run: Any) -> None:
            await run.send(Nudge("go"))

        async def check_invariant(self, runtime: Runtime) -> None:
            for info in await runtime.runs():
                trail = await runtime.read(info.run_id)
                if info.status is RunStatus.COMPLETED:
                    assert trail.done == ["charged", "shipped"]
                seen[info.status] += 1

    search(Sound)
    assert {RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.PAUSED, RunStatus.WAITING} <= set(seen)


def test_a_double_charge_is_found() -> None:
    """Who believes that a task is called once is shown how it is not: by one crash and one start."""

    class Charged(Shop):
        async def check_invariant(self, runtime: Runtime) -> None:
            assert all(count == 1 for count in effects.values()), "charged twice"

    with pytest.raises(AssertionError, match="charged twice") as caught:
        search(Charged, settings(LOOSE, max_examples=400))
    notes = "\n".join(caught.value.__notes__)
    assert "behind: " in notes
    assert notes.count("state.start(") == 1
    assert notes.count("state.crash(") == 1
    assert "state.cancel(" not in notes

    class Careful(Charged):
        crashes = False

    search(Careful)


def test_a_run_that_never_ends_is_found() -> None:
    """Where nothing brings a waiting run to its end, it is told which run, and where it stands."""

    class Waiting(Shop):
        workflow = shop(waits=True)

        async def bring_to_an_end(self, run: Any) -> None:
            await trio.sleep(1)

    with pytest.raises(AssertionError, match=r"run 'r1' does not end: it is waiting in ASK"):
        search(Waiting)


def test_messages_are_sent() -> None:
    """With a strategy for messages runs hear them, each in the order they were sent."""
    heard: set[str] = set()

    class Asked(Shop):
        workflow = shop(waits=True)
        messages = st.builds(Nudge, st.sampled_from(["yes", "no"]))

        async def bring_to_an_end(self, run: Any) -> None:
            await run.send(Nudge("at last"))

        async def check_invariant(self, runtime: Runtime) -> None:
            for info in await runtime.runs(status=[RunStatus.COMPLETED]):
                heard.update((await runtime.read(info.run_id)).heard)

    search(Asked)
    assert heard == {"yes", "no", "at last"}


def test_an_order_of_tasks_is_found() -> None:
    """What goes wrong only if the second of two runs is first at the same instant is found, as the order is drawn."""

    class Ordered(Shop):
        order: ClassVar[list[str]] = []

        def __init__(self) -> None:
            super().__init__()
            self.order.clear()

        async def check_invariant(self, runtime: Runtime) -> None:
            done = [info.run_id for info in await runtime.runs(status=[RunStatus.COMPLETED])]
            assert self.order == sorted(self.order), "out of turn"
            assert len(done) >= 0

    raced = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE], name="race", data=Trail)

    @raced.timer(Step.CHARGE)
    async def wait() -> float:
        return 60 - trio.current_time() % 60

    @wait.after_wait
    async def after(ctx: RunContext) -> Literal[Step.DONE]:
        Ordered.order.append(ctx.run_id)
        return Step.DONE

    Ordered.workflow = raced
    Ordered.crashes = False
    with pytest.raises(AssertionError, match="out of turn"):
        search(Ordered, settings(LOOSE, max_examples=200, phases=[Phase.generate]))


def test_a_failing_runtime_is_not_taken_for_a_death() -> None:
    """An error of the user's own code in an invariant leaves as it is, also where a process was about to die."""

    class Broken(Shop):
        async def check_invariant(self, runtime: Runtime) -> None:
            if self.names:
                raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        search(Broken)


@pytest.mark.parametrize("model", strategies.MODELS)
def test_every_model_ends_whatever_is_done_to_it(model: str) -> None:
    """Of any model: each run ends, whatever is done to it and however often its process dies."""
    sketch = StateSketch(model=model, targets=[Step.SHIP], goes=Step.SHIP, seconds=10.0)
    last = StateSketch(model="task", targets=[Step.DONE], goes=Step.DONE, failures=1, seconds=1.0)

    class Sketched(Shop):
        workflow = sketched({Step.CHARGE: sketch, Step.SHIP: last}, [Step.DONE], model)

    search(Sketched, settings(LOOSE, max_examples=10, stateful_step_count=10))
