"""What becomes of a schedule, decided without a clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cano_trio import Backoff, Cron, Every, Manual, Schedule, ScheduleState, Workflow
from cano_trio._journal.schedule_record import ScheduleRecord
from cano_trio._runtime.schedule_state import (
    Fire,
    Move,
    Outcome,
    Wait,
    begun,
    decide,
    fired,
    instant_of,
    next_firing,
    not_started,
    over,
    paused,
    reset,
    resumed,
    run_id_of,
    shifted,
    taken_up,
    triggered,
)
from cano_trio._runtime.schedule_status import state_of, status_of, status_written

Step = Enum("Step", "WORK DONE")
workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="plain")

START = datetime(2030, 1, 1, tzinfo=UTC)
EXACT = Backoff(base=3, maximum=20, jitter=0)
MINUTELY = Every(60, fixed_rate=True)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def schedule(trigger: Every | Cron | Manual = MINUTELY, **options: Any) -> Schedule[None]:
    return Schedule("s", workflow, trigger, **{"backoff": EXACT, **options})


def carry_out(
    asked: Schedule[None], record: ScheduleRecord, now: datetime
) -> tuple[ScheduleRecord, list[datetime], Wait]:
    """Do all that is decided until there is nothing to do; what was fired, and the wait that is left."""
    instants: list[datetime] = []
    while True:
        decision = decide(asked, record, now)
        match decision:
            case Wait():
                return record, instants, decision
            case Move():
                assert decision.record != record  # or it would go round for ever
                record = decision.record
            case Fire(instant):
                record = fired(record, instant, run_id_of(asked, instant), now)
                instants.append(instant)


def ended(asked: Schedule[None], record: ScheduleRecord, outcome: Outcome, now: float) -> ScheduleRecord:
    """After the oldest of its runs was over."""
    return over(asked, record, record.runs[0], outcome, at(now), f"{outcome}!")


# -- one thing at a time


def test_a_fixed_delay_fires_at_once_and_then_after_each_run() -> None:
    """SCH-3: it fires as soon as it is there, and then an interval after the end of the run, however long that took."""
    asked = schedule(Every(300))
    record, instants, wait = carry_out(asked, begun(asked, START), START)
    assert (instants, wait) == ([START], Wait(None))
    record = ended(asked, record, "succeeded", 1000)
    record, instants, wait = carry_out(asked, record, at(1000))
    assert (instants, wait) == ([], Wait(at(1300)))
    assert carry_out(asked, record, at(1300))[1] == [at(1300)]
    assert carry_out(asked, record, at(9999))[1] == [at(1300)]  # late, but never missed


def test_a_fixed_delay_waits_for_its_start() -> None:
    """With a start in the future it fires then; with one in the past, at once."""
    later, earlier = schedule(Every(300, start=at(500))), schedule(Every(300, start=at(-500)))
    assert carry_out(later, begun(later, START), START)[1:] == ([], Wait(at(500)))
    assert carry_out(earlier, begun(earlier, START), START)[1] == [START]


def test_a_fixed_rate_does_not_fire_at_once() -> None:
    """G-SCH-3: at a fixed rate the first instant is the next of the grid, and the end of a run moves none."""
    asked = schedule()
    record, instants, wait = carry_out(asked, begun(asked, at(10)), at(10))
    assert (instants, wait) == ([], Wait(at(60)))
    record, instants, _ = carry_out(asked, record, at(60))
    assert instants == [at(60)]
    assert carry_out(asked, ended(asked, record, "succeeded", 70), at(70))[2] == Wait(at(120))


def test_a_manual_one_waits() -> None:
    """SCH-5: nothing ever comes by itself; what is triggered is counted as it starts (SCH-6)."""
    asked = schedule(Manual())
    record = begun(asked, START)
    assert decide(asked, record, at(1e9)) == Wait(None)
    record = triggered(record, at(5), "s#1")
    assert (record.run_count, record.runs, record.last, record.passed) == (1, ("s#1",), at(5).timestamp(), record.since)


@pytest.mark.parametrize("trigger", [Every(60), MINUTELY, Manual()])
def test_outcomes(trigger: Every | Manual) -> None:
    """SCH-8: success sets all back; a cancel changes neither streak nor back-off; a failure counts one more."""
    asked = schedule(trigger)
    record = triggered(begun(asked, START), START, "r")
    failed = over(asked, record, "r", "failed", at(1), "ValueError: no")
    assert (failed.streak, failed.eligible_at, failed.error) == (1, at(4).timestamp(), "ValueError: no")
    assert state_of(failed, at(3.9)) is ScheduleState.BACKING_OFF
    assert state_of(failed, at(4)) is ScheduleState.IDLE
    again = triggered(failed, at(2), "r")
    assert over(asked, again, "r", "cancelled", at(3)) == replace(again, runs=(), ended_at=at(3).timestamp())
    assert over(asked, again, "r", "failed", at(3)).eligible_at == at(9).timestamp()  # twice as long
    well = over(asked, again, "r", "succeeded", at(3))
    assert (well.streak, well.eligible_at, well.error, well.runs) == (0, None, None, ())
    assert over(asked, well, "r", "failed", at(3)) is well  # it is counted already


def test_the_backoff_of_the_seed() -> None:
    """SCH-9: 1 s, doubled up to 300 s, spread by a tenth, and never beyond the most."""
    asked = Schedule("s", workflow, Manual())
    record = begun(asked, START)
    for streak in range(1, 15):
        record = over(asked, triggered(record, START, "r"), "r", "failed", START)
        exact = min(2.0 ** (streak - 1), 300)
        assert record.eligible_at is not None
        assert exact * 0.9 <= record.eligible_at - START.timestamp() <= min(exact * 1.1, 300)
    assert not record.tripped


def test_instants_within_a_backoff_are_passed_over() -> None:
    """SCH-4, G-SCH-8: nothing fires before the back-off is over, also of a failure that was triggered meanwhile."""
    asked = schedule(Every(1, fixed_rate=True))
    record, *_ = carry_out(asked, begun(asked, START), at(1))
    record = ended(asked, record, "failed", 1.5)
    assert carry_out(asked, record, at(1.5))[2] == Wait(at(5))  # at 4.5 it may fire again
    record = over(asked, triggered(record, at(2), "t"), "t", "failed", at(2.5))
    assert carry_out(asked, record, at(5))[1:] == ([], Wait(at(9)))
    assert carry_out(asked, record, at(9))[1] == [at(9)]


def test_a_fixed_delay_backs_off() -> None:
    """SCH-3: after a failure it waits for the longer of the interval and the back-off."""
    for seconds, due in ((1, 13), (5, 15)):
        asked = schedule(Every(seconds))
        record = ended(asked, carry_out(asked, begun(asked, START), START)[0], "failed", 10)
        assert carry_out(asked, record, at(10))[2] == Wait(at(due))


def test_it_trips_and_is_reset() -> None:
    """SCH-8, SCH-10: so many failures in a row trip it; a reset sets all back, and what came meanwhile is passed over."""
    asked = schedule(trip_after=2, overlap="queue")
    record, *_ = carry_out(asked, begun(asked, START), at(60))
    record = ended(asked, record, "failed", 61)
    record, *_ = carry_out(asked, record, at(120))
    record, *_ = carry_out(asked, record, at(180))
    assert record.queued == (at(180).timestamp(),)
    record = ended(asked, record, "failed", 181)
    assert (record.tripped, record.streak, record.eligible_at, record.queued) == (True, 2, None, ())
    assert state_of(record, at(300)) is ScheduleState.TRIPPED
    assert carry_out(asked, record, at(300))[1:] == ([], Wait(None))
    record = reset(record, at(310))
    assert (record.tripped, record.streak, record.error) == (False, 0, None)
    assert carry_out(asked, record, at(310))[1:] == ([], Wait(at(360)))


def test_a_reset_while_a_run_goes_on() -> None:
    """SCH-10: the run goes on, and if it fails, that is the first failure."""
    asked = schedule(trip_after=2)
    record = over(asked, triggered(begun(asked, START), START, "r"), "r", "failed", START)
    record = reset(triggered(record, START, "r"), at(1))
    assert state_of(record, at(1)) is ScheduleState.RUNNING
    assert over(asked, record, "r", "failed", at(2)).streak == 1


def test_a_pause() -> None:
    """While it is paused nothing fires, and the run that goes on does; what came meanwhile is passed over."""
    asked = schedule()
    record, *_ = carry_out(asked, begun(asked, START), at(60))
    record = paused(record)
    assert state_of(record, at(70)) is ScheduleState.RUNNING
    assert status_of(asked, record, at(70)).paused
    record = ended(asked, record, "succeeded", 80)
    assert state_of(record, at(80)) is ScheduleState.PAUSED
    assert carry_out(asked, record, at(500))[1:] == ([], Wait(None))
    assert carry_out(asked, resumed(record, at(500)), at(500))[1:] == ([], Wait(at(540)))


def test_a_resume_of_what_is_not_paused_changes_nothing() -> None:
    """Else it would pass over what is still to be made up for."""
    asked = schedule(misfire="run_all")
    record = begun(asked, START)
    assert resumed(record, at(600)) is record


OVERLAPS: dict[str, tuple[list[float], list[float]]] = {
    # what is fired up to 200 s while a run goes on, and then when that is over
    "skip": ([60], []),
    "queue": ([60], [120]),
    "cancel_previous": ([60], [180]),
    "allow": ([60, 120, 180], []),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_overlaps(overlap: str) -> None:
    """G-SCH-11: an instant at which a run goes on is passed over, queued, fired after a cancel, or fired beside it."""
    asked = schedule(overlap=overlap)
    record, total = begun(asked, START), []
    for now in (60, 120, 180):
        record, instants, wait = carry_out(asked, record, at(now))
        total += instants
        assert wait == Wait(at(now + 60), cancels=overlap == "cancel_previous" and now > 60)
    record, later, _ = carry_out(asked, ended(asked, record, "succeeded", 200), at(200))
    assert (total, later) == tuple([at(one) for one in some] for some in OVERLAPS[overlap])


def test_a_queue_takes_as_many_as_it_may() -> None:
    """The first that wait are kept; one more is passed over, and fires neither then nor later."""
    asked = schedule(overlap="queue", queue_limit=2)
    record = begun(asked, START)
    for now in (60, 120, 180, 240):
        record, *_ = carry_out(asked, record, at(now))
    instants: list[datetime] = []
    while record.runs:
        record, some, _ = carry_out(asked, ended(asked, record, "succeeded", 250), at(250))
        instants += some
    assert instants == [at(120), at(180)]


def test_what_is_queued_is_promised() -> None:
    """It waits out a back-off and a pause, however long, and is no misfire for that."""
    asked = schedule(overlap="queue")
    record = begun(asked, START)
    for now in (60, 120):
        record, *_ = carry_out(asked, record, at(now))
    record = paused(ended(asked, record, "failed", 130))
    assert carry_out(asked, record, at(500))[1] == []
    record = resumed(record, at(500))
    assert carry_out(asked, record, at(500))[1] == [at(120)]


MISFIRES: dict[str, list[float]] = {"skip": [600], "run_once": [540, 600], "run_all": [n * 60.0 for n in range(1, 11)]}


@pytest.mark.parametrize("misfire", MISFIRES)
@pytest.mark.parametrize("overlap", ["skip", "cancel_previous", "allow"])
def test_misfires(misfire: str, overlap: str) -> None:
    """G-SCH-3: what was missed is passed over, made up for by one run, or by all in order; a minute late is not missed."""
    asked = schedule(misfire=misfire, overlap=overlap)
    record, instants, _ = carry_out(asked, begun(asked, START), at(610))
    while record.runs:
        record, some, _ = carry_out(asked, ended(asked, record, "succeeded", 610), at(610))
        instants += some
    assert instants == [at(one) for one in MISFIRES[misfire]]


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_previous"])
def test_a_misfire_waits_for_the_run_that_goes_on(overlap: str) -> None:
    """What is to be made up for is not lost to an overlap: the run of an earlier process may still go on."""
    asked = schedule(misfire="run_once", overlap=overlap)
    record, *_ = carry_out(asked, begun(asked, START), at(60))
    record, instants, wait = carry_out(asked, record, at(710))
    assert (instants, wait) == ([], Wait(None))
    assert carry_out(asked, ended(asked, record, "succeeded", 730), at(730))[1] == [at(660)]


def test_what_was_late_does_not_overlap() -> None:
    """An instant that came before the run that goes on was started has its turn when that is over."""
    asked = schedule(Every(10, fixed_rate=True))
    record, instants, wait = carry_out(asked, begun(asked, START), at(35))  # something held it up
    assert (instants, wait) == ([at(10)], Wait(None))
    record, instants, wait = carry_out(asked, ended(asked, record, "succeeded", 36), at(36))
    assert (instants, wait) == ([at(20)], Wait(None))
    assert carry_out(asked, ended(asked, record, "succeeded", 37), at(37))[1] == [at(30)]


def test_millions_of_misfires_take_no_time() -> None:
    """After decades the last instant is found without counting those before it."""
    for misfire, expected in (("skip", [10**9 - 40]), ("run_once", [10**9 - 100])):
        asked = schedule(Every(60, fixed_rate=True), misfire=misfire)
        assert carry_out(asked, begun(asked, START), at(10**9))[1] == [at(one) for one in expected]


def test_another_trigger_begins_anew() -> None:
    """Instants that another trigger would have had were never missed; streak and pause stay."""
    old = schedule(Cron("0 * * * *"), misfire="run_all")
    record = replace(begun(old, START), streak=2, paused=True)
    assert taken_up(old, record, at(10_000)) == record
    new = schedule(MINUTELY, misfire="run_all")
    record = taken_up(new, record, at(10_000))
    assert (record.trigger, record.passed, record.streak, record.paused) == (
        str(MINUTELY),
        at(10_000).timestamp(),
        2,
        True,
    )


def test_a_clock_that_was_set_back_while_nobody_looked() -> None:
    """An end that lies in the future was now, and a back-off is no longer than it could be."""
    asked = schedule(Every(300))
    record = replace(begun(asked, at(3600)), ended_at=at(3600).timestamp(), eligible_at=at(9000).timestamp())
    record = taken_up(asked, record, START)
    assert (record.ended_at, record.eligible_at) == (START.timestamp(), at(20).timestamp())
    assert carry_out(asked, record, START)[2] == Wait(at(300))


def test_what_is_counted_is_not_changed_by_a_clock() -> None:
    """After the clock was set, delays and back-offs have as long to go as before."""
    asked = schedule(Every(300))
    record = ended(asked, carry_out(asked, begun(asked, START), START)[0], "failed", 10)
    for jump in (3600, -3600):
        assert carry_out(asked, shifted(record, jump), at(11 + jump))[2] == Wait(at(310 + jump))


def test_a_future_that_was_none() -> None:
    """What a wrong clock has passed over in the future comes again after a reset."""
    asked = schedule()
    record = replace(begun(asked, START), passed=at(10**9).timestamp())
    assert next_firing(asked, record, START) == at(10**9 + 20)
    assert next_firing(asked, reset(record, at(30)), at(30)) == at(60)


def test_what_could_not_be_started_is_a_failure() -> None:
    """Its instant is passed over, and it counts as a run that has failed and was over at once."""
    asked = schedule(Every(2))
    record = not_started(asked, begun(asked, START), START, START, "KeyError: 'x'")
    assert (record.run_count, record.streak, record.error) == (0, 1, "KeyError: 'x'")
    assert carry_out(asked, record, START)[2] == Wait(at(3))


def test_jitter_is_the_same_wherever_it_is_drawn() -> None:
    """Jitter puts a firing off by up to so much, by its name and instant, and leaves the instant as it is."""
    asked = schedule(Every(60, fixed_rate=True, jitter=50))
    delays = set()
    record = begun(asked, START)
    for now in range(60, 1260, 60):
        wait = carry_out(asked, record, at(now))[2]
        assert wait.until is not None
        assert at(now) < wait.until < at(now + 50)
        assert carry_out(asked, record, at(now))[2] == wait
        delays.add(wait.until - at(now))
        record, instants, _ = carry_out(asked, record, wait.until)
        assert instants == [at(now)]
        record = over(asked, record, record.runs[0], "succeeded", wait.until)
    assert len(delays) == 20
    other = attrs.evolve(asked, name="other")  # type: ignore[misc]
    assert carry_out(other, begun(other, START), at(60))[2] != carry_out(asked, begun(asked, START), at(60))[2]


def test_status() -> None:
    """SCH-17: all that is known, with instants as the trigger's clocks show them."""
    asked = schedule(Cron("0 3 * * *", "Europe/Berlin"))
    status = status_of(asked, begun(asked, START), START)
    assert str(status.next_firing) == "2030-01-01 03:00:00+01:00"
    assert (status.name, status.workflow, status.trigger) == ("s", "plain", "cron '0 3 * * *' in Europe/Berlin")
    assert (status.state, status.last_firing, status.runs, status.run_count) == (ScheduleState.IDLE, None, (), 0)
    record, *_ = carry_out(asked, begun(asked, START), at(2 * 3600))
    status = status_of(asked, record, at(2 * 3600))
    assert (status.state, status.runs) == (ScheduleState.RUNNING, ("s@2030-01-01T02:00:00Z",))
    assert str(status.last_firing) == "2030-01-01 03:00:00+01:00"
    assert str(status.next_firing) == "2030-01-02 03:00:00+01:00"


