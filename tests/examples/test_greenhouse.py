"""The example's scheduler as a process of its own, and somebody who presses Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

SCHEDULER = Path(__file__).parents[2] / "examples" / "greenhouse.py"


def test_ctrl_c_stops_the_scheduler_in_peace() -> None:
    """Nothing fires any more, the watering that goes on is finished, and the process ends well."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child inherits that it is ignored
    command = [sys.executable, "-W", "error", str(SCHEDULER), "forever"]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            next(line for line in process.stdout if line == "  watering tomatoes\n")
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=20)
    finally:
        signal.signal(signal.SIGINT, earlier)
    lines = out.splitlines()
    assert (process.returncode, errors) == (0, "")
    assert lines.index("stopping") < lines.index("  watered tomatoes")
    assert lines[-1] == "  water (only when triggered) has run 1 times"
