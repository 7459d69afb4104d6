"""What the command does with runs that another process serves."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command, Start


class Server:
    """A service in a process of its own.

    Args:
        process: it.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait_for(self, event: str, run_id: str | None = None) -> dict[str, Any]:
        """What it tells, up to an event of a run."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event and run_id in {None, told.get("run_id")}:
                return told
        raise AssertionError(f"it never told of {event}")

    def stop(self) -> int:
        """Have it stop in peace; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def serve(start: Start, desk: Path) -> Callable[[], Server]:
    """Serve the desk."""

    def begin() -> Server:
        server = Server(start("serve", "desk.py", "--json", stderr=subprocess.DEVNULL))
        server.wait_for("serving")
        return server

    return begin


def status_of(command: Command, run_id: str) -> tuple[str, str]:
    """Where a run stands."""
    shown = json.loads(command("show", run_id, "--json").stdout)
    return shown["status"], shown["state"]


def test_a_run_is_left_to_a_server_and_hears_what_it_is_sent(command: Command, serve: Callable[[], Server]) -> None:
    """Begun, sent a message, and over in the other process, which then stops in peace."""
    server = serve()
    assert command("run", "desk.py", "--detach", "--run-id", "a").stdout == "a\n"
    server.wait_for("started", "a")
    assert command("send", "desk.py", "a", "Approved", '{"by": "Mo"}').exit_code == 0
    assert server.wait_for("completed", "a")["state"] == "DONE"
    assert server.stop() == 0
    assert json.loads(command("show", "a", "--json").stdout)["data"] == {"item": "tea", "by": "Mo"}


def test_a_run_is_held_and_goes_on_where_it_is_served(command: Command, serve: Callable[[], Server]) -> None:
    """`pause` waits until it is so, `resume --detach` leaves it to the server again."""
    server = serve()
    command("run", "desk.py", "--detach", "--run-id", "a")
    server.wait_for("started", "a")
    result = command("pause", "desk.py", "a", "--reason", "a strike")
    assert (result.exit_code, result.stdout) == (0, "a is paused in ASK\n")
    assert "why       a strike" in command("show", "a").stdout.splitlines()
    command("send", "desk.py", "a", "Approved", '{"by": "Mo"}')
    assert status_of(command, "a") == ("paused", "ASK")
    result = command("resume", "desk.py", "a", "--detach")
    assert (result.exit_code, result.stdout) == (0, "a is left to the process that serves its workflow\n")
    server.wait_for("resumed", "a")
    server.wait_for("completed", "a")


def test_a_run_is_cancelled_by_the_process_that_carries_it_out(command: Command, serve: Callable[[], Server]) -> None:
    """The command waits for the end, and says what was undone; the bank is open there, not here."""
    server = serve()
    command("run", "desk.py", "--detach", "--run-id", "a")
    server.wait_for("started", "a")
    result = command("cancel", "desk.py", "a", "--reason", "no more tea", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["status"], answer["rollback"]["undone"]) == (0, "cancelled", ["PAY"])
    assert "bank is open" not in result.stderr
    assert "carries it out, and is to cancel it" in result.stderr
    assert server.wait_for("cancelled", "a")["rollback"]["undone"] == ["PAY"]


def test_what_could_not_be_undone_elsewhere_is_told(command: Command, desk: Path, serve: Callable[[], Server]) -> None:
    """With what can be done about it, and exit code 1."""
    (desk / "bankrupt").touch()
    server = serve()
    command("run", "desk.py", "--detach", "--run-id", "a")
    server.wait_for("started", "a")
    result = command("cancel", "desk.py", "a")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: RunFailed: run 'a' is rollback_failed" in result.stderr
    assert result.stderr.endswith(
        "Try again to undo what is left: cano-trio retry --rollback --journal runs.db desk.py a\n"
    )


def test_a_run_that_completes_before_it_is_cancelled_is_no_success(
    command: Command, desk: Path, serve: Callable[[], Server]
) -> None:
    """It finishes its last state when the cancel comes: the command says so, and exits with 1."""
    (desk / "mode").write_text("finish")
    server = serve()
    for run_id in "ab":
        command("run", "desk.py", "--detach", "--run-id", run_id)
        server.wait_for("started", run_id)
        command("send", "desk.py", run_id, "Approved", '{"by": "Mo"}')
        while status_of(command, run_id)[1] != "SHIP":
            pass
    result = command("cancel", "desk.py", "a")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Error: run 'a' can't be cancelled: it is completed\n")
    result = command("cancel", "desk.py", "b", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["status"], answer["error"]["type"]) == (1, "completed", "RunAlreadyEnded")


