"""What outlives the processes of a scenario: a store in memory, or a folder with whatever journals keep in files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeAlias, final

from .._journal.memory import MemoryJournal
from .._journal.protocol import Journal

OpenJournal: TypeAlias = Callable[[Path], Journal]
"""Makes the journal of a new process, of what is in a folder: ``lambda folder: SqliteJournal(folder / "runs.db")``."""


class Storage(Protocol):
    """What outlives a process."""

    def journal(self) -> Journal:
        """The journal of a new process."""
        ...

    def crash(self) -> bool:
        """Keep it as it is now, whatever the dying process does to it; tells whether that may close its journal."""
        ...


@contextmanager
def storage(open_journal: OpenJournal | None) -> Iterator[Storage]:
    """A store with nothing in it.

    Args:
        open_journal: makes the journals of files; None for a store in memory.
    """
    if open_journal is None:
        yield _InMemory()
        return
    with TemporaryDirectory(prefix="cano-trio-") as folder:
        yield _InFolder(Path(folder), open_journal)


@final
class _InMemory:
    def __init__(self) -> None:
        self._journal = MemoryJournal()

    def journal(self) -> Journal:
        return self._journal

    def crash(self) -> bool:
        return False  # closing it would give back what the dead process holds


@final
class _InFolder:
    """The dying process keeps its folder, and the next one gets a copy of the files as they were at the crash."""

    def __init__(self, folder: Path, open_journal: OpenJournal) -> None:
        self._whole = folder
        self._open = open_journal
        self._crashes = 0
        self._present.mkdir()

    @property
    def _present(self) -> Path:
        return self._whole / str(self._crashes)

    def journal(self) -> Journal:
        return self._open(self._present)

    def crash(self) -> bool:
        old = self._present
        self._crashes += 1
        self._present.mkdir()
        for file in old.iterdir():
            # Shared memory and locks belong to the process that dies.
            if file.is_file() and not file.name.endswith("-shm"):
                shutil.copyfile(file, self._present / file.name)
        return True
