"""A runtime for a test: in memory, and watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, final

import attrs
from typing_extensions import TypedDict, Unpack

from .._define.schedule import Schedule
from .._engine.lifecycle import Resources
from .._journal.protocol import Journal
from .._observe.observer import Observer
from .._runtime.actors import OnUnhandled
from .._runtime.hosting import OnExit
from .._runtime.runtime import Runtime, open_runtime
from .._runtime.workflow import Workflow


class RuntimeOptions(TypedDict, total=False):
    """What `open_runtime` takes besides workflows, journal and observers; see there."""

    schedules: Iterable[Schedule[Any]]
    resources: Resources | None
    limit: int | None
    claim: bool
    unload_after: float
    stuck_after: float | None
    on_exit: OnExit
    grace: float
    on_unhandled: OnUnhandled


@final
@attrs.frozen(kw_only=True)
class RuntimeOpener:
    """Opens runtimes that share a journal and observers; the fixtures ``cano_runtime`` and ``virtual_runtime`` are such.

    Args:
        journal: where runs are written down.
        observers: who is told of the events of all runs.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Workflow
    >>> from cano_trio.journals import MemoryJournal
    >>> from cano_trio.testing import RecordingObserver, RuntimeOpener
    >>> Step = Enum("Step", "WORK DONE")
    >>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    >>> @workflow.task(Step.WORK)
    ... async def work() -> Literal[Step.DONE]:
    ...     return Step.DONE
    >>> recorder = RecordingObserver()
    >>> opened = RuntimeOpener(journal=MemoryJournal(), observers=[recorder])
    >>> async def main():
    ...     async with opened(workflow) as runtime:
    ...         await (await runtime.start(workflow)).wait()
    >>> trio.run(main)
    >>> recorder.assert_completed_with(Step.DONE)
    """

    journal: Journal
    observers: Sequence[Observer] = ()

    @asynccontextmanager
    async def __call__(
        self,
        *workflows: Workflow[Any, Any],
        observers: Sequence[Observer] = (),
        **options: Unpack[RuntimeOptions],
    ) -> AsyncGenerator[Runtime]:
        """Open a runtime; opened again, also after it was left or cut off, it goes on with what the journal has.

        Args:
            workflows: those whose runs it carries out.
            observers: who is told of events besides those it was made with.
            options: as of `open_runtime`.
        """
        told = (*self.observers, *observers)
        async with open_runtime(workflows=workflows, journal=self.journal, observers=told, **options) as runtime:
            yield runtime
