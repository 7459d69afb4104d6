"""Workflows to command, and ways to call the command: in this process, and as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from cano_trio.cli.commands import cano_trio

INGEST = """\
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Literal
from cano_trio import BatchResults, Retry, Workflow

class Step(Enum):
    FETCH = auto()
    PARSE = auto()
    DONE = auto()
    FAILED = auto()

@dataclass
class Doc:
    url: str
    words: list[str] = field(default_factory=list)
    folder: Path = Path("in")

workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE, Step.FAILED], name="ingest", data=Doc)
calls = 0

@workflow.task(Step.FETCH, retry=Retry.fixed(2, delay=0.01), on_error={LookupError: Step.FAILED})
async def fetch(doc: Doc) -> Literal[Step.PARSE]:
    global calls
    calls += 1
    print("fetching", doc.url)
    if doc.url == "nowhere":
        raise LookupError(doc.url)
    if calls < 2:
        raise OSError("busy")
    doc.words += doc.url.split("/")
    return Step.PARSE

@workflow.batch(Step.PARSE)
async def parse(word: str) -> int:
    return len(word)

@parse.load
async def load(doc: Doc) -> list[str]:
    return doc.words

@parse.finish
async def finish(results: BatchResults[str, int], doc: Doc) -> Literal[Step.DONE]:
    doc.words.append(str(sum(results.values)))
    return Step.DONE
"""

SMALL = """\
import json
import signal
import sys
import time
from enum import Enum
from typing import Literal
import trio
from cano_trio import Retry, Workflow

Step = Enum("Step", "WORK DONE LOST")

def workflow(name, work):
    made = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name=name)
    made.register(Step.WORK, work, retry=Retry.none())
    return made

async def fine() -> Literal[Step.DONE]:
    return Step.DONE

def parsed(text):
    return json.loads(text)

async def fail() -> Literal[Step.DONE]:
    try:
        parsed("[")
    except ValueError as error:
        raise RuntimeError("no such page") from error

async def fail_together() -> Literal[Step.DONE]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)

async def nap() -> Literal[Step.DONE]:
    await trio.sleep(0.35)
    return Step.DONE

async def interrupt() -> Literal[Step.DONE]:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    await trio.sleep(60)
    return Step.DONE

async def close() -> Literal[Step.DONE]:
    signal.raise_signal(signal.SIGTERM)
    return Step.DONE

async def sleep() -> Literal[Step.DONE]:
    print("sleeping", flush=True)
    await trio.sleep(60)
    return Step.DONE

async def pay() -> tuple[Literal[Step.LOST], int]:
    return Step.LOST, 3

async def refund(receipt: int) -> None:
    print("refunding", receipt)

async def refuse(receipt: int) -> None:
    raise TypeError("no such account")

async def ship() -> Literal[Step.DONE]:
    print("shipping", flush=True)
    await trio.sleep(60)
    return Step.DONE

def saga(name, undo, then):
    made = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name=name)
    made.compensatable(Step.WORK)(pay).compensate(undo)
    made.register(Step.LOST, then, retry=Retry.none())
    return made

async def spin() -> Literal[Step.DONE]:
    print("spinning", flush=True)
    while True:
        time.sleep(0.01)

async def spin_beside() -> Literal[Step.DONE]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spin)

async def leave() -> Literal[Step.DONE]:
    sys.exit(7)

async def leave_together() -> Literal[Step.DONE]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)

ok = workflow("ok", fine)
failing = workflow("failing", fail)
group = workflow("group", fail_together)
napping = workflow("napping", nap)
interrupting = workflow("interrupting", interrupt)
closing = workflow("closing", close)
sleeping = workflow("sleeping", sleep)
spinning = workflow("spinning", spin)
spinning_beside = workflow("spinning_beside", spin_beside)
leaving = workflow("leaving", leave)
leaving_together = workflow("leaving_together", leave_together)
paying = saga("paying", refund, ship)
owing = saga("owing", refuse, fail)
"""

STORED = """\
import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal
import trio
from cano_trio import Retry, Workflow

Step = Enum("Step", "PAY SHIP DONE")
mode = Path("mode")

def told():
    return mode.read_text() if mode.exists() else ""

@dataclass
class Order:
    item: str = "tea"
    notes: list[str] = field(default_factory=list)

async def ship(order: Order) -> Literal[Step.DONE]:
    match told():
        case "fail":
            raise OSError("no \\x1b[2J ship")
        case "die":
            os._exit(9)
        case "sleep":
            print("shipping", flush=True)
            await trio.sleep(60)
    order.notes.append("shipped")
    return Step.DONE

