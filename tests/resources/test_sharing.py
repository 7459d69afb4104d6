"""One opening for many runs: at the same time, one after the other, and one inside the other."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Literal

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio import (
    MemoryStore,
    PerRun,
    Resource,
    ResourceError,
    ResourceNotOpen,
    Resources,
    Shared,
    TaskConfig,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


Done = Literal[Step.DONE]


@attrs.define(eq=False)
class Server(Resource):
    """Notes its life with times; in use only between, which `use` asserts."""

    log: list[str] = attrs.Factory(list)
    up_seconds: float = 0.0
    down_seconds: float = 0.0
    failures: int = 0
    stands: bool = False

    def note(self, what: str) -> None:
        self.log.append(f"{what} {trio.current_time():g}")

    async def setup(self) -> None:
        assert not self.stands
        await trio.sleep(self.up_seconds)
        if self.failures:
            self.failures -= 1
            self.note("failed")
            raise OSError("refused")
        self.stands = True
        self.note("up")

    async def use(self, seconds: float) -> None:
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + seconds
            while trio.current_time() < scope.deadline:
                assert self.stands
                await trio.sleep(0.5)
        assert self.stands

    async def teardown(self) -> None:
        assert self.stands
        self.stands = False
        self.note("down")
        await trio.sleep(self.down_seconds)


def working(resources: Resources, seconds: float, log: list[str] | None = None) -> Workflow[Step]:
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources, defaults=TaskConfig.minimal())

    @workflow.task(Step.WORK)
    async def work(server: Server) -> Done:
        await server.use(seconds)
        if log is not None:
            log.append(f"ran {seconds:g}")
        return Step.DONE

    return workflow


async def test_runs_at_the_same_time_share_one_opening(autojump_clock: MockClock) -> None:
    """RES-10, changed; G-RES-1: one set-up, and no teardown before the last of them is done."""
    server = Server(up_seconds=1, down_seconds=1)
    resources = Resources(server=server)
    async with trio.open_nursery() as nursery:
        for seconds in (1, 5, 3):
            nursery.start_soon(working(resources, seconds).orchestrate)
    assert (server.log, trio.current_time()) == (["up 1", "down 6"], 7)


async def test_who_opened_waits_for_the_others(autojump_clock: MockClock) -> None:
    """RES-10, changed: a run that joined later and takes longer keeps the opener's run from returning."""
    server, ended = Server(), list[str]()
    resources = Resources(server=server)

    async def run(name: str, delay: float, seconds: float) -> None:
        await trio.sleep(delay)
        await working(resources, seconds).orchestrate()
        ended.append(f"{name} {trio.current_time():g}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "opener", 0, 1)
        nursery.start_soon(run, "long", 0.5, 5)
        nursery.start_soon(run, "short", 2, 1)
    assert (server.log, ended) == (["up 0", "down 5.5"], ["short 3", "long 5.5", "opener 5.5"])


async def test_who_opened_waits_though_it_is_cancelled(autojump_clock: MockClock) -> None:
    """RES-10, changed: a cancel of the opener alone does not close what another run uses, and then passes on."""
    server = Server()
    resources = Resources(server=server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(working(resources, 5).orchestrate)
        with trio.move_on_after(1) as scope:
            await working(resources, 10).orchestrate()
        assert scope.cancelled_caught
    assert (server.log, trio.current_time()) == (["up 0", "down 5"], 5)


async def test_who_opened_fails_with_its_own_error_after_waiting(autojump_clock: MockClock) -> None:
    """RES-10, changed: its failure neither closes what another uses nor is it that other's."""
    server, log = Server(), list[str]()
    resources = Resources(server=server)
    broken = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], defaults=TaskConfig.minimal(), resources=resources)

    @broken.task(Step.WORK)
    async def work() -> Done:
        await trio.sleep(1)
        raise OSError("mine")

    async def other() -> None:
        await trio.sleep(0.5)
        await working(resources, 3, log).orchestrate()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        with pytest.raises(OSError, match="mine"):
            await broken.orchestrate()
        assert trio.current_time() == 3.5
    assert (server.log, log) == (["up 0", "down 3.5"], ["ran 3"])


