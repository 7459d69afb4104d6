"""How results are shown: as a table where rich is installed, as plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from .measure import Result, optional

COLUMNS = ("case", "median", "min-max", "baseline", "ratio", "added", "to reach", "note")


def show(results: Iterable[Result], title: str) -> None:
    """Print all results."""
    rows = [_row(result) for result in results]
    console, tables, text = optional("rich.console"), optional("rich.table"), optional("rich.text")
    if console is None or tables is None or text is None:
        print(title, *("\t".join(row) for row in [COLUMNS, *rows]), sep="\n")
        return
    table = tables.Table(title=title, title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in {"median", "min-max", "ratio", "added"} else "left")
    for row in rows:
        table.add_row(*(text.Text(cell, style="bold red" if "MISSED" in cell else "") for cell in row))
    # Piped to a file, a table would be squeezed to 80 columns; it takes no more than it needs.
    screen = console.Console()
    (screen if screen.is_terminal else console.Console(width=1_000)).print(table)


def _row(result: Result) -> tuple[str, ...]:
    case = result.case
    amount = AMOUNTS[case.unit]
    spread = "-" if result.spread is None else f"{amount(result.spread[0])} - {amount(result.spread[1])}"
    return (
        case.name,
        amount(result.median),
        spread,
        case.baseline or "",
        "" if result.ratio is None else f"{result.ratio:.2f}x",
        "" if result.added is None else f"{amount(result.added, sign='+')}",
        _reach(result),
        case.note,
    )


def _reach(result: Result) -> str:
    case, missed, amount = result.case, result.missed, AMOUNTS[result.case.unit]
    reach = {
        "time": case.reach and f"{amount(case.reach)}",
        "ratio": case.reach_ratio and f"{case.reach_ratio:g}x",
        "added": case.reach_added and f"{amount(case.reach_added, sign='+')}",
    }
    return ", ".join(f"{most} MISSED" if name in missed else str(most) for name, most in reach.items() if most)


def _time(microseconds: float | None, sign: str = "") -> str:
    if microseconds is None:
        return "-"
    if abs(microseconds) >= 1_000:
        return f"{microseconds / 1_000:{sign}.4g} ms"
    return f"{microseconds:{sign}.3g} us"


def _size(size: float | None, sign: str = "") -> str:
    return "-" if size is None else f"{size:{sign},.0f} bytes"


AMOUNTS = {"us": _time, "bytes": _size}
