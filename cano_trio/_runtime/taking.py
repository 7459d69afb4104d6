"""Taking a run of the journal up: it is claimed, what it has of its own is set up, and then it goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, final

import trio
from msgspec.structs import replace

from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._engine.reading import Reading
from .._engine.resume import How, Revival, revive
from .._engine.run import Run as EngineRun
from .._engine.writing import claimed
from .._errors import RunBlocked
from .._journal.claiming import TAKEN_UP
from .._journal.protocol import Journal
from .._journal.requests import CANCEL, reason_of, requested, requests_met
from .._journal.rows import Commit, Position, StoredRun
from .._observe.observer import Observer
from .._observe.status import RunStatus
from .actor import Actor

BY_ITSELF: Final = TAKEN_UP
"""How a run stands that is taken up though nobody asks for it."""

ASKED_FOR: Final[dict[How, Collection[RunStatus]]] = {
    "resume": {*TAKEN_UP, RunStatus.PAUSED, RunStatus.BLOCKED},
    "cancel": {*TAKEN_UP, RunStatus.PAUSED, RunStatus.BLOCKED},
    "retry": {RunStatus.FAILED, RunStatus.BLOCKED},
    "roll_back": {RunStatus.FAILED, RunStatus.ROLLBACK_FAILED},
}
"""How a run stands with which something can be done that somebody asks for."""


@final
class Taking:
    """One run that is taken up.

    Args:
        actor: the run.
        program: its workflow, as it is run here.
        journal: where it is written down.
        how: what it is taken up for.
        reason: why it is cancelled.
        only_if: how it has to stand still when it is claimed: another process may have done something with it meanwhile.
        done: is called when it is claimed, or can't be.
    """

    __slots__ = ("_actor", "_done", "_journal", "_only_if", "_program", "_stored", "how", "reason")

    def __init__(
        self,
        actor: Actor,
        program: Program,
        journal: Journal,
        how: How = "resume",
        reason: str | None = None,
        only_if: Collection[RunStatus] | None = None,
        done: Callable[[], object] | None = None,
    ) -> None:
        self._actor = actor
        self._program = program
        self._journal = journal
        self.how: How = how
        self.reason = reason
        self._only_if = ASKED_FOR[how] if only_if is None else only_if
        self._done = done
        self._stored: StoredRun | None = None

    async def claim(self) -> bool:
        """Claim it; tells whether it is to be gone on with here. It is not interrupted: what is claimed must not be forgotten."""
        actor = self._actor
        try:
            with trio.CancelScope(shield=True):
                stored = await claimed(self._journal, actor.run_id)
        finally:
            if self._done is not None:
                self._done()
        if stored is None:
            return False
        self._stored = stored
        record = stored.record
        actor.labels, actor.priority, actor.crashes = record.labels, record.priority, record.crashes
        self._place(stored, record.position)
        position, met = self._stays(stored)
        if position is not None:
            await self._give_back(stored, position, met)
        return position is None

    def _stays(self, stored: StoredRun) -> tuple[Position | None, Sequence[int]]:
        """Where it stays, if it is not to be gone on with, and the numbers of the requests that this meets."""
        position, asked = stored.record.position, requested(stored.messages)
        if position.status not in self._only_if:
            return position, ()
        if asked is None or self.how != "resume":
            return None, ()
        if asked.letter.kind == CANCEL:
            self.how, self.reason = "cancel", reason_of(asked)
            return None, ()
        # One that is held already is claimed by who wants it to go on; one that is undone can't be held.
        if position.status in {RunStatus.PAUSED, RunStatus.ROLLING_BACK}:
            return None, ()
        held = replace(position, status=RunStatus.PAUSED, reason=reason_of(asked))
        return held, requests_met(stored.messages, cancelled=False)

    async def revived(self, resources: Resources, observers: Sequence[Observer]) -> EngineRun:
        """It, ready to go on.

        Raises:
            RunBlocked: this code can't go on with it.
        """
        stored = self._stored
        assert stored is not None  # noqa: S101  (it was claimed)
        try:
            with trio.CancelScope(shield=True):
                run = await revive(
                    self._program, self._journal, stored, how=self.how, resources=resources, observers=observers,
                    reason=self.reason,
                )  # fmt: skip
        except RunBlocked as error:
            self._note_block(stored, error)
            raise
        return run

    async def not_set_up(self, error: BaseException) -> BaseException:
        """Give it back, because what it has of its own could not be set up; gives what is to be raised.

        Args:
            error: why not; if that is no failure, but a cancel, whoever claims it next may try.
        """
        with trio.CancelScope(shield=True):
            stored = self._stored or await self._journal.load(self._actor.run_id)
            if not isinstance(error, Exception):
                await self._give_back(stored, stored.record.position)
                return error
            obstacle = RunBlocked(stored.record.run_id, "resources", f"{type(error).__name__}: {error}")
            await Revival(self._program, self._journal, stored, self.how).block(obstacle)
        self._note_block(stored, obstacle)
        obstacle.__cause__ = error
        return obstacle

    async def _give_back(self, stored: StoredRun, position: Position, consumed: Sequence[int] = ()) -> None:
        record = stored.record
        commit = Commit(
            run_id=record.run_id, fence=record.fence, position=position, consumed=tuple(consumed), release=True
        )
        with trio.CancelScope(shield=True):
            await self._journal.commit(commit)
        self._place(stored, position)

    def _place(self, stored: StoredRun, position: Position) -> None:
        self._actor.place(position, partial(Reading(self._program, stored.record).unpacked, stored.data))

    def _note_block(self, stored: StoredRun, error: RunBlocked) -> None:
        position = replace(stored.record.position, status=RunStatus.BLOCKED, reason=f"{error.reason}: {error.message}")
        self._place(stored, position)
