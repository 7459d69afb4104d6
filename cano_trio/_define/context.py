"""What a task may know, and say, of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Generic, Never, Protocol, final, overload

from msgspec import Struct
from typing_extensions import TypeVar

from .. import _clock
from .._errors import DefinitionError
from .._journal.codec import JsonCodec
from .._journal.rows import Letter, NewRun, Position, Statement
from .._observe.status import RunStatus

M = TypeVar("M")
Message = TypeVar("Message")
Messages_contra = TypeVar("Messages_contra", contravariant=True, default=Never)


class Reporting(Protocol):
    """What a context needs of the run behind it."""

    run_id: str
    key: str

    def report_progress(self, done: int, total: int | None, /) -> None:
        """Tell the observers."""

    def publish(self, value: object, /) -> None:
        """Tell the observers."""


class Receiving(Protocol):
    """What a context needs to receive messages."""

    async def receive(self, kind: type | None, /) -> Any:
        """Wait for a message of a kind, or of any kind that it may receive."""
        ...


class Startable(Protocol):
    """A workflow, as far as it takes to begin a run of it."""

    name: str
    version: int

    @property
    def initial(self) -> Enum:
        """Where its runs begin."""
        ...

    def packed(self, data: object, /) -> bytes:
        """The data of a run as they are written down."""
        ...


@final
class Outbox(Struct, eq=False, kw_only=True):
    """What an attempt wants to happen together with its transition: all of it, or nothing.

    Args:
        durable: the run has a journal, which makes it happen.
        statements: SQL.
        sends: messages to other runs.
        starts: runs.
    """

    durable: bool
    # Tuples: an outbox is made for every attempt, and mostly nothing comes into it.
    statements: tuple[Statement, ...] = ()
    sends: tuple[Letter, ...] = ()
    starts: tuple[NewRun, ...] = ()

    def take(self, other: Outbox) -> None:
        """Take in what another wants, behind what this one does."""
        self.statements += other.statements
        self.sends += other.sends
        self.starts += other.starts


@final
class RunContext(Struct, Generic[Messages_contra], eq=False):
    """What a task may know, and say, of its run: annotate a parameter with it to get one.

    ``RunContext[Approved | Rejected]`` can `receive` messages of these classes, too. It is made anew for every attempt;
    there is no public constructor.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import RunContext, Workflow
    >>> Step = Enum("Step", "WORK DONE")
    >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="demo")
    >>> @workflow.task(Step.WORK)
    ... async def work(ctx: RunContext) -> Literal[Step.DONE]:
    ...     print(ctx.run_id, ctx.state.name, ctx.visit, ctx.attempt, ctx.idempotency_key)
    ...     return Step.DONE
    >>> trio.run(lambda: workflow.orchestrate(run_id="order-42"))
    order-42 WORK 1 1 order-42/0
    <Step.DONE: 2>
    """

    _run: Reporting
    state: Enum
    """The state the run is in."""
    visit: int
    """How often the run has been in this state, counted from 1."""
    attempt: int
    """The number of this attempt, counted from 1."""
    seq: int
    """How many states the run has finished before this one (routers are not counted)."""
    error: BaseException | None
    """The failure that led here by an ``on_error``; None otherwise."""
    rerun: bool
    """This work may have begun before, in an earlier attempt or in a process that is gone."""
    _part: str
    _outbox: Outbox | None
    _intake: Receiving | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.run_id

    @property
    def idempotency_key(self) -> str:
        """The same for every re-run of this piece of work, and of no other: give it to outside services.

        It is ``run/seq``; for a part of a state's work with what the part is, such as ``/i:3`` for an item of a batch.
        """
        return f"{self._run.key}/{self.seq}{self._part}"

    @property
    def forward_key(self) -> str | None:
        """In a compensation, the idempotency key of the work it undoes; None elsewhere."""
        return self.idempotency_key.removesuffix("/undo") if self._part.endswith("/undo") else None

    def progress(self, done: int, total: int | None = None) -> None:
        """Tell the observers how far the task is.

        Args:
            done: how much is done.
            total: of how much, if that is known.
        """
        self._run.report_progress(done, total)

    def emit(self, value: object, /) -> None:
        """Tell observers, and who reads the run's events, something of your own: they get it in a `Published`.

        It is told at once, and no fact: an attempt that is made again tells it again, and nobody has to listen.

        Args:
            value: what is told; it is passed on as it is.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import Event, Published, RunContext, Workflow
        >>> Step = Enum("Step", "WORK DONE")
        >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
        >>> @workflow.task(Step.WORK)
        ... async def work(ctx: RunContext) -> Literal[Step.DONE]:
        ...     ctx.emit("half-way")
        ...     return Step.DONE
        >>> class Printer:
        ...     def on_event(self, event: Event) -> None:
        ...         if isinstance(event, Published):
        ...             print(event.state.name, event.value)
        >>> _ = trio.run(lambda: workflow.run(observers=[Printer()]))
        WORK half-way
        """
        self._run.publish(value)

    @overload
    async def receive(self: RunContext[M], /) -> M: ...
    @overload
    async def receive(self, kind: type[Message], /) -> Message: ...
    async def receive(self, kind: type | None = None, /) -> Any:
        """Wait for the next message to the run, and take it; messages are taken in the order in which they came.

        Which ones, the annotation of the context says: ``ctx: RunContext[Approved | Rejected]`` takes those two classes.

        A message is used up when the state is finished, together with what it writes, and be it by ``on_error``; in stepped
        work with the step, in a stream with the window. Until then it is only lent: the next attempt, be it in another
        process after a crash, finds all again that this one has received.

        The wait is part of the attempt: its timeout goes on, and the run stays in memory. What is to wait for days is a state
        of its own, `Workflow.receive`. Bound a wait with ``trio.move_on_after``: a message is received, or still there.

        Args:
            kind: the class, one of those that the annotation names; by default any of them.

        Returns:
            The message.

        Raises:
            DefinitionError: the annotation names no messages, or not this class.
            trio.ClosedResourceError: the attempt whose context this is, is over.

        >>> from enum import Enum
        >>> from typing import Literal
        >>> import trio
        >>> from cano_trio import RunContext, Workflow, open_runtime
        >>> Step = Enum("Step", "ADD DONE")
        >>> workflow = Workflow(Step, initial=Step.ADD, exits=[Step.DONE])
        >>> @workflow.task(Step.ADD)
        ... async def add(ctx: RunContext[int]) -> Literal[Step.DONE]:
        ...     print(await ctx.receive() + await ctx.receive(int))
        ...     return Step.DONE
        >>> async def main():
        ...     async with open_runtime(workflows=[workflow]) as runtime:
        ...         run = await runtime.start(workflow)
        ...         await run.send(2)
        ...         await run.send(3)
        >>> trio.run(main)
        5
        """
        if self._intake is None:
            wanted = "Message" if kind is None else getattr(kind, "__name__", "Message")
            raise DefinitionError.one(
                "E37", self.state.name, "it uses ctx.receive, and the annotation of its context names no messages",
                hint=f"Write ctx: RunContext[{wanted}].",
            )  # fmt: skip
        return await self._intake.receive(kind)

    def sql(self, statement: str, parameters: Sequence[object] | Mapping[str, object] = (), /) -> None:
        """Have an SQL statement happen together with this state's transition: both, or neither (exactly once).

        It is carried out in the journal's own database when the state is finished, in the transaction that says so; its rows
        are yours to read with a connection of your own. Tables called ``cano_…`` are the journal's.

        Args:
            statement: one statement, such as an INSERT.
            parameters: what its question marks or its ``:names`` stand for.

        Raises:
            DefinitionError: the run has no journal, or this is a part of the work that may only read, such as a branch.
            StatementFailed: not here, but as the failure of the state: the statement is wrong.
        """
        names = dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
        self._opened("sql").statements += (Statement(statement, names),)

    def send(self, run_id: str, message: object, /, *, key: str | None = None) -> None:
        """Have a message go to another run of the journal together with this state's transition (exactly once).

        Args:
            run_id: the run that gets it.
            message: an instance of a class that a state of its workflow takes; of plain values, as the run's data.
            key: what it would be known by if it were sent again; by default this work's idempotency key with a number.

        Raises:
            DefinitionError: as `sql`.
            DataNotEncodable: the message can't be written down.
            RunNotFound: not here, but as the failure of the state: there is no such run.
            RunAlreadyEnded: likewise: it is over.
        """
        outbox = self._opened("send")
        letter = Letter(
            run_id=run_id,
            kind=type(message).__name__,
            body=JsonCodec(type(message), "message").pack(message),
            key=f"{self.idempotency_key}/m:{len(outbox.sends)}" if key is None else key,
            sent_at=_clock.timestamp(),
        )
        outbox.sends += (letter,)

    def start(self, workflow: Startable, data: object = None, /, *, run_id: str | None = None) -> str:
        """Have a run of another workflow begin together with this state's transition (exactly once).

        It is accepted, and ``queued``: `Workflow.resume` carries it out.

        Args:
            workflow: its workflow.
            data: its data.
            run_id: its id; by default this work's idempotency key with a number.

        Returns:
            Its id.

        Raises:
            DefinitionError: as `sql`.
            DataNotEncodable: the data can't be written down.
            DuplicateRun: not here, but as the failure of the state: there is or was a run of that id.
        """
        outbox = self._opened("start")
        new = NewRun(
            run_id=f"{self.idempotency_key}/r:{len(outbox.starts)}" if run_id is None else run_id,
            workflow=workflow.name,
            version=workflow.version,
            position=Position(
                state=workflow.initial.name, status=RunStatus.QUEUED, seq=0, entered_at=_clock.timestamp()
            ),
            data=workflow.packed(data),
        )
        outbox.starts += (new,)
        return new.run_id

    def _opened(self, what: str) -> Outbox:
        if self._outbox is None:
            raise DefinitionError.one(
                "E27", self.state.name, f"it uses ctx.{what} in a part of its work that may be called many times, or at once",
                hint="Return what you found, and use it where the state ends.",
            )  # fmt: skip
        if not self._outbox.durable:
            raise DefinitionError.one(
                "E28", self.state.name, f"it uses ctx.{what}, and the run has no journal, which would make it happen",
                hint="Run the workflow with journal=..., such as SqliteJournal('runs.db').",
            )  # fmt: skip
        return self._outbox

    def __repr__(self) -> str:
        """Where it is."""
        return f"<RunContext {self._run.run_id!r} {self.state.name} visit {self.visit} attempt {self.attempt}>"