HASTY = """\
import io, signal, sys
from desk import desk

class Hasty(io.TextIOWrapper):
    def write(self, text):
        written = super().write(text)
        if "carries it out" in text:
            signal.raise_signal(signal.SIGINT)
        return written

sys.stderr = Hasty(sys.stderr.buffer, line_buffering=True)
"""
"""A target whose terminal sends Ctrl-C as soon as it is told who carries a run out: before that process is asked."""


@pytest.mark.parametrize("verb, done", [("pause", "held"), ("cancel", "cancelled")])
def test_a_ctrl_c_before_anything_was_asked_for_is_told_so(
    command: Command, desk: Path, serve: Callable[[], Server], start: Start, verb: str, done: str
) -> None:
    """With exit code 1; the run goes on as if nothing had been."""
    (desk / "hasty.py").write_text(HASTY)
    server = serve()
    command("run", "desk.py", "--detach", "--run-id", "a")
    server.wait_for("started", "a")
    process = start(verb, "hasty.py", "a")
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert errors.splitlines()[-1] == f"interrupted before it was asked for: a is not {done}"
    command("send", "desk.py", "a", "Approved", '{"by": "Mo"}')
    assert server.wait_for("completed", "a")["state"] == "DONE"


@pytest.mark.parametrize("verb, done", [("pause", "held"), ("cancel", "cancelled")])
def test_a_ctrl_c_behind_what_was_asked_for_is_told_so(
    command: Command, desk: Path, serve: Callable[[], Server], start: Start, verb: str, done: str
) -> None:
    """With exit code 3: the other process has yet to do it."""
    (desk / "mode").write_text("stay")
    server = serve()
    command("run", "desk.py", "--detach", "--run-id", "a")
    server.wait_for("started", "a")
    command("send", "desk.py", "a", "Approved", '{"by": "Mo"}')
    while status_of(command, "a")[1] != "SHIP":
        pass
    process = start(verb, "desk.py", "a")
    while not json.loads(command("show", "a", "--json").stdout)["messages"]:
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.splitlines()[-1]) == (
        3, f"asked for: a is {done} by whoever carries it out",
    )  # fmt: skip


def test_a_cancel_may_be_left_to_the_server(command: Command, desk: Path, serve: Callable[[], Server]) -> None:
    """Nobody waits for it, even while a task is at work."""
    (desk / "mode").write_text("sleep")
    command("run", "desk.py", "--detach", "--run-id", "a")
    command("send", "desk.py", "a", "Approved", '{"by": "Mo"}')
    server = serve()
    server.wait_for("started", "a")
    result = command("cancel", "desk.py", "a", "--detach", "--reason", "no more tea", "--json")
    assert (result.exit_code, json.loads(result.stdout)["asked"]) == (0, "cancel")
    assert "no more tea" in server.wait_for("cancelled", "a")["error"]["message"]


def test_a_run_that_a_command_carries_out_hears_what_it_is_sent(command: Command, desk: Path, start: Start) -> None:
    """`run` in one terminal, `send` in another: a message, and a pause, behind which the run can go on."""
    for asked, code, said in (
        (("send", "desk.py", "a", "Approved", '{"by": "Mo"}'), 0, "DONE\nitem: 'tea'\nby: 'Mo'\n"),
        (("pause", "desk.py", "b"), 3, ""),
    ):
        process = start("run", "desk.py", "--run-id", asked[2], "--data", "{}")
        assert process.stderr is not None
        next(line for line in process.stderr if "waits for message" in line)
        assert command(*asked).exit_code == 0
        out, errors = process.communicate(timeout=20)
        assert (process.returncode, out.removeprefix("bank is open\n")) == (code, said)
    assert errors.endswith("released in ASK. Go on with it: cano-trio resume --journal runs.db desk.py b\n")
    assert status_of(command, "b") == ("paused", "ASK")


def test_a_run_at_work_elsewhere_says_who_knows_its_stack(
    command: Command, desk: Path, serve: Callable[[], Server], start: Start
) -> None:
    """It waits for nothing; and a pause of it waits for the state to end, until Ctrl-C: exit code 3."""
    (desk / "mode").write_text("sleep")
    command("run", "desk.py", "--detach", "--run-id", "a")
    command("send", "desk.py", "a", "Approved", '{"by": "Mo"}')
    server = serve()
    while status_of(command, "a") != ("running", "SHIP"):
        pass
    lines = command("show", "a").stdout.splitlines()
    assert "stack     known to that process only, which tells it by `serve --stuck-after SECONDS`" in lines
    process = start("pause", "desk.py", "a")
    assert process.stderr is not None
    assert "holds it when the state it is in is finished" in process.stderr.readline()
    while not json.loads(command("show", "a", "--json").stdout)["messages"]:
        pass  # it is asked for when this is written down
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (3, "")
    assert errors.endswith("asked for: a is held by whoever carries it out\n")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("stopping")
    server.process.kill()
    server.process.wait()
    assert status_of(command, "a") == ("running", "SHIP")
