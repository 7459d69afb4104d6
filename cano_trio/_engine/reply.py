"""Where the reply to a question comes in, be it that there will be none: whoever asks does not wait for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import outcome
import trio

from .._define.question import Question, reply_of, send_reply
from .._errors import NoReply

GONE_ON = "it has gone on without one"


@final
class Reply:
    """The place for the reply to one question; what comes first stays."""

    __slots__ = ("_came", "_outcome")

    def __init__(self) -> None:
        self._came = trio.Event()
        self._outcome: outcome.Maybe[Any] | None = None

    def give(self, value: Any, /) -> None:
        """This is the reply."""
        self._settle(outcome.Value(value))

    def fail(self, error: NoReply) -> None:
        """There will be none."""
        self._settle(outcome.Error(error))

    def _settle(self, how: outcome.Maybe[Any]) -> None:
        if self._outcome is None:
            self._outcome = how
            self._came.set()

    async def wait(self) -> Any:
        """Wait for it.

        Raises:
            NoReply: there will be none.
        """
        await self._came.wait()
        match self._outcome:
            case outcome.Value(value):
                return value
            case outcome.Error(error):
                raise error
            case None:
                raise AssertionError("unreachable: it has come")


def take_in(message: object) -> None:
    """Have a place for the reply to a message that comes into a mailbox, if it is a question."""
    if isinstance(message, Question) and reply_of(message) is None:
        send_reply(message, Reply())


def pass_on(question: Question[Any], message: object) -> None:
    """Have the reply to a message go where that to a question does, of which it is a copy."""
    reply = reply_of(question)
    if isinstance(message, Question) and reply is not None:
        send_reply(message, reply)


def leave_unanswered(run_id: str, messages: Iterable[object], why: str) -> None:
    """Tell those who have asked these questions that there will be no reply, if there was none.

    Args:
        run_id: the run that was asked.
        messages: the questions, among other messages.
        why: why there is none.
    """
    for message in messages:
        reply = reply_of(message) if isinstance(message, Question) else None
        if isinstance(reply, Reply):
            reply.fail(NoReply(run_id, type(message).__name__, why))
