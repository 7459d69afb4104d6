"""Tasks and resources that do what a test tells them to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from enum import Enum
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, final

import attrs
import trio

from .._define.context import RunContext
from .._define.edges import written
from .._errors import DefinitionError

T = TypeVar("T")

Scripted: TypeAlias = Enum | BaseException | type[BaseException]
"""What a call of a fake comes to: the state that it names, or what it raises."""


class ScriptRanOut(AssertionError):
    """A fake was called more often than its script says; it is not retried.

    Args:
        name: what was called.
        scripted: how many calls the script has.
    """

    def __init__(self, name: str, scripted: int) -> None:
        super().__init__(
            f"{name} was called {scripted + 1} times, and its script has {scripted} outcome{'s' * (scripted != 1)}. "
            "Add one, or pass a single outcome instead of a list: that one is for every call."
        )
        self.scripted = scripted


@final
@attrs.frozen(kw_only=True)
class FakeCall:
    """A call of a `FakeTask`.

    Args:
        run_id: the run.
        state: the state it was in.
        visit: how often the run has been there, counted from 1.
        attempt: the number of the attempt, counted from 1.
        key: the idempotency key.
        time: when, in seconds of trio's clock.
    """

    run_id: str
    state: Enum
    visit: int
    attempt: int
    key: str
    time: float


@final
class FakeTask:
    """A task that does nothing, and comes to what its script says; for `Workflow.with_tasks`.

    It stands in for the task that it replaces: with that one's retries, timeouts, breaker and ``on_error``, and with its
    edges. A script that names a state to which that task does not lead is refused.

    Args:
        script: a state, an exception or a class of exceptions: what every call comes to. Or a list of these, one for each
            call.
        delay: seconds that a call takes before it comes to that; a list has one for each call, the last for all later ones.
        name: its name in events and errors.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio, trio.testing
    >>> from cano_trio import Retry, Workflow
    >>> from cano_trio.testing import FakeTask
    >>> Step = Enum("Step", "CHARGE DONE")
    >>> workflow = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    >>> @workflow.task(Step.CHARGE, retry=Retry.fixed(2, delay=10.0))
    ... async def charge() -> Literal[Step.DONE]:
    ...     raise NotImplementedError("it asks a bank")
    >>> fake = FakeTask([OSError("busy"), Step.DONE], delay=2.0)
    >>> tested = workflow.with_tasks({Step.CHARGE: fake})
    >>> trio.run(tested.orchestrate, clock=trio.testing.MockClock(autojump_threshold=0))
    <Step.DONE: 2>
    >>> [(call.state.name, call.attempt, call.time) for call in fake.calls]
    [('CHARGE', 1, 0.0), ('CHARGE', 2, 12.0)]
    """

    def __init__(
        self,
        script: Scripted | Sequence[Scripted],
        /,
        *,
        delay: float | Sequence[float] = 0.0,
        name: str = "fake",
    ) -> None:
        self._script = _Script(name, script)
        self._delays = [float(one) for one in (delay if isinstance(delay, Sequence) else [delay])]
        if not self._delays or not all(one >= 0 for one in self._delays):
            raise ValueError(f"delay is {delay!r}: it takes seconds, 0 or more, or a list of them")
        self.calls: list[FakeCall] = []
        """Its calls, in order."""
        self.__name__ = name
        # What the engine reads annotations from: those of the class could not name this script's states.
        self.__wrapped__: Callable[..., Coroutine[Any, Any, Any]] = self._leading_to(self._script.states)

    async def __call__(self, ctx: RunContext) -> Any:
        """Be called as a task is.

        Raises:
            ScriptRanOut: the script has no more.
        """
        number = len(self.calls)
        self.calls.append(
            FakeCall(
                run_id=ctx.run_id, state=ctx.state, visit=ctx.visit, attempt=ctx.attempt, key=ctx.idempotency_key,
                time=trio.current_time(),
            )
        )  # fmt: skip
        await trio.sleep(self._delays[min(number, len(self._delays) - 1)])
        outcome = self._script[number]
        if isinstance(outcome, Enum):
            return outcome
        raise outcome

    def standing_in(self, place: str, targets: Collection[Enum], /) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The task for a state in which another one is replaced; `Workflow.with_tasks` asks for it.

        Args:
            place: the state's name, for errors.
            targets: where the one that is replaced may lead.

        Raises:
            DefinitionError: the script names a state that is none of these.
        """
        for state in self._script.states:
            if targets and state not in targets:
                raise DefinitionError.one(
                    "E44", place, f"{self.__name__} leads to {written(state)}, where the task that it replaces never does",
                    hint=f"That one may return {', '.join(map(written, targets))}.",
                )  # fmt: skip
        return self._leading_to([*targets] or self._script.states)

    def _leading_to(self, targets: Sequence[Enum]) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The same as a function whose annotation says where it leads."""

        async def call(ctx: RunContext) -> Any:
            return await self(ctx)

        call.__annotations__ = {"ctx": RunContext, "return": Literal[tuple(targets)]}
        call.__name__ = call.__qualname__ = self.__name__
        return call

    def __repr__(self) -> str:
        """Its script."""
        return f"<FakeTask {self.__name__}: {self._script}, called {len(self.calls)} times>"


class _Script:
    """What calls come to, one after the other; a single outcome is for all of them."""

    def __init__(self, name: str, script: Any) -> None:
        self._name = name
        self._forever = not isinstance(script, list | tuple)
        self._outcomes: Sequence[Any] = [script] if self._forever else script
        for outcome in self._outcomes:
            if not isinstance(outcome, Enum | BaseException) and not _is_exception_class(outcome):
                raise TypeError(
                    f"the script of {name} has {outcome!r}: it takes states, exceptions and classes of exceptions"
                )

    @property
    def states(self) -> list[Enum]:
        """The states that it names."""
        return list(dict.fromkeys(outcome for outcome in self._outcomes if isinstance(outcome, Enum)))

    def __getitem__(self, number: int) -> Any:
        """What the call of a number, counted from 0, comes to."""
        if self._forever:
            return self._outcomes[0]
        if number >= len(self._outcomes):
            raise ScriptRanOut(self._name, len(self._outcomes))
        return self._outcomes[number]

    def __str__(self) -> str:
        shown = [written(one) if isinstance(one, Enum) else repr(one) for one in self._outcomes]
        return shown[0] if self._forever else f"[{', '.join(shown)}]"


def _is_exception_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


# -- resources

_UNCOUNTED = ("setup", "teardown", "health")
"""The methods of a resource that no task calls."""


@final
class FlakyResource(Generic[T]):
    """A resource that fails where it is told to, and works otherwise; `Shared` and `PerRun` open it like any other.

    Entered, it gives `inner`, whose methods fail at the calls that are named: all its methods' calls are counted together,
    and ``isinstance`` takes what is given for one of the class of `inner`. An `inner` that is an async context manager is
    entered, and left.

    Args:
        inner: what works behind it.
        enters: which times that it is opened fail, counted from 1.
        calls: which calls of a method fail, counted from 1, before `inner` hears of them.
        error: what they fail with: an exception, or a class of exceptions.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio, trio.testing
    >>> from cano_trio import Resources, Retry, Shared, Workflow
    >>> from cano_trio.testing import FlakyResource
    >>> class Bank:
    ...     async def charge(self, amount: int) -> str:
    ...         return f"charged {amount}"
    >>> Step = Enum("Step", "CHARGE DONE")
    >>> workflow = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    >>> @workflow.task(Step.CHARGE, retry=Retry.fixed(1, delay=5.0))
    ... async def charge(bank: Bank) -> Literal[Step.DONE]:
    ...     print(await bank.charge(3))
    ...     return Step.DONE
    >>> flaky = FlakyResource(Bank(), calls={1}, error=OSError("no network"))
    >>> resources = Resources(bank=Shared(lambda: flaky, provides=Bank))
    >>> trio.run(lambda: workflow.orchestrate(resources=resources), clock=trio.testing.MockClock(autojump_threshold=0))
    charged 3
    <Step.DONE: 2>
    >>> flaky.called
    2
    """

    def __init__(
        self,
        inner: T,
        /,
        *,
        enters: Iterable[int] = (),
        calls: Iterable[int] = (),
        error: Exception | type[Exception] = ConnectionError,
    ) -> None:
        self.inner = inner
        self.entered: int = 0
        """How often it was opened, or failed to."""
        self.called: int = 0
        """How many calls were made of its methods."""
        self._enters = frozenset(enters)
        self._calls = frozenset(calls)
        self._error = error
        self._value: Any = inner

    async def __aenter__(self) -> T:
        """Open it."""
        await trio.lowlevel.checkpoint()
        self.entered += 1
        if self.entered in self._enters:
            raise self._failure("enter", self.entered)
        inner: Any = self.inner
        if hasattr(type(inner), "__aenter__"):
            self._value = await inner.__aenter__()
        elif inspect.iscoroutinefunction(getattr(inner, "setup", None)):
            await inner.setup()
        return cast("T", _Flaky(self._value, self._call))

    async def __aexit__(self, *exc_info: object) -> bool | None:
        """Close it."""
        inner: Any = self.inner
        if hasattr(type(inner), "__aexit__"):
            return cast("bool | None", await inner.__aexit__(*exc_info))
        if inspect.iscoroutinefunction(getattr(inner, "teardown", None)):
            await inner.teardown()
        return None

    def _call(self, method: str) -> None:
        """A method is called."""
        self.called += 1
        if self.called in self._calls:
            raise self._failure(method, self.called)

    def _failure(self, what: str, number: int) -> Exception:
        if isinstance(self._error, Exception):
            return self._error
        return self._error(f"{type(self.inner).__name__}: {what} fails, as it is told to at number {number}")


class _Flaky:
    """A value whose methods are counted, and fail where they are told to."""

    def __init__(self, value: Any, called: Callable[[str], None]) -> None:
        self._value = value
        self._called = called

    @property  # type: ignore[misc]  # as unittest.mock does it
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What it is taken for."""
        return type(self._value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._value, name)
        if not inspect.isroutine(found) or name in _UNCOUNTED:
            return found
        called = self._called

        if not inspect.iscoroutinefunction(found):

            @functools.wraps(found)
            def call(*args: Any, **kwargs: Any) -> Any:
                called(name)
                return found(*args, **kwargs)

            return call

        @functools.wraps(found)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            await trio.lowlevel.checkpoint()
            called(name)
            return await found(*args, **kwargs)

        return call_async
