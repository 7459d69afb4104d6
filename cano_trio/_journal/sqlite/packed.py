"""How rows look in the file. What a row says is kept with a check sum: a bit that turned over is told, and never believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, Final, TypeVar
from zlib import crc32

import msgspec

from ..._errors import JournalError
from ..bounds import SETTLED
from ..rows import Cursor, Letter, LogRow, Message, NewRun, Outcome, Position, RunRecord, StoredError

K = TypeVar("K", Cursor, Outcome)

RECORD: Final = (
    "number, run_id, fixed, fixed_crc, status, position, position_crc, version, version_check,"
    " owner, epoch, crashes, epoch_check, rev"
)
LOG: Final = (
    "seq, state, next, kind, part, attempts, entered_at, finished_at, receipt, messages, data, version, error, crc"
)
LETTER: Final = "kind, body, key, sent_at, version, crc"
KEPT: Final = "seq, part, body, crc"


CHECK_OF: Final = "~(64*({epoch})+({crashes}))"


class Fixed(msgspec.Struct, frozen=True, gc=False):
    """What never changes of a run."""

    run_id: str
    workflow: str
    labels: Mapping[str, str]
    priority: int
    parent: str | None


_to_json: Final = msgspec.json.Encoder().encode
_to_bytes: Final = msgspec.msgpack.Encoder().encode
_error: Final = msgspec.json.Decoder(StoredError).decode
_position: Final = msgspec.json.Decoder(Position).decode
_fixed: Final = msgspec.json.Decoder(Fixed).decode
_visits: Final = msgspec.json.Decoder(dict[str, int]).decode
_fields: Final = msgspec.structs.astuple


def pack_fixed(run: NewRun, number: int) -> tuple[bytes, int]:
    """What never changes of a run, and its check sum."""
    packed = _to_json(Fixed(run.run_id, run.workflow, run.labels, run.priority, run.parent))
    return packed, crc32(packed, number)


def pack_position(position: Position, number: int, rev: int) -> tuple[bytes, int]:
    """A position and its check sum.

    Raises:
        ValueError: one of its times is none.
    """
    times = position.entered_at + (position.due_at or 0) + (position.deadline_at or 0) + (position.ended_at or 0)
    if not isfinite(times):  # it would come back as None
        raise ValueError(f"a time is infinite or no number, in {position}")
    packed = _to_json(position)
    return packed, crc32(packed, number + rev)


def indexed(position: Position) -> tuple[float | None, float | None, int | None]:
    """What of a position a run is found by: when it is due, since when it is settled, and whether it is unfinished."""
    status = position.status
    return position.due_at, position.ended_at if status in SETTLED else None, None if status.ended else 1


def check_of(epoch: int, crashes: int) -> int:
    """What is kept beside an epoch and its crashes; `CHECK_OF` is the same in SQL, where they are counted."""
    return ~(64 * epoch + crashes)


def pack_visits(visits: Mapping[str, int]) -> tuple[bytes, int]:
    """How many rows of each state are gone, and the check sum."""
    packed = _to_json(visits)
    return packed, crc32(packed)


def unpack_visits(packed: Any, crc: Any) -> dict[str, int]:
    """How many rows of each state are gone; to be done inside `reading`."""
    check_that(crc32(packed or b"") == crc)
    return {} if packed is None else _visits(packed)


def unpack_record(row: Sequence[Any]) -> RunRecord:
    """A run, of the columns `RECORD`; to be done inside `reading`."""
    number, run_id, fixed_bytes, fixed_crc, status, position_bytes, position_crc = row[:7]
    version, version_check, owner, epoch, crashes, epoch_check, rev = row[7:14]
    fixed = _fixed(fixed_bytes)
    position = _position(position_bytes)
    check_that(
        crc32(fixed_bytes, number) == fixed_crc
        and crc32(position_bytes, number + rev) == position_crc
        and version_check == ~version
        and epoch_check == ~(64 * epoch + crashes)
        and run_id == fixed.run_id
        and status == position.status._value_
    )
    return RunRecord(
        number=number,
        run_id=run_id,
        workflow=fixed.workflow,
        version=version,
        position=position,
        labels=fixed.labels,
        priority=fixed.priority,
        parent=fixed.parent,
        owner=owner,
        epoch=epoch,
        rev=rev,
        crashes=crashes,
    )


def pack_log(row: LogRow, run: int) -> tuple[Any, ...]:
    """A log row, as the columns `LOG`."""
    fields = _fields(row)
    if row.error is not None:
        fields = (*fields[:-1], _to_json(row.error))
    return (*fields, crc32(_to_bytes(fields), run))


def unpack_log(row: tuple[Any, ...], run: int) -> LogRow:
    """A log row of a run, of the columns `LOG`; to be done inside `reading`."""
    *fields, crc = row
    check_that(crc32(_to_bytes(tuple(fields)), run) == crc)
    *plain, error = fields
    stored = None if error is None else _error(error)
    return LogRow(**dict(zip(LogRow.__struct_fields__, (*plain, stored), strict=True)))


def pack_kept(row: Cursor | Outcome, run: int) -> tuple[Any, ...]:
    """A cursor or outcome, as its run and the columns `KEPT`."""
    fields = _fields(row)
    return (run, *fields, crc32(_to_bytes(fields), run))


def unpack_kept(kind: type[K], row: tuple[Any, ...], run: int) -> K:
    """A cursor or outcome of a run, of the columns `KEPT`; to be done inside `reading`."""
    *fields, crc = row
    check_that(crc32(_to_bytes(tuple(fields)), run) == crc)
    return kind(*fields)


def pack_letter(letter: Letter, number: int) -> tuple[Any, ...]:
    """A message, as the columns `LETTER`."""
    fields = (letter.kind, letter.body, letter.key, letter.sent_at, letter.version)
    return (*fields, crc32(_to_bytes(fields), number))


def unpack_message(row: tuple[Any, ...], run_id: str) -> Message:
    """A message, of its number and the columns `LETTER`; to be done inside `reading`."""
    number, *fields, crc = row
    check_that(crc32(_to_bytes(tuple(fields)), number) == crc)
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
