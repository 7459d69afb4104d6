"""What every journal does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from cano_trio import DuplicateRun, JournalError, LeaseLost, RunAlreadyEnded, RunNotFound, RunStatus
from cano_trio._journal.protocol import Journal
from cano_trio._journal.rows import Commit, Cursor, Message, Outcome, Position, StoredError
from tests.journal.conftest import beside
from tests.journal.rows import at, fence_of, finished, letter, new, step

HOSTILE = ["it's", '"quoted"', "new\nline", "../../etc", "nul\x00nul", "\U0001f40b", "", "a" * 5000, "%s{}$1;--"]


async def test_a_created_run_is_loaded_as_it_was(journal: Journal) -> None:
    """What `create` returns and what `load` finds are the same, with every field kept."""
    error = StoredError(type="ValueError", message="no", traceback="...", notes=("a", "b"))
    position = Position(
        state="S",
        status=RunStatus.BLOCKED,
        seq=3,
        entered_at=1.5,
        due_at=2.5,
        deadline_at=9.0,
        ended_at=8.0,
        reason="r",
        error=error,
    )
    run = replace(
        new("a", journal.owner, data=b"\x00\xff"),
        position=position,
        labels=MappingProxyType({"team": "x"}),
        priority=-2,
        parent="p",
        version=7,
    )
    record = await journal.create(run)
    stored = await journal.load("a")
    assert (stored.record, stored.data) == (record, b"\x00\xff")
    assert (record.position, record.labels, record.priority, record.parent) == (position, {"team": "x"}, -2, "p")
    assert (record.version, record.epoch, record.rev, record.crashes, record.owner) == (7, 1, 0, 0, journal.owner)


@pytest.mark.parametrize("run_id", HOSTILE)
async def test_any_text_is_a_run_id(journal: Journal, run_id: str) -> None:
    """An id with quotes, newlines, NUL or paths in it names its own run and no other."""
    await journal.create(new("plain", journal.owner))
    await journal.create(new(run_id, journal.owner))
    assert (await journal.load(run_id)).record.run_id == run_id
    with pytest.raises(DuplicateRun):
        await journal.create(new(run_id, journal.owner))


async def test_a_lone_surrogate_is_refused_alone(journal: Journal) -> None:
    """An id that has no UTF-8 form is refused, and leaves nothing behind."""
    with pytest.raises(UnicodeEncodeError):
        await journal.create(new("\ud800"))
    with pytest.raises(RunNotFound):
        await journal.load("\ud800")
    assert await journal.runs() == ()


async def test_an_id_is_used_once(journal: Journal) -> None:
    """P8: a run of the same id is refused, told with the status of the one there, which stays untouched."""
    record = await journal.create(new("a", journal.owner))
    with pytest.raises(DuplicateRun, match="running") as caught:
        await journal.create(new("a", data=b"other"))
    assert (caught.value.run_id, caught.value.status) == ("a", "running")
    assert await journal.load("a") == replace(await journal.load("a"), record=record, data=b"{}")


async def test_commits_follow_one_another(journal: Journal) -> None:
    """Each commit moves the run and adds its row to the history; the new rev is the next fence's."""
    fence = (await journal.create(new("a", journal.owner))).fence
    for seq in range(3):
        assert await journal.commit(step("a", fence)) == seq + 1
        fence = replace(fence, rev=seq + 1)
    stored = await journal.load("a")
    assert (stored.record.position, stored.data, stored.record.fence) == (at(3), b"2", fence)
    assert await journal.history("a") == (finished(0), finished(1), finished(2))


async def test_every_field_of_a_log_row_comes_back(journal: Journal) -> None:
    """A row's receipt, messages, data, kind, part, version and error are kept."""
    error = StoredError(type="Declined", message="no")
    fence = (await journal.create(new("a", journal.owner))).fence
    row = replace(
        finished(0),
        next=None,
        kind="undone",
        part="/b:left",
        attempts=4,
        receipt=b"r",
        messages=b"\x00",
        data=b"",
        version=3,
        error=error,
    )
    doubtful = replace(finished(0), kind="in doubt")
    await journal.commit(replace(step("a", fence), log=(row, finished(0), doubtful)))
    assert await journal.history("a") == (row, finished(0), doubtful)


