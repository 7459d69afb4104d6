"""What options a task may have, and which values are refused or look odd (E20, E21, W20)."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import pytest
import trio

from cano_trio import (
    BatchResults,
    BatchTask,
    DefinitionError,
    Problem,
    Retry,
    RouterTask,
    TaskConfig,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()


class Other(Enum):
    WORK = auto()


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE])


def refused(call: Callable[[], object]) -> Problem:
    """The only problem of a call; nothing of it stays behind."""
    with pytest.raises(DefinitionError) as caught:
        call()
    (problem,) = caught.value.problems
    assert "test_options.py:" in problem.site
    return problem


def line(function: Callable[..., Any]) -> str:
    return f"test_options.py:{function.__code__.co_firstlineno}"


async def fine() -> Literal[Step.DONE]:
    return Step.DONE


async def other() -> Literal[Step.DONE]:
    return Step.DONE


class Square(BatchTask[Step, int, int]):
    async def load(self) -> list[int]:
        return [1]

    async def process_item(self, item: int) -> int:
        return item

    async def finish(self, results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE


@pytest.mark.parametrize(
    "option, value, said",
    [
        ("attempt_timeout", -1, "attempt_timeout is -1: it takes a positive number of seconds (math.inf for no limit)"),
        ("attempt_timeout", 0, "attempt_timeout is 0: it takes a positive number of seconds (math.inf for no limit)"),
        ("attempt_timeout", math.nan, "attempt_timeout is nan: it takes a positive number of seconds"),
        ("attempt_timeout", True, "attempt_timeout is True: it takes a number of seconds"),
        ("attempt_timeout", "3", "attempt_timeout is '3': it takes a number of seconds"),
        ("retry", 3, "retry is 3: it takes a Retry, such as Retry.fixed(2, delay=0.1)"),
        ("retry", Retry, "retry is <class 'cano_trio.Retry'>: it takes a Retry"),
        ("retry_on", "OSError", "retry_on"),
        ("retry_on", (), "retry_on"),
        ("retry_on", KeyboardInterrupt, "retry_on"),
        ("breaker", "eu", "breaker is 'eu': it takes a CircuitBreaker, or a plain function that chooses one"),
        ("breaker", Retry, "breaker is <class 'cano_trio.Retry'>: it takes a CircuitBreaker"),
        ("breaker", fine, "breaker is <function fine"),
        ("limiter", 3, "limiter is 3: it takes a RateLimiter, WindowedRateLimiter or MultiRateLimiter, or a plain"),
        ("limiter", fine, "limiter is <function fine"),
        ("on_open", "ignore", "on_open is 'ignore': it takes 'fail' or 'wait'"),
        ("on_open", True, "on_open is True: it takes 'fail' or 'wait'"),
        ("on_open", ["fail"], "on_open is ['fail']: it takes 'fail' or 'wait'"),
        ("config", {"retry": 3}, "config is {'retry': 3}: it takes a TaskConfig"),
    ],
)
def test_wrong_options(option: str, value: Any, said: str) -> None:
    """E21: a wrong value of an option is refused by every form, naming task, option, value and what it takes."""

    class Form(RouterTask[Step]):
        async def route(self) -> Literal[Step.DONE]:
            return Step.DONE

    work = workflow()
    instance = Form()
    setattr(instance, option, value)
    for call in (
        lambda: work.task(Step.WORK, **{option: value})(fine),
        lambda: work.router(Step.WORK, **{option: value})(fine),
        lambda: work.batch(Step.WORK, **{option: value})(fine),
        lambda: work.register(Step.WORK, fine, **{option: value}),
        lambda: work.register(Step.WORK, Square(), **{option: value}),
        lambda: work.register(Step.WORK, instance),
    ):
        problem = refused(call)
        assert (problem.code, problem.place) == ("E21", "WORK")
        assert problem.message.partition(": ")[0] in {"fine", "Square", "Form"}
        assert said in problem.message
    assert [found.code for found in work.problems()] == ["E01"]


@pytest.mark.parametrize(
    "option, value, said",
    [
        ("concurrency", 0, "concurrency is 0: it takes a whole number, 1 or more"),
        ("concurrency", -2, "concurrency is -2: it takes a whole number, 1 or more"),
        ("concurrency", True, "concurrency is True: it takes a whole number, 1 or more"),
        ("concurrency", "8", "concurrency is '8': it takes a whole number, 1 or more"),
        ("concurrency", 2.0, "concurrency is 2.0: it takes a whole number, 1 or more"),
        ("concurrency", math.nan, "concurrency is nan: it takes a whole number, 1 or more"),
        ("item_timeout", -0.5, "item_timeout is -0.5: it takes a positive number of seconds"),
        ("item_timeout", math.nan, "item_timeout is nan: it takes a positive number of seconds"),
        ("item_timeout", True, "item_timeout is True: it takes a number of seconds"),
        ("item_timeout", "1", "item_timeout is '1': it takes a number of seconds"),
        ("item_retry", 2, "item_retry is 2: it takes a Retry, such as Retry.fixed(2, delay=0.1)"),
        ("item_retry", True, "item_retry is True: it takes a Retry, such as Retry.fixed(2, delay=0.1)"),
        ("record_items", 0, "record_items is 0: it takes True or False"),
        ("record_items", "no", "record_items is 'no': it takes True or False"),
    ],
)
def test_wrong_batch_options(option: str, value: Any, said: str) -> None:
    """E21: a batch's own options are checked in the function form and in the class form."""

    class Form(Square):
        pass

    setattr(Form, option, value)
    work = workflow()
    for call in (
        lambda: work.batch(Step.WORK, **{option: value})(fine),
        lambda: work.register(Step.WORK, Form()),
        lambda: work.register(Step.WORK, Square(), **{option: value}),
    ):
        problem = refused(call)
        assert (problem.code, problem.place) == ("E21", "WORK")
        assert said in problem.message


