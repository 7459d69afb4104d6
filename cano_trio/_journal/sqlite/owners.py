"""Which processes live: each holds a lock on a file of its own, which the system frees when it dies."""

from __future__ import annotations

import fcntl
import os
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
        if owner in self._held:
            return
        self._folder.mkdir(exist_ok=True)
        descriptor = os.open(self._file(owner), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[owner] = descriptor

    def is_dead(self, owner: str) -> bool:
        """Whether an owner had a lock, and its process is gone."""
        if owner in self._held:
            return False
        try:
            descriptor = os.open(self._file(owner), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False  # nobody knows
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def drop(self, owner: str) -> None:
        """Let an owner's lock go, and remove its file."""
        if (descriptor := self._held.pop(owner, None)) is not None:
            self._file(owner).unlink(missing_ok=True)
            os.close(descriptor)

    def close(self) -> None:
        """Let all locks go, as the death of the process would."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _file(self, owner: str) -> Path:
        return self._folder / blake2b(owner.encode(), digest_size=16).hexdigest()
