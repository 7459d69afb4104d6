"""Any sequence of what can be done to a runtime and its runs, against a plain model of what they come to."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.errors import StopTest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from trio.testing import MockClock

from cano_trio import RunAlreadyEnded, RunStatus, Runtime
from cano_trio._journal.codec import codec_for
from cano_trio.journals import Journal, MemoryJournal, SqliteJournal
from tests.journal.faulty import HastyDisk
from tests.runtime.desk import Crash, Job, Mortal, Note, World, begin, desk, opened
from tests.runtime.model import Model
from tests.runtime.quiet import Traffic, WatchedJournal, jump_when_quiet

ITEMS = ("work 10", "work 100", "ask", "nap 30", "nap 1000", "book", "fail", "call 100")
DELAYS = (0.0, 0.0, 40.0, 400.0)
ADVANCES = (1.0, 15.0, 70.0, 200.0, 2000.0)

HERE, ELSEWHERE = False, True
"""Whether something is asked for by the process that carries the runs out, or by another one."""

Command = tuple[float, str, tuple[Any, ...], Any]
"""When, what, with what, and how all runs stand behind it."""


class Script:
    """What is done, one after the other, and how all runs stand behind each of it."""

    def __init__(self) -> None:
        self.model = Model()
        self.commands: list[Command] = []

    def do(self, what: str, *args: Any) -> None:
        """Do something in the model, at an instant of its own."""
        model = self.model
        # No two commands, and nothing that comes of them after whole seconds, fall on the same instant.
        model.advance(2.0**-10)
        match what, args:
            case "open", ():
                model.open()
            case "advance", (seconds,):
                model.advance(seconds)
            case "crash" | "release", ():
                model.end(crash=what == "crash")
            case "start", (run_id, plan, delay):
                model.start(run_id, plan, delay)
            case "send", (run_id, text, key, _):
                model.runs[run_id].send(model.now, text, key)
            case "pause", (run_id, elsewhere):
                model.runs[run_id].pause(elsewhere=elsewhere)
            case "resume", (run_id, elsewhere):
                model.runs[run_id].resume(model.now, elsewhere=elsewhere)
            case "cancel", (run_id, _):
                model.runs[run_id].cancel()
            case "retry", (run_id,):
                model.runs[run_id].retry(model.now)
            case _:
                raise AssertionError(what)
        self.commands.append((model.now, what, args, model.told()))

    def finish(self) -> None:
        """All is resumed, tried again and told what it waits for: every run ends."""
        model = self.model
        if not model.alive:
            self.do("open")
        for _ in range(20):
            for run_id, run in model.runs.items():
                if run.status is RunStatus.PAUSED or run.pausing is not None:
                    self.do("resume", run_id, HERE)
                if run.status is RunStatus.FAILED:
                    self.do("retry", run_id)
                if run.status is RunStatus.RUNNING and run.kind in {"ask", "call"}:
                    self.do("send", run_id, "at last", None, HERE)
            if all(run.ended for run in model.runs.values()):
                return
            self.do("advance", 2000.0)
        raise AssertionError("unreachable: some run does not end")

    def lives(self) -> list[list[Command]]:
        """The commands of each process."""
        lives: list[list[Command]] = []
        for command in self.commands:
            if command[1] == "open":
                lives.append([])
            lives[-1].append(command)
        return lives


class Machine(RuleBasedStateMachine):
    """Makes scripts; each is played when it is whole."""

    play: ClassVar[Callable[[Script], None]]
    is_asked: ClassVar[bool]
    """Another process may ask for something, too."""

    def __init__(self) -> None:
        super().__init__()
        self.script = Script()
        self.model = self.script.model
        self.names = 0

    @initialize()
    def begin(self) -> None:
        self.script.do("open")

    def some(self, data: st.DataObject) -> str:
        """One of the runs, rather one that is not over."""
        living = [run_id for run_id, run in self.model.runs.items() if not run.ended]
        return data.draw(st.sampled_from(living or [*self.model.runs]))

    def has_runs(self) -> bool:
        return self.model.alive and bool(self.model.runs)

    @precondition(lambda self: self.model.alive and len(self.model.runs) < 5)
    @rule(plan=st.lists(st.sampled_from(ITEMS), min_size=1, max_size=5), delay=st.sampled_from(DELAYS))
    def start(self, plan: list[str], delay: float) -> None:
        self.names += 1
        self.script.do("start", f"r{self.names}", tuple(plan), delay)

    @rule(seconds=st.sampled_from(ADVANCES))
    def advance(self, seconds: float) -> None:
        if self.model.alive:
            self.script.do("advance", seconds)
        else:
            self.model.advance(seconds)  # nobody is there to notice

    @precondition(has_runs)
    @rule(data=st.data(), key=st.sampled_from([None, None, "a", "b"]), elsewhere=st.booleans())
    def send(self, data: st.DataObject, key: str | None, elsewhere: bool) -> None:  # noqa: FBT001
        self.script.do("send", self.some(data), f"note {len(self.script.commands)}", key, elsewhere and self.is_asked)

    @precondition(has_runs)
    @rule(data=st.data(), elsewhere=st.booleans())
    def pause(self, data: st.DataObject, elsewhere: bool) -> None:  # noqa: FBT001
        self.script.do("pause", self.some(data), elsewhere and self.is_asked)

    @precondition(has_runs)
    @rule(data=st.data(), elsewhere=st.booleans())
    def resume(self, data: st.DataObject, elsewhere: bool) -> None:  # noqa: FBT001
        run_id = self.some(data)
        if self.model.runs[run_id].pausing != "asked":  # that request stays in the inbox until the work is done
            self.script.do("resume", run_id, elsewhere and self.is_asked)

    @precondition(has_runs)
    @rule(data=st.data(), elsewhere=st.booleans())
    def cancel(self, data: st.DataObject, elsewhere: bool) -> None:  # noqa: FBT001
        self.script.do("cancel", self.some(data), elsewhere and self.is_asked)

    @precondition(lambda self: self.model.alive and any(r.status is RunStatus.FAILED for r in self.model.runs.values()))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        failed = [run_id for run_id, run in self.model.runs.items() if run.status is RunStatus.FAILED]
        self.script.do("retry", data.draw(st.sampled_from(failed)))

    @precondition(has_runs)
    @rule()
    def release(self) -> None:
        self.script.do("release")

    # A second crash in a row gives a run a bad name, and it has to wait for others: that is another test's matter.
    @precondition(lambda self: self.has_runs() and not any(run.crashed for run in self.model.runs.values()))
    @rule()
    def crash(self) -> None:
        self.script.do("crash")

    @precondition(lambda self: not self.model.alive)
    @rule()
    def open(self) -> None:
        self.script.do("open")

    @invariant()
    def time_passes(self) -> None:
        assert self.model.now >= 0

    def teardown(self) -> None:
        if isinstance(sys.exc_info()[1], StopTest):
            return  # Hypothesis has given this one up
        self.script.finish()
        type(self).play(self.script)


# -- playing


class Player:
    """Plays a script, and compares behind each command how all runs stand."""

    traffic: Traffic | None = None
    """The calls of a journal that has threads of its own: virtual time waits for them."""

    def __init__(self, journal: Journal, beside: Callable[[], Journal]) -> None:
        self.journal = journal
        self.beside = beside
        self.world = World()

    def play(self, script: Script) -> None:
        for life in script.lives():
            clock = MockClock(autojump_threshold=0 if self.traffic is None else math.inf)
            clock.jump(life[0][0])
            trio.run(self.live, life, clock, clock=clock)

    async def live(self, life: list[Command], clock: MockClock) -> None:
        """One process, with another one beside it that only asks."""
        mortal = Mortal(self.journal)
        try:
            async with (
                mortal,
                opened(self.world, journal=self.beside(), claim=False) as client,
                opened(self.world, journal=mortal) as runtime,
                trio.open_nursery() as nursery,
            ):
                for number, (now, what, args, told) in enumerate(life):
                    await self.pass_time(clock, now)
                    if what == "crash":
                        mortal.die()
                    if what == "release":
                        raise Released  # noqa: TRY301  (as the body of a runtime raises)
                    await self.do(runtime, client, nursery, what, args)
                    await self.compare(told, f"behind {number} {what} {args} at {now}")
                nursery.cancel_scope.cancel()
        except* (Released, Crash):
            pass

    async def pass_time(self, clock: MockClock, until: float) -> None:
        """Let time pass, as fast as it may."""
        async with trio.open_nursery() as nursery:
            if self.traffic is not None:
                nursery.start_soon(jump_when_quiet, clock, self.traffic)
            await trio.sleep_until(until)
            nursery.cancel_scope.cancel()

    async def do(
        self, runtime: Runtime, client: Runtime, nursery: trio.Nursery, what: str, args: tuple[Any, ...]
    ) -> None:
        """Do one thing."""
        if what in {"open", "advance"}:
            return
        run_id, *others = args
        if what == "start":
            plan, delay = others
            await begin(runtime, *plan, run_id=run_id, delay=delay)
            return
        run = await (client if others and others[-1] else runtime).get(desk, run_id)
        match what:
            case "send":
                with suppress(RunAlreadyEnded):
                    await run.send(Note(others[0]), key=others[1])
            case "cancel":
                run.cancel()
            case "pause":
                nursery.start_soon(quietly, run.pause)  # it may take until the present work is done
            case "resume":
                await quietly(run.resume)
            case "retry":
                await quietly(run.retry)

    async def compare(self, told: Any, where: str) -> None:
        """See that all runs stand as the model says; where threads are at work, as soon as these are done."""
        for _ in range(1 if self.traffic is None else 1000):
            await trio.testing.wait_all_tasks_blocked(0 if self.traffic is None else 0.005)
            found = await self.found(told)
            if found == told:
                return
        assert found == told, where

    async def found(self, told: Any) -> Any:
        found: dict[str, Any] = {}
        for run_id, (statuses, *_) in told.items():
            stored = await self.journal.load(run_id)
            status = stored.record.position.status
            job: Job = codec_for(Job).unpack(stored.data)
            effects = sorted(effect for effect in self.world.effects if effect.split("/")[0] == run_id)
            found[run_id] = (statuses if status in statuses else {status}, job.at, job.heard, effects)
        return found


class Released(Exception):
    """The block of a runtime is left."""


async def quietly(verb: Callable[[], Awaitable[object]]) -> None:
    """Do something, be it too late or not."""
    with suppress(RunAlreadyEnded):
        await verb()


def play_in_memory(script: Script) -> None:
    journal = MemoryJournal()
    Player(journal, lambda: MemoryJournal(beside=journal)).play(script)


def play_in_a_file(script: Script) -> None:
    with tempfile.TemporaryDirectory() as folder:
        traffic, disk = Traffic(), HastyDisk(f"hasty {folder}")
        path = Path(folder) / "runs.db"
        player = Player(WatchedJournal(SqliteJournal(path, vfs=disk.name), traffic), MemoryJournal)
        player.traffic = traffic
        player.play(script)


def search(play: Callable[[Script], None], examples: int, steps: int, *, asked: bool = True) -> None:
    class Playing(Machine):
        is_asked = asked

    Playing.play = staticmethod(play)
    run_state_machine_as_test(
        Playing,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )  # fmt: skip


def test_runs_come_to_what_the_model_says() -> None:
    """Whatever is done with runs, and however often their process ends: each stands as the model says, and ends so."""
    search(play_in_memory, 40, 30)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(30))
def test_runs_come_to_what_the_model_says_in_many_more_ways(part: int) -> None:
    """The same, thousands of times."""
    search(play_in_memory, 100, 50)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_runs_in_a_file_come_to_what_the_model_says(part: int) -> None:
    """The same, in a SQLite file."""
    search(play_in_a_file, 10, 20, asked=False)
