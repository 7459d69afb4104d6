"""Whether a journal's files are still those that it opened: SQLite would go on with files that have no name any more."""

from __future__ import annotations

import os
from typing import final

from ..._errors import JournalError


@final
class Files:
    """The file and its WAL, as they are now.

    Args:
        path: the file, which is open and was written to.
    """

    def __init__(self, path: str) -> None:
        self._paths = (path, f"{path}-wal")
        self._known = [_identity(one) for one in self._paths]

    def check(self) -> None:
        """See that they are the same.

        Raises:
            JournalError: one was deleted, moved or replaced.
        """
        for path, known in zip(self._paths, self._known, strict=True):
            if known is not None and _identity(path) != known:
                raise JournalError(f"{path} was deleted, moved or replaced while it was open")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- twice as fast, and done for every batch
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
