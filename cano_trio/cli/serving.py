"""A service: the runs of a journal are carried out until the process is told to stop."""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import final

import attrs
import click
import trio

from .._errors import DefinitionError, JournalError
from .._journal.protocol import Journal
from .._runtime.runtime import Runtime, open_runtime
from .answers import fail, refuse, refuse_broken
from .concluding import RELEASED
from .options import journal_option, with_target
from .running import until_interrupted
from .service_log import ServiceLog
from .signals import heard
from .store import opened
from .target import BrokenTarget, Served, find_served
from .wording import count, seconds, word


@final
@attrs.define(kw_only=True)
class Service:
    """What carries runs out.

    Args:
        served: the workflows.
        journal: where their runs are written down.
        file: the journal, as the user calls it.
        log: what is told of them.
        limit: how many runs are at work at a time.
        grace: seconds that runs have to finish the states they are in, when it is told to stop.
        stuck_after: seconds in one state after which a run is told of.
    """

    served: Served
    journal: Journal
    file: Path
    log: ServiceLog
    limit: int | None
    grace: float
    stuck_after: float | None
    has_begun: bool = attrs.field(default=False, init=False)
    """It has served."""

    async def serve(self) -> bool:
        """Serve until the process is told to stop; tells whether no run was stopped in the midst of a state."""
        told = trio.Event()
        enough = False
        with trio.CancelScope() as scope, heard((signal.SIGINT, signal.SIGTERM), told.set, scope.cancel):
            async with open_runtime(
                workflows=self.served.workflows,
                schedules=self.served.schedules,
                journal=self.journal,
                observers=[self.log],
                limit=self.limit,
                stuck_after=self.stuck_after,
            ) as runtime:
                self.has_begun = True
                self._say_serving()
                await told.wait()
                self._say_draining(runtime)
                enough = await runtime.drain(self.grace)
        if self.has_begun:
            self._say_stopped(runtime)
        return enough

    def _say_serving(self) -> None:
        names = [workflow.name for workflow in self.served.workflows]
        schedules = [schedule.name for schedule in self.served.schedules]
        owner, file = self.journal.owner, str(self.file)
        text = f"serving {', '.join(map(word, names))} from {word(file)}, as process {owner}"
        text += f", with {count(len(schedules), 'schedule')}: {', '.join(map(word, schedules))}" if schedules else ""
        self.log.say("serving", text, workflows=names, schedules=schedules, journal=file, process=owner)

    def _say_draining(self, runtime: Runtime) -> None:
        at_work = runtime.statistics().at_work
        text = f"stopping: {count(at_work, 'run')} at work, {seconds(self.grace)} at most; once more stops at once"
        self.log.say("stopping", text, at_work=at_work, grace=self.grace)

    def _say_stopped(self, runtime: Runtime) -> None:
        told = runtime.statistics()
        counts = {"completed": told.completed, "failed": told.failed, "released": told.released}
        self.log.say(
            "stopped", f"stopped: {', '.join(f'{number:,} {what}' for what, number in counts.items())}", **counts
        )


@click.command()
@with_target
@partial(journal_option, required=True, text="The SQLite file in which runs are written down; made if there is none.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many runs are at work at a time.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="What runs have to finish the states they are in, when this is told to stop.",
)
@click.option(
    "--stuck-after",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Tell of runs that are at work in one state for so long, and where.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what happens to stdout, as a JSON document a line.")
def serve(
    target: str,
    *,
    full: bool,
    file: Path,
    limit: int | None,
    grace: float,
    stuck_after: float | None,
    as_json: bool,
) -> None:
    """Carry out the runs of all workflows in TARGET, until told to stop.

    Unfinished runs of the journal that no other process holds go on, now and whenever there are any, and what the module
    has in a list `schedules` is fired. SIGTERM or Ctrl-C
    lets each finish the state it is in, and leaves it for the next process; a second one stops at once.

    Exits with 0 if it was told to stop and no run was stopped in the midst of a state, 3 if some were, which go on when
    they are served again; 1 if it failed, 2 if the call is wrong.
    """
    served = _found(target, full=full)
    stream = sys.stdout if as_json else sys.stderr
    with (
        redirect_stdout(sys.stderr) if as_json else nullcontext(),
        ServiceLog(stream, as_json=as_json, full=full) as log,
    ):
        service = Service(
            served=served,
            journal=opened(file, new=True),
            file=file,
            log=log,
            limit=limit,
            grace=grace,
            stuck_after=stuck_after,
        )
        error, enough = None, None
        try:
            enough = until_interrupted(service.serve)
        except Exception as failure:
            error = failure
    if isinstance(error, JournalError) and not service.has_begun:
        refuse(error, str(error), full=full)
    if error is not None:
        fail(error, full=full)
    sys.exit(0 if enough else RELEASED)


def _found(target: str, *, full: bool) -> Served:
    """The workflows of a target, which can run."""
    try:
        served = find_served(target)
    except BrokenTarget as error:
        refuse_broken(error, full=full)
    try:
        for workflow in served.workflows:
            workflow.validate()
    except DefinitionError as error:
        fail(error, full=full)
    return served
