"""Which libraries there are beside ours, and what of each is measured."""

from __future__ import annotations

from typing import Final

import attrs

TRANSITION: Final = "transition"
FAN_OUT: Final = "fan-out"
DURABLE: Final = "durable"
RETRY: Final = "retry"


@attrs.frozen
class Work:
    """Something that is done with several libraries.

    Args:
        case: its name in the programs.
        title: what it is, for the table.
        times: how often a fast library does it in a sample.
    """

    case: str
    title: str
    times: int


WORKS: Final = (
    Work(TRANSITION, "a transition that changes data", 20_000),
    Work(FAN_OUT, "an item of a fan-out", 5_000),
    Work(DURABLE, "a step on disk, 100 runs at once, SQLite", 10_000),
    Work(RETRY, "a call under a retry policy", 20_000),
)


@attrs.frozen
class Peer:
    """A library.

    Args:
        name: its name, also of its environment.
        program: the end of its program's name.
        packages: what is installed, the package whose version is told first; nothing for what runs where we run.
        part: how many times fewer it does each thing, so that a slow one does not take all day.
    """

    name: str
    program: str
    packages: tuple[str, ...] = ()
    part: int = 1


OURS: Final = "cano_trio"
HAND: Final = "by hand, trio"

PEERS: Final = (
    Peer(HAND, "hand"),
    Peer(OURS, "cano_trio"),
    Peer("pocketflow", "pocketflow", ("pocketflow",)),
    Peer("burr", "burr", ("apache-burr", "pydantic", "aiosqlite"), part=20),
    Peer("transitions", "transitions", ("transitions",), part=20),
    Peer("python-statemachine", "statemachine", ("python-statemachine",), part=40),
    Peer("pydantic-graph", "pydantic_graph", ("pydantic-graph",), part=20),
    Peer("langgraph", "langgraph", ("langgraph", "langgraph-checkpoint-sqlite", "aiosqlite"), part=50),
    Peer("dbos", "dbos", ("dbos",), part=20),
    Peer("tenacity", "tenacity", ("tenacity", "trio"), part=20),
    Peer("stamina", "stamina", ("stamina", "trio"), part=20),
)
