"""A Hypothesis state machine that does to a workflow's runs what can be done to them; import it explicitly."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, cast, final

import attrs
import trio
import trio.testing
from hypothesis import strategies as st
from hypothesis.errors import StopTest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from trio.testing import MockClock

from .._errors import RunAlreadyEnded, RunError, RunNotFound
from .._journal.forwarding import ForwardingJournal
from .._journal.memory import MemoryJournal
from .._journal.protocol import Journal
from .._runtime.handle import Run
from .._runtime.runtime import Runtime, open_runtime
from .._runtime.workflow import Workflow
from .faulty import WRITES
from .strategies import delays

T = TypeVar("T")

Moment: TypeAlias = Literal["before", "after"]
"""Whether a process dies before a write, or after it."""

DAY = 86_400.0
PATIENCE = 365 * DAY
"""Virtual seconds after which a run that is left alone, and does not end, never will."""

MOST_DEATHS = 4
"""How often a process dies in a sequence: once more, and a run that it always dies with would be blocked."""


@final
@attrs.frozen
class _Command:
    """What is done next."""

    text: str
    do: Callable[[_Process], Awaitable[None]]


class WorkflowMachine(RuleBasedStateMachine):
    """Starts runs of a workflow, sends to them, cancels, pauses and resumes them, lets time pass, and has their process die.

    Derive from it, say which workflow, and have pytest collect its ``TestCase``. Hypothesis looks for the shortest sequence of
    rules after which something is wrong: `check_invariant` raises, a run does not end when all is done for it, or the runtime
    itself fails. Time is virtual, and tasks come in the order that Hypothesis draws.

    Rules are gathered first, and carried out when the sequence is whole: on a runtime with a `MemoryJournal`, and after each
    crash on another one, which takes up what it finds there. So a rule sees no state of a run; what comes too late for a run
    has no effect.

    Attributes:
        workflow: the workflow.
        data: a strategy for the data of a run.
        messages: a strategy for messages to a run; see `cano_trio.testing.strategies.messages`. Without one none are sent.
        crashes: whether the process may die.

    >>> from dataclasses import dataclass
    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from hypothesis import settings, strategies as st
    >>> from hypothesis.stateful import run_state_machine_as_test
    >>> from cano_trio import RunContext, Workflow
    >>> from cano_trio.testing.machine import WorkflowMachine
    >>> Step = Enum("Step", "CHARGE SHIP DONE")
    >>> workflow = Workflow(Step, initial=Step.CHARGE, exits=[Step.DONE])
    >>> charged = []
    >>> @workflow.task(Step.CHARGE)
    ... async def charge(ctx: RunContext) -> Literal[Step.SHIP]:
    ...     charged.append(ctx.idempotency_key)
    ...     return Step.SHIP
    >>> @workflow.task(Step.SHIP)
    ... async def ship() -> Literal[Step.DONE]:
    ...     await trio.sleep(60)
    ...     return Step.DONE
    >>> class Orders(WorkflowMachine):
    ...     workflow = workflow
    ...     async def check_invariant(self, runtime):
    ...         for info in await runtime.runs():
    ...             if info.state is Step.SHIP:
    ...                 assert f"{info.run_id}/0" in charged
    >>> run_state_machine_as_test(Orders, settings=settings(max_examples=20, deadline=None))
    """

    workflow: ClassVar[Workflow[Any, Any]]
    data: ClassVar[st.SearchStrategy[Any]] = st.none()
    messages: ClassVar[st.SearchStrategy[Any] | None] = None
    crashes: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        """The ids of the runs that were started, in order."""
        self._commands: list[_Command] = []
        self._deaths = 0

    # -- what a test says

    async def check_invariant(self, runtime: Runtime) -> None:
        """See that all is well; called behind each rule, when nothing moves any more, and at the end. Override it.

        Args:
            runtime: a runtime with all runs.

        Raises:
            AssertionError: it is not.
        """

    async def bring_to_an_end(self, run: Run[Any, Any]) -> None:
        """Bring a run to its end that waits, at the end of all, for a message; by default it is cancelled. Override it.

        Args:
            run: the run.
        """
        run.cancel("the test is over")

    def opened(self, journal: Journal) -> Any:
        """Open the runtime of a process, as an async context manager; override it to give it resources or a limit.

        Args:
            journal: the journal to open it on.
        """
        return open_runtime(workflows=[self.workflow], journal=journal)

    # -- rules

    @initialize(order=st.random_module())
    def draw_order(self, order: object) -> None:
        """Draw in which order tasks come."""

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """Start a run."""
        name = f"r{len(self.names) + 1}"
        given = data.draw(self.data, f"data of {name}")
        self.names.append(name)
        self._then(f"start {name}", lambda process: process.start(name, given))

    @precondition(lambda self: self.names and self.messages is not None)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """Send a message to a run."""
        name = self._some(data)
        message = data.draw(cast("st.SearchStrategy[Any]", self.messages), f"message to {name}")
        self._then(f"send {message!r} to {name}", lambda process: process.ask(name, lambda run: run.send(message)))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel a run."""
        name = self._some(data)
        self._then(f"cancel {name}", lambda process: process.cancel(name))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        """Have a run held; it may take until the work in hand is done."""
        name = self._some(data)
        self._then(f"pause {name}", lambda process: process.ask_aside(name, lambda run: run.pause()))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        """Let a run go on that is held."""
        name = self._some(data)
        self._then(f"resume {name}", lambda process: process.ask(name, lambda run: run.resume()))

    @rule(seconds=delays(maximum=DAY))
    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._then(f"advance {seconds:g} s", lambda process: process.pass_time(seconds))

    @precondition(lambda self: self.crashes and self._deaths < MOST_DEATHS)
    @rule(writes=st.integers(0, 5), moment=st.sampled_from(["before", "after"]), seconds=delays(maximum=DAY))
    def crash(self, writes: int, moment: Moment, seconds: float) -> None:
        """Have the process die at one of its next writes, and another one begin some seconds later."""
        self._deaths += 1
        self._then(
            f"crash {moment} the write behind the next {writes}, for {seconds:g} s",
            lambda process: process.die_at(writes, moment, seconds),
        )

    def _some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self.names), "run")

    def _then(self, text: str, do: Callable[[_Process], Awaitable[None]]) -> None:
        self._commands.append(_Command(text, do))

    # -- carrying it out

    def teardown(self) -> None:
        """Carry it all out; Hypothesis calls this when a sequence is whole."""
        if isinstance(sys.exc_info()[1], StopTest):
            return  # this sequence is given up
        _Play(self, self._commands).through()


