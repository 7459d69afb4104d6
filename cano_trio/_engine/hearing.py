"""How a run that is written down hears what comes by its journal: messages, and what other processes ask of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from .. import _clock
from .._errors import JournalError, JournalUnavailable, RunBlocked, RunNotFound, RunReleased
from .._journal.protocol import Journal
from .._journal.requests import CANCEL, is_request, reason_of
from .._journal.rows import Message, RunRecord
from .._observe.status import RunStatus
from .conduct import conduct
from .parting import bared
from .placing import letter_of
from .program import Program
from .reading import Reading
from .run import Run

TOGETHER: Final = 0.05
"""Seconds of a real clock for which changes are gathered before a run looks for what has come."""

_log = logging.getLogger("cano_trio")


def hears(run: Run) -> bool:
    """Whether a run can be given what it is sent."""
    return not run.released and run.status is RunStatus.RUNNING


async def pass_on(journal: Journal, run: Run, program: Program, scope: trio.CancelScope) -> None:
    """Give a run what has come by its journal.

    Args:
        journal: the journal.
        run: the run.
        program: its workflow, bound.
        scope: what releases it, for one who asks that it be paused.
    """
    if not hears(run):
        return
    try:
        messages = await journal.inbox(run.run_id, after=run.mailbox().heard)
        record = (await journal.load(run.run_id)).record if messages else None
    except RunNotFound:
        return
    for message in messages:
        if record is None or not hears(run):
            return
        if is_request(message.letter):
            _ask(run, message, scope)
        else:
            _deliver(program, run, message, record)


def _ask(run: Run, message: Message, scope: trio.CancelScope) -> None:
    """Do with a run what somebody asks for."""
    if message.letter.kind == CANCEL:
        run.cancel(reason_of(message))
    else:
        run.pause(scope, reason_of(message), message.number)
    run.mailbox().is_news(message.number)


def _deliver(program: Program, run: Run, message: Message, record: RunRecord) -> None:
    try:
        letter = letter_of(Reading(program, record), run, message)
    except RunBlocked as error:
        _log.warning("a message is left to other code: %s", error)
        run.mailbox().is_news(message.number)
    else:
        run.mailbox().deliver(letter)


async def conduct_hearing(
    run: Run, program: Program, journal: Journal, seen: int, begun: Callable[[Run], object] | None
) -> None:
    """Conduct a run that its caller carries out alone, and that hears meanwhile what comes by its journal.

    Args:
        run: the run.
        program: its workflow, bound.
        journal: where it is written down.
        seen: the journal's `changes` before what was in its inbox was read.
        begun: as in `conduct`.

    Raises:
        RunReleased: somebody has paused it.
        Exception: as `conduct`.
    """
    run.scope = trio.CancelScope()
    run.hears = True
    pausing = trio.CancelScope()
    failure: BaseException | None = None
    try:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_listen, journal, run, program, pausing, seen)
                try:
                    with pausing:
                        await conduct(run, program.workflow, begun)
                except BaseException as error:
                    failure = error
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = bared(group)
        # Outside of the nursery, which would make a group of it.
        if failure is not None:
            raise failure
        if pausing.cancelled_caught:
            raise RunReleased(run.run_id)
    finally:
        del failure  # it holds this frame by its traceback


@trio.lowlevel.enable_ki_protection
async def _listen(journal: Journal, run: Run, program: Program, pausing: trio.CancelScope, seen: int) -> None:
    """Listen for as long as the run goes on; it has its own ways to find out that its journal has failed."""
    while True:
        try:
            await journal.wait_changed(seen)
            if not _clock.is_virtual():
                await trio.sleep(TOGETHER)
            seen = journal.changes
            await pass_on(journal, run, program, pausing)
        except JournalUnavailable:
            seen -= 1  # to look again
            await trio.sleep(TOGETHER)
        except JournalError:
            run.hears = False
            return
