"""How errors, times and counts are put into words, on one line each."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import outcome
import trio

from .._define.site import Site
from .._observe.events import Released, StepFinished, Waiting, WindowFlushed

LONGEST = 300
"""What is shown of a message, in characters."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_PACKAGES = (Path(__file__).parents[1], Path(trio.__file__).parent, Path(outcome.__file__).parent)
_ENGINE = tuple(f"{package}{os.sep}" for package in _PACKAGES)
_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


def printable(text: str) -> str:
    r"""A text whose control characters a terminal shows instead of obeying; it keeps its lines and tabs.

    They are written as JSON writes them, so that a JSON document stays one.

    >>> print(printable(chr(27) + "[2J"))
    \u001b[2J
    """
    return _CONTROL.sub(_as_json, text)


def _as_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def one_line(error: BaseException) -> str:
    """An error's type and message, on one line.

    >>> one_line(ValueError("no   such thing")), one_line(KeyboardInterrupt())
    ('ValueError: no such thing', 'KeyboardInterrupt')
    """
    name = type(error).__qualname__
    text = message_of(error)
    return f"{name}: {text}" if text else name


def message_of(error: BaseException) -> str:
    """An error's message, on one line and not too long; an error whose ``__str__`` fails has none."""
    try:
        return cut(flat(str(error)), LONGEST)
    except Exception:
        return ""


def came_of(error: BaseException) -> list[BaseException]:
    """What an error came of: the members of a group, its cause, and so on down to the first failure."""
    found: list[BaseException] = []
    todo = [error]
    while todo:
        here = todo.pop(0)
        if any(here is known for known in found):
            continue
        found.append(here)
        todo += here.exceptions if isinstance(here, BaseExceptionGroup) else ()
        cause = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
        todo += [] if cause is None else [cause]
    return found[1:]


def user_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line of the user's code that an error passed; of an installed package's if there is none."""
    groups_last = sorted([error, *came_of(error)], key=lambda one: isinstance(one, BaseExceptionGroup))
    frames = [frame for one in groups_last for frame in reversed(traceback.extract_tb(one.__traceback__))]
    theirs = [frame for frame in frames if not frame.filename.startswith((*_ENGINE, "<"))]
    own = [frame for frame in theirs if not frame.filename.startswith(_INSTALLED)]
    return next(iter([*own, *theirs]), None)


def place(file: str, line: int) -> str:
    """``file:line``, as short as it can be written from here."""
    return str(Site(file, line))


def seconds(value: float) -> str:
    """A time to wait, exact where it is short.

    >>> seconds(0.05), seconds(12)
    ('0.05 s', '12.0 s')
    """
    return f"{round(value, 3):g} s" if value < 1 else elapsed(value)


def waiting(event: Waiting) -> str:
    """What a run waits for, and how long at most."""
    return f"waits for {event.reason}{'' if event.seconds is None else f', {seconds(event.seconds)} at most'}"


def finished(event: StepFinished | WindowFlushed) -> str:
    """How many parts of a state's work are finished."""
    return count(event.step, "step") if isinstance(event, StepFinished) else count(event.window, "window")


def released(event: Released) -> str:
    """That a run has stopped, and why if it was not asked to."""
    return "released" if isinstance(event.error, KeyboardInterrupt | None) else f"released: {one_line(event.error)}"


def flat(text: str) -> str:
    r"""A text on one line.

    >>> flat("no ship\n  left")
    'no ship left'
    """
    return " ".join(text.split())


def word(text: str) -> str:
    r"""A name that users have given, with all that would break its line written as JSON writes it.

    >>> print(word("a\nb"))
    a\u000ab
    """
    return _BREAKING.sub(_as_json, text)


def cut(text: str, longest: int) -> str:
    """A text that is not too long.

    >>> cut("no such ship", 8)
    'no such…'
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def shortened(text: str, longest: int) -> str:
    """A name that is not too long: its beginning and its end, which tell it from others.

    >>> shortened("order-2024-00017/3", 12)
    'order-…017/3'
    """
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[-end:]}"


def instant(value: float) -> str:
    """An instant in UTC, given in seconds since 1970; one that no calendar has stays a number.

    >>> instant(1.5), instant(1e300)
    ('1970-01-01T00:00:01.500Z', '1e+300')
    """
    try:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{value:g}"


def elapsed(value: float) -> str:
    """A time that has passed, as exact as one cares about.

    >>> [elapsed(value) for value in (0.04, 12.34, 75, 7384)]
    ['0.0 s', '12.3 s', '1 min 15 s', '2 h 03 min']
    """
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def count(number: int, what: str) -> str:
    """A number with its noun.

    >>> count(1, "state"), count(2000, "retry")
    ('1 state', '2,000 retries')
    """
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"


def path_of(states: Iterable[str], shown: int = 20) -> str:
    """The latest states of a path.

    >>> path_of("ABC", 2)
    '… > B > C'
    """
    names = list(states)
    return " > ".join([*["…"] * (len(names) > shown), *names[-shown:]])
