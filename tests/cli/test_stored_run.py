"""Runs in a journal: begun, killed, resumed, retried, undone, by the command."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start

ORDER = "stored.py:order"
PLAIN = "stored.py:plain"


def crash(start: Start, shop: Path, *arguments: str) -> None:
    """Have a process run a workflow and die in its second state."""
    (shop / "mode").write_text("die")
    process = start("run", *arguments)
    process.communicate(timeout=20)
    assert process.returncode == 9
    (shop / "mode").unlink()


def statuses(command: Command) -> dict[str, str]:
    """Where the runs of the journal stand."""
    return {run["run_id"]: run["status"] for run in json.loads(command("list", "--json").stdout)}


def test_a_killed_run_goes_on_when_the_command_is_called_again(command: Command, start: Start, shop: Path) -> None:
    """Its first state does not run again, and progress says where it goes on."""
    crash(start, shop, ORDER)
    result = command("run", ORDER)
    assert (result.exit_code, result.stdout) == (0, "DONE\nitem: 'tea'\nnotes: ['paid', 'shipped']\n")
    lines = result.stderr.splitlines()
    assert (lines[0].startswith("going on with run order-"), lines[0].endswith(", which is unfinished")) == (True, True)
    assert [line.split("  ")[-1] for line in lines[1:3]] == ["SHIP: resumed", "SHIP: ship"]
    assert list(statuses(command).values()) == ["completed"]


def test_where_no_run_is_unfinished_a_new_one_begins(command: Command, shop: Path) -> None:
    """Two calls in a row are two runs."""
    assert [command("run", ORDER).exit_code for _ in range(2)] == [0, 0]
    assert len(statuses(command)) == 2


def test_of_several_unfinished_runs_none_is_chosen(command: Command, start: Start, shop: Path) -> None:
    """The call is refused with their names; those of another workflow do not count."""
    crash(start, shop, ORDER, "--run-id", "a")
    crash(start, shop, ORDER, "--run-id", "b")
    crash(start, shop, PLAIN, "--run-id", "c")
    result = command("run", ORDER)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: several runs of workflow 'order' are unfinished: a, b. Go on with one, or begin another: --run-id ID\n"
    )
    assert command("run", PLAIN).exit_code == 0


def test_data_for_an_unfinished_run_that_nobody_has_named_are_refused(
    command: Command, start: Start, shop: Path
) -> None:
    """It has data of its own, and these may be meant for another."""
    crash(start, shop, ORDER, "--run-id", "a")
    result = command("run", ORDER, "--data", "{}")
    refusal = (
        "Error: run 'a' is unfinished, and goes on where and with what it is: leave --data out, or begin another: "
        "--run-id ID\n"
    )
    assert (result.exit_code, result.stderr) == (2, refusal)


def test_the_same_call_with_an_id_is_the_same_run(command: Command, shop: Path) -> None:
    """The second one gives the result of the first, and says that it does not heed the data."""
    first = command("run", ORDER, "--run-id", "a", "--data", '{"item": "pot"}', "--json")
    second = command("run", ORDER, "--run-id", "a", "--data", '{"item": "cup"}', "--json")
    answers = [json.loads(result.stdout) for result in (first, second)]
    assert [answer.pop("elapsed") > 0 for answer in answers] == [True, True]
    assert answers[0] == answers[1]
    assert answers[0]["path"] == ["PAY", "SHIP", "DONE"]
    assert second.stderr == "run a is there already: --data is not heeded\n"


def test_a_failed_run_is_tried_again(command: Command, shop: Path) -> None:
    """`run` and `resume` tell that it has failed, and how to go on; `retry` does so."""
    (shop / "mode").write_text("fail")
    assert command("run", PLAIN, "--run-id", "a").exit_code == 1
    advice = f"Try it again: cano-trio retry --journal runs.db {PLAIN} a"
    for name in (("run", PLAIN, "--run-id", "a"), ("resume", PLAIN, "a")):
        result = command(*name)
        assert (result.exit_code, result.stderr.splitlines()) == (
            1, ["Error: run 'a' is failed: OSError: no \\u001b[2J ship", advice],
        )  # fmt: skip
    (shop / "mode").unlink()
    result = command("retry", PLAIN, "a")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "DONE")


def test_what_could_not_be_undone_is_tried_again(command: Command, shop: Path) -> None:
    """`retry --rollback` undoes what is left, and exits with 0 when all of it is undone."""
    (shop / "mode").write_text("fail")
    (shop / "bankrupt").touch()
    result = command("run", ORDER, "--run-id", "a")
    advice = f"Try again to undo what is left: cano-trio retry --rollback --journal runs.db {ORDER} a"
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, advice)
    assert command("retry", "--rollback", ORDER, "a").exit_code == 1
    (shop / "bankrupt").unlink()
    result = command("retry", "--rollback", ORDER, "a")
    assert (result.exit_code, result.stdout) == (0, "refunding 3\nrolled_back\nundone: PAY\n")


def test_what_else_can_be_done_is_told(command: Command, shop: Path) -> None:
    """One that could not be undone is neither tried again nor cancelled; one that has failed is cancelled by nobody else."""
    (shop / "mode").write_text("fail")
    (shop / "bankrupt").touch()
    command("run", ORDER, "--run-id", "a")
    command("run", PLAIN, "--run-id", "b")
    advice = f"Try again to undo what is left: cano-trio retry --rollback --journal runs.db {ORDER} a"
    for verb, what in (("retry", "can't be tried again"), ("cancel", "can't be cancelled")):
        result = command(verb, ORDER, "a")
        assert (result.exit_code, result.stderr) == (2, f"Error: run 'a' {what}: it is rollback_failed. {advice}\n")
    result = command("cancel", PLAIN, "b", "--detach")
    told = "run 'b' is failed, and nobody carries it out: it is cancelled here, without --detach"
    assert (result.exit_code, result.stderr) == (2, f"Error: {told}\n")


def test_a_run_that_is_left_is_cancelled(command: Command, start: Start, shop: Path) -> None:
    """What it has done is undone, and why is written down; a second cancel is refused."""
    crash(start, shop, ORDER, "--run-id", "a")
    result = command("cancel", ORDER, "a", "--reason", "no more", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["status"], answer["rollback"]["undone"]) == (0, "cancelled", ["PAY"])
    assert "why       no more" in command("show", "a").stdout.splitlines()
    result = command("cancel", ORDER, "a")
    assert (result.exit_code, result.stderr) == (2, "Error: run 'a' can't be cancelled: it is cancelled\n")
    result = command("run", ORDER, "--run-id", "a")
    assert (result.exit_code, result.stderr) == (1, "Error: RunCancelled: the run was cancelled: no more\n")


def test_ctrl_c_releases_the_run(command: Command, start: Start, shop: Path) -> None:
    """Nothing is undone; it is said how to go on, and that is so: exit code 3."""
    (shop / "mode").write_text("sleep")
    process = start("run", ORDER, "--run-id", "a")
    assert process.stdout is not None
    assert process.stdout.readline() == "shipping\n"
    held = command("resume", ORDER, "a")
    assert (held.exit_code, "is held by another process" in held.stderr) == (2, True)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out) == (3, "")
    assert errors.splitlines()[-2:] == [
        errors.splitlines()[-2].split("SHIP")[0] + "SHIP: released",
        f"released in SHIP. Go on with it: cano-trio resume --journal runs.db {ORDER} a",
    ]
    (shop / "mode").unlink()
    result = command("resume", ORDER, "a")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "notes: ['paid', 'shipped']")


def test_the_document_of_a_released_run(start: Start, shop: Path) -> None:
    """Its status is ``released``, in the state where it stopped."""
    (shop / "mode").write_text("sleep")
    process = start("run", ORDER, "--run-id", "a", "--json")
    assert process.stderr is not None
    next(line for line in process.stderr if line == "shipping\n")
    process.send_signal(signal.SIGINT)
    answer = json.loads(process.communicate(timeout=10)[0])
    assert (process.returncode, answer["status"], answer["state"], answer["error"]) == (3, "released", "SHIP", None)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["resume", ORDER, "b"], "the journal has no run 'b'. Did you mean ab?"),
        (["resume", ORDER, "zzz"], "the journal has no run 'zzz'. See `cano-trio list`."),
        (["resume", PLAIN, "ab"], "run 'ab' is one of workflow 'order', and this is 'plain'"),
        (["retry", ORDER, "ab"], "run 'ab' can't be tried again: it is completed"),
        (["retry", ORDER, "ab", "--rollback"], "run 'ab' has nothing left to be undone: it is completed"),
        (["cancel", ORDER, "ab"], "run 'ab' can't be cancelled: it is completed"),
        (["resume", ORDER, ""], "a run's id is not empty"),
        (["resume", ORDER, "\udcff"], "'\\udcff' is no run's id: it is no UTF-8"),
        (["cancel", ORDER, "a", "--reason", "\udcff"], "reason is '\\udcff': it has half of a surrogate pair"),
        (["pause", ORDER, "a", "--reason", "\udcff"], "reason is '\\udcff': it has half of a surrogate pair"),
        (["run", ORDER, "--run-id", ""], "a run's id is not empty"),
        (["run", ORDER, "--journal", "small.py"], "small.py is no journal: name another file"),
        (["run", ORDER, "--journal", "no/runs.db"], "there is no directory no for the journal"),
        (["run", ORDER, "--journal", "."], ". is a directory, not a file"),
        (["resume", ORDER, "ab", "--journal", "run.db"], "there is no file run.db. Did you mean runs.db?"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_line_and_exit_code_2(
    command: Command, shop: Path, arguments: list[str], message: str
) -> None:
    """Nothing has run, and what is wrong is named."""
    assert command("run", ORDER, "--run-id", "ab").exit_code == 0
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {message}"), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_id_without_a_journal_is_refused(command: Command, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a run wants it back; without a journal it would be lost."""
    monkeypatch.delenv("CANO_TRIO_JOURNAL")
    result = command("run", ORDER, "--run-id", "a")
    assert (result.exit_code, result.stderr) == (
        2, "Error: --run-id names a run in a journal: say --journal FILE, too\n",
    )  # fmt: skip


