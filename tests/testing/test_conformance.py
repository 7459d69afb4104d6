"""Journals that do something wrong do not pass for one that does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from cano_trio import DuplicateRun
from cano_trio.journals import Commit, ForwardingJournal, Journal, Letter, MemoryJournal, NewRun, RunRecord, StoredRun
from cano_trio.testing import ConformanceCheck, JournalFactory, LawBroken, conformance_checks, journal_conformance

T = TypeVar("T")


class NoFence(ForwardingJournal):
    """Writes whatever its writer believes."""

    async def commit(self, commit: Commit, /) -> int:
        record = (await self.inner.load(commit.run_id)).record
        return await self.inner.commit(commit if record.owner is None else replace(commit, fence=record.fence))


class ReusesIds(ForwardingJournal):
    """Gives the run that is there, as if it were new."""

    async def create(self, run: NewRun, /) -> RunRecord:
        try:
            return await self.inner.create(run)
        except DuplicateRun:
            return (await self.inner.load(run.run_id)).record


class ForgetsInboxDelete(ForwardingJournal):
    """Leaves in the inbox what was consumed."""

    async def commit(self, commit: Commit, /) -> int:
        return await self.inner.commit(replace(commit, consumed=()))


class ForgetsKeys(ForwardingJournal):
    """Takes a message as often as it comes."""

    async def post(self, letter: Letter, /) -> int | None:
        return await self.inner.post(replace(letter, key=None))


class InTwoSteps(ForwardingJournal):
    """Starts runs before the commit that they belong to."""

    async def commit(self, commit: Commit, /) -> int:
        for run in commit.starts:
            await self.inner.create(run)
        return await self.inner.commit(replace(commit, starts=()))


class Bold(ForwardingJournal):
    """Goes on with runs that another process holds."""

    async def claim(self, run_id: str, /) -> StoredRun | None:
        return await self.inner.claim(run_id) or await self.inner.load(run_id)


class LosesReceipts(ForwardingJournal):
    """Keeps log rows without a part of them."""

    async def commit(self, commit: Commit, /) -> int:
        return await self.inner.commit(replace(commit, log=tuple(replace(row, receipt=None) for row in commit.log)))


class KeepsCursors(ForwardingJournal):
    """Never forgets a cursor."""

    async def commit(self, commit: Commit, /) -> int:
        return await self.inner.commit(replace(commit, forget_cursors=None))


class Deaf(ForwardingJournal):
    """Tells of no changes."""

    @property
    def changes(self) -> int:
        return 0

    async def wait_changed(self, seen: int, /) -> None:
        await trio.sleep_forever()


class FiresTwice(ForwardingJournal):
    """Creates the run, whatever has become of its schedule."""

    async def fire(self, run: NewRun, schedule: Any, /) -> Any:
        return await self.inner.create(run)


class Hangs(ForwardingJournal):
    """Never answers."""

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        await trio.sleep_forever()
        raise AssertionError("unreachable")


WRONG: list[tuple[Callable[[Journal], Journal], str, str]] = [
    (NoFence, "a_stale_fence_is_refused", "it is not refused with LeaseLost"),
    (ReusesIds, "an_id_is_used_once", "it is not refused with DuplicateRun"),
    (ForgetsInboxDelete, "messages_are_kept_in_order_until_consumed", "\n  found    (Message(number=1,"),
    (ForgetsKeys, "a_key_is_taken_once", "\n  found    2\n  expected None"),
    (InTwoSteps, "runs_start_with_a_commit_or_not_at_all", "it is not refused with RunNotFound"),
    (Bold, "a_living_owner_keeps_its_run", "\n  expected None"),
    (LosesReceipts, "every_field_of_a_log_row_comes_back", "receipt=b'r'"),
    (KeepsCursors, "cursors_are_overwritten_and_forgotten", "\n  expected (Cursor("),
    (Deaf, "changes_are_told", "nobody is told of a post"),
    (FiresTwice, "an_instant_is_fired_once", "it raises ValueError"),
    (Hangs, "a_created_run_is_loaded_as_it_was", "it has not come to an end in 60 s"),
]


def store_of(wrong: Callable[[Journal], Journal]) -> JournalFactory:
    store = MemoryJournal()
    return lambda: wrong(MemoryJournal(beside=store))


def check_of(name: str) -> ConformanceCheck:
    return next(check for check in conformance_checks if check.name == name)


@pytest.mark.parametrize("wrong, name, reason", WRONG)
async def test_a_wrong_journal_is_told_what_is_wrong(
    wrong: Callable[[Journal], Journal], name: str, reason: str, autojump_clock: MockClock
) -> None:
    """The law that it breaks fails, and the failure has the law's name, what it says, and what was found instead."""
    check = check_of(name)
    with pytest.raises(LawBroken) as caught:
        await check(store_of(wrong))
    message = str(caught.value)
    assert message.startswith(name.replace("_", " ") + ": ")
    assert reason in message
    assert message.endswith(f"\nThe law: {check.text}")


async def test_a_failure_shows_the_line_of_the_law(autojump_clock: MockClock) -> None:
    """Where the law stands can be looked up."""
    with pytest.raises(LawBroken, match=r"\n  at commits\.py:\d+: with refused\(LeaseLost\)") as caught:
        await check_of("a_stale_fence_is_refused")(store_of(NoFence))
    assert (caught.value.law, caught.value.__cause__ is not None) == ("a_stale_fence_is_refused", True)


async def test_all_laws_in_one_go(autojump_clock: MockClock) -> None:
    """What breaks several laws is told of each; what breaks none passes."""
    await journal_conformance(lambda: store_of(ForwardingJournal))
    with pytest.raises(ExceptionGroup, match=r"\d of \d\d laws of journals do not hold") as caught:
        await journal_conformance(lambda: store_of(KeepsCursors))
    told = [error.law for error in caught.value.exceptions if isinstance(error, LawBroken)]
    assert told == ["cursors_are_overwritten_and_forgotten", "outcomes_outlive_cursors"]


def test_every_law_has_a_name_and_says_what_it_is() -> None:
    """Names are used once, texts are sentences."""
    names = [str(check) for check in conformance_checks]
    assert len(set(names)) == len(names) > 50
    assert all(
        check.text.endswith(".") and (check.text[0].isupper() or check.text[0] == "`") for check in conformance_checks
    )
    assert check_of("an_id_is_used_once").needs_second is False
    assert check_of("a_living_owner_keeps_its_run").needs_second is True
