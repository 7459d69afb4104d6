"""A run in its caller's own task: nobody but this task carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar, final

from .._define.question import Question
from .._engine.asking import ask
from .._engine.run import Run as EngineRun
from .._errors import MessageNotAwaited, RunAlreadyEnded, RuntimeNeeded
from .actor import Actor

R = TypeVar("R")


@final
class Alone:
    """The host of a run that `Workflow.run` or `Workflow.resume` carries out."""

    @contextmanager
    def watching(self, actor: Actor, /) -> Iterator[None]:  # noqa: ARG002
        """It is at work here for as long as it goes on."""
        yield

    async def send(self, actor: Actor, message: object, key: str | None, /, *, require_waiting: bool) -> bool:
        """Send it a message."""
        return await send_to(run_of(actor), message, key, require_waiting=require_waiting)

    async def ask(self, actor: Actor, question: Question[R], /) -> R:
        """Ask it."""
        return await ask(run_of(actor), question)

    def cancel(self, actor: Actor, reason: str | None, /) -> None:
        """Have it cancelled."""
        run_of(actor).cancel(reason)

    def bring_down(self, actor: Actor, reason: str | None, /) -> None:
        """Have it cancelled: it is not begun again."""
        self.cancel(actor, reason)

    async def pause(self, actor: Actor, reason: str | None, /) -> None:  # noqa: ARG002
        """Refuse: there would be nobody to go on with it."""
        raise RuntimeNeeded(actor.run_id, "paused")

    async def go_on(self, actor: Actor, /, *, retry: bool) -> None:  # noqa: ARG002
        """Refuse: it is not paused, and its task is gone when it is over."""
        raise RuntimeNeeded(actor.run_id, "resumed")

    async def entered(self, actor: Actor, /) -> tuple[Enum, ...]:
        """The states that it has entered."""
        return run_of(actor).trail()


ALONE = Alone()


def run_of(actor: Actor) -> EngineRun:
    """The run at work here, or as it was when it ended here."""
    assert actor.engine is not None  # noqa: S101  (whoever asks has seen to it)
    return actor.engine


async def send_to(run: EngineRun, message: object, key: str | None, *, require_waiting: bool) -> bool:
    """Send a message to a run that is at work here."""
    if require_waiting and not run.mailbox().is_awaited(message):
        raise MessageNotAwaited(run.run_id, type(message).__name__)
    if run.durable:
        return await run.journal.post(message, key) is not None
    return await run.mailbox().put(message, key)


def never_enters(actor: Actor, states: tuple[Enum, ...]) -> RunAlreadyEnded:
    """The error of one who waits for states that will not come."""
    names = ", ".join(state.name for state in states)
    return RunAlreadyEnded(actor.run_id, actor.status.value, f"enters none of {names} any more")
