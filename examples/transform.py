"""Load, transform, store: rows of text become totals in a store that outlives the run.

What the run needs on its way is its data, kept state by state; where the result belongs is a resource, found by type.

    python examples/transform.py
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import MemoryStore, Resources, Workflow

SALES = """\
city,item,euros
Oslo,tea,12.50
Lima,tea,8.00
Oslo,rice,3.25
Lima,coffee,
Kyoto,tea,30.00
"""


class Step(Enum):
    """Where a run stands."""

    LOAD = auto()
    TRANSFORM = auto()
    STORE = auto()
    DONE = auto()


@dataclass
class Sales:
    """What the run holds: the source, its rows, and their totals in cents by city."""

    source: str
    rows: list[dict[str, str]] = field(default_factory=list)
    cents: dict[str, int] = field(default_factory=dict)


workflow = Workflow(Step, initial=Step.LOAD, exits=[Step.DONE], data=Sales)


@workflow.task(Step.LOAD)
async def load(sales: Sales) -> Literal[Step.TRANSFORM]:
    """Read the rows."""
    sales.rows = list(csv.DictReader(sales.source.splitlines()))
    return Step.TRANSFORM


@workflow.task(Step.TRANSFORM)
async def transform(sales: Sales) -> Literal[Step.STORE]:
    """Drop rows without an amount and add the others up."""
    for row in sales.rows:
        if row["euros"]:
            sales.cents[row["city"]] = sales.cents.get(row["city"], 0) + round(float(row["euros"]) * 100)
    return Step.STORE


@workflow.task(Step.STORE)
async def store(sales: Sales, store: MemoryStore) -> Literal[Step.DONE]:
    """Put each total where others find it."""
    for city, cents in sales.cents.items():
        store.put(city, cents)
    return Step.DONE


def main() -> None:
    """Run once over a store of ours, and look into it afterwards."""
    totals = MemoryStore()
    result = trio.run(lambda: workflow.run(Sales(SALES), resources=Resources(totals=totals)))
    print(f"{len(result.data.rows)} rows became {len(totals)} totals")
    for city in sorted(totals.keys()):
        print(f"{city:<6}{totals.get(city, int) / 100:>6.2f} euros")


if __name__ == "__main__":
    main()
