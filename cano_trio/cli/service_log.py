"""What a service tells while it serves: a line for each start, end and failure of a run, and for what is logged."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TextIO, TypeAlias, final

import attrs
from typing_extensions import override

from .. import _clock
from .._errors import RunCancelled
from .._observe.events import Event, Released, RunEnded, RunResumed, RunStarted, Stuck, TaskFailed
from .line_writer import LineWriter
from .report import failure_document, json_text, rollback_document, rollback_text
from .wording import count, elapsed, flat, instant, one_line, word

_TOLD = (RunStarted, RunResumed, RunEnded, Released, TaskFailed, Stuck)

_UNHANDLED = "cano_trio.unhandled"
"""Who logs the failures of runs, which are told as ends of runs already."""


@final
@attrs.frozen
class Note:
    """What the service has to say of itself, or of a run.

    Args:
        event: in one word.
        text: in a line.
        fields: what else there is to tell, for JSON.
        more: lines below it.
    """

    event: str
    text: str
    fields: dict[str, Any] = attrs.field(factory=dict)
    more: tuple[str, ...] = ()


Told: TypeAlias = tuple[float, Event | Note]
"""When it was told, in seconds since 1970, and what."""


@final
class ServiceLog:
    """An observer that writes lines, for the ``with`` block that it is entered for; nothing waits for who reads them.

    What the library logs is written between them, unless somebody has said otherwise where that is to go.

    Args:
        stream: where to.
        as_json: each line is a JSON document.
        full: the traceback of each failure is told, too.
    """

    def __init__(self, stream: TextIO, *, as_json: bool, full: bool) -> None:
        self._as_json = as_json
        self._full = full
        self._inside: Counter[str] = Counter()
        """How many runs go on under an id: a run, and those of its child workflows."""
        self._writer: LineWriter[Told] = LineWriter(stream, self._lines, self._left_out)
        self._handler = _Handler(self)

    def __enter__(self) -> Self:
        """Begin to write."""
        self._writer.__enter__()
        logger = logging.getLogger("cano_trio")
        if not logger.hasHandlers():
            logger.addHandler(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is written."""
        logging.getLogger("cano_trio").removeHandler(self._handler)
        self._writer.__exit__(kind, error, trace)

    def say(self, event: str, text: str, **fields: Any) -> None:
        """Tell something of the service itself.

        Args:
            event: what, in one word.
            text: what, in a line.
            fields: what else there is to tell, for JSON.
        """
        self.put(_clock.timestamp(), Note(event, text, fields))

    def on_event(self, event: Event, /) -> None:
        """Take note of what happens to a run."""
        if isinstance(event, _TOLD) and not self._is_of_a_child(event):
            self.put(_clock.timestamp(), event)

    def put(self, time: float, what: Event | Note) -> None:
        """Have something written; any thread may.

        Args:
            time: when it happened, in seconds since 1970.
            what: what happened.
        """
        self._writer.put((time, what), always=isinstance(what, RunEnded | Note))

    def _is_of_a_child(self, event: Event) -> bool:
        """Whether it begins or ends a child workflow, which does a state's work of a run."""
        if isinstance(event, RunStarted | RunResumed):
            self._inside[event.run_id] += 1
            return self._inside[event.run_id] > 1
        if isinstance(event, RunEnded | Released):
            self._inside[event.run_id] -= 1
            if self._inside[event.run_id] > 0:
                return True
            del self._inside[event.run_id]
        return False

    # -- in the writing thread

    def _lines(self, told: Told) -> Iterator[str]:
        time, what = told
        note = what if isinstance(what, Note) else self._note(what)
        if note is None:
            return
        if self._as_json:
            yield json_text({"time": instant(time), "event": note.event, **note.fields})
            return
        yield f"{instant(time)} {note.text}"
        yield from (f"    {line}" for line in note.more)

    def _left_out(self, number: int) -> str:
        text = f"{count(number, 'event')} left out: the runs are faster than they are read"
        return json_text({"event": "left_out", "events": number}) if self._as_json else text

    def _note(self, event: Event) -> Note | None:
        """An event, if it is worth telling."""
        match event:
            case RunStarted():
                return _note(event, "started", f"started in {event.state.name} ({event.workflow})")
            case RunResumed():
                return _note(event, "resumed", f"resumed in {event.state.name} ({event.workflow})", seq=event.seq)
            case RunEnded():
                return self._end(event)
            case TaskFailed() if event.next_state is not None:  # else its run ends with it
                text = f"{event.state.name} failed, on to {event.next_state.name}: {one_line(event.error)}"
                fields = {"error": failure_document(event.error), "next_state": event.next_state.name}
                return _note(event, "task_failed", text, self._trace(event.error), **fields)
            case Released() if event.error is not None:
                text = f"released in {event.state.name}: {one_line(event.error)}"
                return _note(event, "released", text, self._trace(event.error), error=_failure(event.error))
            case Stuck():
                text = f"at work in {event.state.name} for {elapsed(event.seconds)}"
                lines = event.stack.splitlines()
                return _note(event, "stuck", text, lines, seconds=event.seconds, stack=event.stack)
            case _:
                return None

    def _end(self, event: RunEnded) -> Note:
        error, rollback = event.error, event.rollback
        text = f"{event.status.value} in {event.state.name} after {elapsed(event.elapsed)}"
        parts = [text if error is None else f"{text}: {_why(error)}"]
        parts += [] if rollback is None else rollback_text(rollback).splitlines()
        return _note(
            event,
            event.status.value,
            "; ".join(parts),
            self._trace(error),
            elapsed=event.elapsed,
            error=_failure(error),
            rollback=rollback and rollback_document(rollback),
        )

    def _trace(self, error: BaseException | None) -> list[str]:
        if error is None or not self._full:
            return []
        return "".join(traceback.format_exception(error)).splitlines()


def _note(event: Event, name: str, text: str, more: list[str] | None = None, **fields: Any) -> Note:
    about = {"run_id": event.run_id, "workflow": event.workflow, "state": event.state.name}
    return Note(name, f"{word(event.run_id)} {text}", {**about, **fields}, tuple(more or ()))


def _why(error: BaseException) -> str:
    """What a run ended by, where its status is told already."""
    reason = error.reason if isinstance(error, RunCancelled) else None
    return one_line(error) if reason is None else flat(reason)


def _failure(error: BaseException | None) -> dict[str, Any] | None:
    return None if error is None else failure_document(error)


@final
class _Handler(logging.Handler):
    """Tells of what the library logs."""

    def __init__(self, log: ServiceLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _UNHANDLED:
            return
        text = flat(record.getMessage())
        error = record.exc_info[1] if record.exc_info else None
        level = record.levelname.lower()
        told = text if error is None else f"{text}: {one_line(error)}"
        fields = {"level": level, "message": text, "error": _failure(error)}
        self._log.put(record.created, Note("log", f"{level}: {told}", fields))  # its thread may know no other clock
