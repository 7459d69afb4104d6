"""How stepped work goes from cursor to cursor (cano STP-*)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from cano_trio import (
    AttemptFailed,
    AttemptTimeout,
    CircuitBreaker,
    CircuitPolicy,
    DataNotEncodable,
    DataTooLarge,
    IllegalTransition,
    More,
    Progress,
    Retry,
    RetryExhausted,
    RetryScheduled,
    RunContext,
    StepFinished,
    SteppedTask,
    Workflow,
    failure_context,
)
from tests.engine.stepping import cancel_at_every_step

if TYPE_CHECKING:
    from tests.conftest import Recorder


class Step(Enum):
    COPY = auto()
    AGAIN = auto()
    DONE = auto()
    FAILED = auto()


class Count(SteppedTask[Step, int]):
    """Counts to a number; fails with the errors planned for a cursor. Keeps the cursor and the instant of each attempt."""

    retry = Retry.fixed(2, delay=10)

    def __init__(self, to: int = 3, failures: dict[int, list[Exception]] | None = None, **options: object) -> None:
        self.to = to
        self.failures = failures or {}
        self.seen: list[tuple[int | None, float]] = []
        vars(self).update(options)

    async def step(self, cursor: int | None) -> More[int] | Literal[Step.DONE]:
        self.seen.append((cursor, trio.current_time()))
        at = cursor or 0
        if self.failures.get(at):
            raise self.failures[at].pop(0)
        return Step.DONE if at == self.to else More(at + 1)

    @property
    def cursors(self) -> list[int | None]:
        return [cursor for cursor, _ in self.seen]


def workflow(data: Any = None) -> Workflow[Step, Any]:
    return Workflow(Step, initial=Step.COPY, exits=[Step.DONE, Step.FAILED], data=data)


def counting(count: Count, **options: Any) -> Workflow[Step, Any]:
    work = workflow()
    work.register(Step.COPY, count, **options)
    return work


@pytest.mark.parametrize("to, cursors", [(0, [None]), (3, [None, 1, 2, 3])])
async def test_from_cursor_to_cursor(to: int, cursors: list[int | None]) -> None:
    """STP-1: the first step gets None, each other the cursor of the one before, until a state is named."""
    count = Count(to)
    assert await counting(count).orchestrate() is Step.DONE
    assert count.cursors == cursors


async def test_function_form() -> None:
    """STP-1, STP-6: the function form does the same, in memory as well; the function stays what it was."""
    work, seen = workflow(), []

    @work.stepped(Step.COPY)
    async def copy(cursor: str | None) -> More[str] | Literal[Step.DONE]:
        seen.append(cursor)
        return More(f"{cursor or ''}x") if cursor != "xx" else Step.DONE

    assert await work.orchestrate() is Step.DONE
    assert seen == [None, "x", "xx"]
    assert await copy("x") == More("xx")


async def test_each_step_has_all_retries(autojump_clock: MockClock) -> None:
    """STP-3 (and STP-2, which RULINGS drop): a failed step is retried at its own cursor, and each has all the retries."""
    count = Count(2, {0: [OSError(), OSError()], 1: [OSError(), OSError()]})
    assert await counting(count).orchestrate() is Step.DONE
    assert count.seen == [(None, 0), (None, 10), (None, 20), (1, 20), (1, 30), (1, 40), (2, 40)]


async def test_step_that_fails_for_good(autojump_clock: MockClock) -> None:
    """STP-3, RET-7: a step that fails at every attempt fails the state, telling its own attempts and nobody else's."""
    count = Count(9, {0: [OSError(), OSError()], 1: [ValueError("bad row")]}, retry_on=OSError)
    with pytest.raises(ValueError, match="bad row") as caught:
        await counting(count).orchestrate()
    assert count.cursors == [None, None, None, 1]
    context = failure_context(caught.value)
    assert context is not None
    assert context.attempts == 1


async def test_exhausted_step(autojump_clock: MockClock) -> None:
    """RET-7: a step that has used up its retries ends in RetryExhausted, from its last failure."""
    last = OSError("last")
    count = Count(2, {1: [OSError(), OSError(), last]})
    with pytest.raises(RetryExhausted) as caught:
        await counting(count).orchestrate()
    assert (caught.value.attempts, caught.value.__cause__, count.cursors) == (3, last, [None, 1, 1, 1])


