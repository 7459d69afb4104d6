"""The command `cano-trio`; it needs the extra ``cli``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command on `sys.argv`, and exit: 0 all is well, 1 the run failed, 2 the call is wrong, 3 the run can go on."""
    try:
        from .commands import cano_trio  # noqa: PLC0415  (click may not be there, and this says so)
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("Error: the command needs click. Install it: pip install 'cano-trio[cli]'\n")
        sys.exit(2)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    cano_trio.main(prog_name="cano-trio", color=False if plain else None)
