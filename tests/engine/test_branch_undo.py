"""Branches that can be undone (RULINGS of sagas on splits): with what the join goes on, and what it undoes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    BranchResults,
    CompensatableTask,
    DataNotWritable,
    Retry,
    RunContext,
    Split,
    SplitFailed,
    Workflow,
    failure_context,
)


class Step(Enum):
    BOOK = auto()
    PACK = auto()
    DONE = auto()
    SORRY = auto()


class Book(CompensatableTask[Step, str]):
    """Books after some seconds, or fails; keeps a diary."""

    retry = Retry.none()

    def __init__(self, name: str, diary: list[str], seconds: float = 0, **options: Any) -> None:
        self.label = name
        self.diary = diary
        self.seconds = seconds
        self.fails = options.pop("fails", False)
        self.undo_fails = options.pop("undo_fails", 0)

    async def run(self, ctx: RunContext) -> tuple[Literal[Step.DONE], str]:
        self.diary.append(f"book {self.label}")
        await trio.sleep(self.seconds)
        if self.fails:
            raise TypeError(self.label)
        self.diary.append(f"booked {ctx.idempotency_key}")
        return Step.DONE, self.label

    async def compensate(self, receipt: str, ctx: RunContext) -> None:
        if self.undo_fails:
            self.undo_fails -= 1
            raise TypeError("not now")
        self.diary.append(f"cancel {receipt} {ctx.forward_key}")


def workflow(split: Split[Literal[Step.PACK]], diary: list[str], **options: Any) -> Workflow[Step]:
    """Branches, then a join state that may fail."""
    made = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE, Step.SORRY])
    made.register_split(Step.BOOK, split, on_error=options.get("on_error", {}))

    @made.task(Step.PACK)
    async def pack(results: BranchResults[Step]) -> Literal[Step.DONE]:
        diary.append(f"pack {','.join(results.successes)}")
        if options.get("fails"):
            raise TypeError("no box")
        return Step.DONE

    return made


async def test_branches_are_undone_when_the_run_fails_later(autojump_clock: MockClock) -> None:
    """Receipts of branches are undone as those of states are: last things first, each with its own key."""
    diary: list[str] = []
    books = {"a": Book("a", diary, 2), "b": Book("b", diary, 1)}
    with pytest.raises(TypeError, match="no box") as caught:
        await workflow(Split.all(books, Step.PACK), diary, fails=True).run(run_id="r")
    assert diary[4:] == ["pack a,b", "cancel a r/0/b:a", "cancel b r/0/b:b"]
    context = failure_context(caught.value)
    assert context is not None
    assert context.rollback is not None
    assert context.rollback.undone == ((Step.BOOK, None), (Step.BOOK, None))


async def test_branches_are_undone_when_the_join_fails(autojump_clock: MockClock) -> None:
    """A join that can't succeed any more leaves nothing booked."""
    diary: list[str] = []
    books = [Book("a", diary, 1), Book("b", diary, 2, fails=True), Book("c", diary, 3)]
    with pytest.raises(SplitFailed):
        await workflow(Split.all(books, Step.PACK), diary).run(run_id="r")
    # c was held against the verdict's cancel, so that its receipt was not lost.
    assert diary[-3:] == ["booked r/0/b:2", "cancel c r/0/b:2", "cancel a r/0/b:0"]


async def test_a_branch_that_came_after_the_verdict_is_undone_before_the_run_goes_on(autojump_clock: MockClock) -> None:
    """One of two is enough: what the held loser has booked is cancelled before the join state is entered."""
    diary: list[str] = []
    books = [Book("a", diary, 1), Book("b", diary, 5)]
    await workflow(Split.any(books, Step.PACK), diary).run(run_id="r")
    assert diary[2:] == ["booked r/0/b:0", "booked r/0/b:1", "cancel b r/0/b:1", "pack 0"]
    assert trio.current_time() == 5


async def test_a_superfluous_branch_that_can_not_be_undone_fails_the_split(autojump_clock: MockClock) -> None:
    """The run does not go on beside what it can't undo; the rollback tries that once more."""
    diary: list[str] = []
    books = [Book("a", diary, 1), Book("b", diary, 5, undo_fails=1)]
    with pytest.raises(TypeError, match="not now"):
        await workflow(Split.any(books, Step.PACK), diary).run(run_id="r")
    assert diary[-2:] == ["cancel b r/0/b:1", "cancel a r/0/b:0"]


@pytest.mark.parametrize("rule", [Split.any, Split.all])
async def test_no_on_error_leads_past_a_branch_that_can_not_be_undone(rule: Any, autojump_clock: MockClock) -> None:
    """What still stands is undone with the whole run: the run would end elsewhere, and nobody would know of it."""
    diary: list[str] = []
    books = [Book("a", diary, 1), Book("b", diary, 5, undo_fails=1), Book("c", diary, 6, fails=True)]
    flow = workflow(rule(books, Step.PACK), diary, on_error={Exception: Step.SORRY})
    with pytest.raises(TypeError, match="not now"):
        await flow.run(run_id="r")
    assert sorted(entry.split()[1] for entry in diary if entry.startswith("cancel")) == ["a", "b"]


async def test_a_join_that_failed_and_is_led_on_leaves_nothing_done(autojump_clock: MockClock) -> None:
    """Where `on_error` leads a failed join on, its branches have been undone first: nobody else would."""
    diary: list[str] = []
    books = [Book("a", diary, 1), Book("b", diary, 2, fails=True)]
    flow = workflow(Split.all(books, Step.PACK), diary, on_error={SplitFailed: Step.SORRY})
    assert (await flow.run(run_id="r")).state is Step.SORRY
    assert diary[-1] == "cancel a r/0/b:0"


@dataclass
class Trip:
    nights: int = 1


async def test_a_branch_that_changes_the_data_leaves_its_receipt() -> None:
    """A branch may only read the data (RULINGS 4), but what it did by then is not in doubt: its receipt undoes it."""
    diary: list[str] = []

    class Greedy(CompensatableTask[Step, str]):
        async def run(self, trip: Trip) -> tuple[Literal[Step.DONE], str]:
            trip.nights += 1
            return Step.DONE, "room 7"

        async def compensate(self, receipt: str) -> None:
            diary.append(receipt)

    made = Workflow(Step, initial=Step.BOOK, exits=[Step.DONE], data=Trip)
    made.register_split(Step.BOOK, Split.all([Greedy()], Step.DONE))
    with pytest.raises(SplitFailed) as caught:
        await made.run(Trip())
    assert isinstance(caught.value.__cause__, DataNotWritable)
    assert diary == ["room 7"]


@pytest.mark.parametrize("wrong", [None, 3, (Step.DONE, "room 7", 1), [Step.DONE, "room 7"]])
async def test_a_branch_that_pairs_nothing_with_its_receipt_fails(wrong: Any) -> None:
    """What is neither a pair nor a bare state is no result: the branch fails, and is in doubt."""

    class Wrong(Book):
        async def run(self, ctx: RunContext) -> tuple[Literal[Step.DONE], str]:
            return wrong  # type: ignore[no-any-return]

    with pytest.raises(SplitFailed) as caught:
        await workflow(Split.all({"a": Wrong("a", [])}, Step.PACK), []).run()
    assert isinstance(caught.value.__cause__, TypeError)
    assert "BOOK[a] returned" in str(caught.value.__cause__)
    context = failure_context(caught.value)
    assert context is not None
    assert context.rollback is not None
    assert context.rollback.in_doubt == (Step.BOOK,)
