"""A task without any parameters: no data, no resources, just the next state.

python examples/bare.py
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Workflow


class Step(Enum):
    """Where a run stands."""

    GREET = auto()
    DONE = auto()


workflow = Workflow(Step, initial=Step.GREET, exits=[Step.DONE])


@workflow.task(Step.GREET)
async def greet() -> Literal[Step.DONE]:
    """Say hello."""
    print("hello from a bare task")
    return Step.DONE


def main() -> None:
    """Run once."""
    print("the run ended in", trio.run(workflow.orchestrate).name)


if __name__ == "__main__":
    main()
