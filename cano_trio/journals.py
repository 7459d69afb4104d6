"""Where runs are written down, so that a crash loses nothing: pass one as ``journal=`` to `Workflow.run` and `Workflow.resume`.

>>> import tempfile, trio
>>> from enum import Enum
>>> from typing import Literal
>>> from cano_trio import Workflow
>>> from cano_trio.journals import SqliteJournal
>>> Step = Enum("Step", "WORK DONE")
>>> workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="demo")
>>> @workflow.task(Step.WORK)
... async def work() -> Literal[Step.DONE]:
...     return Step.DONE
>>> async def main():
...     with tempfile.TemporaryDirectory() as folder:
...         async with SqliteJournal(f"{folder}/runs.db") as journal:
...             await workflow.run(run_id="r1", journal=journal)
...             return [(run.run_id, run.position.status.value) for run in await journal.runs()]
>>> trio.run(main)
[('r1', 'completed')]
"""

from ._journal.forwarding import ForwardingJournal as ForwardingJournal
from ._journal.memory import MemoryJournal as MemoryJournal
from ._journal.protocol import Journal as Journal
from ._journal.rows import Commit as Commit
from ._journal.rows import Cursor as Cursor
from ._journal.rows import Fence as Fence
from ._journal.rows import Letter as Letter
from ._journal.rows import LogRow as LogRow
from ._journal.rows import Message as Message
from ._journal.rows import NewRun as NewRun
from ._journal.rows import News as News
from ._journal.rows import Outcome as Outcome
from ._journal.rows import Position as Position
from ._journal.rows import RunRecord as RunRecord
from ._journal.rows import Statement as Statement
from ._journal.rows import StoredError as StoredError
from ._journal.rows import StoredRun as StoredRun
from ._journal.schedule_record import ScheduleRecord as ScheduleRecord
from ._journal.sqlite.journal import SqliteJournal as SqliteJournal

__all__ = [
    "Commit",
    "Cursor",
    "Fence",
    "ForwardingJournal",
    "Journal",
    "Letter",
    "LogRow",
    "MemoryJournal",
    "Message",
    "NewRun",
    "News",
    "Outcome",
    "Position",
    "RunRecord",
    "ScheduleRecord",
    "SqliteJournal",
    "Statement",
    "StoredError",
    "StoredRun",
]
