"""Who may take a run up, with which code, and what for."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, make_dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    BranchResults,
    JournalUnavailable,
    LeaseLost,
    More,
    NotOwner,
    RecordedFailure,
    Retry,
    RollbackFailed,
    RunAlreadyEnded,
    RunBlocked,
    RunCancelled,
    RunContext,
    RunFailed,
    RunStatus,
    Split,
    TaskConfig,
    VersionMismatch,
    Waiting,
    Workflow,
    failure_context,
)
from cano_trio.journals import Commit, ForwardingJournal, Journal, MemoryJournal, StoredRun
from tests.conftest import Recorder


class Step(Enum):
    A = auto()
    B = auto()
    C = auto()
    DONE = auto()


@dataclass
class Notes:
    lines: list[str] = field(default_factory=list)


def new(**options: Any) -> Workflow[Step, Any]:
    options.setdefault("data", Notes)
    return Workflow(
        Step, initial=Step.A, exits=[Step.DONE], name="w", defaults=TaskConfig(retry=Retry.none()), **options
    )


def leads(
    work: Any,
    state: Enum,
    following: Enum,
    act: Callable[[RunContext], object] = lambda _: None,
    *,
    seconds: float = 0,
) -> None:
    """Add a task that writes a line, acts, and goes on after some seconds."""

    async def task(notes: Notes, ctx: RunContext) -> Any:
        notes.lines.append(ctx.state.name)
        act(ctx)
        await trio.sleep(0 if ctx.rerun else seconds)
        return following

    task.__annotations__["return"] = Literal[following]
    work.register(state, task)


def books(work: Any, state: Enum, following: Enum, undo: Callable[[str], object]) -> None:
    async def book(ctx: RunContext) -> Any:
        return following, ctx.idempotency_key

    book.__annotations__["return"] = tuple[Literal[following], str]  # type: ignore[valid-type]
    task = work.compensatable(state)(book)

    async def compensate(receipt: str) -> None:
        undo(receipt)

    task.compensate(compensate)


def fails(_: RunContext) -> None:
    raise OSError("down")


async def released(work: Workflow[Step, Any], journal: Any, seconds: float = 1, data: Any = None) -> None:
    """Begin a run, and stop it from outside."""
    with trio.move_on_after(seconds):
        await work.run(Notes() if data is None else data, run_id="r", journal=journal)


async def status(journal: MemoryJournal) -> RunStatus:
    return (await journal.load("r")).record.position.status


# -- who


async def test_a_run_that_is_held_is_left_alone(autojump_clock: MockClock) -> None:
    """Who resumes a run that another living process goes on with gets NotOwner, and writes nothing."""
    undone: list[str] = []
    work = new()
    books(work, Step.A, Step.B, undone.append)
    leads(work, Step.B, Step.DONE, seconds=10)
    async with MemoryJournal() as journal, MemoryJournal(beside=journal) as other, trio.open_nursery() as nursery:
        nursery.start_soon(partial(work.run, Notes(), run_id="r", journal=journal))
        await trio.sleep(1)
        before = (await journal.load("r"), await journal.history("r"))
        with pytest.raises(NotOwner, match="'r' is held by another process"):
            await work.resume("r", journal=other)
        assert (await journal.load("r"), await journal.history("r")) == before
    assert undone == []


async def test_who_has_lost_a_run_stops_in_place(autojump_clock: MockClock) -> None:
    """The run was claimed under its process: its next write is refused, and it undoes nothing and writes nothing."""
    undone: list[str] = []
    work = new()
    books(work, Step.A, Step.B, undone.append)
    leads(work, Step.B, Step.C, seconds=10)
    leads(work, Step.C, Step.DONE)
    async with MemoryJournal() as journal:
        with pytest.RaisesGroup(LeaseLost):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(work.run, Notes(), run_id="r", journal=journal))
                await trio.sleep(1)
                claimed = await journal.claim("r")  # as a process would that takes this one for dead
        assert await journal.load("r") == claimed
        assert undone == []
        assert (await work.resume("r", journal=journal)).data == Notes(["B", "C"])


class Away(ForwardingJournal):
    """Can't write from its n-th commit on, for some seconds."""

    def __init__(self, inner: Journal, at: int, seconds: float) -> None:
        super().__init__(inner)
        self.at = at
        self.seconds = seconds
        self.until = 0.0

    async def commit(self, commit: Commit, /) -> int:
        self.at -= 1
        if self.at == 0:
            self.until = trio.current_time() + self.seconds
        if trio.current_time() < self.until:
            raise JournalUnavailable("here", "disk full")
        return await super().commit(commit)


