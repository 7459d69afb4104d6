"""A failure that was written down, in the process that goes on: it leads where the exception itself would have led."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import pytest

from cano_trio import LeaseLost, RecordedFailure, Retry, RunStatus, Workflow
from cano_trio._engine.kept import recorded_failure, stored_error
from cano_trio.journals import Commit, ForwardingJournal, MemoryJournal, StoredError


class Step(Enum):
    PAY = auto()
    CAUGHT = auto()
    DONE = auto()


class Pay(Enum):
    CHARGE = auto()
    CONFIRM = auto()
    PAID = auto()


class Declined(ConnectionResetError):
    """One of the user's."""


class Elsewhere:
    """Has a class of the same name."""

    class Declined(LookupError):
        """Another one."""


class DyingUndoing(ForwardingJournal):
    """Dies with the first compensation."""

    async def commit(self, commit: Commit, /) -> int:
        if any(row.kind == "undone" for row in commit.log):
            raise LeaseLost(commit.run_id, self.owner)
        return await super().commit(commit)


def workflow(error: Exception, kind: type[Exception], *, retries: int = 0) -> Workflow[Step, None]:
    """A child workflow that undoes what it did as an error comes, and then a state that leads on from there."""
    pay = Workflow(Pay, initial=Pay.CHARGE, exits=[Pay.PAID], name="pay")

    @pay.compensatable(Pay.CHARGE)
    async def charge() -> tuple[Literal[Pay.CONFIRM], int]:
        return Pay.CONFIRM, 1

    @charge.compensate
    async def refund(receipt: int) -> None: ...

    @pay.task(Pay.CONFIRM, retry=Retry.fixed(retries, delay=0), retry_on=Exception)
    async def confirm() -> Literal[Pay.PAID]:
        raise error

    work = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="w")
    work.register_child(Step.PAY, pay, {Pay.PAID: Step.DONE}, on_error={kind: Step.CAUGHT})

    @work.task(Step.CAUGHT)
    async def caught() -> Literal[Step.DONE]:
        return Step.DONE

    return work


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", errors)


@pytest.mark.parametrize(
    "error, kind, retries, is_caught",
    [
        (Declined("no"), Declined, 0, True),
        (Declined("no"), OSError, 0, True),
        (Declined("no"), OSError, 2, True),
        (Declined("no"), Elsewhere.Declined, 0, False),
        (Elsewhere.Declined("no"), LookupError, 0, True),
        (Elsewhere.Declined("no"), OSError, 2, False),
        (group(Declined(), TimeoutError()), OSError, 0, True),
        (group(Declined(), TimeoutError()), Declined, 0, False),
        (group(group(Declined()), ConnectionAbortedError()), ConnectionError, 0, True),
        (group(Declined(), TimeoutError()), ExceptionGroup, 0, True),
        (ValueError("no"), Exception, 0, True),
    ],
)
async def test_it_leads_where_the_exception_leads(
    error: Exception, kind: type[Exception], retries: int, *, is_caught: bool
) -> None:
    """An `on_error` catches it by every class that it was of, as it catches groups and spent retries; and by no namesake."""
    work = workflow(error, kind, retries=retries)
    for crashes in (False, True):
        async with MemoryJournal() as journal:
            if crashes:
                with pytest.raises(LeaseLost):
                    await work.run(run_id="r", journal=DyingUndoing(journal))
                call = work.resume("r", journal=journal)
            else:
                call = work.run(run_id="r", journal=journal)
            if is_caught:
                assert (await call).path == (Step.PAY, Step.CAUGHT, Step.DONE)
            else:
                with pytest.raises(RecordedFailure if crashes else Exception):
                    await call
                assert (await journal.load("r")).record.position.status is RunStatus.FAILED


def test_it_tells_of_what_kind_it_was() -> None:
    """`RecordedFailure.is_of` answers as `isinstance` would have; of a row that has only a name, the name decides."""
    kept = recorded_failure(stored_error(Declined("no")))
    assert kept.is_of(Declined)
    assert kept.is_of((KeyError, OSError))
    assert not kept.is_of((KeyError, Elsewhere.Declined))
    assert recorded_failure(stored_error(kept)).is_of(OSError)
    old = recorded_failure(StoredError(type="Declined", message="no"))
    assert old.is_of(Elsewhere.Declined)
    assert not old.is_of(OSError)


def test_a_class_of_the_main_program_is_known_by_its_name() -> None:
    """What was raised by a program that was run itself is the same class where that is imported as a module."""
    kinds = ("__main__:Declined", "builtins:OSError")
    kept = RecordedFailure("Declined", "no", kinds=kinds)
    assert kept.is_of(Declined)
    assert not kept.is_of(Elsewhere.Declined)
