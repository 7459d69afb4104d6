"""SQL of the user's, which happens with a commit or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from msgspec.structs import replace

from cano_trio import StatementFailed
from cano_trio._journal.memory import MemoryJournal
from cano_trio._journal.rows import Fence, Statement
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import new, step

TABLE = Statement("CREATE TABLE seat(place TEXT PRIMARY KEY, guest TEXT)")


async def with_table(journal: SqliteJournal) -> Fence:
    """A run whose first commit made a table with one row."""
    fence = (await journal.create(new("a", journal.owner))).fence
    taken = Statement("INSERT INTO seat VALUES (?,?)", ("A1", "mo"))
    await journal.commit(replace(step("a", fence), statements=(TABLE, taken)))
    return replace(fence, rev=1)


def seats(path: Path) -> list[Any]:
    """What another program finds in the table."""
    db = apsw.Connection(str(path))
    try:
        return db.execute("SELECT place, guest FROM seat ORDER BY place").fetchall()
    finally:
        db.close()


async def test_statements_happen_with_the_commit(tmp_path: Path) -> None:
    """P3: all statements of a commit are applied with it, with parameters by place or by name."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = await with_table(journal)
        named = Statement("INSERT INTO seat VALUES (:place, :guest)", {"place": "A2", "guest": "it's"})
        returning = Statement("UPDATE seat SET guest=guest||'!' RETURNING guest; -- and no more")
        await journal.commit(replace(step("a", fence), statements=(named, returning)))
        assert seats(tmp_path / "runs.db") == [("A1", "mo!"), ("A2", "it's!")]


WRONG = {
    "INSERT INTO seat VALUES ('A1', 'jo')": "UNIQUE",
    "INSERT OR ROLLBACK INTO seat VALUES ('A1', 'jo')": "UNIQUE",
    "INSERT INTO chair VALUES (1)": "no such table",
    "INSERT INTO seat VALUES ('A9', ?)": "bindings",
    "INSERT INTO seat VALUES ('A9', :guest)": "bindings",
    "SELEC": "syntax error",
    "DELETE FROM seat; DELETE FROM seat": "more than one statement",
    "DELETE FROM seat; /* then */ SELECT 1": "more than one statement",
    "SELECT * FROM cano_run": r"cano_\* are the journal's",
    "DELETE FROM CANO_LOG": r"cano_\* are the journal's",
    "UPDATE cano_schedule SET rev=0": r"cano_\* are the journal's",
    "DROP TABLE cano_owner": r"cano_\* are the journal's",
    "ALTER TABLE cano_run RENAME TO mine": r"cano_\* are the journal's",
    "CREATE INDEX mine ON cano_run(state)": r"cano_\* are the journal's",
    "CREATE TRIGGER mine AFTER INSERT ON cano_run BEGIN SELECT 1; END": r"cano_\* are the journal's",
    "CREATE TABLE cano_mine(x)": r"cano_\* are the journal's",
    "INSERT INTO seat SELECT run_id, 'x' FROM cano_run": r"cano_\* are the journal's",
    "PRAGMA synchronous=OFF": "PRAGMA",
    "SELECT * FROM pragma_table_info('seat')": "PRAGMA",
    "ATTACH ':memory:' AS other": "ATTACH",
    "VACUUM": "VACUUM",
    "COMMIT": "transaction is the journal's",
    "ROLLBACK": "transaction is the journal's",
    "SAVEPOINT mine": "transaction is the journal's",
    "RELEASE '_apsw-0'": "transaction is the journal's",
}


@pytest.mark.parametrize("text", WRONG)
async def test_a_statement_that_fails_refuses_its_commit_alone(tmp_path: Path, text: str) -> None:
    """A statement that fails or does what it may not refuses its commit as a whole; those in the same batch are written."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = await with_table(journal)
        neighbours = [(await journal.create(new(f"n{index}", journal.owner))).fence for index in range(3)]
        first = Statement("INSERT INTO seat VALUES ('B1', 'jo')")

        async def refused() -> None:
            with pytest.raises(StatementFailed, match=WRONG[text]) as caught:
                await journal.commit(replace(step("a", fence), statements=(first, Statement(text))))
            assert caught.value.statement == text

        async with trio.open_nursery() as nursery:
            for index, neighbour in enumerate(neighbours):
                nursery.start_soon(journal.commit, step(f"n{index}", neighbour))
                if index == 1:
                    nursery.start_soon(refused)
        assert [run.rev for run in await journal.runs()] == [1, 1, 1, 1]
        assert len(await journal.history("a")) == 1
        assert seats(tmp_path / "runs.db") == [("A1", "mo")]
        await journal.commit(replace(step("a", fence), statements=(first,)))
        assert seats(tmp_path / "runs.db") == [("A1", "mo"), ("B1", "jo")]


async def test_a_trigger_reaches_no_further(tmp_path: Path) -> None:
    """A trigger of the user's on a table of its own is refused as soon as it would touch the journal's."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = await with_table(journal)
        trigger = Statement("CREATE TRIGGER sly AFTER UPDATE ON seat BEGIN DELETE FROM cano_run; END")
        await journal.commit(replace(step("a", fence), statements=(trigger,)))
        fires = Statement("UPDATE seat SET guest='x'")
        with pytest.raises(StatementFailed, match="are the journal's"):
            await journal.commit(replace(step("a", replace(fence, rev=2)), statements=(fires,)))
        assert [run.rev for run in await journal.runs()] == [2]


async def test_a_text_of_ours_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    """A statement with the very text of one of the journal's own is refused as any other that touches its tables."""
    async with SqliteJournal(tmp_path / "runs.db") as journal:
        fence = await with_table(journal)
        await journal.commit(replace(step("a", fence), consumed=(1,)))
        ours = Statement("DELETE FROM cano_inbox WHERE run=? AND number=?", (1, 1))
        with pytest.raises(StatementFailed, match="are the journal's"):
            await journal.commit(replace(step("a", replace(fence, rev=2)), statements=(ours,)))


async def test_memory_knows_no_sql() -> None:
    """The journal in memory refuses SQL, and names the one that knows it."""
    async with MemoryJournal() as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        with pytest.raises(StatementFailed, match=r"this journal knows no SQL\. Use SqliteJournal"):
            await journal.commit(replace(step("a", fence), statements=(TABLE,)))
        assert (await journal.load("a")).record.rev == 0
