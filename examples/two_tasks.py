"""Two tasks that hand data on: one generates numbers, the next counts the even ones.

python examples/two_tasks.py
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Workflow


class Step(Enum):
    """Where a run stands."""

    GENERATE = auto()
    COUNT = auto()
    DONE = auto()


@dataclass
class Numbers:
    """What the tasks hand on: each works on a copy of its own, which is kept when it has finished."""

    seed: int
    values: list[int] = field(default_factory=list)
    even: int = 0


workflow = Workflow(Step, initial=Step.GENERATE, exits=[Step.DONE], data=Numbers)


@workflow.task(Step.GENERATE)
async def generate(numbers: Numbers) -> Literal[Step.COUNT]:
    """Draw ten numbers."""
    numbers.values = random.Random(numbers.seed).choices(range(100), k=10)
    return Step.COUNT


@workflow.task(Step.COUNT)
async def count(numbers: Numbers) -> Literal[Step.DONE]:
    """Count the even ones."""
    numbers.even = sum(value % 2 == 0 for value in numbers.values)
    return Step.DONE


def main() -> None:
    """Run once and print what came of it."""
    result = trio.run(workflow.run, Numbers(seed=42))
    print("generated", *result.data.values)
    print(f"{result.data.even} of them are even")
    print("by way of", " -> ".join(step.name for step in result.path))


if __name__ == "__main__":
    main()
