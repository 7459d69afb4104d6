"""A mistake in what a composite is made of, before it has a place."""

from __future__ import annotations

from typing import NamedTuple

from .._errors import Problem


class Fault(NamedTuple):
    """What is wrong with a composite, as a problem's code, message and hint."""

    code: str
    message: str
    hint: str

    def problem(self, place: str, name: str, site: str) -> Problem:
        """It told of a state's task."""
        return Problem(code=self.code, place=place, message=f"{name}: {self.message}", hint=self.hint, site=site)
