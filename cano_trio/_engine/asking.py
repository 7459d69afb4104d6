"""How a run is asked: its question is a message, and whoever asks waits beside it for the reply."""

from __future__ import annotations

from typing import Any, TypeVar

from .._define.question import Question, reply_of, send_reply
from .._errors import NoReply
from .reply import GONE_ON, Reply
from .run import Run

R = TypeVar("R")


async def ask(run: Run, question: Question[R]) -> R:
    """Send a run that is at work here a question, and wait for the reply; if this is cancelled, the run has the question.

    Raises:
        MessageRejected: no state takes such questions.
        DataNotEncodable: the run is written down, and the question can't be.
        RunAlreadyEnded, RunReleased: it takes no more messages.
        NoReply: there will be none.
        TypeError: it is no question.
        ValueError: it was asked before.
    """
    if not isinstance(question, Question):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{question!r} is no Question: send() it, or derive its class from Question[...]")
    if reply_of(question) is not None:
        raise ValueError(f"{question!r} was sent before, and one question has one reply: make another one")
    reply = reply_of(await _sent(run, question))
    if not isinstance(reply, Reply):
        raise NoReply(run.run_id, type(question).__name__, GONE_ON)
    send_reply(question, reply)  # it was a copy, maybe; and this one must not be asked again, either
    value: R = await reply.wait()
    return value


async def _sent(run: Run, question: Question[Any]) -> Any:
    """The question as it has come in: of a run that is written down it is a copy."""
    mailbox = run.mailbox()
    if not run.durable:
        await mailbox.put(question, None)
        return question
    letter = await run.journal.post(question, None)
    assert letter is not None  # noqa: S101  (without a key, nothing is known already)
    return letter.message
