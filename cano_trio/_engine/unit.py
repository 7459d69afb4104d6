"""One function under its policies, with its injected arguments: what `attempt` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from .._define.branch_results import BranchResults
from .._define.config import TaskConfig
from .._define.messages import received
from .._define.method import Method, Parameter, Want
from .._define.resources import Elsewhere, Key, PerRun
from .._errors import ResourceNotFound
from .._resilience import CircuitBreaker, Limiter, is_limiter, matcher
from .intake import Intake
from .layers import Call, chosen, guarded, limited, reading, timed
from .lifecycle import Resources
from .mailbox import Kinds
from .run import Run

Give = Callable[[Run, int, str], object]
"""Gives one argument that differs between attempts: from the run, the attempt's number, and the part of the work."""

_NO_RESULTS: BranchResults[Any] = BranchResults()

BARE = TaskConfig.minimal()
"""No policy at all."""


def give_run(run: Run, _number: int, _part: str) -> object:
    """The run itself."""
    return run


def give_number(_run: Run, number: int, _part: str) -> object:
    """The attempt's number."""
    return number


def give_part(_run: Run, _number: int, part: str) -> object:
    """Which part of the state's work it is."""
    return part


@final
class Unit:
    """One callable under one policy. Whatever can be known before a run is settled here, once.

    Args:
        label: its name in events and errors.
        call: the function.
        args: the arguments that never differ, with gaps for those that do.
        varying: what fills the gaps, by place among the arguments.
        prefix: what comes before all arguments, for the layers.
        config: its policies; one that is not set costs nothing.
        bare: its last failure is raised as it is, not as `RetryExhausted`.
    """

    __slots__ = ("args", "bare", "call", "fill", "label", "matches", "retry", "takes_draft")

    def __init__(
        self,
        label: str,
        call: Call,
        args: tuple[object, ...] = (),
        *,
        varying: Sequence[tuple[int, Give]] = (),
        prefix: Sequence[Give] = (),
        config: TaskConfig = BARE,
        bare: bool = False,
    ) -> None:
        self.label = label
        self.call = call
        self.args = args
        self.fill = _filler(tuple(varying), tuple(prefix)) if varying or prefix else None
        self.retry = config.retry
        self.matches = matcher(config.retry_on)
        self.bare = bare or config.retry.retries == 0
        self.takes_draft = any(give is _give_draft for _, give in varying)
        """It is given the run's data to change them."""

    async def once(self, run: Run, number: int, *given: object, part: str = "") -> Any:
        """Call it without any retry, as a part of attempt `number` of a greater unit."""
        args = (*given, *self.args)
        return await self.call(*(args if self.fill is None else self.fill(run, number, args, part)))


def _filler(
    varying: tuple[tuple[int, Give], ...], prefix: tuple[Give, ...]
) -> Callable[[Run, int, tuple[object, ...], str], list[object]]:
    def fill(run: Run, number: int, args: tuple[object, ...], part: str) -> list[object]:
        filled = [*args]
        for at, give in varying:
            filled[at] = give(run, number, part)
        if prefix:
            filled[:0] = [give(run, number, part) for give in prefix]
        return filled

    return fill


