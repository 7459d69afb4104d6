"""Rows to write down in tests."""

from __future__ import annotations

from cano_trio._journal.rows import Fence, StoredRun
from cano_trio.testing._laws.rows import at as at
from cano_trio.testing._laws.rows import finished as finished
from cano_trio.testing._laws.rows import letter as letter
from cano_trio.testing._laws.rows import new as new
from cano_trio.testing._laws.rows import schedule as schedule
from cano_trio.testing._laws.rows import step as step


def fence_of(stored: StoredRun | None) -> Fence:
    """The fence of a claimed run."""
    assert stored is not None
    return stored.record.fence