@final
class _Play:
    """A sequence of commands that is carried out, by one process after the other."""

    def __init__(self, machine: WorkflowMachine, commands: list[_Command]) -> None:
        self.machine = machine
        self.journal = MemoryJournal()
        self.time = 0.0
        self.over = False
        self._commands = iter(commands)

    def through(self) -> None:
        """Live one life after the other, until all is done."""
        while not self.over:
            clock = MockClock(autojump_threshold=0)
            clock.jump(self.time)
            mortal = _MortalJournal(self.journal)
            try:
                trio.run(self._live, mortal, clock=clock)
            except BaseException:
                if not mortal.is_dead:
                    raise
            self.time = clock.current_time() + mortal.downtime

    async def _live(self, mortal: _MortalJournal) -> None:
        """One process."""
        async with _alone(), mortal, self.machine.opened(mortal) as runtime, trio.open_nursery() as nursery:
            try:
                await self._carry_out(_Process(self.machine, runtime, mortal, nursery))
            finally:
                mortal.lasts = None  # it may leave now, with what it has failed with
            self.over = True
            nursery.cancel_scope.cancel()

    async def _carry_out(self, process: _Process) -> None:
        """What commands are left, and then what has all runs end."""
        await self._settle(process, "the process has begun")
        for command in self._commands:
            await command.do(process)
            await self._settle(process, command.text)
        process.live_on()
        await process.end_all()
        await self._settle(process, "all runs have ended")

    async def _settle(self, process: _Process, text: str) -> None:
        """Wait until nothing moves, and see that all is well."""
        await trio.testing.wait_all_tasks_blocked()
        try:
            await self.machine.check_invariant(process.runtime)
        except Exception as error:
            error.add_note(f"behind: {text}, at {trio.current_time():g} s")
            raise