# -- anything in any order


@attrs.define
class Naive:
    """What a person with a watch and a sheet of paper would do, second by second."""

    period: int
    overlap: str
    queue_limit: int
    trip_after: int | None
    running: list[int] = attrs.Factory(list)
    waiting: list[int] = attrs.Factory(list)
    fired: list[int] = attrs.Factory(list)
    streak: int = 0
    eligible: int = 0
    is_tripped: bool = False
    is_paused: bool = False

    def second(self, now: int) -> None:
        self.look_at_queue(now)
        if now % self.period == 0 and not self.is_paused and not self.is_tripped and now >= self.eligible:
            if not self.running or self.overlap == "allow":
                self.fire(now)
            elif self.overlap == "queue" and len(self.waiting) < self.queue_limit:
                self.waiting.append(now)
            elif self.overlap == "cancel_previous":
                self.waiting = [now]

    def look_at_queue(self, now: int) -> None:
        ready = not self.is_paused and not self.is_tripped and not self.running and now >= self.eligible
        if self.waiting and ready:
            self.fire(self.waiting.pop(0))

    def fire(self, instant: int) -> None:
        self.running.append(instant)
        self.fired.append(instant)

    def end(self, outcome: str, now: int) -> None:
        self.running.pop(0)
        if outcome == "succeeded":
            self.streak = self.eligible = 0
        if outcome == "failed":
            self.streak += 1
            self.eligible = now + min(3 * 2 ** (self.streak - 1), 20)
            if self.trip_after is not None and self.streak >= self.trip_after:
                self.is_tripped, self.eligible, self.waiting = True, 0, []
        self.look_at_queue(now)

    def reset(self, now: int) -> None:
        self.streak = self.eligible = 0
        self.is_tripped = False
        self.look_at_queue(now)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self, now: int) -> None:
        self.is_paused = False
        self.look_at_queue(now)


