"""What is read from a file: together, by an index, and never something else than what was written."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import apsw
import pytest
import trio
import trio.testing

from cano_trio import JournalError, RunNotFound, RunStatus
from cano_trio._journal.sqlite import creation, statements
from cano_trio._journal.sqlite.journal import SqliteJournal
from cano_trio._journal.sqlite.packed import RECORD
from cano_trio._journal.sqlite.schema import open_writer
from tests.journal.rows import new


async def test_a_question_is_dropped_by_a_cancel(tmp_path: Path) -> None:
    """A task that is cancelled while it waits for what it reads goes on at once, and is never told the answer."""
    answering = Event()
    scope = trio.CancelScope()
    async with SqliteJournal(tmp_path / "runs.db") as journal:

        async def ask() -> None:
            with scope:
                await journal.runs()
            assert scope.cancelled_caught
            answering.set()
            assert (await journal.load("a")).record.run_id == "a"

        await journal.create(new("a"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal._open.reader.read, lambda _: answering.wait())
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()


async def test_questions_are_answered_together(tmp_path: Path) -> None:
    """Three hundred tasks that read at once each get what they asked for, or the error that is theirs."""
    answers: dict[str, str] = {}

    async def ask(run_id: str) -> None:
        try:
            answers[run_id] = (await journal.load(run_id)).record.run_id
        except RunNotFound:
            answers[run_id] = "not found"

    async with SqliteJournal(tmp_path / "runs.db") as journal:
        for index in range(0, 300, 3):
            await journal.create(new(f"r{index}"))
        async with trio.open_nursery() as nursery:
            for index in range(300):
                nursery.start_soon(ask, f"r{index}")
    assert answers == {f"r{index}": "not found" if index % 3 else f"r{index}" for index in range(300)}


@pytest.mark.parametrize(
    "filters, index",
    [
        ({"status": {RunStatus.RUNNING}}, "cano_place_unfinished"),
        ({"status": {RunStatus.WAITING}, "workflow": "census"}, "cano_place_unfinished"),
        ({"due": 5.0}, "cano_place_due"),
        ({"due": 5.0, "status": {RunStatus.WAITING}}, "cano_place_due"),
        ({"parent": "p", "status": {RunStatus.WAITING}}, "cano_run_parent"),
        ({"labels": {"team": "x"}}, "cano_label"),
    ],
)
def test_few_runs_are_found_among_many(tmp_path: Path, filters: dict[str, Any], index: str) -> None:
    """Unfinished, due, started or labelled runs are found by an index, and not by going through all."""
    wanted: dict[str, Any] = {"workflow": None, "status": None, "labels": {}, "parent": None, "due": None, **filters}
    statement, parameters = statements.Wanted(**wanted, after=0, before=None, limit=10).select(RECORD)
    db = open_writer(str(tmp_path / "runs.db"), 1.0)
    plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    db.close()
    assert any(index in line for line in plan)
    assert not any(line.startswith("SCAN") or "(rowid>?)" in line for line in plan)


@pytest.mark.parametrize(
    "table, change",
    [
        ("place", "status='completed'"),
        ("run", "fixed=x'5b5b'"),
        ("place", "place=x'00'"),
        ("place", "place=x'" + "91" * 100_000 + "'"),
        ("run", "fixed=CAST(replace(fixed, 'census', 'cansus') AS BLOB)"),
        ("place", "place=CAST(replace(place, 'S0', 'S1') AS BLOB)"),
        ("run", "version=2"),
        ("place", "rev=1"),
        ("place", "epoch=2"),
        ("place", "number=77"),
    ],
)
async def test_a_row_that_was_edited_is_refused(
    tmp_path: Path, table: str, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that no journal wrote is a `JournalError` that names the run; the others are read as before, and listed."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await journal.create(new("edited"))
        await journal.create(new("whole"))
        db = apsw.Connection(str(path))
        db.execute(f"UPDATE cano_{table} SET {change} WHERE number=(SELECT number FROM cano_run WHERE run_id='edited')")
        db.close()
        with pytest.raises(JournalError, match="'edited' can't be read"):
            await journal.load("edited")
        with pytest.raises(JournalError, match="'edited' can't be read"):
            await journal.claim("edited")
        assert (await journal.load("whole")).record.run_id == "whole"
        for _ in range(2):
            assert [run.run_id for run in await journal.runs()] == ["whole"]
        assert [record.message.count("'edited' can't be read") for record in caplog.records] == [1]


async def test_a_run_under_another_name_is_refused(tmp_path: Path) -> None:
    """A run whose name was edited is given under neither name, and the examination tells of it."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        await journal.create(new("a"))
        db = apsw.Connection(str(path))
        db.execute("UPDATE cano_run SET run_id='b'")
        db.close()
        for ask in (journal.load, journal.claim):
            with pytest.raises(JournalError, match="'b' can't be read"):
                await ask("b")
            with pytest.raises(RunNotFound):
                await ask("a")
        assert [line for line in (await journal.examine()).unreadable if "'a'" in line]


async def test_a_broken_page_is_told(tmp_path: Path) -> None:
    """A file whose pages are overwritten is a `JournalError`, at opening or at reading, and never a wrong answer."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        for index in range(50):
            await journal.create(new(f"r{index}", data=b"x" * 1000))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(JournalError, match="malformed"):
        async with SqliteJournal(path) as journal:
            await journal.runs()


def test_a_statement_is_planned_once(tmp_path: Path) -> None:
    """SQLite plans a statement of ours when it is first used, and not again at each call with other values."""
    db = open_writer(str(tmp_path / "runs.db"), 1.0)
    planned = 0

    def allow(*_: object) -> int:  # it is asked while a statement is planned
        nonlocal planned
        planned += 1
        return apsw.SQLITE_OK

    db.authorizer = allow
    with db:
        for index in range(3):
            creation.create(db, new(f"r{index}"))
    seen = []
    for index in range(3):
        statements.load(db, f"r{index}")
        statements.history(db, f"r{index}")
        seen.append(planned)
    db.close()
    assert seen[0] == seen[1] == seen[2] > 0