@asynccontextmanager
async def _alone() -> AsyncGenerator[None]:
    """Let the one error that counts leave alone: not in the groups of the nurseries that it came through."""
    alone: BaseException | None = None
    try:
        yield
    except BaseExceptionGroup as group:
        alone = group
        while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
            alone = alone.exceptions[0]
    if alone is not None:
        raise alone


@final
class _Process:
    """What carries commands out: a runtime on a journal that may die."""

    def __init__(
        self, machine: WorkflowMachine, runtime: Runtime, journal: _MortalJournal, nursery: trio.Nursery
    ) -> None:
        self.machine = machine
        self.runtime = runtime
        self._journal = journal
        self._nursery = nursery

    async def start(self, name: str, data: Any) -> None:
        """Start a run."""
        await self.runtime.start(self.machine.workflow, data, run_id=name, on_duplicate="attach")

    async def ask(self, name: str, verb: Callable[[Run[Any, Any]], Awaitable[object]]) -> None:
        """Do something with a run, unless it comes too late, or the run was lost before it was written down."""
        with suppress(RunAlreadyEnded, RunNotFound):
            await verb(await self._run(name))

    async def ask_aside(self, name: str, verb: Callable[[Run[Any, Any]], Awaitable[object]]) -> None:
        """Have something done with a run that may take its time."""
        self._nursery.start_soon(self.ask, name, verb)

    async def cancel(self, name: str) -> None:
        """Cancel a run."""
        with suppress(RunNotFound):
            (await self._run(name)).cancel()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        await trio.sleep(seconds)

    async def die_at(self, writes: int, moment: Moment, seconds: float) -> None:
        """Die at one of the next writes."""
        self._journal.lasts, self._journal.moment, self._journal.downtime = writes, moment, seconds

    def live_on(self) -> None:
        """Die no more."""
        self._journal.lasts = None

    async def end_all(self) -> None:
        """Have all runs end that are left: what is held goes on, and what waits for a message is brought to its end."""
        for name in self.machine.names:
            with suppress(RunNotFound):
                await self._end(await self._run(name))

    async def _end(self, run: Run[Any, Any]) -> None:
        await self.ask(run.id, lambda run: run.resume())
        await _wait(run)
        if not run.status.ended:
            await self.machine.bring_to_an_end(run)
            await _wait(run)
        if not run.status.ended:
            raise AssertionError(f"run {run.id!r} does not end: it is {run.status.value} in {run.state.name}")

    async def _run(self, name: str) -> Run[Any, Any]:
        return await self.runtime.get(self.machine.workflow, name)


async def _wait(run: Run[Any, Any]) -> None:
    """Wait until a run is over, however it ends, or goes on no more."""
    with trio.move_on_after(PATIENCE), suppress(RunError):
        await run.wait()


class _Death(BaseException):
    """The end of a process: whatever it would do from now on does not happen."""


@final
class _MortalJournal(ForwardingJournal):
    """A journal whose process dies at one of its writes."""

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self.is_dead = False
        self.lasts: int | None = None
        """How many more writes it lasts; None for ever."""
        self.moment: Moment = "before"
        self.downtime = 0.0

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        if self.is_dead:
            raise _Death
        if method not in WRITES:
            return await call()
        dies = self.lasts == 0
        if self.lasts is not None:
            self.lasts -= 1
        if dies and self.moment == "before":
            self._die()
        result = await call()
        if self.is_dead:
            raise _Death
        if dies:
            self._die()
        return result

    def _die(self) -> None:
        self.is_dead = True
        raise _Death

    async def __aexit__(self, *exc_info: object) -> None:
        if not self.is_dead:
            await super().__aexit__(*exc_info)
