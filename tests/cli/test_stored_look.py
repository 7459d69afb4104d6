"""What the command tells of a journal, and takes out of it: list, show, rm, doctor."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from msgspec.structs import replace

from cano_trio import RunStatus
from cano_trio.cli.store import latest
from cano_trio.journals import Commit, ForwardingJournal, MemoryJournal, NewRun, Position, SqliteJournal
from tests.cli.test_stored_run import ORDER, PLAIN, crash

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start

T = TypeVar("T")


def change(file: Path, statement: str) -> None:
    """Change a journal by hand."""
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(statement)


def put(file: Path, run_id: str, status: RunStatus, reason: str | None) -> None:
    """Have a run stand in some way."""

    async def write() -> None:
        async with SqliteJournal(file) as journal:
            stored = await journal.claim(run_id)
            assert stored is not None
            position = replace(stored.record.position, status=status, reason=reason)
            await journal.commit(Commit(run_id=run_id, fence=stored.record.fence, position=position, release=True))

    trio.run(write)


def fail(command: Command, shop: Path, run_id: str) -> None:
    """Have a run fail."""
    (shop / "mode").write_text("fail")
    assert command("run", PLAIN, "--run-id", run_id).exit_code == 1
    (shop / "mode").unlink()


def test_a_list_has_a_line_for_each_run(command: Command, shop: Path) -> None:
    """The latest is the last, with why it is where it is."""
    command("run", ORDER, "--run-id", "a")
    fail(command, shop, "second")
    lines = [line.split("  ") for line in command("list").stdout.splitlines()]
    columns = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert columns[0] == ["RUN", "WORKFLOW", "STATUS", "STATE", "FOR", "WHY"]
    assert columns[1][:4] == ["a", "order", "completed", "DONE"]
    assert (columns[2][:4], columns[2][5]) == (
        ["second", "plain", "failed", "SHIP"], "OSError: no \\u001b[2J ship",
    )  # fmt: skip


@pytest.mark.parametrize(
    "options, expected",
    [
        ([], ["a", "b", "c"]),
        (["--workflow", "plain"], ["b"]),
        (["--status", "failed", "--status", "running"], ["b"]),
        (["--status", "completed"], ["a", "c"]),
        (["--limit", "2"], ["b", "c"]),
        (["--all"], ["a", "b", "c", "c/0"]),
        (["--workflow", "nothing"], []),
    ],
)
def test_a_list_has_the_runs_that_are_wanted(
    command: Command, shop: Path, options: list[str], expected: list[str]
) -> None:
    """By workflow, by status, the latest; those of child workflows if they are asked for."""
    command("run", ORDER, "--run-id", "a")
    fail(command, shop, "b")
    command("run", "stored.py:outer", "--run-id", "c")
    assert [run["run_id"] for run in json.loads(command("list", "--json", *options).stdout)] == expected
    assert len(command("list", *options).stdout.splitlines()) == len(expected) + bool(expected)


def test_a_long_id_does_not_push_all_else_out_of_sight(command: Command, shop: Path) -> None:
    """`list` and `top` shorten it in the middle; JSON has it whole."""
    long = f"begin{'-' * 400}end"
    command("run", PLAIN, "--detach", "--run-id", long)
    for verb in ("list", "top"):
        lines = command(verb).stdout.splitlines()
        name = lines[1].split()[0]
        assert (name[:6], name[-4:], "…" in name, len(name)) == ("begin-", "-end", True, 48)
        assert max(map(len, lines)) < 200
        assert json.loads(command(verb, "--json").stdout)[0]["run_id"] == long


def test_a_list_of_more_runs_than_are_read_at_once(command: Command, shop: Path) -> None:
    """It has them all."""
    command("run", ORDER, "--run-id", "a")

    async def add() -> None:
        async with SqliteJournal(shop / "runs.db") as journal, trio.open_nursery() as nursery:
            record = (await journal.load("a")).record
            for number in range(1500):
                new = NewRun(run_id=f"r{number}", workflow="order", version=1, position=record.position, data=b"{}")
                nursery.start_soon(journal.create, new)

    trio.run(add)
    assert len(json.loads(command("list", "--json").stdout)) == 1501


class CountingJournal(ForwardingJournal):
    """Counts the pages that are read."""

    pages = 0

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        self.pages += method == "runs"
        return await super().forward(method, call)


async def test_the_latest_runs_are_found_from_the_end() -> None:
    """So many pages are read as it takes for N of them, and not the whole journal; those inside others may be left out."""
    position = Position(state="S", status=RunStatus.RUNNING, seq=0, entered_at=0)
    async with CountingJournal(MemoryJournal()) as journal:
        for number in range(2500):
            parent = "r1" if 1000 <= number < 2499 else None
            new = NewRun(run_id=f"r{number}", workflow="w", version=1, position=position, data=b"", parent=parent)
            await journal.create(new)

        async def found(limit: int | None, *, inner: bool) -> tuple[list[str], int]:
            journal.pages = 0
            return [run.run_id for run in await latest(journal, None, None, limit, inner=inner)], journal.pages

        assert await found(3, inner=True) == (["r2497", "r2498", "r2499"], 1)
        assert await found(1, inner=False) == (["r2499"], 1)
        assert await found(3, inner=False) == (["r998", "r999", "r2499"], 2)
        assert await found(None, inner=False) == ([*(f"r{number}" for number in range(1000)), "r2499"], 4)


def test_show_tells_all_of_a_run(command: Command, start: Start, shop: Path) -> None:
    """Where it is, since when, who holds it, its data and its history."""
    crash(start, shop, ORDER, "--run-id", "a")
    lines = command("show", "a").stdout.splitlines()
    assert lines[:2] == ["run       a", "workflow  order, version 1"]
    assert lines[2].startswith("status    running in SHIP since 20")
    assert lines[3] == "waits     for a runtime: the next one that claims it goes on with it"
    assert (lines[4].startswith("owner     process "), lines[4].endswith("which is gone: it can be resumed")) == (
        True,
        True,
    )
    assert lines[5:11] == ["data", "  {", '    "item": "tea",', '    "notes": [', '      "paid"', "    ]"]
    assert (lines[12], lines[13].startswith("    0 PAY > SHIP: 20")) == ("history", True)
    answer = json.loads(command("show", "a", "--json").stdout)
    assert (answer["status"], answer["held"], answer["data"]) == ("running", False, {"item": "tea", "notes": ["paid"]})
    assert [(row["state"], row["next"], row["receipt"]) for row in answer["history"]] == [("PAY", "SHIP", 3)]


def test_show_tells_why_a_run_failed_and_breaks_no_terminal(command: Command, shop: Path) -> None:
    """The failure stands there with its traceback; what a terminal would obey is written out."""
    fail(command, shop, "a\x1b[31m\nb")
    result = command("show", "a\x1b[31m\nb")
    assert "run       a\\u001b[31m\\u000ab" in result.stdout.splitlines()
    assert "failure\n  OSError: no \\u001b[2J ship\n  Traceback (most recent call last):\n" in result.stdout
    assert "\x1b" not in result.stdout + command("list").stdout + command("show", "a\x1b[31m\nb", "--json").stdout


def test_show_names_the_runs_inside(command: Command, shop: Path) -> None:
    """Those of child workflows, with where they are."""
    command("run", "stored.py:outer", "--run-id", "a")
    assert "child     a/0: completed in DONE" in command("show", "a").stdout.splitlines()
    assert json.loads(command("show", "a", "--json").stdout)["children"] == ["a/0"]
    assert "parent    a" in command("show", "a/0").stdout.splitlines()


def test_data_that_somebody_has_broken_are_refused(command: Command, shop: Path) -> None:
    """A row that something else has changed is told in one line, and never shown as if it were the run's."""
    command("run", ORDER, "--run-id", "a")
    change(shop / "runs.db", "UPDATE cano_data SET data=x'7b7d'")
    result = command("show", "a")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: run 'a' can't be read: ")
    assert len(result.stderr.splitlines()) == 1


