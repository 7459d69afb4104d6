"""The function form and the class form say the same (TSK-*), and options are read once (RET-14)."""

from __future__ import annotations

import copy
import inspect
import pickle
from enum import Enum, auto
from typing import Any, Literal

import outcome
import pytest
import trio

from cano_trio import (
    BatchResults,
    BatchTask,
    CircuitBreaker,
    CircuitPolicy,
    ItemResult,
    RateLimiter,
    Resources,
    Retry,
    RouterTask,
    Task,
    TaskConfig,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    MORE = auto()
    DONE = auto()
    FAILED = auto()


def workflow(**arguments: Any) -> Workflow[Step]:
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.FAILED], **arguments)


async def to_done() -> Literal[Step.DONE]:
    """Go there."""
    return Step.DONE


async def double(item: int) -> int:
    """Twice the item."""
    return 2 * item


module_workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])


@module_workflow.batch(Step.WORK)
async def halve(item: int) -> int:
    """Half the item."""
    return item // 2


def test_single_functions_stay_what_they_are() -> None:
    """RULINGS 3.9: a decorator for one function returns that very function."""
    work = workflow()
    assert work.task(Step.WORK)(to_done) is to_done
    assert work.router(Step.MORE)(to_done) is to_done


def test_hung_functions_stay_what_they_are() -> None:
    """So do `load` and `finish`."""
    batch = workflow().batch(Step.WORK)(double)

    async def load() -> list[int]:
        return []

    async def finish(results: BatchResults[int, int]) -> Literal[Step.DONE]:
        return Step.DONE

    assert batch.load(load) is load
    assert batch.finish(finish) is finish


async def test_a_batch_function_is_called_as_before() -> None:
    """A decorated item function works as a function does: called, read, pickled and copied by its name."""
    assert await halve(8) == 4
    assert (halve.__name__, halve.__doc__, halve.__module__) == ("halve", "Half the item.", __name__)  # type: ignore[attr-defined]
    assert inspect.signature(halve) == inspect.signature(halve.__wrapped__)  # type: ignore[attr-defined]
    assert copy.copy(halve) is halve
    assert copy.deepcopy(halve) is halve


def test_a_batch_function_pickles_by_name() -> None:
    """It pickles as a global name: loading it gives the object that the module has."""
    assert pickle.loads(pickle.dumps(halve)) is halve


class Plain(Task[Step]):
    async def run(self) -> Literal[Step.DONE]:
        return Step.DONE


BREAKERS = {"eu": CircuitBreaker()}
BREAKER = CircuitBreaker(CircuitPolicy())
LIMITER = RateLimiter(1.0)
OPTIONS: dict[str, Any] = {
    "name": "other",
    "retry": Retry.fixed(2, delay=1.0),
    "attempt_timeout": 3.0,
    "retry_on": OSError,
    "breaker": BREAKER,
    "limiter": LIMITER,
    "on_open": "wait",
    "on_error": {OSError: Step.FAILED},
}


def settled(work: Workflow[Step]) -> tuple[Any, ...]:
    node = work.blueprint()[Step.WORK].node
    return node.name, node.config, node.on_error


def test_all_ways_to_say_an_option_agree() -> None:
    """RULINGS 3.8: a class takes as attributes, and in its `__init__`, what a decorator takes as keywords."""
    by_decorator, by_register, by_class, by_init, by_override = (workflow() for _ in range(5))
    by_decorator.task(Step.WORK, **OPTIONS)(to_done)
    by_register.register(Step.WORK, to_done, **OPTIONS)
    by_class.register(Step.WORK, type("Form", (Plain,), OPTIONS)())

    class Init(Plain):
        def __init__(self) -> None:
            vars(self).update(OPTIONS)

    by_init.register(Step.WORK, Init())
    by_override.register(Step.WORK, Plain(), **OPTIONS)
    found = settled(by_decorator)
    assert found == (
        "other",
        TaskConfig(
            retry=Retry.fixed(2, delay=1.0),
            attempt_timeout=3.0,
            retry_on=OSError,
            breaker=BREAKER,
            limiter=LIMITER,
            on_open="wait",
        ),
        {OSError: Step.FAILED},
    )
    for work in (by_register, by_class, by_init, by_override):
        assert settled(work) == found


def test_what_overrides_what() -> None:
    """Keywords of `register` go over attributes, single options over `config`, and that over the defaults."""

    class Form(Plain):
        config = TaskConfig(retry=Retry.fixed(1, delay=1.0), attempt_timeout=1.0, on_open="wait")
        attempt_timeout = 2.0

    work = workflow(defaults=TaskConfig(attempt_timeout=9.0, retry=Retry.none()))
    work.register(Step.WORK, Form(), retry=Retry.fixed(5, delay=5.0))
    work.task(Step.MORE, attempt_timeout=7.0)(to_done)
    nodes = {state: plan.node for state, plan in work.blueprint().items()}
    assert nodes[Step.WORK].config == TaskConfig(retry=Retry.fixed(5, delay=5.0), attempt_timeout=2.0, on_open="wait")
    assert nodes[Step.MORE].config == TaskConfig(retry=Retry.none(), attempt_timeout=7.0)


def test_options_are_read_once() -> None:
    """RET-14: an attribute that changes after the registration changes nothing."""

    class Form(Plain):
        attempt_timeout = 2.0

    form, work = Form(), workflow()
    work.register(Step.WORK, form)
    form.attempt_timeout = 5.0
    assert work.blueprint()[Step.WORK].node.config.attempt_timeout == 2.0


