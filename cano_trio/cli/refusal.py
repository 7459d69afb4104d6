"""What the command says when it was called wrongly: one line, a near miss, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import final

import click

from .wording import printable

SHOWN = 5
"""Files of a directory that are named."""


@final
class Refused(click.ClickException):
    """The command was called wrongly; nothing has run."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def did_you_mean(wrong: str, known: Iterable[str], otherwise: str = "") -> str:
    """A sentence with the names that look like the wrong one, to be put behind a message.

    >>> did_you_mean("FETHC", ["FETCH", "PARSE"])
    '. Did you mean FETCH?'
    >>> did_you_mean("x", ["FETCH", "PARSE"], "There are")
    '. There are: FETCH, PARSE.'
    """
    names = list(known)
    by_case = {name.casefold(): name for name in names}
    near = [by_case[name] for name in get_close_matches(wrong.casefold(), by_case, n=3)]
    if near:
        return f". Did you mean {' or '.join(near)}?"
    return f". {otherwise}: {', '.join(names)}." if otherwise and names else ""


def no_file(path: Path, pattern: str = "*") -> Refused:
    """The refusal of a file that is not there, naming those beside it that look like it."""
    if path.is_dir():
        inside = sorted(str(found) for found in path.glob(pattern) if found.is_file() and found.name[0] not in "._")[
            :SHOWN
        ]
        return Refused(f"{path} is a directory, not a file{did_you_mean('', inside, 'Name one, such as')}")
    beside = [other.name for other in path.parent.glob(pattern) if other.is_file()] if path.parent.is_dir() else []
    return Refused(f"there is no file {path}{did_you_mean(path.name, beside)}")
