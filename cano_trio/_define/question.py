"""A message that wants a reply."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

R = TypeVar("R")


class Reply(Protocol):
    """Where the reply to a question goes."""

    def give(self, value: Any, /) -> None:
        """Reply."""


class Question(Generic[R]):
    """A message that wants a reply: derive a class of your own from it, and name the type of the reply.

    ``await run.ask(HowMany("W-7"))`` sends it, and gives what the run replies. The run takes it like any other message, in a
    `ReceiveTask` or by ``ctx.receive``, and calls `reply`. A class of plain values will do: a dataclass, an attrs class or a
    msgspec Struct, frozen or not.

    >>> from dataclasses import dataclass
    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Question, RunContext, Workflow, open_runtime
    >>> @dataclass(frozen=True)
    ... class HowMany(Question[int]):
    ...     sku: str
    >>> Step = Enum("Step", "SERVE DONE")
    >>> workflow = Workflow(Step, initial=Step.SERVE, exits=[Step.DONE])
    >>> @workflow.task(Step.SERVE)
    ... async def serve(ctx: RunContext[HowMany]) -> Literal[Step.DONE]:
    ...     for _ in range(2):
    ...         question = await ctx.receive()
    ...         question.reply(len(question.sku))
    ...     return Step.DONE
    >>> async def main():
    ...     async with open_runtime(workflows=[workflow]) as runtime:
    ...         run = await runtime.start(workflow)
    ...         print(await run.ask(HowMany("W-7")), await run.ask(HowMany("X")))
    >>> trio.run(main)
    3 1
    """

    # A slot, and not in the instance's dict: equality, copies of its fields and what is written down know nothing of it.
    __slots__ = ("_question_reply",)

    def reply(self, value: R, /) -> None:
        """Reply to who asks. It takes no time and never fails, whoever has gone away meanwhile; the first reply counts.

        It is given at once: an attempt that fails behind it is made again, and finds the question again, whose reply is
        given. A question that nobody waits for any more, or that came by `Run.send`, takes any reply and tells nobody.

        Args:
            value: the reply; it is passed on as it is.
        """
        reply = reply_of(self)
        if reply is not None:
            reply.give(value)


_slot: Any = vars(Question)["_question_reply"]


def reply_of(question: Question[Any]) -> Reply | None:
    """Where the reply to a question goes, if anybody has said so yet."""
    return getattr(question, "_question_reply", None)


def send_reply(question: Question[Any], reply: Reply) -> None:
    """Say where the reply to a question goes, be it frozen."""
    _slot.__set__(question, reply)
