"""What a task may know, and say, of its run."""

from __future__ import annotations

from enum import Enum
from typing import Protocol, final


class Reporting(Protocol):
    """What a context needs of the run behind it."""

    run_id: str
    key: str

    def report_progress(self, done: int, total: int | None, /) -> None:
        """Tell the observers."""


@final
class RunContext:
    """What a task may know, and say, of its run: annotate a parameter with it to get one.

    It is made anew for every attempt; there is no public constructor.

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

    __slots__ = ("_part", "_run", "attempt", "error", "seq", "state", "visit")

    attempt: int
    """The number of this attempt, counted from 1."""
    error: BaseException | None
    """The failure that led here by an ``on_error``; None otherwise."""
    seq: int
    """How many states the run has finished before this one (routers are not counted)."""
    state: Enum
    """The state the run is in."""
    visit: int
    """How often the run has been in this state, counted from 1."""

    def __init__(
        self, run: Reporting, state: Enum, *, visit: int, attempt: int, seq: int, error: BaseException | None, part: str
    ) -> None:
        self._run = run
        self._part = part
        self.state = state
        self.visit = visit
        self.attempt = attempt
        self.seq = seq
        self.error = error

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

    def __repr__(self) -> str:
        """Where it is."""
        return f"<RunContext {self._run.run_id!r} {self.state.name} visit {self.visit} attempt {self.attempt}>"
