"""What the failures of SQLite mean to whoever asked."""

from __future__ import annotations

from typing import Final

import apsw

from ..._errors import CanoError, JournalError, JournalUnavailable, StatementFailed
from .schema import LARGEST

REFUSALS: Final = (CanoError, apsw.ConstraintError, apsw.TooBigError, TypeError, ValueError, OverflowError)
"""What concerns one job, and not its neighbours: their rows stay."""

PASSING: Final = (apsw.BusyError, apsw.LockedError, apsw.FullError)
"""What may be gone at the next try."""


def refusal(path: str, cause: BaseException) -> JournalError:
    """What a failure of the whole journal means."""
    if isinstance(cause, PASSING):
        return JournalUnavailable(path, str(cause))
    return JournalError(
        f"journal {path} failed, and is used no more: {cause}. What was acknowledged before is on disk."
    )


def meaning(path: str, error: apsw.Error) -> JournalError:
    """What is wrong with a single job, where SQLite had to find it out."""
    if isinstance(error, apsw.TooBigError):
        wrong = JournalError(
            f"too much for one row of journal {path}: at most {LARGEST // 2**20} MB. Keep files elsewhere."
        )
    else:
        wrong = JournalError(f"journal {path} contradicts itself: {error}. Something else changed it.")
    wrong.__cause__ = error
    return wrong


def first_of(error: BaseException) -> BaseException:
    """What went wrong first: SQLite may have rolled back already, and then has no savepoint to go back to."""
    while isinstance(error.__context__, apsw.Error):
        error = error.__context__
    return error


def statement_failed(error: BaseException | None) -> StatementFailed | None:
    """The failure of the user's SQL in whose course another came."""
    while error is not None and not isinstance(error, StatementFailed):
        error = error.__context__
    return error
