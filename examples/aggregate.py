"""Parallel results added up: a batch asks several stations at once, and some of them fail.

An item that fails never fails the batch; `finish` sees all results in the order of the items, and decides.

    python examples/aggregate.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from statistics import mean
from typing import Annotated, Literal

import trio

from cano_trio import BatchResults, Resources, Retry, Workflow


class Step(Enum):
    """Where a survey stands."""

    MEASURE = auto()
    ENOUGH = auto()
    TOO_FEW = auto()


@dataclass
class Survey:
    """Which stations to ask, and what they said."""

    stations: list[str]
    average: float | None = None
    silent: list[str] = field(default_factory=list)


class Network:
    """Four weather stations: one slips once, one is broken, one never answers."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    async def temperature(self, station: str) -> float:
        """Ask a station."""
        self.asked[station] = self.asked.get(station, 0) + 1
        await trio.sleep(0.02)
        match station:
            case "Bergen" if self.asked[station] == 1:
                raise ConnectionError("line noise")
            case "Tromsø":
                raise ConnectionError("sensor is frozen")
            case "Vardø":
                await trio.sleep_forever()
        return 5.0 + len(station)


workflow = Workflow(Step, initial=Step.MEASURE, exits=[Step.ENOUGH, Step.TOO_FEW], data=Survey)


@workflow.batch(Step.MEASURE, concurrency=4, item_retry=Retry.fixed(1, delay=0.01), item_timeout=0.1)
async def measure(station: str, network: Network) -> float:
    """Ask one station; four are asked at a time."""
    return await network.temperature(station)


@measure.load
async def stations(survey: Survey) -> list[str]:
    """The stations to ask."""
    return survey.stations


@measure.finish
async def add_up(
    results: BatchResults[str, float], survey: Survey
) -> Annotated[Literal[Step.ENOUGH], "half or more"] | Literal[Step.TOO_FEW]:
    """The average of those that answered, if they are half of all."""
    for result in results:
        print(f"{result.item:<7} {result.outcome} (attempts: {result.attempts})")
    survey.silent = [failure.item for failure in results.failures]
    if len(results.values) < len(results) / 2:
        return Step.TOO_FEW
    survey.average = mean(results.values)
    return Step.ENOUGH


def main() -> None:
    """Survey four stations."""
    survey = Survey(["Oslo", "Bergen", "Tromsø", "Vardø"])
    result = trio.run(lambda: workflow.run(survey, resources=Resources(network=Network())))
    print(f"{result.state.name}: {result.data.average} degrees, nothing from {' and '.join(result.data.silent)}")


if __name__ == "__main__":
    main()
