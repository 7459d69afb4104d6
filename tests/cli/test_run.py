"""`cano-trio run`: what a run is given, and what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start

URL = '{"url": "a/bc"}'


def test_the_result_is_the_exit_state_and_the_data(command: Command) -> None:
    """On stdout stand the exit state and a line for each field, after what the tasks print."""
    result = command("run", "ingest.py", "--data", URL)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-4:] == [
        "DONE", "url: 'a/bc'", "words: ['a', 'bc', '3']", "folder: PosixPath('in')",
    ]  # fmt: skip


def test_without_data_it_is_the_exit_state_alone(command: Command) -> None:
    """A workflow without data answers with one word."""
    assert command("run", "small.py:ok").stdout == "DONE\n"


def test_json_is_one_document_and_nothing_else(command: Command) -> None:
    """With `--json` stdout holds one document; what tasks print goes to stderr."""
    result = command("run", "ingest.py", "--data", URL, "--json")
    answer = json.loads(result.stdout)
    assert answer.pop("elapsed") >= 0.01
    assert answer.pop("run_id").startswith("ingest-")
    assert answer == {
        "workflow": "ingest",
        "status": "completed",
        "state": "DONE",
        "path": ["FETCH", "PARSE", "DONE"],
        "data": {"url": "a/bc", "words": ["a", "bc", "3"], "folder": "in"},
        "error": None,
        "rollback": None,
    }
    assert "fetching a/bc\n" in result.stderr


def test_json_of_a_run_without_data(command: Command) -> None:
    """Data that the workflow has not are null."""
    assert json.loads(command("run", "small.py:ok", "--json").stdout)["data"] is None


def test_data_from_a_file(command: Command, folder: Path) -> None:
    """`--data @FILE` reads them from a file."""
    (folder / "doc.json").write_text('{"url": "x", "folder": "out"}')
    assert "folder: PosixPath('out')" in command("run", "ingest.py", "--data", "@doc.json").stdout


def test_data_from_stdin(command: Command) -> None:
    """`--data -` reads them from stdin."""
    assert "url: 'a/bc'" in command("run", "ingest.py", "--data", "-", stdin=URL).stdout


@pytest.mark.parametrize(
    "data, message",
    [
        (None, "Doc needs url: pass --data '{\"url\": …}'"),
        ('{"words": []}', "--data is no Doc: Object missing required field `url`"),
        ('{"ulr": "x"}', "--data: Doc has no field 'ulr'. Did you mean url?"),
        ('{"zzz": "x"}', "--data: Doc has no field 'zzz'. Its fields are: url, words, folder."),
        ('{"url": "x", "words": ["a", 3]}', "--data is no Doc: Expected `str`, got `int` - at `$.words[1]`"),
        ("[]", "--data is no Doc: Expected `object`, got `array`"),
        ("{'url': 'x'}", "--data: JSON is malformed: object keys must be strings (byte 1)"),
        ("doc.json", "--data: JSON is malformed: invalid character (byte 0). Did you mean --data @doc.json?"),
        ("@dok.json", "there is no file dok.json. Did you mean doc.json?"),
        ("@.", ". is a directory, not a file. Name one, such as: doc.json, empty.json, ingest.py, small.py."),
        ("", "--data is empty: pass JSON, @FILE, or - for stdin; or leave --data out"),
        (" ", "--data is empty: pass JSON, @FILE, or - for stdin; or leave --data out"),
        ("-", "--data - is empty: pass JSON, @FILE, or - for stdin; or leave --data out"),
        ("@empty.json", "--data @empty.json is empty: pass JSON, @FILE, or - for stdin; or leave --data out"),
    ],
)
def test_wrong_data_are_one_line_and_exit_code_2(
    command: Command, folder: Path, data: str | None, message: str
) -> None:
    """msgspec's message with the path of what is wrong, or a guess at what was meant."""
    (folder / "doc.json").write_text(URL)
    (folder / "empty.json").write_text("\n")
    result = command("run", "ingest.py", *([] if data is None else ["--data", data]))
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {message}\n")


def test_data_for_a_workflow_without_data_are_refused(command: Command) -> None:
    """What would be ignored is not accepted."""
    result = command("run", "small.py:ok", "--data", "{}")
    assert (result.exit_code, result.stderr) == (2, "Error: workflow 'ok' takes no data: leave --data out\n")


