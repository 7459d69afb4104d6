"""The commits of a run: each is made from the last that was acknowledged, with all that happens together with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, final

import trio
from msgspec.structs import replace
from typing_extensions import override

from .._errors import JournalError
from .._journal.protocol import Journal
from .._journal.rows import Commit, Cursor, Fence, LogRow, Position, RunRecord
from .._observe.events import Committed
from .kept import NULL, Place, encode
from .rollback import Entry
from .run import Run
from .unwritten import Unwritten
from .writing import REFUSALS, Failure, carried_through, committed, patiently


@final
class Together:
    """What happens together with a run's next commit; there is one when something does."""

    __slots__ = ("along", "consumed", "ended")

    def __init__(self) -> None:
        self.consumed: list[int] = []
        """The numbers of the messages that leave the inbox."""
        self.along: list[Commit] = []
        """What happens to other runs."""
        self.ended: list[Commits] = []
        """The children that have ended."""

    def added_to(self, commit: Commit) -> Commit:
        """A commit with all of it."""
        ends = [child.ending for child in self.ended if child.ending is not None]
        return replace(commit, consumed=tuple(self.consumed), along=(*self.along, *ends))


class Commits(Unwritten):
    """What was last written down of a run, and what waits to be written together with its next commit.

    Args:
        journal: where it is written down.
        run: the run.
        version: its workflow's version, which is told of everything that is written.
    """

    __slots__ = (
        "broken",
        "committed",
        "ending",
        "fence",
        "inside",
        "journal",
        "outcomes",
        "places",
        "position",
        "rewritten",
        "run",
        "stale",
        "together",
        "version",
    )  # fmt: skip

    durable = True

    def __init__(self, journal: Journal, run: Run, version: int) -> None:
        self.journal = journal
        self.run = run
        self.version = version
        self.broken: JournalError | None = None
        self.position: Position
        """As it was last written."""
        self.fence: Fence | None = None
        self.committed: Any = run.packed
        """The data as they were last written."""
        self.rewritten: bool | None = False
        """The state it is in has had its data written before it is finished; None if that was in an earlier process, if ever."""
        self.inside = run.parent is not None
        self.places: dict[str, bytes] = {}
        self.outcomes: dict[str, bytes] = {}
        self.stale = False
        """There are places or outcomes of earlier visits."""
        self.together: Together | None = None
        self.ending: Commit | None = None
        """Of a child: its end, as the run that started it writes it down."""

    def take_up(self, record: RunRecord, committed: Any) -> None:
        """Go on from what was read.

        Args:
            record: the run's record, of a run that was claimed.
            committed: its packed data; None if they are to be written again.
        """
        self.fence = record.fence
        self.position = record.position
        self.committed = committed
        self.rewritten = None
        self.ending = None

    def new_data(self) -> bytes | None:
        """The run's packed data, if they are not those that were last written."""
        packed = self.run.packed
        if packed is self.committed or packed == self.committed:
            return None
        return b"" if packed is None else packed

    def left_data(self) -> bytes | None:
        """The run's packed data, if they are not those with which it came into its state."""
        packed = self.run.packed
        # In a state that was begun by another process, whose work was written in parts, they may have changed with any part.
        if packed is not None and (self.rewritten or (self.rewritten is None and self.places)):
            return bytes(packed)
        return None if packed is self.committed else self.new_data()

    # -- what happens together with the next commit

    def company(self) -> Together:
        """What happens together with the next commit, to add to it."""
        if self.together is None:
            self.together = Together()
        return self.together

    @override
    def consume(self, numbers: Iterable[int]) -> None:
        self._root().company().consumed += numbers  # the inbox is that of the outermost run

    @override
    def add_end(self, child: Unwritten) -> None:
        if not isinstance(child, Commits):
            return
        if child.ending is not None:
            self.company().ended.append(child)
        elif child.fence is not None and child.position.status.ended:  # it had ended before
            self.add_release(child)

    @override
    def add_release(self, child: Unwritten) -> None:
        if released := child.release_inside():
            self.company().along += released

    @override
    def release_inside(self) -> Sequence[Commit]:
        if self.broken is not None or self.fence is None:
            return ()
        self.forget_attempt()
        return (self.left_at(self.position, alone=True),)

    def left_at(self, position: Position, *, alone: bool = False) -> Commit:
        """The commit by which it is given back, with how far the wait has come that it is let go at.

        Args:
            position: where the run stands.
            alone: as in `made`.
        """
        commit, seq, wait = self.made(position, release=True, alone=alone), self.run.seq, self.run.parked
        if wait is None or wait.turn is None or wait.seq != seq or self.run.child is not None:
            return commit
        return replace(commit, cursors=(Cursor(seq, "", encode(Place(wait.turn, NULL))),))

    def forget_attempt(self) -> None:
        """Let go of what the attempt in flight has done; and have a child released, too, that is or was at work for it."""
        self.run.packed = self.committed
        self.run.outbox = None
        self.ending = None
        children: list[Run] = []
        if (together := self.together) is not None:
            children += [child.run for child in together.ended]
            together.consumed, together.ended = [], []
        if self.run.child is not None and self.run.child not in children:
            children.append(self.run.child)
        for child in children:
            self.add_release(child.journal)

    def end_inside(self, commit: Commit, begun: Iterable[Entry]) -> None:
        """Have the run that has started this one write down its end.

        Args:
            commit: its last commit.
            begun: the pieces of work of which it tells.
        """
        self.ending = commit
        self.run.outbox = None
        for entry in begun:
            entry.written = True

    @override
    def break_off(self, error: JournalError) -> None:
        self.broken = self.broken or error

    # -- the commit

    @property
    @override
    def is_held(self) -> bool:
        return self.fence is not None and self.journal.holds(self.fence.owner)

    async def show_fence(self) -> None:
        """Write a commit of nothing but the fence: nothing that has come together yet.

        Raises:
            JournalError: the fence does not hold any more, or nothing can be written: the run stops in place.
        """
        fence = self.fence
        assert fence is not None  # noqa: S101  (whoever writes has begun or claimed the run)
        commit = Commit(run_id=self.run.key, fence=fence, position=self.position)
        await patiently(self.run, partial(committed, self.journal), commit)
        self.fence = Fence(fence.run, fence.owner, fence.epoch, fence.rev + 1)

    async def commit(self, commit: Commit, begun: Iterable[Entry] = ()) -> None:
        """Write a commit that was just made.

        Args:
            commit: the commit.
            begun: the pieces of work of which it tells.

        Raises:
            JournalError: nothing of it is written; the run stops in place, unless the state itself is to blame.
        """
        failure: Failure | None = None
        try:
            await self.journal.commit(commit)
        except (trio.Cancelled, JournalError) as error:
            failure = error
        if failure is not None:
            try:
                await carried_through(self.run, self.journal, commit, failure)
            except REFUSALS:
                self._take_back()
                raise
            finally:
                del failure  # it holds this frame by its traceback
        if self.inside and (root := self._root_with_news()) is not None:
            root.note(root.position)
        self.note(commit.position)
        for entry in begun:
            entry.written = True
        run = self.run
        if run.observers:
            run.tell(Committed, commit.fence.rev + 1)

    def _take_back(self) -> None:
        """Nothing of a commit was written, and what asked for it is to blame: the state has failed."""
        self.run.packed = self.committed
        self.run.outbox = None
        if (together := self._root().together) is not None:
            together.consumed = []

    def made(
        self, position: Position, log: tuple[LogRow, ...] = (), *, release: bool = False, alone: bool = False
    ) -> Commit:
        """A commit of all that has come together.

        Args:
            position: where the run stands afterwards.
            log: states that are finished.
            release: give the run back.
            alone: it does not let messages go from the inbox, which is that of the outermost run.
        """
        fence, run = self.fence, self.run
        packed, outbox = run.packed, run.outbox
        assert fence is not None  # noqa: S101  (whoever writes has begun or claimed the run)
        commit = Commit(
            run_id=run.key,
            fence=fence,
            position=position,
            data=None if packed is self.committed else self.new_data(),
            log=log,
            release=release,
        )
        if self.together is not None:
            commit = self.together.added_to(commit)
        if self.inside and not alone and (root := self._root_with_news()) is not None:
            commit = replace(commit, along=(*commit.along, root.made(root.position)))
        if outbox is not None and (outbox.statements or outbox.sends or outbox.starts):
            return replace(commit, statements=outbox.statements, sends=outbox.sends, starts=outbox.starts)
        return commit

    def note(self, position: Position) -> None:
        """Take note of what was written."""
        fence, run = self.fence, self.run
        assert fence is not None  # noqa: S101  (it has just been shown)
        self.fence = Fence(fence.run, fence.owner, fence.epoch, fence.rev + 1)
        if position.seq != self.position.seq:
            self.rewritten = False
            self.stale = run.joined is not None
            if self.places or self.outcomes:
                self.places, self.outcomes = {}, {}
        elif run.packed is not self.committed:
            self.rewritten = True
        self.position = position
        self.committed = run.packed
        run.outbox = None
        if self.together is not None:
            for child in self.together.ended:
                child.fence = None  # it is written down as given back
            self.together = None

    def _root(self) -> Commits:
        """The commits of the outermost run."""
        run = self.run
        while run.parent is not None:
            run = run.parent
        assert isinstance(run.journal, Commits)  # noqa: S101  (a durable run stands in a durable one)
        return run.journal

    def _root_with_news(self) -> Commits | None:
        """Those of the outermost run, if that is another and has messages to let go."""
        root = self._root()
        together = root.together
        return None if root is self or together is None or not together.consumed else root
