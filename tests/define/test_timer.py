"""What is wrong with the definition of a timer (E16, E17)."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Literal

import pytest

from cano_trio import Problem, Workflow


class Step(Enum):
    COOL = auto()
    DONE = auto()


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.COOL, exits=[Step.DONE])


work = Workflow(Step, initial=Step.COOL, exits=[Step.DONE])


@work.timer(Step.COOL)
async def cool(minutes: int = 1) -> float:
    """So long."""
    return minutes * 60


async def cooled() -> Literal[Step.DONE]:
    return Step.DONE


def problems(returns: Any) -> tuple[Problem, ...]:
    """Those of a timer whose `wait` returns this."""

    async def wait() -> Any:
        return 0

    wait.__annotations__["return"] = returns
    timed = workflow()
    timed.timer(Step.COOL)(wait).after_wait(cooled)
    return timed.problems()  # type: ignore[no-any-return]


@pytest.mark.parametrize("returns", [float, int, datetime, float | datetime, Any], ids=str)
def test_what_says_how_long(returns: Any) -> None:
    """Seconds, an instant, or now one and now the other."""
    assert problems(returns) == ()


@pytest.mark.parametrize("returns", [None, str, timedelta, float | None, Literal[Step.DONE]], ids=str)
def test_what_does_not_say_how_long(returns: Any) -> None:
    """E17: whatever else `wait` is annotated to return can't be waited for."""
    (problem,) = problems(returns)
    assert problem.code == "E17"
    assert problem.message.startswith("wait.wait: it returns ")
    assert problem.message.endswith(", which is neither seconds (a float) nor an instant (a datetime)")


def test_timer_without_its_second_half() -> None:
    """E16: a timer that does nothing when the time has come is incomplete."""

    async def pause() -> float:
        return 1

    timed = workflow()
    timed.timer(Step.COOL)(pause)
    (problem,) = timed.problems()
    assert (problem.code, problem.message) == ("E16", "pause has no after_wait")
    assert problem.hint == "Write @pause.after_wait over an async function."


async def test_the_function_is_called_as_before() -> None:
    """RULINGS 3.9: a decorated function works as a function does: called, read, pickled and copied by its name."""
    assert await cool(3) == 180
    assert (cool.__name__, cool.__doc__) == ("cool", "So long.")  # type: ignore[attr-defined]
    assert list(inspect.signature(cool).parameters) == ["minutes"]
    assert copy.deepcopy(cool) is cool
    assert pickle.loads(pickle.dumps(cool)) is cool


def test_the_hung_function_stays_what_it_is() -> None:
    """So does `after_wait`."""
    assert cool.after_wait(cooled) is cooled
    assert work.problems() == ()
