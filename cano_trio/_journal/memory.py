"""A journal that lives as long as the process: for tests, and as the measure for the others."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import compress, count, islice
from typing import Self, TypeVar, final
from uuid import uuid4

import attrs
import trio
from msgspec.structs import replace
from trio.lowlevel import TrioToken, cancel_shielded_checkpoint, checkpoint, current_trio_token

from .._errors import DuplicateRun, RunAlreadyEnded, RunNotFound, StatementFailed
from .._observe.status import RunStatus
from .bounds import Cut, is_too_much, may_be_too_much, size_of
from .claiming import TAKEN_UP, due_of, first_first, has_work
from .inbox import KEYS_KEPT, takes_messages
from .memory_rows import Kept, fenced
from .protocol import NO_LABELS
from .rows import Commit, Fence, Letter, LogRow, Message, NewRun, News, RunRecord, StoredRun, created
from .schedule_record import ScheduleRecord
from .shared import Shared, is_over

V = TypeVar("V")


@attrs.define
class _Shelf:
    """What several processes see of the same runs."""

    count: count[int] = attrs.Factory(lambda: count(1))
    runs: dict[int, Kept] = attrs.Factory(dict)
    numbers: dict[str, int] = attrs.Factory(dict)
    logs: dict[int, list[LogRow]] = attrs.Factory(dict)
    keys: dict[int, dict[str, None]] = attrs.Factory(dict)
    removed: dict[str, str] = attrs.Factory(dict)
    owners: dict[str, TrioToken] = attrs.Factory(dict)
    journals: list[MemoryJournal] = attrs.Factory(list)
    posts: list[str] = attrs.Factory(list)
    schedules: dict[str, ScheduleRecord] = attrs.Factory(dict)

    def tell(self, writer: MemoryJournal, *, itself: bool) -> None:
        """Tell those that are open that something has changed; the one that wrote it only if it is of interest to `itself`."""
        for journal in self.journals:
            if journal is not writer or itself:
                journal.change()


@attrs.define
class _Transaction:
    """What one transaction has changed so far; nobody sees it before it is whole."""

    runs: ChainMap[int, Kept]
    numbers: ChainMap[str, int]
    schedules: ChainMap[str, ScheduleRecord]
    log: list[tuple[int, LogRow]] = attrs.Factory(list)
    large: list[int] = attrs.Factory(list)
    keys: dict[tuple[int, str], None] = attrs.Factory(dict)
    posts: list[str] = attrs.Factory(list)
    calls: bool = False
    """Somebody may have something to do because of it."""


@final
class MemoryJournal:
    """Runs in memory. It outlives `trio.run`, so a test can crash one and resume in the next.

    An owner is dead when its trio run is over, or when its journal was closed: no time passes for it.

    Args:
        beside: a journal whose runs this one sees as well, as another process would.

    >>> import trio
    >>> async def main():
    ...     async with MemoryJournal() as journal:
    ...         return await journal.runs()
    >>> trio.run(main)
    ()
    """

    def __init__(self, *, beside: MemoryJournal | None = None) -> None:
        self._shelf: _Shelf = _Shelf() if beside is None else beside._shelf  # noqa: SLF001 -- one of us
        self._shared = Shared("this MemoryJournal", self._take_up, self._lay_down)
        self._owner = ""
        self._changes = 0
        self._changed = trio.Event()

    @property
    def owner(self) -> str:
        """Under which id runs are held by it; a new one each time it is opened.

        Raises:
            JournalError: it is not open.
        """
        self._shared.check()
        return self._owner

    def holds(self, owner: str, /) -> bool:
        """Whether it is its own: no lease of it ever lapses."""
        return owner == self._owner

    async def __aenter__(self) -> Self:
        """Open it; if it is open in this trio run, join those that use it.

        Raises:
            JournalError: it is open in another trio run.
        """
        await checkpoint()
        await self._shared.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """The last to leave gives back all runs that it holds."""
        await self._shared.leave()

    async def create(self, run: NewRun, /) -> RunRecord:
        """Create a run."""
        await checkpoint()
        return self._transact(lambda transaction: self._create(transaction, run))

    async def commit(self, commit: Commit, /) -> int:
        """Write down what happened to a run, and return its new ``rev``."""
        await cancel_shielded_checkpoint()
        self._transact(lambda transaction: self._commit(transaction, commit))
        return commit.fence.rev + 1

    async def load(self, run_id: str, /) -> StoredRun:
        """All that resuming a run needs."""
        return (await self._found(run_id)).stored()

    async def history(self, run_id: str, /) -> tuple[LogRow, ...]:
        """The finished states of a run, in the order of their commits."""
        return tuple(self._shelf.logs.get((await self._found(run_id)).record.number, ()))

    async def runs(
        self,
        *,
        workflow: str | None = None,
        status: Collection[RunStatus] | None = None,
        labels: Mapping[str, str] = NO_LABELS,
        parent: str | None = None,
        due: float | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 1000,
    ) -> tuple[RunRecord, ...]:
        """Runs in the order of their creation, a page at a time."""
        await self._checkpoint()
        found = (
            kept.record
            for number, kept in sorted(self._shelf.runs.items(), reverse=before is not None)
            if number > after
            and (before is None or number < before)
            and workflow in {None, kept.record.workflow}
            and (status is None or kept.record.position.status in status)
            and labels.items() <= kept.record.labels.items()
            and parent in {None, kept.record.parent}
            and (due is None or ((at := due_of(kept.record.position)) is not None and at <= due))
        )
        page = tuple(islice(found, limit))
        return page if before is None else page[::-1]

    async def claim(self, run_id: str, /) -> StoredRun | None:
        """Take a run over for `owner`, unless another living process holds it."""
        kept = await self._found(run_id)
        record = kept.record
        died = record.owner is not None and record.owner != self._owner
        if record.owner is not None and died and self._lives(record.owner):
            return None
        record = replace(record, owner=self._owner, epoch=record.epoch + 1, crashes=record.crashes + died)
        self._shelf.runs[record.number] = kept = replace(kept, record=record)
        self._shelf.tell(self, itself=False)
        return kept.stored()

    async def claimable(
        self, *, workflows: Collection[str] | None = None, now: float, limit: int = 1000
    ) -> tuple[RunRecord, ...]:
        """Runs that have something to do, and that no living process holds: first things first."""
        await self._checkpoint()
        return first_first(
            (kept.record for kept in self._unheld(workflows) if has_work(kept.record, now, kept.posted)),
            limit,
        )

    async def next_due(self, *, workflows: Collection[str] | None = None, now: float) -> float | None:
        """When after `now` the first run that nobody holds will have something to do."""
        await self._checkpoint()
        instants = (
            due_of(kept.record.position) for kept in self._unheld(workflows) if kept.record.position.status in TAKEN_UP
        )
        return min((instant for instant in instants if instant is not None and instant > now), default=None)

    def _unheld(self, workflows: Collection[str] | None) -> Iterator[Kept]:
        living = {owner for owner in self._shelf.owners if self._lives(owner)}
        for kept in self._shelf.runs.values():
            record = kept.record
            if record.owner not in living and (workflows is None or record.workflow in workflows):
                yield kept

    async def inbox(self, run_id: str, /, *, after: int = 0) -> tuple[Message, ...]:
        """The messages in a run's inbox, in the order in which they came."""
        messages = (await self._found(run_id)).messages
        return tuple(message for number, message in sorted(messages.items()) if number > after)

    async def news(self, seen: int = 0, /) -> News:
        """Which runs have got messages since."""
        await self._checkpoint()
        posts = self._shelf.posts
        return News(len(posts), frozenset(posts[seen:]))

    @property
    def changes(self) -> int:
        """A number that grows whenever a run may have become claimable, or got a message, or another process has written."""
        return self._changes

    async def wait_changed(self, seen: int, /) -> None:
        """Wait until `changes` is another number than this."""
        await self._checkpoint()
        while self._changes == seen:
            await self._changed.wait()

    def change(self) -> None:
        """Something has changed."""
        self._changes += 1
        self._changed.set()
        self._changed = trio.Event()

    async def post(self, letter: Letter, /) -> int | None:
        """Put a message into a run's inbox."""
        await checkpoint()
        return self._transact(lambda transaction: self._post(transaction, letter))

    async def delete(self, run_id: str, fence: Fence, /) -> None:
        """Remove a run with all its rows; its id stays used."""
        await self._checkpoint()
        shelf = self._shelf
        kept = fenced(shelf.runs, run_id, fence)
        shelf.removed[run_id] = kept.record.position.status.value
        del shelf.runs[fence.run], shelf.numbers[run_id]
        shelf.logs.pop(fence.run, None)
        shelf.keys.pop(fence.run, None)
        shelf.tell(self, itself=False)

    async def schedules(self) -> tuple[ScheduleRecord, ...]:
        """The schedules that were begun and not removed, by their names."""
        await self._checkpoint()
        return tuple(schedule for _, schedule in sorted(self._shelf.schedules.items()))

    async def keep_schedule(self, schedule: ScheduleRecord, /) -> ScheduleRecord | None:
        """Write down where a schedule stands, unless somebody else has done so since."""
        await checkpoint()
        return self._transact(lambda transaction: _keep_schedule(transaction, schedule))

    async def delete_schedule(self, name: str, rev: int, /) -> ScheduleRecord | None:
        """Forget a schedule, unless something else has become of it since."""
        await self._checkpoint()
        there = self._shelf.schedules.get(name)
        if there is not None and there.rev != rev:
            return there
        self._shelf.schedules.pop(name, None)
        return None

    async def fire(self, run: NewRun, schedule: ScheduleRecord, /) -> RunRecord | ScheduleRecord:
        """Create a run, and write down that a schedule has fired it: both, or neither."""
        await checkpoint()
        return self._transact(
            lambda transaction: _keep_schedule(transaction, schedule) or self._create(transaction, run)
        )

    async def _take_up(self) -> None:
        self._owner = uuid4().hex
        shelf, here = self._shelf, current_trio_token()
        shelf.owners[self._owner] = here
        self._changed = trio.Event()
        # Those of a trio run that is over would have nobody to wake.
        shelf.journals[:] = [journal for journal in shelf.journals if shelf.owners.get(journal._owner) is here]  # noqa: SLF001
        shelf.journals.append(self)

    async def _lay_down(self) -> None:
        runs = self._shelf.runs
        for number, kept in runs.items():
            if kept.record.owner == self._owner:
                runs[number] = replace(kept, record=replace(kept.record, owner=None))
        del self._shelf.owners[self._owner]
        self._shelf.journals.remove(self)
        self._shelf.tell(self, itself=False)

    def _lives(self, owner: str) -> bool:
        token = self._shelf.owners.get(owner)
        return token is not None and not is_over(token)

    async def _checkpoint(self) -> None:
        await checkpoint()
        self._shared.check()

    async def _found(self, run_id: str) -> Kept:
        await self._checkpoint()
        if (number := self._shelf.numbers.get(run_id)) is None:
            raise RunNotFound(run_id)
        return self._shelf.runs[number]

    def _transact(self, change: Callable[[_Transaction], V]) -> V:
        """Make a change as a whole, or not at all."""
        self._shared.check()
        shelf = self._shelf
        transaction = _Transaction(
            ChainMap({}, shelf.runs), ChainMap({}, shelf.numbers), ChainMap({}, shelf.schedules)
        )  # fmt: skip
        result = change(transaction)
        shelf.runs.update(transaction.runs.maps[0])
        shelf.numbers.update(transaction.numbers.maps[0])
        shelf.schedules.update(transaction.schedules.maps[0])
        for number, row in transaction.log:
            shelf.logs.setdefault(number, []).append(row)
        for number in transaction.large:
            self._trim(number)
        for number, key in transaction.keys:
            _remember(shelf.keys.setdefault(number, {}), key)
        shelf.posts += transaction.posts
        shelf.tell(self, itself=transaction.calls or bool(transaction.posts))
        return result

    def _create(self, transaction: _Transaction, run: NewRun) -> RunRecord:
        run.run_id.encode()  # a lone surrogate can't be written down
        if (there := transaction.numbers.get(run.run_id)) is not None:
            raise DuplicateRun(run.run_id, transaction.runs[there].record.position.status.value)
        if (status := self._shelf.removed.get(run.run_id)) is not None:
            raise DuplicateRun(run.run_id, status)
        record = created(run, next(self._shelf.count))
        transaction.calls = transaction.calls or run.owner is None
        transaction.runs[record.number] = Kept(
            record=record, data=run.data, cursors={}, outcomes={}, messages={}, posted=0
        )
        transaction.numbers[run.run_id] = record.number
        return record

    def _commit(self, transaction: _Transaction, commit: Commit) -> None:
        kept = fenced(transaction.runs, commit.run_id, commit.fence, commit.position.seq)
        if commit.statements:
            raise StatementFailed(commit.statements[0].text, "this journal knows no SQL. Use SqliteJournal")
        transaction.runs[commit.fence.run] = kept.after(commit)
        transaction.calls = transaction.calls or (commit.release and not commit.position.status.ended)
        transaction.log += [(commit.fence.run, row) for row in commit.log]
        if may_be_too_much(commit, sum(map(size_of, commit.log))):
            transaction.large.append(commit.fence.run)
        for run in commit.starts:
            self._create(transaction, run)
        for other in commit.along:
            self._commit(transaction, other)
        for letter in commit.sends:
            self._post(transaction, letter)

    def _trim(self, number: int) -> None:
        """Cut a run's history, if it is far too long."""
        kept = self._shelf.runs[number]
        if not is_too_much(kept.log_rows, kept.log_size):
            return
        cut = Cut(kept.record.position.status)
        log = self._shelf.logs[number]
        stays = [cut.keeps(row) for row in reversed(log)]
        self._shelf.logs[number] = list(compress(log, reversed(stays)))
        visits = Counter(kept.visits) + Counter(cut.visits)
        self._shelf.runs[number] = replace(kept, log_rows=cut.rows, log_size=cut.size, visits=dict(visits))

    def _post(self, transaction: _Transaction, letter: Letter) -> int | None:
        if (run := transaction.numbers.get(letter.run_id)) is None:
            raise RunNotFound(letter.run_id)
        kept = transaction.runs[run]
        if letter.key in self._shelf.keys.get(run, ()) or (run, letter.key) in transaction.keys:
            return None
        if not takes_messages(status := kept.record.position.status):
            raise RunAlreadyEnded(letter.run_id, status.value)
        if letter.key is not None:
            transaction.keys[run, letter.key] = None
        number = kept.posted + 1
        transaction.posts.append(letter.run_id)
        messages = {**kept.messages, number: Message(number=number, letter=letter)}
        transaction.runs[run] = replace(kept, messages=messages, posted=number)
        return number


def _keep_schedule(transaction: _Transaction, schedule: ScheduleRecord) -> ScheduleRecord | None:
    schedule.name.encode()  # a lone surrogate can't be written down
    there = transaction.schedules.get(schedule.name)
    if there is not None and there.rev != schedule.rev:
        return there
    transaction.schedules[schedule.name] = replace(schedule, rev=schedule.rev + 1)
    return None


def _remember(keys: dict[str, None], key: str) -> None:
    keys[key] = None
    if len(keys) > KEYS_KEPT:
        del keys[next(iter(keys))]
