"""Drawing a workflow, and listing what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cano_trio.cli.commands import cano_trio
from cano_trio.cli.target import find_workflow

if TYPE_CHECKING:
    from tests.cli.conftest import Command

RIGHT = """
from enum import Enum
from typing import Literal
from cano_trio import Workflow
Step = Enum("Step", "FETCH SPARE DONE")
workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], name="right")
@workflow.task(Step.FETCH)
async def fetch() -> Literal[Step.DONE]:
    return Step.DONE
"""
"""SPARE deserves a warning."""
WRONG = RIGHT.replace('name="right"', 'name="wrong", data=str')
"""And a str can't be changed, which is an error."""


@pytest.mark.parametrize("form", ["mermaid", "dot", "ascii"])
def test_the_drawing_is_the_workflows_own(command: Command, form: str) -> None:
    """`graph` prints what formatting the workflow gives, and nothing else."""
    result = command("graph", "ingest.py", "--format", form)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{format(find_workflow('ingest.py'), form)}\n"


def test_mermaid_is_drawn_by_default(command: Command) -> None:
    """A drawing that pastes into a README is what one gets without asking."""
    assert command("graph", "ingest.py").stdout.startswith("flowchart TD\n")


def test_an_unknown_form_is_refused(command: Command) -> None:
    """The forms there are stand in the error."""
    result = command("graph", "ingest.py", "--format", "svg")
    assert (result.exit_code, "'mermaid', 'dot', 'ascii'" in result.stderr) == (2, True)


def test_a_wrong_workflow_is_drawn_with_a_remark(command: Command, folder: Path) -> None:
    """A drawing helps to see what is wrong; stderr says that something is."""
    (folder / "wrong.py").write_text(WRONG)
    result = command("graph", "wrong.py", "--format", "ascii")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "wrong")
    assert result.stderr == "The workflow has 1 error: see `cano-trio check wrong.py`.\n"


def test_a_right_workflow_is_ok(command: Command) -> None:
    """Without problems `check` says how much it has looked at."""
    result = command("check", "ingest.py")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ok: 4 states, 2 tasks\n", "")


def test_every_problem_has_a_line(command: Command, folder: Path) -> None:
    """Errors and warnings come each on a line as `Problem` words them, and an error makes the exit code 1."""
    (folder / "wrong.py").write_text(WRONG)
    result = command("check", "wrong.py")
    assert result.stdout == "".join(f"{problem}\n" for problem in find_workflow("wrong.py").problems())
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["E19", "workflow:"], ["W10", "SPARE:"]]
    assert (result.exit_code, result.stderr) == (1, "")


def test_a_warning_is_shown_and_is_no_error(command: Command, folder: Path) -> None:
    """With nothing worse than a warning it is ok."""
    (folder / "right.py").write_text(RIGHT)
    result = command("check", "right.py")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["W10", "ok:"]
    assert result.exit_code == 0


def test_codes_are_coloured_on_a_terminal_only(command: Command, folder: Path) -> None:
    """Errors are red, warnings yellow, ok green; piped there is no colour."""
    (folder / "wrong.py").write_text(WRONG)
    coloured = CliRunner().invoke(cano_trio, ["check", "wrong.py"], color=True).stdout
    assert "\x1b[31m\x1b[1mE19\x1b[0m workflow" in coloured
    assert "\x1b[33m\x1b[1mW10\x1b[0m SPARE" in coloured
    assert CliRunner().invoke(cano_trio, ["check", "ingest.py"], color=True).stdout.startswith("\x1b[32mok\x1b[0m")
    assert "\x1b" not in command("check", "wrong.py").stdout


def test_problems_as_json(command: Command, folder: Path) -> None:
    """With `--json` they are one document with all fields, and the exit code is the same."""
    (folder / "wrong.py").write_text(WRONG)
    result = command("check", "wrong.py", "--json")
    found = json.loads(result.stdout)
    assert {name: found[name] for name in ("workflow", "ok", "states", "tasks")} == {
        "workflow": "wrong", "ok": False, "states": 3, "tasks": 1,
    }  # fmt: skip
    assert [(one["code"], one["place"], one["severity"]) for one in found["problems"]] == [
        ("E19", "workflow", "error"),
        ("W10", "SPARE", "warning"),
    ]
    assert found["problems"][0].keys() == {"code", "place", "message", "hint", "site", "severity"}
    assert result.exit_code == 1
    good = command("check", "ingest.py", "--json")
    assert (good.exit_code, json.loads(good.stdout)["ok"]) == (0, True)


def test_a_definition_that_fails_while_it_is_loaded_is_a_problem(command: Command, folder: Path) -> None:
    """A decorator that refuses its function is listed as any other problem, not as a wrong call."""
    (folder / "refused.py").write_text(RIGHT.replace("async def fetch", "def fetch"))
    result = command("check", "refused.py")
    assert (result.exit_code, result.stdout[:10], result.stderr) == (1, "E15 FETCH:", "")
    assert json.loads(command("check", "refused.py", "--json").stdout)["problems"][0]["code"] == "E15"


def test_a_target_that_can_not_be_loaded_is_a_wrong_call(command: Command, folder: Path) -> None:
    """Any other error of its code says nothing of the workflow: exit code 2."""
    (folder / "broken.py").write_text("1 / 0\n")
    result = command("check", "broken.py")
    assert (result.exit_code, result.stderr) == (
        2, "Error: can't load broken.py: ZeroDivisionError: division by zero (broken.py:1: 1 / 0)\n",
    )  # fmt: skip


@pytest.mark.parametrize("resources, code", [("None", 0), ("Resources(limit=3)", 0), ("Resources(name='x')", 1)])
def test_missing_resources_are_a_problem_where_the_workflow_brings_its_own(
    command: Command, folder: Path, resources: str, code: int
) -> None:
    """A workflow that is given its resources at the run is right without; one that has them must have all."""
    (folder / "needs.py").write_text(
        RIGHT.replace('name="right"', f"resources={resources}")
        .replace("import Workflow", "import Resources, Workflow")
        .replace("def fetch()", "def fetch(limit: int)")
    )
    result = command("check", "needs.py")
    assert (result.exit_code, "E13 FETCH" in result.stdout) == (code, bool(code))
