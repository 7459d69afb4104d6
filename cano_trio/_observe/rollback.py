"""What a rollback came to."""

from __future__ import annotations

from enum import Enum
from typing import final

import msgspec

from .._errors import names_of


@final
class Outstanding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rollback has not undone, with what is needed to undo it by hand (cano SAG-6).

    Args:
        state: the state that did it.
        key: the idempotency key under which it was done.
        receipt: its receipt; None if it left none.
        in_doubt: nobody knows whether it was done: an attempt began and left no receipt.
    """

    state: Enum
    key: str
    receipt: object = None
    in_doubt: bool = False


@final
class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback came to, each state in the order in which it was undone: last things first.

    Args:
        undone: the states that were undone, each with what its compensation returned; None where that was in a process that
            has died before the rollback was over.
        failed: those whose compensation failed, each with its failure.
        left: those that were not tried, because the ``compensation_timeout`` was over.
        in_doubt: those that may have had an effect and left no receipt, and have no ``compensate_in_doubt``.
        outstanding: all that is still to be undone, with its receipts: what failed, what was left, what is in doubt.
        elapsed: seconds it took, in the process in which it came to its end.
    """

    undone: tuple[tuple[Enum, object], ...] = ()
    failed: tuple[tuple[Enum, Exception], ...] = ()
    left: tuple[Enum, ...] = ()
    in_doubt: tuple[Enum, ...] = ()
    outstanding: tuple[Outstanding, ...] = ()
    elapsed: float = 0.0

    @property
    def clean(self) -> bool:
        """Every compensation succeeded."""
        return not self.failed and not self.left

    def followed_by(self, later: Rollback) -> Rollback:
        """This rollback and a later one of the same run told as one: a child workflow that fails is undone first."""
        names = Rollback.__struct_fields__
        return Rollback(**{name: getattr(self, name) + getattr(later, name) for name in names})

    def __str__(self) -> str:
        """One line, as it is added to tracebacks (PEP 678)."""
        parts = [
            f"{words} {names_of(states)}"
            for words, states in (
                ("rolled back", [state for state, _ in self.undone]),
                ("failed to undo", [state for state, _ in self.failed]),
                ("had no time to undo", self.left),
                ("left in doubt", self.in_doubt),
            )
            if states
        ]
        return f"cano_trio: {'; '.join(parts) or 'nothing to roll back'}"