async def test_a_journal_that_is_away_for_a_while_is_waited_for(autojump_clock: MockClock, recorder: Recorder) -> None:
    """Up to 30 s: the run waits with the reason "store", and goes on; no task runs again for it."""
    calls: list[str] = []
    work = new()
    leads(work, Step.A, Step.B, lambda ctx: calls.append(ctx.idempotency_key))
    leads(work, Step.B, Step.DONE, lambda ctx: calls.append(ctx.idempotency_key))
    async with MemoryJournal() as journal:
        away = Away(journal, at=1, seconds=20)
        assert (await work.run(Notes(), run_id="r", journal=away, observers=[recorder])).data == Notes(["A", "B"])
    assert calls == ["r/0", "r/1"]
    assert {event.reason for event in recorder.of(Waiting)} == {"store"}
    assert 20 <= trio.current_time() < 23


async def test_a_journal_that_is_away_for_too_long_stops_the_run_in_place(autojump_clock: MockClock) -> None:
    """After 30 s the run stops where it is: nothing is undone, no on_error leads on, and resume goes on."""
    undone: list[str] = []
    work = new()
    books(work, Step.A, Step.B, undone.append)

    @work.task(Step.B, on_error={Exception: Step.DONE})
    async def b(notes: Notes) -> Literal[Step.C]:
        notes.lines.append("B")
        return Step.C

    leads(work, Step.C, Step.DONE)
    async with MemoryJournal() as journal:
        away = Away(journal, at=2, seconds=100)
        with pytest.raises(JournalUnavailable):
            await work.run(Notes(), run_id="r", journal=away)
        assert 30 <= trio.current_time() <= 33
        assert (await journal.load("r")).record.position.state == "B"
        assert undone == []
        assert (await work.resume("r", journal=journal)).data == Notes(["B", "C"])


# -- with which code


@dataclass
class Newer:
    entries: list[str] = field(default_factory=list)


def migrate(version: int, kind: str, raw: Any) -> Any:
    assert version == 1
    return {"entries": raw["lines"]} if kind == "data" else {"at": raw}


@dataclass
class At:
    at: int


async def test_an_older_run_is_brought_up_to_date(autojump_clock: MockClock) -> None:
    """What version 1 wrote, data and cursor, `migrate` makes today's of; then they are written down anew."""
    old = new()

    @old.stepped(Step.A)
    async def step(cursor: int | None, notes: Notes) -> More[int] | Literal[Step.DONE]:
        if cursor == 2:
            await trio.sleep_forever()
        notes.lines.append("old")
        return More((cursor or 0) + 1)

    today = new(version=2, data=Newer, migrate=migrate)

    @today.stepped(Step.A)
    async def go_on(cursor: At | None, notes: Newer) -> More[At] | Literal[Step.DONE]:
        assert cursor is not None
        notes.entries.append(f"new {cursor.at}")
        return Step.DONE

    async with MemoryJournal() as journal:
        await released(old, journal)
        assert (await today.resume("r", journal=journal)).data == Newer(["old", "old", "new 2"])
        assert (await journal.load("r")).record.version == 2