async def test_a_stale_fence_is_refused(journal: Journal) -> None:
    """P4: a commit with an older rev, another owner or another epoch raises `LeaseLost` and changes nothing."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.commit(step("a", fence))
    before = await journal.load("a")
    good = replace(fence, rev=1)
    for stale in (fence, replace(good, owner="two"), replace(good, epoch=2), replace(good, run=good.run + 1)):
        with pytest.raises(LeaseLost) as caught:
            await journal.commit(step("a", stale))
        assert (caught.value.run_id, caught.value.owner) == ("a", stale.owner)
    assert await journal.load("a") == before
    assert len(await journal.history("a")) == 1


async def test_data_stay_where_a_commit_has_none(journal: Journal) -> None:
    """A commit without data moves the run, and leaves the data."""
    fence = (await journal.create(new("a", journal.owner, data=b"kept"))).fence
    await journal.commit(Commit(run_id="a", fence=fence, position=at(1)))
    assert (await journal.load("a")).data == b"kept"


async def test_cursors_are_overwritten_and_forgotten(journal: Journal) -> None:
    """A cursor takes the place of the last of its visit and part; forgetting takes those of visits up to one."""
    fence = (await journal.create(new("a", journal.owner))).fence
    first = Commit(
        run_id="a",
        fence=fence,
        position=at(0),
        cursors=(Cursor(0, "", b"1"), Cursor(0, "/b:l", b"2"), Cursor(1, "", b"3")),
    )
    await journal.commit(first)
    await journal.commit(replace(first, fence=replace(fence, rev=1), cursors=(Cursor(0, "", b"4"),)))
    assert (await journal.load("a")).cursors == (Cursor(0, "", b"4"), Cursor(0, "/b:l", b"2"), Cursor(1, "", b"3"))
    await journal.commit(replace(first, fence=replace(fence, rev=2), forget_cursors=0, cursors=(Cursor(0, "x", b"5"),)))
    assert (await journal.load("a")).cursors == (Cursor(0, "x", b"5"), Cursor(1, "", b"3"))


async def test_outcomes_outlive_cursors(journal: Journal) -> None:
    """Forgetting the cursors of a split leaves its outcomes until they are forgotten themselves."""
    fence = (await journal.create(new("a", journal.owner))).fence
    outcome = Outcome(0, "/b:left", b"won")
    commit = Commit(run_id="a", fence=fence, position=at(0), cursors=(Cursor(0, "", b""),), outcomes=(outcome,))
    await journal.commit(commit)
    gone = Commit(run_id="a", fence=replace(fence, rev=1), position=at(1), forget_cursors=0)
    await journal.commit(gone)
    stored = await journal.load("a")
    assert (stored.cursors, stored.outcomes) == ((), (outcome,))
    await journal.commit(replace(gone, fence=replace(fence, rev=2), forget_cursors=None, forget_outcomes=0))
    assert (await journal.load("a")).outcomes == ()


async def test_runs_start_with_a_commit_or_not_at_all(journal: Journal) -> None:
    """A commit that starts a run whose id is used writes nothing, neither its own part nor the other runs."""
    fence = (await journal.create(new("a", journal.owner))).fence
    with pytest.raises(DuplicateRun):
        await journal.commit(replace(step("a", fence), starts=(new("child"), new("a"))))
    assert (await journal.load("a")).record.rev == 0
    assert await journal.history("a") == ()
    with pytest.raises(RunNotFound):
        await journal.load("child")
    await journal.commit(replace(step("a", fence), starts=(new("child", journal.owner),)))
    assert (await journal.load("child")).record.owner == journal.owner


async def test_commits_go_along_or_not_at_all(journal: Journal) -> None:
    """A parent's and a child's commit happen together: where one's fence fails, neither is written."""
    parent = (await journal.create(new("parent", journal.owner))).fence
    child = (await journal.create(new("child", journal.owner))).fence
    lost = replace(step("parent", parent), along=(step("child", replace(child, epoch=9)),))
    with pytest.raises(LeaseLost) as caught:
        await journal.commit(lost)
    assert caught.value.run_id == "child"
    assert [run.rev for run in await journal.runs()] == [0, 0]
    await journal.commit(replace(lost, along=(step("child", child),)))
    assert [run.rev for run in await journal.runs()] == [1, 1]


async def test_a_living_owner_keeps_its_run(journal: Journal, other: Journal) -> None:
    """P4: another process gets None for a run that is held; once it is given back, it gets it, and the old fence is lost."""
    fence = (await journal.create(new("a", journal.owner))).fence
    assert await other.claim("a") is None
    assert await journal.commit(replace(step("a", fence), release=True)) == 1
    taken = await other.claim("a")
    assert fence_of(taken) == replace(fence, owner=other.owner, epoch=2, rev=1)
    assert await journal.claim("a") is None
    with pytest.raises(LeaseLost):
        await journal.commit(step("a", replace(fence, rev=1)))
    assert await other.commit(step("a", fence_of(taken))) == 2


