"""A disk that fails when it is told to."""

from __future__ import annotations

from typing import Any

import apsw


class FaultyDisk(apsw.VFS):
    """SQLite's access to files, through which a write or a sync can be made to fail.

    Args:
        name: what it is registered under.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.fails: str | None = None
        self.calls: list[str] = []
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> FaultyFile:  # noqa: N802 -- SQLite's name
        return FaultyFile(self, name, flags)

    def meet(self, call: str) -> None:
        """Fail, if this is what should."""
        self.calls.append(call)
        if call == self.fails:
            raise apsw.IOError(f"{call} failed")


class FaultyFile(apsw.VFSFile):
    """A file on that disk."""

    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 -- SQLite's name
        self._disk.meet("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 -- SQLite's name
        self._disk.meet("sync")
        super().xSync(flags)
