"""Which processes live: each holds a lock on a file of its own, which the system frees when it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
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

    def drop_all(self) -> None:
        """Let all locks go that are held."""
        for owner in list(self._held):
            self.drop(owner)

    def write(self, owner: str, batches: int) -> None:
        """Write down how many batches an owner has on disk. It need not be synced: it is compared after a crash of ours."""
        with suppress(OSError):  # no room: so much less is known
            os.pwrite(self._held[owner], b"%d\n" % batches, 0)

    def erase(self, owner: str) -> None:
        """Forget how many batches it were: the owner leaves in order."""
        with suppress(OSError):
            os.ftruncate(self._held[owner], 0)

    def missing(self, batches: Mapping[str, int]) -> int:
        """How many batches the dead had on disk that are not there any more.

        Args:
            batches: how many there are of each owner.
        """
        known = {self._file(owner): count for owner, count in batches.items()}
        return sum(max(0, _number_in(file) - known.get(file, 0)) for file in self._of_the_dead())

    def sweep(self) -> None:
        """Remove the files of the dead."""
        for file in self._of_the_dead():
            file.unlink(missing_ok=True)

    def _of_the_dead(self) -> Iterator[Path]:
        """Their files, each locked while it is looked at."""
        for file in self._folder.iterdir():
            with suppress(FileNotFoundError), _free(file, fcntl.LOCK_EX) as free:
                if free:
                    yield file

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


def _number_in(file: Path) -> int:
    try:
        return int(file.read_bytes())
    except ValueError:  # nothing yet, or what a power failure left of it
        return 0


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether an open file is still what stands under its name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), file.stat())
    return False
