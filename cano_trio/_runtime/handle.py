"""What one holds of a run that goes on."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, cast, final

import trio
from typing_extensions import TypeVar

from .._define.checks import check_reason
from .._define.question import Question
from .._errors import JournalError
from .._observe.status import RunStatus
from .actor import Actor
from .alone import never_enters
from .event_stream import EventStream
from .result import RunResult

R = TypeVar("R")
S_co = TypeVar("S_co", bound=Enum, covariant=True)
D_co = TypeVar("D_co", covariant=True, default=None)


@final
class Run(Generic[S_co, D_co]):
    """A run: ask it where it is, wait for its end, send it messages.

    ``run = await runtime.start(workflow, data)`` hands one out, and so does ``await nursery.start(workflow.run, data)``;
    there is no public constructor. That a handle goes away never hurts the run.

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
    ...         await run.send("world")
    ...     print(run)
    >>> trio.run(main)
    hello world
    <Run 'r1' completed DONE>
    """

    __slots__ = ("_actor",)

    def __init__(self, actor: Any, /) -> None:
        self._actor: Actor = actor

    @property
    def id(self) -> str:
        """Its id; of a supervised run in whose place another has begun, that of the other."""
        return self._actor.run_id

    @property
    def state(self) -> S_co:
        """The state it is in; of a run that has ended, the last. Of a run that is not at work here, as last heard of."""
        return cast("S_co", self._actor.state)

    @property
    def status(self) -> RunStatus:
        """Where it stands. Of a run that is not at work here, as last heard of: `info` asks the journal."""
        return self._actor.status

    @property
    def data(self) -> D_co:
        """A copy of its data, as they were last committed. Of a run that is not at work here, as last heard of.

        Raises:
            RunBlocked: it is not at work here, and this code can't read them.
        """
        return cast("D_co", self._actor.data())

    async def wait(self) -> RunResult[S_co, D_co]:
        """Wait for its end, wherever it is carried out; any number of tasks may.

        If this is cancelled, the run goes on.

        Returns:
            What it came to.

        Raises:
            RunFailed: it has failed; each caller gets an error of its own, from what the run failed with.
            RunCancelled: it was cancelled.
            RunReleased: it goes on, but the runtime of this handle does not hear of it any more.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Workflow, open_runtime
        >>> Step = Enum("Step", "WORK DONE")
        >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
        >>> @workflow.task(Step.WORK)
        ... async def work() -> Literal[Step.DONE]:
        ...     return Step.DONE
        >>> async def main():
        ...     async with open_runtime(workflows=[workflow]) as runtime:
        ...         run = await runtime.start(workflow)
        ...         return await run.wait()
        >>> trio.run(main).state
        <Step.DONE: 2>
        """
        return cast("RunResult[S_co, D_co]", await self._actor.wait())

    async def wait_state(self, *states: Enum) -> S_co:
        """Wait until it has entered one of some states.

        Args:
            states: the states.

        Returns:
            The first of them that it has entered, be it long ago; of one that has entered more than 1,000 states since, the
            first of the latest ones.

        Raises:
            RunAlreadyEnded: it is over, and was in none of them.
            RunReleased: it goes on, but not here.
            ValueError: none is given, or one is no state of its workflow.
        """
        actor = self._actor
        if not states:
            raise ValueError("wait_state() waits for nothing: name the states to wait for")
        if strangers := [state for state in states if not isinstance(state, actor.workflow.states)]:
            names = ", ".join(map(repr, strangers))
            raise ValueError(
                f"wait_state() would wait for ever: {names} is no state of {actor.workflow.states.__name__}"
            )
        await trio.lowlevel.checkpoint()
        with actor.hearing():
            while True:
                actor.check_heard()
                # Before the look, which may take time: what happens meanwhile is seen by the next one.
                ring, is_over = actor.next_ring(), actor.over or actor.status.ended
                for state in await actor.host.entered(actor):
                    if state in states:
                        return cast("S_co", state)
                actor.check_heard()
                if is_over:
                    raise never_enters(actor, states)
                await ring.wait()

    def events(self, *, buffer: int = 256) -> EventStream:
        """Its events from now on; of those only that happen in this process.

        Args:
            buffer: how many are kept for a reader who does not come for them; the run never waits.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Workflow, open_runtime
        >>> Step = Enum("Step", "WORK DONE")
        >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
        >>> @workflow.task(Step.WORK)
        ... async def work() -> Literal[Step.DONE]:
        ...     return Step.DONE
        >>> async def main():
        ...     async with open_runtime(workflows=[workflow]) as runtime:
        ...         run = await runtime.start(workflow)
        ...         with run.events() as events:
        ...             async for event in events:
        ...                 print(type(event).__name__, event.state.name)
        >>> trio.run(main)
        RunStarted WORK
        StateEntered WORK
        TaskSucceeded WORK
        StateEntered DONE
        RunEnded DONE
        """
        return EventStream(self._actor, buffer)

    async def pause(self, reason: str | None = None) -> None:
        """Hold it: it finishes the state in which a task of it is at work, and stays there until `resume`, over restarts, too.

        Its timeouts and due times pass meanwhile; messages to it wait for it.

        Args:
            reason: why, for people.

        Raises:
            RunAlreadyEnded: it is over, or was before it could be held.
            RuntimeNeeded: it has no journal, or no runtime.
            ValueError: the reason is no string that can be written down.
        """
        check_reason(reason)
        await self._actor.host.pause(self._actor, reason)

    async def resume(self) -> None:
        """Have it go on, if it is paused or blocked; returns when it does, or waits for a slot.

        Raises:
            RunBlocked: it can't go on with this code.
            RunAlreadyEnded: it is over. If it has failed: `retry`.
            RuntimeNeeded: it has no journal, or no runtime.
        """
        await self._actor.host.go_on(self._actor, retry=False)

    async def retry(self) -> None:
        """Have it go on in the state in which it has failed, as if its attempts had only begun.

        Raises:
            RunAlreadyEnded: it has ended otherwise.
            RuntimeNeeded: it has no journal, or no runtime.
        """
        await self._actor.host.go_on(self._actor, retry=True)

    def cancel(self, reason: str | None = None) -> None:
        """Cancel the run: it stops, undoes what it has done, and fails with `RunCancelled`.

        It stops at the next checkpoint of its task; an attempt of a `CompensatableTask` is waited for, as its `hold` says. A
        run that has ended is left as it is, and of several reasons the first stands.

        Args:
            reason: why, for the `RunCancelled` and for people.

        Raises:
            ValueError: the reason is no string that can be written down.
            RuntimeClosed: it waits in the journal, and the runtime of this handle takes on no more.

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
        check_reason(reason)
        self._actor.host.cancel(self._actor, reason)

    async def send(self, message: object, /, *, key: str | None = None, require_waiting: bool = False) -> bool:
        """Send the run a message; waits where its mailbox is full.

        The first state that takes messages of its type gets it, now or later. Messages of one sender stay in order. The
        mailbox holds 1,000; what the run waits for at the moment needs no room. If this is cancelled, nothing was sent.

        Args:
            message: an instance of a class that a state of the workflow takes; it is passed on as it is, not copied.
            key: what this message would be known by if it were sent again; the run remembers its latest 10,000.
            require_waiting: only send it if a state waits for it at this moment.

        Returns:
            Whether it was taken in: not if a message with this key was before.

        Raises:
            MessageRejected: no state of the workflow takes messages of this type.
            MessageNotAwaited: no state waits for it, and that was required.
            RunAlreadyEnded: the run is over, or it ended before there was room.
            ValueError: the key is empty or no string.
        """
        # First: who is cancelled together with the run must not be told of the run's end instead.
        await trio.lowlevel.checkpoint_if_cancelled()
        return await self._actor.host.send(self._actor, message, key, require_waiting=require_waiting)

    def send_nowait(self, message: object, /, *, key: str | None = None) -> bool:
        """As `send`, without waiting.

        Raises:
            MailboxFull: there is no room, or others wait for it already.
            JournalError: the run has a journal: what is sent to it is written down first, which takes time.
        """
        run = self._actor.engine
        if run is None or run.durable:
            raise JournalError(
                f"run {self.id!r} has a journal, and a message is written down before it counts as sent. "
                "That takes a moment: await run.send(...)."
            )
        return run.mailbox().put_nowait(message, key)

    async def ask(self, question: Question[R], /) -> R:
        """Ask the run, and wait for its reply.

        The question is a message: a state that takes its type gets it, and calls `Question.reply`; with a journal it is
        written down, and used up with the state. Only the process that carries the run out can ask it.

        Whoever asks waits for the reply, and for nothing that will not come: if the run ends or is released without one, or
        goes on from the state that has taken the question, this fails. If it is cancelled, the run has the question all the
        same, and its reply goes nowhere.

        Args:
            question: a message derived from `Question`; it is asked once.

        Returns:
            The reply.

        Raises:
            NoReply: there will be none.
            NotAtWork: the run is not at work in this process.
            MessageRejected: no state of the workflow takes questions of this type.
            DataNotEncodable: the run has a journal, and the question can't be written down.
            RunAlreadyEnded: the run is over, or it ended before there was room.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        return await self._actor.host.ask(self._actor, question)

    def __repr__(self) -> str:
        """Its id, its status, and where it is."""
        actor = self._actor
        again = f" attempt {actor.attempts}" if actor.attempts > 1 else ""
        return f"<Run {actor.run_id!r} {actor.status.value} {actor.state.name}{again}>"
