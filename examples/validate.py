"""Validation with three outcomes, each an exit state; the labels of the edges stand in the annotation.

The drawing comes from the same annotation, so it can't go stale.

    python examples/validate.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Annotated, Literal

import trio

from cano_trio import Workflow


class Step(Enum):
    """Where an application stands."""

    CHECK = auto()
    JUDGE = auto()
    VALID = auto()
    REVIEW = auto()
    REJECTED = auto()


@dataclass
class Application:
    """Somebody asks for a loan."""

    name: str
    age: int
    income: int
    loan: int
    errors: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


workflow = Workflow(
    Step, initial=Step.CHECK, exits=[Step.VALID, Step.REVIEW, Step.REJECTED], name="loan", data=Application
)


@workflow.task(Step.CHECK)
async def check(application: Application) -> Literal[Step.JUDGE]:
    """Collect all that is wrong or odd, not only the first."""
    errors = {
        "no name": not application.name,
        "under age": application.age < 18,
        "no income": application.income <= 0,
    }
    doubts = {
        "more than three incomes": application.loan > 3 * application.income,
        "unusual age": application.age > 100,
    }
    application.errors = [text for text, found in errors.items() if found]
    application.doubts = [text for text, found in doubts.items() if found]
    return Step.JUDGE


Verdict = (
    Annotated[Literal[Step.VALID], "all in order"]
    | Annotated[Literal[Step.REVIEW], "in doubt"]
    | Annotated[Literal[Step.REJECTED], "has errors"]
)


@workflow.router(Step.JUDGE)
async def judge(application: Application) -> Verdict:
    """Errors reject; doubts are for a human."""
    if application.errors:
        return Step.REJECTED
    return Step.REVIEW if application.doubts else Step.VALID


async def judge_all(*applications: Application) -> None:
    """Print the outcome of each."""
    for application in applications:
        result = await workflow.run(application)
        why = ", ".join(result.data.errors + result.data.doubts) or "all in order"
        print(f"{application.name or '(nobody)':<10} {result.state.name:<9} {why}")


def main() -> None:
    """Judge some applications and draw how it is done."""
    trio.run(
        judge_all,
        Application("Ada", age=36, income=4_000, loan=9_000),
        Application("Methusalem", age=969, income=100, loan=50_000),
        Application("", age=9, income=0, loan=10),
    )
    print(f"\n{workflow:mermaid}")


if __name__ == "__main__":
    main()
