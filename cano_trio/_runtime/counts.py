"""What a runtime has done so far."""

from __future__ import annotations

from typing import final

import attrs


@final
@attrs.define
class Counts:
    """Numbers that only grow; see `RuntimeStatistics`."""

    started: int = 0
    claimed: int = 0
    unloaded: int = 0
    completed: int = 0
    failed: int = 0
    released: int = 0
    restarted: int = 0