async def test_results_of_branches_are_brought_up_to_date(autojump_clock: MockClock) -> None:
    """So are the outcomes of a split whose other branches go on."""

    async def quick() -> int:
        return 1

    async def slow() -> int:
        await trio.sleep(5)
        return 2

    async def renewed() -> At:
        return At(3)

    old = new()
    old.register_split(Step.A, Split.all({"a": quick, "b": slow}, Step.B))
    leads(old, Step.B, Step.DONE)
    today = new(version=2, data=Newer, migrate=migrate)
    today.register_split(Step.A, Split.all({"a": renewed, "b": renewed}, Step.B))
    joined: list[Any] = []

    async def join(results: BranchResults[At]) -> Literal[Step.DONE]:
        joined.append(dict(results.successes))
        return Step.DONE

    today.register(Step.B, join)
    async with MemoryJournal() as journal:
        await released(old, journal)
        await today.resume("r", journal=journal)
    assert joined == [{"a": At(1), "b": At(3)}]


async def test_receipts_are_brought_up_to_date(autojump_clock: MockClock) -> None:
    """So are receipts, when what they are of is undone."""
    undone: list[Any] = []
    old = new()
    books(old, Step.A, Step.B, undone.append)
    leads(old, Step.B, Step.DONE, seconds=math.inf)
    today = new(version=2, data=Newer, migrate=lambda _, kind, raw: migrate(1, kind, raw))

    @today.compensatable(Step.A)
    async def book() -> tuple[Literal[Step.B], dict[str, str]]:
        raise AssertionError

    @book.compensate
    async def undo(receipt: dict[str, str]) -> None:
        undone.append(receipt)

    @today.task(Step.B)
    async def b() -> Literal[Step.DONE]:
        raise OSError("down")

    async with MemoryJournal() as journal:
        await released(old, journal)
        with pytest.raises(OSError, match="down"):
            await today.resume("r", journal=journal)
        assert await status(journal) is RunStatus.ROLLED_BACK
    assert undone == [{"at": "r/0"}]


async def test_messages_are_brought_up_to_date(autojump_clock: MockClock) -> None:
    """So are messages that wait in the inbox."""

    def receiving(kind: Any, **options: Any) -> Workflow[Step, Any]:
        work = new(**options)
        leads(work, Step.A, Step.B, seconds=5)

        async def take(message: Any, notes: Notes) -> Literal[Step.DONE]:
            notes.lines.append(repr(message))
            return Step.DONE

        take.__annotations__["message"] = kind
        work.receive(Step.B)(take)
        return work

    def brought_up(version: int, kind: str, raw: Any) -> Any:
        return {"at": 10 * raw["at"]} if kind == "message" else raw

    async with MemoryJournal() as journal:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(receiving(At).run, Notes(), run_id="r", journal=journal))
            await run.send(At(7))
            nursery.cancel_scope.cancel()
        result = await receiving(At, version=2, migrate=brought_up).resume("r", journal=journal)
    assert result.data == Notes(["A", "At(at=70)"])


async def test_what_is_blocked_lets_its_child_go(autojump_clock: MockClock) -> None:
    """A run that can't be taken up is given back with the child that was claimed with it: other code goes on with both."""

    class Inner(Enum):
        A = auto()
        OUT = auto()

    def parent(*, receives: bool) -> Workflow[Step, Any]:
        inner = Workflow(Inner, initial=Inner.A, exits=[Inner.OUT], name="inner", data=Notes)
        leads(inner, Inner.A, Inner.OUT, seconds=5)
        work = new()
        work.register_child(Step.A, inner, {Inner.OUT: Step.B})
        if receives:

            async def take(message: At, notes: Notes) -> Literal[Step.DONE]:
                return Step.DONE

            work.receive(Step.B)(take)
        else:
            leads(work, Step.B, Step.DONE)
        return work

    async with MemoryJournal() as journal, MemoryJournal(beside=journal) as other:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(parent(receives=True).run, Notes(), run_id="r", journal=journal))
            await trio.sleep(1)
            await run.send(At(7))
            nursery.cancel_scope.cancel()
        with pytest.raises(RunBlocked, match="message of type At"):
            await parent(receives=False).resume("r", journal=journal)
        assert (await parent(receives=True).resume("r", journal=other)).data == Notes(["A"])


