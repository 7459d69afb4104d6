"""What may be sent to a run, and what is said of what may not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command


@pytest.fixture
def waiting(command: Command, desk: Path) -> str:
    """A run that is written down."""
    assert command("run", "desk.py", "--detach", "--run-id", "a").stdout == "a\n"
    return "a"


@pytest.mark.parametrize(
    "type_, text, message",
    [
        ("Aproved", "{}", "'Aproved' is no message of workflow 'desk'. Did you mean Approved?"),
        ("int", "{}", "'int' is no message of workflow 'desk'. It takes: Approved, Rejected."),
        ("Approved", "{}", "the message is no Approved: Object missing required field `by`"),
        ("Approved", '{"by": 3}', "the message is no Approved: Expected `str`, got `int` - at `$.by`"),
        ("Approved", '{"by": "Mo", "amout": 3}', "the message: Approved has no field 'amout'. Did you mean amount?"),
        ("Approved", '{"by"', "the message: Input data was truncated"),
        ("Approved", "@aproved.json", "there is no file aproved.json. Did you mean approved.json?"),
    ],
)
def test_what_is_no_message_is_refused(
    command: Command, desk: Path, waiting: str, type_: str, text: str, message: str
) -> None:
    """One line that names the type or the field, exit code 2, and nothing is sent."""
    (desk / "approved.json").touch()
    result = command("send", "desk.py", waiting, type_, text)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {message}\n")
    assert json.loads(command("show", waiting, "--json").stdout)["messages"] == []


@pytest.mark.parametrize("given", ["@approved.json", "-", '{"by": "Mo"}'])
def test_a_message_is_written_down_for_the_run(command: Command, desk: Path, waiting: str, given: str) -> None:
    """As the type makes it of the JSON, which a file or stdin may hold; nobody has to carry the run out."""
    (desk / "approved.json").write_text('{"by": "Mo"}')
    result = command("send", "desk.py", waiting, "Approved", given, stdin='{"by": "Mo"}')
    assert (result.exit_code, result.stdout, result.stderr) == (0, "sent Approved to a\n", "")
    message = json.loads(command("show", waiting, "--json").stdout)["messages"][0]
    assert (message["type"], message["body"], message["key"]) == ("Approved", {"by": "Mo", "amount": 0}, None)


def test_of_two_messages_with_one_key_one_is_sent(command: Command, desk: Path, waiting: str) -> None:
    """The second call says so, and succeeds."""
    call = ("send", "desk.py", waiting, "Approved", '{"by": "Mo"}', "--key", "mail 17")
    assert json.loads(command(*call, "--json").stdout) == {"run_id": "a", "type": "Approved", "sent": True}
    result = command(*call)
    assert (result.exit_code, result.stdout) == (0, "a has got one with the key 'mail 17' before\n")
    assert len(json.loads(command("show", waiting, "--json").stdout)["messages"]) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["desk.py", "b", "Approved", '{"by": "Mo"}'], "the journal has no run 'b'"),
        (["desk.py", "a", "Approved", '{"by": "Mo"}', "--key", ""], "a key is not empty"),
        (["small.py:ok", "a", "Approved", "{}"], "workflow 'ok' takes no messages"),
    ],
)
def test_a_message_to_nobody_is_refused(
    command: Command, desk: Path, waiting: str, arguments: list[str], message: str
) -> None:
    """An unknown run, an empty key, a workflow without messages."""
    result = command("send", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {message}")


def test_a_run_that_is_over_takes_none(command: Command, desk: Path) -> None:
    """The refusal says where it stands."""
    command("run", "desk.py", "--detach", "--run-id", "a")
    command("send", "desk.py", "a", "Rejected", '{"why": "dear"}')
    assert command("resume", "desk.py", "a").exit_code == 0
    result = command("send", "desk.py", "a", "Approved", '{"by": "Mo"}')
    assert (result.exit_code, result.stderr) == (2, "Error: run 'a' takes no more messages: it is completed\n")
