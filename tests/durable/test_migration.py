"""Parts of a state's work that an older version has written down, brought up to date by `migrate`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import BatchResults, BranchResults, Retry, RunBlocked, RunStatus, Split, TaskConfig, Workflow
from cano_trio.journals import MemoryJournal


class Step(Enum):
    WORK = auto()
    JOIN = auto()
    DONE = auto()


@dataclass
class Page:
    """What version 2 has in the place of a text."""

    url: str


@dataclass
class Size:
    """What version 2 has in the place of a number."""

    words: int


class Migration:
    """A `migrate` that notes what it is asked for."""

    def __init__(self, **fails: bool) -> None:
        self.asked: list[tuple[int, str, Any]] = []
        self.fails = fails

    def __call__(self, version: int, kind: str, raw: Any) -> Any:
        self.asked.append((version, kind, raw))
        if self.fails.get(kind):
            raise KeyError(kind)
        return {"items": lambda: {"url": raw}, "outcome": lambda: {"words": raw}}[kind]()


def new(**options: Any) -> Workflow[Step, None]:
    return Workflow(
        Step, initial=Step.WORK, exits=[Step.DONE], name="w", defaults=TaskConfig(retry=Retry.none()), **options
    )


async def released(work: Workflow[Step, None], journal: MemoryJournal, seconds: float) -> None:
    """Begin a run, and stop it from outside."""
    with trio.move_on_after(seconds) as scope:
        await work.run(run_id="r", journal=journal)
    assert scope.cancelled_caught


def old_batch() -> Workflow[Step, None]:
    """A batch of three texts, of which each takes a second."""
    old = new()

    @old.batch(Step.WORK)
    async def size(text: str) -> int:
        await trio.sleep(1)
        return len(text)

    @size.load
    async def load() -> list[str]:
        return ["a", "bb", "ccc"]

    @size.finish
    async def finish(results: BatchResults[str, int]) -> Literal[Step.DONE]:
        return Step.DONE

    return old


def batch(seen: list[Any], migrate: Migration) -> Workflow[Step, None]:
    """The same of pages, which notes what it sees."""
    today = new(version=2, migrate=migrate)

    @today.batch(Step.WORK)
    async def size(page: Page) -> Size:
        seen.append(page)
        await trio.sleep(1)
        return Size(10 * len(page.url))

    @size.load
    async def load() -> list[Page]:
        raise AssertionError("it is loaded already")

    @size.finish
    async def finish(results: BatchResults[Page, Size]) -> Literal[Step.DONE]:
        seen.append([(result.item, result.outcome.unwrap()) for result in results])
        return Step.DONE

    return today


async def test_items_and_chunks_of_a_batch(autojump_clock: MockClock) -> None:
    """The loaded list and what items have given are each brought up to date, one by one; the rest is worked off as today's."""
    seen: list[Any] = []
    migrate = Migration()
    today = batch(seen, migrate)
    async with MemoryJournal() as journal:
        await released(old_batch(), journal, 2.5)
        await today.resume("r", journal=journal)
    a, bb, ccc = Page("a"), Page("bb"), Page("ccc")
    assert seen == [ccc, [(a, Size(1)), (bb, Size(2)), (ccc, Size(30))]]
    assert set(map(str, migrate.asked)) == set(
        map(str, [(1, "items", "a"), (1, "items", "bb"), (1, "items", "ccc"), (1, "outcome", 1), (1, "outcome", 2)])
    )


async def test_what_was_brought_up_to_date_is_written_down(autojump_clock: MockClock) -> None:
    """A process that stops after it leaves today's form: the next one asks for nothing any more."""
    seen: list[Any] = []
    async with MemoryJournal() as journal:
        await released(old_batch(), journal, 1.5)
        with trio.move_on_after(1.5):
            await batch(seen, Migration()).resume("r", journal=journal)
        migrate = Migration()
        await batch(seen, migrate).resume("r", journal=journal)
        assert (await journal.load("r")).record.version == 2
    assert migrate.asked == []
    assert seen == [
        Page("bb"), Page("ccc"), Page("ccc"),
        [(Page("a"), Size(1)), (Page("bb"), Size(20)), (Page("ccc"), Size(30))],
    ]  # fmt: skip


def old_split() -> Workflow[Step, None]:
    """A split over three texts, chosen at run time, one at a time."""
    old = new()

    @old.branch
    async def size(text: str) -> int:
        await trio.sleep(1)
        return len(text)

    @old.split(Step.WORK)
    async def choose() -> Split[Literal[Step.JOIN]]:
        return Split.over(size, ["a", "bb", "ccc"], Step.JOIN, bulkhead=1)

    @old.task(Step.JOIN)
    async def join(results: BranchResults[int]) -> Literal[Step.DONE]:
        await trio.sleep(10)
        return Step.DONE

    return old


def split(seen: list[Any], migrate: Migration) -> Workflow[Step, None]:
    """The same of pages."""
    today = new(version=2, migrate=migrate)

    @today.branch
    async def size(page: Page) -> Size:
        seen.append(page)
        return Size(10 * len(page.url))

    @today.split(Step.WORK)
    async def choose() -> Split[Literal[Step.JOIN]]:
        if seen:
            return Split.over(size, [Page("x")], Step.JOIN)
        raise AssertionError("it is chosen already")

    @today.task(Step.JOIN)
    async def join(results: BranchResults[Size]) -> Literal[Step.DONE]:
        seen.append(dict(results.successes))
        return Step.DONE

    return today


async def test_items_and_outcomes_of_a_split_over_items(autojump_clock: MockClock) -> None:
    """The items that a split has chosen and what branches came to are brought up to date; it chooses no other ones."""
    seen: list[Any] = []
    migrate = Migration()
    async with MemoryJournal() as journal:
        await released(old_split(), journal, 1.5)
        await split(seen, migrate).resume("r", journal=journal)
    assert seen == [Page("bb"), Page("ccc"), {"0": Size(1), "1": Size(20), "2": Size(30)}]
    assert (1, "items", "ccc") in migrate.asked
    assert (1, "outcome", 1) in migrate.asked


async def test_results_that_wait_for_the_join_state(autojump_clock: MockClock) -> None:
    """So is what all branches came to, where the run was stopped in the join state."""
    seen: list[Any] = []
    async with MemoryJournal() as journal:
        await released(old_split(), journal, 4)
        await split(seen, Migration()).resume("r", journal=journal)
    assert seen == [{"0": Size(1), "1": Size(2), "2": Size(3)}]


@pytest.mark.parametrize("kind", ["items", "outcome"])
@pytest.mark.parametrize("parts", ["batch", "split"])
async def test_a_migration_that_fails_blocks(autojump_clock: MockClock, parts: str, kind: str) -> None:
    """A part that can't be brought up to date blocks the run, which is left as it was."""
    seen: list[Any] = []
    migrate = Migration(**{kind: True})
    old, today = (old_batch(), batch(seen, migrate)) if parts == "batch" else (old_split(), split(seen, migrate))
    async with MemoryJournal() as journal:
        await released(old, journal, 1.5)
        before = await journal.load("r")
        with pytest.raises(RunBlocked, match=f"its {kind} can't be read by this code: KeyError"):
            await today.resume("r", journal=journal)
        after = await journal.load("r")
        assert (after.record.position.status, after.record.version) == (RunStatus.BLOCKED, 1)
        assert (after.cursors, after.outcomes) == (before.cursors, before.outcomes)
    assert seen == []
