"""What the branches of a split came to, as the join state is given it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
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

    __slots__ = ("_names", "_outcomes")

    def __init__(self, outcomes: Mapping[str, outcome.Maybe[Out_co]], /, names: Collection[str] | None = None) -> None:
        self._outcomes = outcomes
        self._names = outcomes.keys() if names is None else names

    @property
    def successes(self) -> dict[str, Out_co]:
        """What the branches returned that succeeded, by name."""
        return {name: result.value for name, result in self.items() if isinstance(result, outcome.Value)}

    @property
    def failures(self) -> dict[str, BaseException]:
        """What the branches raised that failed, by name."""
        return {name: result.error for name, result in self.items() if isinstance(result, outcome.Error)}

    @property
    def missing(self) -> tuple[str, ...]:
        """The branches that did not finish: they were cut off, or never begun."""
        return tuple(name for name in self._names if name not in self._outcomes)

    def __getitem__(self, name: str, /) -> outcome.Maybe[Out_co]:
        """What a branch came to."""
        return self._outcomes[name]

    def __iter__(self) -> Iterator[str]:
        """The branches that have finished, in the split's order."""
        return (name for name in self._names if name in self._outcomes)

    def __len__(self) -> int:
        """How many have finished."""
        return len(self._outcomes)

    def __repr__(self) -> str:
        """How many there are of which kind."""
        return f"<BranchResults of {len(self._names)}, {len(self.failures)} failed, {len(self.missing)} missing>"
