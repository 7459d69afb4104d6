"""The command on a real terminal: a pty."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Start

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
DATA = '{"url": "a/bc"}'


def on_terminal(start: Start, *arguments: str, columns: int = 80, stdout: bool = True) -> tuple[str, str, int]:
    """What the command writes to a terminal, and to stdout if that is none; and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = start(*arguments, stderr=theirs, stdout=theirs if stdout else subprocess.PIPE)
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # how Linux tells that the other side is closed
        pass
    os.close(ours)
    piped = process.communicate()[0] or ""
    return written.decode(), piped, process.returncode


def kept_lines(written: str) -> list[str]:
    """What is left of it on the screen, without colours: the last that was written to each line."""
    screen = [line.rsplit("\r\x1b[2K", 1)[-1] for line in written.replace("\r\n", "\n").split("\n")]
    return [plain for line in screen if (plain := ESCAPE.sub("", line).strip("\r ").rstrip())]


def test_every_state_has_a_line_and_the_result_follows(start: Start) -> None:
    """The drawing leaves a line per state, with marks, times and tasks; then stands the result."""
    written, _, code = on_terminal(start, "run", "ingest.py", "--data", DATA)
    lines = [re.sub(r"\d+\.\d s", "T", line) for line in kept_lines(written)]
    assert code == 0
    assert lines == [
        "fetching a/bc",
        "fetching a/bc",
        "✓ FETCH    T fetch       1 retry",
        "✓ PARSE    T batch parse 2/2",
        "● DONE",
        "DONE",
        "url: 'a/bc'",
        "words: ['a', 'bc', '3']",
        "folder: PosixPath('in')",
    ]
    assert written.index("\x1b[?25l") < written.rindex("\x1b[?25h")  # the cursor is there again


def test_the_present_state_moves_while_it_works(start: Start) -> None:
    """A state that takes its time is drawn again and again on its one line, with the time it has taken."""
    written, _, _ = on_terminal(start, "run", "small.py:napping")
    frames = [ESCAPE.sub("", frame) for frame in written.split("\r\x1b[2K")]
    times = [frame.split()[2] for frame in frames if frame[0] in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"]
    assert len(times) >= 2
    assert times == sorted(times)
    assert [line.split()[0] for line in kept_lines(written)] == ["✓", "●", "DONE"]


def test_a_narrow_terminal_is_not_overrun(start: Start) -> None:
    """At 40 columns every line of the drawing still is one line."""
    written, _, _ = on_terminal(start, "run", "ingest.py", "--data", DATA, columns=40)
    drawing = [line for line in kept_lines(written) if line[0] in "✓●"]
    assert [line.split()[1] for line in drawing] == ["FETCH", "PARSE", "DONE"]
    assert max(map(len, drawing)) <= 40


def test_without_colours_there_are_none(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR leaves bold and dim, and takes every colour."""
    green = "\x1b[32m"
    assert green in on_terminal(start, "run", "small.py:ok")[0]
    monkeypatch.setenv("NO_COLOR", "1")
    assert green not in on_terminal(start, "run", "small.py:ok")[0]


def test_a_dumb_terminal_gets_plain_lines(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cursor can't be moved nothing is drawn, and nothing escapes."""
    monkeypatch.setenv("TERM", "dumb")
    written, _, _ = on_terminal(start, "run", "small.py:ok")
    assert ("\x1b" in written, "  WORK: fine\r\n" in written) == (False, True)


def test_json_goes_to_the_pipe_while_the_terminal_is_drawn_on(start: Start) -> None:
    """With stdout piped the drawing is on the terminal, and the pipe holds the document alone."""
    written, piped, code = on_terminal(start, "run", "ingest.py", "--data", DATA, "--json", stdout=False)
    assert (code, piped[0], piped[-2:], piped.count("\n")) == (0, "{", "}\n", 1)
    assert [line[0] for line in kept_lines(written)] == ["f", "f", "✓", "✓", "●"]


def test_what_tasks_print_to_a_pipe_is_not_drawn(start: Start) -> None:
    """With stdout piped, the tasks' own output goes there and not to the terminal."""
    written, piped, _ = on_terminal(start, "run", "ingest.py", "--data", DATA, stdout=False)
    assert ("fetching" in written, piped.splitlines()[0]) == (False, "fetching a/bc")


def test_check_is_coloured_on_a_terminal(start: Start, folder: Path) -> None:
    """A real terminal gets the colours."""
    assert "\x1b[32mok\x1b[0m: 4 states" in on_terminal(start, "check", "ingest.py")[0]
