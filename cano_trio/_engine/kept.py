"""The form in which the engine's own facts stand in cursors and outcomes; what is the user's in them stays JSON of its own."""

from __future__ import annotations

import traceback
from typing import Any, final

import msgspec
from msgspec import Raw, Struct

from .._define.join_rule import JoinRule
from .._errors import RecordedFailure
from .._journal.rows import StoredError
from .._resilience import kinds_of

TRACEBACK_CHARACTERS = 8_000
"""What is kept of a traceback: its end, which tells where it broke."""


NULL = Raw(b"null")


@final
class Place(Struct, frozen=True, array_like=True):
    """How far stepped work or a stream has come.

    Args:
        number: how many steps or windows are done.
        cursor: the user's cursor, packed.
        taken: how many items came behind the cursor.
    """

    number: int
    cursor: Raw
    taken: int = 0


@final
class Chosen(Struct, frozen=True, kw_only=True):
    """The branches that a split decided on.

    Args:
        branch: the declared branch's name.
        then: the join state's name.
        rule: when they have come to enough.
        items: the packed items by the names of the branches.
        timeout: seconds until they are judged.
        bulkhead: how many run at once.
        chosen_at: when it was decided.
    """

    branch: str
    then: str
    rule: JoinRule
    items: dict[str, Raw]
    timeout: float | None
    bulkhead: int | None
    chosen_at: float


@final
class Came(Struct, frozen=True, kw_only=True):
    """What a branch came to.

    Args:
        value: what it returned, packed.
        error: what it failed with, if it did.
    """

    value: Raw = NULL
    error: StoredError | None = None


@final
class Verdict(Struct, frozen=True, kw_only=True):
    """That a split is over, for the join state.

    Args:
        state: the split's state.
        names: all its branches, in order.
        over: the declared branch that they all are, if the split chose it.
    """

    state: str
    names: tuple[str, ...]
    over: str | None = None


@final
class Done(Struct, frozen=True, array_like=True):
    """An item of a batch that succeeded.

    Args:
        at: its place in the loaded list.
        output: what it gave, packed.
        attempts: how often it was tried.
        elapsed: seconds that it took.
    """

    at: int
    output: Raw
    attempts: int
    elapsed: float


encode = msgspec.json.Encoder().encode
read_place = msgspec.json.Decoder(Place).decode
read_chosen = msgspec.json.Decoder(Chosen).decode
read_came = msgspec.json.Decoder(Came).decode
read_verdict = msgspec.json.Decoder(Verdict).decode
read_done = msgspec.json.Decoder(list[Done]).decode
read_list = msgspec.json.Decoder(list[Raw]).decode


def stored_error(error: BaseException) -> StoredError:
    """An error as it is written down; one that was read from the journal is written down as it was."""
    if isinstance(error, RecordedFailure):
        return StoredError(
            type=error.type_name, message=error.message, traceback=error.traceback, notes=error.notes, kinds=error.kinds
        )  # fmt: skip
    notes: Any = getattr(error, "__notes__", ())
    try:
        message = str(error)
        trace = "".join(traceback.format_exception(error))
    except Exception as broken:  # an error of the user's may not even have a text
        message = f"(its text can't be read: {type(broken).__name__})"
        trace = ""
    return StoredError(
        type=type(error).__name__,
        message=_writable(message),
        traceback=_writable(trace[-TRACEBACK_CHARACTERS:]),
        notes=tuple(_writable(str(note)) for note in notes),
        kinds=kinds_of(error),
    )


def recorded_failure(error: StoredError) -> RecordedFailure:
    """What stands for an error that was written down."""
    return RecordedFailure(error.type, error.message, error.traceback, error.notes, error.kinds)


def _writable(text: str) -> str:
    """A text without what UTF-8 can't hold."""
    return text.encode("utf-8", "backslashreplace").decode()
