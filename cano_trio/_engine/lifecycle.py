"""How resources are opened and closed: in order and in reverse, together, bounded, and never under a live run."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from threading import Lock
from types import TracebackType
from typing import Any, Self, final

import trio

from .._define.health import HealthStatus
from .._define.resources import CLOSED, Entry, Key, Made, PerRun, ResourceMap, is_async, is_unopened
from .._errors import ResourceError, TeardownTimeout
from .parting import parted

TEARDOWN_SECONDS = 30.0
"""What the teardown of one resource may take; it is shielded, so something must bound it."""

_log = logging.getLogger("cano_trio")

_changes: ContextVar[tuple[Entry, ...]] = ContextVar("cano_trio.changes", default=())
"""The resources of whose set-up or teardown the present task is a part; child tasks inherit them."""

_claiming = Lock()


@final
class Resources(ResourceMap):
    """What tasks work with: connections, stores, clients, found by type or by key.

    A run opens what is not open yet: in order, and closes it in reverse when it ends, however it ends (cano RES-3). Runs
    at the same time share one opening. The run that opened waits for the others before it closes, shielded: where many
    runs come and go, open them around all of these, with ``async with resources:``.

    Args:
        resources: values by key, where keys are members of an Enum, or no identifiers.
        **named: values by key. A value is used as it is, and set up and torn down if it has such async methods; see also
            `Shared` and `PerRun`.

    Raises:
        ResourceDuplicateKey: a key occurs twice (cano RES-1).
        TypeError: a key is neither a string nor an Enum member.

    >>> from cano_trio import MemoryStore, Resources
    >>> resources = Resources(store=MemoryStore(), limit=3)
    >>> resources
    <Resources store: MemoryStore, limit: int>
    >>> resources.get(int)
    3
    """

    def __init__(self, resources: Mapping[Any, object] | None = None, /, **named: object) -> None:
        self.programs: dict[Any, Any] = {}
        """Workflows bound to these resources, for `Program.of`."""
        self.lives: bool = False
        """Any of them has to be made, set up or torn down."""
        self.per_run: bool = False
        """Any of them is made anew for every run."""
        self.teardown_errors: tuple[Exception, ...] = ()
        """What went wrong when they were last closed; it is logged too, and never the failure of a run (cano RES-5).

        A `PerRun` is closed with its run, and what goes wrong there is only logged.
        """
        self._users = 0
        self._home: trio.lowlevel.TrioToken | None = None
        """The trio run in which they are open: its events wake nobody in another thread."""
        self._changing: trio.Event | None = None
        self._left = trio.Event()
        self._blocks: dict[trio.lowlevel.Task, list[AbstractAsyncContextManager[None]]] = {}
        super().__init__(resources, **named)

    def insert(self, key: Key, resource: object) -> None:
        """Add a resource; see `Resources` for what it may be.

        Args:
            key: a string or a member of an Enum.
            resource: any object, a `Shared` or a `PerRun`.

        Raises:
            ResourceDuplicateKey: the key is taken (cano RES-1).
            ResourceError: the resources are open: this one would come too late to be set up.
            TypeError: the key is neither a string nor an Enum member, or the resource should stand in a `Shared`.
        """
        if self._users:
            raise ResourceError(
                f"resource {key!r} comes too late: the others are open. Insert it before they are opened."
            )
        super().insert(key, resource)
        entry = self._entries[key]
        if entry.lives:
            self.lives = True
        if isinstance(entry.given, PerRun):
            self.per_run = True
        self.programs.clear()

    async def __aenter__(self) -> Self:
        """Open them for the block; if they are open already, join."""
        block = self.opened()
        await block.__aenter__()
        self._blocks.setdefault(trio.lowlevel.current_task(), []).append(block)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them, if nobody else is inside."""
        task = trio.lowlevel.current_task()
        block = self._blocks[task].pop()
        if not self._blocks[task]:
            del self._blocks[task]
        await block.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """As `async with`, for the engine."""
        self._claim()
        while self._changing is not None:
            self._refuse_waiting_for_itself()
            await self._changing.wait()
            self._claim()
        self._users += 1
        try:
            if self._users > 1:
                yield
                return
            async with self._opening():
                try:
                    yield
                finally:
                    await self._until_alone()
        finally:
            self._users -= 1
            self._left.set()
            if not self._users:
                self._home = None

    def _claim(self) -> None:
        here = trio.lowlevel.current_trio_token()
        with _claiming:
            self._home = self._home or here
        if self._home is not here:
            raise ResourceError(
                "these resources are open in another trio.run: what is open there can't be used from here. Give each "
                "trio.run a Resources(...) of its own, or call back into that one with trio.from_thread.run."
            )

    def _refuse_waiting_for_itself(self) -> None:
        for entry in _changes.get():
            if entry.changing and self._entries.get(entry.key) is entry:
                raise ResourceError(
                    f"the set-up or teardown of resource {entry.label!r} needs these resources, of which it is one: it "
                    "would wait for itself. Give what it runs a Resources(...) of its own."
                )

    async def _until_alone(self) -> None:
        with trio.CancelScope(shield=True):
            while self._users > 1:
                self._left = trio.Event()
                await self._left.wait()

    @asynccontextmanager
    async def _opening(self) -> AsyncGenerator[None]:
        """Set all up, and tear all down at the end; others wait while either goes on."""
        failures: list[Exception] = []
        shared = [entry for entry in self._entries.values() if not isinstance(entry.given, PerRun) and entry.lives]
        self._changing = changing = trio.Event()
        try:
            async with AsyncExitStack() as stack:
                for entry in shared:
                    await stack.enter_async_context(held(entry, failures))
                self.programs.clear()
                changing.set()
                self._changing = None
                try:
                    yield
                finally:
                    self._changing = changing = trio.Event()
        finally:
            self.programs.clear()
            self.teardown_errors = tuple(failures)
            changing.set()
            self._changing = None

    @asynccontextmanager
    async def for_run(self) -> AsyncGenerator[Resources]:
        """These resources as one run sees them, with those that are made for it alone."""
        own = Resources()
        own._home = trio.lowlevel.current_trio_token()
        own._users = 1  # the run holds them open: a run inside it that is given these must join, not set up again
        own._entries = {
            key: Entry.of(key, entry.given) if isinstance(entry.given, PerRun) else entry
            for key, entry in self._entries.items()
        }
        own.lives, own.per_run = self.lives, self.per_run
        failures: list[Exception] = []
        async with AsyncExitStack() as stack:
            for entry in own._entries.values():
                if isinstance(entry.given, PerRun):
                    await stack.enter_async_context(held(entry, failures))
            yield own

    async def check_all_health(self, *, timeout: float = 5.0) -> dict[Key, HealthStatus]:
        """Ask every resource that has an async ``health`` how it is; those that have none are healthy (cano RES-9).

        Args:
            timeout: seconds that each may take; one that takes longer, or raises, is unhealthy.

        Returns:
            The answers by key, in the order of set-up.

        >>> import trio
        >>> from cano_trio import HealthStatus, Resources
        >>> class Replica:
        ...     async def health(self):
        ...         return HealthStatus.degraded("lags by 4 s")
        >>> trio.run(Resources(replica=Replica()).aggregate_health)
        HealthStatus(level=<HealthLevel.DEGRADED: 1>, reason='replica: lags by 4 s')
        """
        return {entry.key: await _health_of(entry, timeout) for entry in self._entries.values()}

    async def aggregate_health(self, *, timeout: float = 5.0) -> HealthStatus:
        """The worst of all answers, the first among equals, with its key; healthy if there is no resource.

        Args:
            timeout: as for `check_all_health`.
        """
        answers = await self.check_all_health(timeout=timeout)
        if all(status.is_healthy for status in answers.values()):
            return HealthStatus.healthy()
        key = max(answers, key=lambda key: answers[key].level)
        return HealthStatus(answers[key].level, f"{self._entries[key].label}: {answers[key].reason}".rstrip(": "))