def test_rm_removes_what_is_over_with_what_is_inside(command: Command, shop: Path) -> None:
    """The runs of its child workflows go with it, and its id is not used again."""
    command("run", "stored.py:outer", "--run-id", "a")
    result = command("rm", "a", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"removed": ["a", "a/0"]})
    assert json.loads(command("list", "--all", "--json").stdout) == []
    result = command("run", "stored.py:outer", "--run-id", "a")
    assert (result.exit_code, result.stderr) == (
        2, "Error: there was a run 'a' already, completed. Give the new one another id\n",
    )  # fmt: skip


def test_rm_leaves_what_is_not_over(command: Command, start: Start, shop: Path) -> None:
    """It takes --force; and a run inside another goes only with that one."""
    crash(start, shop, "stored.py:outer", "--run-id", "a")
    result = command("rm", "a")
    assert (result.exit_code, result.stderr) == (
        2, "Error: run 'a' is not over but running: cancel it first, or remove it with --force\n",
    )  # fmt: skip
    assert command("rm", "a/0", "--force").exit_code == 2
    assert command("rm", "a", "--force").stdout == "removed a\n"
    assert json.loads(command("list", "--all", "--json").stdout) == []


def test_rm_never_takes_a_run_from_a_living_process(command: Command, start: Start, shop: Path) -> None:
    """Not even by force."""
    (shop / "mode").write_text("sleep")
    process = start("run", ORDER, "--run-id", "a")
    assert process.stdout is not None
    assert process.stdout.readline() == "shipping\n"
    result = command("rm", "a", "--force")
    assert (result.exit_code, "held by another process" in result.stderr) == (2, True)
    assert json.loads(command("show", "a", "--json").stdout)["held"] is True


