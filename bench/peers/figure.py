"""What was measured of a library."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import attrs

from .peer_list import OURS, Peer, Work


@attrs.frozen
class Figure:
    """What one library takes for one thing.

    Args:
        peer: the library.
        work: the thing.
        seconds: for each time, in each sample; empty if it failed.
        why: why it failed.
    """

    peer: Peer
    work: Work
    seconds: tuple[float, ...]
    why: str = ""

    @property
    def microseconds(self) -> float | None:
        """The median, or None if it failed."""
        return median(self.seconds) * 1e6 if self.seconds else None

    def as_json(self, version: str) -> dict[str, object]:
        """It, as a document."""
        return {
            "peer": self.peer.name,
            "version": version,
            "work": self.work.title,
            "microseconds": self.microseconds,
            "samples": [seconds * 1e6 for seconds in self.seconds],
            "failed": self.why or None,
        }


def of_ours(figures: Iterable[Figure], work: Work) -> float | None:
    """What this library takes for something, in microseconds."""
    return next((one.microseconds for one in figures if one.peer.name == OURS and one.work is work), None)


def amount(microseconds: float) -> str:
    """A figure in three digits, or in as many as it has before the point.

    >>> amount(0.4167), amount(58.31), amount(8590.6)
    ('0.417', '58.3', '8,591')
    """
    return f"{microseconds:,.0f}" if microseconds >= 1_000 else f"{microseconds:.3g}"