async def test_each_attempt_at_a_step_has_its_own_timeout(autojump_clock: MockClock) -> None:
    """STP-3: the attempt_timeout is for one attempt at one step; together they may take any time."""

    class Slow(Count):
        async def step(self, cursor: int | None) -> More[int] | Literal[Step.DONE]:
            result = await super().step(cursor)
            await trio.sleep(60 if self.cursors == [None, 1] else 4)
            return result

    count = Slow(3, attempt_timeout=5)
    assert await counting(count).orchestrate() is Step.DONE
    assert count.seen == [(None, 0), (1, 4), (1, 19), (2, 23), (3, 27)]
    with pytest.raises(AttemptTimeout):
        await counting(Slow(3, attempt_timeout=5, retry=Retry.none())).orchestrate()


async def test_on_error_after_steps(autojump_clock: MockClock) -> None:
    """RULINGS 3.3: a step's failure leads where on_error says."""
    count = Count(2, {1: [OSError()]}, retry=Retry.none())
    assert await counting(count, on_error={OSError: Step.FAILED}).orchestrate() is Step.FAILED


async def test_retry_gets_a_cursor_of_its_own(autojump_clock: MockClock) -> None:
    """STP-3: every retry gets the same cursor, whatever the failed attempt did to it."""
    work, seen = workflow(), []

    @work.stepped(Step.COPY, retry=Retry.fixed(2, delay=0))
    async def copy(cursor: list[int] | None) -> More[list[int]] | Literal[Step.DONE]:
        if cursor is None:
            return More([1, 2, 3])
        seen.append(list(cursor))
        cursor.clear()
        if len(seen) < 3:
            raise OSError
        return Step.DONE

    await work.orchestrate()
    assert seen == [[1, 2, 3]] * 3


async def test_cursor_is_what_it_was_when_it_was_returned() -> None:
    """STP-4: a cursor is written down when the step ends; what is done to the object later changes nothing."""
    work, kept, seen = workflow(), [1], []

    @work.stepped(Step.COPY)
    async def copy(cursor: list[int] | None) -> More[list[int]] | Literal[Step.DONE]:
        if cursor is None:
            return More(kept)
        kept.append(2)
        seen.append(cursor)
        return Step.DONE

    await work.orchestrate()
    assert seen == [[1]]


@dataclass
class Place:
    table: str
    row: int = 0
    file: Path = Path("a")
    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("cursor", [Place("users", 3), Place("", -1, Path("/x/y"))])
async def test_cursor_may_be_a_value_of_fields(cursor: Place) -> None:
    """STP-4: a cursor comes back as the type that the annotation names."""
    work, seen = workflow(), []

    @work.stepped(Step.COPY)
    async def copy(at: Place | None) -> More[Place] | Literal[Step.DONE]:
        seen.append(at)
        return More(cursor) if at is None else Step.DONE

    await work.orchestrate()
    assert seen == [None, cursor]


async def test_cursors_of_several_types() -> None:
    """A step may go on at cursors of several types, and at None again."""
    work = workflow()
    seen: list[object] = []

    @work.stepped(Step.COPY)
    async def copy(at: int | str | None) -> More[int] | More[str] | More[None] | Literal[Step.DONE]:
        seen.append(at)
        answers: list[Any] = [More(1), More("one"), More(None), Step.DONE]
        return answers[len(seen) - 1]  # type: ignore[no-any-return]

    await work.orchestrate()
    assert seen == [None, 1, "one", None]


async def test_cursor_whose_value_can_not_be_written() -> None:
    """STP-11, as changed: a value that JSON would lose fails the state at its step, by name, and is not tried again."""
    for value, path in ({"a": 1j}, "cursor['a']"), ({"a": float("nan")}, "cursor['a']"), ({"a": (1,)}, "cursor['a']"):
        work, calls = workflow(), []

        @work.stepped(Step.COPY, retry=Retry.fixed(3, delay=0))
        async def copy(cursor: dict[str, Any] | None) -> More[dict[str, Any]] | Literal[Step.DONE]:
            calls.append(1)  # noqa: B023
            return More(value)  # noqa: B023

        with pytest.raises(DataNotEncodable) as caught:
            await work.orchestrate()
        assert (caught.value.path, len(calls)) == (path, 1)


async def test_cursor_that_is_too_large() -> None:
    """A cursor is no place for the work itself: above a megabyte it is refused as what it is."""
    work = workflow()

    @work.stepped(Step.COPY)
    async def copy(cursor: str | None) -> More[str] | Literal[Step.DONE]:
        return More("x" * 1_100_000)

    with pytest.raises(DataTooLarge, match=r"cursor: 1,100,002 bytes encoded are more than the 1,048,576 allowed"):
        await work.orchestrate()


