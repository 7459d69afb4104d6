"""Lines that a thread of its own writes: who has something to tell never waits for who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, Self, TextIO, TypeVar, final

from .wording import printable

T = TypeVar("T")

BACKLOG = 1000
"""Things that may wait for a slow reader before others are left out."""


@final
class LineWriter(Generic[T]):
    """Writes things down as lines, in the order in which they come, inside its ``with`` block.

    Args:
        stream: where to.
        lines: puts a thing into words; called in the writing thread.
        left_out: the line in the place of as many things as there was no room for.
    """

    def __init__(self, stream: TextIO, lines: Callable[[T], Iterable[str]], left_out: Callable[[int], str]) -> None:
        self._stream = _by_itself(stream)
        self._lines = lines
        self._left_out_line = left_out
        self._things: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
        """Each with how many were left out before it; None at the end."""
        self._left_out = 0
        self._thread = Thread(target=self._write_all, name="cano-trio writer", daemon=True)

    def __enter__(self) -> Self:
        """Begin to write."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is written."""
        self._things.put(None)
        self._thread.join()

    def put(self, thing: T, *, always: bool = False) -> None:
        """Have a thing written, unless too many wait for that already.

        Args:
            thing: what to write.
            always: it is not to be left out.
        """
        if self._things.qsize() >= BACKLOG and not always:
            self._left_out += 1
            return
        self._things.put((self._left_out, thing))
        self._left_out = 0

    # -- in the writing thread

    def _write_all(self) -> None:
        while (found := self._things.get()) is not None:
            left_out, thing = found
            if left_out:
                self._write(self._left_out_line(left_out))
            for line in self._lines(thing):
                self._write(line)

    def _write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads any more, or it is closed: the work goes on
            self._stream.write(f"{printable(line)}\n")
            self._stream.flush()


def _by_itself(stream: TextIO) -> TextIO:
    """The same file with a buffer of its own: others may have begun a line there, and a line in its midst would break it."""
    try:
        return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)
    except (OSError, ValueError):  # it is no file, as in a test
        return stream
