"""Random sagas against a plain model of how they are rolled back; and sagas that are cancelled at every single step."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    CircuitBreaker,
    CircuitPolicy,
    CompensatableTask,
    Retry,
    Rollback,
    RunContext,
    Workflow,
    failure_context,
)
from tests.engine.ledger import Ledger
from tests.engine.stepping import cancel_at_every_step

Place = Enum("Place", "S0 S1 S2 S3 END DONE")
PLACES = [*Place]
LAST = 4
"""The number of the state after all steps."""


class Trouble(Exception):
    """What fails on purpose."""


@dataclass
class Plan:
    """One step of a saga, and of undoing it: how often each fails, how often it is tried again, how long undoing takes."""

    failures: int = 0
    retries: int = 0
    goes_on: bool = False
    bare: bool = False
    inquires: bool = False
    undo_failures: int = 0
    undo_retries: int = 0
    undo_seconds: int = 0


plans = st.builds(
    Plan,
    failures=st.integers(0, 2),
    retries=st.integers(0, 2),
    goes_on=st.booleans(),
    bare=st.booleans(),
    inquires=st.booleans(),
    undo_failures=st.integers(0, 2),
    undo_retries=st.integers(0, 2),
    undo_seconds=st.integers(0, 3),
)


# ---- the model: no trio, no engine


@dataclass
class Expected:
    """What a rollback must come to."""

    undone: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    in_doubt: list[str] = field(default_factory=list)
    elapsed: float = 0


def forward(steps: list[Plan]) -> list[tuple[int, bool]]:
    """The entries that the steps leave, each with whether it is in doubt; up to the first that fails for good."""
    entries: list[tuple[int, bool]] = []
    for at, step in enumerate(steps):
        if step.failures > step.retries:
            entries.append((at, True))
            if not step.goes_on:
                break
        elif not step.bare:
            entries.append((at, False))
    return entries


def backward(steps: list[Plan], limit: float) -> Expected:
    """The entries undone, last things first, each to its end, all within the limit."""
    come_to = Expected()
    now = 0.0
    for at, in_doubt in reversed(forward(steps)):
        step, name = steps[at], f"S{at}"
        if in_doubt and not step.inquires:
            come_to.in_doubt.append(name)
        elif now >= limit:
            come_to.left.append(name)
        else:
            for attempt in range(step.undo_retries + 1):
                now += step.undo_seconds
                if attempt == step.undo_failures or now >= limit:
                    break
                if attempt < step.undo_retries:
                    now += 1
            worked = step.undo_failures <= step.undo_retries and (now < limit or now == come_to.elapsed)
            now = min(now, limit)
            (come_to.undone if worked else come_to.failed).append(name)
        come_to.elapsed = now
    return come_to


# ---- the same on the engine


class Planned(CompensatableTask[Any, int]):
    def __init__(self, ledger: Ledger, at: int, plan: Plan) -> None:
        self.ledger = ledger
        self.at = at
        self.plan = plan
        self.calls = 0
        self.undo_calls = 0
        self.retry = Retry.fixed(plan.retries, delay=1)
        self.compensate_retry = Retry.fixed(plan.undo_retries, delay=1)
        if plan.goes_on:
            self.on_error = {Trouble: PLACES[at + 1]}

    async def run(self) -> tuple[Place, int] | Place:
        self.calls += 1
        if self.calls <= self.plan.failures:
            raise Trouble
        following = PLACES[self.at + 1]
        return following if self.plan.bare else (following, self.at)

    async def compensate(self, receipt: int) -> None:
        assert receipt == self.at
        await self.undo()

    async def undo(self) -> None:
        await trio.sleep(self.plan.undo_seconds)
        self.undo_calls += 1
        if self.undo_calls <= self.plan.undo_failures:
            raise Trouble
        self.ledger(f"S{self.at}")


class Inquiring(Planned):
    async def compensate_in_doubt(self, ctx: RunContext) -> None:
        assert ctx.forward_key == f"{ctx.run_id}/{self.at}"
        await self.undo()


def rolled_back(steps: list[Plan], limit: float) -> tuple[Rollback | None, Ledger]:
    ledger = Ledger()
    work = Workflow(Place, initial=Place.S0, exits=[Place.DONE], compensation_timeout=limit)
    for at, plan in enumerate([*steps, *[Plan(bare=True)] * (LAST - len(steps))]):
        work.register(PLACES[at], (Inquiring if plan.inquires else Planned)(ledger, at, plan))

    @work.task(Place.END, retry=Retry.none())
    async def fail() -> Place:
        raise Trouble

    with pytest.raises(Exception) as caught:
        trio.run(work.orchestrate, clock=MockClock(autojump_threshold=0))
    context = failure_context(caught.value)
    assert context is not None
    return context.rollback, ledger


@given(steps=st.lists(plans, max_size=LAST), limit=st.integers(1, 12))
@example(steps=[Plan(undo_seconds=3), Plan(undo_seconds=3)], limit=3)
@example(steps=[Plan(), Plan(failures=1, goes_on=True, inquires=True), Plan(undo_failures=1)], limit=30)
def test_rollback_law(steps: list[Plan], limit: int) -> None:
    """SAG-3 to SAG-6, SAG-11: whatever fails, forward and back, a rollback is its plain model's, to the second."""
    expected = backward(steps, limit)
    rollback, ledger = rolled_back(steps, limit)
    if not forward(steps):
        assert rollback is None
        return
    assert rollback is not None
    told = Expected(
        undone=[state.name for state, _ in rollback.undone],
        failed=[state.name for state, _ in rollback.failed],
        left=[state.name for state in rollback.left],
        in_doubt=[state.name for state in rollback.in_doubt],
        elapsed=rollback.elapsed,
    )
    assert told == expected
    assert ledger.log == expected.undone
    kept = {entry.state.name for entry in rollback.outstanding}
    assert kept == {*expected.failed, *expected.left, *expected.in_doubt}
    assert all(entry.receipt == int(entry.state.name[1]) for entry in rollback.outstanding if not entry.in_doubt)


