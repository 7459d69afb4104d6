"""Starting runs: what is written down when `start` returns, ids, slots, priorities, delays, and what is refused."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from enum import Enum, auto
from functools import partial
from typing import Any, Literal, TypeVar

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from cano_trio import (
    DataTypeMismatch,
    DefinitionError,
    DuplicateRun,
    PerRun,
    Resources,
    Run,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunStatus,
    Runtime,
    RuntimeClosed,
    Workflow,
    WorkflowNotFound,
    open_runtime,
)
from cano_trio.journals import ForwardingJournal, Journal, MemoryJournal
from tests.runtime.desk import Job, Note, Step, World, begin, desk, opened, process
from tests.runtime.moments import Moment, at_every_moment

T = TypeVar("T")


class Gate(ForwardingJournal):
    """A journal whose calls of one kind wait before they are done, and behind which they can't be cancelled."""

    def __init__(self, inner: Journal, method: str) -> None:
        super().__init__(inner)
        self.method = method
        self.opened = trio.Event()

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if method != self.method:
            return await call()
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            await self.opened.wait()
            result = await call()
        return result  # noqa: RET504


async def test_it_is_written_down_when_start_returns(world: World, autojump_clock: MockClock) -> None:
    """A crash right behind `start` loses nothing: the run is there, held by this process, before its task has run at all."""
    journal = MemoryJournal()
    async with opened(world, journal=journal) as runtime:
        run = await begin(runtime, "work 1", run_id="r", labels={"team": "x"}, priority=3)
        record = (await journal.load("r")).record
        assert (record.owner, record.position.status) == (journal.owner, RunStatus.RUNNING)
        assert (record.labels, record.priority, record.version) == ({"team": "x"}, 3, 1)
        assert (run.id, run.state, run.status, world.effects) == ("r", Step.WORK, RunStatus.RUNNING, [])


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(
    "plan, options, status",
    [
        (["work 100"], {}, RunStatus.RUNNING),
        (["ask"], {}, RunStatus.WAITING),
        (["nap 1000"], {"delay": 0}, RunStatus.WAITING),
        (["work 1"], {"delay": 500}, RunStatus.QUEUED),
    ],
)
async def test_an_id_is_used_once(
    plan: list[str],
    options: dict[str, Any],
    status: RunStatus,
    world: World,
    autojump_clock: MockClock,
    *,
    written: bool,
) -> None:
    """A second start with the id is refused, wherever the first stands; or gives a handle of that one, which is the same run."""
    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        first = await begin(runtime, *plan, run_id="r", **options)
        await trio.sleep(70)  # what only waits is let go meanwhile
        assert first.status is status
        with pytest.raises(DuplicateRun, match=status.value):
            await begin(runtime, "work 1", run_id="r")
        second = await begin(runtime, "work 1", run_id="r", on_duplicate="attach")
        assert (second.state, second.status) == (first.state, first.status)
        second.cancel("by the second")
        for run in (first, second):
            with pytest.raises(Exception, match="by the second"):
                await run.wait()


async def test_the_id_of_a_run_that_is_over_stays_used(world: World, autojump_clock: MockClock) -> None:
    """With a journal, the id of a run that is over, or even removed, is not used again; attaching gives what it came to."""
    journal = MemoryJournal()
    async with opened(world, journal=journal) as runtime:
        first = await begin(runtime, "work 1", run_id="r")
        await first.wait()
        for _ in range(2):
            with pytest.raises(DuplicateRun, match="completed"):
                await begin(runtime, "work 1", run_id="r")
            again = await begin(runtime, "work 1", run_id="r", on_duplicate="attach")
            assert (await again.wait()).data == Job(["work 1"], at=1)
            del first, again  # the second time it is read from the journal
            first = again = await begin(runtime, "work 1", run_id="r", on_duplicate="attach")
        del first, again
        stored = await journal.claim("r")
        assert stored is not None
        await journal.delete("r", stored.record.fence)
        with pytest.raises(DuplicateRun, match="completed"):
            await begin(runtime, "work 1", run_id="r")
        with pytest.raises(RunNotFound):
            await begin(runtime, "work 1", run_id="r", on_duplicate="attach")
    assert world.began("r/0") == 1


