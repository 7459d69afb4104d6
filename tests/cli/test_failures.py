"""What is said of a run that failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cano_trio.cli.report import CAUSES, failure_text
from cano_trio.cli.wording import LONGEST, came_of, one_line, path_of, place, seconds, user_frame

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start


def report_of(stderr: str) -> list[str]:
    """The lines from ``Error:`` on."""
    lines = stderr.splitlines()
    return lines[next(number for number, line in enumerate(lines) if line.startswith("Error: ")) :]


def test_a_failure_is_told_in_a_few_lines(command: Command) -> None:
    """Type and message, each cause, where in the run, and where in the user's code; exit code 1."""
    result = command("run", "small.py:failing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert report_of(result.stderr) == [
        "Error: RuntimeError: no such page",
        "  from JSONDecodeError: Expecting value: line 1 column 2 (char 1)",
        "  in state WORK after 1 attempt, path WORK",
        '  at small.py:27 in fail: raise RuntimeError("no such page") from error',
    ]


def test_exhausted_retries_show_the_users_line_of_the_last_failure(command: Command, folder: Path) -> None:
    """`RetryExhausted` is raised by us; the line that is shown is the user's."""
    (folder / "ingest.py").write_text((folder / "ingest.py").read_text().replace("calls < 2", "True"))
    lines = report_of(command("run", "ingest.py", "--data", '{"url": "x"}').stderr)
    assert lines[0] == "Error: RetryExhausted: fetch failed 3 times, the last time with OSError: busy"
    assert lines[1:3] == ["  from OSError: busy", "  in state FETCH after 3 attempts, path FETCH"]
    assert lines[3].endswith(' in fetch: raise OSError("busy")')


def test_a_group_shows_what_it_consists_of(command: Command) -> None:
    """Failures in a nursery of the user's are listed, and the line is that of the first, not of the nursery."""
    lines = report_of(command("run", "small.py:group").stderr)
    assert [line.split(":")[0] for line in lines[:3]] == [
        "Error", "  from RuntimeError", "  from JSONDecodeError",
    ]  # fmt: skip
    assert lines[-1].startswith("  at small.py:27 in fail: ")


def test_traceback_comes_first_and_only_when_asked_for(command: Command) -> None:
    """With `--traceback` the whole of it stands above the short report."""
    full = command("run", "small.py:failing", "--traceback").stderr
    assert "Traceback (most recent call last):" in full
    assert report_of(full) == report_of(command("run", "small.py:failing").stderr)


def test_a_failure_as_json(command: Command) -> None:
    """The document tells what the short report tells, and the exit code is 1."""
    result = command("run", "small.py:failing", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (answer["status"], answer["state"], answer["path"], answer["data"]) == ("failed", "WORK", ["WORK"], None)
    assert answer["error"] == {
        "type": "RuntimeError",
        "message": "no such page",
        "causes": [{"type": "JSONDecodeError", "message": "Expecting value: line 1 column 2 (char 1)"}],
        "state": "WORK",
        "attempts": 1,
        "at": "small.py:27",
    }
    assert report_of(result.stderr)[0] == "Error: RuntimeError: no such page"


def test_a_wrong_workflow_lists_its_problems(command: Command, folder: Path) -> None:
    """A definition that can't run is told as `check` tells it; nothing runs."""
    (folder / "wrong.py").write_text((folder / "ingest.py").read_text().replace("-> Literal[Step.PARSE]", ""))
    result = command("run", "wrong.py", "--data", '{"url": "x"}')
    assert result.exit_code == 1
    first, problem, *_ = result.stderr.splitlines()
    assert first.startswith("Error: the workflow can't run: ")
    assert problem.startswith("  E06 FETCH: ")


def test_missing_resources_list_their_problems_too(command: Command, folder: Path) -> None:
    """What only shows when the run begins looks the same, and there is a document all the same."""
    (folder / "needs.py").write_text(
        (folder / "ingest.py").read_text().replace("fetch(doc: Doc)", "fetch(doc: Doc, n: int)")
    )
    result = command("run", "needs.py", "--data", '{"url": "x"}', "--json")
    assert (result.exit_code, report_of(result.stderr)[1][:12]) == (1, "  E13 FETCH:")
    answer = json.loads(result.stdout)
    assert (answer["run_id"], answer["state"], answer["path"]) == (None, None, [])
    assert (answer["error"]["type"], answer["error"]["attempts"], answer["error"]["at"]) == (
        "DefinitionError",
        None,
        None,
    )


@pytest.mark.parametrize("name", ["leaving", "leaving_together"])
def test_a_task_that_exits_the_process_exits_it(start: Start, name: str) -> None:
    """`sys.exit` in a task is the user's wish, and no failure of the run that we should reword."""
    process = start("run", f"small.py:{name}")
    process.communicate()
    assert process.returncode == (7 if name == "leaving" else 1)


def test_many_causes_are_counted() -> None:
    """A group of a hundred does not fill the screen."""
    lines = failure_text(ExceptionGroup("many", [ValueError(str(number)) for number in range(100)])).splitlines()
    assert len(lines) == 1 + CAUSES + 1
    assert lines[-1] == f"  from {100 - CAUSES} more"


def test_causes_end_even_if_they_go_round() -> None:
    """Two errors that name each other as their cause are each told once."""
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__context__ = other, one
    assert came_of(one) == [other]


def test_a_suppressed_context_is_no_cause() -> None:
    """`raise … from None` hides what it hides in a traceback."""
    hidden = ValueError("hidden")
    hidden.__context__, hidden.__suppress_context__ = KeyError("x"), True
    assert came_of(hidden) == []


def test_an_error_whose_message_fails_is_still_named() -> None:
    """A `__str__` that raises does not break the report; a long message is cut."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    assert one_line(Mute()).endswith("Mute")
    assert len(one_line(ValueError("x" * 1000))) == LONGEST + len("ValueError: ")


def test_generated_code_is_no_line_of_the_users() -> None:
    """What attrs or dataclasses write has no file to show."""
    try:
        exec(compile("1 / 0", "<attrs generated init>", "exec"))
    except ZeroDivisionError as error:
        frame = user_frame(error)
    assert frame is not None
    assert frame.filename == __file__


def test_an_error_in_installed_code_alone_shows_its_line() -> None:
    """Where no line is the user's own, an installed package's is the next best."""
    try:
        json.loads("[")
    except ValueError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        frame = user_frame(error)
    assert frame is not None
    assert (frame.name, place("/a/b.py", 3)) == ("raw_decode", "/a/b.py:3")


def test_a_path_shows_its_latest_states() -> None:
    """A machine that loops does not fill the screen with its path."""
    assert path_of(map(str, range(1000)), 3) == "… > 997 > 998 > 999"
    assert (seconds(0.5), seconds(90)) == ("0.5 s", "1 min 30 s")


def test_a_failure_tells_what_could_not_be_undone(command: Command) -> None:
    """A rollback that failed is told by state and reason, in words and in the document."""
    result = command("run", "small.py:owing")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "not undone: WORK (TypeError: no such account)")
    answer = json.loads(command("run", "small.py:owing", "--json").stdout)
    failed = [{"state": "WORK", "type": "TypeError", "message": "no such account"}]
    assert (answer["status"], answer["rollback"]["failed"]) == ("rollback_failed", failed)
