"""What is wrong with the definition of stepped work (E16, E17, E23)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from cano_trio import More, Problem, SteppedTask, Workflow


class Step(Enum):
    WORK = auto()
    DONE = auto()


@dataclass
class Place:
    table: str
    row: int = 0


@dataclass
class Open:
    file: complex


class Handle: ...


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE])


def errors(task: Any) -> list[Problem]:
    work = workflow()
    work.register(Step.WORK, task) if isinstance(task, SteppedTask) else work.stepped(Step.WORK)(task)
    return [problem for problem in work.problems() if problem.severity == "error"]


def stepping(takes: Any, returns: Any) -> Any:
    """A step with these annotations."""

    async def step(cursor: Any) -> Any:
        return Step.DONE

    step.__annotations__ = {"cursor": takes, "return": returns}
    return step


@pytest.mark.parametrize(
    "cursor",
    [int, str, Place, list[int], tuple[int, str], dict[str, Place], datetime, Path, int | str, Annotated[int, "row"]],
    ids=str,
)
def test_cursors_of_plain_values(cursor: Any) -> None:
    """STP-4: a cursor may be whatever JSON brings back the same."""
    assert errors(stepping(cursor | None, More[cursor] | Literal[Step.DONE])) == []


@pytest.mark.parametrize(
    "cursor, part", [(Handle, "Handle.Handle"), (Open, "Open.file"), (dict[str, Handle], "dict.Handle")], ids=str
)
def test_cursors_that_can_not_be_written_down(cursor: Any, part: str) -> None:
    """E23: a cursor whose type JSON can't hold is refused, with or without a journal: it is there to be written down."""
    step = stepping(cursor | None, More[cursor] | Literal[Step.DONE])
    (problem,) = errors(step)
    assert (problem.code, problem.place) == ("E23", "WORK")
    assert problem.message.startswith(f"step: its cursor can't be written down as JSON: {part}")
    assert problem.hint == (
        "Make the cursor of plain values: numbers, strings, a dataclass of such; things belong in resources."
    )
    assert problem.site.endswith(f"test_stepped.py:{step.__code__.co_firstlineno}")


def test_one_of_several_cursors() -> None:
    """E23: of several cursor types each must be writable; where `More` tells none, what the step takes is looked at."""
    (problem,) = errors(stepping(int | Handle | None, More[int] | More[Handle] | Literal[Step.DONE]))
    assert problem.code == "E23"
    (problem,) = errors(stepping(Handle | None, More | Literal[Step.DONE]))
    assert problem.code == "E23"
    assert errors(stepping(Any, More | Literal[Step.DONE])) == []


def test_first_call_has_no_cursor() -> None:
    """E17: a step must take None too, since that is what its first call gets."""
    (problem,) = errors(stepping(int, More[int] | Literal[Step.DONE]))
    assert (problem.code, problem.message) == (
        "E17", "step: it takes a int, but its first call has no cursor: write int | None"
    )  # fmt: skip


def test_cursors_that_disagree() -> None:
    """E17: the cursor that a step returns is of the type that it takes; each one of several."""
    (problem,) = errors(stepping(int | None, More[str] | Literal[Step.DONE]))
    assert (problem.code, problem.message) == ("E17", "step: it returns str as its cursor, but it takes int | None")
    (problem,) = errors(stepping(int | None, More[int] | More[str] | Literal[Step.DONE]))
    assert problem.code == "E17"


def test_generics_agree() -> None:
    """E17: a class's step takes the cursor that its generics name."""

    class Wrong(SteppedTask[Step, int]):
        async def step(self, cursor: str | None) -> More[str] | Literal[Step.DONE]:  # type: ignore[override]
            return Step.DONE

    (problem,) = errors(Wrong())
    assert (problem.code, problem.message) == (
        "E17",
        "Wrong: the class names int as its cursor, but it takes str | None",
    )


def test_step_without_a_cursor() -> None:
    """E16: a step that takes no cursor could not go on anywhere."""

    async def step() -> More[int] | Literal[Step.DONE]:
        return Step.DONE

    (problem,) = errors(step)
    assert (problem.code, problem.message) == ("E16", "step: it must take cursor first")


def test_more_is_a_value() -> None:
    """Two `More` of one cursor are equal, and neither can be changed."""
    assert More(3) == More(3) != More(4)
    assert repr(More("a")) == "More(cursor='a')"
    with pytest.raises(AttributeError):
        More(3).cursor = 4  # type: ignore[misc]
