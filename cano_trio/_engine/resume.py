"""How a run that was written down is taken up again: where it stands, what it holds, and what of it is to be undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from .. import _clock
from .._errors import RunBlocked, RunCancelled, RunNotFound, VersionMismatch
from .._journal.protocol import Journal
from .._journal.requests import is_request
from .._journal.rows import LogRow, Message, StoredRun
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .join import results_of
from .kept import (
    Came,
    Chosen,
    Done,
    Place,
    encode,
    read_came,
    read_chosen,
    read_done,
    read_list,
    read_place,
    read_verdict,
    recorded_failure,
)
from .lifecycle import Resources
from .mailbox import Letter
from .program import Program
from .rollback import Entry
from .run import KEPT, Run
from .run_journal import RunJournal, claimed
from .step import Step

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
        self.how: How = how
        self._claimed: Run | None = None
        """The child's run that was claimed together with it."""

    async def run(
        self, resources: Resources, observers: Sequence[Observer], reason: str | None, parent: Run | None
    ) -> Run:
        """The run.

        Raises:
            RunBlocked: this code can't go on with it.
        """
        record = self.record
        self._check_version()
        if record.crashes >= CRASHES and self.how == "resume":
            raise self._blocked(
                "crash_loop", f"{record.crashes} processes have died with it. See why, and then `retry` it."
            )
        history = await self.journal.history(record.run_id)
        step = self._step(record.position.state)
        run = self._placed(step, history, resources, observers, parent)
        run.undoes = record.position.status is RunStatus.ROLLING_BACK or self.how in {"roll_back", "cancel"}
        await self._find_children(run, step, history, resources)
        self._find_done(run, step, history)
        self._take_messages(run)
        if run.undoes:
            run.cancelled, run.reason, run.failure = self._why(reason)
        await self._write_anew(run, step)
        return run

    def _undoes(self, parent: Run | None) -> bool:
        """Whether it is taken up to be undone."""
        if parent is not None and parent.undoes:
            return True
        return self.record.position.status is RunStatus.ROLLING_BACK or self.how in {"roll_back", "cancel"}

    async def block(self, error: RunBlocked) -> None:
        """Write down why it can't go on, and give it back. A rollback stays one, whatever stands in its way."""
        position = self.record.position
        kept = position.status if position.status is RunStatus.ROLLING_BACK else RunStatus.BLOCKED
        told = replace(position, status=kept, reason=f"{error.reason}: {error.message}")
        run = self.program.run(
            self.program.workflow.initial, None, run_id=self.record.run_id, observers=(), resources=Resources()
        )
        writing = RunJournal(self.journal, run, self.program)
        run.write_down(writing)
        writing.go_on(self.record)
        if self._claimed is not None:
            writing.add_release(self._claimed.journal)
        await writing.give_back(told)

    # -- where it stands

    def _check_version(self) -> None:
        stored, workflow = self.record.version, self.program.workflow
        if not workflow.accepts_version(stored):
            raise VersionMismatch(self.record.run_id, stored, workflow.version)

    def _blocked(self, reason: str, message: str) -> RunBlocked:
        return RunBlocked(self.record.run_id, reason, message)

    def _step(self, name: str) -> Step:
        """The step of a state, by its name now or before.

        Raises:
            RunBlocked: there is none.
        """
        workflow = self.program.workflow
        state = workflow.state_named(name)
        if state is None or (state not in workflow.exits and state not in workflow.blueprint()):
            raise self._blocked(
                "state",
                f"{workflow.states.__name__} has no state {name} with a task. If it was renamed, say so: "
                f'Workflow(..., aliases={{"{name}": {workflow.states.__name__}.…}}).',
            )
        return self.program.steps[state]

    def _placed(
        self,
        step: Step,
        history: Sequence[LogRow],
        resources: Resources,
        observers: Sequence[Observer],
        parent: Run | None,
    ) -> Run:
        """The run in its state, with its data and its past."""
        position, program = self.record.position, self.program
        data = self.stored.data or None
        packed = data if data is None else self._brought_up("data", data)
        self._read("data", lambda: None if program.codec is None else program.codec.unpack(packed))
        run = program.run(
            step.state, packed, run_id=self.record.run_id if parent is None else parent.run_id, observers=observers,
            resources=resources, parent=parent,
        )  # fmt: skip
        run.seq = position.seq
        run.rerun = position.status is not RunStatus.QUEUED
        steps = [self._known(row.state) for row in history if is_transition(row)]
        run.path = [known.state for known in steps if known is not None][-KEPT:]
        for name, count in self.stored.visits.items():
            if (known := self._known(name)) is not None:
                run.visits[known.index] += count
        for known in steps:
            if known is not None:
                run.visits[known.index] += 1
        self._remember(run, history)
        self._hold_places(run, step)
        if position.deadline_at is not None and program.workflow.timeout is not None:
            run.started += position.deadline_at - _clock.timestamp() - program.workflow.timeout
        return run

    def _known(self, name: str) -> Step | None:
        """The step of a state, if it is still there."""
        state = self.program.workflow.state_named(name)
        return None if state is None else self.program.steps[state]

    def _remember(self, run: Run, history: Sequence[LogRow]) -> None:
        """What led to the state: a failure, or the branches of a split."""
        position = self.record.position
        last = next((row for row in reversed(history) if is_transition(row)), None)
        if last is not None and last.error is not None and last.next == position.state:
            run.error = recorded_failure(last.error)
        elif position.error is not None and position.status in {RunStatus.RUNNING, RunStatus.WAITING}:
            run.error = recorded_failure(position.error)
        outcomes = {row.part: row.body for row in self.stored.outcomes if row.seq == position.seq - 1}
        if "" in outcomes:
            run.joined = self._read("outcome", lambda: self._joined(outcomes))

    def _joined(self, outcomes: Mapping[str, bytes]) -> Any:
        verdict = read_verdict(outcomes[""])
        codecs = self._step(verdict.state).branch_codecs
        if verdict.over is not None:
            codecs = dict.fromkeys(verdict.names, codecs[verdict.over])
        brought = {part: self._outcome(part, body) for part, body in outcomes.items() if part}
        return results_of(verdict.names, brought, codecs)

    def _hold_places(self, run: Run, step: Step) -> None:
        """How far the work of the present state has come."""
        writing = RunJournal(self.journal, run, self.program)
        if self.record.owner is not None:
            writing.go_on(self.record)
        run.write_down(writing)
        seq = self.record.position.seq
        writing.places = {row.part: self._place(step, row.body) for row in self.stored.cursors if row.seq == seq}
        writing.outcomes = {
            row.part: self._outcome(row.part, row.body) for row in self.stored.outcomes if row.seq == seq
        }
        if step.reads is not None and (writing.places or writing.outcomes):
            reads = step.reads
            self._read("cursor", lambda: reads(writing.places, writing.outcomes))

    # -- what an older version wrote

    def _brought_up(self, kind: str, body: bytes, version: int | None = None) -> bytes:
        """A body as today's version would have written it.

        Raises:
            RunBlocked: the workflow's `migrate` fails.
        """
        workflow = self.program.workflow
        version = self.record.version if version is None else version
        if version == workflow.version or workflow.migrate is None:
            return body
        migrate = workflow.migrate
        brought: bytes = self._read(
            kind, lambda: msgspec.json.encode(migrate(version, kind, msgspec.json.decode(body)))
        )
        return brought

    def _read(self, kind: str, read: Callable[[], Any]) -> Any:
        """What reading something gives.

        Raises:
            RunBlocked: it can't be read.
        """
        try:
            return read()
        except RunBlocked:
            raise
        except Exception as error:
            raise self._blocked(
                "data",
                f"its {kind} can't be read by this code: {type(error).__name__}: {error}. "
                "If their type has changed, count the version up, and bring them up to date with Workflow(migrate=...).",
            ) from error

    def _is_old(self) -> bool:
        workflow = self.program.workflow
        return self.record.version != workflow.version and workflow.migrate is not None

    def _place(self, step: Step, body: bytes) -> bytes:
        if not self._is_old() or step.plan is None:
            return body
        match step.plan.node.model.name:
            case "batch":
                return encode([self._raw("items", one) for one in read_list(body)])
            case "split":
                chosen: Chosen = read_chosen(body)
                items = {name: self._raw("items", item) for name, item in chosen.items.items()}
                return encode(replace(chosen, items=items))
            case _:
                place: Place = read_place(body)
                return encode(replace(place, cursor=self._raw("cursor", place.cursor)))

    def _outcome(self, part: str, body: bytes) -> bytes:
        if not self._is_old() or not part:
            return body
        if part.startswith("/c:"):
            return encode(
                [Done(one.at, self._raw("outcome", one.output), one.attempts, one.elapsed) for one in read_done(body)]
            )
        came: Came = read_came(body)
        return encode(came if came.error is not None else Came(value=self._raw("outcome", came.value)))

    def _raw(self, kind: str, raw: Raw) -> Raw:
        return Raw(self._brought_up(kind, bytes(raw)))

    # -- what it has done

    async def _find_children(self, run: Run, step: Step, history: Sequence[LogRow], resources: Resources) -> None:
        """The runs of child workflows: of those that are over what can be undone, and the one that is in flight."""
        self._children: dict[int, Run] = {}
        for row in history:
            known = self._known(row.state)
            if known is not None and known.child is not None and known.child.undoable and is_transition(row):
                child = await self._child(run, known.child, row.seq, resources)
                if child is not None and child.done:
                    self._children[row.seq] = child
        if step.child is None:
            return
        present = await self._child(run, step.child, run.seq, resources, present=True)
        if present is not None and not present.status.ended:
            run.child = self._claimed = present
        if present is not None and present.done and run.undoes:
            self._children[run.seq] = present

    async def _child(
        self, run: Run, program: Program, seq: int, resources: Resources, *, present: bool = False
    ) -> Run | None:
        """The run of the child workflow that did the work of a visit, or does that of the present one."""
        key = f"{run.key}/{seq}"
        try:
            stored = await self.journal.load(key)
        except RunNotFound:
            return None
        status = stored.record.position.status
        goes_on = present and not (run.undoes and status.ended)
        if goes_on and status.ended and status is not RunStatus.FAILED:
            raise self._blocked("child", f"its child {key!r} is {status.value}. Start a new run.")
        found = await claimed(self.journal, key) if goes_on else stored
        if found is None:
            raise self._blocked("child", f"another process holds its child {key!r}")
        own = run.seq
        run.seq = seq  # a child's key is made of it
        try:
            how: How = "retry" if status.ended else "resume"
            child = await (
                revive(program, self.journal, found, how=how, resources=resources, observers=(), parent=run)
                if goes_on
                else Revival(program, self.journal, found, "resume").past(run, resources)
            )
        finally:
            run.seq = own
        if not goes_on:
            child.parent = None
        return child

    async def over(self, resources: Resources) -> Run:
        """A run that has reached an exit, as it was when it did."""
        history = await self.journal.history(self.record.run_id)
        self._check_version()
        run = self._placed(self._step(self.record.position.state), history, resources, (), None)
        run.status = RunStatus.COMPLETED
        run.path.append(run.step.state)
        if history:
            run.elapsed = history[-1].finished_at - history[0].entered_at
        return run

    async def past(self, parent: Run, resources: Resources) -> Run:
        """A run that is over, with what it has done."""
        self._check_version()
        history = await self.journal.history(self.record.run_id)
        step = self._step(self.record.position.state)
        data = self.stored.data or None
        packed = data if data is None else self._brought_up("data", data)
        run = self.program.run(
            step.state, packed, run_id=parent.run_id, observers=(), resources=resources, parent=parent
        )
        run.seq = self.record.position.seq
        run.status = self.record.position.status
        run.undoes = True
        run.write_down(RunJournal(self.journal, run, self.program))
        await self._find_children(run, step, history, resources)
        self._find_done(run, None, history)
        return run

    def _find_done(self, run: Run, step: Step | None, history: Sequence[LogRow]) -> None:
        """What the run has done that can be undone, first things first."""
        visits = Counter(self.stored.visits)
        standing: dict[tuple[int, str], Entry | Run] = {}
        undone: set[tuple[int, str]] = set()
        for row in history:
            place = (row.seq, row.part)
            known = self._known(row.state)
            if row.kind == "undone":
                standing.pop(place, None)
                undone.add(place)
            elif row.receipt is not None or row.kind == "in doubt":
                standing.pop(place, None)
                standing[place] = self._entry(row, visits[row.state] + 1)
            elif row.seq in self._children and known is not None and known.child is not None:
                standing[place] = self._children[row.seq]
            visits[row.state] += is_transition(row)
        if step is not None and self.record.position.status is not RunStatus.ROLLING_BACK:
            # Work of the present state that may have begun, and left nothing that tells of it.
            for part, undo in step.undos.items():
                place = (run.seq, part)
                if place not in standing and place not in undone and part not in run.journal.outcomes:
                    standing[place] = Entry(undo, part, run.seq, visits[step.state.name] + 1)
        if run.seq in self._children and run.undoes:
            standing[run.seq, ""] = self._children[run.seq]
        run.done = [*standing.values()]

    def _entry(self, row: LogRow, visit: int) -> Entry:
        undo = self._step(row.state).undos.get(row.part)
        if undo is None:
            raise self._blocked("state", f"what {row.state}{row.part} has done can be undone by nothing in this code.")
        entry = Entry(undo, row.part, row.seq, visit)
        entry.written = True
        if row.receipt is not None:
            receipt = self._brought_up("receipt", row.receipt, row.version)
            self._read("receipt", lambda: undo.codec.unpack(receipt))
            entry.receipt = receipt
        return entry

    def _take_messages(self, run: Run) -> None:
        """What is in its inbox."""
        if self.stored.posted and not run.undoes:
            letters = [message for message in self.stored.messages if not is_request(message.letter)]
            run.mailbox().restore([self._letter(run, message) for message in letters], self.stored.posted)

    def _letter(self, run: Run, message: Message) -> Letter:
        letter = message.letter
        kind = next((kind for kind in run.takes if kind.__name__ == letter.kind), None)
        if kind is None:
            raise self._blocked("data", f"it has got a message of type {letter.kind}, which no state takes any more.")
        body = self._brought_up("message", letter.body, letter.version)
        value = self._read("message", lambda: self.program.message_codec(kind).unpack(body))
        return Letter(value, letter.key, message.number, body)

    # -- going on

    def _why(self, reason: str | None) -> tuple[bool, str | None, BaseException]:
        """Whether it was cancelled, with what reason, and what it failed with."""
        position = self.record.position
        if position.status is RunStatus.ROLLING_BACK or self.how == "roll_back":
            error = position.error
            if error is not None and error.type != RunCancelled.__name__:
                return False, None, recorded_failure(error)
            reason = position.reason
        return True, reason, RunCancelled(reason)

    async def _write_anew(self, run: Run, step: Step) -> None:
        """Write down what is changed by taking it up."""
        position, now = self.record.position, _clock.timestamp()
        if self.how == "retry" or position.status is RunStatus.QUEUED:
            timeout = self.program.workflow.timeout
            position = replace(
                position,
                status=step.status,
                entered_at=now,
                due_at=position.due_at if step.patience is None else now + step.patience,
                deadline_at=None if timeout is None else now + timeout,
                ended_at=None,
                reason=step.reason,
                error=None,
            )
            run.started = run.clock()
        elif run.undoes:
            position = replace(position, ended_at=None)
        elif position.status not in {RunStatus.RUNNING, RunStatus.WAITING}:
            position = replace(position, status=step.status, reason=step.reason)
        writing = run.journal
        if isinstance(writing, RunJournal) and (self._is_old() or position != self.record.position):
            seq = position.seq
            cursors = [replace(row, body=writing.places[row.part]) for row in self.stored.cursors if row.seq == seq]
            outcomes = [
                replace(row, body=self._outcome(row.part, row.body)) for row in self.stored.outcomes if self._is_old()
            ]
            await writing.write_anew(position, cursors if self._is_old() else (), outcomes)


def is_transition(row: LogRow) -> bool:
    """Whether a row tells that a state was finished, and not only of a part of its work."""
    return row.kind == "finished" and not row.part and row.next is not None