@asynccontextmanager
async def held(entry: Entry, failures: list[Exception]) -> AsyncGenerator[None]:
    """Hold a resource open for the block, in one task from its making to its end.

    What the block raises always passes on as it is. What the teardown raises is logged and added to `failures`: it
    neither hides the block's failure nor becomes one. It all stands in one cancel scope, which shields and bounds the
    teardown: a scope around the teardown alone would cut across those that the resource itself has open.
    """
    inner: BaseException | None = None
    fault: Exception | None = None
    with trio.CancelScope() as scope:
        manager = _manager(entry)
        with _change_of(entry):
            entry.value = await manager.__aenter__()
        try:
            yield
        except BaseException as error:
            inner = error
        scope.shield, scope.deadline = True, trio.current_time() + TEARDOWN_SECONDS
        try:
            with _change_of(entry):
                fault = await _tear_down(manager, inner)
        finally:
            if isinstance(entry.given, Made):
                entry.value = CLOSED
    try:
        if scope.cancel_called:
            _note(entry, TeardownTimeout(entry.label, TEARDOWN_SECONDS), failures)
        if _cancelled_by_itself(inner):
            raise fault or _ended(entry, _not_cancelled(inner))
        if fault is not None:
            _note(entry, fault, failures)
        if inner is not None:
            raise inner
    finally:
        del inner, fault  # they hold this frame by their tracebacks


