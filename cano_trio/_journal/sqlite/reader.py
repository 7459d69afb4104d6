"""One thread that reads: what waits is read together, so that a thousand questions wake it once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final, TypeVar, final

import apsw
import outcome
import trio
from trio.lowlevel import Abort, checkpoint_if_cancelled, current_task, current_trio_token, wait_task_rescheduled

from .jobs import Job, Tally, acknowledge

T = TypeVar("T")

MOST: Final = 100
"""How many questions are answered in one transaction: the WAL grows while it lasts."""


class _Question(Job, kw_only=True):
    """Something to read; a task that is cancelled does not wait for it."""

    read: Callable[[apsw.Connection], object]

    def answer(self, db: apsw.Connection) -> None:
        if self.task is not None:
            self.result = outcome.capture(self.read, db)

    def withdraw(self, _: object) -> Abort:
        self.task = None
        return Abort.SUCCEEDED


@final
class Reader:
    """Reads from a connection, which nobody else may use meanwhile.

    Args:
        db: the connection.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._queue: SimpleQueue[_Question | None] = SimpleQueue()
        self._tally = Tally()
        self._token = current_trio_token()
        self._ended = Event()
        trio.lowlevel.start_thread_soon(self._work, outcome.Outcome.unwrap, "cano_trio journal reader")

    async def read(self, read: Callable[[apsw.Connection], T]) -> T:
        """Read something, at one moment."""
        await checkpoint_if_cancelled()
        question = _Question(current_task(), read=read)
        self._tally.asked += 1
        self._queue.put(question)
        result: T = await wait_task_rescheduled(question.withdraw)
        return result

    def end(self) -> None:
        """Answer what was asked, and wait for the end of the thread; to be called in another one."""
        self._queue.put(None)
        self._ended.wait()

    def _work(self) -> None:
        try:
            while batch := self._gather():
                self._answer(batch)
                self._token.run_sync_soon(acknowledge, batch)
                self._tally.answered += len(batch)
        except trio.RunFinishedError:
            pass  # nobody waits any more
        finally:
            self._ended.set()

    def _gather(self) -> list[_Question]:
        """All that waits, up to what one transaction should answer; nothing at the end."""
        batch: list[_Question] = []
        question = self._queue.get()
        try:
            while question is not None:
                batch.append(question)
                if len(batch) == MOST:
                    return batch
                question = self._queue.get_nowait()
        except Empty:
            return batch
        if batch:
            self._queue.put(None)  # again, for the next turn: it is the last
        return batch

    def _answer(self, batch: Sequence[_Question]) -> None:
        def answer_all(db: apsw.Connection) -> None:
            for question in batch:
                question.answer(db)

        try:
            at_one_moment(self._db, answer_all)
        except BaseException as error:  # the thread goes on: somebody waits for every answer
            for question in batch:
                question.result = question.result or outcome.Error(error)


def at_one_moment(db: apsw.Connection, read: Callable[[apsw.Connection], T]) -> T:
    """Read in one transaction."""
    db.execute("BEGIN")
    try:
        return read(db)
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
