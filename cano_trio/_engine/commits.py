"""The commits of a run: each is made from the last that was acknowledged, with all that happens together with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from typing_extensions import override

from .._errors import JournalError
from .._journal.protocol import Journal
from .._journal.rows import Commit, Fence, Position, RunRecord
from .._observe.events import Committed
from .run import Run
from .unwritten import Unwritten
from .writing import REFUSALS, committed, patiently


class Commits(Unwritten):
    """What was last written down of a run, and what waits to be written together with its next commit.

    Args:
        journal: where it is written down.
        run: the run.
        version: its workflow's version, which is told of everything that is written.
    """

    __slots__ = (
        "_along",
        "_committed",
        "_ended",
        "_write",
        "broken",
        "consumed",
        "ending",
        "fence",
        "inside",
        "journal",
        "position",
        "run",
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
        self._committed: Any = run.packed
        """The data as they were last written."""
        self.inside = run.parent is not None
        self._write = partial(committed, journal)
        self.consumed: list[int] = []
        """The numbers of the messages that leave the inbox with the next commit."""
        self._along: list[Commit] = []
        """What happens to other runs together with the next commit."""
        self._ended: list[Commits] = []
        """The children whose end is written together with this run's next transition."""
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
        self._committed = committed
        self.ending = None

    def new_data(self) -> bytes | None:
        """The run's packed data, if they are not those that were last written."""
        packed = self.run.packed
        if packed is self._committed or packed == self._committed:
            return None
        return b"" if packed is None else packed

    # -- what happens together with the next commit

    @override
    def consume(self, numbers: Iterable[int]) -> None:
        self._root().consumed += numbers  # the inbox is that of the outermost run

    @override
    def add_end(self, child: Unwritten) -> None:
        if isinstance(child, Commits) and child.ending is not None:
            self._ended.append(child)

    @override
    def add_release(self, child: Unwritten) -> None:
        self._along += child.release_inside()

    @override
    def release_inside(self) -> Sequence[Commit]:
        if self.broken is not None or self.fence is None:
            return ()
        self.forget_attempt()
        return (self.made(self.position, alone=True, release=True),)

    def forget_attempt(self) -> None:
        """Let go of what the attempt in flight has done; and have a child released, too, that is or was at work for it."""
        self.run.packed = self._committed
        self.run.outbox = None
        self.consumed = []
        self.ending = None
        children = [child.run for child in self._ended]
        self._ended = []
        if self.run.child is not None and self.run.child not in children:
            children.append(self.run.child)
        for child in children:
            self.add_release(child.journal)

    def end_inside(self, position: Position, **parts: Any) -> None:
        """Have the run that has started this one write down its end."""
        self.ending = self.made(position, release=True, alone=True, **parts)
        self.run.outbox = None

    @override
    def break_off(self, error: JournalError) -> None:
        self.broken = self.broken or error

    # -- the commit

    async def commit(self, position: Position, **parts: Any) -> None:
        """Write a commit.

        Args:
            position: where the run stands afterwards.
            parts: what else is in the commit.

        Raises:
            JournalError: nothing of it is written; the run stops in place, unless the state itself is to blame.
        """
        commit = self.made(position, **parts)
        try:
            await patiently(self.run, self._write, commit)
        except REFUSALS:
            # What asked for it is to blame: the state has failed.
            self.run.packed = self._committed
            self.run.outbox = None
            self._root().consumed = []
            raise
        root = self._root_with_news()
        if root is not None:
            root.note(root.position)
        self.note(position)
        run = self.run
        if run.observers:
            run.tell(Committed, commit.fence.rev + 1)

    def made(self, position: Position, *, alone: bool = False, **parts: Any) -> Commit:
        """A commit of all that has come together; one that is not written `alone` lets messages go from the outermost run's inbox."""
        outbox = self.run.outbox
        if outbox is not None:
            parts["statements"] = tuple(outbox.statements)
            parts["sends"] = tuple(outbox.sends)
            parts["starts"] = (*parts.get("starts", ()), *outbox.starts)
        along = [*self._along, *(child.ending for child in self._ended if child.ending is not None)]
        root = None if alone else self._root_with_news()
        if root is not None:
            along.append(root.made(root.position))
        assert self.fence is not None  # noqa: S101  (whoever writes has begun or claimed the run)
        return Commit(
            run_id=self.run.key,
            fence=self.fence,
            position=position,
            data=self.new_data(),
            consumed=tuple(self.consumed),
            along=tuple(along),
            **parts,
        )

    def note(self, position: Position) -> None:
        """Take note of what was written."""
        fence = self.fence
        assert fence is not None  # noqa: S101  (it has just been shown)
        self.fence = Fence(fence.run, fence.owner, fence.epoch, fence.rev + 1)
        self.position = position
        self._committed = self.run.packed
        self._along = []
        for child in self._ended:
            child.fence = None  # it is written down as given back
        self._ended = []
        self.consumed = []
        self.run.outbox = None

    def _root(self) -> Commits:
        """The commits of the outermost run."""
        run = self.run
        while run.parent is not None:
            run = run.parent
        assert isinstance(run.journal, Commits)  # noqa: S101  (a durable run stands in a durable one)
        return run.journal

    def _root_with_news(self) -> Commits | None:
        """Those of the outermost run, if that is another and has messages to let go."""
        if not self.inside:
            return None
        root = self._root()
        return root if root.consumed else None
