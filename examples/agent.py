"""An agent that one talks to: each conversation is a run, and each thing that is said to it is a question with one answer.

The loop is the usual one: the model is shown the conversation and either answers or wants a tool to be used, and is shown
what that gave, until it answers. The model here goes by a few rules, and is overloaded now and then; the state is tried again
with the same question, and whoever has asked notices nothing. When the conversation has become long, another state shortens
it; when nobody says anything for a while, the agent takes its leave.

    python examples/agent.py
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import (
    NoReply,
    Question,
    Resources,
    Retry,
    Run,
    RunAlreadyEnded,
    RunContext,
    Runtime,
    Workflow,
    open_runtime,
)

LONG = 6
"""Lines of a conversation that the model still follows."""

PATIENCE = 0.2
"""Seconds that the agent waits for somebody to say something; in earnest it would be minutes."""


class Step(Enum):
    """Where a conversation stands."""

    LISTEN = auto()
    SHORTEN = auto()
    OVER = auto()


@dataclass(frozen=True)
class Say(Question[str]):
    """Something that is said to the agent; its reply is the answer."""

    text: str


@dataclass
class Conversation:
    """What was said."""

    with_whom: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """The model wants a tool to be used."""

    tool: str
    arguments: tuple[str, ...]


class Overloaded(Exception):
    """The model has too much to do."""


class Model:
    """Says what comes next in a conversation. Every fifth time it is overloaded."""

    def __init__(self) -> None:
        self.times = 0

    async def next(self, lines: list[str]) -> str | Call:
        """What the agent says next, or wants to know first."""
        self.times += 1
        await trio.sleep(0.01)
        if self.times % 5 == 0:
            raise Overloaded
        said = lines[-1]
        if found := re.fullmatch(r"tool: (.*)", said):
            return f"It is {found[1]}."
        if found := re.search(r"(\d+) times (\d+)", said):
            return Call("multiply", found.groups())
        if found := re.search(r"square root of (\d+)", said):
            return Call("root", found.groups())
        if "how often" in said:
            return f"{sum(line.startswith('user: ') for line in lines)} times, as far as I remember."
        return "I only know numbers."


Tools = Mapping[str, Callable[..., str]]

TOOLS: Tools = {
    "multiply": lambda one, other: str(int(one) * int(other)),
    "root": lambda number: f"{math.sqrt(int(number)):.3f}",
}

workflow = Workflow(
    Step,
    initial=Step.LISTEN,
    exits=[Step.OVER],
    name="conversation",
    data=Conversation,
    resources=Resources(model=Model()),
)


@workflow.receive(Step.LISTEN, timeout=PATIENCE, retry=Retry.fixed(2, delay=0.02))
async def answer(
    say: Say, conversation: Conversation, model: Model, ctx: RunContext
) -> Literal[Step.LISTEN, Step.SHORTEN]:
    """Answer, with as many tools as it takes; what a failed attempt has written is gone with it."""
    lines = conversation.lines
    if ctx.attempt > 1:
        print(f"    {conversation.with_whom} is answered at attempt {ctx.attempt}")
    lines.append(f"user: {say.text}")
    while isinstance(step := await model.next(lines), Call):
        lines.append(f"tool: {TOOLS[step.tool](*step.arguments)}")
    lines.append(f"agent: {step}")
    say.reply(step)
    return Step.SHORTEN if len(lines) > LONG else Step.LISTEN


@answer.on_timeout
async def take_leave(conversation: Conversation) -> Literal[Step.OVER]:
    """Nobody says anything any more."""
    conversation.lines.append("agent: Goodbye.")
    return Step.OVER


@workflow.task(Step.SHORTEN)
async def shorten(conversation: Conversation) -> Literal[Step.LISTEN]:
    """Forget what is long ago."""
    print(f"    what {conversation.with_whom} said first is forgotten")
    conversation.lines = conversation.lines[-LONG // 2 :]
    return Step.LISTEN


async def talk(runtime: Runtime, name: str, *sayings: str) -> None:
    """Talk to the agent, and wait until it takes its leave."""
    run: Run[Step, Conversation] = await runtime.start(workflow, Conversation(name), run_id=name)
    for text in sayings:
        print(f"  {name}: {text}")
        reply = await run.ask(Say(text))
        print(f"  agent to {name}: {reply}")
    result = await run.wait()
    print(f"  {name} and the agent are done: {result.data.lines[-1]}")
    try:
        await run.ask(Say("Are you there?"))
    except (RunAlreadyEnded, NoReply) as error:
        print(f"  {error}")


async def converse() -> None:
    """Two conversations, one after the other."""
    async with open_runtime(workflows=[workflow]) as runtime:
        await talk(
            runtime, "Ada", "What is 6 times 7?", "And the square root of 2?", "Who are you?", "I asked how often?"
        )
        await talk(runtime, "Bo", "What is 12 times 12?")


def main() -> None:
    """Talk."""
    trio.run(converse)


if __name__ == "__main__":
    main()