async def test_a_second_run_tries_itself_where_the_first_failed_to_open(autojump_clock: MockClock) -> None:
    """RES-4: those who wait for a set-up that fails do not fail with it: the next of them sets up."""
    server, log = Server(up_seconds=1, failures=1), list[str]()
    resources = Resources(server=server)

    async def fails() -> None:
        with pytest.raises(OSError, match="refused"):
            await working(resources, 9).orchestrate()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails)
        await trio.sleep(0.5)
        nursery.start_soon(working(resources, 1, log).orchestrate)
        nursery.start_soon(working(resources, 2, log).orchestrate)
    assert (server.log, log) == (["failed 1", "up 2", "down 4"], ["ran 1", "ran 2"])


async def test_a_run_that_comes_during_teardown_opens_anew(autojump_clock: MockClock) -> None:
    """RES-10, changed: it waits until all is down, and then sets up again."""
    server = Server(down_seconds=2)
    resources = Resources(server=server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(working(resources, 1).orchestrate)
        await trio.sleep(1.5)
        await working(resources, 1).orchestrate()
    assert (server.log, trio.current_time()) == (["up 0", "down 1", "up 3", "down 4"], 6)


async def test_who_waits_for_a_setup_may_be_cancelled(autojump_clock: MockClock) -> None:
    """A run that waits for another's set-up goes at once when cancelled, and leaves the count right."""
    server = Server(up_seconds=5)
    resources = Resources(server=server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(working(resources, 1).orchestrate)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await working(resources, 1).orchestrate()
        assert trio.current_time() == 1
    assert (server.log, trio.current_time()) == (["up 5", "down 6"], 6)


async def test_a_block_around_many_runs_sets_up_once(autojump_clock: MockClock) -> None:
    """RES-8: `async with resources:` keeps them open; the runs inside neither set up nor tear down."""
    server = Server()
    workflow = working(Resources(server=server), 1)
    async with (resources := Resources(server=server)) as entered:
        assert entered is resources
        for _ in range(3):
            await workflow.orchestrate(resources=resources)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lambda: workflow.orchestrate(resources=resources))
    assert server.log == ["up 0", "down 4"]


async def test_blocks_inside_each_other(autojump_clock: MockClock) -> None:
    """The outermost block of a task opens, and only it closes."""
    server = Server()
    resources = Resources(server=server)
    async with resources:
        async with resources, resources:
            await server.use(1)
        async with resources:
            await server.use(1)
    assert (server.log, server.stands) == (["up 0", "down 2"], False)


async def test_blocks_in_several_tasks(autojump_clock: MockClock) -> None:
    """Each task leaves its own block; the one that opened closes when the last has left."""
    server, left = Server(), list[str]()
    resources = Resources(server=server)

    async def use(delay: float, seconds: float) -> None:
        await trio.sleep(delay)
        async with resources:
            await server.use(seconds)
        left.append(f"{seconds:g} at {trio.current_time():g}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use, 0, 1)
        nursery.start_soon(use, 0.5, 4)
        nursery.start_soon(use, 0.5, 2)
    assert (server.log, left) == (["up 0", "down 4.5"], ["2 at 2.5", "4 at 4.5", "1 at 4.5"])


@pytest.mark.parametrize("error", [OSError("block"), KeyboardInterrupt()], ids=repr)
async def test_a_block_passes_on_what_is_raised_in_it(error: BaseException) -> None:
    """A block, opening or joining, closes and lets the exception through as it is."""
    server = Server()
    resources = Resources(server=server)
    with pytest.raises(type(error)) as caught:
        async with resources, resources:
            raise error
    assert caught.value is error
    assert not server.stands


async def test_a_block_whose_setup_fails_is_none() -> None:
    """After a set-up that failed everything is as before: insert is allowed, and the next opening works."""
    server = Server(failures=1)
    resources = Resources(server=server)
    with pytest.raises(OSError, match="refused"):
        async with resources:
            raise AssertionError
    resources.insert("more", 3)
    async with resources:
        assert server.stands


def test_used_in_one_trio_run_after_another() -> None:
    """Resources may outlive a `trio.run`; each opens them for itself, from the task or in a block."""
    server = Server()
    resources = Resources(server=server, store=PerRun(MemoryStore))
    workflow = working(resources, 1)

    async def block() -> None:
        async with resources, trio.open_nursery() as nursery:
            nursery.start_soon(workflow.orchestrate)
            nursery.start_soon(workflow.orchestrate)

    for main in (workflow.orchestrate, block, workflow.orchestrate):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert server.log == ["up 0", "down 1"] * 3


async def test_what_is_made_is_made_anew_at_every_opening() -> None:
    """A `Shared` has a value only while open; a second opening makes a second one."""
    resources = Resources(store=Shared(MemoryStore))
    stores = list[MemoryStore]()
    for _ in range(2):
        async with resources:
            stores.append(resources.get(MemoryStore))
            assert resources.get(MemoryStore) is stores[-1]
        with pytest.raises(ResourceNotOpen):
            resources.get(MemoryStore)
    assert stores[0] is not stores[1]


async def test_what_is_closed_is_let_go(autojump_clock: MockClock) -> None:
    """Neither the resources nor a workflow that used them keep alive what was made."""
    made = list[weakref.ref[Server]]()

    def make() -> Server:
        server = Server()
        made.append(weakref.ref(server))
        return server

    resources = Resources(server=Shared(make))
    workflow = working(resources, 1)
    await workflow.orchestrate()
    gc.collect()
    assert [ref() for ref in made] == [None]


async def test_a_workflow_inside_a_task_joins(autojump_clock: MockClock) -> None:
    """RES-11: a run inside a run's task uses the same resources, and closes nothing under it."""
    server = Server()
    resources = Resources(server=server)
    inner = working(resources, 1)
    outer = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources)

    @outer.task(Step.WORK)
    async def work(server: Server, given: Resources) -> Done:
        await inner.orchestrate()
        await inner.orchestrate(resources=given)
        await server.use(1)
        return Step.DONE

    await outer.orchestrate()
    assert server.log == ["up 0", "down 3"]


async def test_a_workflow_inside_a_task_joins_what_its_run_sees(autojump_clock: MockClock) -> None:
    """With a `PerRun` among them a task is given its run's own view; a run on that joins too, and has its own again."""
    server, seen = Server(), list[object]()
    resources = Resources(server=Shared(lambda: server, provides=Server), store=PerRun(MemoryStore))

    def workflow(inner: Workflow[Step] | None) -> Workflow[Step]:
        new = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources, defaults=TaskConfig.minimal())

        @new.task(Step.WORK)
        async def work(given: Resources, server: Server, store: MemoryStore) -> Done:
            seen.append(store)
            assert given.get(MemoryStore) is store
            if inner is not None:
                await inner.orchestrate(resources=given)
                async with given:
                    assert given.get(Server) is server
            await server.use(1)
            assert given.get(Server) is resources.get(Server) is server
            with pytest.raises(ResourceError, match="comes too late"):
                given.insert("more", 1)
            return Step.DONE

        return new

    await workflow(workflow(None)).orchestrate()
    assert (server.log, len(set(map(id, seen)))) == (["up 0", "down 2"], 2)


