"""A long migration with a cursor: a table moved page by page, each page with retries of its own.

A step moves one page, and returns `More` with the place where the next one begins. When the database hangs or drops the
connection, that page alone is tried again, from the same place; nothing that was moved is moved twice.

Run it: python examples/stepped_migration.py
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Event, More, Resources, Retry, RetryScheduled, RunContext, StepFinished, Workflow

PAGE = 250


class Step(Enum):
    """Where the migration stands."""

    MOVE = auto()
    CHECK = auto()
    DONE = auto()
    INCOMPLETE = auto()


@dataclass(frozen=True)
class Row:
    """A customer."""

    key: int
    name: str


@dataclass(frozen=True)
class Place:
    """Where a page begins: after the last key of the one before, so that rows which come and go shift nothing."""

    after: int
    page: int


@dataclass
class Migration:
    """What has been moved."""

    rows: int = 0
    longest_name: str = ""


class OldTable:
    """A thousand rows and some, with gaps between their keys; it hangs at the second page, and drops the fourth."""

    def __init__(self) -> None:
        self.rows = [Row(7 * number, f"customer {number}") for number in range(1, 1101)]
        self._troubles = {2: "hangs", 4: "drops"}

    async def page(self, after: int, number: int) -> list[Row]:
        """The rows after a key."""
        match self._troubles.pop(number, None):
            case "hangs":
                await trio.sleep_forever()
            case "drops":
                raise ConnectionError("server closed the connection")
            case _:
                await trio.sleep(0.01)
        return [row for row in self.rows if row.key > after][:PAGE]


class NewTable(dict[int, Row]):
    """Where they go; writing a row again changes nothing."""


workflow = Workflow(Step, initial=Step.MOVE, exits=[Step.DONE, Step.INCOMPLETE], data=Migration)


@workflow.stepped(Step.MOVE, retry=Retry.fixed(3, delay=0.05), attempt_timeout=0.2)
async def move(
    place: Place | None, old: OldTable, new: NewTable, migration: Migration, ctx: RunContext
) -> More[Place] | Literal[Step.CHECK]:
    """Move one page."""
    place = place or Place(after=0, page=1)
    rows = await old.page(place.after, place.page)
    new.update({row.key: row for row in rows})
    migration.rows += len(rows)
    migration.longest_name = max([migration.longest_name, *(row.name for row in rows)], key=len)
    ctx.progress(migration.rows, len(old.rows))
    return More(Place(rows[-1].key, place.page + 1)) if len(rows) == PAGE else Step.CHECK


@workflow.task(Step.CHECK)
async def check(old: OldTable, new: NewTable) -> Literal[Step.DONE, Step.INCOMPLETE]:
    """Compare the two."""
    return Step.DONE if list(new.values()) == old.rows else Step.INCOMPLETE


class Log:
    """An observer that prints what happens to the pages."""

    def on_event(self, event: Event, /) -> None:
        """Something happened."""
        match event:
            case StepFinished():
                print(f"page {event.step} is moved")
            case RetryScheduled():
                print(f"  once more in {event.delay:g} s: {type(event.error).__name__}")
            case _:
                pass


def main() -> None:
    """Migrate."""
    resources = Resources(old=OldTable(), new=NewTable())
    result = trio.run(lambda: workflow.run(Migration(), resources=resources, observers=[Log()]))
    print(f"{result.state.name}: {result.data.rows} rows, the longest name is {result.data.longest_name!r}")


if __name__ == "__main__":
    main()