class NoChild(ForwardingJournal):
    """Can't claim the child, or takes long for it."""

    def __init__(self, inner: Journal, seconds: float) -> None:
        super().__init__(inner)
        self.seconds = seconds

    async def claim(self, run_id: str, /) -> StoredRun | None:
        if run_id != "r":
            await trio.sleep(self.seconds)
            raise JournalUnavailable("here", "disk full")
        return await super().claim(run_id)


@pytest.mark.parametrize("seconds", [0, math.inf])
async def test_what_could_not_be_taken_up_is_given_back(autojump_clock: MockClock, seconds: float) -> None:
    """A run whose child can't be claimed, or that is cancelled meanwhile, is left as it was: another process goes on with it."""
    inner = Workflow(Inner, initial=Inner.A, exits=[Inner.OUT], name="inner", data=Notes)
    leads(inner, Inner.A, Inner.OUT, seconds=5)
    work = new()
    work.register_child(Step.A, inner, {Inner.OUT: Step.DONE})
    async with MemoryJournal() as journal, MemoryJournal(beside=journal) as other:
        await released(work, journal)
        before = (await journal.load("r")).record.position
        with trio.move_on_after(1), suppress(JournalUnavailable):
            await work.resume("r", journal=NoChild(journal, seconds))
        assert [(run.owner, run.position) for run in (await journal.runs())[:1]] == [(None, before)]
        assert (await work.resume("r", journal=other)).data == Notes(["A"])


async def test_another_version_blocks(autojump_clock: MockClock) -> None:
    """A version that is not accepted blocks the run, which is still there and goes on with its own code."""
    old, today = new(), new(version=2)
    for work in (old, today):
        leads(work, Step.A, Step.B)
    leads(old, Step.B, Step.DONE, seconds=5)
    leads(today, Step.B, Step.DONE)
    async with MemoryJournal() as journal:
        await released(old, journal)
        with pytest.raises(VersionMismatch, match=r"accepts=\[1\]"):
            await today.resume("r", journal=journal)
        assert await status(journal) is RunStatus.BLOCKED
        assert (await old.resume("r", journal=journal)).data == Notes(["A", "B"])


async def test_a_renamed_state_goes_by_its_alias(autojump_clock: MockClock) -> None:
    """A run in a state that is gone goes on in the one that its alias names; without one it is blocked."""
    old = new()
    leads(old, Step.A, Step.B)
    leads(old, Step.B, Step.DONE, seconds=math.inf)

    class Today(Enum):
        A = auto()
        BETTER = auto()
        DONE = auto()

    def renamed(**options: Any) -> Workflow[Today, Notes]:
        work = Workflow(Today, initial=Today.A, exits=[Today.DONE], name="w", data=Notes, **options)
        leads(work, Today.A, Today.BETTER)
        leads(work, Today.BETTER, Today.DONE)
        return work

    async with MemoryJournal() as journal:
        await released(old, journal)
        with pytest.raises(RunBlocked, match=r"no state B with a task.*aliases=") as caught:
            await renamed().resume("r", journal=journal)
        assert caught.value.reason == "state"
        result = await renamed(aliases={"B": Today.BETTER}).resume("r", journal=journal)
        assert (result.data, result.path) == (Notes(["A", "BETTER"]), (Today.A, Today.BETTER, Today.DONE))


async def test_data_that_can_not_be_read_block(autojump_clock: MockClock) -> None:
    """Data of another type block the run with the reason "data", and nothing of it is lost."""

    @dataclass
    class Other:
        lines: int

    old, today = new(), new(data=Other)
    leads(old, Step.A, Step.B)
    leads(old, Step.B, Step.DONE, seconds=5)

    for state, following in ((Step.A, Step.B), (Step.B, Step.DONE)):

        async def task() -> Any: ...

        task.__annotations__["return"] = Literal[following]
        today.register(state, task)
    async with MemoryJournal() as journal:
        await released(old, journal)
        before = await journal.load("r")
        with pytest.raises(RunBlocked) as caught:
            await today.resume("r", journal=journal)
        assert caught.value.reason == "data"
        after = await journal.load("r")
        assert (after.data, after.record.position.state) == (before.data, "B")
        assert await status(journal) is RunStatus.BLOCKED
        assert (await old.resume("r", journal=journal)).data == Notes(["A", "B"])


