"""Where in the user's code a definition stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from msgspec import Struct

from .hints import underlying

_OURS = (str(Path(__file__).parents[1]) + os.sep, "<attrs generated")
"""How the names of files begin that no user has written."""


@final
class Site(Struct, frozen=True):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        """``file:line``, relative to the working directory if it lies below it."""
        relative = os.path.relpath(self.file)
        return f"{self.file if relative.startswith('..') else relative}:{self.line}"

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Site:
        """Where a function or class is written; the caller's line for one that has no code of its own."""
        code = getattr(underlying(function), "__code__", None)
        return cls.here() if code is None else cls(code.co_filename, code.co_firstlineno)

    @classmethod
    def here(cls) -> Site:
        """The innermost line that is not ours."""
        frame = sys._getframe(1)  # noqa: SLF001  (the documented way to a caller's line; inspect.stack reads source files)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno)
