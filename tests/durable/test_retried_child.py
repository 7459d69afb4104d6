"""A run that failed in a state whose work a child workflow does, tried again."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from cano_trio import (
    BranchResults,
    Retry,
    RollbackFailed,
    RunBlocked,
    RunCancelled,
    RunContext,
    RunStatus,
    RunTimeout,
    Split,
    TaskConfig,
    Workflow,
    failure_context,
)
from cano_trio.journals import Commit, MemoryJournal

ALONE = TaskConfig(retry=Retry.none())


class Step(Enum):
    A = auto()
    PAY = auto()
    B = auto()
    DONE = auto()


class Pay(Enum):
    CHARGE = auto()
    CONFIRM = auto()
    PAID = auto()


@dataclass
class Notes:
    lines: list[str] = field(default_factory=list)


@dataclass
class World:
    """What goes wrong, and what was done: each with its idempotency key."""

    confirm_fails: bool = True
    take_fails: bool = False
    undo_fails: bool = False
    done: list[str] = field(default_factory=list)

    def payment(self) -> Workflow[Pay, Notes]:
        """A workflow that charges, and then has that confirmed."""
        pay = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], name="pay", data=Notes, defaults=ALONE)

        @pay.compensatable(Pay.CHARGE)
        async def charge(notes: Notes, ctx: RunContext) -> tuple[Literal[Pay.CONFIRM], str]:
            self.done.append(f"charge {ctx.idempotency_key}")
            notes.lines.append("charged")
            return Pay.CONFIRM, ctx.idempotency_key

        @charge.compensate
        async def refund(receipt: str) -> None:
            if self.undo_fails:
                raise TypeError("no refund")
            self.done.append(f"refund {receipt}")

        @pay.task(Pay.CONFIRM)
        async def confirm(ctx: RunContext) -> Literal[Pay.PAID]:
            if self.confirm_fails:
                raise OSError("down")
            await trio.sleep(5)
            return Pay.PAID

        return pay

    def workflow(self, **options: Any) -> Workflow[Step, Notes]:
        """A workflow whose second state pays in a child workflow."""

        def taken(inner: Notes, notes: Notes) -> None:
            if self.take_fails:
                raise LookupError("no such key")
            notes.lines += inner.lines

        work = Workflow(
            Step, initial=Step.A, exits=[Step.DONE], name="w", data=Notes, defaults=ALONE,
            **{"on_failure": "hold", **options},
        )  # fmt: skip

        @work.compensatable(Step.A)
        async def a(notes: Notes, ctx: RunContext) -> tuple[Literal[Step.PAY], str]:
            self.done.append(f"a {ctx.idempotency_key}")
            return Step.PAY, ctx.idempotency_key

        @a.compensate
        async def undo(receipt: str) -> None:
            self.done.append(f"undo {receipt}")

        work.register_child(Step.PAY, self.payment(), {Pay.PAID: Step.B}, data=lambda: Notes(), result=taken)  # noqa: PLW0108

        @work.task(Step.B)
        async def b(notes: Notes, ctx: RunContext) -> Literal[Step.DONE]:
            notes.lines.append(ctx.idempotency_key)
            return Step.DONE

        return work


async def statuses(journal: MemoryJournal) -> dict[str, RunStatus]:
    """How all runs stand, of which nobody holds any."""
    records = await journal.runs()
    assert {record.owner for record in records} == {None}
    return {record.run_id: record.position.status for record in records}


async def test_a_child_that_was_rolled_back_is_run_anew(autojump_clock: MockClock) -> None:
    """What was done and undone is not done again under its old key: the state is visited once more, with a child of its own."""
    world = World()
    work = world.workflow()
    async with MemoryJournal() as journal:
        with pytest.raises(OSError, match="down"):
            await work.run(Notes(), run_id="r", journal=journal)
        assert await statuses(journal) == {"r": RunStatus.FAILED, "r/1": RunStatus.ROLLED_BACK}
        world.confirm_fails = False
        result = await work.retry("r", journal=journal)
        assert (result.data, result.path) == (
            Notes(["charged", "r/3"]),
            (Step.A, Step.PAY, Step.PAY, Step.B, Step.DONE),
        )
        assert await statuses(journal) == {
            "r": RunStatus.COMPLETED, "r/1": RunStatus.ROLLED_BACK, "r/2": RunStatus.COMPLETED,
        }  # fmt: skip
        history = [(row.seq, row.state, row.next) for row in await journal.history("r")]
        assert history == [(0, "A", "PAY"), (1, "PAY", "PAY"), (2, "PAY", "B"), (3, "B", "DONE")]
    assert world.done == ["a r/0", "charge r/1/0", "refund r/1/0", "charge r/2/0"]


async def test_it_is_run_anew_as_often_as_it_takes(autojump_clock: MockClock) -> None:
    """Each try has a visit of its own, also when its process is stopped in between; and all of it can be undone in the end."""
    world = World()
    work = world.workflow()
    async with MemoryJournal() as journal:
        for call in (partial(work.run, Notes(), run_id="r"), partial(work.retry, "r")):
            with pytest.raises(OSError, match="down"):
                await call(journal=journal)
        world.confirm_fails = False
        with trio.move_on_after(1):
            await work.retry("r", journal=journal)
        assert (await statuses(journal))["r/3"] is RunStatus.RUNNING
        await work.cancel("r", journal=journal)
        assert set((await statuses(journal)).values()) == {RunStatus.ROLLED_BACK, RunStatus.CANCELLED}
    forward = [f"charge r/{visit}/0" for visit in (1, 2, 3)]
    assert world.done == [
        "a r/0", forward[0], "refund r/1/0", forward[1], "refund r/2/0", forward[2], "refund r/3/0", "undo r/0",
    ]  # fmt: skip


async def test_a_child_that_is_completed_is_not_run_again(autojump_clock: MockClock) -> None:
    """What failed is only the taking of its result: that is tried again, with what the child has come to."""
    world = World(confirm_fails=False, take_fails=True)
    work = world.workflow()
    async with MemoryJournal() as journal:
        for call in (partial(work.run, Notes(), run_id="r"), partial(work.retry, "r")):
            with pytest.raises(LookupError, match="no such key"):
                await call(journal=journal)
            assert await statuses(journal) == {"r": RunStatus.FAILED, "r/1": RunStatus.COMPLETED}
        world.take_fails = False
        result = await work.retry("r", journal=journal)
        assert result.data == Notes(["charged", "r/2"])
        assert await statuses(journal) == {"r": RunStatus.COMPLETED, "r/1": RunStatus.COMPLETED}
    assert world.done == ["a r/0", "charge r/1/0"]


class CancelsAtOnce:
    """Is given a run's handle before its first step, and cancels it."""

    def started(self, value: Any = None) -> None:
        """Cancel it."""
        value.cancel()


