"""What is written down of one state of a run: what it began with, and what it came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias, final

import attrs
import msgspec

from .._define.blueprint import Plan
from .._define.messages import message_types
from .._define.method import Want
from .._define.receive import RECEIVE
from .._engine.facts import was_cancelled
from .._engine.reading import is_transition
from .._journal.codec import JsonCodec
from .._journal.requests import is_request
from .._journal.rows import LogRow, StoredError, StoredRun
from .._observe.status import RunStatus
from .._runtime.workflow import Workflow
from .refusal import Refused

Plain: TypeAlias = Any
"""What JSON can say, in plain values."""

_FAILED = {RunStatus.FAILED, RunStatus.ROLLING_BACK, RunStatus.ROLLED_BACK, RunStatus.ROLLBACK_FAILED}


@final
@attrs.frozen(kw_only=True)
class RecordedState:
    """A state of a run, as it is written down.

    Args:
        run_id: the run.
        state: the state.
        seq: how many states came before it.
        visit: how often the run had been there.
        data: the run's data when it came there.
        version: the workflow's version that wrote this, where it is not today's.
        cursors: how far the state had come, by part.
        outcomes: what its branches or items had come to, by part.
        joined: those of the split before it, which it joins.
        messages: what it heard, or has in its inbox: the class's name and the values.
        led_here_by: the failure by which an ``on_error`` led here.
        ended: it is known what it came to.
        next_state: where it led; None if it failed.
        after: the run's data after it.
        failure: what it failed with.
    """

    run_id: str
    state: Enum
    seq: int
    visit: int
    data: Plain
    version: int | None = None
    cursors: Mapping[str, Plain] = attrs.Factory(dict)
    outcomes: Mapping[str, Plain] = attrs.Factory(dict)
    joined: Mapping[str, Plain] = attrs.Factory(dict)
    messages: tuple[tuple[str, Plain], ...] = ()
    led_here_by: tuple[str, str] | None = None
    ended: bool = False
    next_state: Enum | None = None
    after: Plain = None
    failure: tuple[str, str] | None = None


@final
class Records:
    """The rows of a run, from which single states are read.

    Args:
        workflow: its workflow.
        stored: the run.
        history: its finished states.
    """

    def __init__(self, workflow: Workflow[Any, Any], stored: StoredRun, history: Sequence[LogRow]) -> None:
        self._workflow = workflow
        self._stored = stored
        self._position = stored.record.position
        self._rows = [row for row in history if is_transition(row)]
        self._undone = [row for row in history if row.kind == "undone"]

    @property
    def seen(self) -> list[str]:
        """The names of the states that can be read, in the order of the run."""
        names = [row.state for row in self._rows]
        present = self._workflow.state_named(self._position.state)
        return list(dict.fromkeys([*names, self._position.state] if present in self._plans else names))

    @property
    def _plans(self) -> Mapping[Any, Plan[Any]]:
        return self._workflow.blueprint()

    def of(self, state: Enum, data: Plain = None) -> RecordedState:
        """The last visit of a state.

        Args:
            state: the state.
            data: what data the run came there with, where that is not written down.

        Raises:
            Refused: the run was never there; or something that the state needs is not kept.
        """
        if self._workflow.state_named(self._position.state) is state:
            return self._present(state, data)
        rows = [row for row in self._rows if self._workflow.state_named(row.state) is state]
        if not rows:
            raise Refused(
                f"run {self._stored.record.run_id!r} has not finished {state.name}, or only as a router, which leaves nothing "
                f"written: it has {', '.join(self.seen) or 'nothing'}"
            )
        return self._finished(state, rows[-1], data)

    def _finished(self, state: Enum, row: LogRow, data: Plain) -> RecordedState:
        if any(parameter.want is Want.RESULTS for parameter in _parameters(self._plans[state])):
            raise Refused(
                f"{state.name} joins branches, and what they came to is kept only until it is finished: it can't be carried "
                "out again"
            )
        before = self._data_at(row.seq, data)
        return RecordedState(
            **self._where(state, row.seq, row.version),
            data=before,
            messages=self._heard(state, row),
            ended=True,
            next_state=self._workflow.state_named(row.next or ""),
            after=before if row.data is None else _decoded(row.data),
            failure=_told(row.error),
        )

    def _present(self, state: Enum, data: Plain) -> RecordedState:
        """The state that the run is in."""
        stored, seq = self._stored, self._position.seq
        error = self._position.error
        failed = self._position.status in _FAILED and error is not None and not was_cancelled(self._position)
        letters = [one.letter for one in stored.messages if not is_request(one.letter)]
        if not letters and _waits_for_ever(self._plans.get(state)):
            raise Refused(f"{state.name} waits for a message, and none has come: send one first")
        before = self._data_at(seq, data)
        return RecordedState(
            **self._where(state, seq, stored.record.version),
            data=before,
            cursors={one.part: _decoded(one.body) for one in stored.cursors if one.seq == seq},
            outcomes={one.part: _decoded(one.body) for one in stored.outcomes if one.seq == seq},
            joined={one.part: _decoded(one.body) for one in stored.outcomes if one.seq == seq - 1},
            messages=tuple((letter.kind, _decoded(letter.body)) for letter in letters),
            ended=failed,
            after=before,
            failure=_told(error) if failed else None,
        )

    def _where(self, state: Enum, seq: int, version: int) -> dict[str, Any]:
        """What is known of any visit."""
        earlier = [row for row in self._rows if row.seq < seq]
        visits = sum(self._workflow.state_named(row.state) is state for row in earlier)
        cut = sum(count for name, count in self._stored.visits.items() if self._workflow.state_named(name) is state)
        return {
            "run_id": self._stored.record.run_id,
            "state": state,
            "seq": seq,
            "visit": visits + cut + 1,
            "version": None if version == self._workflow.version else version,
            "led_here_by": next((_told(row.error) for row in earlier if row.seq == seq - 1), None),
        }

    def _data_at(self, seq: int, given: Plain) -> Plain:
        """The run's data when it came to a state."""
        if self._workflow.data is None:
            return None
        if given is not None:
            return given
        written = [row.data for row in self._rows if row.seq < seq and row.data is not None]
        at_present = seq == self._position.seq and not any(row.data for row in self._undone)
        if at_present or not any(row.data for row in (*self._rows, *self._undone)):
            return _decoded(self._stored.data)
        if written:
            return _decoded(written[-1])
        raise Refused(
            "what data the run began with is not kept after a state has changed them: say --data JSON, or take a later state"
        )

    def _heard(self, state: Enum, row: LogRow) -> tuple[tuple[str, Plain], ...]:
        """The messages that a finished state has used up; of what classes they are, only their values tell."""
        if row.messages is None:
            return ()
        kinds = message_types(self._plans[state].methods)
        whole = _decoded(row.messages)
        if kind := _kind_of(whole, kinds):
            return ((kind, whole),)
        parts = [(_kind_of(part, kinds), part) for part in (whole if isinstance(whole, list) else [])]
        if not parts or not all(kind for kind, _ in parts):
            raise Refused(f"the message that {state.name} heard is none that it takes today")
        return tuple((kind or "", part) for kind, part in parts)


def _waits_for_ever(plan: Plan[Any] | None) -> bool:
    return plan is not None and plan.node.model is RECEIVE and plan.node.knobs["timeout"] is None


def _parameters(plan: Plan[Any]) -> Iterable[Any]:
    return (parameter for method in plan.methods.values() for parameter in method.parameters)


def _kind_of(plain: Plain, kinds: Iterable[type]) -> str | None:
    """The name of the class whose values these are: that which loses none of them."""
    return next((kind.__name__ for kind in kinds if _fits(plain, kind)), None)


def _fits(plain: Plain, kind: type) -> bool:
    codec: JsonCodec[Any] = JsonCodec(kind)
    try:
        return bool(_decoded(codec.pack(codec.unpack(msgspec.json.encode(plain)))) == plain)
    except Exception:  # whatever the class says of values that are not its own
        return False


def _told(error: StoredError | None) -> tuple[str, str] | None:
    return None if error is None else (error.type, error.message)


def _decoded(body: bytes) -> Plain:
    return msgspec.json.decode(body)
