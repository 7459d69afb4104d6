"""A disk that fails when it is told to, and one that remembers all that was done to it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import attrs

from cano_trio._journal.sqlite.journal import SqliteJournal

SECTOR = 512


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


class HastyDisk(FaultyDisk):
    """A disk that never syncs, where only the contents of files matter.

    Args:
        name: what it is registered under.
    """

    def xOpen(self, name: Any, flags: list[int]) -> HastyFile:  # noqa: N802 -- SQLite's name
        return HastyFile(self, name, flags)


class HastyFile(FaultyFile):
    """A file on that disk."""

    def xSync(self, flags: int) -> None:  # noqa: N802 -- SQLite's name
        """Nothing."""


@asynccontextmanager
async def hasty(path: Path) -> AsyncIterator[SqliteJournal]:
    """A journal that never syncs."""
    disk = HastyDisk(f"hasty {path}")
    async with SqliteJournal(path, vfs=disk.name) as journal:
        yield journal


class WornDisk(FaultyDisk):
    """A disk whose n-th write or sync fails, and every one after it.

    Args:
        name: what it is registered under.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lasts: float = float("inf")

    def meet(self, call: str) -> None:
        self.lasts -= 1
        if self.lasts < 0:
            raise apsw.IOError(f"{call} failed")


class SealedDisk(apsw.VFS):
    """A disk on which no file can be made, as in a folder that is read-only.

    Args:
        name: what it is registered under.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 -- SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if flags[0] & apsw.SQLITE_OPEN_CREATE and not Path(path).exists():
            raise apsw.CantOpenError(f"{path} can't be made")
        return apsw.VFSFile("", name, flags)


@attrs.frozen
class Done:
    """One thing that was done to a disk: a write, a cut, a removal, or a sync."""

    file: str
    offset: int = 0
    data: bytes = b""
    cut: int | None = None
    removed: bool = False
    synced: bool = False


class RecordedDisk(apsw.VFS):
    """A disk that remembers, in order, all that was done to it, and so knows what a power failure may leave.

    Args:
        name: what it is registered under.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.done: list[Done] = []
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> RecordedFile:  # noqa: N802 -- SQLite's name
        return RecordedFile(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: FBT001, N802 -- SQLite's name
        self.done.append(Done(Path(name).name, removed=True))
        super().xDelete(name, sync)

    def images(self, point: int, rng: random.Random) -> Iterator[dict[str, bytes]]:
        """What may be on the disk if the power fails after so many things were done.

        All that was synced is there. Of the writes since then: all, none, the last one torn, or any of them.
        """
        yield self._image(point, lambda _: 1.0)
        yield self._image(point, lambda _: 0.0)
        yield self._image(point, lambda index: 1.0 if index < point - 1 else rng.random())
        chosen = [rng.choice((0.0, 1.0, rng.random())) for _ in range(point)]
        yield self._image(point, chosen.__getitem__)

    def _image(self, point: int, share: Any) -> dict[str, bytes]:
        """The files, where of each write that was not synced this share is there, in whole sectors."""
        synced = {done.file: index for index, done in enumerate(self.done[:point]) if done.synced}
        files: dict[str, bytearray] = {}
        for index, done in enumerate(self.done[:point]):
            if done.removed:
                files.pop(done.file, None)
                continue
            part = 1.0 if index <= synced.get(done.file, -1) else share(index)
            content = files.setdefault(done.file, bytearray())
            if done.cut is not None and part == 1.0:
                del content[done.cut :]
            data = done.data if part == 1.0 else done.data[: int(len(done.data) * part) // SECTOR * SECTOR]
            if data:
                content.extend(bytes(max(0, done.offset - len(content))))
                content[done.offset : done.offset + len(data)] = data
        return {name: bytes(content) for name, content in files.items()}


class RecordedFile(apsw.VFSFile):
    """A file on that disk."""

    def __init__(self, disk: RecordedDisk, name: Any, flags: list[int]) -> None:
        self._done = disk.done
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 -- SQLite's name
        self._done.append(Done(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802 -- SQLite's name
        self._done.append(Done(self._name, cut=size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 -- SQLite's name
        super().xSync(flags)
        self._done.append(Done(self._name, synced=True))