async def test_a_run_that_is_held_already_gets_a_new_fence(journal: Journal) -> None:
    """A claim of one's own run is no crash, and the fence before it is refused."""
    fence = (await journal.create(new("a", journal.owner))).fence
    again = await journal.claim("a")
    assert again is not None
    assert (again.record.crashes, again.record.epoch) == (0, 2)
    with pytest.raises(LeaseLost):
        await journal.commit(step("a", fence))
    assert await journal.commit(step("a", again.record.fence)) == 1


async def test_crashes_are_counted_until_a_commit(journal: Journal) -> None:
    """A claim from a dead owner counts; one of a run that was given back does not, and a commit begins anew."""
    await journal.create(new("a", owner="dead"))
    taken = await journal.claim("a")
    assert taken is not None
    assert (taken.record.crashes, taken.record.epoch) == (1, 2)
    await journal.commit(replace(step("a", taken.record.fence), release=True))
    record = (await journal.load("a")).record
    assert (record.crashes, record.owner) == (0, None)
    with pytest.raises(ValueError, match="Claim it first"):
        _ = record.fence
    freed = await journal.claim("a")
    assert freed is not None
    assert freed.record.crashes == 0


async def test_leaving_gives_all_back(journal: Journal, tmp_path: Path) -> None:
    """P7: a process that leaves gives its runs back at once, uncounted; the others' stay."""
    await journal.create(new("c", journal.owner))
    async with beside(journal, tmp_path) as leaving:
        left = leaving.owner
        for run_id in ("a", "b"):
            await leaving.create(new(run_id, leaving.owner))
    assert [run.owner for run in await journal.runs()] == [journal.owner, None, None]
    taken = await journal.claim("a")
    assert taken is not None
    assert taken.record.crashes == 0
    async with leaving:
        assert leaving.owner not in {left, journal.owner}


async def test_those_who_enter_share_it(journal: Journal, tmp_path: Path) -> None:
    """Any number may enter, at once or one in another; all have one owner, and only the last to leave gives runs back."""
    shared = beside(journal, tmp_path)
    owners: set[str] = set()
    hold = trio.Event()

    async def use() -> None:
        async with shared:
            owners.add(shared.owner)
            await hold.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(use)
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with shared:
            await shared.create(new("a", shared.owner))
        while len(owners) == 0:
            await trio.lowlevel.checkpoint()
        assert (await journal.load("a")).record.owner == shared.owner
        hold.set()
    assert len(owners) == 1
    assert (await journal.load("a")).record.owner is None
    with pytest.raises(JournalError, match="Use it inside `async with`"):
        _ = shared.owner


async def test_messages_are_kept_in_order_until_consumed(journal: Journal) -> None:
    """A message waits in the inbox, whoever holds the run; it leaves it with the commit that consumes it, and no other."""
    fence = (await journal.create(new("a", journal.owner))).fence
    assert [await journal.post(letter("a", b"%d" % index)) for index in range(3)] == [1, 2, 3]
    messages = (await journal.load("a")).messages
    assert messages == tuple(Message(number=index + 1, letter=letter("a", b"%d" % index)) for index in range(3))
    with pytest.raises(LeaseLost):
        await journal.commit(replace(step("a", replace(fence, rev=9)), consumed=(1,)))
    await journal.commit(replace(step("a", fence), consumed=(1, 3)))
    assert (await journal.load("a")).messages == messages[1:2]
    await journal.commit(replace(step("a", replace(fence, rev=1)), consumed=(2,)))
    assert await journal.post(letter("a")) == 4  # numbers are not used again


async def test_a_key_is_taken_once(journal: Journal) -> None:
    """A message with a key that was there before is dropped, even when the first is consumed, or the run is over."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.create(new("b"))
    assert await journal.post(letter("a", key="k")) == 1
    assert await journal.post(letter("a", b"again", key="k")) is None
    assert await journal.post(letter("b", key="k")) == 1
    await journal.commit(replace(step("a", fence), consumed=(1,)))
    assert await journal.post(letter("a", key="k")) is None
    await journal.commit(Commit(run_id="a", fence=replace(fence, rev=1), position=at(2, RunStatus.COMPLETED)))
    assert await journal.post(letter("a", key="k")) is None
    assert (await journal.load("a")).messages == ()


@pytest.mark.parametrize("status", [status for status in RunStatus if status.ended or status.value == "rolling_back"])
async def test_a_run_that_is_over_takes_no_messages(journal: Journal, status: RunStatus) -> None:
    """A run that is over or undoes its work refuses a message, and its sender's commit with it; so does no run at all."""
    await journal.create(replace(new("over"), position=at(0, status)))
    fence = (await journal.create(new("a", journal.owner))).fence
    for run_id, error in (("over", RunAlreadyEnded), ("missing", RunNotFound), ("\ud800", RunNotFound)):
        with pytest.raises(error):
            await journal.post(letter(run_id))
        with pytest.raises(error):
            await journal.commit(replace(step("a", fence), sends=(letter("a"), letter(run_id))))
    stored = await journal.load("a")
    assert (stored.record.rev, stored.messages) == (0, ())