async def test_a_field_that_the_code_has_no_more_blocks_and_is_not_dropped(autojump_clock: MockClock) -> None:
    """Data with a field unknown to the code block the run by the field's path; a `migrate` that drops it goes on."""

    @dataclass
    class Part:
        lines: list[str] = field(default_factory=list)
        inner: list[Notes] = field(default_factory=list)

    @dataclass
    class Less:
        lines: list[str] = field(default_factory=list)

    def drop(_version: int, _kind: str, raw: Any) -> Any:
        return {"lines": raw["lines"]}

    def writes(kind: type, seconds: float = 0, **options: Any) -> Any:
        work = new(data=kind, **options)
        for state, following in ((Step.A, Step.B), (Step.B, Step.DONE)):

            async def task(ctx: RunContext, notes: Any) -> Any:
                notes.lines.append(ctx.state.name)
                await trio.sleep(0 if ctx.rerun else seconds)
                return Step.B if ctx.state is Step.A else Step.DONE

            task.__annotations__ |= {"notes": kind, "return": Literal[following]}
            work.register(state, task)
        return work

    old = writes(Part, seconds=0.6)
    today = writes(Less)
    migrating = writes(Less, version=2, accepts=[1], migrate=drop)
    async with MemoryJournal() as journal:
        await released(old, journal, data=Part())
        before = await journal.load("r")
        with pytest.raises(RunBlocked, match=r"Less\.inner: there is no such field") as caught:
            await today.resume("r", journal=journal)
        assert caught.value.reason == "data"
        assert ((await journal.load("r")).data, await status(journal)) == (before.data, RunStatus.BLOCKED)
        assert (await migrating.resume("r", journal=journal)).data == Less(["A", "B"])


async def test_a_field_that_is_new_is_written_down_with_its_default(autojump_clock: MockClock) -> None:
    """Data of a type that has got a field, deep in them, have its default from the next commit on, also in the history."""

    @dataclass(frozen=True)
    class Line:
        text: str

    @dataclass(frozen=True)
    class LongerLine:
        text: str
        times: int = 1

    def writes(line: Any) -> Workflow[Step, Any]:
        data = make_dataclass("Page", [("lines", list[line])])
        work = new(data=data)

        for state, following in ((Step.A, Step.B), (Step.B, Step.DONE)):

            async def task(page: Any, ctx: RunContext) -> Any:
                await trio.sleep(0 if ctx.rerun else 5)
                return Step.B if ctx.state is Step.A else Step.DONE

            task.__annotations__ |= {"page": data, "return": Literal[following]}
            work.register(state, task)
        return work

    old, today = writes(Line), writes(LongerLine)
    old_type: Any = old.data
    async with MemoryJournal() as journal:
        await released(old, journal, data=old_type([Line("hm")]))
        assert (await journal.load("r")).data == b'{"lines":[{"text":"hm"}]}'
        await today.resume("r", journal=journal)
        whole = b'{"lines":[{"text":"hm","times":1}]}'
        assert (await journal.load("r")).data == whole
        assert [row.data for row in await journal.history("r")] == [whole, None]


# -- what for


