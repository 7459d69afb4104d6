"""What the branches of a split came to, as the join state is given it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar, final

import outcome

Out_co = TypeVar("Out_co", covariant=True)


@final
class BranchResults(Mapping[str, outcome.Maybe[Out_co]], Generic[Out_co]):
    """What the branches of a split came to, by name: annotate a parameter of the join state's task with it.

    It holds the branches that have finished, well or badly, in the order in which the split names them, and is there until
    the join state is finished. A state that is entered otherwise than from a split gets an empty one.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import BranchResults, Split, Workflow
    >>> Step = Enum("Step", "ASK SUM DONE")
    >>> workflow = Workflow(Step, initial=Step.ASK, exits=[Step.DONE])
    >>> async def two() -> int:
    ...     return 2
    >>> async def three() -> int:
    ...     return 3
    >>> workflow.register_split(Step.ASK, Split.all({"left": two, "right": three}, Step.SUM))
    >>> @workflow.task(Step.SUM)
    ... async def add(results: BranchResults[int]) -> Literal[Step.DONE]:
    ...     print(results["left"], sum(results.successes.values()), results.failures, results.missing)
    ...     return Step.DONE
    >>> trio.run(workflow.orchestrate)
    Value(2) 5 {} ()
    <Step.DONE: 3>
    """

    __slots__ = ("_failures", "_names", "_successes")

    def __init__(
        self,
        successes: Mapping[str, Out_co] | None = None,
        failures: Mapping[str, BaseException] | None = None,
        *,
        names: Iterable[str] = (),
    ) -> None:
        """Make one, such as for the unit test of a join state's task.

        Args:
            successes: what the branches returned that succeeded.
            failures: what the others failed with.
            names: all branches, in order; if left out, those that finished are all.
        """
        self._successes: Mapping[str, Out_co] = {} if successes is None else successes
        self._failures: Mapping[str, BaseException] = {} if failures is None else failures
        self._names = tuple(names) or (*self._successes, *self._failures)

    @property
    def names(self) -> tuple[str, ...]:
        """All branches, in the split's order."""
        return self._names

    @property
    def successes(self) -> dict[str, Out_co]:
        """What the branches returned that succeeded, by name."""
        return {name: self._successes[name] for name in self._names if name in self._successes}

    @property
    def failures(self) -> dict[str, BaseException]:
        """What the branches raised that failed, by name."""
        return {name: self._failures[name] for name in self._names if name in self._failures}

    @property
    def missing(self) -> tuple[str, ...]:
        """The branches that did not finish: they were cut off, or never begun."""
        return tuple(name for name in self._names if name not in self)

    def __getitem__(self, name: str, /) -> outcome.Maybe[Out_co]:
        """What a branch came to."""
        if name in self._failures:
            return outcome.Error(self._failures[name])
        return outcome.Value(self._successes[name])

    def __contains__(self, name: object, /) -> bool:
        """Whether a branch has finished."""
        return name in self._successes or name in self._failures

    def __iter__(self) -> Iterator[str]:
        """The branches that have finished, in the split's order."""
        return (name for name in self._names if name in self)

    def __len__(self) -> int:
        """How many have finished."""
        return len(self._successes) + len(self._failures)

    def __repr__(self) -> str:
        """How many there are of which kind."""
        return f"<BranchResults of {len(self._names)}, {len(self._failures)} failed, {len(self.missing)} missing>"
