"""That one runtime at a time carries out the runs of a journal that is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .._errors import JournalError
from .._journal.protocol import Journal

_owners: Final[set[str]] = set()
"""Under which runs are held that a runtime of this process carries out."""


@contextmanager
def only_carrier(journal: Journal) -> Iterator[None]:
    """Be, for the block, the only runtime that carries out runs under a journal's owner.

    Of two that hold runs under one owner, each would be taken for the other: both would carry out the same run.

    Raises:
        JournalError: another one is.
    """
    owner = journal.owner
    if owner in _owners:
        raise JournalError(
            "another runtime carries out the runs of this journal already, under the same owner. Give each its own, such as "
            "SqliteJournal(path) or MemoryJournal(beside=...), or open one that only looks and asks: claim=False."
        )
    _owners.add(owner)
    try:
        yield
    finally:
        _owners.discard(owner)
