"""The comparison as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..measure import optional
from .figure import Figure, amount, of_ours
from .peer_list import WORKS, Peer


def show(figures: Sequence[Figure], versions: Mapping[str, str], missing: Sequence[str], title: str) -> None:
    """Print a line for each library and a column for each thing, with how many times as long as ours it takes.

    Args:
        figures: what was measured.
        versions: that of each library.
        missing: the libraries that are not installed.
        title: when and where it was measured.
    """
    columns = ["library", "version", *(work.title for work in WORKS)]
    peers = list(dict.fromkeys(one.peer for one in figures))
    rows = [[peer.name, versions[peer.name], *cells(figures, peer)] for peer in peers]
    console, tables = optional("rich.console"), optional("rich.table")
    if console is None or tables is None:
        print(title, *("\t".join(row) for row in [columns, *rows]), sep="\n")
    else:
        table = tables.Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        screen = console.Console()
        (screen if screen.is_terminal else console.Console(width=1_000)).print(table)
    for one in figures:
        if one.why:
            print(f"{one.peer.name}, {one.work.title}: {one.why}")
    if missing:
        print(f"Not installed: {', '.join(missing)}. Install them with `python -m bench peers --setup`.")


def cells(figures: Sequence[Figure], peer: Peer) -> list[str]:
    """What a library takes for each thing, beside ours."""
    found = {one.work: one for one in figures if one.peer is peer}
    return [cell(found.get(work), of_ours(figures, work)) for work in WORKS]


def cell(figure: Figure | None, ours: float | None) -> str:
    """A figure, and its ratio to ours."""
    if figure is None:
        return ""
    if figure.microseconds is None:
        return "failed"
    ratio = f" ({figure.microseconds / ours:.3g}x)" if ours else ""
    return f"{amount(figure.microseconds)} us{ratio}"
