"""A finished state's row has the data it left, whenever in the state they were written."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import pytest

from cano_trio import More, Workflow
from cano_trio.journals import MemoryJournal
from cano_trio.testing import Laboratory, explore_crashes, replay_state


class Step(Enum):
    COUNT = auto()
    LOOK = auto()
    DONE = auto()


@dataclass
class Numbers:
    seen: list[int] = field(default_factory=list)


counting = Workflow(Step, initial=Step.COUNT, exits=[Step.DONE], name="counting", data=Numbers)


@counting.stepped(Step.COUNT)
async def count(cursor: int | None, numbers: Numbers) -> More[int] | Literal[Step.LOOK]:
    """Changes the data in its first step only; the last one leaves them as they are."""
    if cursor is None:
        numbers.seen.append(1)
        return More(1)
    return Step.LOOK


@counting.task(Step.LOOK)
async def look(numbers: Numbers) -> Literal[Step.DONE]:
    """Changes nothing."""
    return Step.DONE


SEEN = b'{"seen":[1]}'


async def test_data_written_within_a_state_are_in_its_row() -> None:
    """They were written by its first step, and its end does not change them; the state after it leaves them as they were."""
    async with MemoryJournal() as journal:
        await counting.run(Numbers(), run_id="r", journal=journal)
        assert [row.data for row in await journal.history("r")] == [SEEN, None]


def test_so_they_are_wherever_its_process_dies() -> None:
    """The process that finishes it need not be the one that wrote them."""

    async def scenario(lab: Laboratory) -> None:
        await lab.run(counting, Numbers(), run_id="r")

    async def check(lab: Laboratory) -> None:
        assert (await lab.journal.history("r"))[0].data == SEEN

    assert explore_crashes(scenario, check=check).failure is None


@pytest.mark.parametrize("cursors, data", [({}, {"seen": []}), ({"": [1, 1, 0]}, {"seen": [1]})])
def test_a_replayed_state_has_them_too(cursors: dict[str, list[int]], data: object) -> None:
    """From its beginning, or from its cursor with the data it had there."""
    replayed = replay_state(counting, Step.COUNT, data, cursors=cursors)
    assert (replayed.next_state, replayed.data) == (Step.LOOK, {"seen": [1]})
