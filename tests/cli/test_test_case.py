"""`cano-trio test-case`: a recorded state is a test that runs as it is."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from cano_trio.cli.case_text import literal
from cano_trio.journals import SqliteJournal
from tests.cli.test_stored_run import ORDER, PLAIN, crash

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start

SHIPPED = '''\
"""SHIP of run 'a', as it was written down."""

from cano_trio.testing import replay_state

from stored import Step, order

BEFORE = {"item": "tea", "notes": ["paid"]}
AFTER = {"item": "tea", "notes": ["paid", "shipped"]}


def test_ship_a() -> None:
    """SHIP leads to DONE, with the data that were written down."""
    replayed = replay_state(order, Step.SHIP, BEFORE, run_id="a", seq=1)
    assert replayed.next_state is Step.DONE
    assert replayed.data == AFTER
'''

TOUR = """\
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal
import trio
from cano_trio import BranchResults, More, Retry, RunContext, Split, Workflow

Step = Enum("Step", "COUNT ASK LOOP LEAD HANDLE BOTH JOIN DONE")
States = Step
del Step

@dataclass
class Text:
    words: list[str] = field(default_factory=list)

@dataclass
class Word:
    text: str

@dataclass
class Number:
    value: int

stuck_in = ""
tour = Workflow(States, initial=States.COUNT, exits=[States.DONE], name="tour", data=Text)

@tour.stepped(States.COUNT)
async def count(cursor: int | None, text: Text) -> More[int] | Literal[States.ASK]:
    if cursor == 2 and stuck_in == "COUNT":
        await trio.sleep_forever()
    text.words.append(f"step {cursor}")
    return More((cursor or 0) + 1) if (cursor or 0) < 3 else States.ASK

@tour.receive(States.ASK)
async def ask(message: Word | Number, text: Text) -> Literal[States.LOOP]:
    text.words.append(repr(message))
    return States.LOOP

@tour.task(States.LOOP)
async def loop(ctx: RunContext, text: Text) -> Literal[States.LOOP, States.LEAD]:
    text.words.append(f"visit {ctx.visit} under {ctx.idempotency_key}")
    return States.LOOP if ctx.visit < 3 else States.LEAD

@tour.task(States.LEAD, retry=Retry.none(), on_error={LookupError: States.HANDLE})
async def lead() -> Literal[States.DONE]:
    raise LookupError("no way")

@tour.task(States.HANDLE)
async def handle(ctx: RunContext, text: Text) -> Literal[States.BOTH]:
    text.words.append(f"because of {str(ctx.error)[-6:]}")
    return States.BOTH

async def left() -> int:
    return 1

async def right() -> int:
    return 2

tour.register_split(States.BOTH, Split.all([left, right], States.JOIN))

@tour.task(States.JOIN)
async def join(results: BranchResults[int], text: Text) -> Literal[States.DONE]:
    if stuck_in == "JOIN":
        await trio.sleep_forever()
    text.words.append(str(sorted(results.successes.values())))
    return States.DONE
"""


def passes(folder: Path, *files: str) -> None:
    """See that pytest is content with files as they are."""
    arguments = ("-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(folder), "-c", "/dev/null")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *files],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # it needs none
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(files)} passed" in done.stdout


def test_a_finished_state(command: Command, shop: Path) -> None:
    """It is carried out again with the data it had, and comes to what it came to; the file is as people write it."""
    command("run", ORDER, "--run-id", "a")
    printed = command("test-case", ORDER, "a", "SHIP")
    assert (printed.exit_code, printed.stdout) == (0, SHIPPED)
    result = command("test-case", ORDER, "a", "SHIP", "-o", "test_ship.py")
    assert (result.exit_code, result.stdout) == (0, "wrote test_ship.py: pytest test_ship.py\n")
    assert (shop / "test_ship.py").read_text() == SHIPPED
    passes(shop, "test_ship.py")
    (shop / "test_ship.py").write_text(SHIPPED.replace('"shipped"', '"lost"'))
    with pytest.raises(AssertionError, match="1 failed"):
        passes(shop, "test_ship.py")


def test_a_state_that_failed(command: Command, shop: Path) -> None:
    """The test fails as it did, with the same text; it passes for as long as the mistake is there."""
    (shop / "mode").write_text("fail")
    command("run", PLAIN, "--run-id", "a b/c")
    command("test-case", PLAIN, "a b/c", "SHIP", "-o", "test_b.py")
    text = (shop / "test_b.py").read_text()
    assert "def test_ship_a_b_c() -> None:" in text
    assert 'assert replayed.failure == ("OSError", "no \\x1b[2J ship")' in text
    passes(shop, "test_b.py")


def test_a_state_that_a_process_died_in(command: Command, start: Start, shop: Path) -> None:
    """What it would have come to is not known: that it comes to an end is all that is asked."""
    crash(start, shop, ORDER, "--run-id", "a")
    command("test-case", ORDER, "a", "SHIP", "-o", "test_a.py")
    assert "assert replayed.next_state is not None\n" in (shop / "test_a.py").read_text()
    passes(shop, "test_a.py")


@pytest.fixture
def tour(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with a run that has been everywhere, and runs that stand amidst a step, at a message and at a join."""
    (folder / "tour.py").write_text(TOUR)
    monkeypatch.setenv("CANO_TRIO_JOURNAL", "runs.db")
    monkeypatch.syspath_prepend(str(folder))
    made: Any = importlib.import_module("tour")

    async def carry_out(journal: SqliteJournal, run_id: str, *messages: object) -> None:
        """Have a run with these messages, for as long as it moves."""
        with trio.move_on_after(0.3):
            async with trio.open_nursery() as nursery:
                run = await nursery.start(partial(made.tour.run, made.Text(), run_id=run_id, journal=journal))
                for message in messages:
                    await run.send(message)

    async def main() -> None:
        async with SqliteJournal("runs.db") as journal:
            await carry_out(journal, "all", made.Number(4))
            await carry_out(journal, "asks")
            made.stuck_in = "JOIN"
            await carry_out(journal, "joins", made.Word("x"))
            made.stuck_in = "COUNT"
            await carry_out(journal, "counts")

    trio.run(main)
    return folder