@attrs.define(eq=False)
class Knot:
    """Needs the resources that it is one of, while these are set up or torn down."""

    resources: Resources
    at_setup: bool

    async def setup(self) -> None:
        if self.at_setup:
            async with self.resources:
                raise AssertionError

    async def teardown(self) -> None:
        async with self.resources:
            raise AssertionError


async def test_a_setup_that_needs_its_own_resources() -> None:
    """What would wait for itself for ever is told so; and the resources are closed as after any failed set-up."""
    resources = Resources()
    resources.insert("knot", Knot(resources, at_setup=True))
    for _ in range(2):
        with pytest.raises(ResourceError, match="resource 'knot' needs these resources, of which it is one: it would"):
            async with resources:
                raise AssertionError


async def test_a_teardown_that_needs_its_own_resources(caplog: pytest.LogCaptureFixture) -> None:
    """As for a set-up, but as a teardown error; it does not take 30 seconds to be cut off."""
    resources = Resources()
    resources.insert("knot", Knot(resources, at_setup=False))
    async with resources:
        pass
    (error,) = resources.teardown_errors
    assert str(error) == (
        "the set-up or teardown of resource 'knot' needs these resources, of which it is one: it would wait for itself. "
        "Give what it runs a Resources(...) of its own."
    )
    assert len(caplog.records) == 1


