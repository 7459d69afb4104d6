"""Which processes live: each holds a lock on a file of its own, which the system frees when it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path


class OwnerLocks:
    """The lock files of one journal. A frozen process keeps its lock; a killed one loses it within a millisecond.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, owner: str) -> None:
        """Hold an owner's lock for as long as this process lives.

        Raises:
            OSError: the file can't be made.
        """
        self._folder.mkdir(exist_ok=True)
        file = self._file(owner)
        while owner not in self._held:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # at most, somebody is just looking whether it is free
            if _is_at(descriptor, file):
                self._held[owner] = descriptor
            else:  # somebody swept it away between the two calls
                os.close(descriptor)

    def is_dead(self, owner: str) -> bool:
        """Whether an owner's process is gone: it has no lock. One that never had any is none that could come back."""
        if owner in self._held:
            return False
        try:
            with _free(self._file(owner), fcntl.LOCK_SH) as free:
                return free
        except FileNotFoundError:
            return True

    def drop(self, owner: str) -> None:
        """Let an owner's lock go, and remove its file."""
        if (descriptor := self._held.pop(owner, None)) is not None:
            self._file(owner).unlink(missing_ok=True)
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove the files of the dead."""
        with suppress(OSError):  # tidiness is worth no failure
            for file in self._folder.iterdir():
                with _free(file, fcntl.LOCK_EX) as free:
                    if free and file not in map(self._file, self._held):
                        file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let all locks go, as the death of the process would."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _file(self, owner: str) -> Path:
        return self._folder / blake2b(owner.encode(errors="surrogatepass"), digest_size=16).hexdigest()


@contextmanager
def _free(file: Path, kind: int) -> Iterator[bool]:
    """Whether nobody holds the lock of a file; if so, it is held inside."""
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether an open file is still what stands under its name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), file.stat())
    return False
