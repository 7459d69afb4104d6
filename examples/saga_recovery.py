"""A saga whose process dies in the middle of its rollback, which goes on in the next one.

A journey books a flight, a hotel and a car; then it turns out that there is no visa, and all of it has to be undone, last
things first. The process is killed while it gives the hotel room back. The next process goes on with the rollback: the car
has been given back, and is not again; the hotel is asked once more, with the same key, by which it knows that this is done;
then comes the flight.

Run it: python examples/saga_recovery.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import trio

from cano_trio import RecordedFailure, Resources, Retry, RunContext, RunFailed, Workflow, failure_context
from cano_trio.journals import SqliteJournal


class Step(Enum):
    """Where a journey stands."""

    FLIGHT = auto()
    HOTEL = auto()
    CAR = auto()
    VISA = auto()
    BOOKED = auto()


@dataclass
class Booking:
    """The receipt of what is booked."""

    what: str
    number: int


class NoVisa(Exception):
    """They don't let us in."""


class Agency:
    """A travel agency, which outlives our processes. It keeps its books in a file, and does nothing twice under one key.

    Args:
        books: the file.
        deadly: it kills the process that gives a hotel room back.
    """

    def __init__(self, books: Path, *, deadly: bool = False) -> None:
        self.books = books
        self.deadly = deadly

    def lines(self) -> list[str]:
        """What has happened: a key, and what was done."""
        return self.books.read_text().splitlines() if self.books.exists() else []

    def book(self, key: str, what: str) -> Booking:
        """Book something."""
        self._write(key, f"{what} booked")
        return Booking(what, len(self.lines()))

    def give_back(self, key: str, booking: Booking) -> None:
        """Give back what is booked."""
        self._write(key, f"{booking.what} given back")
        if self.deadly and booking.what == "hotel":
            print("  ... and dies before it is written down")
            os.kill(os.getpid(), signal.SIGKILL)

    def _write(self, key: str, what: str) -> None:
        if any(line.startswith(f"{key}: ") for line in self.lines()):
            print(f"  {key}: is done already")
            return
        with self.books.open("a") as books:
            books.write(f"{key}: {what}\n")
        print(f"  {key}: {what}")


workflow = Workflow(Step, initial=Step.FLIGHT, exits=[Step.BOOKED], name="journey")


@workflow.compensatable(Step.FLIGHT)
async def book_flight(agency: Agency, ctx: RunContext) -> tuple[Literal[Step.HOTEL], Booking]:
    """Book a flight."""
    return Step.HOTEL, agency.book(ctx.idempotency_key, "flight")


@workflow.compensatable(Step.HOTEL)
async def book_hotel(agency: Agency, ctx: RunContext) -> tuple[Literal[Step.CAR], Booking]:
    """Book a room."""
    return Step.CAR, agency.book(ctx.idempotency_key, "hotel")


@workflow.compensatable(Step.CAR)
async def book_car(agency: Agency, ctx: RunContext) -> tuple[Literal[Step.VISA], Booking]:
    """Book a car."""
    return Step.VISA, agency.book(ctx.idempotency_key, "car")


@book_flight.compensate
@book_hotel.compensate
@book_car.compensate
async def give_back(booking: Booking, agency: Agency, ctx: RunContext) -> None:
    """Give it back, whatever it is."""
    agency.give_back(ctx.idempotency_key, booking)


@workflow.task(Step.VISA, retry=Retry.none())
async def ask_for_visa() -> Literal[Step.BOOKED]:
    """Ask for a visa, too late."""
    raise NoVisa("the embassy is closed")


async def travel(agency: Agency, path: Path) -> None:
    """Book the journey; on the way back the agency will kill us."""
    await workflow.run(run_id="trip-1", journal=SqliteJournal(path), resources=Resources(agency=agency))


async def go_on(agency: Agency, path: Path) -> None:
    """Go on with the rollback of the process that is gone."""
    async with SqliteJournal(path) as journal:
        (run,) = await journal.runs()
        rows = await journal.history("trip-1")
        print(f"The journal: {run.run_id} is {run.position.status.value}")
        print(f"  {', '.join(f'{row.state} {row.kind}' for row in rows)}")
        print("A second process:")
        try:
            await workflow.resume("trip-1", journal=journal, resources=Resources(agency=agency))
        except RecordedFailure as error:  # what it failed with ended with its process
            print(f"  -> {error}")
            if context := failure_context(error):
                print(f"     {str(context.rollback).removeprefix('cano_trio: ')}")
        try:
            await workflow.resume("trip-1", journal=journal, resources=Resources(agency=agency))
        except RunFailed as error:
            print(f"A third time: {error}")
    print("The agency's books:")
    print(*(f"  {line}" for line in agency.lines()), sep="\n")


def main() -> None:
    """Be killed as one process, and go on as another."""
    with tempfile.TemporaryDirectory() as folder:
        print("A first process:", flush=True)
        # Unbuffered: what is killed flushes nothing.
        first = subprocess.run([sys.executable, "-u", __file__, folder], check=False)  # noqa: S603
        print(f"  ended by {signal.Signals(-first.returncode).name}")
        trio.run(go_on, Agency(Path(folder, "books.txt")), Path(folder, "trips.db"))


if __name__ == "__main__":
    if sys.argv[1:]:
        trio.run(travel, Agency(Path(sys.argv[1], "books.txt"), deadly=True), Path(sys.argv[1], "trips.db"))
    else:
        main()