@pytest.mark.parametrize("how", ["retry and fail", "retry and cancel", "roll back"])
async def test_a_child_that_is_completed_is_undone(autojump_clock: MockClock, how: str) -> None:
    """What it did is the run's to undo, whether the run is tried again before or not."""
    world = World(confirm_fails=False, take_fails=True)
    work = world.workflow()
    async with MemoryJournal() as journal:
        with pytest.raises(LookupError):
            await work.run(Notes(), run_id="r", journal=journal)
        if how == "retry and cancel":
            with pytest.raises(RunCancelled):
                await work.retry("r", journal=journal, task_status=CancelsAtOnce())
            assert set((await statuses(journal)).values()) == {RunStatus.CANCELLED}
        else:
            if how == "retry and fail":
                with pytest.raises(LookupError):
                    await work.retry("r", journal=journal)
            rollback = await work.retry_rollback("r", journal=journal)
            assert [state.name for state, _ in rollback.undone] == ["CHARGE", "A"]
            assert (await statuses(journal))["r"] is RunStatus.ROLLED_BACK
    assert world.done == ["a r/0", "charge r/1/0", "refund r/1/0", "undo r/0"]


async def test_a_child_in_flight_is_undone_by_what_comes_before_it(autojump_clock: MockClock) -> None:
    """A run whose time is over before it has come to its child again undoes what that has done, too."""
    world = World(confirm_fails=False)
    work = world.workflow(timeout=3, on_failure="roll_back")
    async with MemoryJournal() as journal:
        with trio.move_on_after(1):
            await work.run(Notes(), run_id="r", journal=journal)
        await trio.sleep(10)
        with pytest.raises(RunTimeout) as caught:
            await work.resume("r", journal=journal)
        context = failure_context(caught.value)
        assert context is not None
        assert context.rollback is not None
        assert [state.name for state, _ in context.rollback.undone] == ["CHARGE", "A"]
        assert set((await statuses(journal)).values()) == {RunStatus.ROLLED_BACK}
    assert world.done == ["a r/0", "charge r/1/0", "refund r/1/0", "undo r/0"]