ACTS = st.sampled_from(["succeeded", "failed", "failed", "cancelled", "pause", "resume", "reset", "pass", "pass"])


@settings(max_examples=300)
@given(
    st.integers(1, 9),
    st.sampled_from(["skip", "queue", "cancel_previous", "allow"]),
    st.integers(1, 3),
    st.none() | st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 12), ACTS), max_size=30),
)
def test_it_does_what_a_person_with_a_watch_would_do(
    period: int, overlap: str, queue_limit: int, trip_after: int | None, acts: Iterable[tuple[int, str]]
) -> None:
    """For any outcomes, pauses and resets at any time: the same firings, and a wait that is announced is kept."""
    asked = schedule(
        Every(period, fixed_rate=True, start=START), overlap=overlap, queue_limit=queue_limit, trip_after=trip_after
    )
    naive = Naive(period, overlap, queue_limit, trip_after)
    record, now, instants = begun(asked, START), 0, []
    wait = decide(asked, record, START)

    def look() -> None:
        nonlocal record, wait
        record, some, wait = carry_out(asked, record, at(now))
        instants.extend(some)

    for seconds, act in acts:
        for _ in range(seconds):
            now += 1
            if isinstance(wait, Wait) and (wait.until is None or wait.until > at(now)):
                assert decide(asked, record, at(now)) == wait
            naive.second(now)
            look()
        if act in {"succeeded", "failed", "cancelled"}:
            if naive.running:
                naive.end(act, now)
                record = ended(asked, record, act, now)  # type: ignore[arg-type]
        elif act == "pause":
            naive.pause()
            record = paused(record)
        elif act == "resume":
            naive.resume(now)
            record = resumed(record, at(now))
        elif act == "reset":
            naive.reset(now)
            record = reset(record, at(now))
        look()
        assert instants == [at(one) for one in naive.fired]
        assert (record.streak, record.tripped, record.run_count) == (naive.streak, naive.is_tripped, len(naive.fired))
        assert [instant_of(one) for one in record.queued] == [at(one) for one in naive.waiting]
        assert record.runs == tuple(run_id_of(asked, at(one)) for one in naive.running)
        assert record.eligible_at == (at(naive.eligible).timestamp() if naive.eligible else None)