def test_batch_options() -> None:
    """A batch's own options have documented defaults, and may be said in either form."""

    class Form(BatchTask[Step, int, int]):
        concurrency = 3
        item_timeout = 1.5
        record_items = False

        async def load(self) -> list[int]:
            return []

        async def process_item(self, item: int) -> int:
            return item

        async def finish(self, results: BatchResults[int, int]) -> Literal[Step.DONE]:
            return Step.DONE

    work = workflow()
    work.register(Step.WORK, Form(), item_retry=Retry.fixed(1, delay=1.0))
    work.batch(Step.MORE)(double)
    plans = work.blueprint()
    knobs = ("concurrency", "item_retry", "item_timeout", "record_items")
    assert [plans[Step.WORK].node.knobs[knob] for knob in knobs] == [3, Retry.fixed(1, delay=1.0), 1.5, False]
    assert [plans[Step.MORE].node.knobs[knob] for knob in knobs] == [1, Retry.none(), None, True]


def flaky(error: BaseException) -> bool:
    return isinstance(error, OSError)


async def test_functions_as_class_attributes(autojump_clock: trio.testing.MockClock) -> None:
    """A function that a class body assigns to an option is taken as it is, though Python would bind it."""
    calls: list[str] = []

    class Form(Task[Step]):
        retry = Retry.fixed(1, delay=1.0)
        retry_on = flaky  # type: ignore[assignment]
        breaker = lambda region: BREAKERS[region]  # noqa: E731

        async def run(self) -> Literal[Step.DONE]:
            calls.append("run")
            if len(calls) == 1:
                raise OSError
            return Step.DONE

    work = workflow(resources=Resources(region="eu"))
    work.register(Step.WORK, Form())
    assert await work.orchestrate() is Step.DONE
    assert calls == ["run", "run"]


async def test_methods_as_options(autojump_clock: trio.testing.MockClock) -> None:
    """A method that has an option's name is bound to the task, as any method is."""

    class Form(Task[Step]):
        retry = Retry.fixed(1, delay=1.0)

        def __init__(self) -> None:
            self.asked: list[Exception] = []

        def retry_on(self, error: Exception) -> bool:
            self.asked.append(error)
            return False

        async def run(self) -> Literal[Step.DONE]:
            raise ValueError

    form, work = Form(), workflow()
    work.register(Step.WORK, form)
    with pytest.raises(ValueError):
        await work.orchestrate()
    assert len(form.asked) == 1


def test_names() -> None:
    """TSK-3: a task is called as its function or class, unless it has a name."""

    class Named(Plain):
        name = "greeter"

    work: Any = workflow()
    for state, task in zip(Step, (to_done, Plain(), Named(), Plain()), strict=True):
        work.register(state, task, **({"name": "last"} if state is Step.FAILED else {}))
    assert [plan.node.name for plan in work.blueprint().values()] == ["to_done", "Plain", "greeter", "last"]


async def test_users_may_call_things_model() -> None:
    """No attribute that a task class needs of its own is in the way of a user's."""

    class Predict(Plain):
        model = "gpt"
        scopes = ("read",)

        def __init__(self, node: str) -> None:
            self.node = node

    work = workflow()
    work.register(Step.WORK, Predict("n"))
    assert await work.orchestrate() is Step.DONE


async def test_subclass_of_a_users_task() -> None:
    """A user's class may be derived from: methods, options and name are inherited, or overridden."""

    class Base(RouterTask[Step]):
        attempt_timeout = 2.0
        target = Step.DONE

        async def route(self) -> Literal[Step.DONE, Step.FAILED]:
            return self.target  # type: ignore[return-value]

    class Derived(Base):
        target = Step.FAILED

    work = workflow()
    work.register(Step.WORK, Derived())
    node = work.blueprint()[Step.WORK].node
    assert (node.name, node.model.name, node.config.attempt_timeout) == ("Derived", "router", 2.0)
    assert await work.orchestrate() is Step.FAILED


def test_plan_of_a_class_form_has_its_site() -> None:
    """A class form's site is its first method's, so that a problem leads to the code."""
    work = workflow()
    work.register(Step.WORK, Plain())
    line = Plain.run.__code__.co_firstlineno
    assert str(work.blueprint()[Step.WORK].node.site).endswith(f"test_forms.py:{line}")


def test_results_of_a_batch() -> None:
    """`BatchResults` is a sequence of results in input order, with what succeeded and what failed picked out."""
    good: ItemResult[str, int] = ItemResult("a", outcome.Value(1), 1, 0.5)
    bad: ItemResult[str, int] = ItemResult("b", outcome.Error(OSError()), 3, 0.1)
    results: BatchResults[str, int] = BatchResults([good, bad])
    assert (results[0], results[-1], list(results[1:]), len(results)) == (good, bad, [bad], 2)
    assert (results.values, results.failures) == ([1], [bad])
    assert list(results) == [good, bad]
    assert bad in results
    assert (good.value, good.error) == (1, None)
    assert isinstance(bad.error, OSError)
    with pytest.raises(OSError) as caught:
        _ = bad.value
    assert caught.value is bad.error
    assert repr(results) == "<BatchResults of 2, 1 failed>"
