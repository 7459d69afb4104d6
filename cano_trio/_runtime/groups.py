"""Runs that are supervised together, in a block that waits for them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from enum import Enum
from typing import Any, final, overload

import trio
from typing_extensions import TypeVar, Unpack

from .._errors import GroupClosed, SupervisorGaveUp
from .handle import Run
from .hosting import RuntimeHost
from .member import Member
from .options import check_choice
from .restart import Restart
from .starting import StartOptions, started
from .supervision import STRATEGIES, Strategy
from .workflow import Workflow

S = TypeVar("S", bound=Enum)
D = TypeVar("D", default=None)

_log = logging.getLogger("cano_trio")


@asynccontextmanager
async def open_group(host: RuntimeHost, strategy: Strategy, restart: Restart) -> AsyncGenerator[Group]:
    """See `Runtime.open_group`."""
    host.check_open("open_group()")
    check_choice("strategy", strategy, STRATEGIES)
    members = _Members(host, strategy, restart)
    failure: BaseException | None = None
    try:
        with members.block:
            yield Group(members)
            members.closed = True
            await members.wait()
    except BaseException as error:
        failure = error
    await members.stop()
    try:
        members.leave(failure)
    finally:
        del failure  # it holds this frame by its traceback


@final
class Group:
    """Runs that are supervised together; see `Runtime.open_group`, which alone makes one."""

    __slots__ = ("_members",)

    def __init__(self, members: Any, /) -> None:
        self._members: _Members = members

    @overload
    async def start(self, workflow: Workflow[S, None], /, **options: Unpack[StartOptions[S]]) -> Run[S, None]: ...
    @overload
    async def start(self, workflow: Workflow[S, D], data: D, /, **options: Unpack[StartOptions[S]]) -> Run[S, D]: ...
    async def start(self, workflow: Workflow[S, Any], data: Any = None, /, **options: Any) -> Run[S, Any]:
        """Start a run as one of the group, as `Runtime.start` does.

        Args:
            workflow: its workflow, one of the runtime's.
            data: its data, also where it is begun anew.
            options: see `StartOptions`.

        Returns:
            Its handle, which stays that of the run through all its restarts.

        Raises:
            GroupClosed: the group's block was left, or is being left.
            ValueError: the run that is there already, and is to be attached, is supervised by another.
            Exception: as `Runtime.start`.
        """
        return Run(await self._members.start(workflow, data, options))

    def __repr__(self) -> str:
        """What it holds."""
        return repr(self._members)


@final
class _Members:
    """The runs of a group, and the block around them."""

    def __init__(self, host: RuntimeHost, strategy: Strategy, restart: Restart) -> None:
        self._host = host
        self._strategy = strategy
        self._supervisor = host.supervisor(strategy, restart, self._give_up)
        self._error: SupervisorGaveUp | None = None
        self.block = trio.CancelScope()
        """The block of `Runtime.open_group`."""
        self.closed = False
        """No more are started."""

    async def start(self, workflow: Workflow[Any, Any], data: Any, options: Any) -> Any:
        """Start a run as one of them."""
        if self.closed or self._supervisor.stops:
            raise GroupClosed
        return await started(self._host, workflow, data, Member(self._supervisor), **options)

    def _give_up(self, error: SupervisorGaveUp) -> None:
        self._error = error
        self.block.cancel("the group's supervisor gives up")

    async def wait(self) -> None:
        """Wait until all are over."""
        supervisor = self._supervisor
        with ExitStack() as watching:
            for member in supervisor.members:
                watching.enter_context(self._host.watching(member.actor))
            while supervisor.members:
                await supervisor.rung()

    async def stop(self) -> None:
        """Stop those that are left, and wait until they are."""
        self.closed = self._supervisor.stops = True
        for member in [*self._supervisor.members]:
            member.stop()
        with trio.CancelScope(shield=True):  # each has its own bound
            await self.wait()

    def leave(self, failure: BaseException | None) -> None:
        """Raise what there is to be raised, which is first of all what the block has raised."""
        error = self._error
        if failure is None:
            if error is not None:
                raise error
            return
        if error is not None:
            _log.error("the supervisor of a group gave up, too, while its block failed", exc_info=error)
        raise failure

    def __repr__(self) -> str:
        closed = "closed " * self.closed
        return f"<Group {closed}{self._strategy} of {len(self._supervisor.members)}>"