@given(
    st.integers(1, 100),
    st.sampled_from(["skip", "run_once", "run_all"]),
    st.lists(st.integers(1, 500), min_size=1, max_size=5),
)
def test_whatever_was_missed_is_fired_by_its_policy(period: int, misfire: str, looks: list[int]) -> None:
    """Looked at again and again after any time: instants come in order, none twice, and of those missed the right ones."""
    asked = schedule(Every(period, fixed_rate=True, start=START), misfire=misfire)
    record, now, earlier, instants = begun(asked, START), 0, 0, []
    for seconds in looks:
        now += seconds
        came = [one for one in range(earlier + 1, now + 1) if one % period == 0]
        fresh = [one for one in came if one >= now - 60]
        missed = came[: len(came) - len(fresh)]
        expected = {"skip": fresh, "run_once": missed[-1:] + fresh, "run_all": came}[misfire]
        found = []
        while True:
            record, some, _ = carry_out(asked, record, at(now))
            found += some
            if not record.runs:
                break
            # A run that takes no time: nothing overlaps it.
            record = replace(ended(asked, record, "succeeded", now))
            record = replace(record, passed=some[-1].timestamp())
        assert found == [at(one) for one in expected]
        instants += found
        earlier = now
    assert all(one < following for one, following in pairwise(instants))