def test_unknown_options() -> None:
    """E21: an option that a model does not have is refused, with those it has."""
    problem = refused(lambda: workflow().task(Step.WORK, timeout=3, retires=2)(fine))
    assert (problem.code, problem.message) == ("E21", "fine has no option retires, timeout")
    assert problem.hint == (
        "A task takes attempt_timeout, breaker, config, limiter, name, on_error, on_open, retry, retry_on."
    )
    assert problem.site.endswith(line(fine))
    assert (
        refused(lambda: workflow().register(Step.WORK, fine, concurrency=3)).message == "fine has no option concurrency"
    )
    assert "concurrency, config, item_retry" in refused(lambda: workflow().register(Step.WORK, Square(), x=1)).hint


@pytest.mark.parametrize("name", [3, b"x", ["x"], "", 0])
def test_wrong_name(name: Any) -> None:
    """E21: a task's name is a string that is not empty, in every form."""

    class Form(Square):
        pass

    Form.name = name
    for call in (
        lambda: workflow().task(Step.WORK, name=name)(fine),
        lambda: workflow().register(Step.WORK, Square(), name=name),
        lambda: workflow().register(Step.WORK, Form()),
    ):
        problem = refused(call)
        assert (problem.code, problem.message) == ("E21", f"name is {name!r}: it takes a string that is not empty")


@pytest.mark.parametrize(
    "attribute, option",
    [
        ("retrys", "retry"),
        ("attempt_timout", "attempt_timeout"),
        ("on_eror", "on_error"),
        ("retryon", "retry_on"),
        ("concurency", "concurrency"),
        ("item_timeouts", "item_timeout"),
    ],
)
def test_misspelt_attributes(attribute: str, option: str) -> None:
    """E21: an attribute that is almost an option's name, and that no method reads, is one misspelt: in the class or `__init__`."""

    class Classwide(Square):
        pass

    class Own(Square):
        def __init__(self, value: Any) -> None:
            setattr(self, attribute, value)

    setattr(Classwide, attribute, 3)
    for task in (Classwide(), type("Heir", (Classwide,), {})(), Own(3)):
        problem = refused(partial(workflow().register, Step.WORK, task))
        assert (problem.code, problem.place) == ("E21", "WORK")
        assert problem.message == f"{type(task).__name__} has no option {attribute}"
        assert problem.hint == f"Did you mean {option}? None of its methods reads {attribute}."


