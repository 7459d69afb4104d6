"""Disks that fail, files that were damaged or are gone, and rows that nobody should have to read.

The default suite turns over some bits; many more: ``python -m pytest -m slow tests/journal/test_faults.py``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from cano_trio import JournalError, RunStatus
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Cursor, Outcome, RunRecord, StoredError
from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.faulty import SealedDisk, WornDisk, hasty
from tests.journal.process import Process
from tests.journal.rows import at, finished, letter, new, step

NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize("lasts", range(0, 48, 6))
async def test_the_nth_write_that_fails(tmp_path: Path, lasts: int) -> None:
    """From whichever write or sync on a disk fails, a `JournalError` tells it; all that was acknowledged is there later."""
    path = tmp_path / "runs.db"
    disk = WornDisk(f"worn {lasts}")
    acknowledged = 0
    async with SqliteJournal(path, vfs=disk.name) as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        disk.lasts = lasts
        with pytest.raises(JournalError, match="is used no more"):  # noqa: PT012
            while True:
                await journal.commit(step("a", replace(fence, rev=acknowledged)))
                acknowledged += 1
    async with SqliteJournal(path) as journal:
        rev = (await journal.load("a")).record.rev
        assert acknowledged <= rev <= acknowledged + 1
        assert [row.seq for row in await journal.history("a")] == list(range(rev))
        assert (await journal.examine()).is_whole


async def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    """Where no file can be made a journal is not opened, neither a new one nor one that is there; it says which file."""
    disk = SealedDisk("sealed")
    async with SqliteJournal(tmp_path / "there.db") as journal:
        await journal.create(new("a"))
    for name in ("there.db", "new.db"):
        with pytest.raises(JournalError, match=name):
            async with SqliteJournal(tmp_path / name, vfs=disk.name):
                pass
    async with SqliteJournal(tmp_path / "there.db") as journal:
        await journal.load("a")


def remove(folder: Path, pattern: str) -> None:
    """Remove files."""
    for file in folder.glob(pattern):
        if file.is_file():
            file.unlink()


def deleted(wal: Path) -> None:
    wal.unlink()


def cut(wal: Path) -> None:
    wal.write_bytes(wal.read_bytes()[: wal.stat().st_size // 2])


def damaged(wal: Path) -> None:
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 1
    wal.write_bytes(content)


@pytest.mark.parametrize("damage", [deleted, cut, damaged])
async def test_a_wal_that_is_not_what_it_was(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A WAL that was deleted, cut or damaged after a crash is told, not taken for the end of the journal; nothing is changed."""
    path, wal = tmp_path / "runs.db", tmp_path / "runs.db-wal"
    with Process(path) as process:
        process.ask("create a")
        answers = [process.ask("commit a") for _ in range(20)]
        process.kill()
    content = wal.read_bytes()
    damage(wal)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"has lost \d+ transactions that were on disk: its -wal file"):
            async with SqliteJournal(path):
                pass
    remove(tmp_path, "runs.db-*")
    wal.write_bytes(content)
    async with SqliteJournal(path) as journal:
        assert (await journal.load("a")).record.rev == int(answers[-1]) == 20


async def test_one_may_go_on_without_what_was_lost(tmp_path: Path) -> None:
    """Who removes the folder of owners, as the error says, goes on with what is left of a journal."""
    path = tmp_path / "runs.db"
    with Process(path) as process:
        process.ask("create a")
    deleted(tmp_path / "runs.db-wal")
    with pytest.raises(JournalError, match=r"remove .*runs.db.owners to go on without them"):
        async with SqliteJournal(path):
            pass
    remove(tmp_path, "runs.db.owners/*")
    async with SqliteJournal(path) as journal:
        assert await journal.runs() == ()


@pytest.mark.parametrize("name", ["runs.db", "runs.db-wal"])
async def test_a_file_that_is_taken_from_under_a_journal(tmp_path: Path, name: str) -> None:
    """A file that is deleted while it is open is told at the next commit, which is refused, as are all after it."""
    path = tmp_path / "runs.db"
    async with SqliteJournal(path) as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        await journal.commit(step("a", fence))
        (tmp_path / name).rename(tmp_path / "elsewhere")
        for _ in range(2):
            with pytest.raises(JournalError, match=f"{name} was deleted, moved or replaced"):
                await journal.commit(step("a", replace(fence, rev=1)))
    if name == "runs.db-wal":  # at the end what it held is in the file
        async with SqliteJournal(path) as journal:
            assert (await journal.load("a")).record.rev == 1


