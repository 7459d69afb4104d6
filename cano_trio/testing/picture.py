"""What of a workflow was met: the way of its runs, lit in its picture, and what no run has come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, final

import attrs

from .._define.graph import draw_lit
from .._observe.events import Event, RunResumed, StateEntered, TaskFailed, TaskSucceeded

Way = tuple[Enum, Enum]


@final
@attrs.frozen
class Met:
    """The states and edges that runs of a workflow have met.

    Args:
        states: the states they entered.
        edges: the ways they took from one state to the next.
    """

    states: set[Enum] = attrs.Factory(set)
    edges: set[Way] = attrs.Factory(set)

    def add(self, other: Met) -> None:
        """Take in what other runs have met."""
        self.states.update(other.states)
        self.edges.update(other.edges)


def met(events: Iterable[Event]) -> dict[str, Met]:
    """What was met, by the names of the workflows."""
    found: dict[str, Met] = {}
    latest: dict[tuple[str, str], Enum] = {}
    for event in events:
        one = found.setdefault(event.workflow, Met())
        place = (event.run_id, event.workflow)
        if isinstance(event, StateEntered):
            before = latest.get(place)
            if before is not None and before is not event.state:  # it was committed, and not told before the crash
                one.edges.add((before, event.state))
            one.states.add(event.state)
            latest[place] = event.state
        elif isinstance(event, RunResumed):
            one.states.add(event.state)
        elif isinstance(event, (TaskSucceeded, TaskFailed)) and event.next_state is not None:
            one.edges.add((event.state, event.next_state))
    return found


@final
@attrs.frozen(kw_only=True)
class Coverage:
    """What the runs of a workflow have met, and what they have not.

    Args:
        workflow: its name.
        states: the states that were entered, in the order of their definition.
        missing_states: the others.
        edges: the ways that were taken.
        missing_edges: those that were declared, and not taken; none of a workflow that is not watched.

    >>> from enum import Enum
    >>> Step = Enum("Step", "PAY DONE")
    >>> print(Coverage(
    ...     workflow="orders", states=(Step.PAY,), missing_states=(Step.DONE,), edges=(), missing_edges=((Step.PAY, Step.DONE),),
    ... ))
    orders: 1 of 2 states, 0 of 1 edges; never DONE, PAY -> DONE
    """

    workflow: str
    states: tuple[Enum, ...]
    missing_states: tuple[Enum, ...]
    edges: tuple[Way, ...]
    missing_edges: tuple[Way, ...]

    @classmethod
    def of(cls, name: str, workflow: Any, was: Met) -> Coverage:
        """What was met of a workflow, or of one of which nothing but its runs is known."""
        known = type(next(iter(was.states))) if workflow is None else workflow.states
        plans = {} if workflow is None else workflow.blueprint()
        order = {state: at for at, state in enumerate(known)}
        declared = {
            (state, edge.target): None for state, plan in plans.items() for edge in plan.edges if not edge.anywhere
        }
        there = [state for state in known if workflow is None or state in plans or state in workflow.exits]
        return cls(
            workflow=name,
            states=tuple(state for state in known if state in was.states),
            missing_states=tuple(state for state in there if state not in was.states),
            edges=tuple(sorted(was.edges, key=lambda way: (order[way[0]], order[way[1]]))),
            missing_edges=tuple(way for way in declared if way not in was.edges),
        )

    def __str__(self) -> str:
        states, edges = len(self.states), len(self.edges)
        line = f"{self.workflow}: {states} of {states + len(self.missing_states)} states, "
        line += f"{edges} of {edges + len(self.missing_edges)} edges"
        never = [state.name for state in self.missing_states]
        never += [f"{before.name} -> {after.name}" for before, after in self.missing_edges]
        return f"{line}; never {', '.join(never)}" if never else line


def pictures(workflows: Iterable[Any], events: Iterable[Event]) -> Iterator[str]:
    """The pictures of workflows, in which the ways that runs took are lit."""
    found = met(events)
    for workflow in workflows:
        if workflow.name in found:
            was = found[workflow.name]
            yield draw_lit(workflow, was.states, was.edges)
