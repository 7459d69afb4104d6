"""The comparison as a picture: bars on a logarithmic scale, the shorter the faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from .figure import Figure, amount
from .peer_list import OURS, WORKS, Work

WIDTH = 720
NAMES = 170
VALUES = 80
BAR = 14
ROW = 20
HEAD = 46


def draw(figures: Sequence[Figure], title: str) -> str:
    """An SVG document.

    Args:
        figures: what was measured.
        title: when and where.
    """
    y = 28
    body = [f'<text x="8" y="18" class="title">{escape(title)}</text>']
    for work in WORKS:
        found = sorted((one for one in figures if one.work is work and one.seconds), key=_microseconds)
        if found:
            body += _panel(work, found, y)
            y += HEAD + ROW * len(found)
    return "\n".join([*_head(y), *body, "</svg>", ""])


def _head(height: int) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    yield "<style>text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.head{font-weight:bold}"
    yield ".bar{fill:#9db4c0}.ours{fill:#2a7f62}.grid{stroke:#ddd}</style>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'


def _panel(work: Work, found: Sequence[Figure], top: int) -> Iterator[str]:
    """One thing: the fastest first; a line for each power of ten."""
    least, most = floor(log10(_microseconds(found[0])) - 0.3), ceil(log10(_microseconds(found[-1])))
    room = WIDTH - NAMES - VALUES
    bottom = top + HEAD - 14 + ROW * len(found)
    yield f'<text x="8" y="{top + 16}" class="head">{escape(work.title)}, microseconds</text>'
    for power in range(least, most + 1):
        x = NAMES + room * (power - least) / (most - least)
        yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{top + 24}" y2="{bottom}" class="grid"/>'
    for number, one in enumerate(found):
        y = top + 28 + ROW * number
        length = room * (log10(_microseconds(one)) - least) / (most - least)
        kind = "bar ours" if one.peer.name == OURS else "bar"
        yield f'<text x="{NAMES - 6}" y="{y + 11}" text-anchor="end">{escape(one.peer.name)}</text>'
        yield f'<rect x="{NAMES}" y="{y}" width="{length:.0f}" height="{BAR}" class="{kind}"/>'
        yield f'<text x="{NAMES + length + 4:.0f}" y="{y + 11}">{amount(_microseconds(one))}</text>'


def _microseconds(figure: Figure) -> float:
    assert figure.microseconds is not None
    return figure.microseconds