async def test_sends_happen_with_their_commit(journal: Journal) -> None:
    """Messages of a commit arrive with it, those to a run that it starts too; one whose key is known is dropped alone."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.create(new("b"))
    await journal.post(letter("b", b"first", key="k"))
    sends = (letter("b", b"second", key="k"), letter("b", b"third"), letter("child", b"fourth"))
    assert await journal.commit(replace(step("a", fence), starts=(new("child"),), sends=sends)) == 1
    found = [[one.letter.body for one in (await journal.load(run_id)).messages] for run_id in ("b", "child")]
    assert found == [[b"first", b"third"], [b"fourth"]]


async def test_a_run_remembers_its_latest_keys(journal: Journal) -> None:
    """A run remembers the keys of its latest 10,000 messages that had one."""
    await journal.create(new("a"))
    fence = (await journal.create(new("sender", journal.owner))).fence
    sends = tuple(letter("a", b"", key=f"k{index}") for index in range(10_001))
    await journal.commit(replace(step("sender", fence), sends=sends))
    assert await journal.post(letter("a", key="k1")) is None
    assert await journal.post(letter("a", key="k0")) == 10_002


async def test_a_commit_may_change_the_version(journal: Journal) -> None:
    """The version of a run is that of the workflow that wrote its data last."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.commit(replace(step("a", fence), version=2))
    await journal.commit(step("a", replace(fence, rev=1)))
    assert (await journal.load("a")).record.version == 2


async def test_runs_are_listed_in_order_and_in_pages(journal: Journal) -> None:
    """Runs come in the order of their creation, filtered, a page at a time."""
    for index in range(5):
        status = RunStatus.FAILED if index % 2 else RunStatus.WAITING
        workflow = "other" if index == 4 else "census"
        await journal.create(replace(new(f"r{index}"), workflow=workflow, position=at(0, status)))
    page = await journal.runs(limit=2)
    assert [run.run_id for run in page] == ["r0", "r1"]
    assert [run.run_id for run in await journal.runs(after=page[-1].number)] == ["r2", "r3", "r4"]
    assert [run.run_id for run in await journal.runs(status=[RunStatus.FAILED])] == ["r1", "r3"]
    assert [
        run.run_id for run in await journal.runs(workflow="census", status={RunStatus.WAITING, RunStatus.PAUSED})
    ] == ["r0", "r2"]


async def test_runs_are_listed_from_the_end(journal: Journal) -> None:
    """`before` gives the last page of those that came earlier, still in the order of their creation, filtered as ever."""
    for index in range(5):
        due = 1.0 if index % 2 else None
        await journal.create(replace(new(f"r{index}"), position=replace(at(0, RunStatus.WAITING), due_at=due)))
    page = await journal.runs(before=2**63 - 1, limit=2)
    assert [run.run_id for run in page] == ["r3", "r4"]
    assert [run.run_id for run in await journal.runs(before=page[0].number, limit=2)] == ["r1", "r2"]
    first = (await journal.runs(limit=1))[0].number
    assert [run.run_id for run in await journal.runs(after=first, before=page[1].number)] == ["r1", "r2", "r3"]
    assert await journal.runs(before=first) == ()
    assert [run.run_id for run in await journal.runs(before=page[1].number, due=2.0, limit=1)] == ["r3"]


async def test_runs_are_found_by_what_is_known_of_them(journal: Journal) -> None:
    """Statuses, labels and the parent each narrow a list; a label's text is compared as it is."""
    team, odd = {"team": "x"}, {"it's": "nul\x00\n", "team": "x"}
    await journal.create(replace(new("plain"), position=at(0, RunStatus.WAITING)))
    await journal.create(replace(new("x"), labels=team, parent="plain"))
    await journal.create(replace(new("odd"), labels=odd, parent="x", position=at(0, RunStatus.COMPLETED)))

    async def found(**wanted: Any) -> list[str]:
        return [run.run_id for run in await journal.runs(**wanted)]

    assert await found(labels=team) == ["x", "odd"]
    assert await found(labels=odd) == ["odd"]
    assert await found(labels={"team": "y"}) == await found(labels={"x": "team"}) == []
    assert await found(parent="plain") == ["x"]
    assert await found(status=[RunStatus.RUNNING, RunStatus.COMPLETED]) == ["x", "odd"]
    assert await found(status=[RunStatus.RUNNING, RunStatus.WAITING], labels=team, parent="plain") == ["x"]
    assert await found(status=[]) == []


