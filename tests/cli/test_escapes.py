"""What users' texts hold of a terminal's commands is shown, not obeyed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from rich.console import Console

from cano_trio import CircuitRejected, RunEnded, RunStatus, StateEntered, TaskFailed
from cano_trio.cli.commands import cano_trio
from cano_trio.cli.progress_live import LiveProgress
from cano_trio.cli.target import find_workflow, states_of

if TYPE_CHECKING:
    from tests.cli.conftest import Command

EVIL = """\
from enum import Enum
from typing import Literal
from cano_trio import Retry, Workflow
CLEAR = "\\x1b[2J\\x9b2J\\x07"
Step = Enum("Step", {"WORK" + CLEAR: 1, "DONE": 2})
work, done = Step
class Text(str):
    def __repr__(self):
        return self
class Data:
    def __init__(self):
        self.text = Text("data" + CLEAR)
workflow = Workflow(Step, initial=work, exits=[done], name="flow" + CLEAR, data=Data)
async def task(data: Data) -> Literal[Step.DONE]:
    return done
workflow.register(work, task, name="task" + CLEAR)
failing = Workflow(Step, initial=work, exits=[done], name="failing" + CLEAR)
class Wrong(Exception):
    pass
Wrong.__qualname__ = "Wrong" + CLEAR
@failing.task(work, retry=Retry.fixed(1, delay=0), name="fail" + CLEAR)
async def fail() -> Literal[Step.DONE]:
    error = Wrong("message" + CLEAR)
    error.add_note("note" + CLEAR)
    raise error from Wrong("cause" + CLEAR)
broken = Workflow(Step, initial=work, exits=[done], name="broken" + CLEAR)
@broken.task(work)
async def again() -> Literal[work]:
    return work
"""


def obeyed(text: str) -> list[str]:
    """The control characters in a text that a terminal would obey."""
    return [
        character
        for character in text
        if character not in "\n\t" and not " " <= character < "\x7f" and character < "\xa0"
    ]


@pytest.fixture
def evil(folder: Path) -> Path:
    (folder / "evil.py").write_text(EVIL)
    return folder


@pytest.mark.parametrize(
    "arguments, shown",
    [
        (["run", "evil.py:workflow"], "data"),
        (["run", "evil.py:failing"], "message"),
        (["run", "evil.py:failing", "--traceback"], "note"),
        (["graph", "evil.py:workflow"], "task"),
        (["graph", "evil.py:workflow", "--format", "ascii"], "task"),
        (["check", "evil.py:workflow", "--json"], "flow"),
        (["run", "evil.py:workflow", "--start", "WRONG"], "WORK"),
        (["run", "evil.py:failing", "--data", "{}"], "failing"),
        (["run", "evil.py:\x1b[2J"], ""),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("evil")
def test_nothing_a_user_says_is_obeyed_by_the_terminal(arguments: list[str], shown: str) -> None:
    """Names, messages, notes and data show their control characters, in what is printed and in the progress."""
    result = CliRunner().invoke(cano_trio, arguments, prog_name="cano-trio", color=True)
    assert obeyed(result.output) == []
    assert f"{shown}\\u001b[2J" in result.output.replace(r"\x1b", r"\u001b")  # some texts are shown by their repr


@pytest.mark.usefixtures("evil")
def test_problems_are_coloured_by_us_alone() -> None:
    """A problem's own words bring no colour, and its code keeps ours."""
    result = CliRunner().invoke(cano_trio, ["check", "evil.py:broken"], prog_name="cano-trio", color=True)
    assert {line.count("\x1b") for line in result.output.splitlines()} == {3}  # red, bold, reset
    assert "WORK\\u001b[2J\\u009b2J" in result.output


@pytest.mark.usefixtures("evil")
def test_a_json_document_stays_one(command: Command) -> None:
    """In JSON nothing is lost: the texts are read back as they were."""
    answer = json.loads(command("run", "evil.py:failing", "--json").stdout)
    assert (answer["workflow"], answer["state"]) == ("failing\x1b[2J\x9b2J\x07", "WORK\x1b[2J\x9b2J\x07")
    assert answer["error"]["causes"][0]["message"] == "message\x1b[2J\x9b2J\x07"


@pytest.mark.usefixtures("evil")
def test_nothing_in_the_drawing_is_obeyed_either() -> None:
    """The live progress shows states, tasks, breakers and errors in the same way."""
    workflow = find_workflow("evil.py:failing")
    work, done = states_of(workflow)
    live = LiveProgress([work.name, done.name], {work: "fail\x1b[2J"})
    error = OSError("down\x1b[2J\x9b2J")
    out = io.StringIO()
    for event in (
        CircuitRejected("r", "w", work, 1.0, "fail", "breaker\x1b[2J", 1.0),
        TaskFailed("r", "w", work, 1.0, "fail", error, None),
        RunEnded("r", "w", work, 1.0, RunStatus.FAILED, error, 1.0),
    ):
        live.on_event(StateEntered("r", "w", work, 0.0, 1))
        live.on_event(event)
    console = Console(file=out, width=200, force_terminal=False)
    for line in live._finished:
        console.print(live._drawn(line))
    assert obeyed(out.getvalue()) == []
    assert "down\\u001b[2J" in out.getvalue()