async def test_a_child_that_could_not_be_undone_is_told(autojump_clock: MockClock) -> None:
    """A run whose child still has something to be undone is not tried again; the error names what can be done instead."""
    world = World(undo_fails=True)
    work = world.workflow()
    async with MemoryJournal() as journal:
        with pytest.raises(RollbackFailed):
            await work.run(Notes(), run_id="r", journal=journal)
        await block(journal)
        with pytest.raises(RunBlocked, match=r"child 'r/1' could not be undone in full.*workflow\.cancel") as caught:
            await work.retry("r", journal=journal)
        assert caught.value.reason == "child"
        world.undo_fails = False
        await work.cancel("r", journal=journal)
        assert set((await statuses(journal)).values()) == {RunStatus.CANCELLED, RunStatus.ROLLED_BACK}
    assert world.done == ["a r/0", "charge r/1/0", "refund r/1/0", "undo r/0"]


async def block(journal: MemoryJournal) -> None:
    """Have the run stand as one that some code could not go on with."""
    stored = await journal.claim("r")
    assert stored is not None
    position = replace(stored.record.position, status=RunStatus.BLOCKED)
    await journal.commit(Commit(run_id="r", fence=stored.record.fence, position=position, release=True))


async def test_what_led_to_the_state_is_still_there(autojump_clock: MockClock) -> None:
    """A child that is run anew is given what it was given before, such as the branches that led to its state."""
    fails = [True]
    given: list[dict[str, int]] = []
    inner = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], name="inner", data=Notes, defaults=ALONE)

    @inner.compensatable(Pay.CHARGE)
    async def charge() -> tuple[Literal[Pay.CONFIRM], int]:
        return Pay.CONFIRM, 1

    @charge.compensate
    async def refund(receipt: int) -> None: ...

    @inner.task(Pay.CONFIRM)
    async def confirm(ctx: RunContext) -> Literal[Pay.PAID]:
        if fails[0]:
            raise OSError("down")
        return Pay.PAID

    work = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="w", defaults=ALONE, on_failure="hold")

    def data(results: BranchResults[int]) -> Notes:
        given.append(dict(results.successes))
        return Notes()

    async def one() -> int:
        return 1

    work.register_split(Step.A, Split.all({"a": one, "b": one}, Step.PAY))
    work.register_child(Step.PAY, inner, {Pay.PAID: Step.B}, data=data)

    @work.task(Step.B)
    async def b() -> Literal[Step.DONE]:
        return Step.DONE

    async with MemoryJournal() as journal:
        for call in (partial(work.run, run_id="r"), partial(work.retry, "r"), partial(work.retry, "r")):
            with pytest.raises(OSError, match="down"):
                await call(journal=journal)
        fails[0] = False
        await work.retry("r", journal=journal)
        assert not (await journal.load("r")).outcomes
    assert given == [{"a": 1, "b": 1}] * 4
