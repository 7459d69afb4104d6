"""What one holds of a run that goes on."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, cast, final

import trio
from typing_extensions import TypeVar

from .._engine.run import Run as EngineRun
from .._errors import JournalError

S_co = TypeVar("S_co", bound=Enum, covariant=True)
D_co = TypeVar("D_co", covariant=True, default=None)


@final
class Run(Generic[S_co, D_co]):
    """A run that goes on: ask it where it is, and send it messages.

    ``run = await nursery.start(workflow.run, data)`` hands one out; there is no public constructor.

    >>> from enum import Enum
    >>> from functools import partial
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Run, Workflow
    >>> Step = Enum("Step", "GREET DONE")
    >>> workflow = Workflow(Step, initial=Step.GREET, exits=[Step.DONE])
    >>> @workflow.receive(Step.GREET)
    ... async def greet(name: str) -> Literal[Step.DONE]:
    ...     print(f"hello {name}")
    ...     return Step.DONE
    >>> async def main() -> None:
    ...     async with trio.open_nursery() as nursery:
    ...         run: Run[Step] = await nursery.start(partial(workflow.run, run_id="r1"))
    ...         print(run)
    ...         await run.send("world")
    ...     print(run)
    >>> trio.run(main)
    <Run 'r1' running GREET>
    hello world
    <Run 'r1' completed DONE>
    """

    __slots__ = ("_run",)

    def __init__(self, run: Any, /) -> None:
        self._run: EngineRun = run

    @property
    def id(self) -> str:
        """Its id."""
        return self._run.run_id

    @property
    def state(self) -> S_co:
        """The state it is in; of a run that has ended, the last."""
        return cast("S_co", self._run.step.state)

    def cancel(self, reason: str | None = None) -> None:
        """Cancel the run: it stops, undoes what it has done, and fails with `RunCancelled`.

        It stops at the next checkpoint of its task; an attempt of a `CompensatableTask` is waited for, as its `hold` says. A
        run that has ended is left as it is, and of several reasons the first stands.

        Args:
            reason: why, for the `RunCancelled` and for people.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import RunCancelled, Workflow
        >>> Step = Enum("Step", "WAIT DONE")
        >>> workflow = Workflow(Step, initial=Step.WAIT, exits=[Step.DONE])
        >>> @workflow.task(Step.WAIT)
        ... async def wait() -> Literal[Step.DONE]:
        ...     await trio.sleep_forever()
        >>> async def main():
        ...     try:
        ...         async with trio.open_nursery() as nursery:
        ...             run = await nursery.start(workflow.run)
        ...             run.cancel("nobody needs it")
        ...     except* RunCancelled as group:
        ...         print(group.exceptions[0])
        >>> trio.run(main)
        the run was cancelled: nobody needs it
        """
        self._run.cancel(reason)

    async def send(self, message: object, /, *, key: str | None = None) -> bool:
        """Send the run a message; waits where its mailbox is full.

        The first state that takes messages of its type gets it, now or later. Messages of one sender stay in order. The
        mailbox holds 1,000; what the run waits for at the moment needs no room. If this is cancelled, nothing was sent.

        Args:
            message: an instance of a class that a state of the workflow takes; it is passed on as it is, not copied.
            key: what this message would be known by if it were sent again; the run remembers its latest 10,000.

        Returns:
            Whether it was taken in: not if a message with this key was before.

        Raises:
            MessageRejected: no state of the workflow takes messages of this type.
            RunAlreadyEnded: the run is over, or it ended before there was room.
            ValueError: the key is empty or no string.
        """
        # First: who is cancelled together with the run must not be told of the run's end instead.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._run.durable:
            return await self._run.journal.send(message, key)
        return await self._run.mailbox().put(message, key)

    def send_nowait(self, message: object, /, *, key: str | None = None) -> bool:
        """As `send`, without waiting.

        Raises:
            MailboxFull: there is no room, or others wait for it already.
            JournalError: the run has a journal: what is sent to it is written down first, which takes time.
        """
        if self._run.durable:
            raise JournalError(
                f"run {self.id!r} has a journal, and a message is written down before it counts as sent. "
                "That takes a moment: await run.send(...)."
            )
        return self._run.mailbox().put_nowait(message, key)

    def __repr__(self) -> str:
        """Its id, its status, and where it is."""
        run = self._run
        again = f" attempt {run.attempts}" if run.attempts > 1 else ""
        return f"<Run {run.run_id!r} {run.status.value} {run.step.state.name}{again}>"
