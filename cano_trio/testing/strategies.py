"""Hypothesis strategies for what workflows are tested with; import it explicitly, it needs hypothesis.

Importing it registers the library's source of jitter with Hypothesis, as trio does its own: so a test with ``@given`` sees the
same delays and the same order of tasks each time, and one that draws ``st.random_module()`` tries many:

>>> from enum import Enum
>>> from typing import Literal
>>> import trio, trio.testing
>>> from hypothesis import given, settings, strategies as st
>>> from cano_trio import Workflow
>>> from cano_trio.testing import RecordingObserver
>>> from cano_trio.testing.strategies import workflows
>>> @settings(max_examples=10, deadline=None)
... @given(workflows(), st.random_module())
... def test_every_run_ends(workflow, _):
...     recorder = RecordingObserver()
...     clock = trio.testing.MockClock(autojump_threshold=0)
...     result = trio.run(lambda: workflow.run(Trail(), observers=[recorder]), clock=clock)
...     recorder.assert_completed_with(result.state)
>>> test_every_run_ends()
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from string import ascii_uppercase
from typing import Any, Final

from hypothesis import note, register_random
from hypothesis import strategies as st

from .._define.child import family
from .._define.edges import written
from .._define.messages import message_types
from .._resilience.backoff import jitter_source
from .._runtime.workflow import Workflow
from ._sketches import LEADS_ONE_WAY, TRIES_AGAIN, StateSketch, sketched
from ._sketches import MODELS as _MODELS
from ._sketches import Nudge as Nudge
from ._sketches import Trail as Trail
from .fakes import Scripted

register_random(jitter_source)

MODELS: Final[tuple[str, ...]] = tuple(_MODELS)
"""The names of the task models that `workflows` makes states of."""

ERRORS: Final[tuple[type[Exception], ...]] = (ConnectionError, TimeoutError, ValueError)
"""What fails in `outcomes` where nothing else is said."""


def delays(*, maximum: float = 3600.0) -> st.SearchStrategy[float]:
    """Seconds: often none, rather few, seldom many. They are sums of 1/1024, which floats hold exactly.

    Args:
        maximum: the longest.
    """
    ticks = int(maximum * 1024)
    few = st.integers(0, min(ticks, 16)).map(lambda seconds: float(min(seconds, maximum)))
    return st.one_of(st.just(0.0), few, st.integers(0, ticks).map(lambda tick: tick / 1024))


def outcomes(
    workflow: Workflow[Any, Any], state: Enum, /, *, errors: Sequence[Scripted] = ERRORS
) -> st.SearchStrategy[Scripted]:
    """What a call of a state's task may come to: a state that it leads to, or an error; for the script of a `FakeTask`.

    Args:
        workflow: the workflow.
        state: the state, which has a task.
        errors: exceptions, or classes of them; none for a task that does not fail.

    Raises:
        ValueError: the state has no task that names a state.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> from hypothesis import find
    >>> from cano_trio import Workflow
    >>> from cano_trio.testing.strategies import outcomes
    >>> Step = Enum("Step", "CHECK DONE")
    >>> workflow = Workflow(Step, initial=Step.CHECK, exits=[Step.DONE])
    >>> @workflow.task(Step.CHECK)
    ... async def check() -> Literal[Step.DONE]:
    ...     return Step.DONE
    >>> find(outcomes(workflow, Step.CHECK), lambda outcome: True)
    <Step.DONE: 2>
    """
    plan = workflow.blueprint().get(state)
    targets = () if plan is None else plan.targets
    if not targets:
        raise ValueError(f"{written(state)} of {workflow.name} leads nowhere by itself: name a state that has a task")
    return st.sampled_from([*targets, *errors])


def messages(workflow: Workflow[Any, Any], /) -> st.SearchStrategy[object]:
    """Messages that some state of a workflow, or of a child of it, takes; made by ``st.from_type``.

    Args:
        workflow: the workflow.

    Raises:
        ValueError: no state takes any.
    """
    plans = [plan for one in family(workflow) for plan in one.blueprint().values()]
    kinds = dict.fromkeys(kind for plan in plans for kind in message_types(plan.methods))
    if not kinds:
        raise ValueError(f"no state of {workflow.name} takes messages")
    return st.one_of([st.from_type(kind) for kind in kinds])


def workflows(
    *, models: Collection[str] = MODELS, max_states: int = 6, fails: bool = False, maximum: float = 100.0
) -> st.SearchStrategy[Workflow[Any, Trail]]:
    """Small workflows that come to an end, with states of all models, whose data are a `Trail`.

    Each state leads only to later ones and to exits, so that a run ends by itself; receiving states take a `Nudge` and have
    a timeout. What a run does depends on nothing but the workflow, the messages and, where branches or items are at work at
    once, the order of tasks.

    Args:
        models: which task models to use.
        max_states: how many states with a task at most.
        fails: whether attempts may fail for good: with an ``on_error`` or without one.
        maximum: seconds that a state takes at most, or waits at a time.

    Raises:
        ValueError: there is no such model.
    """
    if unknown := set(models) - set(MODELS):
        raise ValueError(f"there is no model {', '.join(sorted(unknown))}: there are {', '.join(MODELS)}")
    return _workflows(sorted(models), max_states, fails=fails, maximum=maximum)


@st.composite
def _workflows(
    draw: st.DrawFn, models: Sequence[str], max_states: int, *, fails: bool, maximum: float
) -> Workflow[Any, Trail]:
    number = draw(st.integers(1, max_states))
    states = Enum("State", [*ascii_uppercase[:number], "DONE", "OTHER"])  # type: ignore[misc]
    every: list[Any] = list(states)  # pyright: ignore[reportArgumentType]
    sketches: dict[Any, StateSketch] = {}
    reached = {every[0]}
    for at, state in enumerate(every[:number]):
        if state in reached:
            sketches[state] = sketch = draw(_sketches(models, every[at + 1 :], fails=fails, maximum=maximum))
            reached |= {*sketch.targets, sketch.failed}
    workflow = sketched(sketches, every[number:], "sketch")
    note(f"{workflow:ascii}")
    return workflow


@st.composite
def _sketches(
    draw: st.DrawFn, models: Sequence[str], later: Sequence[Any], *, fails: bool, maximum: float
) -> StateSketch:
    """What a state does that leads to later ones."""
    model = draw(st.sampled_from(models))
    goes = draw(st.sampled_from(later))
    others = [] if model in LEADS_ONE_WAY else draw(st.lists(st.sampled_from(later), max_size=2))
    failures = draw(st.integers(0, 3 if fails else 2)) if model in TRIES_AGAIN else 0
    failed = draw(st.none() | st.sampled_from(later)) if model in TRIES_AGAIN else None
    return StateSketch(
        model=model, targets=list(dict.fromkeys([goes, *others])), goes=goes, failures=failures, failed=failed,
        seconds=draw(delays(maximum=maximum)),
    )  # fmt: skip
