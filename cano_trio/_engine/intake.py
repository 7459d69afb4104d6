"""How a task receives messages: those that an attempt takes are used up when its work becomes a fact."""

from __future__ import annotations

from typing import Any, final

import trio

from .._define.compatible import name_of
from .._errors import DefinitionError
from .mailbox import Kinds, Letter, Mailbox
from .run import Run


@final
class Intake:
    """What one attempt takes out of its run's mailbox.

    Args:
        run: the run.
        kinds: what it may take.
    """

    __slots__ = ("_kinds", "_number", "_run", "_seq")

    def __init__(self, run: Run, kinds: Kinds) -> None:
        run.intakes += 1
        self._run = run
        self._kinds = kinds
        self._number = run.intakes
        self._seq = run.seq

    async def receive(self, kind: type | None, /) -> Any:
        """Wait for a message of a kind, or of any that it may take."""
        await trio.lowlevel.checkpoint_if_cancelled()
        run, kinds = self._run, self._kinds if kind is None else self._one(kind)
        if (run.intakes, run.seq) != (self._number, self._seq):
            raise trio.ClosedResourceError("the attempt whose context this is, is over: it receives no more messages")
        mailbox = run.mailbox()
        letter = mailbox.take_nowait(kinds)
        if letter is None:
            letter = await self._awaited(mailbox, kinds)
            run.letters += (letter,)
        else:
            run.letters += (letter,)
            await trio.lowlevel.cancel_shielded_checkpoint()
        return letter.message

    async def _awaited(self, mailbox: Mailbox, kinds: Kinds) -> Letter:
        run = self._run
        run.wait_for(f"message {' | '.join(map(name_of, kinds))}")
        try:
            return await mailbox.take(kinds)
        finally:
            if not mailbox.takers:  # several tasks of an attempt may wait at once
                run.wait_is_over()

    def _one(self, kind: type) -> Kinds:
        if kind in self._kinds:
            return (kind,)
        named = " | ".join(map(name_of, self._kinds))
        raise DefinitionError.one(
            "E37",
            self._run.step.name,
            f"it receives {name_of(kind)}, and the annotation of its context names {named}",
            hint=f"Write ctx: RunContext[{named} | {name_of(kind)}].",
        )