@pytest.mark.parametrize("wrong", [More, Step.FAILED, None, (Step.DONE, 1)])
async def test_what_is_neither_more_nor_a_state(wrong: Any) -> None:
    """STP-9: a step that returns anything but `More` and its states fails the run, and is not tried again."""
    work, calls = workflow(), []

    @work.stepped(Step.COPY, on_error={Exception: Step.FAILED})
    async def copy(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        calls.append(cursor)
        return More(1) if cursor is None else wrong

    with pytest.raises(IllegalTransition):
        await work.orchestrate()
    assert calls == [None, 1]


async def test_events(autojump_clock: MockClock, recorder: Recorder) -> None:
    """STP-12, STP-16: entering and leaving are told once for the state; each finished step and each retry by itself."""
    error = OSError("slip")
    await counting(Count(2, {1: [error]}, name="copy")).orchestrate(observers=[recorder])
    assert recorder.kinds() == [
        "RunStarted", "StateEntered", "StepFinished", "AttemptFailed", "RetryScheduled", "AttemptStarted",
        "StepFinished", "TaskSucceeded", "StateEntered", "RunEnded",
    ]  # fmt: skip
    assert [event.step for event in recorder.of(StepFinished)] == [1, 2]
    assert [(event.task, event.attempt, event.error) for event in recorder.of(AttemptFailed)] == [("copy", 1, error)]
    assert [event.delay for event in recorder.of(RetryScheduled)] == [10]


async def test_progress_is_the_users(recorder: Recorder) -> None:
    """What a step says of its progress is all the progress there is: the number of steps does not come between."""
    work = workflow()

    @work.stepped(Step.COPY)
    async def copy(cursor: int | None, ctx: RunContext) -> More[int] | Literal[Step.DONE]:
        at = cursor or 0
        ctx.progress(at, 300)
        return More(at + 100) if at < 300 else Step.DONE

    await work.orchestrate(observers=[recorder])
    assert [(event.done, event.total) for event in recorder.of(Progress)] == [
        (0, 300),
        (100, 300),
        (200, 300),
        (300, 300),
    ]


async def test_steps_have_keys_of_their_own(autojump_clock: MockClock) -> None:
    """RULINGS 5: a step's idempotency key ends with its number; its retries share it."""
    work, keys = workflow(), []

    @work.stepped(Step.COPY, retry=Retry.fixed(1, delay=0))
    async def copy(cursor: int | None, ctx: RunContext) -> More[int] | Literal[Step.DONE]:
        keys.append((ctx.idempotency_key, ctx.attempt))
        if len(keys) == 2:
            raise OSError
        return More(1) if len(keys) < 4 else Step.DONE

    await work.orchestrate(run_id="r")
    assert keys == [("r/0/s:0", 1), ("r/0/s:1", 1), ("r/0/s:1", 2), ("r/0/s:2", 1)]


async def test_each_visit_begins_without_a_cursor() -> None:
    """STP-7, STP-15: a later visit to the state starts from None, not from the cursor at which the last one ended."""
    work, seen = workflow(), []

    @work.stepped(Step.COPY)
    async def copy(cursor: int | None) -> More[int] | Literal[Step.AGAIN]:
        seen.append(cursor)
        return More(1) if cursor is None else Step.AGAIN

    @work.task(Step.AGAIN)
    async def again() -> Literal[Step.COPY, Step.DONE]:
        return Step.COPY if len(seen) == 2 else Step.DONE

    await work.orchestrate()
    assert seen == [None, 1, None, 1]


async def test_cancel_during_a_step(autojump_clock: MockClock) -> None:
    """STP-13: a cancel ends the step in work at once, and no other begins."""
    seen = []
    work = workflow()

    @work.stepped(Step.COPY)
    async def copy(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        seen.append(cursor)
        await trio.sleep(2)
        return More(len(seen))

    with trio.move_on_after(5) as scope:
        await work.orchestrate()
    assert scope.cancelled_caught
    assert (trio.current_time(), seen) == (5, [None, 1, 2])


async def test_steps_without_awaits_let_others_run() -> None:
    """G-POL-1's like: between steps that never wait a cancel is felt, and others get their turn."""
    work = workflow()
    steps = 0

    @work.stepped(Step.COPY)
    async def copy(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        nonlocal steps
        steps += 1
        return More(steps)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.orchestrate)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert 10 < steps <= 64 * 21


async def test_cancel_is_felt_at_the_next_step() -> None:
    """STP-13: a cancel that comes while a step works without awaits is felt before the next."""
    work = workflow()
    steps = 0

    @work.stepped(Step.COPY)
    async def copy(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        nonlocal steps
        steps += 1
        if steps == 10:
            scope.cancel()
        return More(steps)

    with trio.CancelScope() as scope:
        await work.orchestrate()
    assert steps == 10


@dataclass
class Migration:
    rows: list[str] = field(default_factory=list)


def migrating(failing: Callable[[int], bool], **options: Any) -> Workflow[Step, Any]:
    """Writes a row per step, to three; a step that fails has written before."""
    work = workflow(Migration)

    @work.stepped(Step.COPY, **options)
    async def migrate(cursor: int | None, migration: Migration) -> More[int] | Literal[Step.DONE]:
        at = cursor or 0
        migration.rows.append(f"row {at}")
        if failing(at):
            raise OSError
        return More(at + 1) if at < 2 else Step.DONE

    return work


async def test_steps_write_the_data(autojump_clock: MockClock) -> None:
    """RULINGS 5: what a step wrote is kept with its cursor; what a failed attempt wrote is dropped."""
    failures = [1, 2]

    def failing(at: int) -> bool:
        return at in failures and not failures.remove(at)  # type: ignore[func-returns-value]

    result = await migrating(failing).run(Migration())
    assert result.data.rows == ["row 0", "row 1", "row 2"]
    assert failures == []


async def test_finished_steps_stay_when_one_fails() -> None:
    """RULINGS 5: what finished steps wrote stays when a later one fails for good and on_error leads on."""
    work = migrating(lambda at: at == 2, retry=Retry.none(), on_error={OSError: Step.FAILED})
    result = await work.run(Migration())
    assert (result.state, result.data.rows) == (Step.FAILED, ["row 0", "row 1"])


class World:
    """Stepped work that holds a token while it steps, behind a breaker."""

    def __init__(self) -> None:
        self.guard = CircuitBreaker(CircuitPolicy(failure_threshold=9), name="table")
        self.limiter = trio.CapacityLimiter(1)
        self.steps: list[int] = []

    async def run(self) -> None:
        work = workflow()

        @work.stepped(Step.COPY, retry=Retry.fixed(1, delay=1), attempt_timeout=9, breaker=self.guard)
        async def copy(cursor: int | None) -> More[int] | Literal[Step.DONE]:
            at = cursor or 0
            async with self.limiter:
                await trio.sleep(1)
                self.steps.append(at)
                if self.steps == [0, 1]:
                    raise OSError
            return More(at + 1) if at < 2 else Step.DONE

        await work.orchestrate()

    def is_clean(self) -> None:
        assert self.limiter.borrowed_tokens == 0
        calls = self.guard.statistics()
        assert calls.acquired == calls.successes + calls.failures + calls.released
        assert self.steps == [0, 1, 1, 2][: len(self.steps)]


def test_cancel_at_every_step() -> None:
    """STP-13: wherever a cancel finds it, stepped work leaves no task, no token and no permit behind."""
    assert cancel_at_every_step(World, World.run, World.is_clean) > 15


@given(failures=st.lists(st.integers(0, 3), max_size=8), retries=st.integers(0, 3))
def test_stepped_law(failures: list[int], retries: int) -> None:
    """STP-1, STP-3: each step is tried at its own cursor up to its own retries; all cursors are met in order."""
    failing = failures[:]

    async def step(cursor: int | None) -> More[int] | Literal[Step.DONE]:
        seen.append(cursor)
        at = cursor or 0
        if at in failing:
            failing.remove(at)
            raise OSError
        return More(at + 1) if at < 3 else Step.DONE

    expected: list[int | None] = []
    for at in range(4):
        expected += [at or None] * min(failures.count(at) + 1, retries + 1)
        if failures.count(at) > retries:
            break
    seen: list[int | None] = []
    work = workflow()
    work.stepped(Step.COPY, retry=Retry.fixed(retries, delay=1), on_error={Exception: Step.FAILED})(step)
    state = trio.run(work.orchestrate, clock=MockClock(autojump_threshold=0))
    assert seen == expected
    assert state is (Step.FAILED if any(failures.count(at) > retries for at in range(4)) else Step.DONE)