DATA = """
from enum import Enum
from typing import Literal
import attrs, dataclasses, msgspec
from cano_trio import Workflow
Step = Enum("Step", "WORK DONE")
class Filled:
    def __init__(self, size: int = 3): self.size = size
class Unfilled:
    def __init__(self, size: int, *more: int, **named: int): self.size = size
class Breaking:
    def __init__(self): raise OSError("no disk")
class Struct(msgspec.Struct, rename="camel", tag="s"):
    first_name: str
    last_name: str = ""
@attrs.define
class Odd:
    size: int = 1
    where: complex = 2j
    def __attrs_post_init__(self):
        if self.size > 5: raise OSError("too large")
@attrs.define
class Halved:
    by: str = '\\ud800'
    where: complex = 2j
@dataclasses.dataclass
class Part:
    size: int = 1
@dataclasses.dataclass
class Late:
    size: int = dataclasses.field(init=False)
@dataclasses.dataclass
class Whole:
    parts: list[Part] = dataclasses.field(default_factory=list)
    part: Part = dataclasses.field(default_factory=Part)
    size: int = 2
@dataclasses.dataclass
class Partial:
    late: Late = dataclasses.field(default_factory=Late)
@dataclasses.dataclass
class Unasked:
    size: int = 1
    total: int = dataclasses.field(init=False, default=0)
@dataclasses.dataclass
class Unsaid:
    there: "NoSuchType"
def flow(data):
    made = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="flow", data=data)
    @made.task(Step.WORK)
    async def work(data: data) -> Literal[Step.DONE]:
        return Step.DONE
    return made
filled, unfilled, breaking, struct, odd, halved, table, unsaid, whole, partial, unasked = map(
    flow, (Filled, Unfilled, Breaking, Struct, Odd, Halved, dict, Unsaid, Whole, Partial, Unasked)
)
"""


@pytest.mark.parametrize(
    "name, data, code, answer",
    [
        ("filled", None, 0, '"<data.Filled object at'),
        ("unfilled", None, 2, "Unfilled needs size: pass --data '{\"size\": …}'"),
        ("breaking", None, 2, "Breaking() fails without --data: OSError: no disk"),
        ("filled", "{}", 2, "--data"),
        ("struct", None, 2, "Struct needs firstName: pass --data '{\"firstName\": …}'"),
        ("struct", '{"type": "s", "firstName": "A"}', 0, '{"type":"s","firstName":"A","lastName":""}'),
        ("struct", '{"first_name": "A"}', 2, "Struct has no field 'first_name'. Did you mean firstName"),
        ("odd", None, 0, '{"size":1,"where":"2j"}'),
        ("odd", '{"size": 9}', 2, "--data makes no Odd: OSError: too large"),
        ("halved", None, 0, "\"Halved(by='\\\\ud800', where=2j)\""),
        ("table", None, 0, "{}"),
        ("table", '{"any": 1}', 0, '{"any":1}'),
        ("whole", '{"parts": [{}, {"size": 3}]}', 0, '{"parts":[{"size":1},{"size":3}],"part":{"size":1},"size":2}'),
        ("unasked", None, 0, '{"size":1,"total":0}'),
        ("partial", "{}", 1, "DataNotEncodable: Partial.late: "),
        ("unsaid", None, 2, "Unsaid needs there: pass --data"),
        ("unsaid", "{}", 2, "--data makes no Unsaid: NameError: name 'NoSuchType' is not defined"),
    ],
)
def test_every_kind_of_data_type(
    command: Command, folder: Path, name: str, data: str | None, code: int, answer: str
) -> None:
    """A type is made of no arguments if it can be; JSON writes what it can, and else shows the repr."""
    (folder / "data.py").write_text(DATA)
    result = command("run", f"data.py:{name}", "--json", *([] if data is None else ["--data", data]))
    assert (result.exit_code, answer in (result.stderr if code else result.stdout)) == (code, True), result.output


def test_data_that_are_no_record_are_shown_as_they_are(command: Command, folder: Path) -> None:
    """Data without fields of their own have one line; a dict has one for each key."""
    (folder / "data.py").write_text(DATA)
    assert command("run", "data.py:table", "--data", '{"a": "x"}').stdout == "DONE\na: 'x'\n"
    (folder / "data.py").write_text(DATA.replace("Odd, Halved, dict", "Odd, Halved, set"))
    assert command("run", "data.py:table").stdout == "DONE\nset()\n"


def test_start_in_another_state(command: Command) -> None:
    """`--start` names the state to begin in."""
    result = command("run", "ingest.py", "--data", URL, "--start", "PARSE", "--json")
    assert json.loads(result.stdout)["path"] == ["PARSE", "DONE"]


@pytest.mark.parametrize(
    "state, message",
    [
        ("WROK", "'WROK' is no state of workflow ok. Did you mean WORK?"),
        ("work", "'work' is no state of workflow ok. Did you mean WORK?"),
        ("X", "'X' is no state of workflow ok. There are: WORK, DONE."),
        ("LOST", "'LOST' has no task to start with in workflow ok. There are: WORK, DONE."),
    ],
)
def test_a_wrong_state_is_one_line_and_exit_code_2(command: Command, state: str, message: str) -> None:
    """A state that is not there, or has nothing to do, is refused with those that have."""
    result = command("run", "small.py:ok", "--start", state)
    assert (result.exit_code, result.stderr) == (2, f"Error: {message}\n")


def test_a_closed_stdout_is_no_traceback(start: Start) -> None:
    """`cano-trio graph … | true` ends quietly."""
    process = start("graph", "ingest.py")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
