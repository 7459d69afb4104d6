"""A journal that fails, loses replies, is slow or full when a test tells it to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, TypeVar, final, get_args

import trio

from .._errors import JournalError, JournalUnavailable
from .._journal.forwarding import ForwardingJournal
from .._journal.protocol import Journal

T = TypeVar("T")

Fault: TypeAlias = Literal["before", "after", "lost"]
"""What becomes of a call: it fails and nothing is written; it is written and reported as failed; or it is written, its reply
is lost, and after `NO_REPLY` seconds it is given up."""

Condition: TypeAlias = Literal["well", "full", "broken"]
"""How a journal is: it works; it can't write for now (`JournalUnavailable`); or no call works, reads neither (`JournalError`)."""

NO_REPLY: Final = 30.0
"""Seconds, of trio's clock, after which a call whose reply is lost is reported as failed."""

WRITES: Final = frozenset({"create", "commit", "claim", "post", "delete", "keep_schedule", "fire"})
"""The calls of a journal that write."""

_NO_FAULTS: Final[Mapping[int, Fault]] = MappingProxyType({})


@final
class FaultyJournal(ForwardingJournal):
    """A journal around another one that fails where it is told to.

    Args:
        inner: the journal that keeps the runs; also an attribute.
        faults: what becomes of which call, counted from 1 over all `methods`. ``"before"``: nothing is written, and
            `JournalError` raised. ``"after"``: it is written, and `JournalError` raised all the same. ``"lost"``: as
            ``"after"``, but only 30 seconds later, in which no reply comes.
        seconds: how long each call takes, in seconds of trio's clock. Once begun, it is carried through.
        methods: the names of the calls that it is about; by default all that write.

    Raises:
        ValueError: there is no such fault, call or method.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import JournalError, Workflow
    >>> from cano_trio.journals import MemoryJournal
    >>> from cano_trio.testing import FaultyJournal
    >>> Step = Enum("Step", "WORK DONE")
    >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="demo")
    >>> @workflow.task(Step.WORK)
    ... async def work() -> Literal[Step.DONE]:
    ...     return Step.DONE
    >>> async def main():
    ...     async with MemoryJournal() as journal:
    ...         try:
    ...             await workflow.run(run_id="r", journal=FaultyJournal(journal, {2: "before"}))
    ...         except JournalError as error:
    ...             print(error)
    ...         return (await workflow.resume("r", journal=journal)).state
    >>> trio.run(main)
    this journal fails, as it is told to: commit is call 2, and nothing was written
    <Step.DONE: 2>
    """

    def __init__(
        self,
        inner: Journal,
        /,
        faults: Mapping[int, Fault] = _NO_FAULTS,
        *,
        seconds: float = 0.0,
        methods: Collection[str] = WRITES,
    ) -> None:
        super().__init__(inner)
        _check(faults, seconds, methods)
        self.faults: dict[int, Fault] = dict(faults)
        """What becomes of which call; may be changed at any time."""
        self.condition: Condition = "well"
        """How it is; may be changed at any time. A call that waits for its `seconds` goes by how it is afterwards."""
        self.seconds = seconds
        """How long each call takes; may be changed at any time."""
        self.methods: Collection[str] = methods
        """The calls that it is about; may be changed at any time."""
        self.calls: list[str] = []
        """The names of those that were made, failed ones among them."""

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        """Pass a call on, or fail."""
        if self.condition == "broken":
            raise JournalError("this journal is broken, as it is told to be")
        if method not in self.methods:
            return await call()
        self.calls.append(method)
        number = len(self.calls)
        fault = self.faults.get(number)
        if self.seconds:
            await trio.lowlevel.checkpoint_if_cancelled()
            with trio.CancelScope(shield=True):
                await trio.sleep(self.seconds)
                return await self._done(call, fault, f"{method} is call {number}")
        return await self._done(call, fault, f"{method} is call {number}")

    async def _done(self, call: Callable[[], Awaitable[T]], fault: Fault | None, what: str) -> T:
        if self.condition == "full":
            raise JournalUnavailable("of a test", "it is full until it is told otherwise")
        if fault == "before":
            await trio.lowlevel.checkpoint()
            raise JournalError(f"this journal fails, as it is told to: {what}, and nothing was written")
        result = await call()
        if fault == "lost":
            with trio.CancelScope(shield=True):  # a cancel would say that nothing was written
                await trio.sleep(NO_REPLY)
        if fault in {"after", "lost"}:
            raise JournalError(f"this journal fails, as it is told to: {what}, and was written")
        return result


def _check(faults: Mapping[int, Fault], seconds: float, methods: Collection[str]) -> None:
    """See that what is asked for can come: a fault that never does proves nothing."""
    for number, fault in faults.items():
        if number < 1 or fault not in get_args(Fault):
            known = ", ".join(get_args(Fault))
            raise ValueError(f"faults has {number!r}: {fault!r}. It takes the numbers of calls, from 1, and {known}")
    if unknown := {name for name in methods if name.startswith("_") or not hasattr(Journal, name)}:
        there = ", ".join(sorted(WRITES))
        raise ValueError(
            f"methods has {', '.join(sorted(unknown))}: a journal has none of that name. Those that write are {there}"
        )
    if not seconds >= 0:
        raise ValueError(f"seconds is {seconds!r}: it takes 0 or more")