def test_a_run_of_another_version_is_blocked(command: Command, start: Start, shop: Path) -> None:
    """One line says so, with exit code 1; `--traceback` shows where it came from."""
    crash(start, shop, ORDER, "--run-id", "a")
    source = (shop / "stored.py").read_text()
    (shop / "stored.py").write_text(source.replace('name="order"', 'name="order", version=2'))
    result = command("resume", ORDER, "a")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert result.stderr.startswith("Error: run 'a' is blocked (version): version 1 wrote it")
    assert "Traceback" in command("resume", ORDER, "a", "--traceback").stderr
    document = json.loads(command("run", ORDER, "--json").stdout)
    assert (document["run_id"], document["status"], document["error"]["type"]) == ("a", "blocked", "VersionMismatch")


def test_check_tells_which_runs_new_code_would_block(command: Command, start: Start, shop: Path) -> None:
    """It looks at the unfinished ones, and writes nothing of what it finds."""
    crash(start, shop, ORDER, "--run-id", "a")
    command("run", ORDER, "--run-id", "b")
    result = command("check", ORDER, "--journal", "runs.db")
    assert (result.exit_code, result.stdout) == (0, "ok: 3 states, 2 tasks, 1 unfinished run\n")
    source = (shop / "stored.py").read_text()
    (shop / "stored.py").write_text(source.replace("item: str", "item: int"))
    before = command("show", "a", "--json").stdout
    result = command("check", ORDER, "--journal", "runs.db")
    assert (result.exit_code, result.stdout.startswith("run a is blocked by data: its data can't be read")) == (1, True)
    answer = json.loads(command("check", ORDER, "--journal", "runs.db", "--json").stdout)
    assert (answer["ok"], list(answer["blocked"])) == (False, ["a"])
    assert command("show", "a", "--json").stdout == before


