"""What a schedule is made of, and what it refuses to be made of."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any

import attrs
import pytest

from cano_trio import Backoff, Cron, DefinitionError, Every, Manual, Schedule, Workflow

Step = Enum("Step", "WORK DONE")

plain = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="plain")
texts = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="texts", data=str)


def day(instant: datetime) -> str:
    return instant.date().isoformat()


async def later(instant: datetime) -> str:
    return day(instant)


def test_what_is_usual() -> None:
    """SCH-6, SCH-4, SCH-9: overlaps and missed instants are passed over, and it backs off from 1 s to 300 s; it never trips."""
    schedule = Schedule("nightly", plain, Cron("0 3 * * *"))
    assert (schedule.overlap, schedule.misfire, schedule.queue_limit) == ("skip", "skip", 1)
    assert (schedule.backoff, schedule.trip_after) == (
        Backoff(base=1.0, multiplier=2.0, maximum=300.0, jitter=0.1),
        None,
    )
    assert (schedule.data, schedule.labels, schedule.priority) == (None, {}, 0)


def test_data_are_made_of_the_instant() -> None:
    """A workflow with data gets them from a function of the instant."""
    schedule = Schedule("nightly", texts, Manual(), data=day)
    assert schedule.data is not None
    assert schedule.data(datetime(2030, 1, 1, tzinfo=UTC)) == "2030-01-01"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ""}, "Pass a text that is not empty"),
    "a name that is no text": ({"name": 3}, "Pass a text that is not empty"),
    "a name that can't be written down": ({"name": "\ud800"}, "no UTF-8 form"),
    "no workflow": ({"workflow": "plain"}, "Pass the Workflow itself"),
    "no trigger": ({"trigger": 300}, r"Pass Every\(300\), Cron"),
    "data for a workflow without": ({"data": day}, "plain takes none"),
    "no data": ({"workflow": texts}, r"takes data of type str, and nothing makes it any .*data=lambda instant: str\("),
    "fixed data": ({"workflow": texts, "data": "text"}, "not a plain function"),
    "data that are waited for": ({"workflow": texts, "data": later}, "not a plain function"),
    "another overlap": ({"overlap": "drop"}, "Pass one of 'skip', 'queue', 'cancel_previous', 'allow'"),
    "another misfire": ({"misfire": "queue"}, "Pass one of 'skip', 'run_once', 'run_all'"),
    "an empty queue": ({"queue_limit": 0}, "1 or more"),
    "a queue of a half": ({"queue_limit": 0.5}, "whole number"),
    "seconds for a backoff": ({"backoff": 3}, "Pass a Backoff"),
    "no failure at all": ({"trip_after": 0}, "trip_after is 0: it takes a whole number, 1 or more"),
    "a flag for a priority": ({"priority": True}, "it takes a whole number"),
    "labels in a list": ({"labels": ["team"]}, "Map texts to texts"),
    "a label that is no text": ({"labels": {"team": 3}}, "Map texts to texts"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_refused(wrong: str) -> None:
    """Each argument that can't be is refused where the schedule is written, with what to pass instead."""
    changed, told = WRONG[wrong]
    arguments = {"name": "nightly", "workflow": plain, "trigger": Every(300), **changed}
    with pytest.raises(DefinitionError, match=rf"E43 schedule.*{told}") as caught:
        Schedule(**arguments)
    assert "test_schedule.py:" in caught.value.problems[0].site


def test_a_schedule_is_a_value() -> None:
    """It can't be changed, can be hashed, and is equal by what it says."""
    labels = {"team": "billing"}
    schedule = Schedule("nightly", plain, Every(300), labels=labels)
    labels["team"] = "sales"
    assert schedule.labels == {"team": "billing"}
    assert {schedule} == {Schedule("nightly", plain, Every(300), labels={"team": "billing"})}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        schedule.name = "daily"  # type: ignore[misc]
    assert str(schedule) == "nightly: plain, every 300 s"
