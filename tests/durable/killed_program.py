"""A program whose processes are killed and frozen: it forks one for each run that it is asked for.

Forking a process that has imported all takes milliseconds, where starting Python takes a third of a second. Commands come on
stdin, one a line: ``start MODE PATH LEASE`` answers with a process id, ``wait PID`` with how that process ended.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Literal

import trio

from cano_trio import (
    BatchResults,
    BranchResults,
    CompensatableTask,
    LeaseLost,
    More,
    NotOwner,
    RecordedFailure,
    Resources,
    Retry,
    RunBlocked,
    RunContext,
    RunFailed,
    Split,
    Workflow,
)
from cano_trio.journals import SqliteJournal

RUN = "r"
ITEMS = 12
STEPS = 5

COMPLETED, FAILED, NOT_OWNER, LEASE_LOST = 0, 1, 3, 4
"""How a process ends."""


class Step(Enum):
    FETCH = auto()
    CRUNCH = auto()
    CHOOSE = auto()
    ASK = auto()
    BOOK = auto()
    CHARGE = auto()
    WALK = auto()
    GATE = auto()
    SEND = auto()
    DONE = auto()


@dataclass
class Work:
    """What a run has done; each state writes into it."""

    fails: bool
    visits: dict[str, int] = field(default_factory=dict)
    squares: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def visit(self, ctx: RunContext) -> None:
        self.visits[ctx.state.name] = self.visits.get(ctx.state.name, 0) + 1


class World:
    """What is outside: a file to which each effect appends a line, and a gate that a file opens."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(f"{path}.effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.gate = Path(f"{path}.gate")

    def effect(self, ctx: RunContext) -> None:
        os.write(self.file, f"{ctx.idempotency_key}\n".encode())


workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], name="killed", data=Work)


@workflow.task(Step.FETCH)
async def fetch(work: Work, world: World, ctx: RunContext) -> Literal[Step.CRUNCH]:
    world.effect(ctx)
    ctx.sql("CREATE TABLE IF NOT EXISTS ledger(key TEXT)")
    work.visit(ctx)
    return Step.CRUNCH


@workflow.batch(Step.CRUNCH, concurrency=2)
async def crunch(item: int, world: World, ctx: RunContext) -> int:
    world.effect(ctx)
    await trio.sleep(0.01)
    return item * item


@crunch.load
async def load() -> list[int]:
    return list(range(ITEMS))


@crunch.finish
async def add_up(results: BatchResults[int, int], work: Work, ctx: RunContext) -> Literal[Step.CHOOSE]:
    work.squares = sum(results.values)
    work.visit(ctx)
    return Step.CHOOSE


@workflow.router(Step.CHOOSE)
async def choose() -> Literal[Step.ASK]:
    return Step.ASK


class Ask(CompensatableTask[Step, str]):
    """A branch that can be undone."""

    def __init__(self, answer: int) -> None:
        self.answer = answer

    async def run(self, world: World, ctx: RunContext) -> tuple[int, str]:  # type: ignore[override]
        world.effect(ctx)
        return self.answer, ctx.idempotency_key

    async def compensate(self, receipt: str, world: World, ctx: RunContext) -> None:
        assert receipt == ctx.forward_key
        world.effect(ctx)


async def look(world: World, ctx: RunContext) -> int:
    """A branch that can't, and needs not."""
    world.effect(ctx)
    await trio.sleep(0.001)
    return 1


workflow.register_split(Step.ASK, Split.all({"east": Ask(2), "west": Ask(3), "look": look}, Step.BOOK))


@workflow.compensatable(Step.BOOK)
async def book(
    answers: BranchResults[int], work: Work, world: World, ctx: RunContext
) -> tuple[Literal[Step.CHARGE], str]:
    world.effect(ctx)
    work.answers = dict(sorted(answers.successes.items()))
    work.visit(ctx)
    return Step.CHARGE, ctx.idempotency_key


@workflow.compensatable(Step.CHARGE)
async def charge(work: Work, world: World, ctx: RunContext) -> tuple[Literal[Step.WALK], str]:
    world.effect(ctx)
    ctx.sql("INSERT INTO ledger VALUES (?)", (ctx.idempotency_key,))
    work.visit(ctx)
    return Step.WALK, ctx.idempotency_key


@book.compensate
@charge.compensate
async def undo(receipt: str, work: Work, world: World, ctx: RunContext) -> None:
    assert receipt == ctx.forward_key
    world.effect(ctx)
    work.visit(ctx)


@workflow.stepped(Step.WALK)
async def walk(cursor: int | None, work: Work, world: World, ctx: RunContext) -> More[int] | Literal[Step.GATE]:
    world.effect(ctx)
    work.steps.append(cursor or 0)
    return More((cursor or 0) + 1) if (cursor or 0) + 1 < STEPS else Step.GATE


@workflow.task(Step.GATE)
async def pass_gate(world: World, ctx: RunContext) -> Literal[Step.SEND]:
    world.effect(ctx)
    while not world.gate.exists():  # noqa: ASYNC110  (another process opens it)
        await trio.sleep(0.005)
    return Step.SEND


@workflow.task(Step.SEND, retry=Retry.none())
async def send(work: Work, world: World, ctx: RunContext) -> Literal[Step.DONE]:
    world.effect(ctx)
    work.visit(ctx)
    if work.fails:
        raise ConnectionError("nobody is there")
    return Step.DONE


async def carry_out(mode: str, path: Path, lease: float) -> int:
    """Begin the run, or go on with it; how that ended."""
    resources = Resources(world=World(path))
    async with SqliteJournal(path, lease=lease) as journal:
        try:
            try:
                await workflow.run(
                    Work(fails=mode == "fails"), run_id=RUN, journal=journal, on_duplicate="attach", resources=resources
                )
            except RunBlocked as error:
                if error.reason != "crash_loop":
                    raise
                await workflow.retry(RUN, journal=journal, resources=resources)
        except (ConnectionError, RecordedFailure, RunFailed):
            return FAILED
        except NotOwner:
            return NOT_OWNER
        except LeaseLost:
            return LEASE_LOST
        return COMPLETED


def serve() -> None:
    """Do what stdin says."""
    for line in sys.stdin:
        match line.split():
            case ["start", mode, path, lease]:
                if (child := os.fork()) == 0:
                    begin(mode, Path(path), float(lease))
                print(child, flush=True)  # noqa: T201
            case ["wait", child_id]:
                _, status = os.waitpid(int(child_id), 0)
                print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
            case _:
                raise ValueError(line)


def begin(mode: str, path: Path, lease: float) -> None:
    """Be the process of a run."""
    code = 70
    try:
        code = trio.run(partial(carry_out, mode, path, lease))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