@pytest.mark.parametrize(
    "trigger",
    [
        Every(100),
        Every(100, start=at(500)),
        Every(0.125, fixed_rate=True),
        Every(7200, fixed_rate=True, start=datetime(2029, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=2)))),
        Cron("*/15 * * * *"),
        Cron("30 2 * * *", "Europe/Berlin"),
        Cron("1,2 3 * JAN MON#1", "Asia/Tokyo"),
        Manual(),
    ],
    ids=str,
)
@pytest.mark.parametrize("seconds", [0.0, 59.5, 60.0, 10_000.25])
def test_a_record_alone_tells_where_a_schedule_stands(trigger: Every | Cron | Manual, seconds: float) -> None:
    """All that its code would tell, as long as no run goes on: begun, fired, failed and paused, on time and long after."""
    asked = schedule(trigger, trip_after=2)
    record = begun(asked, START)
    once = over(asked, fired(record, at(1), "s@1", at(1)), "s@1", "succeeded", at(2))
    failed = over(asked, fired(record, at(1), "s@1", at(1)), "s@1", "failed", at(2), "no")
    tripped = over(asked, fired(failed, at(2), "s@2", at(2)), "s@2", "failed", at(3), "no")
    for one in (record, once, failed, tripped, paused(once)):
        now = at(3 + seconds)
        told, known = status_written(one, now), status_of(asked, one, now)
        if isinstance(trigger, Manual):
            assert told.next_firing is None
        assert told == known


def test_a_trigger_that_nobody_here_knows_has_no_next_firing() -> None:
    """Of another version, or changed by hand: the rest is told."""
    texts = [
        "",
        "every x s",
        "every 0 s",
        "cron '* * *' in UTC",
        "cron 'a' + 'b' in UTC",
        "cron '* * * * *' in Nowhere",
        "1",
    ]
    for text in texts:
        told = status_written(replace(begun(schedule(), START), trigger=text), START)
        assert (told.trigger, told.next_firing, told.state) == (text, None, ScheduleState.IDLE)