def test_doctor_finds_a_journal_well(command: Command, start: Start, shop: Path) -> None:
    """It counts the runs, and names those that wait for somebody to resume them."""
    command("run", ORDER, "--run-id", "a")
    crash(start, shop, ORDER, "--run-id", "b")
    result = command("doctor")
    assert (result.exit_code, result.stdout.splitlines()) == (0, [
        "runs.db: journal of version 1, whole",
        "2 runs: 1 running, 1 completed",
        "carried out by nobody, and to be resumed: b",
    ])  # fmt: skip


def test_doctor_names_the_runs_that_need_somebody(command: Command, start: Start, shop: Path) -> None:
    """Blocked ones, those that could not be undone, those that processes die with, and rows that can't be read."""
    for run_id in "abce":
        command("run", ORDER, "--run-id", run_id)
    for _ in range(3):
        crash(start, shop, ORDER, "--run-id", "d")
    put(shop / "runs.db", "a", RunStatus.BLOCKED, "data: odd")
    put(shop / "runs.db", "c", RunStatus.ROLLBACK_FAILED, None)
    change(
        shop / "runs.db", "UPDATE cano_place SET status='?' WHERE number=(SELECT number FROM cano_run WHERE run_id='e')"
    )
    result = command("doctor", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], len(answer["unreadable"])) == (1, False, 1)
    assert answer["unreadable"][0].startswith("run 'e' can't be read: ")
    assert answer["idle"] == []
    assert answer["needy"]["a"] == "blocked: data: odd"
    assert answer["needy"]["c"].startswith("not all was undone: ")
    assert answer["needy"]["d"] == "2 processes in a row have died with it in SHIP"
    told = command("doctor")
    assert (told.exit_code, told.stdout.splitlines()[2:]) == (1, [*answer["unreadable"], *(
        f"{run_id}: {answer['needy'][run_id]}" for run_id in "acd"
    )])  # fmt: skip


def test_doctor_names_what_is_outermost(command: Command, start: Start, shop: Path) -> None:
    """A run that does a state's work of another is told of with that one, whatever is wrong with it."""
    crash(start, shop, "stored.py:outer", "--run-id", "a")
    answer = json.loads(command("doctor", "--json").stdout)
    assert (answer["ok"], answer["statuses"], answer["idle"]) == (True, {"running": 1}, ["a"])


def test_doctor_sees_a_damaged_file(command: Command, shop: Path) -> None:
    """A flipped page is damage, told without writing to the file: exit code 1, no traceback."""
    command("run", ORDER, "--run-id", "a")
    file = shop / "runs.db"
    body = bytearray(file.read_bytes())
    body[4096:4200] = bytes(104)
    file.write_bytes(body)
    result = command("doctor")
    assert (result.exit_code, result.stdout.splitlines()[0].endswith("damaged")) == (1, True)
    assert "Copy the file" in result.stdout
    assert file.read_bytes() == body


@pytest.mark.parametrize(
    "statement, message",
    [
        ("PRAGMA user_version=99", "journal {} has version 99, and this cano_trio knows 1. Install a newer one."),
        (
            "PRAGMA application_id=7",
            "{} is no journal of cano_trio, but another program's database. Name another file.",
        ),
    ],
)
def test_doctor_refuses_what_it_does_not_know(command: Command, shop: Path, statement: str, message: str) -> None:
    """A newer journal, and another program's database."""
    command("run", ORDER, "--run-id", "a")
    change(shop / "runs.db", statement)
    result = command("doctor")
    assert (result.exit_code, result.stderr) == (2, f"Error: {message.format(shop / 'runs.db')}\n")


@pytest.mark.parametrize("name", ["list", "doctor"])
@pytest.mark.parametrize("file", ["small.py", "none.db", "."])
def test_what_is_no_journal_is_refused_and_not_made_one(command: Command, shop: Path, name: str, file: str) -> None:
    """One line, exit code 2, and no new file."""
    before = sorted(shop.iterdir())
    result = command(name, "--journal", file)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert sorted(shop.iterdir()) == before


def test_a_journal_must_be_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option and the variable are both named where both are missing."""
    monkeypatch.delenv("CANO_TRIO_JOURNAL", raising=False)
    result = command("list")
    assert (result.exit_code, "--journal" in result.stderr, "CANO_TRIO_JOURNAL" in result.stderr) == (2, True, True)
