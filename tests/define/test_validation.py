"""What is wrong with a graph (E07 to E10, W10), and when `validate` looks (E13, before anything is set up)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Literal

import pytest

from cano_trio import BatchResults, DefinitionError, MemoryStore, Problem, Resources, Workflow


class Step(Enum):
    FETCH = auto()
    PARSE = auto()
    REPORT = auto()
    DONE = auto()
    FAILED = auto()


def workflow(**arguments: Any) -> Any:
    """Untyped, for what a type checker would refuse."""
    given: dict[str, Any] = {"initial": Step.FETCH, "exits": [Step.DONE, Step.FAILED]} | arguments
    return Workflow(Step, **given)


def leading(*targets: Step, name: str = "task") -> Any:
    """A task that may go to any of these."""

    async def task() -> Any:
        return targets[0]

    task.__annotations__["return"] = Literal.__getitem__(targets)
    task.__name__ = name
    return task


def summary(work: Any) -> list[tuple[str, str]]:
    return [(problem.code, problem.place) for problem in work.problems()]


def the(work: Any, code: str) -> Problem:
    (found,) = (problem for problem in work.problems() if problem.code == code)
    return found  # type: ignore[no-any-return]


def line(function: Any) -> str:
    return f"test_validation.py:{function.__code__.co_firstlineno}"


def test_no_handler() -> None:
    """E07: a state that a task may return must have a task; where it is returned is told, and nothing follows."""
    work = workflow()
    fetch = leading(Step.PARSE)
    work.register(Step.FETCH, fetch)
    (problem,) = work.problems()
    assert (problem.code, problem.place, problem.message) == ("E07", "PARSE", "no handler")
    assert problem.hint.startswith("FETCH returns it at ")
    assert problem.hint.endswith(f"{line(fetch)}. Write @workflow.task(Step.PARSE).")
    assert "test_validation.py:" in problem.site


def test_no_handler_for_the_initial_state() -> None:
    """E07, WFL-4: a run must be able to begin."""
    work = workflow()
    work.register(Step.PARSE, leading(Step.DONE))
    problem = the(work, "E07")
    assert (problem.place, problem.hint) == ("FETCH", "It is the initial state. Write @workflow.task(Step.FETCH).")


def test_no_handler_for_an_error_edge() -> None:
    """E07: an `on_error` edge must lead somewhere, too."""
    work = workflow()
    fetch = leading(Step.DONE)
    work.register(Step.FETCH, fetch, on_error={OSError: Step.PARSE})
    problem = the(work, "E07")
    assert problem.place == "PARSE"
    assert problem.hint.startswith("The on_error of FETCH names it at ")
    assert f"{line(fetch)}. Write @workflow.task(Step.PARSE)." in problem.hint


def test_no_handler_for_what_a_batch_returns() -> None:
    """E07: for a task of several functions, it is the line of the one that returns the state."""
    work = workflow()

    async def item(item: int) -> int:
        return item

    async def load() -> list[int]:
        return []

    async def finish(results: BatchResults[int, int]) -> Literal[Step.REPORT]:
        return Step.REPORT

    batch = work.batch(Step.FETCH)(item)
    batch.load(load)
    batch.finish(finish)
    assert f"{line(finish)}. " in the(work, "E07").hint


def test_anywhere_asks_for_no_handlers() -> None:
    """A bare `-> Step` may go to any state that there is: it asks for no others."""
    work = workflow()

    async def jump() -> Step:
        return Step.DONE

    work.register(Step.FETCH, jump)
    assert summary(work) == [("W10", "PARSE"), ("W10", "REPORT")]


def test_exit_with_a_task() -> None:
    """E08, WFL-10: a task in an exit state would never run."""
    work = workflow()
    task = leading(Step.DONE)
    work.register(Step.FETCH, leading(Step.DONE))
    work.register(Step.DONE, task)
    problem = the(work, "E08")
    assert (problem.place, problem.message) == ("DONE", "an exit state has a task, which would never run")
    assert problem.hint == "Take the task away, or the state out of exits."
    assert problem.site.endswith(line(task))


def test_unreachable() -> None:
    """E09: a task to which nothing leads is a mistake; a cycle among unreachable tasks does not save them."""
    work = workflow()
    parse = leading(Step.REPORT, Step.DONE)
    work.register(Step.FETCH, leading(Step.DONE))
    work.register(Step.PARSE, parse)
    work.register(Step.REPORT, leading(Step.PARSE))
    assert summary(work) == [("E09", "PARSE"), ("E09", "REPORT"), ("W10", "FAILED")]
    problem = next(found for found in work.problems() if found.place == "PARSE")
    assert problem.message == "unreachable: nothing leads here from the initial state"
    assert problem.hint == "Let a task name Step.PARSE in its return annotation."
    assert problem.site.endswith(line(parse))


def test_error_edges_reach() -> None:
    """E09, E10: `on_error` leads as well as a return annotation does."""
    work = workflow(exits=[Step.FAILED])
    work.register(Step.FETCH, leading(Step.FETCH), on_error={OSError: Step.PARSE})
    work.register(Step.PARSE, leading(Step.FAILED))
    assert summary(work) == [("W10", "REPORT"), ("W10", "DONE")]


async def test_unused_states_are_a_warning() -> None:
    """W10: states and exits that nothing names look odd, and stop nobody."""
    work = workflow()
    work.register(Step.FETCH, leading(Step.DONE))
    found = work.problems()
    assert [(problem.code, problem.place, problem.severity, problem.message) for problem in found] == [
        ("W10", "PARSE", "warning", "this state has no task and is never named"),
        ("W10", "REPORT", "warning", "this state has no task and is never named"),
        ("W10", "FAILED", "warning", "no task leads to this exit"),
    ]
    assert {problem.hint for problem in found} == {"Name it in a return annotation, or delete it."}
    work.validate()
    assert await work.orchestrate() is Step.DONE


def test_traps() -> None:
    """E10: a state from which no exit can be reached would hold a run for ever."""
    work = workflow()
    parse = leading(Step.REPORT)
    work.register(Step.FETCH, leading(Step.PARSE, Step.DONE, Step.FAILED))
    work.register(Step.PARSE, parse)
    work.register(Step.REPORT, leading(Step.PARSE))
    assert summary(work) == [("E10", "PARSE"), ("E10", "REPORT")]
    problem = work.problems()[0]
    assert problem.message == "trap: no exit state can be reached from here"
    assert problem.hint == "Let a task on the way name an exit state."
    assert problem.site.endswith(line(parse))


def test_loops_are_fine() -> None:
    """WFL-13: cycles and self-loops are allowed as long as an exit can be reached."""
    work = workflow(exits=[Step.DONE])
    work.register(Step.FETCH, leading(Step.FETCH, Step.PARSE))
    work.register(Step.PARSE, leading(Step.FETCH, Step.DONE))
    assert summary(work) == [("W10", "REPORT"), ("W10", "FAILED")]


def test_all_at_once_in_the_order_of_the_states() -> None:
    """Everything that is wrong is told together: the workflow's own first, then by state, then by code."""
    work = workflow(data=tuple)

    async def parse(page) -> Literal[Step.FETCH]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return Step.FETCH

    work.register(Step.DONE, leading(Step.DONE))
    work.register(Step.REPORT, leading(Step.DONE), on_error={3: 4})
    work.register(Step.PARSE, parse)
    work.register(Step.FETCH, leading(Step.PARSE))
    assert summary(work) == [
        ("E19", "workflow"),
        ("E10", "FETCH"),
        ("E10", "PARSE"),
        ("E14", "PARSE"),
        ("E09", "REPORT"),
        ("E20", "REPORT"),
        ("E08", "DONE"),
        ("E09", "DONE"),
        ("W10", "FAILED"),
    ]
    with pytest.raises(DefinitionError) as caught:
        work.validate()
    assert caught.value.problems == work.problems()[:-1]
    assert str(caught.value) == "\n".join(str(problem) for problem in work.problems()[:-1])