async def pay(order: Order) -> tuple[Literal[Step.SHIP], int]:
    order.notes.append("paid")
    return Step.SHIP, 3

async def refund(receipt: int) -> None:
    if mode.with_name("bankrupt").exists():
        raise LookupError("no money")
    print("refunding", receipt, flush=True)

order = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="order", data=Order)
order.compensatable(Step.PAY, retry=Retry.none())(pay).compensate(refund)
order.register(Step.SHIP, ship, retry=Retry.none())

plain = Workflow(Step, initial=Step.SHIP, exits=[Step.DONE], name="plain", data=Order)
plain.register(Step.SHIP, ship, retry=Retry.none())

outer = Workflow(Step, initial=Step.SHIP, exits=[Step.DONE], name="outer", data=Order)
outer.register_child(Step.SHIP, plain, {Step.DONE: Step.DONE})
"""

DESK = """\
import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal
import trio
from cano_trio import Resources, Retry, Workflow

Step = Enum("Step", "PAY ASK SHIP DONE LOST")
mode = Path("mode")

@dataclass
class Order:
    item: str = "tea"
    by: str = ""

@dataclass(frozen=True)
class Approved:
    by: str
    amount: int = 0

@dataclass(frozen=True)
class Rejected:
    why: str

class Bank:
    async def setup(self) -> None:
        print("bank is open", flush=True)

desk = Workflow(
    Step, initial=Step.PAY, exits=[Step.DONE, Step.LOST], name="desk", data=Order, resources=Resources(bank=Bank())
)

@desk.compensatable(Step.PAY)
async def pay(bank: Bank) -> tuple[Literal[Step.ASK], int]:
    return Step.ASK, 3

@pay.compensate
async def refund(receipt: int) -> None:
    if Path("bankrupt").exists():
        raise TypeError("no money")
    print("refunding", receipt, flush=True)

@desk.receive(Step.ASK)
async def ask(answer: Approved | Rejected, order: Order) -> Literal[Step.SHIP, Step.LOST]:
    if isinstance(answer, Rejected):
        return Step.LOST
    order.by = answer.by
    return Step.SHIP

@desk.task(Step.SHIP, retry=Retry.none())
async def ship(order: Order) -> Literal[Step.DONE]:
    told = mode.read_text() if mode.exists() else ""
    if told == "fail":
        raise OSError("no ship")
    if told == "sleep":
        print("shipping", flush=True)
        await trio.sleep(60)
    while told == "stay" or (told == "finish" and trio.current_effective_deadline() > -math.inf):
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)
    return Step.DONE
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with ``ingest.py`` and ``small.py``; what is imported from it is forgotten again."""
    (tmp_path / "ingest.py").write_text(INGEST)
    (tmp_path / "small.py").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with ``stored.py``, and ``runs.db`` as the journal; the file ``mode`` says how shipping goes."""
    (folder / "stored.py").write_text(STORED)
    monkeypatch.setenv("CANO_TRIO_JOURNAL", "runs.db")
    return folder


@pytest.fixture
def desk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with ``desk.py``, and ``runs.db`` as the journal; the file ``mode`` says how shipping goes."""
    (folder / "desk.py").write_text(DESK)
    monkeypatch.setenv("CANO_TRIO_JOURNAL", "runs.db")
    return folder


class Command(Protocol):
    """Calls the command in this process."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        """With these arguments."""
        ...


@pytest.fixture
def command(folder: Path) -> Command:
    """Call the command in this process."""

    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cano_trio, arguments, input=stdin, prog_name="cano-trio")

    return call


class Start(Protocol):
    """Starts the command as a process of its own."""

    def __call__(
        self, *arguments: str, python: tuple[str, ...] = ..., stdout: int = ..., stderr: int = ...
    ) -> subprocess.Popen[str]:
        """With these arguments; ``python`` instead of ``-m cano_trio``, and pipes if nothing else is given."""
        ...


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the command as a process of its own, which does not outlive the test."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    # A child inherits that a signal is ignored, as in a script's background, but no handler.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun: list[subprocess.Popen[str]] = []

    def begin(
        *arguments: str,
        python: tuple[str, ...] = ("-m", "cano_trio"),
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *python, *arguments],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        with process:
            process.kill()
    signal.signal(signal.SIGINT, earlier)
