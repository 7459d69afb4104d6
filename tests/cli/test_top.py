"""Watching the runs of a journal that are not over."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_terminal import ESCAPE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command, Start


@pytest.fixture
def runs(command: Command, desk: Path) -> None:
    """Three runs that stand differently, and one that is over."""
    for run_id in ("queued", "paused", "waiting", "over"):
        command("run", "desk.py", "--detach", "--run-id", run_id)
    command("pause", "desk.py", "paused", "--reason", "a strike")
    command("send", "desk.py", "over", "Rejected", '{"why": "dear"}')
    command("resume", "desk.py", "over")


def cells(line: str) -> list[str]:
    """The columns of a line."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.usefixtures("runs")
def test_each_run_that_is_not_over_has_a_line(command: Command) -> None:
    """With what it waits for; those that need somebody come before those that only wait."""
    result = command("top")
    lines = [cells(line) for line in result.stdout.splitlines()]
    assert lines[0] == ["RUN", "WORKFLOW", "STATUS", "STATE", "FOR", "WAITS FOR"]
    assert [(line[0], line[2], line[3]) for line in lines[1:]] == [
        ("paused", "paused", "PAY"), ("queued", "queued", "PAY"), ("waiting", "queued", "PAY"),
    ]  # fmt: skip
    assert [line[5] for line in lines[1:3]] == [
        "an operator; it goes on when it is resumed",
        "a slot; it begins when another run has ended, or when a run…",
    ]
    assert result.exit_code == 0


@pytest.mark.usefixtures("runs")
def test_as_json_it_tells_what_each_waits_for(command: Command) -> None:
    """All that `list` knows, and that."""
    told = json.loads(command("top", "--json").stdout)
    assert [(run["run_id"], run["waits_for"]) for run in told] == [
        ("paused", "an operator"), ("queued", "a slot"), ("waiting", "a slot"),
    ]  # fmt: skip
    listed = {run["run_id"]: run for run in json.loads(command("list", "--json").stdout)}
    assert {key: told[0][key] for key in listed["paused"]} == listed["paused"]


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    "options, shown, more",
    [(["--limit", "2"], 2, True), (["--limit", "3"], 3, False), (["--workflow", "other"], 0, False)],
)
def test_so_many_are_shown_as_are_wanted(command: Command, options: list[str], shown: int, more: object) -> None:
    """That there are others is said."""
    result = command("top", "--once", *options)
    assert len(result.stdout.splitlines()) == shown + bool(shown)
    assert ("and others: --limit N shows more" in result.stderr) is more


@pytest.mark.usefixtures("runs")
def test_on_a_terminal_it_is_drawn_again_and_again(command: Command, start: Start) -> None:
    """On a screen of its own, which Ctrl-C leaves as it was, with exit code 0."""
    ours, theirs = pty.openpty()
    process = start("top", "--interval", "0.1", stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    written = b""
    while written.count(b"3 runs not over") < 2:
        written += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # how Linux tells that the other side is closed
        pass
    os.close(ours)
    assert (process.wait(10), process.communicate()[1]) == (0, "")
    text = written.decode()
    assert text.index("\x1b[?1049h") < text.rindex("\x1b[?1049l")
    drawn = next(frame for frame in text.split("\x1b[H") if "not over" in frame)
    frame = [ESCAPE.sub("", line).rstrip() for line in drawn.split("\r\n")]
    assert frame[0].startswith("runs.db  20")
    assert [cells(line)[0] for line in frame[1:5]] == ["RUN", "paused", "queued", "waiting"]


@pytest.mark.usefixtures("runs")
def test_without_rich_it_looks_once(start: Start) -> None:
    """On a terminal, too: half of the extra is enough for that."""
    without = "import sys; sys.modules['rich'] = None; import cano_trio.cli; cano_trio.cli.main()"
    ours, theirs = pty.openpty()
    process = start("top", stdout=theirs, python=("-c", without))
    os.close(theirs)
    assert process.wait(20) == 0
    assert [cells(line)[0] for line in os.read(ours, 65536).decode().splitlines()] == [
        "RUN",
        "paused",
        "queued",
        "waiting",
    ]
    os.close(ours)
