"""Ctrl-C: the run is cancelled, one line says where, and there is no traceback."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest
import trio

from cano_trio import RunStatus
from cano_trio.cli.running import run_to_its_end
from cano_trio.cli.signals import AGAIN_SECONDS
from cano_trio.cli.target import find_workflow

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start


def test_ctrl_c_cancels_the_run(start: Start) -> None:
    """A sleeping task is cancelled at once: one line, exit code 1."""
    process = start("run", "small.py:sleeping")
    assert process.stdout is not None
    assert process.stdout.readline() == "sleeping\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    assert [line.split("  ")[-1] for line in errors.splitlines()] == [
        "WORK: sleep", f"WORK: cancelled after {errors.split('after ')[1].splitlines()[0]}", "interrupted in WORK",
    ]  # fmt: skip
    assert (process.returncode, out) == (1, "")


def test_ctrl_c_rolls_back_and_says_what_it_undid(start: Start) -> None:
    """What the run has done is undone before the command ends, and named."""
    process = start("run", "small.py:paying")
    assert process.stdout is not None
    assert process.stdout.readline() == "shipping\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out) == (1, "refunding 3\n")
    assert errors.splitlines()[-2:] == ["interrupted in LOST", "undone: WORK"]
    assert [line.split("  ")[-1] for line in errors.splitlines()][2:4] == ["WORK: undoing", "WORK: undone"]


def test_a_ctrl_c_that_comes_several_times_is_one(start: Start) -> None:
    """A wrapper hands on what the terminal has sent already: the line, the exit code, and no traceback."""
    process = start("run", "small.py:sleeping")
    assert process.stdout is not None
    assert process.stdout.readline() == "sleeping\n"
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    errors = process.communicate(timeout=10)[1]
    assert (process.returncode, errors.splitlines()[-1]) == (1, "interrupted in WORK")
    assert "Traceback" not in errors


@pytest.mark.usefixtures("folder")
def test_after_an_interrupt_the_process_is_deaf_to_more() -> None:
    """Two at once cancel the run once; while the last lines are written a third can't break in."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = run_to_its_end(find_workflow("small.py:interrupting"), None, None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert (outcome.status, outcome.course.path[-1].name) == (RunStatus.CANCELLED, "WORK")


@pytest.mark.parametrize("name", ["spinning", "spinning_beside"])
def test_a_second_ctrl_c_breaks_off_what_does_not_let_itself_be_cancelled(start: Start, name: str) -> None:
    """A task that never gives control back hears no cancel; the second Ctrl-C is raised right inside it."""
    process = start("run", f"small.py:{name}", "--json")
    assert process.stderr is not None
    next(line for line in process.stderr if "spinning" in line)
    process.send_signal(signal.SIGINT)
    with pytest.raises(Exception, match="timed out"):
        process.wait(2 * AGAIN_SECONDS)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, errors.splitlines()[-1]) == (1, "interrupted in WORK")
    assert (json.loads(out)["status"], json.loads(out)["error"]) == ("cancelled", None)
    assert "Traceback" not in errors


@pytest.mark.usefixtures("folder")
def test_where_sigint_is_ignored_it_stays_ignored() -> None:
    """A command started with nohup, or in a script's background, does not begin to hear Ctrl-C."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        outcome = run_to_its_end(find_workflow("small.py:ok"), None, None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert outcome.status is RunStatus.COMPLETED


@pytest.mark.usefixtures("folder")
def test_the_handler_is_given_back() -> None:
    """After a run SIGINT is handled as before."""
    earlier = signal.getsignal(signal.SIGINT)
    run_to_its_end(find_workflow("small.py:ok"), None, None)
    assert signal.getsignal(signal.SIGINT) is earlier


def test_an_interrupt_before_the_first_state_says_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """While resources are set up there is no state to name."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "run", interrupted)
    result = command("run", "small.py:ok")
    assert (result.exit_code, result.stderr) == (1, "interrupted before the first state\n")