BEGAN_WITH = {
    ("all", "ASK"): ['messages=[("Number", {"value": 4})]', "States.LOOP"],
    ("all", "LOOP"): ["visit=3", '"visit 3 under all/4"'],
    ("all", "LEAD"): ['("LookupError", "no way")', "leads to HANDLE by a LookupError"],
    ("all", "HANDLE"): ['led_here_by=("LookupError", "no way")'],
    ("all", "BOTH"): ["next_state is States.JOIN"],
    ("counts", "COUNT"): ['cursors={"": [2, 2, 0]}', '"step 1"'],
    ("joins", "JOIN"): ["joined={", "JOIN comes to an end"],
}


def test_all_that_a_state_began_with(command: Command, tour: Path) -> None:
    """Messages, cursors, outcomes, visits, keys, and the failure that led there are those that were written down."""
    files = []
    for (run_id, state), told in BEGAN_WITH.items():
        files.append(f"test_{state}.py")
        result = command("test-case", "tour.py", run_id, state, "-o", files[-1])
        assert result.exit_code == 0, result.output
        text = (tour / files[-1]).read_text()
        for part in told:
            assert part in text, text
    passes(tour, *files)


def test_what_is_not_kept_is_said(command: Command, tour: Path) -> None:
    """The data that a run began with, the outcomes of branches once they are joined, and a message that has not come."""
    assert "say --data JSON, or take a later state" in command("test-case", "tour.py", "all", "COUNT").stderr
    given = command("test-case", "tour.py", "all", "COUNT", "--data", '{"words": []}', "-o", "test_count.py")
    assert given.exit_code == 0
    passes(tour, "test_count.py")
    for arguments, why in (
        (("all", "JOIN"), "JOIN joins branches, and what they came to is kept only until it is finished"),
        (("asks", "ASK"), "ASK waits for a message, and none has come: send one first"),
        (("all", "COUNT", "--data", "{"), "--data: "),
    ):
        result = command("test-case", "tour.py", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert why in result.stderr


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("b", "SHIP"), "the journal has no run 'b'. See `cano-trio list`."),
        (("a", "SHOP"), "'SHOP' is no state of workflow order. Did you mean SHIP?"),
        (("a", "DONE"), "DONE is an exit, which has no task. The run was in: PAY, SHIP."),
        (("a", "SHIP", "-o", "stored.py"), "stored.py is there already: name a new file"),
        (("a", "SHIP", "-o", "no/such.py"), "no/such.py can't be written: No such file or directory"),
        (("a", "SHIP", "--journal", "no.db"), "there is no file no.db"),
    ],
)
def test_a_wrong_call_is_refused(command: Command, shop: Path, arguments: tuple[str, ...], why: str) -> None:
    """With exit code 2, in one line that says what there is."""
    command("run", ORDER, "--run-id", "a", "--data", '{"item": "pot"}')
    result = command("test-case", ORDER, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {why}")


def test_a_test_in_another_folder_finds_the_workflow(command: Command, shop: Path) -> None:
    """It says itself where to import it from."""
    command("run", ORDER, "--run-id", "a")
    (shop / "checks").mkdir()
    command("test-case", "stored:order", "a", "SHIP", "-o", "checks/test_ship.py")
    assert 'sys.path.insert(0, str(Path(__file__).parent / ".."))' in (shop / "checks" / "test_ship.py").read_text()
    passes(shop, "checks/test_ship.py")


def test_a_part_of_a_package_and_a_file_elsewhere(
    command: Command, shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A module is imported from where its package begins, a file from its own folder, wherever the command is called."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (shop / "flows").mkdir()
    for file in (shop / "flows" / "part.py", elsewhere / "far.py"):
        file.write_text((shop / "stored.py").read_text())
    for target, where in (("flows.part:order", "test_part.py"), (f"{elsewhere}/far.py:order", "test_far.py")):
        command("run", target, "--run-id", where)
        result = command("test-case", target, where, "SHIP", "-o", where)
        assert result.exit_code == 0, result.output
    assert "\nfrom flows.part import Step, order\n" in (shop / "test_part.py").read_text()
    assert "\nfrom far import Step, order\n" in (shop / "test_far.py").read_text()
    passes(shop, "test_part.py", "test_far.py")


def test_as_json(command: Command, shop: Path) -> None:
    """One document has the test's text, and where it is."""
    command("run", ORDER, "--run-id", "a")
    told = json.loads(command("test-case", ORDER, "a", "SHIP", "--json", "-o", "t.py").stdout)
    assert told == {"run_id": "a", "state": "SHIP", "seq": 1, "file": "t.py", "test": SHIPPED}


def test_long_values_are_written_over_several_lines() -> None:
    """Each item in a line of its own, and what is written is the value."""
    value = {"words": ["it's", 'a "b"', "\x00\u2028"] * 8, "deep": [{"a": 1.5, "b": None, "c": True}] * 6, "none": []}
    text = literal(value)
    assert eval(text) == value
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith('{\n    "words": [\n        "it\'s",\n')
