"""Statements for any number of rows, of which each writes or looks up as many as it can hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import apsw

Rows = tuple[str, str, str]
"""A statement for any number of rows: its beginning, what stands for a row, and its end."""

CHUNKS: Final = (256, 64, 16, 4, 1)
"""For how many rows a statement is: SQLite's driver lets the interpreter go at every step, and beside a busy loop it gets
it back late."""


def execute_rows(db: apsw.Connection, statement: Rows, parameters: Sequence[Any]) -> list[Any]:
    """Execute a statement in large chunks first, so that there are few statements, and few different ones.

    Args:
        db: the connection.
        statement: the statement.
        parameters: those of all rows, one after the other.

    Returns:
        What it finds.
    """
    width = statement[1].count("?")
    found: list[Any] = []
    begun = 0
    for size in CHUNKS:
        while (end := begun + size * width) <= len(parameters):
            found += db.execute(_of_rows(statement, size), parameters[begun:end])
            begun = end
    return found


@cache
def _of_rows(statement: Rows, count: int) -> str:
    """A statement for that many rows."""
    head, row, tail = statement
    return f"{head}{','.join([row] * count)}{tail}"
