"""Messages are an interface (RULINGS 3.14): some of them, word for word."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import Any, Literal

import pytest

from cano_trio import DefinitionError, MemoryStore, Problem, Resources, Workflow

HERE = Path(__file__).relative_to(Path.cwd())


class Step(Enum):
    FETCH = auto()
    PARSE = auto()
    DONE = auto()


def message(work: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        work.validate()
    return str(caught.value)


def test_no_handler() -> None:
    """RULINGS 3.14: `E07 PARSE: no handler (file:line). FETCH returns it at file:line. Write …`."""
    work = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE])  # the line of the workflow

    @work.task(Step.FETCH)  # the line of the task
    async def fetch() -> Literal[Step.PARSE]:
        return Step.PARSE

    start = test_no_handler.__code__.co_firstlineno
    assert message(work) == (
        f"E07 PARSE: no handler ({HERE}:{start + 2}). FETCH returns it at {HERE}:{start + 4}. "
        "Write @workflow.task(Step.PARSE)."
    )


def test_trap() -> None:
    """E10 in full."""
    work = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE])

    @work.task(Step.FETCH)
    async def fetch() -> Literal[Step.FETCH]:
        return Step.FETCH

    assert message(work) == (
        f"E10 FETCH: trap: no exit state can be reached from here ({HERE}:{fetch.__code__.co_firstlineno}). "
        "Let a task on the way name an exit state."
    )


def test_wrong_option() -> None:
    """E21 in full: the value's own message says what the option takes, so there is no hint."""
    work = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE])
    with pytest.raises(DefinitionError) as caught:

        @work.task(Step.FETCH, attempt_timeout=-2)
        async def fetch() -> Literal[Step.DONE]:
            return Step.DONE

    line = test_wrong_option.__code__.co_firstlineno + 5
    assert str(caught.value) == (
        "E21 FETCH: fetch: attempt_timeout is -2: it takes a positive number of seconds (math.inf for no limit) "
        f"({HERE}:{line})."
    )
    assert isinstance(caught.value.__cause__, ValueError)


async def test_missing_resource() -> None:
    """E13 in full, near misses included."""
    work = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE])

    @work.task(Step.FETCH)
    async def fetch(cache: MemoryStore) -> Literal[Step.DONE]:
        return Step.DONE

    with pytest.raises(DefinitionError) as caught:
        await work.orchestrate(resources=Resources())
    assert str(caught.value).endswith(
        f" ({HERE}:{fetch.__code__.co_firstlineno}). Pass it in Resources(...), or name one with Annotated[T, key]."
    )
    assert str(caught.value).startswith("E13 FETCH: fetch: no resource ")


def test_a_site_elsewhere_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line outside of the working directory is shown with its whole path."""
    monkeypatch.chdir(tmp_path)
    (problem,) = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE]).problems()
    assert problem.site.startswith(f"{Path(__file__)}:")


def test_text_of_a_problem() -> None:
    """A problem is one line; what it lacks leaves no gap."""
    bare = Problem(code="E02", place="workflow", message="no exit states")
    assert str(bare) == "E02 workflow: no exit states."
    full = Problem(code="E02", place="workflow", message="no exits.", hint="Pass some.", site="a.py:3")
    assert str(full) == "E02 workflow: no exits (a.py:3). Pass some."