def test_problems_do_not_depend_on_the_order_of_definition() -> None:
    """The same workflow written in another order has the same problems, in the same order."""
    tasks = {
        Step.FETCH: leading(Step.PARSE),
        Step.PARSE: leading(Step.FETCH),
        Step.REPORT: leading(Step.DONE),
        Step.FAILED: leading(Step.DONE),
    }
    found = []
    for order in (list(tasks), list(tasks)[::-1]):
        work = workflow()
        for state in order:
            work.register(state, tasks[state])
        found.append(summary(work))
    assert found[0] == found[1]


def test_validated_again_after_a_change() -> None:
    """WFL-3, the other way: a verdict does not outlive a change, be it a new state or a function hung on a batch."""
    work = workflow()
    work.register(Step.FETCH, leading(Step.PARSE))
    assert ("E07", "PARSE") in summary(work)

    async def item(item: int) -> int:
        return item

    batch = work.batch(Step.PARSE)(item)
    assert summary(work) == [("E16", "PARSE"), ("E16", "PARSE")]

    async def load() -> list[int]:
        return []

    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE

    batch.load(load)
    batch.finish(finish)
    assert summary(work) == [("W10", "REPORT"), ("W10", "FAILED")]


def test_a_verdict_is_kept() -> None:
    """The definition is read once, and again only after a change."""
    work = workflow()
    work.register(Step.FETCH, leading(Step.PARSE))
    assert work.problems() is work.problems()
    assert work.blueprint() is work.blueprint()
    before = work.blueprint()
    work.register(Step.PARSE, leading(Step.DONE))
    assert work.blueprint() is not before


