"""A workflow with another inside it, as the command runs, checks and shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

TRIP = """
from enum import Enum
from typing import Literal
from cano_trio import Retry, Workflow
Hotel = Enum("Hotel", "RESERVE PAY BOOKED")
Trip = Enum("Trip", "FLY STAY DONE")
hotel = Workflow(Hotel, initial=Hotel.RESERVE, exits=[Hotel.BOOKED], name="hotel")
trip = Workflow(Trip, initial=Trip.FLY, exits=[Trip.DONE], name="trip")

@hotel.compensatable(Hotel.RESERVE)
async def reserve() -> tuple[Literal[Hotel.PAY], str]:
    return Hotel.PAY, "room"

@trip.compensatable(Trip.FLY)
async def fly() -> tuple[Literal[Trip.STAY], str]:
    return Trip.STAY, "seat"

@reserve.compensate
@fly.compensate
async def cancel(receipt: str) -> None: ...

@hotel.task(Hotel.PAY)
async def pay() -> Literal[Hotel.BOOKED]:
    raise TypeError("no money")

trip.register_child(Trip.STAY, hotel, {Hotel.BOOKED: Trip.DONE})
"""


def write(folder: Path, text: str) -> None:
    (folder / "trip.py").write_text(text)


def test_a_failed_run_tells_what_was_undone_on_both_floors(command: Command, folder: Path) -> None:
    """The path is the run's own; the rollback is the child's and then its parent's, in words and in the document."""
    write(folder, TRIP)
    result = command("run", "trip.py:trip", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["status"], answer["path"]) == (1, "rolled_back", ["FLY", "STAY"])
    assert answer["rollback"]["undone"] == ["RESERVE", "FLY"]
    assert answer["error"]["state"] == "PAY"
    assert "undone: RESERVE, FLY" in command("run", "trip.py:trip").stderr


def test_progress_tells_the_childs_states(command: Command, folder: Path) -> None:
    """Its states are lines like any other, with what works there; that it begins and ends is none."""
    write(folder, TRIP)
    lines = command("run", "trip.py:trip").stderr.splitlines()
    told = [line.split("  ")[-1].strip() for line in lines]
    assert told[:4] == ["FLY: compensatable fly", "STAY: child hotel", "RESERVE: compensatable reserve", "PAY: pay"]
    assert sum("rolled_back" in line for line in told) == 1


def test_check_tells_the_childs_problems(command: Command, folder: Path) -> None:
    """What is wrong in the child is told with the way there."""
    write(folder, TRIP.replace("-> Literal[Hotel.BOOKED]", "-> Literal[Hotel.PAY]"))
    result = command("check", "trip.py:trip")
    assert result.exit_code == 1
    assert "E10 STAY/PAY: trap" in result.stdout + result.stderr
