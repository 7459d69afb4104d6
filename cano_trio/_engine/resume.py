"""How a run that was written down is taken up again, with its children, and what is written down of that."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TypeAlias, final

from msgspec.structs import replace

from .. import _clock
from .._errors import JournalError, RunBlocked, RunCancelled, RunNotFound
from .._journal.protocol import Journal
from .._journal.requests import requests_met
from .._journal.rows import LogRow, Position, StoredRun
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .done import done_by, undone_of
from .facts import was_cancelled
from .kept import recorded_failure, stored_error
from .lifecycle import Resources
from .placing import placed, take_messages
from .program import Program
from .reading import Reading, is_transition
from .run import Run
from .run_journal import RunJournal
from .writing import claimed

How: TypeAlias = Literal["resume", "retry", "roll_back", "cancel"]
"""What a run is taken up for."""

CRASHES: Final = 5
"""How many processes may die in a row with a run, before nobody takes it up by itself."""


async def revive(
    program: Program,
    journal: Journal,
    stored: StoredRun,
    *,
    how: How,
    resources: Resources,
    observers: Sequence[Observer],
    reason: str | None = None,
    parent: Run | None = None,
) -> Run:
    """A run as its last process left it, claimed and ready to go on.

    Args:
        program: its workflow, bound.
        journal: where it is written down.
        stored: what is written there.
        how: what it is taken up for.
        resources: what its tasks work with.
        observers: who is told of its events.
        reason: why it is cancelled.
        parent: the run whose state's work it does.

    Raises:
        RunBlocked: this code can't go on with it.
    """
    revival = Revival(program, journal, stored, how)
    try:
        return await revival.run(resources, observers, reason, parent)
    except RunBlocked as error:
        obstacle = error
    except BaseException:
        with suppress(JournalError):
            await revival.give_back(stored.record.position)
        raise
    await revival.block(obstacle)
    raise obstacle


@final
class Revival:
    """A run while it is taken up.

    Args:
        program: its workflow, bound.
        journal: where it is written down.
        stored: what is written there.
        how: what it is taken up for.
    """

    def __init__(self, program: Program, journal: Journal, stored: StoredRun, how: How) -> None:
        self.program = program
        self.journal = journal
        self.stored = stored
        self.record = stored.record
        self.reading = Reading(program, stored.record)
        self.how: How = how
        self._claimed: Run | None = None
        """The child's run that was claimed together with it."""
        self._again = False
        """Its state is to be visited anew: what the child of this visit did is undone."""

    async def run(
        self, resources: Resources, observers: Sequence[Observer], reason: str | None, parent: Run | None
    ) -> Run:
        """The run.

        Raises:
            RunBlocked: this code can't go on with it.
        """
        record = self.record
        self.reading.check_version()
        if record.crashes >= CRASHES and self.how == "resume":
            raise self.reading.blocked(
                "crash_loop", f"{record.crashes} processes have died with it. See why, and then `retry` it."
            )
        history = await self.journal.history(record.run_id)
        run = placed(self.reading, self.stored, self.journal, history, resources, observers, parent)
        was_undone = record.position.status is RunStatus.ROLLING_BACK
        run.undoes = was_undone or self.how in {"roll_back", "cancel"}
        await self._find_done(run, history, resources, at_work=not was_undone)
        take_messages(self.reading, run, self.stored)
        run.journal.consume(requests_met(self.stored.messages, cancelled=self.how == "cancel"))
        if run.undoes:
            run.cancelled, run.reason, run.failure = self._why(reason)
            if run.rerun:  # it was in its state, and is not driven there again
                run.path.append(run.step.state)
        await self._write_anew(run)
        return run

    async def over(self, resources: Resources) -> Run:
        """A run that has reached an exit, as it was when it did."""
        history = await self.journal.history(self.record.run_id)
        self.reading.check_version()
        run = placed(self.reading, self.stored, self.journal, history, resources, (), None)
        run.status = RunStatus.COMPLETED
        run.path.append(run.step.state)
        if history:
            run.elapsed = history[-1].finished_at - history[0].entered_at
        return run

    async def past(self, parent: Run, resources: Resources) -> Run:
        """A run that is over, with what it has done."""
        self.reading.check_version()
        history = await self.journal.history(self.record.run_id)
        position = self.record.position
        run = self.program.run(
            self.reading.step(position.state).state,
            self.reading.renewed_data(self.stored.data),
            run_id=parent.run_id,
            observers=(),
            resources=resources,
            parent=parent,
        )
        run.seq = position.seq
        run.status = position.status
        run.undoes = True
        run.write_down(RunJournal(self.journal, run, self.program))
        await self._find_done(run, history, resources, at_work=False)
        return run

    async def completed(self, parent: Run, resources: Resources) -> Run:
        """A child that was claimed and has come to its end, of which the run that started it has yet to take the result."""
        run = await self.past(parent, resources)
        run.undoes, run.rerun = False, True
        if isinstance(run.journal, RunJournal):
            run.journal.go_on(self.record, self.stored.data)
        return run

    async def block(self, error: RunBlocked) -> None:
        """Write down why it can't go on, and give it back. A rollback stays one, whatever stands in its way."""
        position = self.record.position
        kept = position.status if position.status is RunStatus.ROLLING_BACK else RunStatus.BLOCKED
        await self.give_back(replace(position, status=kept, reason=f"{error.reason}: {error.message}"))

    async def give_back(self, position: Position) -> None:
        """Give it back with the child that was claimed together with it: others may go on with both.

        Args:
            position: where it stands.
        """
        run = self.program.run(
            self.program.workflow.initial, None, run_id=self.record.run_id, observers=(), resources=Resources()
        )
        writing = RunJournal(self.journal, run, self.program)
        run.write_down(writing)
        writing.go_on(self.record, b"")
        if self._claimed is not None:
            writing.add_release(self._claimed.journal)
        await writing.give_back(position)

    # -- its children

    async def _find_done(self, run: Run, history: Sequence[LogRow], resources: Resources, *, at_work: bool) -> None:
        """What it has done that can be undone, and what of it is undone already, its children among it."""
        children = await self._children(run, history, resources)
        if run.undoes and not at_work:
            # One that failed in an earlier visit undid its work then, and was led on from.
            through = {
                seq: child for seq, child in children.items() if seq == run.seq or child.status is RunStatus.COMPLETED
            }
            run.undone = undone_of(self.reading, history, through)
        # One that has nothing left to be undone, and does not say so yet, is gone through for that alone.
        stuck = RunStatus.ROLLBACK_FAILED
        still_done = {seq: child for seq, child in children.items() if child.done or child.status is stuck}
        run.done = [*done_by(self.reading, run, self.stored.visits, history, still_done, at_work=at_work)]

    async def _children(self, run: Run, history: Sequence[LogRow], resources: Resources) -> dict[int, Run]:
        """The runs of child workflows that have done something, by visit; that which is in flight goes on as the run's child."""
        children: dict[int, Run] = {}
        for row in history:
            known = self.reading.known(row.state)
            if known is not None and known.child is not None and known.child.undoable and is_transition(row):
                stored = await self._stored_child(run, row.seq)
                if stored is not None:
                    children[row.seq] = await self._past_child(run, known.child, row.seq, stored, resources)
        if run.step.child is None:
            return children
        present = await self._present_child(run, run.step.child, resources)
        if present is not None and run.undoes:
            children[run.seq] = present
        return children

    async def _present_child(self, run: Run, program: Program, resources: Resources) -> Run | None:
        """The run of the child workflow that does the work of the present visit; it goes on as the run's child, if it can."""
        stored = await self._stored_child(run, run.seq)
        if stored is None:
            return None
        status, key = stored.record.position.status, stored.record.run_id
        if run.undoes and status.ended:
            return await self._past_child(run, program, run.seq, stored, resources)
        if status in {RunStatus.ROLLED_BACK, RunStatus.CANCELLED}:
            self._again = True  # what was undone must not be done again under its old key
            return None
        if status is RunStatus.ROLLBACK_FAILED:
            raise self.reading.blocked(
                "child",
                f"its child {key!r} could not be undone in full, so its work can't begin anew. Undo what is left: "
                f"workflow.cancel({run.run_id!r}, journal=...).",
            )
        found = await claimed(self.journal, key)
        if found is None:
            raise self.reading.blocked("child", f"another process holds its child {key!r}")
        if status is RunStatus.COMPLETED:
            child = await Revival(program, self.journal, found, "resume").completed(run, resources)
        else:
            how: How = "retry" if status.ended else "resume"
            child = await revive(
                program, self.journal, found, how=how, resources=resources, observers=(), parent=run
            )  # fmt: skip
        run.child = self._claimed = child
        return child

    async def _past_child(self, run: Run, program: Program, seq: int, stored: StoredRun, resources: Resources) -> Run:
        """The run of the child workflow that did the work of a visit."""
        own, run.seq = run.seq, seq  # a child's key is made of it
        try:
            child = await Revival(program, self.journal, stored, "resume").past(run, resources)
        finally:
            run.seq = own
        child.parent = None
        return child

    async def _stored_child(self, run: Run, seq: int) -> StoredRun | None:
        try:
            return await self.journal.load(f"{run.key}/{seq}")
        except RunNotFound:
            return None

    # -- what is changed by taking it up

    def _why(self, reason: str | None) -> tuple[bool, str | None, BaseException]:
        """Whether it was cancelled, with what reason, and what it failed with."""
        position = self.record.position
        if position.status is RunStatus.ROLLING_BACK or self.how == "roll_back":
            if position.error is not None and not was_cancelled(position):
                return False, None, recorded_failure(position.error)
            reason = position.reason
        return True, reason, RunCancelled(reason)

    async def _write_anew(self, run: Run) -> None:
        """Write down what is changed by taking it up."""
        position, step, now = self.record.position, run.step, _clock.timestamp()
        parts = self._brought_up(run)
        if self._again:
            parts |= self._visited_anew(run, now)
        if self.how == "retry" or self._again or position.status is RunStatus.QUEUED:
            timeout = self.program.workflow.timeout
            # When a queued run is to begin is no concern of its first state.
            due_at = None if position.status is RunStatus.QUEUED else position.due_at
            position = replace(
                position,
                seq=run.seq,
                status=step.status,
                entered_at=now,
                due_at=due_at if step.patience is None else now + step.patience,
                deadline_at=None if timeout is None else now + timeout,
                ended_at=None,
                reason=step.reason,
                error=None,
            )
            run.started = run.clock()
        elif run.undoes:
            position = replace(position, ended_at=None)
        elif position.status not in {RunStatus.RUNNING, RunStatus.WAITING}:
            # It may have been held before it began.
            due_at, deadline_at, timeout = position.due_at, position.deadline_at, self.program.workflow.timeout
            position = replace(
                position,
                status=step.status,
                reason=step.reason,
                due_at=now + step.patience if due_at is None and step.patience is not None else due_at,
                deadline_at=now + timeout if deadline_at is None and timeout is not None else deadline_at,
            )
        if isinstance(run.journal, RunJournal) and (self.reading.is_old or position != self.record.position):
            await run.journal.write_anew(position, **parts)

    def _brought_up(self, run: Run) -> dict[str, Any]:
        """The rows that an older version wrote, as today's would have written them."""
        if not self.reading.is_old:
            return {}
        seq, places = self.record.position.seq, run.journal.places
        rows = [replace(row, body=self.reading.outcome(row.part, row.body)) for row in self.stored.outcomes]
        return {
            "cursors": tuple(replace(row, body=places[row.part]) for row in self.stored.cursors if row.seq == seq),
            "outcomes": tuple(rows),
        }

    def _visited_anew(self, run: Run, now: float) -> dict[str, Any]:
        """Have the run go on in a new visit of its state: with what led to the old one, which it ends."""
        step, seq = run.step, run.seq
        error = None if run.error is None else stored_error(run.error)
        row = LogRow(
            seq=seq,
            state=step.name,
            next=step.name,
            entered_at=self.record.position.entered_at,
            finished_at=now,
            version=self.program.workflow.version,
            error=error,
        )
        run.path.append(step.state)
        run.visits[step.index] += 1
        run.seq += 1
        run.rerun = False
        led_here = [one for one in self.stored.outcomes if one.seq == seq - 1]
        moved = [replace(one, seq=seq, body=self.reading.outcome(one.part, one.body)) for one in led_here]
        return {"log": (row,), "outcomes": tuple(moved), "forget_cursors": seq, "forget_outcomes": seq}