# ---- cancelled at every step


class Desk(Enum):
    RESERVE = 1
    CHARGE = 2
    SHIP = 3
    FAIL = 4
    DONE = 5


class World:
    """A saga whose steps hold a token, stand behind a breaker, fail once after their effect, and work in a nursery."""

    options: dict[str, Any] = {}  # noqa: RUF012
    fails = False

    def __init__(self) -> None:
        self.guard = CircuitBreaker(CircuitPolicy(failure_threshold=9), name="bank")
        self.limiter = trio.CapacityLimiter(1)
        self.effects: dict[str, str] = {}
        self.failed = 0
        self.state: Desk | None = None

    def workflow(self) -> Workflow[Desk]:
        work = Workflow(Desk, initial=Desk.RESERVE, exits=[Desk.DONE])

        @work.compensatable(Desk.RESERVE, breaker=self.guard, **self.options)
        async def reserve(ctx: RunContext) -> tuple[Desk, str]:
            async with self.limiter:
                await trio.sleep(1)
                self.effects[ctx.idempotency_key] = "reserved"
                await trio.sleep(1)
            return Desk.CHARGE, ctx.idempotency_key

        @reserve.compensate
        async def free(receipt: str) -> None:
            async with self.limiter:
                await trio.sleep(1)
                del self.effects[receipt]

        @work.compensatable(Desk.CHARGE, retry=Retry.fixed(1, delay=1), breaker=self.guard, **self.options)
        async def charge(ctx: RunContext) -> tuple[Desk, str]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
            self.effects[ctx.idempotency_key] = "charged"
            await trio.sleep(1)
            self.failed += 1
            if self.failed == 1:
                raise OSError
            return Desk.SHIP, ctx.idempotency_key

        @charge.compensate
        async def refund(receipt: str) -> None:
            await trio.sleep(1)
            del self.effects[receipt]

        @charge.compensate_in_doubt
        async def look(ctx: RunContext) -> None:
            await trio.sleep(1)
            self.effects.pop(ctx.forward_key or "", None)

        @work.task(Desk.SHIP)
        async def ship() -> Desk:
            await trio.sleep(1)
            return Desk.FAIL if self.fails else Desk.DONE

        @work.task(Desk.FAIL)
        async def fail() -> Desk:
            raise TypeError

        return work

    async def run(self) -> None:
        try:
            self.state = await self.workflow().orchestrate(run_id="r")
        except TypeError:
            assert self.fails

    def is_clean(self) -> None:
        """Either the run has come to its exit, with all its effects, or it has none."""
        assert self.limiter.borrowed_tokens == 0
        calls = self.guard.statistics()
        assert calls.acquired == calls.successes + calls.failures + calls.released
        assert len(self.effects) == (0 if self.state is None else 2)


class Failing(World):
    """It fails in the end."""

    fails = True


class Timed(World):
    """Its attempts are held by their own timeout."""

    options = {"attempt_timeout": 9}  # noqa: RUF012


class Hasty(World):
    """Its attempts are held for a moment only, so that a cancel finds effects without a receipt."""

    options = {"hold": 0.5}  # noqa: RUF012

    def workflow(self) -> Workflow[Desk]:
        work = super().workflow()
        task = work.blueprint()[Desk.RESERVE].node

        async def look(ctx: RunContext) -> None:
            self.effects.pop(ctx.forward_key or "", None)

        task.add("compensate_in_doubt", look)
        return work


@pytest.mark.parametrize("world", [World, Failing, Timed, Hasty])
def test_cancel_at_every_step(world: type[World]) -> None:
    """SAG-15, WFL-29: wherever a cancel finds a saga, all is undone or done; no task, token or permit is left behind."""
    assert cancel_at_every_step(world, world.run, world.is_clean) > 20
