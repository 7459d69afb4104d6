"""A virtual environment for each library, so that none gets another's dependencies, and ours none of theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from venv import EnvBuilder

import attrs

from .peer_list import PEERS, Peer

PATIENCE = 900
"""Seconds that an installation may take."""


@attrs.frozen
class Environments:
    """The environments in a folder.

    Args:
        folder: where they are.
    """

    folder: Path

    def python(self, peer: Peer) -> Path | None:
        """The interpreter that a library is installed for, or None if it is not."""
        if not peer.packages:
            return Path(sys.executable)
        python = self.folder / peer.name / "bin" / "python"
        return python if python.exists() and self.version(peer) else None

    def version(self, peer: Peer) -> str:
        """The version that is installed, or nothing."""
        package = peer.packages[0] if peer.packages else "trio" if peer.program == "hand" else "cano-trio"
        python = self.folder / peer.name / "bin" / "python" if peer.packages else Path(sys.executable)
        asked = f"from importlib.metadata import version; import json; print(json.dumps(version({package!r})))"
        done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
        return str(json.loads(done.stdout)) if done.returncode == 0 else ""

    def set_up(self) -> None:
        """Make those that are missing, and say what can't be installed."""
        for peer in PEERS:
            if self.python(peer) is None:
                print(f"{peer.name}: {self._install(peer)}", flush=True)

    def _install(self, peer: Peer) -> str:
        place = self.folder / peer.name
        EnvBuilder(with_pip=True).create(place)
        command = [
            str(place / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *peer.packages,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return f"not installed within {PATIENCE} seconds"
        return "installed" if done.returncode == 0 else f"can't be installed: {done.stderr.strip().splitlines()[-1:]}"
