"""The workflow that does what its script says, and a journal that dies at one of its writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, TypeVar

import attrs

from cano_trio import BranchResults, JournalError, LeaseLost, More, Retry, RunContext, Split, Workflow
from cano_trio.journals import ForwardingJournal, Journal, NewRun, RunRecord, StoredRun
from tests.durable.oracle import STEPS, Script, Step

T = TypeVar("T")

How = Literal["before", "after", "told failed", "lost"]
"""What happens at a write: the process dies before or after it, it is told to have failed, or another process has the run."""

WRITES = {"create", "commit", "claim"}
"""The calls of a journal at which a process dies."""

Next = Literal[Step.NEXT]


class ScriptFailed(Exception):
    """The script says so."""


class Died(BaseException):
    """The process is gone."""


@dataclass
class Go:
    """A message that a script waits for."""

    number: int


class Inner(Enum):
    """The states of the child."""

    FIRST = auto()
    SECOND = auto()
    OVER = auto()


@attrs.define
class Ledger:
    """What the outside world saw: each call of a task, by its idempotency key."""

    calls: list[tuple[str, str]] = attrs.Factory(list)

    def note(self, what: str, ctx: RunContext) -> None:
        """A task was called."""
        self.calls.append((what, ctx.idempotency_key))

    def keys(self, what: str) -> list[str]:
        """The keys of all calls of a kind, in order."""
        return [key for kind, key in self.calls if kind == what]


def child(ledger: Ledger) -> Workflow[Inner, Script]:
    """The child workflow."""
    inner = Workflow(Inner, initial=Inner.FIRST, exits=[Inner.OVER], name="inner", data=Script)

    @inner.task(Inner.FIRST)
    async def first(ctx: RunContext) -> Literal[Inner.SECOND]:
        ledger.note("first", ctx)
        return Inner.SECOND

    @inner.task(Inner.SECOND)
    async def second(script: Script, ctx: RunContext) -> Literal[Inner.OVER]:
        ledger.note("second", ctx)
        script.at += 1
        return Inner.OVER

    return inner


def scripted(ledger: Ledger) -> Workflow[Step, Script]:
    """The workflow, with its effects in a ledger."""
    workflow = Workflow(Step, initial=Step.NEXT, exits=[Step.DONE], name="scripted", data=Script)
    workflow.register_child(Step.CHILD, child(ledger), {Inner.OVER: Step.NEXT})

    @workflow.router(Step.NEXT)
    async def choose(script: Script) -> Step:
        return Step[script.todo[script.at]] if script.at < len(script.todo) else Step.DONE

    @workflow.task(Step.TASK)
    async def task(script: Script, ctx: RunContext) -> Next:
        ledger.note("task", ctx)
        script.at += 1
        return Step.NEXT

    @workflow.compensatable(Step.SAGA)
    async def saga(script: Script, ctx: RunContext) -> tuple[Next, str]:
        ledger.note("saga", ctx)
        script.at += 1
        return Step.NEXT, ctx.idempotency_key

    @saga.compensate
    async def undo(receipt: str, ctx: RunContext) -> None:
        assert receipt == ctx.forward_key
        ledger.note("undo", ctx)

    _add_waits(workflow, ledger)
    _add_parts(workflow, ledger)

    @workflow.task(Step.FAIL, retry=Retry.none())
    async def fail(ctx: RunContext) -> Next:
        ledger.note("fail", ctx)
        raise ScriptFailed

    return workflow


def _add_waits(workflow: Workflow[Step, Script], ledger: Ledger) -> None:
    @workflow.timer(Step.TIMER)
    async def timer(ctx: RunContext) -> float:
        ledger.note("wait", ctx)
        return 60

    @timer.after_wait
    async def ring(script: Script, ctx: RunContext) -> Next:
        ledger.note("ring", ctx)
        script.at += 1
        return Step.NEXT

    @workflow.receive(Step.RECEIVE)
    async def receive(go: Go, script: Script, ctx: RunContext) -> Next:
        ledger.note(f"go {go.number}", ctx)
        script.at += 1
        return Step.NEXT


def _add_parts(workflow: Workflow[Step, Script], ledger: Ledger) -> None:
    @workflow.stepped(Step.STEPS)
    async def steps(cursor: int | None, script: Script, ctx: RunContext) -> More[int] | Next:
        ledger.note("step", ctx)
        if (done := cursor or 0) < STEPS:
            script.steps += 1
            return More(done + 1)
        script.at += 1
        return Step.NEXT

    async def left(ctx: RunContext) -> str:
        ledger.note("left", ctx)
        return "left"

    async def right(ctx: RunContext) -> str:
        ledger.note("right", ctx)
        return "right"

    workflow.register_split(Step.SPLIT, Split.all({"left": left, "right": right}, Step.JOIN, bulkhead=1))

    @workflow.task(Step.JOIN)
    async def join(results: BranchResults[str], script: Script, ctx: RunContext) -> Next:
        assert results.successes == {"left": "left", "right": "right"}
        ledger.note("join", ctx)
        script.at += 1
        return Step.NEXT


class Dying(ForwardingJournal):
    """A journal whose process dies at one of its writes, before it or after it; or that reports it as failed.

    Args:
        inner: the journal.
        at: the number of the write, from 1; 0 for none.
        how: what happens there.
    """

    def __init__(self, inner: Journal, at: int, how: How) -> None:
        super().__init__(inner)
        self.at = at
        self.how = how
        self.made: list[str] = []
        self.dead = False
        self.lost = False

    async def __aexit__(self, *exc_info: object) -> None:
        if not self.dead:
            await super().__aexit__(*exc_info)

    async def create(self, run: NewRun, /) -> RunRecord:
        self._live()
        if any(there.run_id == run.run_id for there in await self.inner.runs()):  # refused, so it is no write
            return await self.inner.create(run)
        return await super().create(run)

    async def claim(self, run_id: str, /) -> StoredRun | None:
        self._live()
        await self.inner.load(run_id)  # what is not there is not claimed
        return await super().claim(run_id)

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        self._live()
        return await (self._write(method, call) if method in WRITES else call())

    def _live(self) -> None:
        if self.dead:
            raise Died

    async def _write(self, name: str, write: Callable[[], Awaitable[T]]) -> T:
        self.made.append(name)
        here = len(self.made) == self.at
        if self.lost or (here and self.how == "lost" and name == "commit"):
            self.lost = True
            raise LeaseLost("r", self.owner)
        if here and self.how == "before":
            self.dead = True
            raise Died
        result = await write()
        if here and self.how == "after":
            self.dead = True
            raise Died
        if here and self.how == "told failed" and name in {"create", "commit"}:
            raise JournalError("nobody knows whether it was written")
        return result
