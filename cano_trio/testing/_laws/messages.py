"""A message is kept until it is consumed, and comes once."""

from __future__ import annotations

from msgspec.structs import replace

from ..._errors import LeaseLost, RunAlreadyEnded, RunNotFound
from ..._journal.protocol import Journal
from ..._journal.rows import Commit, Message
from ..._observe.status import RunStatus
from .law import law, refused, same
from .rows import at, letter, new, step


@law
async def messages_are_kept_in_order_until_consumed(journal: Journal) -> None:
    """A message waits in the inbox, whoever holds the run; it leaves it with the commit that consumes it, and no other."""
    fence = (await journal.create(new("a", journal.owner))).fence
    same([await journal.post(letter("a", b"%d" % index)) for index in range(3)], [1, 2, 3])
    messages = (await journal.load("a")).messages
    same(messages, tuple(Message(number=index + 1, letter=letter("a", b"%d" % index)) for index in range(3)))
    with refused(LeaseLost):
        await journal.commit(replace(step("a", replace(fence, rev=9)), consumed=(1,)))
    await journal.commit(replace(step("a", fence), consumed=(1, 3)))
    same((await journal.load("a")).messages, messages[1:2])
    await journal.commit(replace(step("a", replace(fence, rev=1)), consumed=(2,)))
    same(await journal.post(letter("a")), 4)


@law
async def a_key_is_taken_once(journal: Journal) -> None:
    """A message with a key that was there before is dropped, even when the first is consumed, or the run is over."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.create(new("b"))
    same(await journal.post(letter("a", key="k")), 1)
    same(await journal.post(letter("a", b"again", key="k")), None)
    same(await journal.post(letter("b", key="k")), 1)
    await journal.commit(replace(step("a", fence), consumed=(1,)))
    same(await journal.post(letter("a", key="k")), None)
    await journal.commit(Commit(run_id="a", fence=replace(fence, rev=1), position=at(2, RunStatus.COMPLETED)))
    same(await journal.post(letter("a", key="k")), None)
    same((await journal.load("a")).messages, ())


@law
async def a_run_that_is_over_takes_no_messages(journal: Journal) -> None:
    """A run that is over or undoes its work refuses a message, and its sender's commit with it; so does no run at all."""
    over = [status for status in RunStatus if status.ended or status is RunStatus.ROLLING_BACK]
    for status in over:
        await journal.create(replace(new(status.value), position=at(0, status)))
    refusals: list[tuple[str, type[Exception]]] = [(status.value, RunAlreadyEnded) for status in over]
    refusals += [("missing", RunNotFound), ("\ud800", RunNotFound)]
    fence = (await journal.create(new("a", journal.owner))).fence
    for run_id, error in refusals:
        with refused(error):
            await journal.post(letter(run_id))
        with refused(error):
            await journal.commit(replace(step("a", fence), sends=(letter("a"), letter(run_id))))
    stored = await journal.load("a")
    same((stored.record.rev, stored.messages), (0, ()))


@law
async def sends_happen_with_their_commit(journal: Journal) -> None:
    """Messages of a commit arrive with it, those to a run that it starts too; one whose key is known is dropped alone."""
    fence = (await journal.create(new("a", journal.owner))).fence
    await journal.create(new("b"))
    await journal.post(letter("b", b"first", key="k"))
    sends = (letter("b", b"second", key="k"), letter("b", b"third"), letter("child", b"fourth"))
    same(await journal.commit(replace(step("a", fence), starts=(new("child"),), sends=sends)), 1)
    found = [[one.letter.body for one in (await journal.load(run_id)).messages] for run_id in ("b", "child")]
    same(found, [[b"first", b"third"], [b"fourth"]])


@law
async def a_run_remembers_its_latest_keys(journal: Journal) -> None:
    """A run remembers the keys of its latest 10,000 messages that had one."""
    await journal.create(new("a"))
    fence = (await journal.create(new("sender", journal.owner))).fence
    sends = tuple(letter("a", b"", key=f"k{index}") for index in range(10_001))
    await journal.commit(replace(step("sender", fence), sends=sends))
    same(await journal.post(letter("a", key="k1")), None)
    same(await journal.post(letter("a", key="k0")), 10_002)