async def fill(journal: Journal) -> None:
    """Write rows of every kind."""
    error = StoredError(type="ValueError", message="no")
    for number, run_id in enumerate(NAMES):
        run = replace(new(run_id, journal.owner, b'{"number":%d}' % number), labels={"team": run_id}, parent="p")
        fence = (await journal.create(run)).fence
        await journal.post(letter(run_id, b'{"by":"mo"}', key="k"))
        commit = replace(
            step(run_id, fence),
            log=(replace(finished(0), receipt=b"r" * 30, error=error), finished(1)),
            cursors=(Cursor(1, "", b"cursor"), Cursor(1, "/b:left", b"other")),
            outcomes=(Outcome(1, "/b:left", b"outcome"),),
        )
        await journal.commit(replace(commit, position=replace(at(2, RunStatus.WAITING), due_at=5.0, error=error)))


async def all_of(journal: Journal) -> dict[str, Any]:
    """All that it answers about its runs, or how it fails."""

    async def told(name: str, run_id: str) -> Any:
        try:
            return await getattr(journal, name)(run_id)
        except JournalError as failure:
            return failure

    answers: dict[str, Any] = {run.run_id: run for run in await journal.runs()}
    for run_id in NAMES:
        answers[f"load {run_id}"] = await told("load", run_id)
        answers[f"history {run_id}"] = await told("history", run_id)
    return answers


async def turn_over(tmp_path: Path, count: int, seed: int) -> dict[str, int]:
    """Turn over a bit at a time, and see that each answer is right, or an error; how often what came of it."""
    path, turned = tmp_path / "runs.db", tmp_path / "turned.db"
    async with hasty(path) as journal:
        await fill(journal)
    async with hasty(path) as journal:
        expected = await all_of(journal)
    content = path.read_bytes()
    rng = random.Random(seed)
    seen = {"right": 0, "told": 0, "not opened": 0}
    for _ in range(count):
        bit = rng.randrange(len(content) * 8)
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        turned.write_bytes(flipped)
        try:
            async with hasty(turned) as journal:
                answers = await all_of(journal)
                is_whole = (await journal.examine()).is_whole
        except JournalError as failure:
            assert "turned.db" in str(failure)  # noqa: PT017
            seen["not opened"] += 1
            continue
        finally:
            remove(tmp_path, "turned.db*")
        wrong = {
            key: answer
            for key, answer in answers.items()
            if answer != expected.get(key) and not isinstance(answer, JournalError)
        }
        assert wrong == {}, f"bit {bit}"
        missing = [key for key in expected if key not in answers or isinstance(answers[key], JournalError)]
        assert not (missing and is_whole), f"bit {bit}: {missing}"
        seen["told" if missing else "right"] += 1
    return seen


