"""How something is written down: with patience while the journal can't, and until it is known whether it was written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias, TypeVar

import trio

from .._errors import (
    DuplicateRun,
    JournalError,
    JournalUnavailable,
    LeaseLost,
    RunAlreadyEnded,
    RunNotFound,
    StatementFailed,
)
from .._journal.protocol import Journal
from .._journal.rows import Commit, Letter, NewRun, RunRecord, StoredRun
from .._resilience import Backoff
from .run import Run

T = TypeVar("T")
V = TypeVar("V")

Failure: TypeAlias = trio.Cancelled | JournalError
"""What a write may come to."""

STORE_PATIENCE: Final = 30.0
"""Seconds for which a run waits for a journal that can't write for now."""

_BACKOFF = Backoff(base=0.05, maximum=2.0)

REFUSALS: Final = (StatementFailed, DuplicateRun, RunNotFound, RunAlreadyEnded)
"""What is wrong with what a task asked to happen together with its transition: a failure of the state, not of the journal."""

_TOLD = (JournalUnavailable, LeaseLost, *REFUSALS)
"""What tells that nothing was written."""


async def patiently(run: Run, write: Callable[[V], Awaitable[T]], what: V, failure: Failure | None = None) -> T:
    """Write, as often as it takes while the journal can't for now; nothing but a wait between two tries is cancelled.

    Args:
        run: the run that waits for it.
        write: writes it.
        what: what is written.
        failure: what a first try has come to, if there was one already.

    Raises:
        JournalError: it can't, or can't for too long: the run stops in place.
    """
    patience = run.clock() + STORE_PATIENCE
    turn = 0
    shield = False
    try:
        while True:
            if isinstance(failure, trio.Cancelled):
                shield = True  # it came before the write had begun, as a journal promises: nothing was written
            elif failure is not None:
                turn += 1
                await _wait(run, failure, turn, patience)
            try:
                if not shield:
                    return await write(what)
                with trio.CancelScope(shield=True):
                    return await write(what)
            except (trio.Cancelled, JournalError) as error:
                failure = error
    finally:
        del failure  # it holds this frame by its traceback


async def _wait(run: Run, failure: JournalError, turn: int, patience: float) -> None:
    """Wait until the next try, if there is to be one."""
    if isinstance(failure, JournalUnavailable) and run.clock() < patience:
        delay = _BACKOFF.delay(turn)
        run.wait_for("store", delay)
        await trio.sleep(delay)
        run.wait_is_over()
    else:
        raise failure if isinstance(failure, REFUSALS) else broken(run, failure)


async def carried_through(run: Run, journal: Journal, commit: Commit, failure: Failure) -> None:
    """Have a commit written whose first try has failed.

    It was tried without all this: a scope around every write would cost as much as all else that is done for it.

    Args:
        run: the run.
        journal: where it is written down.
        commit: the commit.
        failure: what the first try has come to.

    Raises:
        JournalError: nothing of it is written.
    """
    try:
        if isinstance(failure, (trio.Cancelled, *_TOLD)):
            await patiently(run, partial(committed, journal), commit, failure)
        else:
            await patiently(run, partial(confirmed, journal, failure), commit)
    finally:
        del failure


def broken(run: Run, error: JournalError) -> JournalError:
    """Nothing is written any more, of this run and of those whose child it is."""
    one: Run | None = run
    while one is not None:
        one.mistake = error
        one.journal.break_off(error)
        one = one.parent
    return error


async def committed(journal: Journal, commit: Commit) -> None:
    """Commit; where nobody has told whether it was written, look.

    Raises:
        JournalError: it was not.
    """
    try:
        await journal.commit(commit)
    except _TOLD:
        raise
    except JournalError as error:
        failure = error
    else:
        return
    await confirmed(journal, failure, commit)


async def confirmed(journal: Journal, failure: JournalError, commit: Commit) -> None:
    """See that a commit was written that was said to have failed: the run's row tells.

    Raises:
        LeaseLost: another process has the run.
        JournalError: it was not, or that can't be found out.
    """
    record = (await looked_up(journal, commit.run_id, failure)).record
    fence = commit.fence
    if (record.epoch, record.rev) == (fence.epoch, fence.rev + 1):
        return
    if record.owner != fence.owner or record.epoch != fence.epoch:
        raise LeaseLost(commit.run_id, fence.owner, commit.position.seq) from failure
    raise failure


async def created(journal: Journal, new: NewRun) -> RunRecord:
    """Create a run. It may have been written though it was said to have failed: then it is there, and ours."""
    try:
        return await journal.create(new)
    except (JournalUnavailable, DuplicateRun):
        raise
    except JournalError as error:
        failure = error
    record = (await looked_up(journal, new.run_id, failure)).record
    if record.owner == new.owner and record.rev == 0 and record.position == new.position:
        return record
    raise failure


async def claimed(journal: Journal, run_id: str) -> StoredRun | None:
    """Claim a run; where nobody has told whether that was written, it is claimed once more, which does no harm."""
    try:
        return await journal.claim(run_id)
    except (JournalUnavailable, *REFUSALS):
        raise
    except JournalError:
        return await journal.claim(run_id)


async def posted(journal: Journal, letter: Letter, holds: Callable[[int], bool]) -> int | None:
    """Post a message. It may have been written though it was said to have failed: then it is there, and nobody holds it.

    Args:
        journal: the journal.
        letter: the message.
        holds: whether the message of that number is known already, and so another one.
    """
    try:
        return await journal.post(letter)
    except (JournalUnavailable, *REFUSALS):
        raise
    except JournalError as error:
        failure = error
    for message in (await looked_up(journal, letter.run_id, failure)).messages:
        if message.letter == letter and not holds(message.number):
            return message.number
    raise failure


async def looked_up(journal: Journal, run_id: str, failure: JournalError) -> StoredRun:
    """What is there of a run of which something was to be written, whoever is cancelled meanwhile.

    Raises:
        JournalError: `failure`, where it can't be found out, or there is no such run.
    """
    try:
        with trio.CancelScope(shield=True):
            stored = await journal.load(run_id)
    except JournalError:
        raise failure from None
    return stored
