"""What is wrong with the definition of a poll (E11, E21), and its options."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Literal

import pytest

from cano_trio import Backoff, DefinitionError, Pending, PollTask, Retry, Workflow


class Step(Enum):
    AWAIT = auto()
    DONE = auto()


class Look(PollTask[Step]):
    async def poll(self) -> Literal[Step.DONE] | Pending:
        return Step.DONE


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.AWAIT, exits=[Step.DONE])


async def look() -> Literal[Step.DONE] | Pending:
    return Step.DONE


OPTIONS = {"backoff": Backoff(base=1), "max_errors": 3, "error_backoff": Backoff(base=2)}


def test_the_function_stays_what_it_is() -> None:
    """RULINGS 3.9: a decorator for one function returns that very function."""
    assert workflow().poll(Step.AWAIT)(look) is look


def test_all_ways_to_say_an_option_agree() -> None:
    """RULINGS 3.8: decorator, class, and `register` take the same options; each has a default."""
    works = [workflow() for _ in range(4)]
    works[0].poll(Step.AWAIT, **OPTIONS)(look)
    works[1].register(Step.AWAIT, type("Form", (Look,), OPTIONS)())
    works[2].register(Step.AWAIT, Look(), **OPTIONS)
    assert [work.blueprint()[Step.AWAIT].node.knobs for work in works[:3]] == [OPTIONS] * 3
    works[3].register(Step.AWAIT, Look())
    node = works[3].blueprint()[Step.AWAIT].node
    assert node.knobs == {"backoff": Backoff(), "max_errors": 0, "error_backoff": Backoff()}
    assert node.config.retry == Retry.none()


@pytest.mark.parametrize(
    "option, value, said",
    [
        ("max_errors", -1, "max_errors is -1: it takes a whole number, 0 or more"),
        ("max_errors", 1.5, "max_errors is 1.5: it takes a whole number, 0 or more"),
        ("max_errors", True, "max_errors is True: it takes a whole number, 0 or more"),
        ("backoff", 3, "backoff is 3: it takes a Backoff, such as Backoff(base=1, maximum=60)"),
        ("error_backoff", Retry(), "error_backoff is Retry("),
    ],
)
def test_wrong_options(option: str, value: Any, said: str) -> None:
    """E21: a wrong value is refused where it is given, naming task, option, value and what it takes."""
    with pytest.raises(DefinitionError) as caught:
        workflow().poll(Step.AWAIT, **{option: value})(look)
    (problem,) = caught.value.problems
    assert problem.code == "E21"
    assert problem.message.startswith(f"look: {said}")


def test_misspelt_option() -> None:
    """E21: an attribute that is almost an option is taken for a slip, and the option is named."""

    class Slip(Look):
        max_error = 3

    with pytest.raises(DefinitionError, match=r"Slip has no option max_error.* Did you mean max_errors"):
        workflow().register(Step.AWAIT, Slip())


def test_only_polls_are_pending() -> None:
    """E11: another task that is annotated to return `Pending` is refused, and a poll that returns something else."""
    for decorator, hint in ("task", Pending), ("poll", int):

        async def wrong() -> Any:
            return Step.DONE

        wrong.__annotations__["return"] = Literal[Step.DONE] | hint
        work = workflow()
        getattr(work, decorator)(Step.AWAIT)(wrong)
        (problem,) = work.problems()
        assert problem.code == "E11"
        assert problem.message.endswith(f"to return {hint.__name__}")


def test_pending_is_a_value() -> None:
    """Two `Pending` that say the same are equal, and neither can be changed."""
    assert Pending() == Pending(delay=None, reset=False) != Pending(reset=True)
    with pytest.raises(AttributeError):
        Pending().delay = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        Pending(3)  # type: ignore[call-arg]
