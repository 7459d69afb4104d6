"""Schedules that a runtime fires."""

from __future__ import annotations

import logging
from datetime import timedelta
from enum import Enum, auto
from typing import Literal

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    Every,
    Manual,
    RunContext,
    RunStatus,
    RuntimeClosed,
    Schedule,
    ScheduleBusy,
    ScheduleNotFound,
    Workflow,
    WorkflowNotFound,
    open_runtime,
)
from cano_trio._clock import EPOCH
from cano_trio.journals import Journal, MemoryJournal


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


class Log:
    """A workflow that takes a second, and when its runs began."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, str]] = []
        self.workflow: Workflow[Step] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="log")

        @self.workflow.task(Step.WORK)
        async def work(ctx: RunContext) -> Literal[Step.DONE]:
            self.begun.append((trio.current_time(), ctx.run_id))
            await trio.sleep(1)
            return Step.DONE


@pytest.fixture(params=["alone", "memory"])
def journal(request: pytest.FixtureRequest) -> Journal | None:
    """None, or a journal."""
    return None if request.param == "alone" else MemoryJournal()


async def test_a_schedule_fires(autojump_clock: MockClock, journal: Journal | None) -> None:
    """Runs begin at once and then so many seconds behind the end of the one before (cano SCH-3); leaving ends it."""
    log = Log()
    async with open_runtime(schedules=[Schedule("s", log.workflow, Every(10))], journal=journal) as runtime:
        await trio.sleep(25)
        assert runtime.schedules.status("s").next_firing == EPOCH + timedelta(seconds=33)
        assert runtime.schedules.status("s").run_count == 3
    assert [at for at, _ in log.begun] == [0, 11, 22]
    assert log.begun[1][1] == "s@2030-01-01T00:00:11Z"
    assert trio.current_time() == 25


async def test_one_that_is_added_and_triggered(autojump_clock: MockClock, journal: Journal | None) -> None:
    """`schedule` adds one while the runtime is open, and `trigger` gives the handle of the run that it fires."""
    log = Log()
    async with open_runtime(workflows=[log.workflow], journal=journal) as runtime:
        await runtime.schedule(Schedule("m", log.workflow, Manual()))
        run = await runtime.trigger("m")
        assert (await run.wait()).state is Step.DONE
        assert trio.current_time() == 1
        with pytest.raises(ScheduleNotFound):
            await runtime.trigger("n")
        with pytest.raises(WorkflowNotFound):
            await runtime.schedule(Schedule("o", Log().workflow, Manual()))
    with pytest.raises(RuntimeClosed):
        await runtime.trigger("m")


async def test_two_runtimes_fire_an_instant_once(autojump_clock: MockClock) -> None:
    """Of two runtimes on one journal with the same schedule, one fires each instant."""
    log = Log()
    first = MemoryJournal()
    second = MemoryJournal(beside=first)
    schedule = Schedule("s", log.workflow, Every(10, fixed_rate=True))
    async with (
        open_runtime(schedules=[schedule], journal=first),
        open_runtime(schedules=[schedule], journal=second),
    ):
        await trio.sleep(45)
    assert [at for at, _ in log.begun] == [10, 20, 30, 40]


async def test_leaving_waits_for_what_was_fired(autojump_clock: MockClock, journal: Journal | None) -> None:
    """A run that a schedule has started is waited for as any other."""
    log = Log()
    async with open_runtime(schedules=[Schedule("s", log.workflow, Every(10))], journal=journal):
        await trio.sleep(0.5)
    assert trio.current_time() == 1
    if journal is not None:
        async with journal:
            (record,) = await journal.schedules()
            assert record.streak == 0
            assert record.runs == ()


@pytest.mark.parametrize("on_unhandled", ["log", "raise"])
async def test_a_run_that_fails_at_once_is_told_of_by_its_schedule_alone(
    on_unhandled: Literal["log", "raise"],
    autojump_clock: MockClock,
    journal: Journal | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line, which names the run and the schedule: it is not one for which nobody waits, however soon it fails."""
    failing: Workflow[Step] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="failing")

    @failing.task(Step.WORK)
    async def fail() -> Literal[Step.DONE]:
        raise TypeError("no such page")

    schedules = [Schedule(f"s{number}", failing, Every(1000, fixed_rate=True)) for number in range(10)]
    with caplog.at_level(logging.ERROR):
        async with open_runtime(schedules=schedules, journal=journal, on_unhandled=on_unhandled):
            await trio.sleep(1500)
    told = sorted(record.getMessage() for record in caplog.records)
    assert len(told) == len(schedules)
    for number, line in enumerate(told):
        assert line.startswith(
            f"run s{number}@2030-01-01T00:16:40Z of schedule s{number} has failed, and it backs off: "
        )
        assert "no such page" in line


async def test_who_carries_nothing_out_fires_nothing(autojump_clock: MockClock) -> None:
    """Schedules are refused by a runtime with `claim=False`, when it is opened and later, and what to do is said."""
    log = Log()
    schedule = Schedule("s", log.workflow, Manual())
    with pytest.raises(ValueError, match="Open the runtime with claim=True"):
        async with open_runtime(schedules=[schedule], journal=MemoryJournal(), claim=False):
            pass
    async with open_runtime(workflows=[log.workflow], journal=MemoryJournal(), claim=False) as runtime:
        with pytest.raises(ValueError, match="Open the runtime with claim=True"):
            await runtime.schedule(schedule)
        assert runtime.schedules.list() == ()


async def test_what_no_code_has_any_more_is_forgotten(autojump_clock: MockClock) -> None:
    """Not while it is fired here, nor while a run of it goes on; then its record is gone, and its runs are not."""
    log = Log()
    journal = MemoryJournal()
    async with open_runtime(schedules=[Schedule("s", log.workflow, Manual())], journal=journal) as runtime:
        run = await runtime.trigger("s")
        with pytest.raises(ValueError, match="'s' is fired here"):
            await runtime.schedules.forget("s")
        runtime.schedules.remove("s")
        with pytest.raises(
            ScheduleBusy, match=f"run '{run.id}' of schedule 's' goes on, and it would be written down again"
        ):
            await runtime.schedules.forget("s")
        await run.wait()
        await trio.testing.wait_all_tasks_blocked()
        await runtime.schedules.forget("s")
        assert await journal.schedules() == ()
        with pytest.raises(ScheduleNotFound):
            await runtime.schedules.forget("s")
        assert (await runtime.get(log.workflow, run.id)).status is RunStatus.COMPLETED
        await runtime.schedule(Schedule("s", log.workflow, Manual()))
        assert runtime.schedules.status("s").run_count == 0


async def test_runs_that_ended_while_nobody_had_the_schedule_keep_it_not(autojump_clock: MockClock) -> None:
    """Its record may tell for ever of a run that goes on: what is written of that run counts."""
    log = Log()
    journal = MemoryJournal()
    with trio.move_on_after(0.5):
        async with open_runtime(schedules=[Schedule("s", log.workflow, Every(100))], journal=journal):
            await trio.sleep_forever()
    async with open_runtime(workflows=[log.workflow], journal=journal) as runtime:
        await trio.sleep(5)
        (record,) = await journal.schedules()
        assert record.runs == (log.begun[0][1],)
        await runtime.schedules.forget("s")
        assert await journal.schedules() == ()