async def test_a_failed_run_is_retried(autojump_clock: MockClock) -> None:
    """`resume` of a failed run tells that it has failed; `retry` goes on in the state it failed in, under the same key."""
    keys: list[str] = []

    def once(ctx: RunContext) -> None:
        keys.append(ctx.idempotency_key)
        if len(keys) == 1:
            raise OSError("down")

    work = new()
    leads(work, Step.A, Step.B)
    leads(work, Step.B, Step.DONE, once)
    async with MemoryJournal() as journal:
        with pytest.raises(OSError, match="down"):
            await work.run(Notes(), run_id="r", journal=journal)
        with pytest.raises(RunFailed, match=r"OSError: down.*workflow\.retry"):
            await work.resume("r", journal=journal)
        assert (await work.retry("r", journal=journal)).data == Notes(["A", "B"])
        assert await status(journal) is RunStatus.COMPLETED
        assert (await work.resume("r", journal=journal)).data == Notes(["A", "B"])
    assert keys == ["r/1", "r/1"]


async def test_what_could_not_be_undone_is_tried_again() -> None:
    """`retry_rollback` undoes what is left, and only that."""
    undone: list[str] = []
    broken = True

    def undo(receipt: str) -> None:
        if broken and receipt == "r/0":
            raise TypeError("not now")
        undone.append(receipt)

    work = new()
    books(work, Step.A, Step.B, undo)
    books(work, Step.B, Step.C, undo)
    leads(work, Step.C, Step.DONE, fails)
    async with MemoryJournal() as journal:
        with pytest.raises(RollbackFailed):
            await work.run(Notes(), run_id="r", journal=journal)
        assert (undone, await status(journal)) == (["r/1"], RunStatus.ROLLBACK_FAILED)
        with pytest.raises(RollbackFailed) as again:
            await work.retry_rollback("r", journal=journal)
        context = failure_context(again.value)
        assert context is not None
        assert (context.state, context.path) == (Step.C, (Step.A, Step.B, Step.C))
        assert await status(journal) is RunStatus.ROLLBACK_FAILED
        broken = False
        rollback = await work.retry_rollback("r", journal=journal)
        assert ([state for state, _ in rollback.undone], undone) == ([Step.A], ["r/1", "r/0"])
        assert await status(journal) is RunStatus.ROLLED_BACK
        with pytest.raises(RunAlreadyEnded, match="nothing left to be undone: it is rolled_back"):
            await work.retry_rollback("r", journal=journal)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.ROLLBACK_FAILED])
async def test_what_is_over_is_changed_no_more(status: RunStatus, autojump_clock: MockClock) -> None:
    """`retry` and `cancel` of a run that has come to its end say how it did, and what can be done instead."""

    def refuse(_receipt: str) -> None:
        raise TypeError("not now")

    work = new()
    books(work, Step.A, Step.B, refuse if status is RunStatus.ROLLBACK_FAILED else lambda _: None)
    leads(work, Step.B, Step.DONE, seconds=2)
    instead = {
        RunStatus.COMPLETED: "resume",
        RunStatus.CANCELLED: "another id",
        RunStatus.ROLLBACK_FAILED: "retry_rollback",
    }
    async with MemoryJournal() as journal:
        await released(work, journal)
        with suppress(RollbackFailed):
            if status is RunStatus.COMPLETED:
                await work.resume("r", journal=journal)
            else:
                await work.cancel("r", journal=journal)
        before = await journal.load("r")
        assert before.record.position.status is status
        for refused in (work.retry, work.cancel):
            with pytest.raises(RunAlreadyEnded, match=f"it is {status.value}\\. .*{instead[status]}") as caught:
                await refused("r", journal=journal)
            assert caught.value.status == status.value
        assert await journal.load("r") == before


class Finishing(ForwardingJournal):
    """Another process finishes the run between the look at it and its claim."""

    def __init__(self, inner: Journal, finish: Callable[[], Awaitable[object]]) -> None:
        super().__init__(inner)
        self.finish: Callable[[], Awaitable[object]] | None = finish

    async def claim(self, run_id: str, /) -> StoredRun | None:
        finish, self.finish = self.finish, None
        if finish is not None:
            await finish()
        return await super().claim(run_id)