class Recorded:
    """A resource that keeps what happens to it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def setup(self) -> None:
        self.calls.append("setup")

    async def teardown(self) -> None:
        self.calls.append("teardown")


async def test_validated_before_anything_is_set_up() -> None:
    """G-RES: a wrong workflow sets up nothing, and its run is refused with all problems."""
    work = workflow()
    resource = Recorded()
    work.register(Step.FETCH, leading(Step.PARSE))
    with pytest.raises(DefinitionError, match="E07 PARSE: no handler"):
        await work.run(resources=Resources(resource=resource))
    assert resource.calls == []


async def test_missing_resources() -> None:
    """E13: all resources that tasks ask for and nobody gave are told at once, before any is set up."""
    work = workflow()
    resource = Recorded()

    async def fetch(store: MemoryStore, other: Recorded) -> Literal[Step.PARSE]:
        return Step.PARSE

    async def parse(store: MemoryStore) -> Literal[Step.DONE]:
        return Step.DONE

    work.register(Step.FETCH, fetch)
    work.register(Step.PARSE, parse)
    with pytest.raises(DefinitionError) as caught:
        await work.orchestrate(resources=Resources(resource=resource))
    assert [(problem.code, problem.place) for problem in caught.value.problems] == [("E13", "FETCH"), ("E13", "PARSE")]
    first = caught.value.problems[0]
    assert first.message.startswith("fetch: no resource ")
    assert "MemoryStore" in first.message
    assert first.hint == "Pass it in Resources(...), or name one with Annotated[T, key]."
    assert first.site.endswith(line(fetch))
    assert resource.calls == []


async def test_validated_again_between_runs() -> None:
    """WFL-3, the other way: a workflow that ran is checked again when it has grown."""
    work = workflow()
    work.register(Step.FETCH, leading(Step.DONE))
    resources = Resources()
    assert await work.orchestrate(resources=resources) is Step.DONE
    work.register(Step.PARSE, leading(Step.DONE))
    with pytest.raises(DefinitionError, match="E09 PARSE: unreachable"):
        await work.orchestrate(resources=resources)


async def test_exit_as_initial_state() -> None:
    """WFL-11: a run that begins in an exit state is over at once; so the task elsewhere is unreachable."""
    work = workflow(initial=Step.DONE)
    work.register(Step.FETCH, leading(Step.FAILED))
    assert summary(work) == [("E09", "FETCH"), ("W10", "PARSE"), ("W10", "REPORT"), ("W10", "FAILED")]
    fine = workflow()
    fine.register(Step.FETCH, leading(Step.DONE))
    assert await fine.orchestrate(Step.DONE) is Step.DONE


def test_an_invalid_return_hides_its_consequences() -> None:
    """One mistake, one problem: where a task leads is unknown, so nothing behind it is called unreachable or a trap."""
    work = workflow()

    async def parse():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return Step.REPORT

    work.register(Step.FETCH, leading(Step.PARSE))
    work.register(Step.PARSE, parse)
    work.register(Step.REPORT, leading(Step.DONE))
    assert summary(work) == [("E06", "PARSE")]


def test_enum_text_in_hints() -> None:
    """Hints show states as they are written, whatever the Enum's own text is."""
    odd: Any = Enum("odd", ["a b", "END"], type=str)
    work: Any = Workflow(odd, initial=odd["a b"], exits=[odd.END])
    assert work.problems()[0].hint == "Write @workflow.task(odd['a b']) over an async function."