@attrs.define(eq=False)
class Busy:
    """Runs something in a child task while it is set up or torn down, and waits for it."""

    work: Callable[[], Awaitable[object]]
    at_setup: bool

    async def together(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.work)

    async def setup(self) -> None:
        if self.at_setup:
            await self.together()

    async def teardown(self) -> None:
        if not self.at_setup:
            await self.together()


@pytest.mark.parametrize("at_setup", [True, False])
async def test_a_child_task_of_a_setup_or_teardown_that_needs_its_own_resources(
    *, autojump_clock: MockClock, at_setup: bool
) -> None:
    """A run in a nursery of the set-up or teardown is told too, at once, instead of waiting for what waits for it."""
    resources = Resources(server=Server())
    resources.insert("busy", Busy(working(resources, 1).orchestrate, at_setup=at_setup))
    failures: list[Exception] = []
    with trio.fail_after(1):
        try:
            async with resources:
                pass
        except* ResourceError as group:
            failures.extend(group.exceptions)
        for error in resources.teardown_errors:
            assert isinstance(error, ExceptionGroup)
            failures.extend(error.exceptions)
    assert [("'busy' needs these resources" in str(error)) for error in failures] == [True]


async def test_a_setup_may_not_reach_back_through_other_resources(autojump_clock: MockClock) -> None:
    """A set-up that opens other resources, one of which needs the first, would wait for itself too."""
    one, other = Resources(), Resources()
    one.insert("one", Busy(lambda: opening(other), at_setup=True))
    other.insert("other", Busy(lambda: opening(one), at_setup=True))

    async def opening(resources: Resources) -> None:
        async with resources:
            raise AssertionError

    with trio.fail_after(1), pytest.raises(ExceptionGroup) as caught:
        await opening(one)
    assert caught.group_contains(ResourceError, match="'one' needs these resources")


async def test_what_a_setup_leaves_running_may_wait_for_the_others(autojump_clock: MockClock) -> None:
    """A background task that a resource started waits, as any, until the resources after it are set up."""
    log = list[str]()
    resources = Resources()

    @asynccontextmanager
    async def background() -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(working(resources, 1, log).orchestrate)
            yield 1

    resources.insert("background", Shared(background))
    resources.insert("server", Server(up_seconds=5))
    async with resources:
        await trio.sleep(3)
    assert log == ["ran 1"]


def test_open_in_one_trio_run_and_used_from_another() -> None:
    """What is open belongs to one trio run: in another thread's it is refused, with the fix, and nothing hangs."""
    log = list[str]()
    resources = Resources(server=Server())
    workflow = working(resources, 1, log)

    async def elsewhere() -> None:
        with pytest.raises(
            ResourceError, match=r"open in another trio\.run.* Give each trio\.run a Resources\(\.\.\.\)"
        ):
            await workflow.orchestrate()
        await working(Resources(server=Server()), 1, log).orchestrate()

    def in_a_thread() -> None:
        trio.run(elsewhere, clock=MockClock(autojump_threshold=0))

    async def main() -> None:
        async with resources:
            await trio.to_thread.run_sync(in_a_thread)
            await workflow.orchestrate()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    trio.run(workflow.orchestrate, clock=MockClock(autojump_threshold=0))
    assert log == ["ran 1"] * 3


def test_a_run_waiting_for_them_can_come_back_from_a_thread() -> None:
    """A thread that calls back into the trio run where they are open joins there."""
    log = list[str]()
    resources = Resources(server=Server())
    workflow = working(resources, 0, log)

    async def main() -> None:
        async with resources:
            await trio.to_thread.run_sync(lambda: trio.from_thread.run(workflow.orchestrate))

    trio.run(main)
    assert log == ["ran 0"]