async def test_a_deleted_id_stays_used(journal: Journal) -> None:
    """P8: a run is deleted by its owner alone, with all its rows, and its id and number are never used again."""
    fence = (await journal.create(new("a", journal.owner))).fence
    with pytest.raises(LeaseLost):
        await journal.delete("a", replace(fence, epoch=2))
    await journal.commit(replace(step("a", fence), position=at(1, RunStatus.COMPLETED), cursors=(Cursor(1, "", b""),)))
    await journal.delete("a", replace(fence, rev=1))
    for gone in (
        partial(journal.load, "a"),
        partial(journal.history, "a"),
        partial(journal.claim, "a"),
        partial(journal.post, letter("a")),
    ):
        with pytest.raises(RunNotFound):
            await gone()
    with pytest.raises(DuplicateRun, match="completed"):
        await journal.create(new("a", journal.owner))
    with pytest.raises(LeaseLost):
        await journal.commit(step("a", replace(fence, rev=1)))
    assert (await journal.create(new("b", journal.owner))).number != fence.run


async def test_a_cancel_before_a_call_writes_nothing(journal: Journal) -> None:
    """A call in a scope that is cancelled already raises `Cancelled` before anything is written."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.create(new("a", journal.owner))
    assert scope.cancelled_caught
    assert await journal.runs() == ()


async def test_many_tasks_write_at_once(journal: Journal) -> None:
    """A hundred runs of ten transitions, all at once: each history is dense and in order; a lost fence fails alone."""
    refused: list[str] = []

    async def run(run_id: str) -> None:
        fence = (await journal.create(new(run_id, journal.owner))).fence
        for _ in range(10):
            try:
                await journal.commit(step(run_id, replace(fence, epoch=fence.epoch + 1)))
            except LeaseLost:
                refused.append(run_id)
            fence = replace(fence, rev=await journal.commit(step(run_id, fence)))

    async with trio.open_nursery() as nursery:
        for index in range(100):
            nursery.start_soon(run, f"r{index}")
    assert len(refused) == 1000
    for record in await journal.runs():
        assert record.rev == 10
        assert [row.seq for row in await journal.history(record.run_id)] == list(range(10))


async def test_due_runs_are_found(journal: Journal) -> None:
    """`due` gives those that have something to do at an instant or before it, in the order of their creation."""
    for run_id, due in (("late", 9.0), ("none", None), ("now", 5.0), ("past", 1.0)):
        await journal.create(
            replace(new(run_id, journal.owner), position=replace(at(0, RunStatus.WAITING), due_at=due))
        )
    found = await journal.runs(due=5.0)
    assert [run.run_id for run in found] == ["now", "past"]
    assert [run.run_id for run in await journal.runs(due=5.0, after=found[0].number)] == ["past"]
    for index in range(5):
        await journal.create(
            replace(new(f"r{index}", journal.owner), position=replace(at(0, RunStatus.WAITING), due_at=2.0))
        )
    async with trio.open_nursery() as nursery:  # so that some are written together
        for run in await journal.runs(due=5.0):
            due = 6.0 if run.run_id == "now" else None
            commit = Commit(run_id=run.run_id, fence=run.fence, position=replace(at(1, RunStatus.WAITING), due_at=due))
            nursery.start_soon(journal.commit, commit)
    assert [run.run_id for run in await journal.runs(due=6.0)] == ["now"]


async def test_a_run_that_was_over_can_go_on(journal: Journal) -> None:
    """A failed run that is retried is listed as unfinished again, alone or beside others in one batch."""
    fences = {}
    for run_id in ("a", "b", "c"):
        failed = replace(new(run_id, journal.owner), position=at(0, RunStatus.FAILED))
        fences[run_id] = (await journal.create(failed)).fence
    assert await journal.runs(status=[RunStatus.RUNNING]) == ()
    async with trio.open_nursery() as nursery:
        for run_id, fence in fences.items():
            nursery.start_soon(journal.commit, step(run_id, fence))
    assert [run.run_id for run in await journal.runs(status=[RunStatus.RUNNING])] == ["a", "b", "c"]
    await journal.commit(
        Commit(run_id="a", fence=replace(fences["a"], rev=1), position=at(2, RunStatus.COMPLETED), release=True)
    )
    assert [run.run_id for run in await journal.runs(status=[RunStatus.RUNNING])] == ["b", "c"]