@final
class Binder:
    """Makes units of a workflow's methods over a set of resources."""

    def __init__(self, data: type | None, resources: Resources | Elsewhere, program_of: Callable[[Any], Any]) -> None:
        self._data = data
        self._resources = resources
        self.program_of = program_of
        """Gives the program of a child workflow over the same resources."""

    def unit(
        self,
        method: Method,
        *,
        writes: bool = False,
        config: TaskConfig = BARE,
        choosers: Mapping[str, Method] | None = None,
        label: str | None = None,
        bare: bool = False,
        around: Callable[[Call], Call] | None = None,
    ) -> Unit:
        """The unit of a method: its resources looked up, its policies put around it."""
        own = len(method.own)
        args, varying, named = self._arguments(method.parameters, own, writes=writes)
        call: Call = method.function
        if named:
            call = _by_name(call, own + len(args) - len(named), named)
        data_at = next((at for at, give in varying if give is _give_reading), None)
        return layered(
            label or method.label,
            call,
            args,
            varying,
            (),
            config,
            self.choices(choosers or {}),
            bare=bare,
            around=around,
            reads=None if data_at is None else (data_at, method.label),
        )

    def choices(self, choosers: Mapping[str, Method]) -> dict[str, Give]:
        """What gives the breaker and the limiter that functions choose, by option."""
        return {option: self.plain(method) for option, method in choosers.items()}

    def plain(self, method: Method, *, writes: bool = False) -> Callable[..., Any]:
        """A plain function, that gets the run, the attempt's number and the part; then what the model gives it."""
        args, varying, named = self._arguments(method.parameters, len(method.own), writes=writes)
        function = method.function
        names = tuple(named)
        read = [at for at, give in varying if give is _give_reading]

        def call(run: Run, number: int, part: str, *given: object) -> object:
            filled = [*given, *args]
            for at, give in varying:
                filled[at] = give(run, number, part)
            split = len(filled) - len(names)
            result = function(*filled[:split], **dict(zip(names, filled[split:], strict=True)))
            for at in read:
                run.refuse_change(filled[at], method.label)
            return result

        return call

    def _arguments(
        self, parameters: Sequence[Parameter], own: int, *, writes: bool
    ) -> tuple[tuple[object, ...], list[tuple[int, Give]], list[str]]:
        """Injected arguments with gaps, what fills the gaps, and the names of those passed by name (they come last)."""
        args: list[object] = []
        varying: list[tuple[int, Give]] = []
        ordered = sorted(parameters, key=lambda parameter: parameter.keyword_only)
        for parameter in ordered:
            value, give = self._argument(parameter, writes=writes)
            if give is not None:
                varying.append((own + len(args), give))
            args.append(value)
        return tuple(args), varying, [parameter.name for parameter in ordered if parameter.keyword_only]

    def _argument(self, parameter: Parameter, *, writes: bool) -> tuple[object, Give | None]:
        match parameter.want:
            case Want.RESOURCES if self._resources.per_run:
                return None, _give_own
            case Want.RESOURCES:
                return self._resources, None
            case Want.CONTEXT if writes and (kinds := tuple(received(parameter))):
                return None, _intake_giver(kinds)
            case Want.CONTEXT:
                return None, Run.writing_context if writes else Run.context
            case Want.RESULTS:
                return None, _give_results
            case Want.DATA:
                return None, _give_draft if writes else _give_reading
            case Want.NAMED if self._data is not None and not self._has(parameter):
                return None, _give_draft if writes else _give_reading
            case _:
                return self._resource(parameter)

    def _has(self, parameter: Parameter) -> bool:
        try:
            self._resources.find(parameter.types, parameter.name, parameter.key)
        except ResourceNotFound:
            return False
        return True

    def _resource(self, parameter: Parameter) -> tuple[object, Give | None]:
        try:
            entry = self._resources.find(parameter.types, parameter.name, parameter.key)
        except ResourceNotFound:
            if parameter.optional:
                return parameter.default, None
            raise
        if isinstance(entry.given, PerRun):
            return None, _own_giver(entry.key)
        return entry.value, None


def layered(
    label: str,
    call: Call,
    args: tuple[object, ...],
    varying: Sequence[tuple[int, Give]],
    prefix: Sequence[Give],
    config: TaskConfig,
    choices: dict[str, Give],
    *,
    bare: bool = False,
    around: Callable[[Call], Call] | None = None,
    reads: tuple[int, str] | None = None,
) -> Unit:
    """A unit whose call stands inside the policies it has, composed once.

    What is put `around` the timed call gets the run and the part of the work first. Whether data that it only `reads`, at
    some place among its arguments and under some name, were changed is looked at behind that: a receipt must be kept first.

    Waiting at the limiter does not count against the attempt timeout, and an open breaker costs no limiter token.
    """
    front = list(prefix)
    if config.limit is not None:
        call = timed(call, config.limit, label)
    if around is not None:
        call = around(call)
        front[:0] = [give_run, give_part]
    if reads is not None:
        at, reader = reads
        call = reading(call, len(front) + at, reader)
        front.insert(0, give_run)
    if "limiter" in choices:
        call = chosen(call, lambda inner, limiter: limited(inner, _limiter(limiter, label)))
        front.insert(0, choices["limiter"])
    elif is_limiter(config.limiter):
        call = limited(call, config.limiter)
    if "breaker" in choices:
        on_open = config.on_open
        call = chosen(call, lambda inner, found: guarded(inner, _breaker(found, label), on_open))
        front.insert(0, choices["breaker"])
    elif isinstance(config.breaker, CircuitBreaker):
        call = guarded(call, config.breaker, config.on_open)
    return Unit(label, call, args, varying=varying, prefix=front, config=config, bare=bare)


def _breaker(found: object, label: str) -> CircuitBreaker:
    if not isinstance(found, CircuitBreaker):
        raise TypeError(f"{label}: the function that chooses its breaker returned {found!r}. Return a CircuitBreaker.")
    return found


def _limiter(found: object, label: str) -> Limiter:
    if not is_limiter(found):
        raise TypeError(f"{label}: the function that chooses its limiter returned {found!r}. Return a RateLimiter.")
    return found


def _by_name(function: Call, positional: int, names: Sequence[str]) -> Call:
    """The function with its last arguments passed by name."""

    async def call(*args: object) -> Any:
        return await function(*args[:positional], **dict(zip(names, args[positional:], strict=True)))

    return call


def _own_giver(key: Key) -> Give:
    return lambda run, _number, _part: run.resources.value(key)


def _give_own(run: Run, _number: int, _part: str) -> object:
    return run.resources


def _intake_giver(kinds: Kinds) -> Give:
    return lambda run, number, part: run.receiving_context(number, part, Intake(run, kinds))


def _give_results(run: Run, _number: int, _part: str) -> object:
    return _NO_RESULTS if run.joined is None else run.joined


def _give_draft(run: Run, _number: int, _part: str) -> object:
    run.draft = run.codec.unpack(run.packed)
    return run.draft


def _give_reading(run: Run, _number: int, _part: str) -> object:
    return run.codec.unpack(run.packed)