def test_attributes_of_ones_own() -> None:
    """An attribute that a method reads is the user's own, however like an option it is; so is what is not like one."""

    class Greet(RouterTask[Step]):
        limit = 3
        title = "greeting"
        _retrys = 2

        def __init__(self) -> None:
            self.names = ["a"]
            self.configs = {"a": 1}
            self.breakers = [1]

        @property
        def size(self) -> int:
            return len(self.configs)

        def on_opened(self) -> None: ...

        async def route(self) -> Literal[Step.DONE, Step.MORE]:
            found = [name for name in self.names if self.breakers]
            return Step.DONE if found else Step.MORE

    work = workflow()
    work.register(Step.WORK, Greet())
    assert work.blueprint()[Step.WORK].node.name == "Greet"


def test_misspelt_attributes_are_told_at_once() -> None:
    """E21: that `__init__` mentions a misspelt option is no use of it; all are told together."""

    class Form(RouterTask[Step]):
        attempt_timout = 3.0

        def __init__(self, retry: Retry) -> None:
            self.retrys = retry

        async def route(self) -> Literal[Step.DONE]:
            return Step.DONE

    problem = refused(lambda: workflow().register(Step.WORK, Form(Retry.none())))
    assert problem.message == "Form has no option attempt_timout, retrys"
    assert problem.hint == ("Did you mean attempt_timeout, retry? None of its methods reads attempt_timout or retrys.")


def test_options_that_are_right() -> None:
    """What the checks let through: None for unset, infinity for no limit, a shared limiter for concurrency."""
    work = workflow()
    work.task(Step.WORK, attempt_timeout=None, retry=None, on_error=None, config=None)(fine)
    work.batch(Step.MORE, concurrency=trio.CapacityLimiter(2), item_timeout=math.inf)(other)
    plans = work.blueprint()
    assert plans[Step.WORK].node.config == TaskConfig()
    assert plans[Step.MORE].node.knobs["item_timeout"] == math.inf


def test_infinite_timeout_is_no_limit() -> None:
    """`attempt_timeout=math.inf` is the way to take back a default."""
    assert TaskConfig(attempt_timeout=math.inf).limit is None
    assert TaskConfig().limit is None
    assert TaskConfig(attempt_timeout=2).limit == 2


@pytest.mark.parametrize(
    "on_error",
    [
        {OSError: Other.WORK},
        {OSError: "DONE"},
        {"OSError": Step.DONE},
        {BaseException: Step.DONE},
        {KeyboardInterrupt: Step.DONE},
        {OSError("x"): Step.DONE},
        {(OSError, ValueError): Step.DONE},
    ],
)
def test_wrong_error_edges(on_error: Any) -> None:
    """E20: on_error maps types of Exception to states; anything else is told with the definition, not at a failure."""
    work = workflow()
    work.task(Step.WORK, on_error=on_error)(fine)
    problem = next(found for found in work.problems() if found.severity == "error")
    ((kind, target),) = on_error.items()
    assert (problem.code, problem.place) == ("E20", "WORK")
    assert problem.message == f"on_error of fine has {kind!r}: {target!r}"
    assert problem.hint == "Map exception types to states, such as {OSError: Step.FAILED}."
    assert problem.site.endswith(line(fine))


@pytest.mark.parametrize("on_error", [[OSError], Step.DONE, "x"])
def test_error_edges_are_a_mapping(on_error: Any) -> None:
    """E20: what is no mapping at all is refused at once."""
    problem = refused(lambda: workflow().task(Step.WORK, on_error=on_error)(fine))
    assert (problem.code, problem.message) == ("E20", f"on_error of fine is {on_error!r}, not a mapping")


def test_hidden_error_edges() -> None:
    """W20: an entry that an earlier, wider one takes everything from is told as a warning, once, and hinders no run."""
    work = workflow()
    work.task(
        Step.WORK,
        on_error={ConnectionError: Step.DONE, OSError: Step.DONE, TimeoutError: Step.MORE, BlockingIOError: Step.MORE},
    )(fine)
    work.task(Step.MORE, on_error={OSError: Step.DONE, ValueError: Step.DONE, Exception: Step.DONE})(other)
    assert [(found.code, found.place, found.severity, found.message) for found in work.problems()] == [
        ("W20", "WORK", "warning", "on_error of fine never comes to TimeoutError: OSError stands before it"),
        ("W20", "WORK", "warning", "on_error of fine never comes to BlockingIOError: OSError stands before it"),
    ]
    assert work.problems()[0].hint == "The first that fits is taken: put the narrower type first, or delete it."
    assert work.problems()[0].site.endswith(line(fine))
    work.validate()
