"""How the branches of a split run at once and are joined: one verdict, given as soon as it is certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, final

import trio
from msgspec import Raw
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from .._define.branch_results import BranchResults
from .._define.join_rule import JoinRule
from .._errors import JournalError, SplitFailed
from .._journal.codec import Codec
from .._observe.events import BranchEnded, BranchStarted
from .._resilience.waits import Waits
from .attempt import attempt
from .kept import Came, encode, read_came, recorded_failure, stored_error
from .parting import bared, parted
from .rollback import entry_of, undo_branches
from .run import Run
from .unit import Unit

BRANCH = "/b:"
"""What the part of a branch begins with."""


class Branch(NamedTuple):
    """One branch, ready to be attempted."""

    name: str
    unit: Unit
    args: tuple[object, ...]
    part: str
    codec: Codec[Any]
    undoable: bool = False


def take_outcome(
    name: str, body: bytes, codec: Codec[Any], successes: dict[str, Any], failures: dict[str, BaseException]
) -> None:
    """Take in what a branch came to in a process that is gone."""
    came = read_came(body)
    if came.error is None:
        successes[name] = codec.unpack_all(bytes(came.value))
    else:
        failures[name] = recorded_failure(came.error)


def results_of(
    names: Sequence[str], outcomes: Mapping[str, bytes], codecs: Mapping[str, Codec[Any]]
) -> BranchResults[Any]:
    """What branches came to in a process that is gone."""
    successes: dict[str, Any] = {}
    failures: dict[str, BaseException] = {}
    for name in names:
        if body := outcomes.get(f"{BRANCH}{name}"):
            take_outcome(name, body, codecs[name], successes, failures)
    return BranchResults(successes, failures, names=names)


@final
class Join:
    """The branches of one split while they run, and what they have come to.

    Args:
        run: the run whose state it is.
        task: the split's name.
        branches: the branches.
        rule: when they have come to enough.
    """

    __slots__ = (
        "branches",
        "enough",
        "failures",
        "hopeless",
        "nursery",
        "passing",
        "queued",
        "rule",
        "run",
        "settled",
        "successes",
        "task",
        "todo",
    )

    def __init__(self, run: Run, task: str, branches: Sequence[Branch], rule: JoinRule) -> None:
        self.run = run
        self.task = task
        self.branches = branches
        self.rule = rule
        self.successes: dict[str, Any] = {}
        self.failures: dict[str, BaseException] = {}
        self.todo: Iterator[Branch] = iter(self._left_over() if run.journal.outcomes else branches)
        self.queued = False
        """There are branches that wait for others to end."""
        self.enough, self.hopeless = rule.limits(len(branches))
        self.settled = self._is_certain()
        self.passing: BaseException | None = None
        """What leaves the state as it is: no `Exception`, or a mistake in the workflow."""

    def _left_over(self) -> list[Branch]:
        """The branches that have not finished in a process that is gone; what the others came to is known."""
        left: list[Branch] = []
        for branch in self.branches:
            if (body := self.run.journal.outcomes.get(branch.part)) is None:
                left.append(branch)
            else:
                take_outcome(branch.name, body, branch.codec, self.successes, self.failures)
        return left

    async def results(self, timeout: float | None, bulkhead: int | None) -> BranchResults[Any]:
        """Run the branches until the verdict; those that it cuts off have stopped before it is told.

        Args:
            timeout: seconds after which it is judged by what has finished.
            bulkhead: how many branches at once.

        Raises:
            SplitFailed: they have not come to enough.
        """
        if self.settled or not self.branches:
            await checkpoint()
            return await self._verdict(None)
        try:
            with Waits(self._told):
                async with trio.open_nursery() as self.nursery:
                    # The nursery's own scope has the deadline and takes the verdict's cancel: a second one would cost as much
                    # as a branch, and what ended it is read from what has finished.
                    if timeout is not None:
                        self.nursery.cancel_scope.deadline = trio.current_time() + timeout
                    self._begin(len(self.branches) if bulkhead is None else bulkhead)
                    self.queued = bulkhead is not None
        except BaseExceptionGroup as group:
            self.passing = self.passing or bared(group)
            raise
        finally:
            if self.passing is not None:  # also instead of a cancel from outside, which must not hide it
                raise self._let_go()
        late = not self.settled and self._finished() < len(self.branches)
        return await self._verdict(timeout if late else None)

    def _told(self) -> str:
        return f"branches, {self._finished()} of {len(self.branches)} finished"

    async def _verdict(self, timed_out: float | None) -> BranchResults[Any]:
        results = self._judged(timed_out)
        if any(branch.undoable for branch in self.branches):
            await undo_branches(self.run, {branch.part for branch in self.branches if branch.name in self.successes})
        return results

    def _judged(self, timed_out: float | None) -> BranchResults[Any]:
        total = len(self.branches)
        met = self.rule.is_met(total, len(self.successes), self._finished())
        # Taken out of this object, which the frames of the failures hold: else they would hold themselves.
        failures, self.failures = self.failures, {}
        results = BranchResults(self.successes, failures, names=[branch.name for branch in self.branches])
        if met:
            return results
        raise SplitFailed(
            self.task,
            self.rule.text(total),
            results=results,
            successes=self.successes,
            failures=failures,
            missing=results.missing,
            timeout=timed_out,
        ) from next(iter(failures.values()), None)

    def _begin(self, count: int) -> None:
        """Begin the next so many branches, each as a task: at the bulkhead, one that is over begins the next."""
        start = self.nursery.start_soon
        for branch in islice(self.todo, count):
            start(self._branch, branch, name=branch.unit.label)

    async def _branch(self, branch: Branch) -> None:
        await checkpoint_if_cancelled()  # begun in the moment in which all were cut off, it must do nothing
        run = self.run
        name, unit, args, part, _, undoable = branch
        if run.observers:
            run.tell(BranchStarted, self.task, name)
        try:
            if run.durable:
                await run.may_begin()
            value = await attempt(run, unit, args, part, [1])
            late = undoable and self._is_late()
            if run.durable:
                await self._keep(branch, value, late=late)
        except BaseException as error:
            if run.durable:
                error = await self._kept_failure(branch, error)
            self._leave(name, error)
        else:
            if late:
                # Held, it has come after the verdict: it is undone before the run goes on.
                self._tell_end(name, "cancelled", None)
                return
            self.successes[name] = value  # here a success becomes a fact
            self._go_on(name, None)

    def _is_late(self) -> bool:
        """Whether the verdict came first; where all are cut off by what passes, it has not come."""
        scope = self.nursery.cancel_scope
        return scope.cancel_called and self.passing is None and (self.settled or trio.current_time() >= scope.deadline)

    async def _keep(self, branch: Branch, value: object, *, late: bool) -> None:
        """Write down what a branch has done; one that comes after the verdict has come to nothing, but may be undone."""
        run = self.run
        entry = entry_of(run, branch.part) if branch.undoable else None
        outcomes: tuple[tuple[str, bytes], ...] = ()
        try:
            if not late:
                outcomes = ((branch.part, encode(Came(value=Raw(branch.codec.pack(value))))),)
        finally:  # what can't be written down was done all the same
            await run.journal.keep_outcomes(outcomes, entry)

    async def _kept_failure(self, branch: Branch, error: BaseException) -> BaseException:
        """Write down what a branch failed with; gives what it leaves with."""
        rest = parted(error)[1]
        if isinstance(rest, Exception) and rest is not self.run.mistake:
            try:
                await self.run.journal.keep_outcomes(((branch.part, encode(Came(error=stored_error(rest)))),))
            except JournalError as broken:
                return broken
        return error

    def _go_on(self, name: str, error: Exception | None) -> None:
        """A branch has finished: tell of it, and end them all if the verdict is certain, or begin the next."""
        if self.run.observers:
            self._tell_end(name, "succeeded" if error is None else "failed", error)
            self.run.report_progress(self._finished(), len(self.branches))
        if self._is_certain():
            self._settle()
        elif self.queued:
            self._begin(1)

    def _tell_end(self, name: str, result: str, error: Exception | None) -> None:
        if self.run.observers:
            self.run.tell(BranchEnded, self.task, name, result, error)

    def _settle(self) -> None:
        if not self.settled:
            self.settled = True
            if self._finished() < len(self.branches):
                self.nursery.cancel_scope.cancel(f"the verdict on {self.task} is certain")

    def _finished(self) -> int:
        return len(self.successes) + len(self.failures)

    def _is_certain(self) -> bool:
        return len(self.successes) >= self.enough or len(self.failures) >= self.hopeless

    def _let_go(self) -> BaseException:
        """What passes, which is kept no longer: it holds frames by its traceback, and they this object."""
        passing, self.passing = self.passing, None
        assert passing is not None  # noqa: S101  (who asks has looked)
        return passing

    def _leave(self, name: str, error: BaseException) -> None:
        """A branch has failed, was cut off, or raised what passes; or more of these: its own nursery may have put them in a group.

        Only the cancel may leave by our nursery, which puts whatever else passes it in a group of its own.
        """
        cancel, rest = parted(error)
        if isinstance(rest, Exception) and rest is not self.run.mistake:
            self.failures[name] = rest  # here a failure becomes a fact, even if nobody waits for it any more
            self._go_on(name, rest)
        else:
            self._tell_end(name, "cancelled", None)
            if rest is not None:
                self._pass(rest)
        if cancel is not None:
            raise cancel

    def _pass(self, error: BaseException) -> None:
        """End them all by what is no branch's own affair."""
        self.passing = self.passing or error
        self.settled = True
        self.nursery.cancel_scope.cancel(f"{type(error).__name__} passes through {self.task}")