async def test_a_bit_that_turned_over(tmp_path: Path) -> None:
    """Whichever bit of a file is turned over, each answer is what was written, or an error; what is missing is told."""
    seen = await turn_over(tmp_path, 60, 11)
    assert seen["right"]
    assert seen["told"] or seen["not opened"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
async def test_many_bits_that_turned_over(tmp_path: Path, seed: int) -> None:
    """The same, of thousands of bits."""
    assert sum((await turn_over(tmp_path, 100, seed)).values()) == 100


HUGE = 100_000_000  # bytes
DEEP = b"\x91" * 100_000  # lists in lists

EDITS = {
    "deep data": ("UPDATE cano_data SET data=?", DEEP),
    "deep place": ("UPDATE cano_place SET place=?", DEEP),
    "deep fixed": ("UPDATE cano_run SET fixed=?", DEEP),
    "deep row": ("UPDATE cano_log SET row=?", DEEP),
    "huge data": ("UPDATE cano_data SET data=zeroblob(?)", HUGE),
    "huge place": ("UPDATE cano_place SET place=zeroblob(?)", HUGE),
    "huge row": ("UPDATE cano_log SET row=zeroblob(?)", HUGE),
    "cursor": ("UPDATE cano_cursor SET body=?", b'{"__class__":"os.system"}'),
    "outcome": ("UPDATE cano_outcome SET part=?", "../x"),
    "message": ("UPDATE cano_inbox SET kind=?", "builtins.eval"),
    "chain": ("UPDATE cano_log SET prior=?", None),
    "circle": ("UPDATE cano_log SET prior=id+?", 0),
    "log": ("UPDATE cano_log SET row=CAST(replace(row, 'S0', ?) AS BLOB)", "S9"),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_rows_that_were_edited(tmp_path: Path, edit: str) -> None:
    """A row that was edited by hand, however deep or large, is an error that names its run or file; the others are read."""
    path = tmp_path / "runs.db"
    async with hasty(path) as journal:
        await fill(journal)
        whole = await all_of(journal)
        change, value = EDITS[edit]
        key = "number=2" if "cano_run" in change or "cano_place" in change else "run=2"
        db = apsw.Connection(str(path))
        db.execute(f"{change} WHERE {key}", (value,))
        db.close()
        answers = await all_of(journal)
        failed = [key for key in whole if isinstance(answers.get(key), JournalError)]
        assert failed
        assert set(failed) <= {"load b", "history b"}
        for name in failed:
            assert "'b' can't be read" in str(answers[name]) or "runs.db can't be read" in str(answers[name])
        kept = {key: answer for key, answer in whole.items() if not key.endswith("b")}
        assert {key: answers[key] for key in kept} == kept


async def test_a_body_that_is_too_large(journal: Journal) -> None:
    """A body of a hundred megabytes is refused alone, or it is kept."""
    fence = (await journal.create(new("a", journal.owner))).fence
    try:
        await journal.commit(replace(step("a", fence), data=bytes(HUGE)))
    except JournalError as failure:
        assert "too much for one row" in str(failure)  # noqa: PT017
        assert (await journal.load("a")).record.rev == 0
        await journal.commit(step("a", fence))
    else:
        assert len((await journal.load("a")).data) == HUGE


async def test_hostile_text_is_text(journal: Journal) -> None:
    """Quotes, newlines, paths, NUL and whales are kept as they are in every text of a run."""
    for text in ("it's", '"', "new\nline", "../../etc", "nul\x00nul", "\U0001f40b", "", "%s{}$1;--", "?1"):
        run = replace(new(f"run {text}", journal.owner), workflow=text, labels={text: text}, parent=text)
        fence = (await journal.create(replace(run, position=replace(at(0), state=text, reason=text)))).fence
        assert await journal.post(replace(letter(run.run_id, key=text), kind=text)) == 1
        assert await journal.post(letter(run.run_id, key=text)) is None
        row = replace(finished(0), state=text, next=text, part=text)
        cursor, outcome = Cursor(0, text, b""), Outcome(0, text, b"")
        position = replace(at(1), state=text, reason=text)
        await journal.commit(
            replace(step(run.run_id, fence), position=position, log=(row,), cursors=(cursor,), outcomes=(outcome,))
        )
        stored = await journal.load(run.run_id)
        assert (stored.record.workflow, stored.record.labels, stored.record.parent) == (text, {text: text}, text)
        assert (stored.record.position, stored.cursors, stored.outcomes) == (position, (cursor,), (outcome,))
        assert (stored.messages[0].letter.kind, stored.messages[0].letter.key) == (text, text)
        assert await journal.history(run.run_id) == (row,)
        for wanted in ({"workflow": text}, {"labels": {text: text}}, {"parent": text}):
            found: tuple[RunRecord, ...] = await journal.runs(**wanted)
            assert [one.run_id for one in found] == [run.run_id]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
async def test_times_that_are_none(journal: Journal, value: float) -> None:
    """A time that is no number is refused with its commit, or comes back as it was."""
    fence = (await journal.create(new("a", journal.owner))).fence
    position = replace(at(1), due_at=value)
    try:
        await journal.commit(replace(step("a", fence), position=position))
    except (JournalError, ValueError):
        assert (await journal.load("a")).record.position == at(0)
    else:
        assert repr((await journal.load("a")).record.position) == repr(position)