async def test_attaching_to_a_run_that_is_being_started(world: World, autojump_clock: MockClock) -> None:
    """Whoever attaches while the first start is being written down waits for that, and both have the same run."""
    journal = Gate(MemoryJournal(), "create")
    runs: list[Run[Step, Job]] = []

    async def start(runtime: Runtime) -> None:
        runs.append(await begin(runtime, "ask", run_id="r", on_duplicate="attach"))

    async with opened(world, journal=journal) as runtime:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(start, runtime)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(DuplicateRun):
                await begin(runtime, "ask", run_id="r")
            journal.opened.set()
        assert runtime.statistics().started == 1
        assert [run.status for run in runs] == [RunStatus.WAITING] * 3
        await runs[0].send(Note())
        for run in runs:
            await run.wait()
        assert trio.current_time() == 0


async def test_attaching_to_a_start_that_is_given_up(world: World, autojump_clock: MockClock) -> None:
    """Who has attached to a run that waits for a slot is told when its start is given up: it was not started."""
    async with opened(world, limit=1) as runtime, trio.open_nursery() as nursery:
        await begin(runtime, "work 100")
        with trio.move_on_after(5):
            nursery.start_soon(begin_with, runtime, "r")
            await trio.testing.wait_all_tasks_blocked()
            run = await runtime.get(desk, "r")
            assert run.status is RunStatus.QUEUED
            nursery.cancel_scope.cancel()
            await trio.sleep_forever()
    with pytest.raises(Exception, match="cancelled"):
        await run.wait()


async def begin_with(runtime: Runtime, run_id: str) -> None:
    await begin(runtime, "work 1", run_id=run_id)


@pytest.mark.parametrize("kind", ["memory", "queued", "written"])
def test_cancelled_at_every_moment(kind: str) -> None:
    """A start that is cancelled has started nothing, or gives the handle of the run all the same; never half of it."""

    async def play(moment: Moment) -> None:
        world, journal = World(), None if kind == "memory" else MemoryJournal()
        handles: list[Run[Step, Job]] = []
        async with opened(world, journal=journal, limit=1) as runtime:
            if kind == "queued":
                await begin(runtime, "work 5", run_id="first")
            with trio.CancelScope() as scope, moment.of_block(scope.cancel):
                handles.append(await begin(runtime, "work 5", run_id="r"))
            if not handles:
                with pytest.raises(RunNotFound):
                    await runtime.get(desk, "r")
            await trio.sleep(20)
            assert world.began("r/0") == len(handles)
            assert (runtime.statistics().at_work, runtime.statistics().queued) == (0, 0)

    assert at_every_moment(play) > 1


async def test_a_cancelled_scope_starts_nothing(world: World, autojump_clock: MockClock) -> None:
    """A start in a scope that is cancelled already begins nothing."""
    for journal in (None, MemoryJournal()):
        async with opened(world, journal=journal) as runtime:
            with trio.CancelScope() as scope:
                scope.cancel()
                await begin(runtime, "work 1", run_id="r")
            assert scope.cancelled_caught
            assert await runtime.runs() == ()