async def test_what_came_to_its_end_meanwhile_is_not_undone(autojump_clock: MockClock) -> None:
    """A cancel that finds a run at work, and claims it behind its last state, leaves it completed, and free."""
    undone: list[str] = []
    work = new()
    books(work, Step.A, Step.B, undone.append)
    leads(work, Step.B, Step.DONE, seconds=2)
    async with MemoryJournal() as journal, MemoryJournal(beside=journal) as other:
        await released(work, journal)
        late = Finishing(journal, partial(work.resume, "r", journal=other))
        with pytest.raises(RunAlreadyEnded, match="can't be cancelled: it is completed"):
            await work.cancel("r", journal=late)
        record = (await journal.load("r")).record
        assert (record.position.status, record.owner, undone) == (RunStatus.COMPLETED, None, [])


class Inner(Enum):
    A = auto()
    B = auto()
    OUT = auto()


def with_child(undo: Callable[[str], object], *, deep: bool = False, **options: Any) -> Workflow[Step, Any]:
    """A workflow whose child books, and then fails; or one that has such a child."""
    inner = Workflow(
        Inner, initial=Inner.A, exits=[Inner.OUT], name="inner", data=Notes, defaults=TaskConfig(retry=Retry.none())
    )
    books(inner, Inner.A, Inner.B, undo)
    leads(inner, Inner.B, Inner.OUT, fails)
    if deep:
        innermost, inner = inner, Workflow(Inner, initial=Inner.A, exits=[Inner.OUT], name="middle", data=Notes)
        books(inner, Inner.A, Inner.B, undo)
        inner.register_child(Inner.B, innermost, {Inner.OUT: Inner.OUT})
    work = new(**options)
    books(work, Step.A, Step.B, undo)
    work.register_child(Step.B, inner, {Inner.OUT: Step.DONE})
    return work


class Noting(ForwardingJournal):
    """Notes how each transaction leaves the runs; dies before one of them."""

    def __init__(self, inner: Journal, dies_at: RunStatus | None = None) -> None:
        super().__init__(inner)
        self.left: list[dict[str, RunStatus]] = []
        self.dies_at = dies_at

    async def commit(self, commit: Commit, /) -> int:
        if commit.position.status is self.dies_at:
            raise LeaseLost(commit.run_id, self.owner)
        rev = await super().commit(commit)
        self.left.append(dict(self._statuses(commit)))
        return rev

    def _statuses(self, commit: Commit) -> Iterator[tuple[str, RunStatus]]:
        yield commit.run_id, commit.position.status
        for other in commit.along:
            yield from self._statuses(other)


@pytest.mark.parametrize("deep", [False, True])
async def test_a_child_is_undone_at_last_together_with_its_parent(deep: bool) -> None:  # noqa: FBT001
    """What `retry_rollback` undoes of a child whose own rollback had failed ends rolled back, in the parent's transaction."""
    stays = True
    undone: list[str] = []

    def undo(receipt: str) -> None:
        if stays and receipt.startswith("r/1/"):
            raise TypeError("not now")
        undone.append(receipt)

    work = with_child(undo, deep=deep)
    family = ["r/1/1", "r/1", "r"] if deep else ["r/1", "r"]
    async with MemoryJournal() as journal:
        with pytest.raises(RollbackFailed):
            await work.run(Notes(), run_id="r", journal=journal)
        left = {run.run_id: run.position.status for run in await journal.runs()}
        assert left == dict.fromkeys(family, RunStatus.ROLLBACK_FAILED)
        with pytest.raises(RollbackFailed):
            await work.retry_rollback("r", journal=journal)
        left = {run.run_id: run.position.status for run in await journal.runs()}
        assert left == dict.fromkeys(family, RunStatus.ROLLBACK_FAILED)
        stays = False
        with pytest.raises(LeaseLost):  # between the last compensation and the end
            await work.retry_rollback("r", journal=Noting(journal, dies_at=RunStatus.ROLLED_BACK))
        noting = Noting(journal)
        with pytest.raises(RecordedFailure):
            await work.resume("r", journal=noting)
        assert noting.left[-1] == {"r": RunStatus.ROLLED_BACK, "r/1": RunStatus.ROLLED_BACK}
        left = {run.run_id: run.position.status for run in await journal.runs()}
        assert left == dict.fromkeys(family, RunStatus.ROLLED_BACK)
        assert {run.owner for run in await journal.runs()} == {None}
    assert undone == ["r/0", *(f"{key}/0" for key in family[:-1])]


