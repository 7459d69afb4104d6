"""For any graph, the problems found are those that a plain model finds."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from cano_trio import Workflow

Step = Enum("Step", "A B C D E")
STATES = list(Step)


def leading(targets: list[Any]) -> Any:
    async def task() -> Any:
        raise NotImplementedError

    task.__annotations__["return"] = Literal.__getitem__(tuple(targets))
    return task


def closure(start: Any, tasks: dict[Any, list[Any]]) -> set[Any]:
    """All states within any number of steps, by brute force."""
    found = {start}
    for _ in STATES:
        found |= {target for state in found for target in tasks.get(state, ())}
    return found


def model(initial: Any, exits: set[Any], tasks: dict[Any, list[Any]], failing: dict[Any, Any]) -> set[tuple[str, str]]:
    """What must be found, said as plainly as can be."""
    if not tasks or not exits:
        return {(code, "workflow") for code, there in (("E01", tasks), ("E02", exits)) if not there}
    ways = {state: [*targets, *([failing[state]] if state in failing else [])] for state, targets in tasks.items()}
    named = {initial}.union(*ways.values())
    unhandled = named - tasks.keys() - exits
    found = {("E07", state.name) for state in unhandled}
    found |= {("E08", state.name) for state in tasks.keys() & exits}
    found |= {("E10", state.name) for state in tasks if not closure(state, ways) & (exits | unhandled)}
    reached = closure(initial, ways)
    if not reached & unhandled:
        found |= {("E09" if state in tasks else "W10", state.name) for state in set(STATES) - reached}
    return found


some_states = st.lists(st.sampled_from(STATES), unique=True)
some_tasks = st.dictionaries(
    st.sampled_from(STATES), st.lists(st.sampled_from(STATES), min_size=1, unique=True), max_size=len(STATES)
)


@given(
    initial=st.sampled_from(STATES),
    exits=some_states,
    tasks=some_tasks,
    failing=st.dictionaries(st.sampled_from(STATES), st.sampled_from(STATES)),
)
def test_problems_are_those_of_the_model(
    initial: Any, exits: list[Any], tasks: dict[Any, list[Any]], failing: dict[Any, Any]
) -> None:
    """Missing tasks, exits with tasks, unreachable states, traps: found wherever they are, and nowhere else."""
    work: Any = Workflow(Step, initial=initial, exits=exits)
    for state, targets in tasks.items():
        work.register(state, leading(targets), on_error={OSError: failing[state]} if state in failing else None)
    found = [(problem.code, problem.place) for problem in work.problems()]
    assert sorted(found) == sorted(model(initial, set(exits), tasks, failing))


@given(initial=st.sampled_from(STATES), exits=some_states, tasks=some_tasks, reverse=st.booleans())
def test_problems_are_sorted(initial: Any, exits: list[Any], tasks: dict[Any, list[Any]], reverse: bool) -> None:  # noqa: FBT001
    """They come in the order of the states, whatever the order of definition, and each names a line or says why not."""
    work: Any = Workflow(Step, initial=initial, exits=exits[::-1] if reverse else exits)
    for state in sorted(tasks, key=STATES.index, reverse=reverse):
        work.register(state, leading(tasks[state]))
    found = work.problems()
    order = ["workflow", *(state.name for state in STATES)]
    assert [(problem.place, problem.code) for problem in found] == sorted(
        ((problem.place, problem.code) for problem in found), key=lambda key: (order.index(key[0]), key[1])
    )
    assert all("test_graph_laws.py:" in problem.site and problem.hint for problem in found)


@given(initial=st.sampled_from(STATES), exits=some_states, tasks=some_tasks)
def test_everything_can_be_drawn(initial: Any, exits: list[Any], tasks: dict[Any, list[Any]]) -> None:
    """Any definition, right or wrong, is drawn with every state and every edge exactly once."""
    work: Any = Workflow(Step, initial=initial, exits=exits)
    for state, targets in tasks.items():
        work.register(state, leading(targets))
    lines = f"{work:dot}".splitlines()
    shown = {initial, *tasks}.union(*tasks.values())
    assert sorted(
        line.split()[0] for line in lines if "shape=" in line and line.startswith('  "') and '""' not in line
    ) == (sorted(f'"{state.name}"' for state in shown))
    assert sorted(line.strip(" ;") for line in lines if "->" in line and '""' not in line) == sorted(
        f'"{state.name}" -> "{target.name}"' for state, targets in tasks.items() for target in targets
    )
