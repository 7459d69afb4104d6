"""What a user writes to look again and again until something is there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar, final

from msgspec import Struct

from .._resilience import Backoff
from .checks import check_count, check_instance, check_wait
from .config import TaskOptions
from .form import S_co, TaskForm
from .model import MethodRule, Model

S = TypeVar("S", bound=Enum)
P = ParamSpec("P")


@final
class Pending(Struct, frozen=True, kw_only=True):
    """Not there yet: what a poll returns to be asked again.

    Args:
        delay: seconds until it is; by default the task's backoff says. 0 asks again at once, but lets others run.
        reset: let the backoff begin anew, because something has moved.

    Raises:
        ValueError: the delay is negative, has no end, or is no number.
    """

    delay: float | None = None
    reset: bool = False

    def __post_init__(self) -> None:
        if self.delay is not None:
            check_wait("the delay of Pending", self.delay)


POLL = Model(
    name="poll",
    methods=(MethodRule(name="poll", names_state=True, writes=True, also=(Pending,)),),
    knobs={
        "backoff": (Backoff(), check_instance(Backoff, "Backoff(base=1, maximum=60)")),
        "max_errors": (0, check_count),
        "error_backoff": (Backoff(), check_instance(Backoff, "Backoff(base=1, maximum=60)")),
    },
    retries=False,
)


class PollOptions(TaskOptions[S], total=False):
    """What `Workflow.poll` takes as keywords: `TaskOptions`, and these.

    Args:
        backoff: how long to wait between two looks where `Pending` does not say.
        max_errors: how many failures in a row, of those that ``retry_on`` names, are taken for ``Pending``; none by
            default.
        error_backoff: how long to wait after such a failure; an error's own ``retry_after`` overrides it.
    """

    backoff: Backoff
    max_errors: int
    error_backoff: Backoff


class PollTask(TaskForm[S_co]):
    """Looks again and again until it can name the next state; the class form of `Workflow.poll`.

    Between two looks it sleeps: as long as `Pending` says, or by its `backoff`, which grows. Only the look that names a
    state may change the run's data. ``attempt_timeout`` bounds the whole, which then fails with `PollTimeout`; without
    one it may look for ever. There is no retry by default (cano RET-2); one begins anew, with nothing counted.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio, trio.testing
    >>> from cano_trio import Backoff, Pending, PollTask, Workflow
    >>> Step = Enum("Step", "AWAIT DONE")
    >>> class Await(PollTask[Step]):
    ...     backoff = Backoff(base=1, jitter=0)
    ...     async def poll(self) -> Literal[Step.DONE] | Pending:
    ...         return Step.DONE if trio.current_time() > 5 else Pending()
    >>> workflow = Workflow(Step, initial=Step.AWAIT, exits=[Step.DONE])
    >>> workflow.register(Step.AWAIT, Await())
    >>> trio.run(workflow.run, clock=trio.testing.MockClock(autojump_threshold=0)).elapsed
    7.0
    """

    __model__: ClassVar[Model] = POLL

    backoff: Backoff = Backoff()
    """How long to wait between two looks where `Pending` does not say."""
    max_errors: int = 0
    """How many failures in a row, of those that ``retry_on`` names, are taken for `Pending`; one more fails the attempt
    (cano POL-4)."""
    error_backoff: Backoff = Backoff()
    """How long to wait after such a failure; an error's own ``retry_after`` overrides it."""

    @abstractmethod
    async def poll(self, *args: Any, **kwargs: Any) -> S_co | Pending:
        """Look, and name the next state or return `Pending`; parameters are injected by their annotations."""


class PollDecorator(Protocol[S]):
    """What `Workflow.poll` returns."""

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, S | Pending]], /
    ) -> Callable[P, Coroutine[Any, Any, S | Pending]]:
        """Register the function and return it as it is."""
        ...