async def test_what_is_held_waits_for_the_operator() -> None:
    """on_failure="hold" undoes nothing: the run may be retried, or rolled back by `retry_rollback`."""
    for how in ("retry", "roll back"):
        undone: list[str] = []
        broken = [True]

        def act(_: RunContext, broken: list[bool] = broken) -> None:
            if broken[0]:
                raise OSError("down")

        work = new(on_failure="hold")
        books(work, Step.A, Step.B, undone.append)
        leads(work, Step.B, Step.DONE, act)
        async with MemoryJournal() as journal:
            with pytest.raises(OSError, match="down"):
                await work.run(Notes(), run_id="r", journal=journal)
            assert (undone, await status(journal)) == ([], RunStatus.FAILED)
            if how == "retry":
                broken[0] = False
                assert (await work.retry("r", journal=journal)).data == Notes(["B"])
                assert undone == []
            else:
                await work.retry_rollback("r", journal=journal)
                assert (undone, await status(journal)) == (["r/0"], RunStatus.ROLLED_BACK)


async def test_a_run_that_nobody_carries_out_is_cancelled(autojump_clock: MockClock) -> None:
    """`cancel` undoes what a parked run has done; from then on `resume` says that it was cancelled."""
    undone: list[str] = []
    work = new()
    books(work, Step.A, Step.B, undone.append)
    leads(work, Step.B, Step.DONE, seconds=math.inf)
    async with MemoryJournal() as journal:
        await released(work, journal)
        rollback = await work.cancel("r", journal=journal, reason="nobody needs it")
        assert ([state for state, _ in rollback.undone], undone) == ([Step.A], ["r/0"])
        assert await status(journal) is RunStatus.CANCELLED
        with pytest.raises(RunCancelled, match="nobody needs it"):
            await work.resume("r", journal=journal)


async def test_a_run_that_has_done_nothing_is_cancelled(autojump_clock: MockClock) -> None:
    """`cancel` of a parked run with nothing to undo ends it all the same, and gives an empty rollback."""
    work = new()
    leads(work, Step.A, Step.B)
    leads(work, Step.B, Step.DONE, seconds=math.inf)
    async with MemoryJournal() as journal:
        await released(work, journal)
        assert (await work.cancel("r", journal=journal)).undone == ()
        assert await status(journal) is RunStatus.CANCELLED


async def test_work_that_may_have_begun_before_knows(autojump_clock: MockClock) -> None:
    """`RunContext.rerun` is true of the state that a run was stopped in, and of none after it."""
    seen: list[tuple[str, bool]] = []

    def act(ctx: RunContext) -> None:
        seen.append((ctx.state.name, ctx.rerun))

    work = new()
    leads(work, Step.A, Step.B, act)
    leads(work, Step.B, Step.C, act, seconds=5)
    leads(work, Step.C, Step.DONE, act)
    async with MemoryJournal() as journal:
        await released(work, journal)
        await work.resume("r", journal=journal)
    assert seen == [("A", False), ("B", False), ("B", True), ("C", False)]


async def test_a_timer_keeps_its_instant(autojump_clock: MockClock) -> None:
    """A run that is stopped while it waits goes on at the instant it was to go on at, or at once if that has passed."""
    for pause, end in ((10, 60), (100, 101)):
        begun = trio.current_time()
        work = new()

        @work.timer(Step.A)
        async def wait() -> float:
            return 60

        @wait.after_wait
        async def after(notes: Notes) -> Literal[Step.DONE]:
            return Step.DONE

        async with MemoryJournal() as journal:
            await released(work, journal)
            await trio.sleep(pause)
            await work.resume("r", journal=journal)
        assert trio.current_time() - begun == end
