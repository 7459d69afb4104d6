"""How rows look in the file. What a row says is kept with a check sum: a bit that turned over is told, and never believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, Final, TypeVar
from zlib import crc32

import msgspec

from ..._errors import JournalError
from ..._observe.status import RunStatus
from ..bounds import SETTLED
from ..claiming import AT_WORK, due_of
from ..rows import Cursor, Letter, LogRow, Message, NewRun, Outcome, Position, RunRecord

K = TypeVar("K", Cursor, Outcome)

RECORD: Final = (
    "cano_run.number, fixed, fixed_crc, version, version_check, status, place, cano_place.crc, owner, epoch, rev"
)
RUNS: Final = "cano_run LEFT JOIN cano_place USING (number)"
"""Where these columns are; a run without a place is found, too, and can't be read."""

LETTER: Final = "kind, body, key, sent_at, version, crc"
KEPT: Final = "seq, part, body, crc"

_pack: Final = msgspec.msgpack.Encoder().encode
_fixed: Final = msgspec.msgpack.Decoder(tuple[str, str, dict[str, str], int, str | None]).decode
_place: Final = msgspec.msgpack.Decoder(tuple[int, int, int, Position]).decode
_log: Final = msgspec.msgpack.Decoder(LogRow).decode
_visits: Final = msgspec.msgpack.Decoder(dict[str, int]).decode
_fields: Final = msgspec.structs.astuple


def pack_fixed(run: NewRun, number: int) -> tuple[bytes, int]:
    """What never changes of a run, and its check sum."""
    packed = _pack((run.run_id, run.workflow, dict(run.labels), run.priority, run.parent))
    return packed, crc32(packed, number)


def pack_place(position: Position, number: int, epoch: int, rev: int, crashes: int = 0) -> tuple[bytes, int]:
    """Where a run stands and who may write it, and its check sum.

    Raises:
        ValueError: a time that it is found by is none.
    """
    due_at, ended_at = position.due_at, position.ended_at
    if not (due_at is ended_at is None or isfinite((due_at or 0.0) + (ended_at or 0.0))):
        raise ValueError(f"a time is infinite or no number, in {position}")
    packed = _pack((epoch, rev, crashes, position))
    return packed, crc32(packed, number)


def indexed(position: Position) -> tuple[float | None, float | None, int | None]:
    """What of a position a run is found by: when it is due, since when it is settled, and whether it is unfinished."""
    status = position.status
    return due_of(position), position.ended_at if status in SETTLED else None, None if status.ended else 1


def wakes_behind(position: Position) -> int | None:
    """How many messages a run that nobody holds must have got for it to have something to do at once; None if none help."""
    if position.status in AT_WORK or (position.status is RunStatus.QUEUED and position.due_at is None):
        return -1
    return position.heard if position.status is RunStatus.WAITING else None


def pack_visits(visits: Mapping[str, int]) -> tuple[bytes, int]:
    """How many rows of each state are gone, and the check sum."""
    packed = _pack(visits)
    return packed, crc32(packed)


def unpack_visits(packed: Any, crc: Any) -> dict[str, int]:
    """How many rows of each state are gone; to be done inside `reading`."""
    check_that(crc32(packed or b"") == crc)
    return {} if packed is None else _visits(packed)


def unpack_record(row: Sequence[Any]) -> RunRecord:
    """A run, of the columns `RECORD`; to be done inside `reading`."""
    number, fixed, fixed_crc, version, version_check, status, place, crc, owner, epoch, rev = row
    run_id, workflow, labels, priority, parent = _fixed(fixed)
    epoch_there, rev_there, crashes, position = _place(place)
    check_that(
        crc32(fixed, number) == fixed_crc
        and crc32(place, number) == crc
        and epoch == epoch_there
        and rev == rev_there
        and status == position.status._value_
        and version_check == ~version
    )
    return RunRecord(
        number=number,
        run_id=run_id,
        workflow=workflow,
        version=version,
        position=position,
        labels=labels,
        priority=priority,
        parent=parent,
        owner=owner,
        epoch=epoch,
        rev=rev,
        crashes=crashes,
    )


def pack_log(row: LogRow, number: int, run: int, prior: int | None) -> tuple[Any, ...]:
    """A log row, as its number, its run, the row before it, itself, and its check sum."""
    packed = _pack(row)
    return number, run, prior, packed, crc32(packed, run)


def unpack_log(packed: bytes, crc: int, run: int) -> LogRow:
    """A log row of a run; to be done inside `reading`."""
    check_that(crc32(packed, run) == crc)
    return _log(packed)


def pack_data(data: bytes, run: int) -> tuple[bytes, int]:
    """The data of a run, and their check sum."""
    return data, crc32(data, run)


def pack_kept(row: Cursor | Outcome, run: int) -> tuple[Any, ...]:
    """A cursor or outcome, as its run and the columns `KEPT`."""
    fields = _fields(row)
    return (run, *fields, crc32(_pack(fields), run))


def unpack_kept(kind: type[K], row: tuple[Any, ...], run: int) -> K:
    """A cursor or outcome of a run, of the columns `KEPT`; to be done inside `reading`."""
    *fields, crc = row
    check_that(crc32(_pack(tuple(fields)), run) == crc)
    return kind(*fields)


def pack_letter(letter: Letter, number: int) -> tuple[Any, ...]:
    """A message, as the columns `LETTER`."""
    fields = (letter.kind, letter.body, letter.key, letter.sent_at, letter.version)
    return (*fields, crc32(_pack(fields), number))


def unpack_message(row: tuple[Any, ...], run_id: str) -> Message:
    """A message, of its number and the columns `LETTER`; to be done inside `reading`."""
    number, *fields, crc = row
    check_that(crc32(_pack(tuple(fields)), number) == crc)
    kind, body, key, sent_at, version = fields
    letter = Letter(run_id=run_id, kind=kind, body=body, key=key, sent_at=sent_at, version=version)
    return Message(number=number, letter=letter)


def check_that(whole: bool) -> None:  # noqa: FBT001
    """See that what was read is what was written.

    Raises:
        ValueError: it is not.
    """
    if not whole:
        raise ValueError("its bytes are not those that were written")


UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What comes of reading a row that no journal wrote: of Unicode, of msgspec, of a number where a text should be."""


@contextmanager
def reading(run_id: str) -> Iterator[None]:
    """Read rows of a run inside.

    Raises:
        JournalError: they are not what was written.
    """
    try:
        yield
    except UNREADABLE as error:
        if isinstance(error, JournalError):  # that there is no such run is one of them
            raise
        raise unreadable(run_id, error) from error


def unreadable(run_id: object, error: object) -> JournalError:
    """That a run's rows are not what was written."""
    return JournalError(f"run {run_id!r} can't be read: {error}. Its row was changed by something else.")