@pytest.mark.parametrize("written", [False, True])
async def test_slots_go_by_priority_and_then_in_turn(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """No more than `limit` runs are at work; of those that wait the more urgent come first, and equal ones in turn."""
    order: list[str] = []

    class Told:
        def on_event(self, event: Any, /) -> None:
            if type(event).__name__ == "RunStarted" or (written and type(event).__name__ == "RunResumed"):
                order.append(event.run_id)

    journal = MemoryJournal() if written else None
    async with opened(world, journal=journal, limit=2, observers=[Told()]) as runtime, trio.open_nursery() as nursery:
        for name, priority in (("a", 0), ("b", 0), ("c", 0), ("d", 5), ("e", 0), ("f", 5), ("g", -1)):
            nursery.start_soon(begin_at, runtime, name, priority)
            await trio.testing.wait_all_tasks_blocked()
        assert runtime.statistics().at_work == (2 if written else 7)
        assert runtime.statistics().queued == (0 if written else 5)
        await trio.sleep_until(100)
    assert [{*order[at : at + 2]} for at in range(0, 7, 2)] == [{"a", "b"}, {"d", "f"}, {"c", "e"}, {"g"}]
    assert trio.current_time() == 100


async def begin_at(runtime: Runtime, name: str, priority: int) -> None:
    await begin(runtime, "work 10", run_id=name, priority=priority)


@pytest.mark.parametrize("written", [False, True])
async def test_a_delay_is_kept(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """A run with a delay is queued until that is over, takes no slot meanwhile, and is waited for when the block is left."""
    async with opened(world, journal=MemoryJournal() if written else None, limit=1) as runtime:
        late = await begin(runtime, "work 1", run_id="late", delay=100)
        assert (trio.current_time(), late.status) == (0, RunStatus.QUEUED)
        await (await begin(runtime, "work 1")).wait()
        assert trio.current_time() == 1
        assert (await late.wait()).state is Step.DONE
        assert trio.current_time() == 101


@pytest.mark.parametrize("written", [False, True])
async def test_a_delayed_run_is_cancelled(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """A run that waits for its time can be cancelled, and has then done nothing."""
    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        late = await begin(runtime, "work 1", run_id="late", delay=100)
        late.cancel("no need")
        with pytest.raises(Exception, match="no need"):
            await late.wait()
        assert (trio.current_time(), world.effects) == (0, [])


async def test_labels_find_runs(world: World, autojump_clock: MockClock) -> None:
    """Runs are found by all of some labels, with a journal the finished ones, too; what is changed later changes nothing."""
    for journal in (None, MemoryJournal()):
        async with opened(world, journal=journal) as runtime:
            labels = {"team": "x", "kind": "a"}
            await begin(runtime, "work 1", run_id="xa", labels=labels)
            labels["team"] = "y"
            await begin(runtime, "work 1", run_id="ya", labels=labels)
            found = [
                [told.run_id for told in await runtime.runs(labels=wanted)]
                for wanted in ({"team": "x"}, {"kind": "a"}, {"team": "y", "kind": "a"}, {"team": "z"})
            ]
            assert found == [["xa"], ["xa", "ya"], ["ya"], []]


@pytest.mark.parametrize("written", [False, True])
async def test_what_is_refused(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """A wrong call starts nothing, and says what is wrong."""
    stranger = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="stranger")
    twin = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="desk")
    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        untyped: Any = runtime
        for workflow, given, options, error in (
            (stranger, None, {}, WorkflowNotFound),
            (twin, None, {}, WorkflowNotFound),
            (desk, "text", {}, DataTypeMismatch),
            (desk, None, {}, DataTypeMismatch),
            (desk, Job([]), {"start": "WORK"}, DefinitionError),
            (desk, Job([]), {"run_id": ""}, ValueError),
            (desk, Job([]), {"run_id": 3}, (TypeError, ValueError)),
            (desk, Job([]), {"run_id": "order \ud800"}, ValueError),
            ("desk", Job([]), {}, TypeError),
            (desk, Job([]), {"labels": {"a": 1}}, TypeError),
            (desk, Job([]), {"labels": ["a"]}, TypeError),
            (desk, Job([]), {"labels": {"a": "\ud800"}}, ValueError),
            (desk, Job([]), {"labels": {"\ud800": "a"}}, ValueError),
            (desk, Job([]), {"on_duplicate": "join"}, ValueError),
            (desk, Job([]), {"delay": -1}, ValueError),
            (desk, Job([]), {"delay": float("nan")}, ValueError),
            (desk, Job([]), {"delay": float("inf")}, ValueError),
            (desk, Job([]), {"delay": "soon"}, ValueError),
            (desk, Job([]), {"priority": 1.5}, ValueError),
            (desk, Job([]), {"priority": True}, ValueError),
            (desk, Job([]), {"priority": 2**70}, ValueError),
        ):
            with pytest.raises(error):
                await untyped.start(workflow, given, **options)
        assert (await runtime.runs(), runtime.statistics().at_work, runtime.statistics().started) == ((), 0, 0)
    with pytest.raises(RuntimeClosed):
        await begin(runtime, "work 1")


async def test_nothing_is_started_while_it_is_left(world: World, autojump_clock: MockClock) -> None:
    """While the block is left, and after, a start is refused; what was started is waited for."""
    refused: list[float] = []

    async def try_to_start(runtime: Runtime) -> None:
        await trio.sleep(1)
        with pytest.raises(RuntimeClosed):
            await begin(runtime, "work 1")
        refused.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        async with opened(world) as runtime:
            await begin(runtime, "work 2")
            nursery.start_soon(try_to_start, runtime)
        assert trio.current_time() == 2
    assert refused == [1]


name: ContextVar[str] = ContextVar("name", default="nobody")


class Place(Enum):
    LOOK = auto()
    DONE = auto()


async def test_tasks_run_in_the_context_in_which_the_runtime_was_opened(autojump_clock: MockClock) -> None:
    """A context variable has in a run the value it had where the runtime was opened, whoever starts the run or wakes it."""
    seen: list[str] = []
    places = Workflow(Place, initial=Place.LOOK, exits=[Place.DONE], name="places")

    @places.timer(Place.LOOK)
    async def look() -> float:
        seen.append(name.get())
        return 100

    @look.after_wait
    async def look_again() -> Literal[Place.DONE]:
        seen.append(name.get())
        name.set("changed by a run")
        return Place.DONE

    name.set("who opens it")
    async with open_runtime(workflows=[places], journal=MemoryJournal()) as runtime:
        name.set("who starts it")
        await (await runtime.start(places)).wait()
        await (await runtime.start(places, delay=1)).wait()
    assert (seen, name.get()) == (["who opens it"] * 4, "who starts it")


async def test_a_task_bears_the_name_of_its_run(world: World, autojump_clock: MockClock) -> None:
    """The trio task of a run is named for it, for those who look at the tasks of a program."""
    async with opened(world) as runtime:
        await begin(runtime, "work 1", run_id="order-42")
        await trio.testing.wait_all_tasks_blocked()
        names: list[str] = []
        todo = [trio.lowlevel.current_root_task()]
        while todo:
            task = todo.pop()
            assert task is not None
            names.append(task.name)
            todo += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        assert "run 'order-42' of desk" in names


class Connections:
    """Resources of which each run has its own."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.fails = False

    async def setup(self) -> None:
        if self.fails:
            raise OSError("no connection")
        self.opened += 1

    async def teardown(self) -> None:
        self.closed += 1


def served(connections: Connections, **options: Any) -> Any:
    """A runtime whose runs have each a resource of their own."""

    class Connection:
        async def setup(self) -> None:
            await connections.setup()

        async def teardown(self) -> None:
            await connections.teardown()

    return open_runtime(workflows=[desk], resources=Resources(world=World(), connection=PerRun(Connection)), **options)


@pytest.mark.parametrize("written", [False, True])
async def test_each_run_has_its_own_resources(autojump_clock: MockClock, *, written: bool) -> None:
    """What is `PerRun` is set up for each run before it begins, and torn down behind it, each time it is at work here."""
    connections = Connections()
    async with served(connections, journal=MemoryJournal() if written else None) as runtime:
        runs = [await begin(runtime, plan) for plan in ("work 5", "nap 100")]
        await trio.sleep(1)
        assert (connections.opened, connections.closed) == (2, 0)
        for run in runs:
            await run.wait()
        assert connections.opened == connections.closed == (3 if written else 2)


async def test_shared_resources_are_opened_once(autojump_clock: MockClock) -> None:
    """What is shared is opened once, before the block, and closed behind it."""
    connections = Connections()
    shared = Resources(world=World(), connection=connections)
    async with open_runtime(workflows=[desk], resources=shared) as runtime:
        assert connections.opened == 1
        for _ in range(3):
            await begin(runtime, "work 1")
        assert (connections.opened, connections.closed) == (1, 0)
    assert connections.closed == 1


async def test_a_set_up_that_fails_fails_a_run_in_memory(autojump_clock: MockClock) -> None:
    """Without a journal, a run whose own resources can't be set up fails with that error, and has done nothing."""
    connections = Connections()
    connections.fails = True
    async with served(connections) as runtime:
        run = await begin(runtime, "work 1", run_id="r")
        with pytest.raises(RunFailed, match="no connection") as caught:
            await run.wait()
        assert isinstance(caught.value.__cause__, OSError)
        assert run.status is RunStatus.FAILED


@pytest.mark.parametrize("plan", ["work 1", "nap 100"])
async def test_a_set_up_that_fails_blocks_a_run_that_is_written_down(plan: str, autojump_clock: MockClock) -> None:
    """With a journal, it is blocked, and says why; it goes on when it is resumed, or in the next runtime. Nothing is undone."""
    connections, journal = Connections(), MemoryJournal()
    async with journal:
        async with served(connections, journal=journal) as runtime:
            run = await begin(runtime, "book", plan, run_id="r")
            connections.fails = plan == "work 1"
            await trio.sleep(70)
            connections.fails = True
            await trio.sleep(70)
            assert run.status is RunStatus.BLOCKED
            told = (await runtime.runs())[0]
            assert told.reason == "resources: OSError: no connection"
            assert not (await runtime.health()).is_healthy
            with pytest.raises(Exception, match="no connection"):
                await run.resume()
            connections.fails = False
        async with served(connections, journal=journal) as runtime:
            run = await runtime.get(desk, "r")
            assert (await run.wait()).state is Step.DONE


@pytest.mark.parametrize("delay", [0, 10])
@pytest.mark.parametrize("written", [False, True])
async def test_a_run_that_waits_for_a_slot_is_cancelled(
    delay: float, world: World, autojump_clock: MockClock, *, written: bool
) -> None:
    """A run that is cancelled while it waits for a slot ends at once, and nobody behind it gets more slots than there are."""
    async with opened(world, limit=1, journal=MemoryJournal() if written else None) as runtime:
        async with trio.open_nursery() as nursery:
            await begin(runtime, "work 50", run_id="first")
            nursery.start_soon(partial(begin, runtime, "work 5", run_id="late", delay=delay))
            nursery.start_soon(partial(begin, runtime, "work 5", run_id="behind", delay=delay))
            await trio.sleep(20)
            late = await runtime.get(desk, "late")
            late.cancel("no need")
            with pytest.raises(RunCancelled, match="no need"):
                await late.wait()
            assert trio.current_time() == 20
        behind = await runtime.get(desk, "behind")
        await behind.wait()
        assert (trio.current_time(), world.effects) == (55, ["first/0", "behind/0"])


async def test_a_cancel_that_waits_for_a_slot_when_the_block_is_left(world: World, autojump_clock: MockClock) -> None:
    """A run whose cancel waits for a slot while the runtime is left, is cancelled by whoever claims it next."""
    journal = MemoryJournal()
    async with journal:
        async with opened(world, journal=journal, limit=1) as runtime:
            sleeper = await begin(runtime, "book", "nap 1000", run_id="sleeper")
            await trio.sleep(100)
            await begin(runtime, "work 50", run_id="busy")
            sleeper.cancel("no need")
            await trio.sleep(1)
        assert trio.current_time() == 150
        async with opened(world, journal=journal) as runtime:
            with pytest.raises(RunCancelled, match="no need"):
                await (await runtime.get(desk, "sleeper")).wait()
        assert world.effects == ["sleeper/0", "busy/0", "sleeper/0/undo"]


def test_a_ctrl_c_for_one_who_waits_for_a_slot() -> None:
    """Who is woken by a Ctrl-C while he waits for a slot leaves the line: those behind him are still told."""
    world = World()
    told: list[float] = []

    @trio.lowlevel.enable_ki_protection
    async def interrupt() -> None:
        await trio.sleep(5)
        signal.raise_signal(signal.SIGINT)

    async def start(runtime: Runtime) -> None:
        await trio.sleep(1)
        with pytest.raises(RuntimeClosed):
            await begin(runtime, "work 500")
        told.append(trio.current_time())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012
                async with opened(world, limit=1) as runtime:
                    await begin(runtime, "work 500")
                    nursery.start_soon(start, runtime)
                    await begin(runtime, "work 500")

    process(main)
    assert told == [5]


async def test_what_waits_in_the_journal_is_not_overtaken(world: World, autojump_clock: MockClock) -> None:
    """However fast others are started, one at the end of the other: a run that waits for a slot gets the next one."""
    async with opened(world, journal=MemoryJournal(), limit=1) as runtime:
        before = await begin(runtime, "work 5", run_id="before")
        waiting = await begin(runtime, "work 5", run_id="waiting")
        await before.wait()
        for _ in range(3):
            await (await begin(runtime, "work 5")).wait()
        assert waiting.status is RunStatus.COMPLETED
        assert world.effects[:2] == ["before/0", "waiting/0"]
        assert trio.current_time() == 25


async def test_what_another_process_has_left_is_not_overtaken(world: World, autojump_clock: MockClock) -> None:
    """Runs that were waiting in the journal when the runtime was opened come before those that are started in it."""
    journal = MemoryJournal()
    async with opened(world, journal=journal, claim=False) as client:
        for number in range(3):
            await begin(client, "work 5", run_id=f"{number}")
    async with opened(world, journal=journal, limit=1) as runtime:
        await trio.sleep(1)
        for number in range(3, 5):
            await (await begin(runtime, "work 5", run_id=f"{number}")).wait()
    assert world.effects == [f"{number}/0" for number in range(5)]


@pytest.mark.parametrize(
    "options, error, told",
    [
        ({"limit": 0}, ValueError, "limit is 0"),
        ({"limit": 1.5}, ValueError, "limit is 1.5"),
        ({"limit": True}, ValueError, "limit is True"),
        ({"limit": "3"}, ValueError, "limit is '3'"),
        ({"schedules": [desk]}, TypeError, "is no Schedule"),
        ({"workflows": ["desk"]}, TypeError, "is no Workflow"),
    ],
)
async def test_options_that_are_refused(options: Any, error: type[Exception], told: str) -> None:
    """A runtime with an option that makes no sense is not opened, and the error names it."""
    with pytest.raises(error, match=told):
        async with open_runtime(**{"workflows": [desk], **options}):
            raise AssertionError


@pytest.mark.parametrize("written", [False, True])
async def test_reasons_that_are_refused(world: World, autojump_clock: MockClock, *, written: bool) -> None:
    """A reason that is no text, or that no file could hold, is refused before anything has happened to the run."""
    async with opened(world, journal=MemoryJournal() if written else None) as runtime:
        run = await begin(runtime, "work 5")
        reason: Any
        for reason in (5, "\ud800"):
            with pytest.raises(ValueError, match="reason is"):
                run.cancel(reason)
            with pytest.raises(ValueError, match="reason is"):
                await run.pause(reason)
        assert (await run.wait()).state is Step.DONE


async def test_a_grace_that_is_refused(world: World, autojump_clock: MockClock) -> None:
    """A grace that is no number of seconds is refused, and the runtime goes on; an infinite one is one."""
    async with opened(world) as runtime:
        grace: Any
        for grace in (-1, float("nan"), "soon", None):
            with pytest.raises(ValueError, match="grace is"):
                await runtime.drain(grace)
        run = await begin(runtime, "work 100")
        await run.wait_state(Step.WORK)
        assert await runtime.drain(float("inf"))
    assert trio.current_time() == 100
