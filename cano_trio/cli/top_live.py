"""The runs of a journal drawn on a terminal, again and again."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self, final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from .listing import table
from .top import HEAD, Look
from .wording import count, instant

_STYLES: Final = {
    "running": "green", "rolling_back": "yellow", "paused": "magenta", "blocked": "bold red", "queued": "cyan",
    "waiting": "dim",
}  # fmt: skip


@final
class Drawing:
    """A screen of its own, for the ``with`` block; what stood on the terminal is there again behind it.

    Args:
        name: the journal, as the user calls it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        """Take the screen."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self._live.__exit__(kind, error, trace)

    @property
    def room(self) -> int:
        """How many runs fit on the screen."""
        return max(self._console.size.height - 3, 1)

    def show(self, seen: Look) -> None:
        """Draw what there was to see."""
        rows = seen.rows()
        styles = ["bold", *(_STYLES.get(row[2], "") for row in rows)]
        lines = zip(table(HEAD, rows), styles, strict=False)
        self._live.update(Group(self._title(seen), *(_line(text, style) for text, style in lines)), refresh=True)

    def _title(self, seen: Look) -> Text:
        number = len(seen.records)
        told = f"the first {number:,} runs" if seen.more else count(number, "run")
        return _line(f"{self._name}  {instant(seen.now)[:19]}Z  {told} not over", "bold")


def _line(text: str, style: str) -> Text:
    """A text on one line of the screen."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