@contextmanager
def _change_of(entry: Entry) -> Iterator[None]:
    """Have all tasks that are started within know that they are a part of the entry's set-up or teardown."""
    outer = _changes.set((*_changes.get(), entry))
    entry.changing = True
    try:
        yield
    finally:
        entry.changing = False
        _changes.reset(outer)


async def _tear_down(manager: AbstractAsyncContextManager[object], inner: BaseException | None) -> Exception | None:
    """Leave the manager with what the block raised; gives what it raises beyond that, and beyond having been cut off."""
    try:
        await manager.__aexit__(type(inner) if inner else None, inner, inner.__traceback__ if inner else None)
    except BaseException as error:
        # Cut off while it cleaned up after a failure, it raises a Cancelled with that failure behind it.
        fault = _not_cancelled(error) or _not_cancelled(error.__context__)
        if error is inner or fault is None or _leaves(fault) <= _leaves(inner):
            return None
        if isinstance(fault, Exception):
            return fault
        raise
    return None


def _manager(entry: Entry) -> AbstractAsyncContextManager[object]:
    if not isinstance(entry.given, Made):
        return _living(entry.given)
    made = entry.given.factory()
    if is_unopened(made):
        raise ResourceError(f"the factory of resource {entry.label!r} returned {made!r}, which nobody awaits")
    return made if isinstance(made, AbstractAsyncContextManager) else _living(made)


@asynccontextmanager
async def _living(value: Any) -> AsyncGenerator[object]:
    """A value with its ``setup`` and ``teardown``, as far as it has them."""
    if is_async(value, "setup"):
        await value.setup()
    try:
        yield value
    finally:
        if is_async(value, "teardown"):
            await value.teardown()


def _cancelled_by_itself(inner: BaseException | None) -> bool:
    """The block was cancelled, but not from outside: a nursery inside the resource has crashed or ended.

    Its `Cancelled` must not pass on: no scope is left to catch it.
    """
    if inner is None or _not_cancelled(inner) is inner:
        return False
    # A deadline that has passed, but that the scheduler has not looked at yet, would not catch it either.
    return trio.current_effective_deadline() > -math.inf


def _not_cancelled(error: BaseException | None) -> BaseException | None:
    """An exception without any `Cancelled` in it; itself if there is none."""
    return None if error is None else parted(error)[1]


def _ended(entry: Entry, cause: BaseException | None) -> ResourceError:
    error = ResourceError(f"resource {entry.label!r} ended, and cancelled the run that used it")
    error.__cause__ = cause
    return error


def _leaves(error: BaseException | None) -> set[int]:
    """What is in an exception, by identity; a nursery wraps groups into groups, and makes copies of those inside."""
    if isinstance(error, BaseExceptionGroup):
        return set().union(*map(_leaves, error.exceptions))
    return {id(error)}


def _note(entry: Entry, error: Exception, failures: list[Exception]) -> None:
    _log.error("tearing down resource %r failed", entry.label, exc_info=error)
    failures.append(error)


async def _health_of(entry: Entry, timeout: float) -> HealthStatus:
    ask: Any = getattr(entry.value, "health", None)
    if not inspect.iscoroutinefunction(ask):
        return HealthStatus.healthy()
    try:
        with trio.move_on_after(timeout):
            answer = await ask()
            if isinstance(answer, HealthStatus):
                return answer
            return HealthStatus.unhealthy(f"health() returned {answer!r}, not a HealthStatus")
    except Exception as error:  # outside the scope, which makes one of a group of errors and its own cancels
        return HealthStatus.unhealthy(f"{type(error).__name__}: {error}".rstrip(": "))
    return HealthStatus.unhealthy(f"no answer within {timeout:g} s")
