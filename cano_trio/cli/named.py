"""A run of a journal, as a call of the command names it, whoever carries it out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

import attrs

from .._errors import DuplicateRun, RunAlreadyEnded
from .._journal.protocol import Journal
from .._runtime.handle import Run
from .._runtime.runtime import Runtime, open_runtime
from .._runtime.workflow import Workflow
from .answers import find_valid, refuse
from .concluding import told
from .recourse import Recourse
from .store import answer_of, asked, opened, stored_of

if TYPE_CHECKING:
    from ..journals import SqliteJournal

T = TypeVar("T")


@final
@attrs.frozen(kw_only=True)
class Named:
    """A run of a journal.

    Args:
        workflow: its workflow, which can run.
        journal: where it is written down.
        run_id: the run.
        recourse: how it was called.
        full: show the traceback of an error.
        as_json: print the result as one JSON document.
    """

    workflow: Workflow[Any, Any]
    journal: SqliteJournal
    run_id: str
    recourse: Recourse
    full: bool
    as_json: bool

    @classmethod
    def of(cls, target: str, run_id: str, file: Path, *, full: bool, as_json: bool) -> Named:
        """The run that a call names, by what it was given."""
        workflow = find_valid(target, full=full)
        recourse = Recourse(target, file)
        return cls(
            workflow=workflow, journal=opened(file), run_id=run_id, recourse=recourse, full=full, as_json=as_json
        )

    def check(self) -> None:
        """See that there is such a run.

        Raises:
            Refused: there is none.
        """
        asked(self.journal, lambda journal: stored_of(journal, self.run_id, self.workflow), full=self.full)

    def owner(self) -> str | None:
        """The living process that carries it out, if one does.

        Raises:
            Refused: there is no such run.
        """

        async def look(journal: SqliteJournal) -> str | None:
            owner = (await stored_of(journal, self.run_id, self.workflow)).record.owner
            return None if owner in await journal.dead() else owner

        return asked(self.journal, look, full=self.full)

    @asynccontextmanager
    async def handle(self) -> AsyncGenerator[Run[Any, Any]]:
        """Its handle, by which it is asked for something wherever it is carried out."""
        async with client(self.workflow, self.journal) as runtime:
            await stored_of(self.journal, self.run_id, self.workflow)
            yield await runtime.get(self.workflow, self.run_id)

    def answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What is answered in a trio run of its own."""
        return answered(ask, full=self.full)


@asynccontextmanager
async def client(workflow: Workflow[Any, Any], journal: Journal) -> AsyncGenerator[Runtime]:
    """A runtime that carries nothing out."""
    async with open_runtime(workflows=[workflow], journal=journal, claim=False) as runtime:
        yield runtime


def answered(ask: Callable[[], Awaitable[T]], *, full: bool) -> T:
    """What is answered in a trio run of its own; where the run or the journal refuses, the command does."""
    try:
        return answer_of(ask, full=full)
    except RunAlreadyEnded as error:
        refuse(error, told(error), full=full)
    except DuplicateRun as error:
        refuse(error, str(error), full=full)
