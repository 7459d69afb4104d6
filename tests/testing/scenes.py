"""A workflow to explore, and workflows with bugs in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal

import trio

from cano_trio import Retry, RunContext, TaskConfig, Workflow
from cano_trio.testing import Effects, Laboratory, Scenario


class Step(Enum):
    A = auto()
    B = auto()
    C = auto()
    DONE = auto()
    NEVER = auto()


@dataclass
class Notes:
    lines: list[str] = field(default_factory=list)


def three_states(**tasks: Any) -> Workflow[Step, Notes]:
    """A workflow of three states, each of which notes itself under its key and sleeps for a second; or does what is given."""
    workflow = Workflow(
        Step,
        initial=Step.A,
        exits=[Step.DONE, Step.NEVER],
        name="three",
        data=Notes,
        defaults=TaskConfig(retry=Retry.none()),
    )

    async def a(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.B, Step.NEVER]:
        await note(notes, ctx, effects)
        return Step.B

    async def b(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.C]:
        await note(notes, ctx, effects)
        return Step.C

    async def c(notes: Notes, ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
        await note(notes, ctx, effects)
        return Step.DONE

    for state, task in {"A": a, "B": b, "C": c, **tasks}.items():
        workflow.register(Step[state], task)
    return workflow


async def note(notes: Notes, ctx: RunContext, effects: Effects) -> None:
    """What a task does."""
    effects.record_once(ctx.state.name, ctx)
    await trio.sleep(1)
    notes.lines.append(ctx.state.name)


def client(workflow: Workflow[Step, Notes], *, durable: bool = True) -> Scenario:
    """Runs it, and gives what it noted."""

    async def scenario(lab: Laboratory) -> list[str]:
        return (await lab.run(workflow, Notes(), run_id="r", durable=durable)).data.lines

    return scenario
