"""The user's SQL happens together with the transition that asked for it: exactly once, whatever crashes."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import Literal

import apsw
import pytest

from cano_trio import More, Retry, RunContext, StatementFailed, TaskConfig, Workflow
from cano_trio._journal.protocol import Journal
from cano_trio.journals import SqliteJournal
from cano_trio.testing import Laboratory, explore_crashes
from tests.durable.crashing import Scene, act, scenario


class Step(Enum):
    A = auto()
    B = auto()
    C = auto()
    DONE = auto()


work = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="sql", defaults=TaskConfig(retry=Retry.none()))


@work.task(Step.A)
async def create(ctx: RunContext) -> Literal[Step.B]:
    act(ctx)
    ctx.sql("CREATE TABLE booked (what TEXT)")
    return Step.B


@work.stepped(Step.B)
async def step(cursor: int | None, ctx: RunContext) -> More[int] | Literal[Step.C]:
    act(ctx)
    ctx.sql("INSERT INTO booked VALUES (?)", (f"step {cursor}",))
    return Step.C if cursor == 2 else More((cursor or 0) + 1)


@work.task(Step.C)
async def last(ctx: RunContext) -> Literal[Step.DONE]:
    act(ctx)
    ctx.sql("INSERT INTO booked VALUES (:what)", {"what": "last"})
    return Step.DONE


async def client(journal: Journal) -> object:
    return await work.run(run_id="r", journal=journal, on_duplicate="attach")


SCENE = Scene(name="sql", client=client)


def test_it_happens_exactly_once() -> None:
    """With a crash at any write, each row that a finished state or step has inserted is there once."""
    places: list[Path] = []

    def in_file(folder: Path) -> Journal:
        places.append(folder / "runs.db")
        return SqliteJournal(places[-1])

    def look(_: Laboratory) -> None:
        db = apsw.Connection(str(places[-1]))
        rows = [what for (what,) in db.execute("SELECT what FROM booked ORDER BY rowid")]
        db.close()
        assert rows == ["step None", "step 1", "step 2", "last"]

    explore_crashes(scenario(SCENE), journal=in_file, check=look)


async def test_a_statement_that_fails_leads_by_on_error(tmp_path: Path) -> None:
    """It is a failure of the state: nothing of the transition was written, and an `on_error` leads on."""
    failing = Workflow(Step, initial=Step.A, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.none()))
    errors: list[BaseException | None] = []

    @failing.task(Step.A, on_error={StatementFailed: Step.B})
    async def insert(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.sql("CREATE TABLE kept (what TEXT)")
        ctx.sql("INSERT INTO nowhere VALUES (1)")
        return Step.DONE

    @failing.task(Step.B)
    async def tell(ctx: RunContext) -> Literal[Step.DONE]:
        errors.append(ctx.error)
        ctx.sql("CREATE TABLE kept (what TEXT)")
        return Step.DONE

    async with SqliteJournal(tmp_path / "runs.db") as journal:
        result = await failing.run(run_id="r", journal=journal)
        assert result.path == (Step.A, Step.B, Step.DONE)
        rows = await journal.history("r")
    assert isinstance(errors[0], StatementFailed)
    assert [(row.state, row.error.type if row.error else None) for row in rows] == [
        ("A", "StatementFailed"),
        ("B", None),
    ]


async def test_a_statement_that_fails_fails_the_run(tmp_path: Path) -> None:
    """Where nothing leads on, the run fails with it, and can be retried."""
    failing = Workflow(Step, initial=Step.A, exits=[Step.DONE], defaults=TaskConfig(retry=Retry.none()))
    table = "nowhere"

    @failing.task(Step.A)
    async def insert(ctx: RunContext) -> Literal[Step.DONE]:
        ctx.sql(f"CREATE TABLE {table} (what TEXT)" if table == "there" else f"INSERT INTO {table} VALUES (1)")
        return Step.DONE

    async with SqliteJournal(tmp_path / "runs.db") as journal:
        with pytest.raises(StatementFailed, match="nowhere"):
            await failing.run(run_id="r", journal=journal)
        assert (await journal.load("r")).record.position.status.value == "failed"
        table = "there"
        assert (await failing.retry("r", journal=journal)).state is Step.DONE
