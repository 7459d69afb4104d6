"""When the branches of a split have come to enough."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, final

import msgspec

from .checks import check_count
from .fault import Fault

ROUNDING = 1e-9
"""What a product may be too large by because 0.07 is no binary fraction: 7 % of 100 are 7, not 8."""


@final
class JoinRule(msgspec.Struct, frozen=True):
    """When the branches of a split have come to enough: made by its class methods, for `Split.over`.

    `Split.all` and its like each name one of them.

    Args:
        name: the form's name.
        count: how many branches must succeed; None where it is a share of them.
        share: the part of them that must succeed, above 0 and up to 1.
        finished: how many must have finished at least, well or badly.
        patient: a success does not end it early.
        collect: nothing ends it early: all branches finish, and then it is judged.

    >>> [JoinRule.percentage(0.5).needed(branches) for branches in (2, 3, 4)]
    [1, 2, 2]
    """

    name: str
    count: int | None = None
    share: float | None = None
    finished: int = 0
    patient: bool = False
    collect: bool = False

    @classmethod
    def all(cls, *, collect: bool = False) -> JoinRule:
        """Every branch must succeed; the first failure ends it, unless they are collected."""
        return cls("all", share=1.0, collect=collect)

    @classmethod
    def any(cls, *, collect: bool = False) -> JoinRule:
        """One branch must succeed."""
        return cls("any", count=1, collect=collect)

    @classmethod
    def quorum(cls, n: int, *, collect: bool = False) -> JoinRule:
        """`n` branches must succeed; 0 only with ``collect=True``: all finish, and it is met whatever becomes of them."""
        return cls("quorum", count=n, collect=collect)

    @classmethod
    def percentage(cls, p: float, *, collect: bool = False) -> JoinRule:
        """The part `p` of the branches, above 0 and up to 1, must succeed; rounded up to whole ones."""
        return cls("percentage", share=p, collect=collect)

    @classmethod
    def by_deadline(cls, least: int = 0) -> JoinRule:
        """All branches finish or are cut off at the split's timeout; one at least must have finished, `least` succeeded."""
        return cls("by_deadline", count=least, finished=1, patient=True)

    def needed(self, branches: int) -> int:
        """How many of so many branches must succeed."""
        if self.count is not None:
            return self.count
        return min(branches, max(1, math.ceil(branches * (self.share or 0) - ROUNDING)))

    def limits(self, branches: int) -> tuple[int, int]:
        """At how many successes it is met for certain, and at how many failures it can't be any more."""
        needed, never = self.needed(branches), branches + 1
        if self.collect:
            return never, never
        return never if self.patient else needed, branches - needed + 1

    def is_met(self, branches: int, succeeded: int, finished: int) -> bool:
        """Whether it is met by what has finished of so many branches."""
        return succeeded >= self.needed(branches) and finished >= min(self.finished, branches)

    def text(self, branches: int | str) -> str:
        """It in words, of so many branches."""
        if self.share is not None and self.name == "percentage":
            return f"{100 * self.share:g} % of {branches} branches"
        if self.name == "by_deadline":
            return f"{self.count or 'whatever finishes'} of {branches} branches"
        return f"{self.count if self.name == 'quorum' else self.name} of {branches} branches"

    def faults(self, branches: int | None = None) -> Iterator[Fault]:
        """What is wrong with it, for so many branches if that is known."""
        if self.share is not None:
            yield from self._share_faults(self.share)
            return
        least = 0 if self.collect or self.patient else 1
        try:
            check_count("least" if self.patient else "n", self.count, least=least)
        except ValueError as error:
            keep = "" if least == 0 else " To go on whatever becomes of the branches, add collect=True."
            yield Fault("E31", str(error), f"Say how many branches must succeed.{keep}")
            return
        if branches and self.needed(branches) > branches:
            yield Fault(
                "E31",
                f"{self.count} of its {branches} branches must succeed",
                f"Ask for {branches} at most, or add some.",
            )

    def _share_faults(self, share: Any) -> Iterator[Fault]:
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            yield Fault("E31", f"the percentage is {share!r}", "Pass a part above 0 and up to 1, such as 0.5 for half.")
