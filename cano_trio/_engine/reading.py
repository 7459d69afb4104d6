"""What was written down of a run, as today's code reads it: its states by their names, and bodies of an older version brought up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from .._errors import RunBlocked, VersionMismatch
from .._journal.defaults import completed
from .._journal.rows import LogRow, RunRecord
from .kept import Came, Chosen, Done, Place, encode, read_came, read_chosen, read_done, read_list, read_place
from .program import Program
from .step import Step


@final
class Reading:
    """A run's rows, to the workflow that is to go on with it.

    Args:
        program: the workflow, bound.
        record: the run.
    """

    def __init__(self, program: Program, record: RunRecord) -> None:
        self.program = program
        self.record = record

    # -- what it is of

    def check_version(self) -> None:
        """See that the workflow goes on with runs of that version.

        Raises:
            VersionMismatch: it does not.
        """
        stored, workflow = self.record.version, self.program.workflow
        if not workflow.accepts_version(stored):
            raise VersionMismatch(self.record.run_id, stored, workflow.version)

    def step(self, name: str) -> Step:
        """The step of a state, by its name now or before.

        Raises:
            RunBlocked: there is none.
        """
        workflow = self.program.workflow
        state = workflow.state_named(name)
        if state is None or (state not in workflow.exits and state not in workflow.blueprint()):
            raise self.blocked(
                "state",
                f"{workflow.states.__name__} has no state {name} with a task. If it was renamed, say so: "
                f'Workflow(..., aliases={{"{name}": {workflow.states.__name__}.…}}).',
            )
        return self.program.steps[state]

    def known(self, name: str) -> Step | None:
        """The step of a state, if it is still there."""
        state = self.program.workflow.state_named(name)
        return None if state is None else self.program.steps[state]

    def blocked(self, reason: str, message: str) -> RunBlocked:
        """That this code can't go on with it."""
        return RunBlocked(self.record.run_id, reason, message)

    # -- its bodies

    def read(self, kind: str, read: Callable[[], Any]) -> Any:
        """What reading something gives.

        Raises:
            RunBlocked: it can't be read.
        """
        try:
            return read()
        except RunBlocked:
            raise
        except Exception as error:
            raise self.blocked(
                "data",
                f"its {kind} can't be read by this code: {type(error).__name__}: {error}. "
                "If their type has changed, count the version up, and bring them up to date with Workflow(migrate=...).",
            ) from error

    @property
    def is_old(self) -> bool:
        """Whether an older version wrote it, and what that wrote is to be brought up to date."""
        workflow = self.program.workflow
        return self.record.version != workflow.version and workflow.migrate is not None

    def brought_up(self, kind: str, body: bytes, version: int | None = None) -> bytes:
        """A body as today's version would have written it.

        Args:
            kind: what it is.
            body: what was written.
            version: the version that wrote it; None for that of the run.

        Raises:
            RunBlocked: the workflow's `migrate` fails.
        """
        workflow = self.program.workflow
        version = self.record.version if version is None else version
        if version == workflow.version or workflow.migrate is None:
            return body
        migrate = workflow.migrate
        brought: bytes = self.read(kind, lambda: msgspec.json.encode(migrate(version, kind, msgspec.json.decode(body))))
        return brought

    def data(self, packed: bytes) -> bytes | None:
        """A run's packed data; None where its workflow has none."""
        return self.brought_up("data", packed) if packed else None

    def renewed_data(self, packed: bytes) -> bytes | None:
        """A run's packed data to go on with: what today's code has added to their type is in them.

        Raises:
            RunBlocked: they can't be read, or something in them would be lost.
        """
        data, codec = self.data(packed), self.program.codec
        renewed: bytes | None = data if codec is None else self.read("data", lambda: codec.renewed(data))
        return renewed

    def unpacked(self, packed: bytes) -> Any:
        """A run's data, as its tasks see them.

        Raises:
            RunBlocked: this code can't read them.
        """
        self.check_version()
        codec, body = self.program.codec, self.data(packed)
        return None if codec is None else self.read("data", lambda: completed(codec.unpack(body)))

    def place(self, step: Step, body: bytes) -> bytes:
        """How far the work of a state has come."""
        if not self.is_old or step.plan is None:
            return body
        match step.plan.node.model.name:
            case "batch":
                return encode([self._raw("items", one) for one in read_list(body)])
            case "split":
                chosen: Chosen = read_chosen(body)
                items = {name: self._raw("items", item) for name, item in chosen.items.items()}
                return encode(replace(chosen, items=items))
            case "poll":  # its backoff's, and nothing of the user's
                return body
            case _:
                place: Place = read_place(body)
                return encode(replace(place, cursor=self._raw("cursor", place.cursor)))

    def outcome(self, part: str, body: bytes) -> bytes:
        """What a part of a state's work came to."""
        if not self.is_old or not part:
            return body
        if part.startswith("/c:"):
            return encode(
                [Done(one.at, self._raw("outcome", one.output), one.attempts, one.elapsed) for one in read_done(body)]
            )
        came: Came = read_came(body)
        return encode(came if came.error is not None else Came(value=self._raw("outcome", came.value)))

    def _raw(self, kind: str, raw: Raw) -> Raw:
        return Raw(self.brought_up(kind, bytes(raw)))


def is_transition(row: LogRow) -> bool:
    """Whether a row tells that a state was finished, and not only of a part of its work."""
    return row.kind == "finished" and not row.part and row.next is not None