def test_a_run_with_a_child_is_resumed_in_it(command: Command, start: Start, shop: Path) -> None:
    """Progress tells of it once, and the path is the outer run's own."""
    crash(start, shop, "stored.py:outer", "--run-id", "a")
    result = command("run", "stored.py:outer", "--run-id", "a", "--json")
    assert result.stderr.count("resumed") == 1
    assert json.loads(result.stdout)["path"] == ["SHIP", "DONE"]


def test_a_failed_run_is_left_to_whoever_serves_it(command: Command, shop: Path) -> None:
    """With --detach nothing of it runs here: it waits in the journal to be tried again."""
    (shop / "mode").write_text("fail")
    command("run", PLAIN, "--run-id", "a")
    (shop / "mode").unlink()
    result = command("retry", PLAIN, "a", "--detach")
    assert (result.exit_code, result.stdout) == (0, "a is left to the process that serves its workflow\n")
    assert statuses(command) == {"a": "running"}
    assert command("resume", PLAIN, "a").exit_code == 0


def test_a_run_that_can_not_go_on_is_left_to_nobody(command: Command, start: Start, shop: Path) -> None:
    """What blocks it is told as if it went on here, with exit code 1."""
    crash(start, shop, ORDER, "--run-id", "a")
    command("pause", ORDER, "a")
    source = (shop / "stored.py").read_text()
    (shop / "stored.py").write_text(source.replace('name="order"', 'name="order", version=2'))
    result = command("resume", ORDER, "a", "--detach")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: VersionMismatch: run 'a' is blocked (version)")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["retry", ORDER, "ab", "--detach", "--rollback"], "what --rollback undoes is undone here: leave --detach out"),
        (["retry", ORDER, "ab", "--detach"], "run 'ab' can't be tried again: it is completed"),
        (["resume", ORDER, "ab", "--detach"], "run 'ab' can't be resumed: it is completed"),
        (["pause", ORDER, "ab"], "run 'ab' can't be paused: it is completed"),
        (["cancel", ORDER, "ab", "--detach"], "run 'ab' can't be cancelled: it is completed"),
        (["run", ORDER, "--run-id", "ab", "--detach"], "there already is a run 'ab', completed"),
        (["run", "small.py:ok", "--detach", "--journal", "no/runs.db"], "there is no directory no for the journal"),
    ],
)
def test_what_can_not_be_left_is_refused(command: Command, shop: Path, arguments: list[str], message: str) -> None:
    """In one line, with exit code 2."""
    assert command("run", ORDER, "--run-id", "ab").exit_code == 0
    result = command(*arguments)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert result.stderr.startswith(f"Error: {message}")
