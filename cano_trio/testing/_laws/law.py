"""A law of journals as a check, and the words that laws are written in."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, final

import attrs
import trio

from ..._journal.protocol import Journal
from ..._journal.rows import StoredRun

E = TypeVar("E", bound=BaseException)

JournalFactory: TypeAlias = Callable[[], Journal]
"""Makes a journal, not yet open, of one and the same store: each call gives what another process would have."""

LONGEST = 60.0
"""Seconds that a law may take."""

SHOWN = 1000
"""Characters of a value that are shown."""


class LawBroken(AssertionError):
    """A journal does not do what every journal has to; ``__cause__`` is what was found, or raised.

    Args:
        law: the law's name.
        text: what it says.
        reason: what was found instead.
    """

    def __init__(self, law: str, text: str, reason: str) -> None:
        super().__init__(f"{law.replace('_', ' ')}: {reason}\nThe law: {text}")
        self.law = law
        self.reason = reason


@final
@attrs.frozen(repr=False)
class ConformanceCheck:
    """One law of journals, to be tried on a journal: see `conformance_checks`.

    Args:
        name: its name; `str` gives it, too.
        text: what the law says.
        needs_second: it opens another journal of the same runs while the first is open, as another process would.
    """

    name: str
    text: str
    needs_second: bool
    _try: Callable[..., Awaitable[None]] = attrs.field(alias="try_")

    async def __call__(self, factory: JournalFactory, /) -> None:
        """Try the law on a store in which there is nothing yet.

        Args:
            factory: makes a journal of it.

        Raises:
            LawBroken: it does not hold.
        """
        try:
            with trio.fail_after(LONGEST):
                await self._tried(factory)
        except Exception as error:
            raise LawBroken(self.name, self.text, _told(error)) from error

    async def _tried(self, factory: JournalFactory) -> None:
        wanted = inspect.signature(self._try).parameters
        async with AsyncExitStack() as stack:
            given: dict[str, Any] = {"beside": factory}
            for name in ("journal", "other"):
                if name in wanted:
                    given[name] = await stack.enter_async_context(factory())
            await self._try(**{name: given[name] for name in wanted})

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def __repr__(self) -> str:
        """Its name."""
        return f"<ConformanceCheck {self.name}>"


def law(function: Callable[..., Awaitable[None]]) -> ConformanceCheck:
    """Make a law of a function, which is given what its parameters name.

    These are a `journal`, an `other` one of the same runs, both open; and what makes further ones, `beside`.
    """
    return ConformanceCheck(
        name=function.__name__,
        text=" ".join((inspect.getdoc(function) or "").split()),
        needs_second=not {"other", "beside"}.isdisjoint(inspect.signature(function).parameters),
        try_=function,
    )


# -- what laws say


class _Unlike(AssertionError):
    """Something is not as a law says."""


@final
class Refusal(Generic[E]):
    """How something was refused."""

    value: E


def same(found: object, expected: object) -> None:
    """Something is as expected."""
    if found != expected:
        raise _Unlike(f"\n  found    {_shown(found)}\n  expected {_shown(expected)}")


def holds(fact: object, otherwise: str) -> None:
    """Something is true; or else it is told what is."""
    if not fact:
        raise _Unlike(otherwise)


def claimed(stored: StoredRun | None) -> StoredRun:
    """A run that could be claimed."""
    if stored is None:
        raise _Unlike("a run that no living process holds can't be claimed")
    return stored


@contextmanager
def refused(*errors: type[E]) -> Iterator[Refusal[E]]:
    """Something is refused with one of these errors."""
    refusal = Refusal[E]()
    try:
        yield refusal
    except errors as error:
        refusal.value = error
    else:
        raise _Unlike(f"it is not refused with {' or '.join(error.__name__ for error in errors)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"


def _told(error: BaseException) -> str:
    """What went wrong, and at which line of the law."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, trio.TooSlowError):
        return f"it has not come to an end in {LONGEST:g} s"
    what = str(error) if isinstance(error, _Unlike) else f"it raises {error!r}"
    return f"{what}\n  at {_line(error)}"


def _line(error: BaseException) -> str:
    """The last line of a law that an error came through."""
    here, words = Path(__file__).parent, Path(__file__).name
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == here and Path(frame.filename).name != words]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line}" if own else "its opening"
