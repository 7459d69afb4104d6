"""Where journals that are measured lie: in the system's folder for temporary files. Set ``TMPDIR`` to measure another disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from .measure import Clocked

Measured = Callable[[Path, int], Awaitable[float]]
"""Does something that many times in a folder of its own, and returns what one took: seconds, or bytes."""


def in_folder(measured: Measured) -> Clocked:
    """Measures inside a trio run, in an empty folder that is removed afterwards."""

    def clocked(times: int) -> float:
        with TemporaryDirectory(prefix="cano_trio-bench-") as folder:
            return trio.run(measured, Path(folder), times)

    return clocked
