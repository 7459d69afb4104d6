"""What `import cano_trio` takes on top of `import trio`, each in a fresh interpreter."""

from __future__ import annotations

import atexit
import compileall
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import cano_trio

from .measure import Case

TRIO = "import trio"
PROGRAM = """
import sys, time
for name in {before}: __import__(name)
known, begun = len(sys.modules), time.perf_counter()
import {module}
print(time.perf_counter() - begun, len(sys.modules) - known)
"""


@final
class Import:
    """An import, done in a fresh interpreter each time; knows how many modules came with it."""

    def __init__(self, home: str, module: str, *before: str) -> None:
        self._home = home  # a program given by -c finds modules where it is run first
        self._program = PROGRAM.format(module=module, before=before)
        self.note = f"{self._run()[1]} modules"

    def __call__(self, _times: int) -> float:
        """The seconds it took."""
        return float(self._run()[0])

    def _run(self) -> list[str]:
        command = [sys.executable, "-c", self._program]
        # A coverage tool that follows into subprocesses would be measured too.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        done = subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True, cwd=self._home, env=plain
        )
        return done.stdout.split()


def _installed() -> str:
    """A compiled copy of the library, as an installer leaves it: the checkout may have no bytecode."""
    home = TemporaryDirectory()
    atexit.register(home.cleanup)
    copy = Path(home.name, cano_trio.__name__)
    shutil.copytree(Path(cano_trio.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(copy, quiet=1)
    return home.name


def cases() -> Sequence[Case]:
    """The library after trio, beside trio itself."""
    home = _installed()
    alone, after = Import(home, "trio"), Import(home, "cano_trio", "trio")
    return [
        Case(name=TRIO, clocked=alone, note=alone.note),
        Case(name="import cano_trio after trio", clocked=after, baseline=TRIO, reach=45_000, note=after.note),
    ]
