"""A stream over real text: the examples in Python's own language reference, as every Python installation carries it.

The source gives one line at a time, and is asked for the next when the one before has been parsed. What lines give is
flushed in windows, by number or by time; a line that is no Python by itself becomes a dead letter. The stream ends when
the text does, or as soon as a window contains what was looked for.

    python examples/stream_manual.py
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pydoc_data.topics import topics
from typing import Literal

import trio

from cano_trio import CloseReason, Resources, Window, Workflow


class Step(Enum):
    """Where the reading stands."""

    READ = auto()
    FOUND = auto()
    READ_ALL = auto()


@dataclass(frozen=True)
class Place:
    """Where a line stands: a stream that goes on goes on behind it."""

    topic: str
    line: int


@dataclass(frozen=True)
class Example:
    """A line of the reference that a reader is meant to type in."""

    place: Place
    code: str


@dataclass
class Reading:
    """What is looked for, and what has been read."""

    wanted: str = ""
    lines: int = 0
    constructs: dict[str, int] = field(default_factory=dict)
    found_in: str = ""


class Rejects(list[str]):
    """The lines that are no Python by themselves, and why."""


workflow = Workflow(Step, initial=Step.READ, exits=[Step.FOUND, Step.READ_ALL], data=Reading)


@workflow.stream(Step.READ, window=Window(count=50, seconds=0.5), on_item_error="dead_letter")
async def parse(example: Example) -> tuple[tuple[str, list[str]], Place]:
    """The names of the constructs in a line, and where it stands."""
    tree = ast.parse(example.code)
    return (example.place.topic, [type(node).__name__ for node in ast.walk(tree)]), example.place


@parse.open
async def examples(after: Place | None) -> AsyncIterator[Example]:
    """All examples, topic by topic, from a place on."""
    for topic in sorted(topics):
        for number, line in enumerate(topics[topic].splitlines()):
            place = Place(topic, number)
            prompt, _, code = line.strip().partition(" ")
            if prompt == ">>>" and (after is None or (after.topic, after.line) < (topic, number)):
                yield Example(place, code)


@parse.flush_window
async def add_up(lines: list[tuple[str, list[str]]], reading: Reading) -> Literal[Step.FOUND] | None:
    """Count a window's constructs; stop when what is looked for is among them."""
    reading.lines += len(lines)
    constructs = Counter(reading.constructs)
    for _, names in lines:
        constructs.update(names)
    reading.constructs = dict(constructs)
    print(f"  {reading.lines:>3} lines, {len(constructs):>2} kinds of constructs, as far as {lines[-1][0]!r}")
    reading.found_in = next((topic for topic, names in lines if reading.wanted in names), "")
    return Step.FOUND if reading.found_in else None


@parse.dead_letter
async def reject(example: Example, error: Exception, rejects: Rejects) -> None:
    """Keep what can't be parsed."""
    rejects.append(f"{example.code}  ({error.args[0]})")


@parse.on_close
async def close(reason: CloseReason, rejects: Rejects) -> Literal[Step.READ_ALL]:
    """Say how it ended."""
    print(f"  {reason.value}, with {len(rejects)} dead letters")
    return Step.READ_ALL


async def read(reading: Reading) -> None:
    """Read once."""
    print(f"Looking for {reading.wanted or 'nothing'}:")
    rejects = Rejects()
    result = await workflow.run(reading, resources=Resources(rejects=rejects))
    if result.state is Step.FOUND:
        print(f"  there is one in {result.data.found_in!r}")
        return
    most = Counter(result.data.constructs).most_common(3)
    print(f"  most common: {', '.join(f'{name} ({number})' for name, number in most)}")
    print(f"  a dead letter: {rejects[0]}")


def main() -> None:
    """Read everything; then only as far as the first lambda."""
    trio.run(read, Reading())
    trio.run(read, Reading(wanted="Lambda"))


if __name__ == "__main__":
    main()
